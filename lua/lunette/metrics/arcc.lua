local covered = require "lunette.explain.covered"
local metric = require("lunette.explain.metric").new
local opt = require("lunette.base.options").opt
local road = require "lunette.explain.road"


---ARCC (Domeniconi et al. 2026): as ADCC, with ROAD in the place of the average drop:
---the harmonic mean of coherency, of 1 - the scaled map's mean, and of twice the
---combined ROAD, cut to 0 .. 1. Gives also the three.
---Caveat: three things in one number; the parts say more. ROAD's share is of
---  probabilities.
return metric {
  name = "arcc", needs = "method", family = "faithfulness", better = "higher",
  title = "ARCC", paper = "Domeniconi et al. 2026, How to evaluate and refine your CAM",
  options = {
    "score", "modifiers", "batch", "seed", "method", "with",
    percentiles = opt.any({ 20, 40, 60, 80 }, "of the map, where pixels are removed",
                          road.check_percentiles),
    close = opt.number(1e-6, "relative residual at which the filling is solved", 1e-7,
                       0.1),
    noise = opt.number(0.01, "deviation of the noise on filled pixels", 0),
  },
  value = function(map, case, o)
    local removal = math.max(0, math.min(1, 2 * road.of(map, case, o).combined))
    local coherency = covered.coherency(map, case)
    local complexity = covered.scaled(map):mean():item()
    local all = covered.harmonic { coherency, 1 - complexity, removal }
    return all, all, coherency, complexity, removal
  end,
}
