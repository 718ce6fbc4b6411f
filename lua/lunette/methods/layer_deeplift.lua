local baselines = require "lunette.explain.baselines"
local deeplift = require "lunette.explain.deeplift"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local perturb = require "lunette.explain.perturb"

---DeepLIFT at a layer (Shrikumar et al. 2017, rescale rule): how much of the score's
---difference from a baseline's goes through every unit of the layer. Of the layer's
---shape, signed; the sum is S(x) - S(baseline) where all paths lead through the layer
---(`delta` in the story says how far it is off).
---Caveat: beside the layer, through a shortcut, goes what the sum then lacks.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.layer_deeplift(run, { layer = "block4_conv3", modifiers = { "linear" } }))
return method {
  name = "layer_deeplift", family = "layer", draws = "channels",
  flat = "the picture is its baseline, or no gradient reaches the layer",
  paper = "Shrikumar et al. 2017, Learning important features through propagating "
    .. "activation differences",
  options = {
    "score", "modifiers",
    layer = opt.layer("last", "whose units"),
    baseline = opt.baseline("zero", "zero, mean, blur, noise, black, a number, tensor"),
    softmax = opt.choice("path", { "path", "mean" }, "the rule of a softmax: its mean "
      .. "slope, or captum's"),
  },
  explain = function(run, o)
    local base = baselines.of(o.baseline, run.net, run.images)
    local m, difference = deeplift.multipliers(run, base, o, o.layer.name)
    local map = m * difference
    return map, { delta = perturb.delta(run, o, map, base) }
  end,
}
