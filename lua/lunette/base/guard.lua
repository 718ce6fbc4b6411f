---Calls whose errors tell the caller's own line, whatever deep inside raises them:
---"lua/lunette/tensors/shape.lua:165: reshape: ..." becomes "script.lua:7: tile:
---reshape: ...".
local blame = require "lunette.base.blame"

local M = {}

---Hears of every error where it is raised, its stack still there; what it returns is
---the message. The program and the session say more than a script alone would.
---@type (fun(message: any): any)?
M.at_error = nil


local function finish(ok, ...)
  if not ok then error((...), 0) end
  return ...
end


---f(...), with such errors.
---@param name string   for messages
---@param f function
---@param ... any
---@return any ...
function M.call(name, f, ...)
  return finish(xpcall(f, function(message)
    message = blame.passed(name, message)
    return M.at_error and M.at_error(message) or message
  end, ...))
end

return M
