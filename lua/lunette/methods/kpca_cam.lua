local cam = require("lunette.explain.cam").new
local principal = require "lunette.explain.principal"

---KPCA-CAM (Karmani et al. 2024): the first kernel principal component of the layer's
---channels, with the kernel tanh(r r' / K + 1) of places r. No class.
---Caveat: the same map for every class; the kernel matrix has (h w)^2 entries.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.kpca_cam(run))
return cam {
  name = "kpca_cam", paper = "Karmani et al. 2024, KPCA-CAM",
  map = function(A) return principal.kernel(A) end,
}
