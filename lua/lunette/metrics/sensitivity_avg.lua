local asking = require "lunette.explain.asking"
local metric = require("lunette.explain.metric").new
local shaken = require "lunette.explain.shaken"


---Average sensitivity (Yeh et al. 2019): the mean |map(x + u) - map(x)| / |map(x)| over
---uniform noise u. Gives also the moves.
---Caveat: a map that is the same for all pictures has the best value, 0.
return metric {
  name = "sensitivity_avg", needs = "method", family = "robustness", better = "lower",
  channels = true, title = "average sensitivity", options = shaken.options,
  paper = "Yeh et al. 2019, On the (in)fidelity and sensitivity of explanations",
  value = function(map, case, o)
    local moved, _, length = shaken.moves(map, case, o)
    local mean = asking.mean(moved) / math.max(length, 1e-30)
    return mean, mean, moved
  end,
}
