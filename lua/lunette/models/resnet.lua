---ResNet-18 and -34 (He et al. 2015), names as torchvision has them.
local M = {}

local depths = { resnet18 = { 2, 2, 2, 2 }, resnet34 = { 3, 4, 6, 3 } }


local function unit(layers, name, from, filters, stride, project)
  local function add(layer) layers[#layers + 1] = layer end
  add { name .. ".conv1", "conv2d", filters = filters, kernel = 3, stride = stride,
        padding = 1, bias = false, from = from }
  add { name .. ".bn1", "batch_norm" }
  add { name .. ".relu1", "relu" }
  add { name .. ".conv2", "conv2d", filters = filters, kernel = 3, padding = 1,
        bias = false }
  add { name .. ".bn2", "batch_norm" }
  local shortcut = from
  if project then
    add { name .. ".downsample.0", "conv2d", filters = filters, kernel = 1,
          stride = stride, bias = false, from = from }
    shortcut = name .. ".downsample.1"
    add { shortcut, "batch_norm" }
  end
  add { name .. ".add", "add", from = { name .. ".bn2", shortcut } }
  add { name .. ".relu2", "relu", aliases = { name } }
  return name .. ".relu2"
end


---conv2_x to conv5_x of the paper's table.
local function stages(layers, depth)
  local last = "maxpool"
  for stage, count in ipairs(depth) do
    for i = 1, count do
      local down = stage > 1 and i == 1
      last = unit(layers, ("layer%d.%d"):format(stage, i - 1), last,
                  64 << (stage - 1), down and 2 or 1, down)
    end
  end
end


local function build(name, opts)
  opts = opts or {}
  local side, classes = opts.side or 224, opts.classes or 1000
  local layers = {
    { "conv1", "conv2d", filters = 64, kernel = 7, stride = 2, padding = 3,
      bias = false },
    { "bn1", "batch_norm" },
    { "relu", "relu" },
    { "maxpool", "max_pool2d", kernel = 3, stride = 2, padding = 1 },
  }
  stages(layers, depths[name])
  layers[#layers + 1] = { "avgpool", "global_avg_pool" }
  layers[#layers + 1] = { "flatten", "flatten" }
  layers[#layers + 1] = { "fc", "linear", units = classes }
  layers[#layers + 1] = { "softmax", "softmax" }
  return {
    name = name, input = { 3, side, side }, layers = layers,
    preprocessing = opts.preprocessing or "torch",
    labels = classes == 1000 and "imagenet" or nil,
  }
end


for name in pairs(depths) do
  ---The layers of a ResNet, as a table for lu.net.
  ---@param opts? { classes?: integer, preprocessing?: string|table }
  ---@return table
  M[name] = function(opts) return build(name, opts) end
end

return M
