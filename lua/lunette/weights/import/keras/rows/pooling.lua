---Poolings of Keras.
local common = require "lunette.weights.import.keras.rows.common"

local M = {}
local pair, same_padding, image = common.pair, common.same_padding, common.image


---Attributes of a pooling; `pad` says what must be put around the picture before.
local function pool_attrs(x, c)
  local kernel = pair(c.pool_size, 2)
  local stride = pair(c.strides, kernel)
  local attrs = { kernel = kernel, stride = stride }
  if c.padding ~= "same" then
    if (c.padding or "valid") ~= "valid" then
      error(("padding '%s' of a pooling is not supported"):format(
            tostring(c.padding):gsub("%c", "?")), 0)
    end
    return attrs
  end
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
  local x = image(e, call, e:real(call, xs[1]), c)
  local attrs, before, after = pool_attrs(x, c)
  if before then -- with less than any number can be
    x = e:add(call, call.name .. "_pad", "pad", { x }, { value = -3.4e38,
      before = { 0, 0, before[1], before[2] }, after = { 0, 0, after[1], after[2] } })
  end
  return e:add(call, call.name, "max_pool2d", { x }, attrs)
end


---How many of a window's places lie on the picture, along one side.
local function counts(size, kernel, stride, before, out)
  local list = {}
  for i = 1, out do
    local from = (i - 1) * stride - before
    list[i] = math.min(from + kernel, size) - math.max(from, 0)
  end
  return list
end


---Means over what lies on the picture, where more is padded behind it than before it:
---the mean with the padding, times the window's places over those on the picture.
local function average_uneven(e, call, x, attrs, before, after)
  local k, s = attrs.kernel, attrs.stride
  local y = e:add(call, call.name .. "_pad", "pad", { x }, {
    before = { 0, 0, before[1], before[2] }, after = { 0, 0, after[1], after[2] } })
  y = e:add(call, call.name .. "_mean", "avg_pool2d", { y }, attrs)
  e.check_count(call, y.shape[2] * y.shape[3])
  local rows = counts(x.shape[2], k[1], s[1], before[1], y.shape[2])
  local columns, share = counts(x.shape[3], k[2], s[2], before[2], y.shape[3]), {}
  for _, r in ipairs(rows) do
    for _, c in ipairs(columns) do share[#share + 1] = k[1] * k[2] / (r * c) end
  end
  return e:by_numbers(call, call.name, "mul", y, share, { 1, #rows, #columns })
end


function M.AveragePooling2D(e, call, xs, c)
  local x = image(e, call, e:real(call, xs[1]), c)
  local attrs, before, after = pool_attrs(x, c)
  if before then return average_uneven(e, call, x, attrs, before, after) end
  attrs.count_include_pad = false
  return e:add(call, call.name, "avg_pool2d", { x }, attrs)
end


local function global(kind)
  return function(e, call, xs, c)
    local x = image(e, call, e:real(call, xs[1]), c)
    if c.keepdims == true then return e:add(call, call.name, kind, { x }) end
    local y = e:add(call, call.name .. "_pool", kind, { x })
    return e:add(call, call.name, "flatten", { y })
  end
end

M.GlobalAveragePooling2D = global "global_avg_pool"
M.GlobalMaxPooling2D = global "global_max_pool"


---Over the first of two axes, or the second where it counts channels first.
local function global1d(kind)
  return function(e, call, xs, c)
    local x = e:real(call, xs[1])
    if #x.shape ~= 2 then
      e.fail(call, "reads (%s), expected two axes", table.concat(x.shape, ", "))
    end
    return e:add(call, call.name, kind, { x }, {
      dims = { c.data_format == "channels_first" and 3 or 2 },
      keepdims = c.keepdims == true })
  end
end

M.GlobalAveragePooling1D, M.GlobalMaxPooling1D = global1d "mean", global1d "max"

return M
