local metric = require("lunette.explain.metric").new
local rank_correlation = require "lunette.tensors.rank_correlation"


---Spearman's rank correlation of two maps (Spearman 1904; of maps, Adebayo et al. 2018,
---"Sanity checks for saliency maps"): from -1 to 1; 1 where both put the pixels in the
---same order, whatever their scales. Equal values share a rank; a map that is the same
---everywhere has no order and gets 0.
---Caveat: all pixels count alike: of maps that are nearly 0 at most places, the order
---  there decides.
---Example:
---  local a = lu.tensor { { 1, 2 }, { 3, 4 } }
---  print((lu.metrics.spearman(a, a * a))) -- 1
return metric {
  name = "spearman", needs = "map", title = "Spearman", family = "likeness",
  channels = true, paper = "Spearman 1904; of maps, Adebayo et al. 2018, Sanity checks",
  value = rank_correlation,
}
