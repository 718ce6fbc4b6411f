---Where pictures of a ranking come from: is it such a table at all?
local blame = require "lunette.base.blame"
local types = require "lunette.base.types"

local M = {}


---Raises where a network or a source is none, or `methods` and `measures` are no lists.
---@param what string   who was called
---@param net any
---@param source any
---@param o table       the options
function M.check(what, net, source, o)
  types.check_net(what, net)
  if type(source) ~= "table" or type(source.get) ~= "function"
     or not types.is_count(source.count) then
    blame(("%s: pictures are { count =, name =, get = function(i) }, got %s"):format(
          what, types.told(source)))
  end
  for _, key in ipairs { "methods", "measures" } do
    if o[key] and type(o[key]) ~= "table" then
      blame(("%s: %s is a list of names, got %s"):format(what, key, types.told(o[key])))
    end
    for _, name in ipairs(o[key] or {}) do
      if type(name) ~= "string" then
        blame(("%s: %s is a list of names, and holds %s"):format(what, key,
              types.told(name)))
      end
    end
  end
end

return M
