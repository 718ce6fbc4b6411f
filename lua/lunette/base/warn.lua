---Warnings: one line on stderr. `lu.warn = function(message) ... end` replaces it
---for the scripts that want to collect them.
local M = {}

---@type fun(message: string)
M.sink = function(message) io.stderr:write("lunette: warning: ", message, "\n") end


return setmetatable(M, { __call = function(_, message) M.sink(message) end })
