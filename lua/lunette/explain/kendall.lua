---Kendall's tau-b of two lists in n log n (Knight 1966): sorted by the first, the swaps
---that sorting by the second takes are the pairs in the other order.


---Pairs among equal values of a sorted list.
local function tied_pairs(list, same)
  local pairs_, first = 0, 1
  for k = 1, #list do
    if k == #list or not same(list[k], list[k + 1]) then
      local n = k - first + 1
      pairs_, first = pairs_ + n * (n - 1) // 2, k + 1
    end
  end
  return pairs_
end


---Sorts by merging; counts how many pairs stood the wrong way round.
local function count_swaps(list)
  local n, swaps, width = #list, 0, 1
  local from, to = list, {}
  while width < n do
    for low = 1, n, 2 * width do
      local i, middle = low, math.min(low + width, n + 1)
      local j, high = middle, math.min(low + 2 * width, n + 1)
      for k = low, high - 1 do
        if i < middle and (j >= high or from[i] <= from[j]) then
          to[k], i = from[i], i + 1
        else
          to[k], j = from[j], j + 1
          swaps = swaps + middle - i
        end
      end
    end
    from, to, width = to, from, 2 * width
  end
  return swaps, from
end


---@param a number[]
---@param b number[]   as many
---@return number      0 where one of them is constant
return function(a, b)
  local n, order = #a, {}
  for k = 1, n do order[k] = k end
  table.sort(order, function(i, j)
    if a[i] ~= a[j] then return a[i] < a[j] end
    return b[i] < b[j]
  end)
  local ties_a = tied_pairs(order, function(i, j) return a[i] == a[j] end)
  local both = tied_pairs(order, function(i, j)
    return a[i] == a[j] and b[i] == b[j]
  end)
  local second = {}
  for k, i in ipairs(order) do second[k] = b[i] end
  local swaps, sorted = count_swaps(second)
  local ties_b = tied_pairs(sorted, function(x, y) return x == y end)
  local all = n * (n - 1) // 2
  local sizes = ties_a == ties_b and all - ties_a -- no rounding where both tie alike
    or math.sqrt(all - ties_a) * math.sqrt(all - ties_b)
  return sizes > 0 and (all - ties_a - ties_b + both - 2 * swaps) / sizes or 0
end
