---VGG (Simonyan & Zisserman 2014, configurations A, B, D, E): 3x3 convolutions
---in five blocks, each ending in a 2x2 max pool, then three dense layers.
---Names as Keras has them; aliases as torchvision has them.
local blame = require "lunette.base.blame"
local options = require "lunette.base.options"
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


local function features(depth, width, normed, eps)
  local layers, at = {}, 0 -- torchvision counts every layer alike
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
      if normed then
        add { ("block%d_bn%d"):format(block, i), "batch_norm", eps = eps }
      end
      add { ("block%d_relu%d"):format(block, i), "relu",
            aliases = { "relu" .. id } }
    end
    add { ("block%d_pool"):format(block), "max_pool2d", kernel = 2, stride = 2,
          aliases = { "pool" .. block } }
  end
  return layers
end


---Size and distance of the windows that average n values to `side` of them, as torch
---has them: from floor(k n / side) to ceil((k + 1) n / side). They must be alike.
local function windows(n, side)
  local kernel = (n + side - 1) // side
  local stride = (n - kernel) // (side - 1)
  for k = 0, side - 1 do
    local from, to = k * n // side, ((k + 1) * n + side - 1) // side
    if from ~= k * stride or to - from ~= kernel then
      blame(("vgg: a map of %d cannot be averaged to %d places by windows that are "
        .. "alike"):format(n, side))
    end
  end
  return kernel, stride
end


---Average pooling of an h x w map to `side` squared, as torch's AdaptiveAvgPool2d where
---its windows are alike: nothing, where the map has that size.
local function adaptive_pool(layers, h, w, side)
  if h == side and w == side then return end
  if side == 1 then
    layers[#layers + 1] = { "avgpool", "global_avg_pool" }
    return
  end
  local kh, sh = windows(h, side)
  local kw, sw = windows(w, side)
  layers[#layers + 1] = { "avgpool", "avg_pool2d", kernel = { kh, kw },
                          stride = { sh, sw } }
end


---Three dense layers, as in the paper, or those of `opts.dense`.
local function dense_of(opts)
  if opts.dense then return opts.dense end
  local units = opts.fc or 4096
  return { { units = units, aliases = { "classifier.0", "fc6", "pre_logits.fc1" } },
           { units = units, aliases = { "classifier.3", "fc7", "pre_logits.fc2" } },
           { units = opts.classes or 1000,
             aliases = { "classifier.6", "fc8", "head.fc" } } }
end


local relu_aliases = { fc1 = { "classifier.1", "relu6" },
                       fc2 = { "classifier.4", "relu7" } }


---What stands between two dense layers: relu, and a batch norm before or behind it.
local function between(add, name, d, aliases)
  local norm = { name .. "_bn", "batch_norm", eps = d.eps, aliases = d.norm_aliases }
  if d.norm == "before" then add(norm) end
  if d.relu ~= false then add { name .. "_relu", "relu", aliases = aliases } end
  if d.norm == "behind" then add(norm) end
end


---The head's beginning: flatten, and a batch norm behind it, or before it where it is
---of the channels of the map.
local function flattened(add, front)
  local function normed()
    add { "top_bn", "batch_norm", eps = front.eps, aliases = front.aliases }
    if front.relu then add { "top_relu", "relu" } end
  end
  if front and front.map then normed() end
  add { "flatten", "flatten" }
  if front and not front.map then normed() end
end


local function classifier(layers, dense, opts)
  local function add(layer) layers[#layers + 1] = layer end
  flattened(add, opts.front)
  for i, d in ipairs(dense) do
    local last = i == #dense
    local name = last and "predictions" or "fc" .. i
    add { name, "linear", units = d.units, bias = d.bias, aliases = d.aliases }
    if not last or d.norm then
      between(add, name, d, not opts.dense and relu_aliases[name] or nil)
    end
  end
  if (opts.last or "softmax") ~= "none" then
    add { opts.last or "softmax", opts.last or "softmax" }
  end
end


local function sides(side)
  if type(side) == "table" then return side[1], side[2] end
  return side, side
end


local known = { width = false, normed = false, fc = 4096, classes = 1000,
                dense = false, front = false, eps = 1e-5, last = "softmax",
                side = false, pool_side = false, top = true, preprocessing = "caffe" }


---@class lunette.VggOptions
---@field width? number|integer[]  fraction of the paper's channels, or five counts
---@field normed? boolean    batch normalisation behind every convolution
---@field fc? integer        units of fc1 and fc2 (4096)
---@field classes? integer   (1000)
---@field dense? { units: integer, aliases?: string[], bias?: boolean,
---  norm?: "before"|"behind", relu?: boolean }[]  another head: `norm` is a batch norm
---  before or behind the relu, which `relu = false` leaves out
---@field front? { map: boolean, relu: boolean, eps?: number, aliases?: string[] }  a
---  batch norm before the first dense layer: of all values, or (`map`) of the channels
---@field eps? number        of the batch norms behind convolutions (1e-5)
---@field last? string       what follows them: "softmax" (default), "sigmoid", "none"
---@field side? integer|integer[]  input height and width (224)
---@field pool_side? integer the last map is averaged to this side (default: as it is)
---@field top? boolean       false: stop after block5_pool
---@field preprocessing? string|table  ("caffe": BGR minus the mean)
---@param opts? lunette.VggOptions
local function build(name, opts)
  options.check("models." .. name, opts, known)
  opts = opts or {}
  local h, w = sides(opts.side or 224)
  local layers = features(depths[name], widths(opts), opts.normed, opts.eps)
  local dense = dense_of(opts)
  if opts.top ~= false then
    if opts.pool_side then
      adaptive_pool(layers, h // 32, w // 32, opts.pool_side)
    end
    classifier(layers, dense, opts)
  end
  local classes = dense[#dense].units
  return {
    name = name, input = { 3, h, w }, layers = layers,
    preprocessing = opts.preprocessing or "caffe",
    labels = classes == 1000 and "imagenet" or nil,
  }
end


for plain in pairs(depths) do
  local name = plain
  ---The layers of a VGG, as a table for lu.net.
  ---@param opts? lunette.VggOptions
  ---@return table
  M[name] = function(opts) return build(plain, opts) end

  name = plain .. "_bn"
  ---The layers of a VGG with batch norm after every convolution, as torchvision has it.
  ---@param opts? lunette.VggOptions
  ---@return table
  M[name] = function(opts)
    local with = { normed = true, preprocessing = "torch" }
    for key, value in pairs(opts or {}) do with[key] = value end
    local arch = build(plain, with)
    arch.name = plain .. "_bn"
    return arch
  end
end

return M
