---Convolutions and dense layers of Keras.
local activations = require "lunette.weights.import.keras.activations"
local common = require "lunette.weights.import.keras.rows.common"

local M = {}
local pair, same_padding, image = common.pair, common.same_padding, common.image
local agree = common.agree


-- convolutions -------------------------------------------------------------------


---Attributes of a convolution over x.
local function conv_attrs(e, call, x, c, kernel)
  local stride, dilation = pair(c.strides, 1), pair(c.dilation_rate, 1)
  if type(c.kernel_size) == "table" and #c.kernel_size > 2 then
    e.fail(call, "its kernel_size has %d numbers, expected 2", #c.kernel_size)
  end
  for i, said in ipairs(c.kernel_size ~= nil and pair(c.kernel_size) or {}) do
    agree(e, call, "kernel_size", said, kernel[i])
  end
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
local function conv(e, call, value, c, name, slots, place, shares)
  local x = image(e, call, value, c)
  local kernel = e:find(call, slots, place)
  local h, w, cin, out = table.unpack(check_kernel(e, call, kernel, 4))
  local attrs = conv_attrs(e, call, x, c, { h, w })
  attrs.filters, attrs.groups = out, x.shape[1] // cin
  if attrs.groups * cin ~= x.shape[1] then
    e.fail(call, "its kernel is for %d channels, it reads %d", cin, x.shape[1])
  end
  agree(e, call, "filters", c.filters, out)
  agree(e, call, "groups", c.groups, attrs.groups)
  attrs.bias = c.use_bias ~= false
  local y = e:add(call, name, "conv2d", { x }, attrs, shares)
  if not shares then
    e:param(call, y.name, "weight", kernel, kernel.shape, { 4, 3, 1, 2 },
            { out, cin, h, w })
  end
  return y
end


---Each channel by itself, by a kernel (h,w,channels,multiplier).
local function depthwise(e, call, value, c, name, shares)
  local x = image(e, call, value, c)
  local kernel = e:find(call, { "depthwise_kernel", "kernel" }, 1)
  local h, w, cin, m = table.unpack(check_kernel(e, call, kernel, 4))
  local attrs = conv_attrs(e, call, x, c, { h, w })
  if cin ~= x.shape[1] then
    e.fail(call, "its kernel is for %d channels, it reads %d", cin, x.shape[1])
  end
  agree(e, call, "depth_multiplier", c.depth_multiplier, m)
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
                  dilation_rate = c.dilation_rate, data_format = c.data_format,
                  kernel_size = c.kernel_size, depth_multiplier = c.depth_multiplier }
  local x = depthwise(e, call, e:real(call, xs[1]), first, call.name .. "_depthwise",
                      shares and shares .. "_depthwise")
  local y = conv(e, call, x, { use_bias = c.use_bias, filters = c.filters }, call.name,
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
  if from then -- rows (h,w,c) become (c,h,w)
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
  x = e:laid_out(call, x, false) -- over the last axis
  local n, out = table.unpack(kernel.shape)
  local reads = #x.shape == 3 and x.shape[1] or x.shape[#x.shape]
  if reads ~= n then
    e.fail(call, "its kernel is for %d inputs, it reads %d", n, reads)
  end
  agree(e, call, "units", c.units, out)
  local y
  if #x.shape == 3 then
    y = dense_over_maps(e, call, x, c, kernel)
  else
    y = e:add(call, call.name, "linear", { x }, { units = out,
              bias = c.use_bias ~= false }, call.shares)
    if not call.shares then dense_weight(e, call, y, kernel, from) end
  end
  if not call.shares then bias_of(e, call, c, y.name, out, 2) end
  return activated(e, call, y, c)
end

return M
