---What several rows read of a config: pairs, numbers, axes, padding.
local M = {}


function M.pair(v, default)
  if v == nil then v = default end
  if type(v) == "table" then return { v[1], v[2] or v[1] } end
  return { v, v }
end


---A number of the config, or its default.
function M.number(e, call, value, default)
  if value == nil then return default end
  if type(value) ~= "number" or value ~= value or math.abs(value) == math.huge then
    e.fail(call, "a number is expected, the config has something else")
  end
  return value
end


---Padding for "same": what is needed so that the output is ceil(input / stride).
function M.same_padding(size, kernel, stride, dilation)
  local before, after = {}, {}
  for i = 1, 2 do
    local out = (size[i] + stride[i] - 1) // stride[i]
    local reach = (kernel[i] - 1) * dilation[i] + 1
    local total = math.max((out - 1) * stride[i] + reach - size[i], 0)
    before[i], after[i] = total // 2, total - total // 2
  end
  return before, after
end


function M.image(e, call, x)
  if #x.shape ~= 3 then
    e.fail(call, "reads (%s), expected height, width and channels",
           table.concat(x.shape, ", "))
  end
  return x
end


---Is `axis` that of the channels?
function M.over_channels(e, axis, x)
  if type(axis) == "table" then
    if #axis ~= 1 then return false end
    axis = axis[1]
  end
  if axis == nil then axis = -1 end
  if #x.shape == 1 then return axis == -1 or axis == 1 end
  if e.first then return axis == 1 or axis == -3 end
  return axis == -1 or axis == 3
end

return M
