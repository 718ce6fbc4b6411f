local method = require("lunette.explain.method").new
local sampling = require "lunette.explain.sampling"
local layer_paths = require "lunette.explain.layer_paths"

---Internal influence (Leino et al. 2018): the gradient at a layer, averaged on the way
---from a baseline to the picture. Of the layer's shape, signed.
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
    return layer_paths.mean_gradient(run, o, "internal influence")
  end,
}
