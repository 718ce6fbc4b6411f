local metric = require("lunette.explain.metric").new
local opt = require("lunette.base.options").opt
local road = require "lunette.explain.road"


---ROAD, remove and debias (Rong et al. 2022): pixels at or above percentiles of the map
---are removed and filled in by the weighted means of their neighbours, so that the
---holes tell nothing; the score's mean change with the most relevant first (morf: far
---below 0 is good), with the least relevant first (lerf: near 0 is good), and (lerf -
---morf) / 2 (combined). Gives the chosen one, then lists of combined, morf and lerf,
---and both curves.
---Caveat: favours blurry maps: a scattered removal is filled in without a trace.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  print((lu.metrics.road(lu.gradcam(run), run, { percentiles = { 90 } })))
return metric {
  name = "road", needs = "run", family = "faithfulness", better = "higher",
  title = "ROAD",
  paper = "Rong et al. 2022, A consistent and efficient evaluation strategy",
  options = {
    "score", "modifiers", "batch", "seed",
    percentiles = opt.any({ 20, 40, 60, 80 }, "of the map: pixels from there up go",
                          road.check_percentiles),
    order = opt.choice("combined", { "combined", "morf", "lerf" }, "which is given"),
    close = opt.number(1e-6, "relative residual at which the filling is solved", 1e-7,
                       0.1),
    noise = opt.number(0.01, "deviation of the noise on filled pixels, in the units of "
      .. "the network's input", 0),
  },
  value = function(map, case, o)
    local all = road.of(map, case, o)
    return all[o.order], all.combined, all.morf, all.lerf, all.morf_curve,
      all.lerf_curve
  end,
}
