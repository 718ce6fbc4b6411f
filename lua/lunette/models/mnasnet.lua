---MNASNet (Tan et al. 2018), names as torchvision has them.
local Blocks = require "lunette.models.blocks"

local round8 = Blocks.round8

local widths = { mnasnet0_5 = 0.5, mnasnet0_75 = 0.75, mnasnet1_0 = 1.0,
                 mnasnet1_3 = 1.3 }

---Channels, kernel, stride, expansion, repeats.
local stages = { { 24, 3, 2, 3, 3 }, { 40, 5, 2, 3, 3 }, { 80, 5, 2, 6, 3 },
                 { 96, 3, 1, 6, 2 }, { 192, 5, 2, 6, 4 }, { 320, 3, 1, 6, 1 } }


local function inverted(b, name, o)
  local from, wide, l = b.last, o.input * o.expand, name .. ".layers."
  b:conv_bn { l .. "0", bn = l .. "1", filters = wide, kernel = 1, act = "relu",
              act_name = l .. "2" }
  b:conv_bn { l .. "3", bn = l .. "4", filters = wide, kernel = o.kernel, groups = wide,
              stride = o.stride, act = "relu", act_name = l .. "5" }
  b:conv_bn { l .. "6", bn = l .. "7", filters = o.output, kernel = 1 }
  b:residual(name, from, o.stride == 1 and o.input == o.output)
end


---The first eight layers: a convolution and a separable one.
local function stem(b, first, second)
  b:conv_bn { "layers.0", bn = "layers.1", filters = first, kernel = 3, stride = 2,
              act = "relu", act_name = "layers.2" }
  b:conv_bn { "layers.3", bn = "layers.4", filters = first, kernel = 3, groups = first,
              act = "relu", act_name = "layers.5" }
  b:conv_bn { "layers.6", bn = "layers.7", filters = second, kernel = 1 }
end


local function build(name, opts)
  local b, width = Blocks.new(), widths[name]
  local input = round8(16 * width)
  stem(b, round8(32 * width), input)
  for s, row in ipairs(stages) do
    local output = round8(row[1] * width)
    for i = 1, row[5] do
      inverted(b, ("layers.%d.%d"):format(s + 7, i - 1), {
        input = input, output = output, kernel = row[2], expand = row[4],
        stride = i == 1 and row[3] or 1 })
      input = output
    end
  end
  b:conv_bn { "layers.14", bn = "layers.15", filters = 1280, kernel = 1, act = "relu",
              act_name = "layers.16" }
  b:classify("classifier.1", opts.classes or 1000)
  return b:arch(name, opts)
end


return Blocks.family(widths, build)
