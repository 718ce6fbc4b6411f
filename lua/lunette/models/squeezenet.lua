---SqueezeNet 1.0 and 1.1 (Iandola et al. 2016): fire modules squeeze to few channels by
---1x1 convolutions and expand by 1x1 and 3x3 ones side by side.
---Names are those of the authors' release, with torchvision's as aliases.
local options = require "lunette.base.options"

local M = {}


local function conv(layers, name, relu, filters, kernel, opts)
  local layer = { name, "conv2d", filters = filters, kernel = kernel }
  for key, value in pairs(opts or {}) do layer[key] = value end
  layers[#layers + 1] = layer
  layers[#layers + 1] = { relu, "relu" }
end


---`at` is its place among torchvision's features.
local function fire(layers, id, squeeze, expand, at)
  local f, t = "fire" .. id .. ".", "features." .. at .. "."
  conv(layers, f .. "squeeze1x1", f .. "relu_squeeze1x1", squeeze, 1,
       { aliases = { t .. "squeeze" } })
  conv(layers, f .. "expand1x1", f .. "relu_expand1x1", expand, 1,
       { aliases = { t .. "expand1x1" } })
  conv(layers, f .. "expand3x3", f .. "relu_expand3x3", expand, 3,
       { padding = 1, from = f .. "relu_squeeze1x1", aliases = { t .. "expand3x3" } })
  layers[#layers + 1] = { f .. "concat", "concat",
    from = { f .. "relu_expand1x1", f .. "relu_expand3x3" },
    aliases = { "fire" .. id, "features." .. at } }
end


local function pool(layers, name)
  layers[#layers + 1] = { name, "max_pool2d", kernel = 3, stride = 2,
                          ceil_mode = true }
end


---First convolution, the fire modules that a pool follows, and the padding of
---conv10 in the authors' release (torchvision's has none).
local versions = {
  squeezenet1_0 = { filters = 96, kernel = 7, pools = { [4] = true, [8] = true },
                    padding = 1 },
  squeezenet1_1 = { filters = 64, kernel = 3, pools = { [3] = true, [5] = true },
                    padding = 0 },
}


local known = { classes = 1000, side = 227, conv10_padding = 0, preprocessing = false }


---@class lunette.SqueezenetOptions
---@field classes? integer
---@field side? integer              (227)
---@field conv10_padding? integer    0 for torchvision's weights
---@field preprocessing? string|table
---@param opts? lunette.SqueezenetOptions
local function build(name, opts)
  options.check("models." .. name, opts, known)
  opts = opts or {}
  local v, layers, side = versions[name], {}, opts.side or 227
  conv(layers, "conv1", "relu_conv1", v.filters, v.kernel,
       { stride = 2, aliases = { "features.0" } })
  pool(layers, "pool1")
  local at = 3 -- behind convolution, relu and pool
  for id = 2, 9 do
    local step = id // 2 -- modules come in pairs of one width
    fire(layers, id, 16 * step, 64 * step, at)
    at = at + 1
    if v.pools[id] then
      pool(layers, "pool" .. id)
      at = at + 1
    end
  end
  conv(layers, "conv10", "relu_conv10", opts.classes or 1000, 1,
       { padding = opts.conv10_padding or v.padding, aliases = { "classifier.1" } })
  layers[#layers + 1] = { "pool10", "global_avg_pool" }
  layers[#layers + 1] = { "flatten", "flatten" }
  layers[#layers + 1] = { "softmax", "softmax" }
  return {
    name = name, input = { 3, side, side }, layers = layers,
    preprocessing = opts.preprocessing
      or { mean = { 104, 117, 123 }, std = { 1, 1, 1 }, order = "bgr", scale = 1 },
    labels = (opts.classes or 1000) == 1000 and "imagenet" or nil,
  }
end


for name in pairs(versions) do
  ---The layers of a SqueezeNet, as a table for lu.net.
  ---@param opts? lunette.SqueezenetOptions
  ---@return table
  M[name] = function(opts) return build(name, opts) end
end

return M
