---DenseNet (Huang et al. 2016), names as torchvision has them: every layer of a block
---reads what all before it made.
local Blocks = require "lunette.models.blocks"


---Layers a block, growth of each, channels after the first convolution.
local rows = {
  densenet121 = { 6, 12, 24, 16, growth = 32, first = 64 },
  densenet161 = { 6, 12, 36, 24, growth = 48, first = 96 },
  densenet169 = { 6, 12, 32, 32, growth = 32, first = 64 },
  densenet201 = { 6, 12, 48, 32, growth = 32, first = 64 },
}


---norm, relu and a 1x1 convolution, then the same with 3x3; beside what was there.
---The published weights have "norm.1" where torchvision's modules are "norm1".
local function dense_layer(b, name, from, growth)
  local function named(part, i, kind)
    return { ("%s.%s%d"):format(name, part, i), kind,
             aliases = { ("%s.%s.%d"):format(name, part, i) } }
  end
  local norm, conv = named("norm", 1, "batch_norm"), named("conv", 1, "conv2d")
  norm.from = from
  b:add(norm)
  b:add { name .. ".relu1", "relu" }
  conv.filters, conv.kernel, conv.bias = 4 * growth, 1, false
  b:add(conv)
  b:add(named("norm", 2, "batch_norm"))
  b:add { name .. ".relu2", "relu" }
  conv = named("conv", 2, "conv2d")
  conv.filters, conv.kernel, conv.padding, conv.bias = growth, 3, 1, false
  b:add(conv)
  return b:add { name .. ".concat", "concat", from = { from, name .. ".conv2" },
                 aliases = { name } }
end


---Half the channels, half the sides.
local function transition(b, name, channels)
  b:add { name .. ".norm", "batch_norm" }
  b:add { name .. ".relu", "relu" }
  b:add { name .. ".conv", "conv2d", filters = channels, kernel = 1, bias = false }
  b:add { name .. ".pool", "avg_pool2d", kernel = 2, stride = 2, aliases = { name } }
end


local function build(name, opts)
  local b, row = Blocks.new(), rows[name]
  local channels = row.first
  b:conv_bn { "features.conv0", bn = "features.norm0", filters = channels, kernel = 7,
              stride = 2, act = "relu", act_name = "features.relu0" }
  b:add { "features.pool0", "max_pool2d", kernel = 3, stride = 2, padding = 1 }
  for block, count in ipairs(row) do
    for i = 1, count do
      dense_layer(b, ("features.denseblock%d.denselayer%d"):format(block, i), b.last,
                  row.growth)
    end
    channels = channels + count * row.growth
    if block < #row then
      channels = channels // 2
      transition(b, "features.transition" .. block, channels)
    end
  end
  b:add { "features.norm5", "batch_norm" }
  b:add { "relu", "relu", aliases = { "features" } }
  b:classify("classifier", opts.classes or 1000)
  return b:arch(name, opts)
end


return Blocks.family(rows, build)
