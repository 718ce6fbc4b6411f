---Which dimensions a method of tensors works along: counted from 1, from the end when
---negative, one or a list, or "sample" (all but the first: each picture by itself).
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local shapes = require "lunette.base.shapes"

local M = {}


---One dimension.
---@param what string   the method, for messages
---@param t lunette.Tensor
---@param d any
---@return integer
function M.one(what, t, d)
  if math.type(d) ~= "integer" or d == 0 or d > t:dim() or d < -t:dim() then
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


---The shape without the dimensions of `list`, or with 1 in their place; of none that is
---left { 1 }.
---@param t lunette.Tensor
---@param list integer[]
---@param keepdims? any
---@return integer[]
function M.reduced(t, list, keepdims)
  local gone, shape = {}, {}
  for _, d in ipairs(list) do gone[d] = true end
  for i, n in ipairs(t:shape()) do
    if not gone[i] then
      shape[#shape + 1] = n
    elseif keepdims then
      shape[#shape + 1] = 1
    end
  end
  return #shape > 0 and shape or { 1 }
end


---f(x), and 0 where x is 0. The gradient there is 0 too, whatever slope f has: that of
---a root at 0, which is infinite, would make NaN of it.
---@param x lunette.Tensor
---@param f fun(x: lunette.Tensor): lunette.Tensor   elementwise
---@return lunette.Tensor
function M.off_zero(x, f)
  local zero = x:detach():eq(0)
  return core.ops.where(zero, core.zeros(1),
                        f(core.ops.where(zero, core.ones(1), x)))
end


---The tensor as rows (M,n), on its tape: the dimensions of `list` are the columns, the
---others, in their order, the rows. `back` makes of one value a row (M,1) the shape
---that a reduction along `list` leaves.
---@param t lunette.Tensor
---@param list integer[]
---@param keepdims? any   for `back`
---@return lunette.Tensor rows, fun(r: lunette.Tensor): lunette.Tensor back
function M.fold(t, list, keepdims)
  local gone, order, n, moved = {}, {}, 1, false
  for _, d in ipairs(list) do gone[d], n = true, n * t:dim(d) end
  for d = 1, t:dim() do
    if not gone[d] then order[#order + 1] = d end
  end
  table.move(list, 1, #list, #order + 1, order)
  for i, d in ipairs(order) do moved = moved or i ~= d end
  local x = moved and t:permute { dims = order } or t
  local rows = x:reshape { shape = { n > 0 and t:size() // n or 0, n } }
  return rows, function(r)
    return r:reshape { shape = M.reduced(t, list, keepdims) }
  end
end


---The tensor as rows (M,n) along dimension d, on its tape; `back` makes a tensor of
---rows (M,k) one of t's shape with k in dimension d's place.
---@param t lunette.Tensor
---@param d integer
---@return lunette.Tensor rows, fun(r: lunette.Tensor): lunette.Tensor back
function M.rows(t, d)
  local nd, order = t:dim(), {}
  for i = 1, nd do order[i] = i < d and i or i == d and nd or i - 1 end
  return (M.fold(t, { d })), function(r)
    local shape = t:shape()
    table.insert(shape, table.remove(shape, d))
    shape[nd] = r:dim(2)
    local x = r:reshape { shape = shape }
    return d == nd and x or x:permute { dims = order }
  end
end

return M
