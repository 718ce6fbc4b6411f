local covered = require "lunette.explain.covered"
local metric = require("lunette.explain.metric").new


---Average drop (Chattopadhay et al. 2018, "Grad-CAM++"): the share of the score that is
---lost when the picture is multiplied by its map, scaled to 0 .. 1; what rises counts
---as 0. Gives also the drops themselves, and both scores.
---Caveat: a map of ones loses nothing: read it with `increase` and the map's size
---  (ADCC). A score below 0 has no share.
return metric {
  name = "average_drop", needs = "run", family = "faithfulness", better = "lower",
  title = "average drop %",
  paper = "Chattopadhay et al. 2018, Grad-CAM++",
  options = { "score", "modifiers", "batch" },
  value = function(map, case, o)
    local whole, under = covered.scores(map, case, o)
    local share = covered.drop(whole, under)
    return share, share, math.max(0, whole - under), whole, under
  end,
}
