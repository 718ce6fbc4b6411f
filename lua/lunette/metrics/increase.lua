local covered = require "lunette.explain.covered"
local metric = require("lunette.explain.metric").new


---Increase in confidence (Chattopadhay et al. 2018, "Grad-CAM++"): the share of
---pictures whose score rises when they are multiplied by their map, scaled to 0 .. 1.
---Caveat: a rise of a thousandth counts as one of a half; see `gain`.
return metric {
  name = "increase", needs = "run", family = "faithfulness", better = "higher",
  title = "increase %",
  paper = "Chattopadhay et al. 2018, Grad-CAM++",
  options = { "score", "modifiers", "batch" },
  value = function(map, case, o)
    local whole, under = covered.scores(map, case, o)
    return under > whole and 1 or 0, under > whole
  end,
}
