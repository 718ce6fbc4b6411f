local cam = require("lunette.explain.cam").new
local opt = require("lunette.base.options").opt
local principal = require "lunette.explain.principal"

---EigenGradCAM (pytorch-grad-cam): the first principal component of gradient times
---activation. A component's sign is arbitrary; here it goes along with the sum of the
---channels (`flip` turns it round).
---Caveat: a component is what varies most, which need not be what adds most.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.eigengradcam(run, { modifiers = { "linear" } }))
return cam {
  name = "eigengradcam", needs = "gradient",
  paper = "pytorch-grad-cam, EigenGradCAM",
  options = { flip = opt.flag(false, "the other sign") },
  map = function(A, g, _, o) return principal.first(g * A) * (o.flip and -1 or 1) end,
}
