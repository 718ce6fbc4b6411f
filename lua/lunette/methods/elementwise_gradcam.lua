local cam = require("lunette.explain.cam").new

---Element-wise Grad-CAM (pytorch-grad-cam): sum_k relu(g A), what each place of each
---channel adds where that is positive.
---Caveat: the sum of positive parts only: what speaks against the class never cancels
---it.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.elementwise_gradcam(run, { modifiers = { "linear" } }))
return cam {
  name = "elementwise_gradcam", needs = "gradient",
  paper = "pytorch-grad-cam, GradCAMElementWise",
  channels = function(A, g) return (g * A):relu() end,
}
