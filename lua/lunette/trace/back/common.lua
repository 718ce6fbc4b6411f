---Helpers of the gradient formulas. A node is { op =, inputs =, attrs =, output = };
---its values are tensors or tracing tensors, and every formula works on both.
local core = require "lunette.core"
local shapes = require "lunette.base.shapes"

local M = {}


---A dimension counted from 1, of one that may be counted from the end.
---@param d number
---@param nd integer   dimensions in all
---@return integer
function M.axis(d, nd) return math.tointeger(d < 0 and d + nd + 1 or d) end


---Have two values the same shape?
function M.same_shape(a, b) return shapes.same(a:shape(), b:shape()) end


---The gradient of an operand that was broadcast: g summed over the dimensions along
---which x was repeated.
---@param g lunette.Tensor   of the result
---@param x lunette.Tensor   the operand
---@return lunette.Tensor
function M.unbroadcast(g, x)
  if M.same_shape(g, x) then return g end
  local from, to, dims = g:shape(), x:shape(), {}
  local lead = #from - #to
  for d = 1, #from do
    if d <= lead or to[d - lead] == 1 and from[d] ~= 1 then dims[#dims + 1] = d end
  end
  return g:sum { dims = dims, keepdims = true }:reshape { shape = to }
end


---dy, broadcast to the shape of the reduction's input.
---@param n table
---@param dy lunette.Tensor
---@return lunette.Tensor
function M.spread(n, dy)
  local x = n.inputs[1]
  return M.kept(n, dy):expand { shape = x:shape() }
end


---The dimensions that a reduction reduces, as a set.
function M.reduced(n)
  local set, dims = {}, n.attrs.dims or {}
  local nd = n.inputs[1]:dim()
  for _, d in ipairs(dims) do set[M.axis(d, nd)] = true end
  for d = 1, #dims == 0 and nd or 0 do set[d] = true end
  return set
end


---The result of a reduction in the shape that keepdims = true gives.
function M.kept(n, y)
  local set, shape = M.reduced(n), n.inputs[1]:shape()
  for d in pairs(set) do shape[d] = 1 end
  return y:reshape { shape = shape }
end


---1 where x is the first along `dims` that equals the extreme y (1 long there), else 0.
---@param x lunette.Tensor
---@param y lunette.Tensor
---@param dims integer[]   sorted
---@return lunette.Tensor
function M.first_of(x, y, dims)
  local shape, count = {}, 1
  for d = 1, x:dim() do shape[d] = 1 end
  for _, d in ipairs(dims) do
    shape[d] = x:dim(d)
    count = count * shape[d]
  end
  local rank = core.range(-count, -1):reshape { shape = shape } * -1 -- count .. 1
  local met = x:eq(y) * rank
  return met:eq(met:max { dims = dims, keepdims = true }) * met:gt(0)
end


---dy times the transposed matrix of what an operator does along dimension d: `matrix`
---(n,m), row i what it makes of a picture that is 1 at i.
---@param dy lunette.Tensor
---@param d integer
---@param matrix lunette.Tensor   (n,m)
---@return lunette.Tensor
function M.along(dy, d, matrix)
  local nd, order = dy:dim(), {}
  for i = 1, nd do order[i] = i end
  order[d], order[nd] = nd, d
  local rows = d == nd and dy or dy:permute { dims = order }
  local shape = rows:shape()
  rows = rows:reshape { shape = { rows:size() // shape[nd], shape[nd] } }
  local y = core.ops.matmul(rows, matrix, { transpose_b = true })
  shape[nd] = matrix:dim(1)
  y = y:reshape { shape = shape }
  return d == nd and y or y:permute { dims = order }
end


---The two numbers of an attribute; `fallback` where it is not set.
function M.pair(attrs, key, fallback)
  local v = attrs[key]
  if type(v) == "number" then return math.tointeger(v), math.tointeger(v) end
  if not v or v[1] == nil then
    if type(fallback) == "table" then return fallback[1], fallback[2] end
    return fallback, fallback
  end
  return math.tointeger(v[1]), math.tointeger(v[2] or v[1])
end


---Padding before and after on both axes, of convolutions and poolings.
function M.padding(attrs)
  local top, left = M.pair(attrs, "padding", 0)
  local bottom, right = M.pair(attrs, "padding_end", { top, left })
  return { top, left }, { bottom, right }
end

---The mean over dimensions as a sum times 1 / n: a layer norm that a file has in pieces
---is one pass in runtimes as long as nothing else reads them, and equal nodes are one.
---@param t lunette.Traced
---@param dims integer[]
---@return lunette.Traced
function M.mean_apart(t, dims)
  local n = 1
  for _, d in ipairs(dims) do n = n * t:dim(d) end
  return t:sum { dims = dims, keepdims = true } * (1 / n)
end

return M
