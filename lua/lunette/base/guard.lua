---Functions whose callers are told at their own line what an operator deep inside says:
---"lua/lunette/tensors/shape.lua:165: reshape: ..." becomes "script.lua:7: tile:
---reshape: ...".
local blame = require "lunette.base.blame"

local M = {}

---The function with such errors.
---@generic F: function
---@param name string   for messages
---@param f F
---@return F
function M.wrap(name, f)
  local function finish(ok, ...)
    if not ok then blame.again(name, (...)) end
    return ...
  end
  return function(...) return finish(pcall(f, ...)) end
end

return M
