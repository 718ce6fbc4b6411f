---The networks of keras.applications that are known without a config, as nodes: those
---that lunette.models has tables of, then those of applications/.
local applications = require "lunette.weights.import.keras.applications"
local models = require "lunette.models"

---Tables with Keras' names.
local tables = { "_keras$", "^resnet%d+v2$", "^mobilenet$" }


local classes = { batch_norm = "BatchNormalization", linear = "Dense" }


local function class_of(layer)
  if layer[2] == "conv2d" then
    return (layer.groups or 1) > 1 and "DepthwiseConv2D" or "Conv2D"
  end
  return classes[layer[2]] or layer[2]
end


---A table of layers as nodes.
local function nodes_of(arch)
  local nodes, before = {}, "input"
  for i, layer in ipairs(arch.layers) do
    local from = layer.from or before
    nodes[i] = { name = layer[1], class = class_of(layer),
                 inputs = type(from) == "table" and from or { from } }
    before = layer[1]
  end
  return nodes
end


---@return fun(): lunette.keras.Node[]?   gives one after the other
return function()
  return coroutine.wrap(function()
    for _, name in ipairs(models.names) do
      for _, pattern in ipairs(tables) do
        if name:find(pattern) then coroutine.yield(nodes_of(models[name]())) end
      end
    end
    for calls in applications.each() do coroutine.yield(calls) end
  end)
end
