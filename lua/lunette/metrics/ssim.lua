local metric = require("lunette.explain.metric").new
local opt = require("lunette.base.options").opt
local structure = require "lunette.explain.structure"


---Structural similarity (Wang et al. 2004): the mean over windows of how alike two maps
---are in luminance, contrast and structure; 1 for equal ones. Gives the mean, one value
---a map, and the values window by window, (H-10,W-10), which say where the maps differ.
---Caveat: depends on the maps' scales: bring them to one first (map:normalize()).
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  print((lu.metrics.ssim(lu.gradcam(run), lu.hirescam(run))))
return metric {
  name = "ssim", needs = "map", title = "SSIM", family = "likeness",
  paper = "Wang et al. 2004, Image quality assessment",
  options = {
    window = opt.count(11, "side of a window", 2),
    kernel = opt.choice("gaussian", { "gaussian", "uniform" }, "a window's weights; "
      .. "uniform ones with the covariance of a sample, as skimage"),
    sigma = opt.number(1.5, "of the Gaussian", 1e-3),
    range = opt.number(0, "what values span; 0: from the smallest to the largest of "
      .. "both", 0),
  },
  value = function(map, other, o)
    local s, each = structure.ssim(map, other, o)
    return s, s, each
  end,
}
