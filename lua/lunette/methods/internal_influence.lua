local baselines = require "lunette.explain.baselines"
local layer_paths = require "lunette.explain.layer_paths"
local method = require("lunette.explain.method").new
local paths = require "lunette.explain.paths"
local sampling = require "lunette.explain.sampling"

---Internal influence (Leino et al. 2018): the gradient at a layer, averaged on the way
---from a baseline to the picture. Of the layer's shape, signed. Of several
---baselines the mean.
---Caveat: says how much a unit would matter, not how much it was active.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  local opts = { layer = "block4_conv3", steps = 8, modifiers = { "linear" } }
---  show(lu.internal_influence(run, opts))
return method {
  name = "internal_influence", family = "layer", draws = "channels",
  paper = "Leino et al. 2018, Influence-directed explanations",
  options = layer_paths.options, keeps = sampling.keeps,
  explain = function(run, o)
    local alphas, weights = paths.rules[o.rule](o.steps)
    local x = run.images
    return baselines.mean(run, o, function(b, wish)
      return sampling.gradients(run, {
        name = "internal influence", count = #alphas, progress = wish,
        batch = layer_paths.batch(o, 2),
        fold = sampling.weighted(weights), wrt = o.layer.name,
        make = paths.points(x, b, alphas) }, o)
    end)
  end,
}
