local metric = require("lunette.explain.metric").new
local opt = require("lunette.base.options").opt


---Effective complexity (Nguyen & Martinez 2020): how many values count: those whose
---size is more than `least` of the largest.
---Caveat: depends on `least` as much as on the map.
return metric {
  name = "effective_complexity", family = "complexity", better = "lower",
  title = "effective complexity", channels = true,
  paper = "Nguyen & Martinez 2020, On quantitative aspects of model interpretability",
  options = { least = opt.number(1e-5, "share of the largest size", 0) },
  value = function(map, _, o)
    local sizes = map:abs()
    local most = sizes:stats().max
    if most == 0 then return 0 end
    return (sizes / most):gt(o.least):sum():item()
  end,
}
