local alike = require "lunette.explain.alike"
local metric = require("lunette.explain.metric").new


---Pearson's correlation of the values of two maps: from -1 to 1; 0 where one is the
---same everywhere.
---Caveat: a few large values decide.
---Example:
---  local a = lu.tensor { { 1, 2 }, { 3, 4 } }
---  print((lu.metrics.pearson(a, 3 - a))) -- -1
return metric {
  name = "pearson", needs = "map", title = "Pearson", family = "likeness",
  channels = true, paper = "Pearson 1895",
  value = alike.measures.pearson,
}
