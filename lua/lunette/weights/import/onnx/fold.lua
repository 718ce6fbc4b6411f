---Arithmetic on constants: what exporters write to compute shapes, and the small
---tensors between weights and layers. A constant is { shape =, data = flat list,
---whole = is it of integers }; dimensions are ONNX's, of Lua's lists.
local M = {}

local MOST = 2 ^ 20 -- numbers of a folded constant


local function product(shape)
  local n = 1
  for _, d in ipairs(shape) do n = n * d end
  return n
end
M.product = product


function M.make(shape, data, whole)
  return { const = true, shape = shape, data = data, whole = whole }
end


local function bounded(shape, what)
  local n = 1
  for _, d in ipairs(shape) do
    if d < 0 or d > MOST then n = math.huge else n = n * d end
  end
  if n > MOST then
    error(("%s would have more than %d numbers"):format(what or "a constant", MOST), 0)
  end
  return n
end
M.bounded = bounded


---Which numbers a step along each dimension passes.
local function strides(shape)
  local s, n = {}, 1
  for i = #shape, 1, -1 do s[i], n = n, n * shape[i] end
  return s
end


---The shape that two broadcast to.
local function broadcast_shape(a, b)
  local out, n = {}, math.max(#a, #b)
  for i = 1, n do
    local x, y = a[#a - n + i] or 1, b[#b - n + i] or 1
    if x ~= y and x ~= 1 and y ~= 1 then
      error(("shapes (%s) and (%s) do not broadcast"):format(table.concat(a, ","),
            table.concat(b, ",")), 0)
    end
    out[i] = x == 1 and y or x
  end
  return out
end
M.broadcast_shape = broadcast_shape


---Calls f for every place of `shape`, in order, with its index (from 0).
local function places(shape, f)
  local n, index = product(shape), {}
  for i = 1, #shape do index[i] = 0 end
  for _ = 1, n do
    f(index)
    for d = #shape, 1, -1 do
      index[d] = index[d] + 1
      if index[d] < shape[d] then break end
      index[d] = 0
    end
  end
end


---A constant's values spread over a larger shape.
local function spread(c, shape)
  if product(c.shape) == 1 then
    local list = {}
    for i = 1, product(shape) do list[i] = c.data[1] end
    return list
  end
  local s, skip, list = strides(c.shape), #shape - #c.shape, {}
  places(shape, function(index)
    local at = 1
    for i, d in ipairs(c.shape) do
      if d ~= 1 then at = at + index[skip + i] * s[i] end
    end
    list[#list + 1] = c.data[at]
  end)
  return list
end


local function binary(f)
  return function(a, b)
    local shape = broadcast_shape(a.shape, b.shape)
    bounded(shape)
    local x, y, out = spread(a, shape), spread(b, shape), {}
    local whole = a.whole and b.whole
    for i = 1, #x do out[i] = f(x[i], y[i], whole) end
    return M.make(shape, out, whole)
  end
end


local function unary(f)
  return function(a)
    local out = {}
    for i, v in ipairs(a.data) do out[i] = f(v) end
    return M.make(a.shape, out, a.whole)
  end
end


local function divisor(b)
  if b == 0 then error("division by 0", 0) end
  return b
end


local function truncated(a, b, whole)
  if not whole then return a / b end
  local q = a // divisor(b)
  return q < 0 and q * b ~= a and q + 1 or q
end


---math.max or math.min of two numbers; NaN where either is.
local function extreme(f)
  return function(a, b)
    if a ~= a or b ~= b then return 0 / 0 end
    return f(a, b)
  end
end


local larger, smaller = extreme(math.max), extreme(math.min)
M.larger, M.smaller = larger, smaller


---tanh, of |v| so that the exponential stays finite.
local function tanh(v)
  local e = math.exp(-2 * math.abs(v))
  local t = (1 - e) / (1 + e)
  return v < 0 and -t or t
end


local function truth(v) return v and 1 or 0 end

M.Add = binary(function(a, b) return a + b end)
M.Sub = binary(function(a, b) return a - b end)
M.Mul = binary(function(a, b) return a * b end)
M.Div = binary(truncated)
M.Pow = binary(function(a, b, whole)
  return whole and b >= 0 and math.tointeger(a ^ b) or a ^ b
end)
M.Max = binary(larger)
M.Min = binary(smaller)
M.Mod = binary(function(a, b, whole) return whole and a % divisor(b) or a % b end)
---The remainder with the sign of the dividend (Mod of fmod 1).
M.Fmod = binary(function(a, b, whole)
  return math.fmod(a, whole and divisor(b) or b)
end)
M.Equal = binary(function(a, b) return truth(a == b) end)
M.Greater = binary(function(a, b) return truth(a > b) end)
M.Less = binary(function(a, b) return truth(a < b) end)
M.And = binary(function(a, b) return truth(a ~= 0 and b ~= 0) end)
M.Or = binary(function(a, b) return truth(a ~= 0 or b ~= 0) end)
M.Not = unary(function(v) return truth(v == 0) end)
M.Neg = unary(function(v) return -v end)
M.Abs = unary(math.abs)
M.Sqrt = unary(function(v) return v ^ 0.5 end)
M.Exp = unary(math.exp)
M.Log = unary(math.log)
M.Reciprocal = unary(function(v) return 1 / v end)
M.Floor = unary(function(v) return math.floor(v) end)
M.Ceil = unary(function(v) return math.ceil(v) end)
M.Sigmoid = unary(function(v) return 1 / (1 + math.exp(-v)) end)
M.Relu = unary(function(v) return larger(v, 0) end)
M.Tanh = unary(tanh)


---Elements of a slice of n: the first (from 0), how many. Ends beyond are clamped.
---@param step integer   below 0: backwards
function M.slice(from, to, n, step)
  if step == 0 then error("a step of 0", 0) end
  local function clamp(p, lo, hi)
    p = p < 0 and math.max(-1, p + n) or p
    return math.max(lo, math.min(hi, p))
  end
  from = clamp(from, 0, step > 0 and n or n - 1)
  to = clamp(to, step > 0 and 0 or -1, n)
  local count = step > 0 and -(-(to - from) // step) or -(-(from - to) // -step)
  return math.tointeger(from), math.tointeger(math.max(0, count))
end


---Elements of `c` chosen by f(index) -> index within it, over a new shape.
function M.pick(c, shape, f)
  bounded(shape)
  local s, out = strides(c.shape), {}
  places(shape, function(index)
    local from, at = f(index), 1
    for i = 1, #c.shape do at = at + from[i] * s[i] end
    out[#out + 1] = c.data[at]
  end)
  return M.make(shape, out, c.whole)
end


function M.transpose(c, perm) -- perm from 1
  local shape = {}
  for i, p in ipairs(perm) do shape[i] = c.shape[p] end
  return M.pick(c, shape, function(index)
    local from = {}
    for i, p in ipairs(perm) do from[p] = index[i] end
    return from
  end)
end


function M.expand(c, shape)
  shape = broadcast_shape(c.shape, shape)
  bounded(shape)
  return M.make(shape, spread(c, shape), c.whole)
end


---Values along the flagged dimensions made one by f, which begins with `first`.
---@param mean? boolean   divided by their number
function M.reduce(c, flags, keep, f, first, mean)
  local kept, shape, of = {}, {}, strides(c.shape)
  for d, n in ipairs(c.shape) do
    kept[d] = flags[d] and 1 or n
    if keep or not flags[d] then shape[#shape + 1] = kept[d] end
  end
  local to, out = strides(kept), {}
  for i = 1, product(kept) do out[i] = first end
  places(c.shape, function(index)
    local from, at = 1, 1
    for d, i in ipairs(index) do
      from = from + i * of[d]
      at = at + (flags[d] and 0 or i * to[d])
    end
    out[at] = f(out[at], c.data[from])
  end)
  local count = product(c.shape) // math.max(1, #out)
  for i = 1, mean and #out or 0 do
    out[i] = c.whole and truncated(out[i], count, true) or out[i] / count
  end
  return M.make(shape, out, c.whole)
end


function M.where(c, a, b)
  local shape = broadcast_shape(broadcast_shape(c.shape, a.shape), b.shape)
  bounded(shape)
  local p, x, y, out = spread(c, shape), spread(a, shape), spread(b, shape), {}
  for i = 1, #p do out[i] = p[i] ~= 0 and x[i] or y[i] end
  return M.make(shape, out, a.whole and b.whole)
end


function M.concat(list, axis) -- axis from 1
  local shape = { table.unpack(list[1].shape) }
  for i = 2, #list do shape[axis] = shape[axis] + list[i].shape[axis] end
  bounded(shape)
  local inner, outer, out = 1, 1, {}
  for i = axis + 1, #shape do inner = inner * shape[i] end
  for i = 1, axis - 1 do outer = outer * shape[i] end
  for o = 0, outer - 1 do
    for _, c in ipairs(list) do
      local n = c.shape[axis] * inner
      table.move(c.data, o * n + 1, o * n + n, #out + 1, out)
    end
  end
  return M.make(shape, out, list[1].whole)
end

return M
