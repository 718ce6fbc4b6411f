---DenseNet (Huang et al. 2016) with names as Keras has them; they were written with a
---stroke before ("conv1/conv").
local Blocks = require "lunette.models.blocks"

local eps = 1.001e-5

---Layers a block.
local rows = {
  densenet121_keras = { 6, 12, 24, 16 }, densenet169_keras = { 6, 12, 32, 32 },
  densenet201_keras = { 6, 12, 48, 32 },
}


---norm, relu, a 1x1 convolution, norm, relu, one of 3x3; beside what was there.
local function dense_layer(b, name, growth)
  local from = b.last
  for i, kernel in ipairs { 1, 3 } do
    b:add { ("%s_%d_bn"):format(name, i - 1), "batch_norm", eps = eps }
    b:add { ("%s_%d_relu"):format(name, i - 1), "relu" }
    b:add { ("%s_%d_conv"):format(name, i), "conv2d", bias = false, kernel = kernel,
            filters = i == 1 and 4 * growth or growth, padding = (kernel - 1) // 2 }
  end
  b:add { name .. "_concat", "concat", from = { from, b.last } }
end


---Half the channels, half the sides.
local function transition(b, name, channels)
  b:add { name .. "_bn", "batch_norm", eps = eps }
  b:add { name .. "_relu", "relu" }
  b:add { name .. "_conv", "conv2d", filters = channels, kernel = 1, bias = false }
  b:add { name .. "_pool", "avg_pool2d", kernel = 2, stride = 2 }
end


local function build(name, opts)
  local b, width = Blocks.new(), opts.width or 1
  local channels = math.max(1, math.floor(64 * width))
  local growth = math.max(1, math.floor(32 * width))
  b:add { "conv1_conv", "conv2d", filters = channels, kernel = 7, stride = 2,
          padding = 3, bias = false, aliases = { "conv1/conv" } }
  b:add { "conv1_bn", "batch_norm", eps = eps, aliases = { "conv1/bn" } }
  b:add { "conv1_relu", "relu" }
  b:add { "pool1", "max_pool2d", kernel = 3, stride = 2, padding = 1 }
  for block, count in ipairs(rows[name]) do
    for i = 1, count do
      dense_layer(b, ("conv%d_block%d"):format(block + 1, i), growth)
    end
    channels = channels + count * growth
    if block < 4 then
      channels = channels // 2
      transition(b, "pool" .. block + 1, channels)
    end
  end
  b:add { "bn", "batch_norm", eps = eps }
  b:add { "relu", "relu" }
  b:classify("predictions", opts.classes or 1000, "avg_pool")
  b.layers[#b.layers - 1].aliases = { "fc1000" }
  return b:arch(name, opts, 224, { mode = "torch", fit = "stretch" })
end


return Blocks.family(rows, build)
