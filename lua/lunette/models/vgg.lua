---VGG (Simonyan & Zisserman 2014, configurations A, B, D, E): 3x3 convolutions
---in five blocks, each ending in a 2x2 max pool, then three dense layers.
---Names as Keras has them; aliases as torchvision has them.
local M = {}

---Convolutions a block.
local depths = {
  vgg11 = { 1, 1, 2, 2, 2 },
  vgg13 = { 2, 2, 2, 2, 2 },
  vgg16 = { 2, 2, 3, 3, 3 },
  vgg19 = { 2, 2, 4, 4, 4 },
}
local channels = { 64, 128, 256, 512, 512 }


local function widths(opts)
  if type(opts.width) == "table" then return opts.width end
  local list = {}
  for i, c in ipairs(channels) do
    list[i] = math.max(1, math.floor(c * (opts.width or 1)))
  end
  return list
end


local function features(depth, width)
  local layers, at = {}, 0 -- torchvision counts convolution, relu, pool alike
  local function add(layer)
    layer.aliases = layer.aliases or {}
    table.insert(layer.aliases, "features." .. at)
    layers[#layers + 1], at = layer, at + 1
  end
  for block, count in ipairs(depth) do
    for i = 1, count do
      local id = ("%d_%d"):format(block, i)
      add { ("block%d_conv%d"):format(block, i), "conv2d", filters = width[block],
            kernel = 3, padding = 1, aliases = { "conv" .. id } }
      add { ("block%d_relu%d"):format(block, i), "relu",
            aliases = { "relu" .. id } }
    end
    add { ("block%d_pool"):format(block), "max_pool2d", kernel = 2, stride = 2,
          aliases = { "pool" .. block } }
  end
  return layers
end


local function classifier(layers, units, classes)
  local function add(layer) layers[#layers + 1] = layer end
  add { "flatten", "flatten" }
  add { "fc1", "linear", units = units, aliases = { "classifier.0", "fc6" } }
  add { "fc1_relu", "relu", aliases = { "classifier.1", "relu6" } }
  add { "fc2", "linear", units = units, aliases = { "classifier.3", "fc7" } }
  add { "fc2_relu", "relu", aliases = { "classifier.4", "relu7" } }
  add { "predictions", "linear", units = classes,
        aliases = { "classifier.6", "fc8" } }
  add { "softmax", "softmax" }
end


---@class lunette.VggOptions
---@field width? number|integer[]  fraction of the paper's channels, or five counts
---@field fc? integer        units of fc1 and fc2 (4096)
---@field classes? integer   (1000)
---@field side? integer      input height and width (224)
---@field top? boolean       false: stop after block5_pool
---@field preprocessing? string|table  ("caffe": BGR minus the mean)
---@param opts? lunette.VggOptions
local function build(name, opts)
  opts = opts or {}
  local side = opts.side or 224
  local layers = features(depths[name], widths(opts))
  if opts.top ~= false then
    classifier(layers, opts.fc or 4096, opts.classes or 1000)
  end
  return {
    name = name, input = { 3, side, side }, layers = layers,
    preprocessing = opts.preprocessing or "caffe",
    labels = (opts.classes or 1000) == 1000 and "imagenet" or nil,
  }
end


for name in pairs(depths) do
  ---The layers of a VGG, as a table for lu.net.
  ---@param opts? lunette.VggOptions
  ---@return table
  M[name] = function(opts) return build(name, opts) end
end

return M
