local kendall = require "lunette.explain.kendall"
local metric = require("lunette.explain.metric").new


---Kendall's tau-b (Kendall 1945): pairs of pixels that both maps put in the same order,
---less those that they do not, among pairs that neither ties. From -1 to 1; 0 where one
---is the same everywhere.
---Caveat: all pixels count alike, as in Spearman's correlation.
---Example:
---  local a = lu.tensor { { 1, 2 }, { 2, 4 } }
---  print((lu.metrics.kendall(a, a * a))) -- 1
return metric {
  name = "kendall", needs = "map", title = "Kendall", family = "likeness",
  channels = true, paper = "Kendall 1945, The treatment of ties in ranking problems",
  value = function(map, other)
    return kendall(map:view(map:size()):totable(), other:view(other:size()):totable())
  end,
}
