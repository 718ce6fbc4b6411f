local metric = require("lunette.explain.metric").new
local shaken = require "lunette.explain.shaken"


---Local Lipschitz estimate (Alvarez-Melis & Jaakkola 2018): the largest of
---|map(x + u) - map(x)| over |u| for noise u. Gives also the ratios.
---Caveat: in the map's units over the picture's: compare maps of one scale
---  (`normalize = true`).
return metric {
  name = "local_lipschitz", needs = "method", family = "robustness", better = "lower",
  channels = true, title = "local Lipschitz", options = shaken.options,
  paper = "Alvarez-Melis & Jaakkola 2018, On the robustness of interpretability "
    .. "methods",
  value = function(map, case, o)
    local moved, far = shaken.moves(map, case, o)
    local ratios = {}
    for k, d in ipairs(moved) do ratios[k] = d / (far[k] + 1e-10) end
    local most = shaken.largest(ratios)
    return most, most, ratios
  end,
}
