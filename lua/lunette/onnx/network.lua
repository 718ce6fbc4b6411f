---Traces a network: its layers applied once to tracing tensors.
local build = require "lunette.net.build"
local layers = require "lunette.layers"
local trace = require "lunette.trace"

local M = {}

local copies = setmetatable({}, { __mode = "k" }) -- net -> its copy


---A copy of the network whose parameters are named constants, so that whatever is
---computed from weights is traced.
---@param net lunette.Net
---@return lunette.Net
function M.copy(net)
  if copies[net] then return copies[net] end
  local copy = {}
  for key, value in pairs(net) do copy[key] = value end
  copy.params = setmetatable({}, { __index = function(t, name)
    local value = net.params[name]
    local known = value and trace.constant(value, name)
    rawset(t, name, known)
    return known
  end })
  setmetatable(copy, getmetatable(net))
  build.give(copy, build.parts(net))
  copies[net] = copy
  return copy
end


---A batch of pictures as the network takes them.
---@param net lunette.Net
---@param name? string   "input"
---@return lunette.Traced
function M.picture(net, name)
  return trace.leaf(name or "input", { trace.BATCH, table.unpack(net.input) })
end


---The layers that `names` depend on and whose values are missing, as a set.
local function needed(net, names, values)
  local set, work = {}, { table.unpack(names) }
  while #work > 0 do
    local name = table.remove(work)
    if not values[name] and not set[name] then
      set[name] = true
      for _, from in ipairs(net:layer(name).from) do work[#work + 1] = from end
    end
  end
  return set
end


---Traces the layers in `names` and all that they depend on.
---@param net lunette.Net   of M.copy
---@param values table<string, lunette.Traced>   known ones ("input", or layers); those
---  that are computed are added
---@param names string[]
---@param prefix? string   before the names of layers
---@return table<string, lunette.Traced> values
function M.forward(net, values, names, prefix)
  local set = needed(net, names, values)
  for _, layer in ipairs(net:layers()) do
    if set[layer.name] then
      local xs, label = {}, (prefix or "") .. layer.name
      for i, from in ipairs(layer.from) do xs[i] = values[from] end
      values[layer.name] = trace.within(label, layers.apply, layer, xs,
        net:params_of(layer), { name = label })
    end
  end
  return values
end

return M
