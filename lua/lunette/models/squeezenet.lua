---SqueezeNet 1.0 (Iandola et al. 2016): fire modules squeeze to few channels by
---1x1 convolutions and expand by 1x1 and 3x3 ones side by side.
---Names of the authors' release; see shared weights' preprocessing.
local M = {}


local function conv(layers, name, relu, filters, kernel, opts)
  local layer = { name, "conv2d", filters = filters, kernel = kernel }
  for key, value in pairs(opts or {}) do layer[key] = value end
  layers[#layers + 1] = layer
  layers[#layers + 1] = { relu, "relu" }
end


local function fire(layers, id, squeeze, expand)
  local f = "fire" .. id .. "."
  conv(layers, f .. "squeeze1x1", f .. "relu_squeeze1x1", squeeze, 1)
  conv(layers, f .. "expand1x1", f .. "relu_expand1x1", expand, 1)
  conv(layers, f .. "expand3x3", f .. "relu_expand3x3", expand, 3,
       { padding = 1, from = f .. "relu_squeeze1x1" })
  layers[#layers + 1] = { f .. "concat", "concat",
    from = { f .. "relu_expand1x1", f .. "relu_expand3x3" },
    aliases = { "fire" .. id } }
end


local function pool(layers, name)
  layers[#layers + 1] = { name, "max_pool2d", kernel = 3, stride = 2,
                          ceil_mode = true }
end


---@param opts? { classes?: integer, side?: integer, preprocessing?: string|table }
function M.squeezenet1_0(opts)
  opts = opts or {}
  local layers, side = {}, opts.side or 227
  conv(layers, "conv1", "relu_conv1", 96, 7, { stride = 2 })
  pool(layers, "pool1")
  fire(layers, 2, 16, 64)
  fire(layers, 3, 16, 64)
  fire(layers, 4, 32, 128)
  pool(layers, "pool4")
  fire(layers, 5, 32, 128)
  fire(layers, 6, 48, 192)
  fire(layers, 7, 48, 192)
  fire(layers, 8, 64, 256)
  pool(layers, "pool8")
  fire(layers, 9, 64, 256)
  conv(layers, "conv10", "relu_conv10", opts.classes or 1000, 1, { padding = 1 })
  layers[#layers + 1] = { "pool10", "global_avg_pool" }
  layers[#layers + 1] = { "flatten", "flatten" }
  layers[#layers + 1] = { "softmax", "softmax" }
  return {
    name = "squeezenet1_0", input = { 3, side, side }, layers = layers,
    preprocessing = opts.preprocessing
      or { mean = { 104, 117, 123 }, std = { 1, 1, 1 }, order = "bgr", scale = 1 },
    labels = (opts.classes or 1000) == 1000 and "imagenet" or nil,
  }
end


function M.detect(shape)
  if not (shape "fire2.squeeze1x1.weight" and shape "conv10.weight") then return nil end
  local opts = { classes = shape "conv10.weight" [1] }
  -- 1.1 begins with 64 3x3 kernels
  if shape "conv1.weight" [1] == 96 then return "squeezenet1_0", opts end
  return nil
end

return M
