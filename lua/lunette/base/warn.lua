---Warnings: one line on stderr. `lu.warn = function(message) ... end` replaces it
---for the scripts that want to collect them.
local text = require "lunette.base.text"

local M = {}

---@type fun(message: string)
M.sink = function(message) text.complain(message, "lunette: warning") end


return setmetatable(M, { __call = function(_, message) M.sink(message) end })
