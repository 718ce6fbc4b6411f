---Keras models as their own config describes them: layers, order, names, shapes. What
---the config has and we do not is refused by its name.
local common = require "lunette.weights.import.keras.rows.common"
local config = require "lunette.weights.import.keras.config"
local emit = require "lunette.weights.import.keras.emit"
local json = require "lunette.base.json"
local operators = require "lunette.weights.import.keras.rows.operators"
local rows = require "lunette.weights.import.keras.rows"
local weights = require "lunette.weights.import.keras.weights"

local M = {}


local function fail(message, ...) error(message:format(...), 0) end


---Which axis of the picture a call's channels come from, where it says so by
---`data_format` or its axis; nil: it does not.
local function channel_axis(call, axes)
  local c = call.config
  local format = call.class ~= "Flatten" and c.data_format
  if format == "channels_first" then return axes[1] end
  return format == "channels_last" and axes[3] or nil
end


---The picture's axes behind a call; nil where it makes others of them.
local function axes_behind(call, axes)
  if call.class == "Reshape" or call.class == "Flatten" then return nil end
  local dims = call.class == "Permute" and call.config.dims
  if type(dims) ~= "table" then return axes end
  return { axes[dims[1]], axes[dims[2]], axes[dims[3]] }
end


---Does the picture have its channels as the first axis? So it is where the first layer
---that says what it counts by takes that one for them, Permutes before it heeded.
local function channels_first(model)
  local behind, start = {}, { 1, 2, 3 }
  for _, call in ipairs(model.calls) do
    local axes = start
    if call.inputs[1] ~= nil then axes = behind[call.inputs[1]] end
    local axis = axes and channel_axis(call, axes)
    if axis then return axis == 1 end
    behind[call.name] = axes and axes_behind(call, axes)
  end
  return false
end


---The shape of the input as the config has it, with its batch.
local function config_shape(model)
  local c = model.calls[1].config
  local shape = c.batch_input_shape or c.batch_shape or model.build_shape
  if type(shape) ~= "table" then return nil end
  shape = type(shape[1]) == "table" and shape[1] or shape
  if #shape > 4 then
    fail("the config says that the input has %d axes; height, width and channels are "
         .. "expected", #shape - 1)
  end
  return shape
end


---A number of the input's shape, or nil where it is left open.
local function dim_of(d)
  if d and not math.tointeger(d) then
    fail("the config says that the input has a side of %s",
         tostring(d):gsub("%c", "?"):sub(1, 40))
  end
  return math.tointeger(d)
end


---The input (C,H,W); nil and a message where the config leaves it open.
local function input_shape(model, first, side)
  local shape = config_shape(model)
  if not shape then return nil, "the config does not say what the input is" end
  local order, dims = first and { 2, 3, 4 } or { 4, 2, 3 }, {}
  for i, k in ipairs(order) do
    dims[i] = dim_of(shape[k]) or i > 1 and side and side[i - 1] or 0
  end
  if dims[1] < 1 then
    return nil, "the config does not say how many channels the input has"
  elseif dims[2] < 1 or dims[3] < 1 then
    return nil, "the config leaves the size of the input open; give it with --side"
  end
  return dims
end


---What a call reads: values of other calls, numbers, or the input.
local function read(call, values, input, is_first)
  local xs = {}
  for k, name in ipairs(call.inputs) do
    xs[k] = type(name) == "number" and name or values[name]
  end
  xs[1] = xs[1] or is_first and input or nil
  if not xs[1] then fail("layer '%s' reads nothing", call.name) end
  return xs
end


---The row of a call's class: a layer's, or an operator's (`keras.ops`), which may have
---a layer's name and mean something else. An .h5 does not say which of both it is.
local function row_of(call)
  if call.module and call.module:find "^keras[%w_.]*%.ops%f[.\0]" then
    return operators[call.class], "the operator keras.ops."
  end
  return rows[call.class] or not call.module and operators[call.class], "Keras' "
end


---Raises where a layer's weights are whole numbers that stand for others.
local function check_dtype(call)
  local dtype = call.config.dtype
  local name = type(dtype) == "table" and dtype.class_name or dtype
  if type(name) == "string" and (name:find "^Quantized" or name:find "_from_") then
    fail("layer '%s': its weights are quantised (%s): save the network as it was "
         .. "before", call.name, name:gsub("%c", "?"):sub(1, 60))
  end
end


local function apply(e, call, xs)
  check_dtype(call)
  if call.foreign then
    fail("layer '%s' is of a class of somebody's own (%s), whose code is not in the "
         .. "file", call.name, call.foreign:gsub("%c", "?"):sub(1, 60))
  end
  local row, whose = row_of(call)
  if not row then
    fail("layer '%s': %s%s is not supported", call.name, whose,
         call.class:gsub("%c", "?"):sub(1, 60))
  end
  return row(e, call, xs, call.config)
end


---Makes the layers, call by call.
local function build(model, e, input)
  local values, made = {}, {}
  for i, call in ipairs(model.calls) do
    if call.class ~= "InputLayer" then
      local xs = read(call, values, input, i == 1)
      call.shares = made[call.layer]
      values[call.name] = apply(e, call, xs)
      made[call.layer] = made[call.layer] or call.name
    elseif next(values) then
      fail "networks of several inputs cannot be read"
    else
      values[call.name] = input
    end
  end
  return values
end


---Values as names of layers, made real where they were only flattened in thought.
local function output_names(model, e, values)
  local names = {}
  for i, name in ipairs(model.outputs) do
    local call = { name = name, class = "output" }
    local x = values[name] and e:real(call, values[name])
    if not x or x.name == "input" then fail "its output is no layer" end
    names[i] = x.name
  end
  return names
end


local function name_of(model)
  if type(model.name) ~= "string" or model.name == "" then return "keras" end
  return (model.name:gsub("%c", "?"):sub(1, 100))
end


---Of arithmetic with a number: does that bring 0 .. 255 to about 1?
local from_bytes = {
  Divide = function(n) return n > 100 end, Multiply = function(n) return n < 0.01 end,
  Subtract = function(n) return n > 50 end,
}
from_bytes.TrueDivide = from_bytes.Divide


---Does the network begin with layers that rescale 0 .. 255?
local function rescales(model)
  local call = model.calls[2]
  if not call then return false end
  local class = common.class_of(call)
  local number = tonumber(call.inputs[2])
  return class == "Rescaling" or class == "Normalization"
    or number ~= nil and from_bytes[class] ~= nil and from_bytes[class](number)
end


---Which Keras wrote the file, 2 or 3: its own word, else the way it names weights.
local function version_of(meta, w)
  local archive = json.decode(meta["metadata.json"] or "")
  local said = type(archive) == "table" and archive.keras_version
    or meta.keras_version or meta["keras_version:model_weights"]
  local major = type(said) == "string" and tonumber(said:match "^(%d+)%.")
  return major or w.is_keras3 and 3 or 2
end


local function describe(model, meta, tensors, opts)
  local first = channels_first(model)
  local shape, message = input_shape(model, first, opts.side)
  if not shape then fail("%s", message) end
  local w = weights(tensors)
  w:by_order(model.calls, meta.layer_names or meta["layer_names:model_weights"] or "")
  local e = emit(w)
  e.keras3, e.rows = opts.keras3 or version_of(meta, w) >= 3, rows
  local input = { name = "input", shape = shape, first = first }
  local outputs = output_names(model, e, build(model, e, input))
  local left = w:left()
  if left then fail("tensor '%s' belongs to no layer of the config", left.name) end
  local last = e.layers[#e.layers].name
  return { name = name_of(model), input = shape, layers = e.layers,
           rescales = rescales(model),
           outputs = (#outputs > 1 or outputs[1] ~= last) and outputs or nil,
  }, e.params
end


---A model as our table of layers, and which tensor is which parameter.
---@param model table   as config.read gives one
---@param meta table<string, string>   of the listing
---@param tensors lunette.import.Tensor[]
---@param opts { side?: integer[], keras3?: boolean }   `keras3`: activations as there
---@return table? arch, lunette.import.Param[]|string params_or_message
function M.made(model, meta, tensors, opts)
  local ok, arch, params = pcall(describe, model, meta, tensors, opts)
  if not ok then return nil, tostring(arch) end
  return arch, params
end


---What a Keras file describes: our table of layers, and which tensor is which
---parameter.
---@param meta table<string, string>   of the listing, with `model_config`
---@param tensors lunette.import.Tensor[]
---@param opts { side?: integer[] }
---@return table? arch, lunette.import.Param[]|string params_or_message
function M.read(meta, tensors, opts)
  local model, message = config.read(meta.model_config)
  if not model then return nil, message end
  if #model.calls == 0 then return nil, "the config has no layers" end
  return M.made(model, meta, tensors, opts)
end

return M
