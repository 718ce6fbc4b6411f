local cam = require("lunette.explain.cam").new
local principal = require "lunette.explain.principal"

---SegEigenCAM (pytorch-grad-cam): the first principal component of |gradient| times
---activation, turned so that its largest value is positive.
---Caveat: the sign of the gradient is lost: evidence against the class lights up as
---well.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.seg_eigen_cam(run, { modifiers = { "linear" } }))
return cam {
  name = "seg_eigen_cam", needs = "gradient",
  paper = "pytorch-grad-cam, SegEigenCAM",
  map = function(A, g)
    local p = principal.first(g:abs() * A)
    for i = 1, p:dim(1) do
      local s = p[i]:stats()
      if -s.min > s.max then p[i]:mul_(-1) end
    end
    return p
  end,
}
