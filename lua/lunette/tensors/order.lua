---Order and masks: sorting, the largest, positions, choosing by a condition. Indices
---count from 1. As everywhere in Lunette the largest comes first; `descending = false`
---is numpy's order. NaN comes last in both.
local blame = require "lunette.base.blame"
local brief = require("lunette.base.text").brief
local core = require "lunette.core"
local dims = require "lunette.tensors.dims"
local options = require "lunette.base.options"
local shapes = require "lunette.base.shapes"
local types = require "lunette.base.types"

local M = core.methods


---Positions (M,n) that sort every row.
local function positions(rows, descending)
  rows = rows:detach()
  local n = rows:dim(2)
  if rows:size() == 0 then return core.zeros(rows:shape()) end
  return (core.argsort(descending and rows or -rows, n)):view(rows:dim(1), n)
end


---Positions that sort, and the sorted values. Without a dimension all values are one
---row, and both results are flat.
---Example:
---  local lu = require "lunette"
---  local i, v = lu.tensor { 2, 9, 4 }:argsort()
---  assert(i[1] == 2 and v[1] == 9)
---@param d? integer                      from 1, or from the end when negative
---@param o? { descending?: boolean }     true
---@return lunette.Tensor index, lunette.Tensor values
function M.argsort(t, d, o)
  o = options.check("argsort", o, { descending = true })
  if d == nil and o.descending then return core.argsort(t) end
  local x = d == nil and t:reshape { shape = { t:size() } } or t
  local rows, back = dims.rows(x, dims.one("argsort", x, d or 1))
  local index = positions(rows, o.descending)
  return back(index), back(rows:gather(index, { dim = 2 }))
end


---The values in order along a dimension, and where they were. The values have a
---gradient.
---Example:
---  local lu = require "lunette"
---  print((lu.tensor { { 3, 1, 2 } }:sort(2, { descending = false })))
---@param d? integer                      the last
---@param o? { descending?: boolean }     true
---@return lunette.Tensor values, lunette.Tensor index
function M.sort(t, d, o)
  local index, values = M.argsort(t, d or -1, o)
  return values, index
end


---The k largest values and their flat indices from 1; along a dimension two tensors
---with k in its place. Class ids count from 0: `net:label(index - 1)`, or `run:top(k)`.
---Example:
---  local lu = require "lunette"
---  local t = lu.tensor { { 1, 3, 2 }, { 6, 5, 4 } }
---  local values, indices = t:top(2)
---  assert(values[1] == 6 and indices[1] == 4)
---  values, indices = t:top(2, 2) -- of every row
---  assert(values[1][1] == 3 and indices[1][1] == 2)
---@param k? integer   5
---@param d? integer   dimension, from 1, or from the end when negative; nil: all values
---@return number[]|lunette.Tensor values, integer[]|lunette.Tensor indices
function M.top(t, k, d)
  k = k or 5
  if math.type(k) ~= "integer" or k < 1 then
    blame("top: how many is a whole number from 1, not " .. brief(k))
  end
  if d then
    d = dims.one("top", t, d)
    local index, values = M.argsort(t, d)
    local most = math.min(k, t:dim(d))
    return values:narrow(d, 1, most), index:narrow(d, 1, most)
  end
  local index, value = core.argsort(t)
  local values, indices = {}, {}
  for i = 1, math.min(k, #index) do
    values[i], indices[i] = value[i], math.floor(index[i])
  end
  return values, indices
end


---Where an extreme is along d, and its value, both without that dimension.
local function extreme_along(what, t, d, sign)
  d = dims.one(what, t, d)
  if t:dim() == 1 then
    local i, v = core.argmax(sign < 0 and -t or t)
    return i, sign * v
  end
  local rows, back = dims.fold(t:detach(), { d })
  local index = positions(rows, sign > 0):narrow(2, 1, 1)
  return back(index), back(rows:gather(index, { dim = 2 }))
end


---Where the largest value is: its flat index from 1, and the value; along a dimension
---tensors of both without that dimension. Class ids count from 0: `run:top(1)`.
---Example:
---  local lu = require "lunette"
---  local t = lu.tensor { { 1, 3, 2 }, { 6, 5, 4 } }
---  assert(t:argmax() == 4)
---  assert(t:argmax(2)[1] == 2 and t:argmax(2)[2] == 1)
---@param d? integer   dimension, from 1, or from the end when negative
---@return integer|lunette.Tensor index, number|lunette.Tensor value
function M.argmax(t, d)
  if d == nil then return core.argmax(t) end
  return extreme_along("argmax", t, d, 1)
end


---Where the smallest value is; as `argmax` otherwise.
---@param d? integer
---@return integer|lunette.Tensor index, number|lunette.Tensor value
function M.argmin(t, d)
  if d ~= nil then return extreme_along("argmin", t, d, -1) end
  local index, value = core.argmax(-t)
  return index, -value
end


-- masks -----------------------------------------------------------------------------


---1 where a value is NaN, else 0.
---@return lunette.Tensor
function M.isnan(t) return t:detach():ne(t:detach()) end


---1 where a value is neither NaN nor infinite, else 0.
---@return lunette.Tensor
function M.isfinite(t)
  local x = t:detach()
  return (x - x):eq(0)
end


---The tensor with `value` where the mask is not 0.
---Example:
---  local lu = require "lunette"
---  local t = lu.tensor { 1, -2, 3 }
---  print(t:masked_fill(t:lt(0), 0))
---@param mask lunette.Tensor   of a shape that broadcasts to t's
---@param value number
---@return lunette.Tensor
function M.masked_fill(t, mask, value)
  if not types.is_tensor(mask) or type(value) ~= "number" then
    blame(("masked_fill: a mask and a number are expected, got %s and %s"):format(
          type(mask), type(value)))
  end
  return core.ops.where(mask, core.full(value, 1), t)
end


---Indices of the values that are not 0, one a row, in the tensor's order.
---@return lunette.Tensor   (n, dimensions)
function M.nonzero(t)
  local rows, shape = {}, t:shape()
  local count = t:size()
  local values = t:detach():view(math.max(count, 0))
  for flat = 1, count do
    if values[flat] ~= 0 then
      local row, rest = {}, flat - 1
      for d = #shape, 1, -1 do
        row[d] = rest % shape[d] + 1
        rest = rest // shape[d]
      end
      rows[#rows + 1] = row
    end
  end
  if #rows == 0 then return core.zeros(0, #shape) end
  return core.tensor(rows)
end


---The values where the mask is not 0, flat, in order.
---@param mask lunette.Tensor   of t's shape
---@return lunette.Tensor   (n)
function M.masked_select(t, mask)
  local is = types.is_tensor(mask)
  if not is or not shapes.same(t, mask) then
    blame(("masked_select: a mask %s for a tensor %s"):format(
          is and shapes.text(mask) or "that is a " .. type(mask), shapes.text(t)))
  end
  local at, list, n = mask:detach():view(mask:size()), {}, 0
  for i = 1, t:size() do
    if at[i] ~= 0 then n, list[n + 1] = n + 1, i end
  end
  if n == 0 then return core.zeros(0) end
  return t:reshape { shape = { t:size() } }:index_select(core.tensor(list), { dim = 1 })
end
