local metric = require("lunette.explain.metric").new

---Energy inside (Wang et al. 2020, "Score-CAM", section 4.3): the share of the
---map's sum that lies on the object. Negative values count as 0; a map without any
---positive value has no energy to place and gets 0.
return metric {
  name = "energy", needs = "mask", title = "energy inside %", family = "mask",
  better = "higher", paper = "Wang et al. 2020, Score-CAM",
  value = function(map, mask)
    local positive = map:relu():view(1, map:size())
    local total = positive:sum { dims = { 2 } }:item()
    local inside = (positive * mask:view(1, map:size())):sum { dims = { 2 } }:item()
    return total > 0 and inside / total or 0
  end,
}
