---Layers as scripts see them: a layer of a network has its parameters by their names,
---`net.conv1.weight`.
local blame = require "lunette.base.blame"
local build = require "lunette.net.build"
local types = require "lunette.base.types"
local preprocessing = require "lunette.picture.preprocessing"

local Layer = {}


---Weights that see the picture's colours say in which order (`show` draws them so).
local function mark_colours(net, layer, t)
  local sees = layer.from[1] == "input" and #layer.from == 1 and t:dim() == 4
  if sees and t:dim(2) == 3 and not t.colours then
    t.colours = preprocessing.spec(net.preprocessing).bgr and "bgr" or "rgb"
  end
  return t
end


---A parameter of the layer; nil where it has none of that name, or no values yet.
function Layer.__index(layer, key)
  for _, q in ipairs(rawget(layer, "params") or {}) do
    if q.key == key then
      local net = build.net_of(layer)
      local t = net and net.params[q.name]
      return t and mark_colours(net, layer, t)
    end
  end
  return nil
end


---`net.conv1.weight = t` is `net.params["conv1.weight"] = t`, of the right shape.
function Layer.__newindex(layer, key, value)
  local net = build.net_of(layer)
  for _, q in ipairs(net and rawget(layer, "params") or {}) do
    if q.key == key then
      local shape = types.is_tensor(value) and table.concat(value:shape(), ",")
      if shape ~= table.concat(q.shape, ",") then
        blame(("%s is a tensor (%s), got %s"):format(q.name,
              table.concat(q.shape, ","), types.told(value)))
      end
      net.params[q.name] = value
      return
    end
  end
  rawset(layer, key, value)
end

return Layer
