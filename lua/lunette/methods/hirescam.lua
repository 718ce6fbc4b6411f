local cam = require("lunette.explain.cam").new

---HiResCAM (Draelos & Carin 2020): gradient times activation, summed over channels.
---Before a global average and a dense layer it is Grad-CAM, and exact.
---Caveat: only as coarse layers allow; at layers followed by others than a dense one it
---  is no longer the score's own sum.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.hirescam(run, { modifiers = { "linear" } }))
return cam {
  name = "hirescam", needs = "gradient",
  paper = "Draelos & Carin 2020, Use HiResCAM instead of Grad-CAM",
  weights = function(_, g) return g end,
}
