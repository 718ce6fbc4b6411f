local deeplift = require "lunette.explain.deeplift"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt

---DeepLIFT at a layer (Shrikumar et al. 2017, rescale rule): how much of the score's
---difference from a baseline's goes through every unit of the layer. Of the layer's
---shape, signed; the sum is S(x) - S(baseline) where all paths lead through the layer
---(`delta` in the story says how far it is off); of several baselines the mean
---(captum's LayerDeepLiftShap).
---Caveat: beside the layer, through a shortcut, goes what the sum then lacks.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.layer_deeplift(run, { layer = "block4_conv3", modifiers = { "linear" } }))
return method {
  name = "layer_deeplift", slopeless = true, family = "layer", draws = "channels",
  flat = "the picture is its baseline, or no gradient reaches the layer",
  paper = "Shrikumar et al. 2017, Learning important features through propagating "
    .. "activation differences",
  options = deeplift.options { layer = opt.layer("last", "whose units") },
  explain = function(run, o) return deeplift.explain(run, o, o.layer.name) end,
}
