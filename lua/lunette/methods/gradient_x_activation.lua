local blame = require "lunette.base.blame"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt

---Gradient times activation at a layer (captum's LayerGradientXActivation): what each
---unit makes of a score that is linear in the layer. Of the layer's shape, signed.
---Caveat: only a first order: a unit that is saturated gets little.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  local opts = { layer = "block4_conv3", modifiers = { "linear" } }
---  show(lu.gradient_x_activation(run, opts))
return method {
  name = "gradient_x_activation", family = "layer", draws = "channels",
  paper = "captum, LayerGradientXActivation",
  options = { "score", "modifiers", layer = opt.layer("last", "whose units") },
  keeps = function(_, o) return o.layer end,
  explain = function(run, o)
    local value, message = run:activation(o.layer.name)
    if not value then blame("gradient_x_activation: " .. message) end
    return value:detach() * run:gradient { score = o.score, modifiers = o.modifiers,
                                           wrt = o.layer.name }
  end,
}
