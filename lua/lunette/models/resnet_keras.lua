---ResNet (He et al. 2015) and its second version (He et al. 2016) with names, biases
---and strides as Keras has them: the first 1x1 convolution of a unit has the stride in
---the one, the last unit of a stage in the other.
local Blocks = require "lunette.models.blocks"

local eps = 1.001e-5

---Units a stage.
local rows = {
  resnet50_keras = { 3, 4, 6, 3 }, resnet101_keras = { 3, 4, 23, 3 },
  resnet152_keras = { 3, 8, 36, 3 },
  resnet50v2 = { 3, 4, 6, 3, v2 = true }, resnet101v2 = { 3, 4, 23, 3, v2 = true },
  resnet152v2 = { 3, 8, 36, 3, v2 = true },
}


local function stride_of(n) return n ~= 1 and n or nil end


---conv, bn, relu, relu only where `act`.
local function conv_bn(b, name, i, o)
  b:add { ("%s_%d_conv"):format(name, i), "conv2d", filters = o.filters,
          kernel = o.kernel or 1, stride = stride_of(o.stride), padding = o.padding,
          bias = o.bias, from = o.from }
  b:add { ("%s_%d_bn"):format(name, i), "batch_norm", eps = eps }
  if o.act then b:add { ("%s_%d_relu"):format(name, i), "relu" } end
  return b.last
end


---A unit of the first version.
local function unit(b, name, filters, stride, is_first)
  local from = b.last
  local short = is_first and conv_bn(b, name, 0, { filters = 4 * filters,
    stride = stride, from = from }) or from
  conv_bn(b, name, 1, { filters = filters, stride = stride, from = from, act = true })
  conv_bn(b, name, 2, { filters = filters, kernel = 3, padding = 1, act = true })
  local inner = conv_bn(b, name, 3, { filters = 4 * filters })
  b:add { name .. "_add", "add", from = { short, inner } }
  b:add { name .. "_out", "relu" }
end


---What a unit of the second version adds to: its projection, or what it reads.
local function shortcut(b, name, from, o)
  if o.is_first then
    return b:add { name .. "_0_conv", "conv2d", filters = 4 * o.filters, kernel = 1,
                   stride = stride_of(o.stride), from = name .. "_preact_relu" }
  end
  if o.stride == 1 then return from end
  return b:add { name .. "_pool", "max_pool2d", kernel = 1, stride = o.stride,
                 from = from }
end


---A unit of the second version: norm and relu come first.
local function unit_v2(b, name, filters, stride, is_first)
  local from = b.last
  b:add { name .. "_preact_bn", "batch_norm", eps = eps }
  b:add { name .. "_preact_relu", "relu" }
  local short = shortcut(b, name, from, { filters = filters, stride = stride,
                                          is_first = is_first })
  conv_bn(b, name, 1, { filters = filters, from = name .. "_preact_relu",
                        bias = false, act = true })
  conv_bn(b, name, 2, { filters = filters, kernel = 3, padding = 1, stride = stride,
                        bias = false, act = true })
  b:add { name .. "_3_conv", "conv2d", filters = 4 * filters, kernel = 1 }
  b:add { name .. "_out", "add", from = { short, name .. "_3_conv" } }
end


local function stages(b, row, first)
  for stage, count in ipairs(row) do
    for i = 1, count do
      local name = ("conv%d_block%d"):format(stage + 1, i)
      local filters = first << (stage - 1)
      if row.v2 then
        unit_v2(b, name, filters, i == count and stage < #row and 2 or 1, i == 1)
      else
        unit(b, name, filters, i == 1 and stage > 1 and 2 or 1, i == 1)
      end
    end
  end
end


local function build(name, opts)
  local b, row = Blocks.new(), rows[name]
  local first = math.max(1, math.floor(64 * (opts.width or 1)))
  b:add { "conv1_conv", "conv2d", filters = first, kernel = 7, stride = 2, padding = 3 }
  if not row.v2 then
    b:add { "conv1_bn", "batch_norm", eps = eps }
    b:add { "conv1_relu", "relu" }
  end
  b:add { "pool1_pad", "pad", before = { 0, 0, 1, 1 }, after = { 0, 0, 1, 1 } }
  b:add { "pool1_pool", "max_pool2d", kernel = 3, stride = 2 }
  stages(b, row, first)
  if row.v2 then
    b:add { "post_bn", "batch_norm", eps = eps }
    b:add { "post_relu", "relu" }
  end
  b:classify("predictions", opts.classes or 1000, "avg_pool")
  return b:arch(name, opts, 224, row.v2 and "tf" or "caffe")
end


return Blocks.family(rows, build)
