---Feature inversion (Mahendran & Vedaldi 2015): which picture gives a layer the values
---that this picture gives it. What it shows of the picture, the layer still knows.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local maximise = require "lunette.features.activation_maximization"
local regularizers = require "lunette.features.regularizers"
local scores = require "lunette.score"


---@param net lunette.Net
---@param images lunette.Tensor   (N,C,H,W) of net:images
---@param layer string            whose values are met
---@param opts? table             as of `lu.activation_maximization`, without a score
---@return lunette.Tensor pictures   (N,C,H,W), 0..255
---@return number[] distances        |a - b|^2 / |b|^2 at the layer, a picture each
return function(net, images, layer, opts)
  local run <close> = net:run(images)
  local values, list = assert(run:activation(layer)):detach(), {}
  for i = 1, images:dim(1) do
    list[i] = scores.match(layer, values:rows(i):clone())
  end
  local o = { score = list, transforms = {},
              regularizers = { regularizers.smoothness(0.05) } }
  for key, value in pairs(opts or {}) do o[key] = value end
  if o.score ~= list then blame("invert: the score is the layer's likeness") end
  local pictures = maximise.run(net, o)
  local distances = {}
  for i, v in ipairs(pictures.story.values) do distances[i] = -v end
  pictures.story.method, pictures.story.layer = "invert", layer
  pictures.story.isa = core.build().isa
  return pictures, distances
end
