local cam = require("lunette.explain.cam").new
local opt = require("lunette.base.options").opt
local principal = require "lunette.explain.principal"

---EigenCAM (Muhammad & Yeasin 2020): the first principal component of the layer's
---channels. No class: what varies most. A component's sign is arbitrary; here it goes
---along with the sum of the channels (`flip` turns it round).
---Caveat: the same map for every class.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.eigencam(run))
return cam {
  name = "eigencam", paper = "Muhammad & Yeasin 2020, Eigen-CAM",
  options = { flip = opt.flag(false, "the other sign") },
  map = function(A, _, _, o) return principal.first(A) * (o.flip and -1 or 1) end,
}
