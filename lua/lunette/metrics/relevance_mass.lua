local metric = require("lunette.explain.metric").new
local opt = require("lunette.base.options").opt


---Relevance mass accuracy (Arras et al. 2022, "CLEVR-XAI"): the sum on the object over
---the whole sum; `abs`: of sizes. 0 where the whole is 0.
---Caveat: where signs mix, the whole sum may be near 0 and the share anything, also
---  below 0 or above 1; `energy` takes the positive part alone.
return metric {
  name = "relevance_mass", needs = "mask", title = "relevance mass %", family = "mask",
  better = "higher", paper = "Arras et al. 2022, CLEVR-XAI",
  options = { abs = opt.flag(false, "of the values' sizes") },
  value = function(map, mask, o)
    local flat = map:view(1, map:size())
    if o.abs then flat = flat:abs() end
    local total = flat:sum():item()
    local inside = (flat * mask:view(1, mask:size())):sum():item()
    return total ~= 0 and inside / total or 0
  end,
}
