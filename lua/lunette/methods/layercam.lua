local cam = require("lunette.explain.cam").new

---LayerCAM (Jiang et al. 2021): every place of the layer by its own gradient, where it
---is positive: sum_k relu(g_k) A_k. Sharp at early layers too, where Grad-CAM is not.
---Caveat: what speaks against the class is left out before the sum already.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.layercam(run, { layer = "block3_conv3", modifiers = { "linear" } }))
return cam {
  name = "layercam", needs = "gradient",
  paper = "Jiang et al. 2021, LayerCAM: exploring hierarchical class activation maps",
  weights = function(_, g) return g:relu() end,
}
