---Warnings: one line on stderr. `lu.warn = function(message) ... end` replaces it
---for the scripts that want to collect them.
local text = require "lunette.base.text"

local M = {}

---@type fun(message: string)
M.sink = function(message) text.complain(message, "lunette: warning") end


---Calls f; its warnings go to `sink`, or nowhere.
---@param sink (fun(message: string))|false
---@param f function
---@param ... any
---@return any ...   what f returns; its errors pass
function M.during(sink, f, ...)
  local before = M.sink
  M.sink = sink or function() end
  local result = table.pack(pcall(f, ...))
  M.sink = before
  if not result[1] then error(result[2], 0) end
  return table.unpack(result, 2, result.n)
end


return setmetatable(M, { __call = function(_, message) M.sink(message) end })
