---Methods of tensors that are combinations of operators, added to the class once.
local core = require "lunette.core"
local shapes = require "lunette.base.shapes"

local M = core.methods


---Per sample (a - min) / (max - min + eps) over all but the first dimension.
---@param eps? number  1e-7 (Keras' epsilon, as tf-keras-vis)
---@return lunette.Tensor
function M.normalize(t, eps)
  local n, shape = t:dim(1), t:shape()
  local flat = t:reshape { shape = { n, t:size() // n } }
  local lo = flat:min { dims = { 2 }, keepdims = true }
  local hi = flat:max { dims = { 2 }, keepdims = true }
  local scaled = (flat - lo) / (hi - lo + (eps or 1e-7))
  return scaled:reshape { shape = shape }
end


---Bilinear (default), nearest or bicubic resize of (N,C,H,W) or (N,H,W).
---@param h integer
---@param w integer
---@param opts? { mode?: string, align_corners?: boolean }
---@return lunette.Tensor
function M.resize(t, h, w, opts)
  opts = opts or {}
  local modes = { nearest = 0, bilinear = 1, bicubic = 2 }
  local mode = modes[opts.mode or "bilinear"]
  if not mode then error("resize: no mode '" .. tostring(opts.mode) .. "'", 2) end
  local x, flat = t, t:dim() == 3
  if flat then x = t:reshape { shape = { t:dim(1), 1, t:dim(2), t:dim(3) } } end
  local y = x:interpolate { size = { h, w }, mode = mode,
                            align_corners = opts.align_corners and 1 or 0 }
  return flat and y:reshape { shape = { t:dim(1), h, w } } or y
end


---A dimension from 1, or from the end when it is negative.
local function dimension(what, t, d)
  if math.type(d) ~= "integer" or d == 0 or math.abs(d) > t:dim() then
    error(("%s: dimension %s of a tensor %s"):format(what, tostring(d),
          shapes.text(t)), 3)
  end
  return d < 0 and t:dim() + 1 + d or d
end


---`t` as rows along dimension d: (M, n), and the shape of what is left.
local function rows_along(t, d)
  local order, left = {}, {}
  for i = 1, t:dim() do
    if i ~= d then order[#order + 1], left[#left + 1] = i, t:dim(i) end
  end
  order[#order + 1] = d
  local n = t:dim(d)
  return t:detach():permute { dims = order }:reshape { shape = { t:size() // n, n } },
         left
end


local function top_along(t, k, d)
  local rows, left = rows_along(t, d)
  k = math.min(k, rows:dim(2))
  local shape = { rows:dim(1), k }
  local values, indices = core.zeros(shape), core.zeros(shape)
  for i = 1, rows:dim(1) do
    local index, value = rows[i]:argsort()
    values[i], indices[i] = value:narrow(1, 1, k), index:narrow(1, 1, k)
  end
  -- the k best come last; they go back to where dimension d was
  local back, full = {}, { table.unpack(left) }
  full[#full + 1] = k
  for i = 1, #full do back[i] = i < d and i or i == d and #full or i - 1 end
  local function placed(x)
    return x:reshape { shape = full }:permute { dims = back }
  end
  return placed(values), placed(indices)
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
    error("top: how many is a whole number from 1, not " .. tostring(k), 2)
  end
  if d then return top_along(t, k, dimension("top", t, d)) end
  local index, value = t:argsort()
  local values, indices = {}, {}
  for i = 1, math.min(k, #index) do
    values[i], indices[i] = value[i], math.floor(index[i])
  end
  return values, indices
end


local argmax_of_all = M.argmax

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
  if d == nil then return argmax_of_all(t) end
  d = dimension("argmax", t, d)
  if t:dim() == 1 then return argmax_of_all(t) end
  local values, indices = top_along(t, 1, d)
  local left = select(2, rows_along(t, d))
  return indices:reshape { shape = left }, values:reshape { shape = left }
end


---Relative L2 distance ||a-b|| / ||b|| (b is the reference; 0/0 is 0).
---@param b lunette.Tensor   of the same size
---@return number
function M.distance(a, b)
  local d = (a:view(a:size()) - b:view(b:size())):stats().l2
  local norm = b:stats().l2
  if norm == 0 then return d == 0 and 0 or math.huge end
  return d / norm
end

return M
