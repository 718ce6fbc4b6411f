---Subsets of a picture's values, drawn at random or in the order of a map; their masks,
---and a map's sums over them.
local core = require "lunette.core"

local M = {}


---`count` random subsets of `size` of `n` values: indices from 1, one a row.
---@param seed integer
---@param count integer
---@param size integer
---@param n integer
---@return number[][]
function M.random(seed, count, size, n)
  local list = {}
  for k = 1, count do
    local order = core.uniform(seed, k, n):argsort():totable()
    list[k] = table.move(order, 1, math.min(size, n), 1, {})
  end
  return list
end


---The values of a map in its order, `size` after `size`: those of the largest first.
---@param map lunette.Tensor
---@param size integer
---@return number[][]
function M.in_order(map, size)
  local order, list = map:view(map:size()):argsort():totable(), {}
  for first = 1, #order, size do
    local last = math.min(first + size - 1, #order)
    list[#list + 1] = table.move(order, first, last, 1, {})
  end
  return list
end


---Subsets that a caller gives: indices from 0, one subset a row.
---@param what string
---@param given lunette.Tensor   (runs, size)
---@param n integer              values of the picture
---@return number[][]            from 1
function M.given(what, given, n)
  local ok = require("lunette.base.options").is_tensor(given) and given:dim() == 2
  local s = ok and given:stats()
  if not ok or s.min < 0 or s.max >= n then
    local got = s and (", got %g to %g"):format(s.min, s.max) or ""
    error(("%s: subsets are a tensor (runs, size) of indices from 0 to %d%s"):format(
          what, n - 1, got), 0)
  end
  return (given + 1):totable()
end


---Masks that are 0 on a subset and 1 elsewhere, of the picture's shape.
---@param list number[][]
---@param shape integer[]   (C,H,W)
---@return lunette.Masks
function M.masks(list, shape)
  local n = shape[1] * shape[2] * shape[3]
  return { count = #list, get = function(first, k)
    local all = core.ones(k, n)
    for j = 1, k do
      local row = all[j]
      for _, at in ipairs(list[first + j - 1]) do row[math.floor(at)] = 0 end
    end
    return all:view(k, table.unpack(shape))
  end }
end


---The sums of a map over subsets.
---@param list number[][]
---@param map lunette.Tensor
---@return number[]
function M.sums(list, map)
  local values, sums = map:reshape { map:size() }:totable(), {}
  for k, one in ipairs(list) do
    local sum = 0
    for _, at in ipairs(one) do sum = sum + values[math.floor(at)] end
    sums[k] = sum
  end
  return sums
end

return M
