local metric = require("lunette.explain.metric").new


---Complexity (Bhatt et al. 2020): the entropy of the values' sizes as shares of their
---sum, minus the sum of q log(q + 1e-12): 0 where one value has all, log n where all
---are equal.
---Caveat: few bright pixels are easy to read, not right.
return metric {
  name = "complexity", family = "complexity", better = "lower", title = "complexity",
  channels = true,
  paper = "Bhatt et al. 2020, Evaluating and aggregating feature-based explanations",
  value = function(map)
    local list, sum, entropy = map:view(map:size()):abs():totable(), 0, 0
    for _, v in ipairs(list) do sum = sum + v end
    if sum == 0 then return math.log(#list) end
    for _, v in ipairs(list) do
      entropy = entropy - v / sum * math.log(v / sum + 1e-12)
    end
    return entropy
  end,
}
