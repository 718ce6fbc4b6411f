local cam = require("lunette.explain.cam").new

---FEM, feature explanation method (Fuad et al. 2020): channels weigh by the share of
---their places that lie over the mean by two deviations. No class.
---Caveat: the same map for every class.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.fem(run))
return cam {
  name = "fem", paper = "Fuad et al. 2020, Features understanding in 3D CNNs",
  weights = function(A)
    local over = { dims = { 3, 4 }, keepdims = true }
    local mean = A:mean(over)
    local deviation = (A - mean):square():mean(over):sqrt()
    return A:gt(mean + deviation * 2):mean(over)
  end,
}
