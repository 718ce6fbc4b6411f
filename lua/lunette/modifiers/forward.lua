---Forward modifiers: which layer is scored.
local blame = require "lunette.base.blame"
local row = require("lunette.modifiers.modifier").row

local M = {}


---Scores what comes before the last softmax (tf-keras-vis' ReplaceToLinear).
M.linear = row {
  name = "linear", doc = "scores what the last softmax or sigmoid reads",
  target = function(net, layer)
    if layer.kind ~= "softmax" and layer.kind ~= "log_softmax"
       and layer.kind ~= "sigmoid" then
      return nil
    end
    return (net:layer(layer.from[1]))
  end,
}


local by_layer = row {
  name = "extract", doc = "scores a layer's activated output",
  takes = { { "layer", type = "string" } },
  make = function(p)
    return { target = function(net)
      local layer, message = net:activated(p.layer)
      if not layer then blame(message) end
      return layer
    end }
  end,
}


---Scores a layer instead of the output (tf-keras-vis' ExtractIntermediateLayer).
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  local score = function(output) return output:mean { dims = { 2, 3, 4 } } end
---  local middle = lu.extract "block3_conv3"
---  show(lu.saliency(run, { score = score, modifiers = { middle } }))
---@param name string   a layer; a convolution's name means its activated output
---@return lunette.Modifier
function M.extract(name)
  if type(name) ~= "string" then
    blame("extract: expected a layer's name, got " .. type(name))
  end
  return by_layer(name)
end

return { fields = M, rows = { M.linear, by_layer } }
