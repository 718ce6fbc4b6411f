local alike = require "lunette.explain.alike"
local metric = require("lunette.explain.metric").new
local opt = require("lunette.base.options").opt


---The share of the k largest values of one map that are among the k largest of the
---other (Ghorbani et al. 2019). By chance: k over the number of pixels.
---Caveat: of equal values the upper left count first, so that flat maps overlap.
return metric {
  name = "top_overlap", needs = "map", title = "top overlap", family = "likeness",
  paper = "Ghorbani et al. 2019, Interpretation of neural networks is fragile",
  options = { k = opt.count(1000, "how many, at most all") },
  value = function(map, other, o)
    return alike.overlap(map, other, math.min(o.k, map:size()))
  end,
}
