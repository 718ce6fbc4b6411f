local metric = require("lunette.explain.metric").new


---The rank of every value, from 1, the largest first; equal ones share their mean rank.
local function ranks(map)
  local order, values = map:view(map:size()):argsort()
  local at, value, rank = order:totable(), values:totable(), {}
  local first = 1
  for k = 1, #at do
    if value[k + 1] ~= value[k] then
      for j = first, k do rank[math.floor(at[j])] = (first + k) / 2 end
      first = k + 1
    end
  end
  return rank
end


---The correlation of two lists of ranks, in doubles; 0 where one has no order.
local function correlation(a, b)
  local n, mean = #a, (#a + 1) / 2
  local ab, aa, bb = 0, 0, 0
  for k = 1, n do
    local x, y = a[k] - mean, b[k] - mean
    ab, aa, bb = ab + x * y, aa + x * x, bb + y * y
  end
  return aa > 0 and bb > 0 and ab / math.sqrt(aa * bb) or 0
end


---Spearman's rank correlation of two maps (Spearman 1904; of maps, Adebayo et al. 2018,
---"Sanity checks for saliency maps"): from -1 to 1; 1 where both put the pixels in the
---same order, whatever their scales. Equal values share a rank; a map that is the same
---everywhere has no order and gets 0.
---Caveat: all pixels count alike: of maps that are nearly 0 at most places, the order
---  there decides.
---Example:
---  local a = lu.tensor { { 1, 2 }, { 3, 4 } }
---  print((lu.metrics.spearman(a, a * a))) -- 1
return metric {
  name = "spearman", needs = "map", title = "Spearman",
  value = function(map, other)
    return correlation(ranks(map), ranks(other:clone()))
  end,
}
