local metric = require("lunette.explain.metric").new


---Sparseness (Chalasani et al. 2020): the Gini index of the values' sizes (divided by
---the largest, and 1e-7 added, as Quantus does): 0 where all are equal, near 1 where
---few have all.
---Caveat: sparse is easy to read, not right: one pixel at any place has the best value.
---Example:
---  print((lu.metrics.sparseness(lu.tensor { { 0, 0 }, { 0, 1 } }))) -- 0.75
return metric {
  name = "sparseness", family = "complexity", better = "higher", title = "sparseness",
  channels = true,
  paper = "Chalasani et al. 2020, Concise explanations of neural networks",
  value = function(map)
    local n = map:size()
    local _, sizes = map:view(n):abs():argsort()
    local list = sizes:totable()
    local scale, sum, weighted = list[1] > 0 and list[1] or 1, 0, 0
    for k, v in ipairs(list) do -- the largest first: its rank is n
      v = v / scale + 1e-7
      sum, weighted = sum + v, weighted + (2 * (n - k + 1) - n - 1) * v
    end
    return weighted / (n * sum)
  end,
}
