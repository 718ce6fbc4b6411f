---Which dimensions a method of tensors works along: counted from 1, from the end when
---negative, one or a list, or "sample" (all but the first: each picture by itself).
local blame = require "lunette.base.blame"
local shapes = require "lunette.base.shapes"

local M = {}


---One dimension.
---@param what string   the method, for messages
---@param t lunette.Tensor
---@param d any
---@return integer
function M.one(what, t, d)
  if math.type(d) ~= "integer" or d == 0 or math.abs(d) > t:dim() then
    blame(("%s: dimension %s of a tensor %s; dimensions count from 1, from the end "
           .. "when negative"):format(what, tostring(d), shapes.text(t)))
  end
  return d < 0 and t:dim() + 1 + d or d
end


---A sorted list of dimensions; nil: all of them.
---@param what string
---@param t lunette.Tensor
---@param d? integer|integer[]|"sample"
---@return integer[]
function M.list(what, t, d)
  local list, seen = {}, {}
  if d == nil or d == "sample" then
    for i = d and 2 or 1, t:dim() do list[#list + 1] = i end
    return list
  end
  for _, one in ipairs(type(d) == "table" and d or { d }) do
    one = M.one(what, t, one)
    if seen[one] then
      blame(("%s: dimension %d stands there twice"):format(what, one))
    end
    seen[one], list[#list + 1] = true, one
  end
  table.sort(list)
  return list
end


---The tensor as rows (M,n) along dimension d, on its tape; `back` makes a tensor of
---rows (M,k) one of t's shape with k in dimension d's place.
---@param t lunette.Tensor
---@param d integer
---@return lunette.Tensor rows, fun(r: lunette.Tensor): lunette.Tensor back
function M.rows(t, d)
  local nd, n, order, back, left = t:dim(), t:dim(d), {}, {}, {}
  for i = 1, nd do
    if i ~= d then order[#order + 1], left[#left + 1] = i, t:dim(i) end
  end
  order[nd] = d
  for i = 1, nd do back[i] = i < d and i or i == d and nd or i - 1 end
  local rows = d == nd and t or t:permute { dims = order }
  return rows:reshape { shape = { n > 0 and t:size() // n or 0, n } }, function(r)
    local full = { table.unpack(left) }
    full[nd] = r:dim(2)
    local x = r:reshape { shape = full }
    return d == nd and x or x:permute { dims = back }
  end
end

return M
