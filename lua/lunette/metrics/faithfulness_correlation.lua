local asking = require "lunette.explain.asking"
local metric = require("lunette.explain.metric").new
local opt = require("lunette.base.options").opt
local subsets = require "lunette.explain.subsets"


---Faithfulness correlation (Bhatt et al. 2020): Pearson's correlation, over random
---subsets of the picture's values, of the map's sum over a subset and of how far the
---score falls when the subset becomes the baseline. From -1 to 1. Gives also how far it
---fell.
---Caveat: scattered single values hardly hurt a convolutional network: the falls are
---  small and the correlation noisy; take many runs.
return metric {
  name = "faithfulness_correlation", needs = "run", family = "faithfulness",
  better = "higher", channels = true, title = "faithfulness correlation",
  paper = "Bhatt et al. 2020, Evaluating and aggregating feature-based explanations",
  options = {
    "score", "modifiers", "batch", "seed",
    runs = opt.count(100, "subsets", 2),
    subset = opt.count(224, "values in a subset"),
    subsets = opt.any(false, "a tensor (runs, size) of indices from 0: of your own"),
    baseline = opt.baseline("zero", "what stands where values are gone"),
  },
  value = function(map, case, o)
    local full = asking.for_channels(map, case)
    local list = o.subsets
      and subsets.given("faithfulness_correlation", o.subsets, full:size())
      or subsets.random(o.seed, o.runs, o.subset, full:size())
    local falls = asking.masked(case, o, subsets.masks(list, full:shape()))
    local clean = asking.clean(case, o)
    for k, v in ipairs(falls) do falls[k] = clean - v end
    local r = asking.correlation(subsets.sums(list, full), falls)
    return r, r, falls
  end,
}
