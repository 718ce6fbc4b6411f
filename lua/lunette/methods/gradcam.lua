local cam = require("lunette.explain.cam").new

---Grad-CAM: channel-averaged gradients weight the activations of one layer
---(Selvaraju et al. 2017). The map is (N,H,W) of the picture; raw it is signed, (N,h,w)
---of the layer.
---Dialects: "tf-keras-vis" relu, corner-aligned bilinear, min-max (asked for by name,
---it looks at the last convolution, even where a batch norm or a sum follows);
---"captum" raw at the layer's size; "pytorch-grad-cam" relu, min-max, half-pixel
---bilinear, min-max.
---Caveat: as coarse as the layer (14 x 14 for VGG16), and the relu hides what speaks
---  against the class; { raw = true } keeps it.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.gradcam(run, { modifiers = { "linear" } }))
return cam {
  name = "gradcam", needs = "means", measured = true,
  paper = "Selvaraju et al. 2017, Grad-CAM: visual explanations from deep networks",
  weights = function(_, means) return means end,
}
