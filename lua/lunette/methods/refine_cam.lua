local cam = require("lunette.explain.cam").new
local plus = require "lunette.methods.gradcam_pp"

---RefineCAM (pytorch-grad-cam): the product of the Grad-CAM++ maps of several layers:
---what all of them point at, as sharp as the earliest.
---Caveat: one layer that points elsewhere wipes out what the others show.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.refine_cam(run, { layer = { "block3_conv3", "block4_conv3" },
---                            modifiers = { "linear" } }))
return cam {
  name = "refine_cam", needs = "gradient", dialects = { "pytorch-grad-cam" },
  paper = "pytorch-grad-cam, RefineCAM",
  weights = plus.weights,
  fuse = function(maps)
    local product = maps[1]
    for i = 2, #maps do product = product * maps[i] end
    return product:normalize()
  end,
}
