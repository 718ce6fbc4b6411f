---The rank of every value, from 1, the largest first; equal ones share their mean rank.
local function ranks(t)
  local order, values = t:detach():view(t:size()):argsort()
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


---Spearman's correlation of the values of two tensors, in doubles.
---@param a lunette.Tensor
---@param b lunette.Tensor   of the same size
---@return number
return function(a, b) return correlation(ranks(a), ranks(b)) end
