---Convolutions, dense layers, products of matrices, normalisation.
local common = require "lunette.trace.back.common"

local M = {}


---Are all numbers of a list this one?
local function all(list, value)
  for _, v in ipairs(list) do if v ~= value then return false end end
  return true
end


---Attributes of a convolution; those that are ONNX's defaults are left out, and, where
---it is no layer, the kernel's size, which its weight has.
---@param t lunette.Traced
---@return table
local function window(t)
  local before, after = common.padding(t.attrs)
  local w, given = t.inputs[2], {
    strides = { 1, { common.pair(t.attrs, "stride", 1) } },
    dilations = { 1, { common.pair(t.attrs, "dilation", 1) } },
    output_padding = { 0, { common.pair(t.attrs, "output_padding", 0) } },
    pads = { 0, { before[1], before[2], after[1], after[2] } } }
  local attrs, groups = {}, math.tointeger(t.attrs.groups)
  attrs.kernel_shape = t.label and { w:dim(3), w:dim(4) } or nil
  for key, g in pairs(given) do attrs[key] = not all(g[2], g[1]) and g[2] or nil end
  attrs.group = groups ~= 1 and groups or nil
  return attrs
end


local function convolution(name)
  return function(e, t, x)
    return e:out(name, { x[1], x[2], x[3] or nil }, window(t))
  end
end

M.conv2d, M.conv_transpose2d = convolution "Conv", convolution "ConvTranspose"


---A dense layer: Gemm on a matrix, MatMul and Add on tokens.
function M.linear(e, t, x)
  local transposed = t.attrs.weight_layout ~= "in_out"
  if t.inputs[1]:dim() == 2 then
    return e:out("Gemm", { x[1], x[2], x[3] or nil },
                 { transB = transposed and 1 or 0 })
  end
  local w = transposed and e:step("Transpose", { x[2] }, { perm = { 1, 0 } }) or x[2]
  if not x[3] then return e:out("MatMul", { x[1], w }) end
  return e:out("Add", { e:step("MatMul", { x[1], w }), x[3] })
end


---The value with its last two dimensions swapped.
local function swapped(e, t, x)
  local perm, nd = {}, t:dim()
  for i = 1, nd do perm[i] = i - 1 end
  perm[nd - 1], perm[nd] = nd - 1, nd - 2
  return e:step("Transpose", { x }, { perm = perm })
end


function M.matmul(e, t, x)
  local a, b = x[1], x[2]
  if t.attrs.transpose_a ~= 0 then a = swapped(e, t.inputs[1], a) end
  if t.attrs.transpose_b ~= 0 then b = swapped(e, t.inputs[2], b) end
  return e:out("MatMul", { a, b })
end


-- normalisation ----------------------------------------------------------------------


---A constant in place of a per-channel parameter that the layer lacks.
local function constant(e, t, value, word)
  return e:tensor(require("lunette.core").full(value, { t:dim(2) }), word)
end


function M.batch_norm(e, t, x)
  local v = t.inputs[1]
  return e:out("BatchNormalization", { x[1], x[4] or constant(e, v, 1, "scale"),
    x[5] or constant(e, v, 0, "shift"), x[2], x[3] }, { epsilon = t.attrs.eps + 0.0 })
end


---Sums over windows of `size` channels, `before` of which precede the channel.
local function neighbours(e, t, x, size, before)
  local pads, nd, c, sum = {}, t:dim(), t:dim(2), nil
  for d = 1, 2 * nd do pads[d] = 0 end
  pads[2], pads[nd + 2] = before, size - 1 - before
  local padded = e:step("Pad", { x, e:ints(pads) }, { mode = "constant" })
  for k = 0, size - 1 do
    local part = e:step("Slice", { padded, e:ints { k }, e:ints { k + c },
                                   e:ints { 1 } })
    sum = sum and e:step("Add", { sum, part }) or part
  end
  return sum
end


---Of an even size ONNX's window extends further behind the channel, ours further before
---it; such a layer is written in single operators.
function M.lrn(e, t, x)
  local o = t.attrs
  local size = math.tointeger(o.size)
  if size % 2 == 1 then
    return e:out("LRN", x, { size = size, alpha = o.alpha + 0.0, beta = o.beta + 0.0,
                             bias = o.k + 0.0 })
  end
  local sum = neighbours(e, t, e:step("Mul", { x[1], x[1] }), size, size // 2)
  local below = e:step("Add", { e:step("Mul", { sum, e:number(o.alpha / size) }),
                                e:number(o.k) })
  return e:out("Div", { x[1], e:step("Pow", { below, e:number(o.beta, true) }) })
end


---gamma or beta in a shape that broadcasts over dimensions `first` to `last`.
local function parameter(e, t, i, x, first, last)
  local shape, nd = {}, t.inputs[1]:dim()
  for d = first, nd do shape[#shape + 1] = d <= last and t.inputs[1]:dim(d) or 1 end
  if last == nd and t.inputs[i]:dim() == #shape then return x end
  return e:step("Reshape", { x, e:ints(shape) })
end


local function in_pieces(e, t, x, first, last)
  local axes = {}
  for d = first, last do axes[#axes + 1] = d - 1 end
  local count = 1
  for d = first, last do count = count * t.inputs[1]:dim(d) end
  local function mean(of)
    if not e.graph.original then
      return e:step("ReduceMean", { of }, { axes = axes, keepdims = 1 })
    end -- else it would be one with the file's own, see common.mean_apart
    local sum = e:step("ReduceSum", { of, e:ints(axes) }, { keepdims = 1 })
    return e:step("Mul", { sum, e:number(1 / count) })
  end
  local centred = e:step("Sub", { x[1], mean(x[1]) })
  local square = mean(e:step("Pow", { centred, e:number(2, true) }))
  local below = e:step("Sqrt", { e:step("Add", { square, e:number(t.attrs.eps) }) })
  local list = { x[2] and { "Mul", parameter(e, t, 2, x[2], first, last) },
                 x[3] and { "Add", parameter(e, t, 3, x[3], first, last) } }
  local y, op, by = centred, "Div", below
  for i = 1, 2 do
    if list[i] then
      y = e:step(op, { y, by })
      op, by = list[i][1], list[i][2]
    end
  end
  return e:out(op, { y, by })
end


---LayerNormalization (opset 17) where the last dimensions are normalised and scaled.
function M.layer_norm(e, t, x)
  local nd = t.inputs[1]:dim()
  local first = common.axis(t.attrs.dim, nd)
  local last = common.axis(t.attrs.last, nd)
  if last < nd or e.graph.opset < 17 or not x[2] then
    return in_pieces(e, t, x, first, last)
  end
  return e:out("LayerNormalization", { x[1], parameter(e, t, 2, x[2], first, last),
    x[3] and parameter(e, t, 3, x[3], first, last) or nil }, { axis = first - 1,
    epsilon = t.attrs.eps + 0.0 })
end


---Until opset 12 all dimensions from `axis` on were one.
local function softmax(name)
  return function(e, t, x)
    local d, nd = math.tointeger(t.attrs.dim), t:dim()
    d = d > 0 and d or d + nd + 1
    if e.graph.opset >= 13 or d == nd then return e:out(name, x, { axis = d - 1 }) end
    local perm = {}
    for i = 1, nd do perm[i] = i - 1 end
    perm[d], perm[nd] = nd - 1, d - 1
    local y = e:step(name, { e:step("Transpose", x, { perm = perm }) },
                     { axis = nd - 1 })
    return e:out("Transpose", { y }, { perm = perm })
  end
end

M.softmax, M.log_softmax = softmax "Softmax", softmax "LogSoftmax"

return M
