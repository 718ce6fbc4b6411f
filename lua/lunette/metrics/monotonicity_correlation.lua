local asking = require "lunette.explain.asking"
local core = require "lunette.core"
local metric = require("lunette.explain.metric").new
local opt = require("lunette.base.options").opt
local rank_correlation = require "lunette.tensors.rank_correlation"
local subsets = require "lunette.explain.subsets"


---The score's mean squared change while a group has random values of the picture's
---range.
local function uncertainty(case, o, group, k, clean)
  local x = asking.picture(case)
  local s, n = x:stats(), x:size()
  local keep = subsets.masks({ group }, x[1]:shape()).get(1, 1)
  local values = asking.scores(case, o, o.samples, function(first, count)
    local noise = core.uniform(o.seed, k * o.samples + first, count, n)
      :view(count, table.unpack(x[1]:shape()))
    return x * keep + (noise * (s.max - s.min) + s.min) * (1 - keep)
  end)
  local sum = 0
  for _, v in ipairs(values) do sum = sum + (v - clean) ^ 2 end
  return sum / #values
end


---Monotonicity (Nguyen & Martinez 2020): Spearman's correlation, over groups of the
---picture's values, of |the map's sum over the group| and of the score's mean squared
---change while the group has random values (uniform over the picture's range). From -1
---to 1. Gives also the changes.
---Caveat: a group's values are drawn independently, as in no picture.
return metric {
  name = "monotonicity_correlation", needs = "run", family = "faithfulness",
  better = "higher", channels = true, title = "monotonicity correlation",
  paper = "Nguyen & Martinez 2020, On quantitative aspects of model interpretability",
  options = {
    "score", "modifiers", "batch", "seed",
    features = opt.count(4096, "values in a group"),
    samples = opt.count(10, "draws a group"),
  },
  value = function(map, case, o)
    local full = asking.for_channels(map, case):reshape(asking.picture(case)[1]:shape())
    local list = subsets.in_order(full, o.features)
    local sums, changes, clean = subsets.sums(list, full), {}, asking.clean(case, o)
    for k, group in ipairs(list) do
      sums[k], changes[k] = math.abs(sums[k]), uncertainty(case, o, group, k, clean)
    end
    local r = rank_correlation(core.tensor(sums), core.tensor(changes))
    return r, r, changes
  end,
}
