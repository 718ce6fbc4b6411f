local metric = require("lunette.explain.metric").new


---The cosine of the angle between two maps: their correlation about 0 instead of their
---means; 0 where one is zero everywhere.
---Caveat: maps without negative values are never far apart.
return metric {
  name = "cosine", needs = "map", title = "cosine", family = "likeness",
  channels = true, paper = "as in Hedstroem et al. 2023, Quantus",
  value = function(map, other) return map:cosine(other):item() end,
}
