---AlexNet (Krizhevsky 2014, "One weird trick", as torchvision has it).
local M = {}


---The layers of AlexNet, as a table for lu.net.
---@param opts? { classes?: integer, preprocessing?: string|table }
---@return table
function M.alexnet(opts)
  opts = opts or {}
  local layers, at = {}, 0
  local function feature(layer)
    layer.aliases = { "features." .. at }
    layers[#layers + 1], at = layer, at + 1
  end
  local function conv(i, filters, kernel, stride, padding)
    feature { "conv" .. i, "conv2d", filters = filters, kernel = kernel,
              stride = stride, padding = padding }
    feature { "relu" .. i, "relu" }
  end
  local function pool(i)
    feature { "pool" .. i, "max_pool2d", kernel = 3, stride = 2 }
  end
  conv(1, 64, 11, 4, 2)
  pool(1)
  conv(2, 192, 5, 1, 2)
  pool(2)
  conv(3, 384, 3, 1, 1)
  conv(4, 256, 3, 1, 1)
  conv(5, 256, 3, 1, 1)
  pool(5)
  local function add(layer) layers[#layers + 1] = layer end
  add { "flatten", "flatten" }
  add { "fc6", "linear", units = 4096, aliases = { "classifier.1" } }
  add { "relu6", "relu", aliases = { "classifier.2" } }
  add { "fc7", "linear", units = 4096, aliases = { "classifier.4" } }
  add { "relu7", "relu", aliases = { "classifier.5" } }
  add { "fc8", "linear", units = opts.classes or 1000, aliases = { "classifier.6" } }
  add { "softmax", "softmax" }
  return {
    name = "alexnet", input = { 3, 224, 224 }, layers = layers,
    preprocessing = opts.preprocessing or "torch",
    labels = (opts.classes or 1000) == 1000 and "imagenet" or nil,
  }
end

return M
