local cam = require("lunette.explain.cam").new

---XGrad-CAM (Fu et al. 2020): Grad-CAM with weights that make the channels' sums their
---share of the score: w_k = sum_xy g A / (sum_xy A + 1e-7).
---Caveat: of a channel with values of both signs the weight may be of any size.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.xgradcam(run, { modifiers = { "linear" } }))
return cam {
  name = "xgradcam", needs = "gradient",
  paper = "Fu et al. 2020, Axiom-based Grad-CAM",
  weights = function(A, g)
    local above = (g * A):sum { dims = { 3, 4 }, keepdims = true }
    return above / (A:sum { dims = { 3, 4 }, keepdims = true } + 1e-7)
  end,
}
