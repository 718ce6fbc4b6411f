local baselines = require "lunette.explain.baselines"
local layer_paths = require "lunette.explain.layer_paths"
local method = require("lunette.explain.method").new
local paths = require "lunette.explain.paths"
local perturb = require "lunette.explain.perturb"
local sampling = require "lunette.explain.sampling"

---Integrated gradients at a layer: the straight path from the layer's values at the
---baseline to those at the picture; only what follows the layer is run. Of the layer's
---shape, signed; the sum is the score's difference. Of several
---baselines the mean.
---Caveat: points between two activations are none that a picture need have.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  local opts = { layer = "block4_conv3", steps = 8, modifiers = { "linear" } }
---  show(lu.layer_integrated_gradients(run, opts))
return method {
  name = "layer_integrated_gradients", family = "layer", draws = "channels",
  paper = "Sundararajan et al. 2017, Axiomatic attribution for deep networks",
  options = layer_paths.options,
  explain = function(run, o)
    local alphas, weights = paths.rules[o.rule](o.steps)
    local A = layer_paths.values(run, o, run.images)
    return baselines.mean(run, o, function(b, wish)
      local A0 = layer_paths.values(run, o, b)
      local g = sampling.gradients(run, {
        name = "layer integrated gradients", count = #alphas,
        batch = layer_paths.batch(o, 2),
        fold = sampling.weighted(weights), from = o.layer, wrt = o.layer.name,
        progress = wish,
        make = paths.points(A, A0, alphas),
      }, o)
      local map = (A - A0) * g
      return map, perturb.delta(run, o, map, b)
    end)
  end,
}
