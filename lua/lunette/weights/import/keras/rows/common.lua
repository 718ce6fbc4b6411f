---What several rows read of a config: pairs, numbers, axes, padding.
local M = {}


function M.pair(v, default)
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

M.number = number


---Raises where the config says another number than the file's weights have.
---@param key string    "filters"
---@param said any      of the config; nil: it says nothing
---@param have integer
function M.agree(e, call, key, said, have)
  if said ~= nil and said ~= have then
    e.fail(call, "the config says %s = %s, its weights have %d", key,
           tostring(said):gsub("%c", "?"):sub(1, 40), have)
  end
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


---The maps that a layer of pictures reads, in the order of axes that it counts by.
---@param c table   its config: `data_format`
---@return table value   (channels, height, width)
function M.image(e, call, x, c)
  if #x.shape ~= 3 then
    e.fail(call, "reads (%s), expected height, width and channels",
           table.concat(x.shape, ", "))
  end
  local format = c.data_format
  if format == nil then return x end
  if format ~= "channels_first" and format ~= "channels_last" then
    e.fail(call, "its data_format '%s' is none of Keras'",
           tostring(format):gsub("%c", "?"):sub(1, 40))
  end
  return e:laid_out(call, x, c.data_format == "channels_first")
end


---An axis of Keras, counted from 1: the last where the config says none.
local function axis_of(e, call, x, axis)
  local n = #x.shape
  axis = math.tointeger(number(e, call, axis, n))
  if axis and axis < 0 then axis = axis + n + 1 end
  if not axis or axis < 1 or axis > n then
    e.fail(call, "its axis is none of (%s)", table.concat(x.shape, ", "))
  end
  return axis
end


---The value with Keras' axis `axis` as channels: the first of ours. Nil where no order
---of ours has it there: the middle one of three axes, one of two, or several at once.
---@return table? value
function M.over_axis(e, call, x, axis)
  if type(axis) == "table" then
    if #axis ~= 1 then return nil end
    axis = axis[1]
  end
  axis = axis_of(e, call, x, axis)
  if #x.shape == 1 then return x end
  if #x.shape ~= 3 or axis == 2 then return nil end
  return e:laid_out(call, x, axis == 1)
end


---Which of our dimensions, the batch with them, an axis of Keras is: of (H,W,C) the
---third, the fourth, the second.
---@return integer
function M.dim_of(e, call, x, axis)
  axis = axis_of(e, call, x, axis)
  if #x.shape ~= 3 or x.first then return axis + 1 end
  return axis % 3 + 2
end


local functions = {
  ["__operators__.add"] = "Add", ["math.add"] = "Add", ["math.multiply"] = "Multiply",
  ["math.subtract"] = "Subtract", ["math.divide"] = "Divide",
  ["math.truediv"] = "Divide",
}


---The class of a layer; of an operator of TensorFlow the layer's that does the same.
---@param call lunette.keras.Call
---@return string? class   nil: none does
function M.class_of(call)
  if call.class ~= "TFOpLambda" then return call.class end
  return functions[call.config["function"]]
end

return M
