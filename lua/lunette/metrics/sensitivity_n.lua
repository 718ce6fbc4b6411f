local asking = require "lunette.explain.asking"
local metric = require("lunette.explain.metric").new
local opt = require("lunette.base.options").opt
local subsets = require "lunette.explain.subsets"


---Sensitivity-n (Ancona et al. 2018): the correlation of the map's sum over n random
---values of the picture and of how far the score falls without them, for sizes n up to
---`most` of all. Gives the mean over the sizes, and the correlations, one a size.
---Caveat: a method that is complete need not be good for every n; read the curve.
return metric {
  name = "sensitivity_n", needs = "run", family = "faithfulness", better = "higher",
  channels = true, title = "sensitivity-n",
  paper = "Ancona et al. 2018, Towards better understanding of gradient-based "
    .. "attribution methods",
  options = {
    "score", "modifiers", "batch", "seed",
    sizes = opt.count(8, "sizes n, spread evenly"),
    most = opt.number(0.8, "share of the values in the largest subset", 0, 1),
    runs = opt.count(16, "subsets of a size", 2),
    baseline = opt.baseline("zero", "what stands where values are gone"),
  },
  value = function(map, case, o)
    local full = asking.for_channels(map, case):reshape(asking.picture(case)[1]:shape())
    local clean, curve = asking.clean(case, o), {}
    for k = 1, o.sizes do
      local n = math.max(1, math.floor(full:size() * o.most * k / o.sizes))
      local list = subsets.random(o.seed + k, o.runs, n, full:size())
      local falls = asking.masked(case, o, subsets.masks(list, full:shape()))
      for j, v in ipairs(falls) do falls[j] = clean - v end
      curve[k] = asking.correlation(subsets.sums(list, full), falls)
    end
    local mean = asking.mean(curve)
    return mean, mean, curve
  end,
}
