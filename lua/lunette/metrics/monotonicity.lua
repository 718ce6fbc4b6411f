local asking = require "lunette.explain.asking"
local metric = require("lunette.explain.metric").new
local opt = require("lunette.base.options").opt


---Monotonicity (Luss et al. 2019, Arya et al. 2019): values of the picture are put back
---on the baseline, `features` at a time, those of the smallest |map| first; each should
---raise the score. Gives the share of steps that do not lower it, those shares, whether
---no step does (which is the paper's answer: 1 or 0), and the curves.
---Caveat: the order alone counts, not how much a step gives.
return metric {
  name = "monotonicity", needs = "run", family = "faithfulness", better = "higher",
  channels = true, title = "monotonicity",
  paper = "Luss et al. 2019, Generating contrastive explanations with monotonic "
    .. "attribute functions",
  options = {
    "score", "modifiers", "batch",
    features = opt.count(1024, "values that are put back in a step"),
    baseline = opt.baseline("zero", "what stands where values are missing"),
  },
  value = function(map, case, o)
    local full = asking.for_channels(map, case)
    local steps, rising = -(-full:size() // o.features), 0
    local curve = asking.masked(case, o,
      asking.pieces(asking.ranks(-full:abs()), o.features, steps, true))
    table.remove(curve, 1)
    for k = 2, #curve do rising = rising + (curve[k] >= curve[k - 1] and 1 or 0) end
    local share = #curve > 1 and rising / (#curve - 1) or 1
    return share, share, share == 1, curve
  end,
}
