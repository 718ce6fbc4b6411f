---Convolutions, dense layers, normalisation.
local common = require "lunette.weights.import.onnx.operators.common"
local fold = require "lunette.weights.import.onnx.fold"

local attr = common.attr
local flag = common.flag
local axis_of = common.axis_of
local live = common.live
local pictures = common.pictures
local together = common.together
local constant = common.constant
local per_axis = common.per_axis
local padding = common.padding
local same = common.same

local M = {}


-- convolutions and dense layers ---------------------------------------------------


local function check_kernel(b, kernel, w)
  local given = attr(b, "kernel_shape", "I")
  if given and not same(given, kernel) then
    b:fail("kernel_shape %s, its weight has %s", table.concat(given, "x"),
           table.concat(kernel, "x"))
  end
  if fold.product(w.shape) == 0 then b:fail("a weight without numbers") end
end


---What both convolutions read: the map, the weight, and the attributes that both have.
local function convolved(b, x)
  local v, w = live(b, x, 1), constant(b, x, 2, "weight")
  if #w.shape ~= 4 then
    b:fail("a weight of %d dimensions; only pictures are convolved", #w.shape)
  end
  v = pictures(b, v)
  local c = { kernel = { w.shape[3], w.shape[4] }, groups = attr(b, "group", "i", 1),
              size = { v.shape[3], v.shape[4] } }
  check_kernel(b, c.kernel, w)
  c.stride = per_axis(b, "strides", 2, 1, 1)
  c.dilation = per_axis(b, "dilations", 2, 1, 1)
  if c.groups < 1 then b:fail("group %d", c.groups) end
  return v, w, c
end


---The layer, without the attributes that are its defaults.
local function convolution(b, x, kind, v, w, c)
  b:keep(b.own, "weight", w, w.shape)
  if x[3] then b:keep(b.own, "bias", constant(b, x, 3, "bias"), { c.filters }) end
  local o = { filters = c.filters, kernel = c.kernel }
  if not x[3] then o.bias = false end
  if c.groups ~= 1 then o.groups = c.groups end
  for _, key in ipairs { "stride", "dilation" } do
    if not same(c[key], { 1, 1 }) then o[key] = c[key] end
  end
  if c.more and not same(c.more, { 0, 0 }) then o.output_padding = c.more end
  local none = same(c.before, { 0, 0 }) and same(c.after, { 0, 0 })
  if not none then o.padding = c.before end
  if not same(c.before, c.after) then o.padding_end = c.after end
  return b:layer(kind, { v }, o)
end


function M.Conv(b, x)
  local v, w, c = convolved(b, x)
  c.before, c.after = padding(b, c.size, c.kernel, c.stride, c.dilation)
  if v.shape[2] ~= w.shape[2] * c.groups then
    b:fail("%d channels, its weight wants %d", v.shape[2], w.shape[2] * c.groups)
  end
  c.filters = w.shape[1]
  return convolution(b, x, "conv2d", v, w, c)
end


---Padding before and after and output padding of a transposed convolution: pads, or
---what output_shape or auto_pad make of the sizes.
local function transposed_padding(b, size, kernel, stride, dilation)
  local more = per_axis(b, "output_padding", 2, 0, 0)
  local wanted = attr(b, "output_shape", "I")
  local auto = attr(b, "auto_pad", "s", "NOTSET")
  local same_size = auto == "SAME_UPPER" or auto == "SAME_LOWER"
  if not wanted and not same_size then
    local before, after = padding(b, size, kernel, stride, dilation)
    return before, after, more
  end
  per_axis(b, "pads", 4, 0, 0)
  if wanted and #wanted ~= 2 then b:fail("output_shape has %d numbers", #wanted) end
  local before, after = {}, {}
  for i = 1, 2 do
    local out = wanted and wanted[i] or size[i] * stride[i]
    local total = stride[i] * (size[i] - 1) + more[i] + (kernel[i] - 1) * dilation[i]
                  + 1 - out
    if total < 0 then total, more[i] = 0, more[i] - total end
    local less = total // 2
    before[i] = auto == "SAME_UPPER" and less or total - less
    after[i] = total - before[i]
  end
  return before, after, more
end


function M.ConvTranspose(b, x)
  local v, w, c = convolved(b, x)
  c.before, c.after, c.more = transposed_padding(b, c.size, c.kernel, c.stride,
                                                 c.dilation)
  if v.shape[2] ~= w.shape[1] then
    b:fail("%d channels, its weight wants %d", v.shape[2], w.shape[1])
  end
  c.filters = w.shape[2] * c.groups
  return convolution(b, x, "conv_transpose2d", v, w, c)
end


---Does a value lie with ONNX's last dimension last, or as maps whose channels it is?
local function lies_as(v, order)
  for i, d in ipairs(order) do if v.order[i] ~= d then return false end end
  return #v.order == #order
end


---Are they maps whose channels ONNX sees last?
local function is_channels_last(v)
  return lies_as(v, { 1, 3, 4, 2 }) or lies_as(v, { 3, 4, 2 })
end


---A matrix (out,in) along ONNX's last dimension: a dense layer, on rows where there are
---more dimensions; of channels, wherever ONNX sees them, a convolution of 1x1.
local function dense(b, v, w, bias, own)
  local units, size = w.shape[1], w.shape[2]
  local name, has = own and b.own or b:free "dense", {}
  if not bias then has.bias = false end
  local maps = is_channels_last(v)
  b:keep(name, "weight", w, maps and { units, size, 1, 1 } or { units, size })
  if bias then b:keep(name, "bias", bias, { units }) end
  if maps then
    has.filters, has.kernel = units, { 1, 1 }
    return b:add(name, "conv2d", { v }, has, v.order)
  end
  local rank = #v.shape + (b.batched(v) and 0 or 1) -- of ours
  if v.order[#v.order] ~= rank then v = b:ordered(v) end
  has.units, has.rows = units, rank > 3 or nil
  return b:add(name, "linear", { v }, has, v.order)
end


---A bias that a dense layer can have itself.
local function is_vector(c, units)
  return c.const and fold.product(c.shape) == units
    and (#c.shape == 1 or #c.shape == 2 and c.shape[1] == 1)
end


---Gemm's input and matrix (out,in).
local function factors(b, x)
  local v, w = live(b, x, 1), constant(b, x, 2, "matrix")
  if flag(b, "transA") and #v.shape == 2 then
    v = { layer = v.layer, spec = v.spec, shape = { v.shape[2], v.shape[1] },
          order = { v.order[2], v.order[1] } }
  end
  if #w.shape ~= 2 or #v.shape ~= 2 then b:fail("its inputs are no matrices") end
  if not flag(b, "transB") then w = b:turn(w, { 2, 1 }) end
  if w.shape[2] ~= v.shape[2] then
    b:fail("%d numbers, its weight wants %d", v.shape[2], w.shape[2])
  end
  return v, w
end


---c times beta.
local function scaled(b, c, beta)
  if beta == 1 then return c end
  if not c.const then return b:step("beta", "mul", { c, beta }, nil, c.order) end
  if not c.data then b:fail("a large matrix is scaled by beta") end
  return fold.Mul(c, fold.make({}, { beta }))
end


function M.Gemm(b, x)
  if not x[2] then b:fail("it has 1 input, wants 2 or 3") end
  local alpha, beta = attr(b, "alpha", "f", 1), attr(b, "beta", "f", 1)
  attr(b, "broadcast", "i")
  local v, w = factors(b, x)
  local c = x[3]
  if alpha == 1 and beta == 1 and (not c or is_vector(c, w.shape[1])) then
    return dense(b, v, w, c, true)
  end
  local y = dense(b, v, w, nil)
  if alpha ~= 1 then y = b:step("alpha", "mul", { y, alpha }, nil, y.order) end
  if not c then return b:layer("identity", { y }, nil, y.order) end
  local list, order = together(b, { y, scaled(b, c, beta) })
  return b:layer("add", list, nil, order)
end


---The value with ONNX's last two dimensions swapped.
local function swapped(v)
  local shape, order, n = { table.unpack(v.shape) }, { table.unpack(v.order) }, #v.shape
  shape[n - 1], shape[n] = shape[n], shape[n - 1]
  order[n - 1], order[n] = order[n], order[n - 1]
  return { layer = v.layer, spec = v.spec, shape = shape, order = order }
end


---W x for matrices in the last two dimensions: (x' W')'.
local function of_matrices(b, w, v)
  local turned = b:ordered(swapped(v))
  local y = dense(b, turned, w, nil, true)
  return swapped(y)
end


---W x' = (x W')': exporters of column vectors.
local function from_left(b, x)
  local w, v = constant(b, x, 1, "matrix"), x[2]
  if #w.shape ~= 2 then b:fail("a constant times what depends on the picture") end
  if #v.shape > 2 and w.shape[2] == v.shape[#v.shape - 1] then
    return of_matrices(b, w, v)
  end
  if not same(v.order, { 2, 1 }) then
    b:fail("a constant times what depends on the picture")
  end
  if w.shape[2] ~= v.shape[1] then
    b:fail("%d numbers, its matrix wants %d", v.shape[1], w.shape[2])
  end
  local rows = { layer = v.layer, spec = v.spec, shape = { v.shape[2], v.shape[1] },
                 order = { 1, 2 } }
  local y = dense(b, rows, w, nil, true)
  return { layer = y.layer, spec = y.spec, shape = { w.shape[1], 1 }, order = { 2, 1 } }
end


---Times a constant that is no matrix, or whose numbers lie in another order.
local function times_constant(b, v, w)
  v = b:ordered(v)
  local shape = { table.unpack(w.shape) }
  if #shape == #v.shape and b.batched(v) and #shape > 2 then
    if shape[1] ~= 1 then b:fail("a constant differs between pictures") end
    table.remove(shape, 1)
  end
  b:keep(b.own, "weight", w, shape)
  return b:layer("matmul", { v, { param = "weight", shape = shape } })
end


---The product of two values. Of a right one whose last two dimensions lie the other way
---round (keys of attention) the rows are multiplied as they lie: sums are then those of
---the network that the file may have been exported from, to the bit.
local function of_two(b, v, w)
  local n, order, turned = #w.order, w.order, nil
  if n > 2 and b.batched(w) and order[1] == 1 and order[n - 1] > order[n] then
    turned = b.identity(n)
    turned[n - 1], turned[n] = n, n - 1
  end
  return b:layer("matmul", { b:ordered(v), b:ordered(w, turned) },
                 { transpose_b = turned and 1 or nil })
end


function M.MatMul(b, x)
  local v, w = x[1], x[2]
  if v.const then return from_left(b, x) end
  if not w.const then return of_two(b, v, w) end
  w = constant(b, x, 2, "matrix")
  local turned = #w.shape == 2 and #v.shape > 1 and b:turned(w, { 2, 1 })
  if not turned then return times_constant(b, v, w) end
  if w.shape[1] ~= v.shape[#v.shape] then
    b:fail("%d numbers, its matrix wants %d", v.shape[#v.shape], w.shape[1])
  end
  return dense(b, v, turned, nil, true)
end


-- normalisation ------------------------------------------------------------------


function M.BatchNormalization(b, x)
  local v = b:ordered(live(b, x, 1))
  attr(b, "momentum", "f")
  attr(b, "is_test", "i")
  attr(b, "consumed_inputs", "I")
  if attr(b, "spatial", "i", 1) ~= 1 then b:fail("spatial = 0 is not supported") end
  if attr(b, "training_mode", "i", 0) ~= 0 then b:fail("it is in training mode") end
  local c = { v.shape[2] }
  for i, key in ipairs { "weight", "bias", "running_mean", "running_var" } do
    local p = constant(b, x, i + 1, key)
    if fold.product(p.shape) ~= c[1] then
      b:fail("its %s has %d numbers, its input %d channels", key,
             fold.product(p.shape), c[1])
    end
    for _, n in ipairs(key == "running_var" and p.data or {}) do
      if n < 0 then b:fail("a variance is %g", n) end
    end
    b:keep(b.own, key, p, c)
  end
  return b:layer("batch_norm", { v }, { eps = attr(b, "epsilon", "f", 1e-5) })
end


---A window of even size has its longer half behind in ONNX, and before in `lrn`: there
---the channels are taken from the last to the first.
function M.LRN(b, x)
  local v, size = b:ordered(live(b, x, 1)), attr(b, "size", "i")
  local attrs = { size = size, alpha = attr(b, "alpha", "f", 1e-4),
                  beta = attr(b, "beta", "f", 0.75), k = attr(b, "bias", "f", 1) }
  if size % 2 == 1 then return b:layer("lrn", { v }, attrs) end
  local last_first = b:step("last_first", "flip", { v }, { dims = { 2 } }, v.order)
  local y = b:step("lrn", "lrn", { last_first }, attrs, v.order)
  return b:layer("flip", { y }, { dims = { 2 } }, v.order)
end


---(x - mean) / sqrt(variance + eps) over dimensions `dims` of ours, scaled, shifted.
---@return table y, table mean, table deviation
local function standardise(b, v, dims, eps, scale, shift)
  local mean = b:step("mean", "mean", { v }, { dims = dims, keepdims = true }, v.order)
  local centred = b:step("centred", "sub", { v, mean }, nil, v.order)
  local y = b:step("square", "square", { centred }, nil, v.order)
  y = b:step("variance", "mean", { y }, { dims = dims, keepdims = true }, v.order)
  y = b:step("eps", "add", { y, eps }, nil, v.order)
  local deviation = b:step("deviation", "sqrt", { y }, nil, v.order)
  y = b:step("standard", "div", { centred, deviation }, nil, v.order)
  y = b:inside("scaled", function()
    local by = b:operand(scale, "weight", #v.shape, v.order)
    return b:layer("mul", { y, by }, nil, v.order)
  end)
  if shift then
    y = b:layer("add", { y, b:operand(shift, "bias", #v.shape, v.order) }, nil, v.order)
  else
    y = b:layer("identity", { y }, nil, v.order)
  end
  return y, mean, deviation
end


function M.LayerNormalization(b, x)
  local v = live(b, x, 1)
  local axis = axis_of(b, attr(b, "axis", "i", -1), #v.shape)
  local eps, dims = attr(b, "epsilon", "f", 1e-5), {}
  attr(b, "stash_type", "i")
  for a = axis, #v.shape do dims[#dims + 1] = v.order[a] end
  local y, mean, deviation = standardise(b, v, dims, eps, constant(b, x, 2, "scale"),
                                         x[3] and constant(b, x, 3, "bias"))
  if #b.node.outputs < 3 then return y, mean end
  return y, mean, b:step("inverse", "reciprocal", { deviation }, nil, v.order)
end


function M.InstanceNormalization(b, x)
  local v = b:ordered(live(b, x, 1))
  local eps, dims, tail = attr(b, "epsilon", "f", 1e-5), {}, {}
  for d = 3, #v.shape do dims[#dims + 1], tail[#tail + 1] = d, 1 end
  local c = { v.shape[2], table.unpack(tail) }
  return (standardise(b, v, dims, eps, b:reshaped(constant(b, x, 2, "scale"), c),
                      b:reshaped(constant(b, x, 3, "bias"), c)))
end


local function softmax(kind)
  return function(b, x)
    local v = live(b, x, 1)
    local old = b.opset < 13
    local axis = axis_of(b, attr(b, "axis", "i", old and 1 or -1), #v.shape)
    local behind = 1
    for a = axis + 1, #v.shape do behind = behind * v.shape[a] end
    if not old or behind == 1 then
      return b:layer(kind, { v }, { dim = v.order[axis] }, v.order)
    end
    -- before opset 13 all that follows the axis is normalised together
    local shape = { table.unpack(v.shape, 1, axis - 1) }
    shape[axis] = v.shape[axis] * behind
    local flat = b:reshape(v, shape)
    flat = b:step("flat", kind, { flat }, { dim = axis })
    return b:reshape(flat, v.shape, true)
  end
end

M.Softmax = softmax "softmax"
M.LogSoftmax = softmax "log_softmax"

return M
