local asking = require "lunette.explain.asking"
local metric = require("lunette.explain.metric").new
local opt = require("lunette.base.options").opt
local subsets = require "lunette.explain.subsets"


---Faithfulness estimate (Alvarez-Melis & Jaakkola 2018): the picture's values in groups
---of `features`, in the order of the map; Pearson's correlation (from -1 to 1) of the
---map's sum over a group and of how far the score falls when that group alone becomes
---the baseline. Gives also how far it fell.
---Caveat: groups are scattered over the picture, and hardly hurt a convolutional
---  network.
return metric {
  name = "faithfulness_estimate", needs = "run", family = "faithfulness",
  better = "higher", channels = true, title = "faithfulness estimate",
  paper = "Alvarez-Melis & Jaakkola 2018, Towards robust interpretability",
  options = {
    "score", "modifiers", "batch",
    features = opt.count(1024, "values in a group"),
    baseline = opt.baseline("zero", "what stands where values are gone"),
  },
  value = function(map, case, o)
    local full = asking.for_channels(map, case):reshape(asking.picture(case)[1]:shape())
    local list = subsets.in_order(full, o.features)
    local falls = asking.masked(case, o, subsets.masks(list, full:shape()))
    local clean = asking.clean(case, o)
    for k, v in ipairs(falls) do falls[k] = clean - v end
    local r = asking.correlation(subsets.sums(list, full), falls)
    return r, r, falls
  end,
}
