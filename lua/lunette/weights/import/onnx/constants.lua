---Operators on constants, which exporters write to compute shapes: each takes the
---node's attributes and its inputs, constants whose numbers are known, and gives a
---constant.
local fold = require "lunette.weights.import.onnx.fold"

local M = {}


for _, op in ipairs { "Add", "Sub", "Mul", "Div", "Pow", "Equal", "Greater", "Less",
                      "And", "Or" } do
  M[op] = function(_, x) return fold[op](x[1], x[2]) end
end

for _, op in ipairs { "Not", "Neg", "Abs", "Sqrt", "Exp", "Log", "Reciprocal", "Floor",
                      "Ceil", "Sigmoid", "Relu", "Tanh" } do
  M[op] = function(_, x) return fold[op](x[1]) end
end

for op, f in pairs { Max = "Max", Min = "Min", Sum = "Add" } do
  M[op] = function(_, x)
    local y = x[1]
    for i = 2, #x do y = fold[f](y, x[i]) end
    return y
  end
end


local function one(attrs, key, default)
  local a = attrs[key]
  return a and tonumber(a[1]) or default
end


function M.Mod(attrs, x)
  return fold[one(attrs, "fmod", 0) ~= 0 and "Fmod" or "Mod"](x[1], x[2])
end


local function list(attrs, key)
  local a, out = attrs[key], nil
  if a then
    out = {}
    for i, v in ipairs(a) do out[i] = tonumber(v) end
  end
  return out
end


local function axis_of(a, rank)
  a = a < 0 and a + rank or a
  if a < 0 or a >= rank then error(("axis %d of %d dimensions"):format(a, rank), 0) end
  return math.tointeger(a) + 1
end


-- reductions: f(sum so far, value), what they begin with, whether a mean is made of it
for op, row in pairs {
  ReduceSum = { function(a, v) return a + v end, 0 },
  ReduceMean = { function(a, v) return a + v end, 0, true },
  ReduceProd = { function(a, v) return a * v end, 1 },
  ReduceMax = { fold.larger, -math.huge }, ReduceMin = { fold.smaller, math.huge },
} do
  M[op] = function(attrs, x)
    local c, flags = x[1], {}
    local axes = x[2] and x[2].data or list(attrs, "axes") or {}
    if #axes == 0 and one(attrs, "noop_with_empty_axes", 0) ~= 0 then return c end
    for d = 1, #c.shape do flags[d] = #axes == 0 end
    for _, a in ipairs(axes) do flags[axis_of(a, #c.shape)] = true end
    return fold.reduce(c, flags, one(attrs, "keepdims", 1) ~= 0, table.unpack(row))
  end
end


M.Identity = function(_, x) return x[1] end
M.Dropout = M.Identity


---Types of Cast that keep fractions: float, float16, double, bfloat16.
local fractions = { [1] = true, [10] = true, [11] = true, [16] = true }


local function to_truth(v) return v ~= 0 and 1 or 0 end


local function to_whole(v)
  return math.tointeger(v < 0 and math.ceil(v) or math.floor(v))
    or error(("%s has no integer"):format(v ~= v and "NaN" or v), 0)
end


function M.Cast(attrs, x)
  local to = math.tointeger(one(attrs, "to"))
  local f = to == 9 and to_truth or not fractions[to] and to_whole
  local out = {}
  for i, v in ipairs(x[1].data) do out[i] = f and f(v) or v end
  return fold.make(x[1].shape, out, not fractions[to])
end


function M.Gather(attrs, x)
  local c, index = x[1], x[2]
  local axis = axis_of(one(attrs, "axis", 0), #c.shape)
  local shape, n = {}, c.shape[axis]
  for i = 1, axis - 1 do shape[i] = c.shape[i] end
  for _, d in ipairs(index.shape) do shape[#shape + 1] = d end
  for i = axis + 1, #c.shape do shape[#shape + 1] = c.shape[i] end
  local many, at = #index.shape, 0
  local lists = {}
  for i, k in ipairs(index.data) do
    local p = k < 0 and k + n or k
    if p < 0 or p >= n then error(("index %d of %d"):format(k, n), 0) end
    lists[i] = p
  end
  local strides, s = {}, 1
  for i = many, 1, -1 do strides[i], s = s, s * index.shape[i] end
  return fold.pick(c, shape, function(place)
    local from = {}
    at = 1
    for i = 1, many do at = at + place[axis - 1 + i] * strides[i] end
    for i = 1, axis - 1 do from[i] = place[i] end
    from[axis] = lists[at]
    for i = axis + 1, #c.shape do from[i] = place[i - 1 + many] end
    return from
  end)
end


function M.Slice(attrs, x)
  local c = x[1]
  local starts, ends, axes, steps = list(attrs, "starts"), list(attrs, "ends"),
                                    list(attrs, "axes"), nil
  if x[2] then
    starts, ends = x[2].data, x[3].data
    axes, steps = x[4] and x[4].data, x[5] and x[5].data
  end
  local first, step, shape = {}, {}, { table.unpack(c.shape) }
  for i = 1, #shape do first[i], step[i] = 0, 1 end
  for i, s in ipairs(starts) do
    local a = axis_of(axes and axes[i] or i - 1, #shape)
    step[a] = steps and steps[i] or 1
    first[a], shape[a] = fold.slice(s, ends[i], c.shape[a], step[a])
  end
  return fold.pick(c, shape, function(place)
    local from = {}
    for i = 1, #shape do from[i] = first[i] + place[i] * step[i] end
    return from
  end)
end


---Where the place number p of the indices begins, in slices of the data.
local function slice_at(c, index, depth, p)
  local at = 0
  for d = 1, depth do
    local i = index.data[p * depth + d]
    i = i < 0 and i + c.shape[d] or i
    if i < 0 or i >= c.shape[d] then
      error(("index %d of %d"):format(i, c.shape[d]), 0)
    end
    at = at * c.shape[d] + math.tointeger(i)
  end
  return at
end


---Slices of the data at the places that the indices' last dimension names, replaced by
---the updates, in order.
function M.ScatterND(attrs, x)
  local c, index, update = x[1], x[2], x[3]
  if attrs.reduction and attrs.reduction[1] ~= "none" then
    error(("reduction %s"):format(attrs.reduction[1]), 0)
  end
  local depth = index.shape[#index.shape] or 0
  if depth < 1 or depth > #c.shape then
    error(("indices of %d numbers for %d dimensions"):format(depth, #c.shape), 0)
  end
  local size = fold.product { table.unpack(c.shape, depth + 1) }
  local places = #index.data // depth
  if #update.data ~= places * size then
    error(("%d updates for %d places"):format(#update.data, places * size), 0)
  end
  local out = table.move(c.data, 1, #c.data, 1, {})
  for p = 0, places - 1 do
    table.move(update.data, p * size + 1, (p + 1) * size,
               slice_at(c, index, depth, p) * size + 1, out)
  end
  return fold.make(c.shape, out, c.whole)
end


function M.Concat(attrs, x)
  return fold.concat(x, axis_of(one(attrs, "axis", 0), #x[1].shape))
end


function M.Unsqueeze(attrs, x)
  local axes = x[2] and x[2].data or list(attrs, "axes")
  local rank, new, shape, at = #x[1].shape + #axes, {}, {}, 0
  for _, a in ipairs(axes) do new[axis_of(a, rank)] = true end
  for i = 1, rank do
    if not new[i] then at = at + 1 end
    shape[i] = new[i] and 1 or x[1].shape[at]
  end
  return fold.make(shape, x[1].data, x[1].whole)
end


function M.Squeeze(attrs, x)
  local axes, gone = x[2] and x[2].data or list(attrs, "axes"), {}
  for i, d in ipairs(axes and {} or x[1].shape) do gone[i] = d == 1 end
  for _, a in ipairs(axes or {}) do gone[axis_of(a, #x[1].shape)] = true end
  local shape = {}
  for i, d in ipairs(x[1].shape) do if not gone[i] then shape[#shape + 1] = d end end
  return fold.make(shape, x[1].data, x[1].whole)
end


---The shape that Reshape asks for.
---@param want integer[]   0: as it was; -1: what is left
---@param old integer[]
---@param zero? boolean    0 is a real 0
function M.shape_of(want, old, zero)
  local shape, free, n = {}, nil, 1
  for i, d in ipairs(want) do
    if d == 0 and not zero then d = old[i] end
    if d == -1 then free = i else n = n * d end
    shape[i] = d
  end
  if free then shape[free] = n > 0 and fold.product(old) // n or 0 end
  if fold.product(shape) ~= fold.product(old) then
    error(("%d numbers do not make (%s)"):format(fold.product(old),
          table.concat(shape, ", ")), 0)
  end
  return shape
end


function M.Reshape(attrs, x)
  local want = x[2] and x[2].data or list(attrs, "shape")
  local shape = M.shape_of(want, x[1].shape, one(attrs, "allowzero", 0) ~= 0)
  return fold.make(shape, x[1].data, x[1].whole)
end


function M.Transpose(attrs, x)
  local perm, given = {}, list(attrs, "perm")
  for i = 1, #x[1].shape do perm[i] = given and given[i] + 1 or #x[1].shape + 1 - i end
  return fold.transpose(x[1], perm)
end


function M.Flatten(attrs, x)
  local c, axis = x[1], one(attrs, "axis", 1)
  axis = axis < 0 and axis + #c.shape or axis
  local head = fold.product { table.unpack(c.shape, 1, axis) }
  local tail = fold.product { table.unpack(c.shape, axis + 1) }
  return fold.make({ head, tail }, c.data, c.whole)
end


---Parts one after the other along an axis; of nothing, parts of nothing.
function M.Split(attrs, x)
  local c, sizes = x[1], x[2] and x[2].data or list(attrs, "split")
  if not sizes then error("equal parts of a constant are not supported", 0) end
  local axis, at, parts = axis_of(one(attrs, "axis", 0), #c.shape), 0, {}
  for i, size in ipairs(sizes) do
    local shape, from = { table.unpack(c.shape) }, at
    shape[axis], at = size, at + size
    if at > c.shape[axis] then error(("parts of %d"):format(c.shape[axis]), 0) end
    parts[i] = fold.pick(c, shape, function(place)
      local source = { table.unpack(place) }
      source[axis] = place[axis] + from
      return source
    end)
  end
  return table.unpack(parts)
end


function M.Tile(_, x)
  local c, shape = x[1], {}
  for i, d in ipairs(c.shape) do shape[i] = d * x[2].data[i] end
  return fold.pick(c, shape, function(place)
    local source = {}
    for i, at in ipairs(place) do source[i] = at % c.shape[i] end
    return source
  end)
end


function M.Range(_, x)
  local from, to, step = x[1].data[1], x[2].data[1], x[3].data[1]
  if step == 0 then error("a step of 0", 0) end
  fold.bounded { math.max(0, math.ceil((to - from) / step)) }
  local out = {}
  for v = from, to - (step > 0 and 1e-9 or -1e-9), step do out[#out + 1] = v end
  return fold.make({ #out }, out, x[1].whole)
end


local MOST_SAME = 2 ^ 28 -- numbers that are all one value

---A weight that is one value everywhere, which is not written out; nil: it is small.
local function all_same(shape, value)
  local n = 1.0
  for _, d in ipairs(shape) do n = n * d end
  if n <= 2 ^ 12 or n > MOST_SAME or value.whole then return nil end
  for _, d in ipairs(shape) do if d < 1 then return nil end end
  return { const = true, shape = { table.unpack(shape) }, same = value.data[1] }
end


function M.ConstantOfShape(attrs, x, tensor)
  local shape, out = x[1].data, {}
  local value = attrs.value and tensor(attrs.value[1]) or fold.make({ 1 }, { 0.0 })
  local large = all_same(shape, value)
  if large then return large end
  local n = fold.bounded(shape)
  for i = 1, n do out[i] = value.data[1] end
  return fold.make({ table.unpack(shape) }, out, value.whole)
end


function M.Where(_, x) return fold.where(x[1], x[2], x[3]) end


function M.Expand(_, x)
  local one_value = fold.product(x[1].shape) == 1
  return one_value and all_same(x[2].data, x[1]) or fold.expand(x[1], x[2].data)
end


function M.Constant(attrs, _, tensor)
  if attrs.value then return tensor(attrs.value[1]) end
  for _, key in ipairs { "value_float", "value_int", "value_floats", "value_ints" } do
    local data = list(attrs, key)
    if data then
      return fold.make(key:find "s$" and { #data } or {}, data, key:find "int" ~= nil)
    end
  end
  error("its value is of a kind that is not supported", 0)
end

return M
