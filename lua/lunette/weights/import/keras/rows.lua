---Keras' layers in ours: a row a class. `row(e, call, xs, config)` adds layers (see
---emit.lua) and returns the value that they put out; what a config leaves out has
---Keras' default. A class without a row is refused by its name.
local activations = require "lunette.weights.import.keras.activations"

local M = {}


local function pair(v, default)
  if v == nil then v = default end
  if type(v) == "table" then return { v[1], v[2] or v[1] } end
  return { v, v }
end


---A number of the config, or its default.
local function number(e, call, value, default)
  if value == nil then return default end
  if type(value) ~= "number" or value ~= value or math.abs(value) == math.huge then
    e.fail(call, "a number is expected, the config has something else")
  end
  return value
end


---Padding for "same": what is needed so that the output is ceil(input / stride).
local function same_padding(size, kernel, stride, dilation)
  local before, after = {}, {}
  for i = 1, 2 do
    local out = (size[i] + stride[i] - 1) // stride[i]
    local reach = (kernel[i] - 1) * dilation[i] + 1
    local total = math.max((out - 1) * stride[i] + reach - size[i], 0)
    before[i], after[i] = total // 2, total - total // 2
  end
  return before, after
end


local function image(e, call, x)
  if #x.shape ~= 3 then
    e.fail(call, "reads (%s), expected height, width and channels",
           table.concat(x.shape, ", "))
  end
  return x
end


-- convolutions -------------------------------------------------------------------


---Attributes of a convolution over x.
local function conv_attrs(e, call, x, c, kernel)
  local stride, dilation = pair(c.strides, 1), pair(c.dilation_rate, 1)
  local attrs = { kernel = kernel, stride = stride, dilation = dilation }
  if c.padding == "same" then
    local size = { x.shape[2], x.shape[3] }
    attrs.padding, attrs.padding_end = same_padding(size, kernel, stride, dilation)
  elseif c.padding ~= nil and c.padding ~= "valid" then
    e.fail(call, "padding '%s' is not supported", tostring(c.padding))
  end
  return attrs
end


local function bias_of(e, call, c, layer, n, place)
  if c.use_bias == false then return end
  e:vector(call, layer, "bias", e:find(call, { "bias" }, place), n)
end


local function check_kernel(e, call, kernel, axes)
  if #kernel.shape ~= axes then
    e.fail(call, "its kernel has %d axes, expected %d", #kernel.shape, axes)
  end
  return kernel.shape
end


---A convolution by a kernel (h,w,in,out) at `place`.
local function conv(e, call, x, c, name, slots, place, shares)
  local kernel = e:find(call, slots, place)
  local h, w, cin, out = table.unpack(check_kernel(e, call, kernel, 4))
  local attrs = conv_attrs(e, call, image(e, call, x), c, { h, w })
  attrs.filters, attrs.groups = out, x.shape[1] // cin
  if attrs.groups * cin ~= x.shape[1] then
    e.fail(call, "its kernel is for %d channels, it reads %d", cin, x.shape[1])
  end
  attrs.bias = c.use_bias ~= false
  local y = e:add(call, name, "conv2d", { x }, attrs, shares)
  if not shares then
    e:param(call, y.name, "weight", kernel, kernel.shape, { 4, 3, 1, 2 },
            { out, cin, h, w })
  end
  return y
end


---Each channel by itself, by a kernel (h,w,channels,multiplier).
local function depthwise(e, call, x, c, name, shares)
  local kernel = e:find(call, { "depthwise_kernel", "kernel" }, 1)
  local h, w, cin, m = table.unpack(check_kernel(e, call, kernel, 4))
  local attrs = conv_attrs(e, call, image(e, call, x), c, { h, w })
  if cin ~= x.shape[1] then
    e.fail(call, "its kernel is for %d channels, it reads %d", cin, x.shape[1])
  end
  attrs.filters, attrs.groups, attrs.bias = cin * m, cin, c.use_bias ~= false
  local y = e:add(call, name, "conv2d", { x }, attrs, shares)
  if not shares then
    e:param(call, y.name, "weight", kernel, kernel.shape, { 3, 4, 1, 2 },
            { cin * m, 1, h, w })
  end
  return y
end


local function activated(e, call, y, c)
  if c.activation == nil or c.activation == "linear" then return y end
  local word = type(c.activation) == "string" and c.activation or "activation"
  return activations.apply(e, call, call.name .. "_" .. word, y, c.activation)
end


function M.Conv2D(e, call, xs, c)
  local x = e:real(call, xs[1])
  local y = conv(e, call, x, c, call.name, { "kernel" }, 1, call.shares)
  if not call.shares then bias_of(e, call, c, y.name, y.shape[1], 2) end
  return activated(e, call, y, c)
end


function M.DepthwiseConv2D(e, call, xs, c)
  local y = depthwise(e, call, e:real(call, xs[1]), c, call.name, call.shares)
  if not call.shares then bias_of(e, call, c, y.name, y.shape[1], 2) end
  return activated(e, call, y, c)
end


function M.SeparableConv2D(e, call, xs, c)
  local shares = call.shares
  local first = { strides = c.strides, padding = c.padding, use_bias = false,
                  dilation_rate = c.dilation_rate }
  local x = depthwise(e, call, e:real(call, xs[1]), first, call.name .. "_depthwise",
                      shares and shares .. "_depthwise")
  local y = conv(e, call, x, { use_bias = c.use_bias }, call.name,
                 { "pointwise_kernel" }, 2, shares)
  if not shares then bias_of(e, call, c, y.name, y.shape[1], 3) end
  return activated(e, call, y, c)
end


-- dense layers -------------------------------------------------------------------


---A dense layer over the channels of pictures: a convolution by 1x1.
local function dense_over_maps(e, call, x, c, kernel)
  local n, out = table.unpack(kernel.shape)
  local y = e:add(call, call.name, "conv2d", { x }, { filters = out, kernel = 1,
                  bias = c.use_bias ~= false }, call.shares)
  if not call.shares then
    e:param(call, y.name, "weight", kernel, { n, out }, { 2, 1 }, { out, n, 1, 1 })
  end
  return y
end


local function dense_weight(e, call, y, kernel, from)
  local n, out = table.unpack(kernel.shape)
  if from and #from == 3 and not e.first then -- rows (h,w,c) become (c,h,w)
    local ch, h, w = table.unpack(from)
    return e:param(call, y.name, "weight", kernel, { h, w, ch, out }, { 4, 3, 1, 2 },
                   { out, n })
  end
  e:param(call, y.name, "weight", kernel, { n, out }, { 2, 1 }, { out, n })
end


function M.Dense(e, call, xs, c)
  local kernel = e:find(call, { "kernel" }, 1)
  check_kernel(e, call, kernel, 2)
  local x, from = e:flattened(call, xs[1])
  local n, out = table.unpack(kernel.shape)
  if x.shape[1] ~= n then
    e.fail(call, "its kernel is for %d inputs, it reads %d", n, x.shape[1])
  end
  local y
  if #x.shape == 3 then
    if e.first then e.fail(call, "a dense layer over the width is not supported") end
    y = dense_over_maps(e, call, x, c, kernel)
  else
    y = e:add(call, call.name, "linear", { x }, { units = out,
              bias = c.use_bias ~= false }, call.shares)
    if not call.shares then dense_weight(e, call, y, kernel, from) end
  end
  if not call.shares then bias_of(e, call, c, y.name, out, 2) end
  return activated(e, call, y, c)
end


-- normalisation ------------------------------------------------------------------


---Is `axis` that of the channels?
local function over_channels(e, axis, x)
  if type(axis) == "table" then
    if #axis ~= 1 then return false end
    axis = axis[1]
  end
  if axis == nil then axis = -1 end
  if #x.shape == 1 then return axis == -1 or axis == 1 end
  if e.first then return axis == 1 or axis == -3 end
  return axis == -1 or axis == 3
end


local norm_slots = {
  { "weight", { "gamma" }, "scale", 1 }, { "bias", { "beta" }, "center", 0 },
  { "running_mean", { "moving_mean" }, nil, 0 },
  { "running_var", { "moving_variance" }, nil, 1 },
}


function M.BatchNormalization(e, call, xs, c)
  local x = e:real(call, xs[1])
  if not over_channels(e, c.axis, x) then
    e.fail(call, "normalises another axis than the channels")
  end
  local n = x.shape[1]
  local y = e:add(call, call.name, "batch_norm", { x },
                  { eps = number(e, call, c.epsilon, 1e-3) }, call.shares)
  local place = 0
  for _, slot in ipairs(call.shares and {} or norm_slots) do
    local key, words, flag, missing = table.unpack(slot, 1, 4)
    if flag and c[flag] == false then
      e:fill(y.name, key, n, missing)
    else
      place = place + 1
      e:vector(call, y.name, key, e:find(call, words, place), n)
    end
  end
  return y
end


---(x - mean) / sqrt(var + eps) over the channels of each place, gamma and beta.
function M.LayerNormalization(e, call, xs, c)
  local x = e:real(call, xs[1])
  if not over_channels(e, c.axis, x) then
    e.fail(call, "normalises other axes than the channels")
  end
  local name, n = call.name, x.shape[1]
  local over = { dims = { 2 }, keepdims = true }
  local mean = e:add(call, name .. "_mean", "mean", { x }, over)
  local d = e:add(call, name .. "_centred", "sub", { x, mean })
  local v = e:add(call, name .. "_square", "square", { d })
  v = e:add(call, name .. "_var", "mean", { v }, over)
  v = e:add(call, name .. "_eps", "add", { v, number(e, call, c.epsilon, 1e-3) })
  v = e:add(call, name .. "_std", "sqrt", { v })
  local y = e:add(call, name .. "_norm", "div", { d, v })
  local shape, place = #x.shape == 3 and { n, 1, 1 } or { n }, 0
  for _, s in ipairs { { "gamma", "scale", "mul" }, { "beta", "center", "add" } } do
    if c[s[2]] ~= false then
      place = place + 1
      local t = e:find(call, { s[1] }, place)
      y = e:add(call, s[2] == "center" and name or name .. "_scaled", s[3],
                { y, { param = s[1], shape = shape } })
      e:param(call, y.name, s[1], t, { n }, { 1 }, shape)
    end
  end
  return y
end


---x * gamma, a number a channel (ConvNeXt).
function M.LayerScale(e, call, xs)
  local x = e:real(call, xs[1])
  local n = x.shape[1]
  local shape = #x.shape == 3 and { n, 1, 1 } or { n }
  local y = e:add(call, call.name, "mul", { x, { param = "gamma", shape = shape } })
  e:param(call, y.name, "gamma", e:find(call, { "gamma", "Variable" }, 1), { n }, { 1 },
          shape)
  return y
end


---x * scale + offset with a number, or one for every channel.
local function affine(e, call, x, scale, offset)
  local name = call.name
  if type(scale) ~= "table" and type(offset) ~= "table" then
    local y = x
    if scale ~= 1 then
      y = e:add(call, offset ~= 0 and name .. "_scale" or name, "mul", { y, scale })
    end
    if offset ~= 0 then y = e:add(call, name, "add", { y, offset }) end
    return y
  end
  local parts = {}
  for i = 1, x.shape[1] do
    local part = e:add(call, name .. "_channel", "narrow", { x },
                       { dim = 2, start = i, length = 1 })
    local a = type(scale) == "table" and scale[i] or scale
    local b = type(offset) == "table" and offset[i] or offset
    part = e:add(call, name .. "_scale", "mul", { part, number(e, call, a, 1) })
    parts[i] = e:add(call, name .. "_offset", "add", { part, number(e, call, b, 0) })
  end
  return e:add(call, name, "concat", parts, { dim = 2 })
end


function M.Rescaling(e, call, xs, c)
  local scale, offset = c.scale or 1, c.offset or 0
  for _, v in ipairs { scale, offset } do
    if type(v) ~= "table" then number(e, call, v) end
  end
  return affine(e, call, e:real(call, xs[1]), scale, offset)
end


---(x - mean) / sqrt(variance): given in the config, or learned from data.
function M.Normalization(e, call, xs, c)
  local x = e:real(call, xs[1])
  if type(c.mean) == "number" then c.mean, c.variance = { c.mean }, { c.variance } end
  if type(c.mean) == "table" and type(c.variance) == "table" then
    local scale, offset = {}, {}
    for i = 1, x.shape[1] do
      local m, v = c.mean[i] or c.mean[1], c.variance[i] or c.variance[1]
      local std = math.max(number(e, call, v, 1) ^ 0.5, 1e-7)
      scale[i], offset[i] = 1 / std, -number(e, call, m, 0) / std
    end
    return affine(e, call, x, scale, offset)
  end
  if not over_channels(e, c.axis, x) then
    e.fail(call, "normalises another axis than the channels")
  end
  local n = x.shape[1]
  local y = e:add(call, call.name, "batch_norm", { x }, { eps = 1e-14 }, call.shares)
  if call.shares then return y end
  e:fill(y.name, "weight", n, 1)
  e:fill(y.name, "bias", n, 0)
  e:vector(call, y.name, "running_mean", e:find(call, { "mean" }, 1), n)
  e:vector(call, y.name, "running_var", e:find(call, { "variance" }, 2), n)
  return y
end


-- activations --------------------------------------------------------------------


function M.Activation(e, call, xs, c)
  return activations.apply(e, call, call.name, e:real(call, xs[1]), c.activation)
end


function M.ReLU(e, call, xs, c)
  local x = e:real(call, xs[1])
  local slope = number(e, call, c.negative_slope, 0)
  if number(e, call, c.threshold, 0) ~= 0 then
    e.fail(call, "a threshold is not supported")
  end
  local most = c.max_value
  if type(most) ~= "number" then
    if slope == 0 then return e:add(call, call.name, "relu", { x }) end
    return e:add(call, call.name, "leaky_relu", { x }, { slope = slope })
  end
  if slope ~= 0 then e.fail(call, "a slope and a maximum are not supported") end
  if most == 6 then return e:add(call, call.name, "relu6", { x }) end
  return e:add(call, call.name, "clamp", { x }, { min = 0, max = most })
end


function M.LeakyReLU(e, call, xs, c)
  local slope = number(e, call, c.negative_slope, nil) or number(e, call, c.alpha, 0.3)
  return e:add(call, call.name, "leaky_relu", { e:real(call, xs[1]) },
               { slope = slope })
end


function M.ELU(e, call, xs, c)
  return e:add(call, call.name, "elu", { e:real(call, xs[1]) },
               { alpha = number(e, call, c.alpha, 1) })
end


function M.Softmax(e, call, xs, c)
  local x = e:real(call, xs[1])
  if not over_channels(e, c.axis, x) then
    e.fail(call, "a softmax over another axis than the channels")
  end
  return e:add(call, call.name, "softmax", { x })
end


---max(x,0) + alpha min(x,0): alpha (H,W,C), with 1 where it is shared.
function M.PReLU(e, call, xs)
  local x, name = e:real(call, xs[1]), call.name
  local alpha = e:find(call, { "alpha" }, 1)
  local s = alpha.shape
  local shape, view, perm = s, s, { 1 }
  if #s == 3 and not e.first then
    shape, perm = { s[3], s[1], s[2] }, { 3, 1, 2 }
  elseif #s ~= 1 then
    perm = { 1, 2, 3 }
  end
  local high = e:add(call, name .. "_high", "relu", { x })
  local low = e:add(call, name .. "_low", "minimum", { x, 0 })
  low = e:add(call, name .. "_slope", "mul", { low, { param = "alpha",
                                                      shape = shape } })
  e:param(call, low.name, "alpha", alpha, view, perm, shape)
  return e:add(call, name, "add", { high, low })
end


-- pooling ------------------------------------------------------------------------


---Attributes of a pooling; `pad` says what must be put around the picture before.
local function pool_attrs(x, c)
  local kernel = pair(c.pool_size, 2)
  local stride = pair(c.strides, kernel)
  local attrs = { kernel = kernel, stride = stride }
  if c.padding ~= "same" then return attrs end
  local before, after = same_padding({ x.shape[2], x.shape[3] }, kernel, stride,
                                     { 1, 1 })
  local even = before[1] == after[1] and before[2] == after[2]
  local ends = before[1] == 0 and before[2] == 0
  local whole = (x.shape[2] - kernel[1]) % stride[1] == 0
    and (x.shape[3] - kernel[2]) % stride[2] == 0
  if even then
    attrs.padding = before
  elseif ends and not whole and after[1] <= kernel[1] and after[2] <= kernel[2] then
    attrs.ceil_mode = true
  else
    return attrs, before, after
  end
  return attrs
end


function M.MaxPooling2D(e, call, xs, c)
  local x = image(e, call, e:real(call, xs[1]))
  local attrs, before, after = pool_attrs(x, c)
  if before then -- with less than any number can be
    x = e:add(call, call.name .. "_pad", "pad", { x }, { value = -3.4e38,
      before = { 0, 0, before[1], before[2] }, after = { 0, 0, after[1], after[2] } })
  end
  return e:add(call, call.name, "max_pool2d", { x }, attrs)
end


function M.AveragePooling2D(e, call, xs, c)
  local x = image(e, call, e:real(call, xs[1]))
  local attrs, before = pool_attrs(x, c)
  if before then e.fail(call, "padding that differs at both ends is not supported") end
  attrs.count_include_pad = false
  return e:add(call, call.name, "avg_pool2d", { x }, attrs)
end


local function global(kind)
  return function(e, call, xs, c)
    local x = image(e, call, e:real(call, xs[1]))
    if c.keepdims == true then return e:add(call, call.name, kind, { x }) end
    local y = e:add(call, call.name .. "_pool", kind, { x })
    return e:add(call, call.name, "flatten", { y })
  end
end

M.GlobalAveragePooling2D = global "global_avg_pool"
M.GlobalMaxPooling2D = global "global_max_pool"


-- shapes -------------------------------------------------------------------------


function M.Flatten(_, call, xs)
  local x = xs[1]
  if #x.shape ~= 3 then return x end
  local n = x.shape[1] * x.shape[2] * x.shape[3]
  return { flat = x, flat_name = call.name, shape = { n } }
end


---Two lists of two for the ends of height and width.
local function ends(e, call, value, default)
  if value == nil then value = default end
  if type(value) == "number" then return { value, value }, { value, value } end
  if type(value) ~= "table" or #value ~= 2 then e.fail(call, "padding is a pair") end
  local before, after = {}, {}
  for i, one in ipairs(value) do
    local p = pair(one)
    before[i], after[i] = p[1], p[2]
  end
  return before, after
end


function M.ZeroPadding2D(e, call, xs, c)
  local before, after = ends(e, call, c.padding, 1)
  return e:add(call, call.name, "pad", { image(e, call, e:real(call, xs[1])) },
               { before = { 0, 0, before[1], before[2] },
                 after = { 0, 0, after[1], after[2] } })
end


function M.Cropping2D(e, call, xs, c)
  local before, after = ends(e, call, c.cropping, 0)
  local x = image(e, call, e:real(call, xs[1]))
  local y = e:add(call, call.name .. "_rows", "narrow", { x }, { dim = 3,
    start = before[1] + 1, length = x.shape[2] - before[1] - after[1] })
  return e:add(call, call.name, "narrow", { y }, { dim = 4, start = before[2] + 1,
    length = x.shape[3] - before[2] - after[2] })
end


function M.UpSampling2D(e, call, xs, c)
  local x, size = image(e, call, e:real(call, xs[1])), pair(c.size, 2)
  local modes = { nearest = 0, bilinear = 1 }
  local mode = modes[c.interpolation or "nearest"]
  if not mode then
    e.fail(call, "interpolation '%s' is not supported", tostring(c.interpolation))
  end
  return e:add(call, call.name, "interpolate", { x }, { mode = mode,
    size = { x.shape[2] * size[1], x.shape[3] * size[2] } })
end


---Our value with its axes in Keras' order, and back.
local function to_keras(e, call, x)
  if e.first or #x.shape ~= 3 then return x end
  return e:add(call, call.name .. "_order", "permute", { x }, { dims = { 1, 3, 4, 2 } })
end


local function from_keras(e, call, x)
  if e.first or #x.shape ~= 3 then return x end
  return e:add(call, call.name, "permute", { x }, { dims = { 1, 4, 2, 3 } })
end


---The target shape with its -1 filled in.
local function target_shape(e, call, x, target)
  local n, known, open = 1, 1, nil
  for _, d in ipairs(x.shape) do n = n * d end
  local shape = {}
  for i, d in ipairs(type(target) == "table" and target or { target }) do
    if d == -1 then open = i else known = known * number(e, call, d) end
    shape[i] = d
  end
  if open and known > 0 then shape[open] = n // known end
  return shape
end


function M.Reshape(e, call, xs, c)
  local x = e:real(call, xs[1])
  local shape = target_shape(e, call, x, c.target_shape)
  if #shape ~= 1 and #shape ~= 3 then
    e.fail(call, "reshapes to %d axes, expected 1 or 3", #shape)
  end
  local small = #x.shape == 1 or x.shape[2] * x.shape[3] == 1
  if small and #shape == 3 and shape[1] * shape[2] == 1 and not e.first then
    return e:add(call, call.name, "reshape", { x }, { shape = { shape[3], 1, 1 } })
  elseif small and #shape == 1 then
    return e:add(call, call.name, "flatten", { x })
  end
  local y = e:add(call, call.name .. "_shape", "reshape", { to_keras(e, call, x) },
                  { shape = shape })
  return from_keras(e, call, y)
end


function M.Permute(e, call, xs, c)
  local x, dims = e:real(call, xs[1]), { 1 }
  for i, d in ipairs(type(c.dims) == "table" and c.dims or {}) do
    dims[i + 1] = number(e, call, d) + 1
  end
  local y = e:add(call, call.name .. "_axes", "permute", { to_keras(e, call, x) },
                  { dims = dims })
  return from_keras(e, call, y)
end


-- several inputs -----------------------------------------------------------------


local function all_real(e, call, xs)
  local list = {}
  for i, x in ipairs(xs) do list[i] = type(x) == "table" and e:real(call, x) or x end
  return list
end


local function join(kind)
  return function(e, call, xs)
    local list = all_real(e, call, xs)
    if #list == 1 then return list[1] end
    return e:add(call, call.name, kind, list)
  end
end

M.Add, M.Subtract, M.Multiply = join "add", join "sub", join "mul"
M.Maximum, M.Minimum = join "maximum", join "minimum"
M.Divide, M.TrueDivide = join "div", join "div"


function M.Average(e, call, xs)
  local list = all_real(e, call, xs)
  local y = e:add(call, call.name .. "_sum", "add", list)
  return e:add(call, call.name, "mul", { y, 1 / #list })
end


function M.Concatenate(e, call, xs, c)
  local list = all_real(e, call, xs)
  if not over_channels(e, c.axis, list[1]) then
    e.fail(call, "joins along another axis than the channels")
  end
  if #list == 1 then return list[1] end
  while #list > 16 do -- as many as the operator takes
    local some = table.move(list, 1, 16, 1, {})
    list = table.move(list, 17, #list, 2, {})
    list[1] = e:add(call, call.name .. "_part", "concat", some, { dim = 2 })
  end
  return e:add(call, call.name, "concat", list, { dim = 2 })
end


-- operators of TensorFlow among the layers ---------------------------------------


local functions = {
  ["__operators__.add"] = "Add", ["math.add"] = "Add", ["math.multiply"] = "Multiply",
  ["math.subtract"] = "Subtract", ["math.divide"] = "Divide",
  ["math.truediv"] = "Divide",
}


function M.TFOpLambda(e, call, xs, c)
  local name = functions[c["function"]]
  if not name then
    e.fail(call, "the function '%s' is not supported",
           tostring(c["function"]):gsub("%c", "?"))
  end
  return M[name](e, call, xs, c)
end


-- what does nothing when a network answers ---------------------------------------


local function nothing(e, call, xs)
  local x = xs[1]
  if x.flat then return x end
  return e:add(call, call.name, "identity", { x })
end

for _, class in ipairs {
  "Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "AlphaDropout",
  "ActivityRegularization", "RandomFlip", "RandomRotation", "RandomZoom",
  "RandomContrast", "RandomTranslation", "RandomBrightness", "RandomHeight",
  "RandomWidth", "Identity", "StochasticDepth",
} do
  M[class] = nothing
end

return M
