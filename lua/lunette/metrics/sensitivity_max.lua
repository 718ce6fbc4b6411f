local metric = require("lunette.explain.metric").new
local shaken = require "lunette.explain.shaken"


---Max-sensitivity (Yeh et al. 2019): the largest |map(x + u) - map(x)| / |map(x)| over
---uniform noise u. The class stays that of the picture itself. Gives also the moves.
---Caveat: a map that is the same for all pictures has the best value, 0.
return metric {
  name = "sensitivity_max", needs = "method", family = "robustness", better = "lower",
  channels = true, title = "max-sensitivity", options = shaken.options,
  paper = "Yeh et al. 2019, On the (in)fidelity and sensitivity of explanations",
  value = function(map, case, o)
    local moved, _, length = shaken.moves(map, case, o)
    local most = shaken.largest(moved) / math.max(length, 1e-30)
    return most, most, moved
  end,
}
