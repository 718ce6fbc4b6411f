---EfficientNet B0 to B7 (Tan & Le 2019), names as torchvision has them: inverted
---residuals with squeeze and excite, scaled in width and depth together.
local Blocks = require "lunette.models.blocks"

local round8 = Blocks.round8

---Width, depth, side, batch norm's eps.
local scales = {
  efficientnet_b0 = { 1.0, 1.0, 224 }, efficientnet_b1 = { 1.0, 1.1, 240 },
  efficientnet_b2 = { 1.1, 1.2, 288 }, efficientnet_b3 = { 1.2, 1.4, 300 },
  efficientnet_b4 = { 1.4, 1.8, 380 }, efficientnet_b5 = { 1.6, 2.2, 456, 1e-3 },
  efficientnet_b6 = { 1.8, 2.6, 528, 1e-3 }, efficientnet_b7 = { 2.0, 3.1, 600, 1e-3 },
}

---Expansion, kernel, stride, channels, repeats.
local stages = { { 1, 3, 1, 16, 1 }, { 6, 3, 2, 24, 2 }, { 6, 5, 2, 40, 2 },
                 { 6, 3, 2, 80, 3 }, { 6, 5, 1, 112, 3 }, { 6, 5, 2, 192, 4 },
                 { 6, 3, 1, 320, 1 } }


local function conv(b, name, filters, kernel, o)
  b:conv_bn { name .. ".0", bn = name .. ".1", filters = filters, kernel = kernel,
              stride = o.stride, groups = o.groups, eps = o.eps,
              act = o.act and "silu" or nil, act_name = name .. ".2" }
end


---Expand (unless by 1), depthwise, squeeze and excite, project; added where it fits.
local function block(b, name, o)
  local from, at, wide = b.last, 0, round8(o.input * o.expand)
  local function next_name()
    at = at + 1
    return ("%s.block.%d"):format(name, at - 1)
  end
  if wide ~= o.input then conv(b, next_name(), wide, 1, { act = true, eps = o.eps }) end
  conv(b, next_name(), wide, o.kernel, { act = true, stride = o.stride, groups = wide,
                                         eps = o.eps })
  b:excite(next_name(), { from = b.last, channels = wide, act = "silu",
                          squeeze = math.max(1, o.input // 4), gate = "sigmoid" })
  conv(b, next_name(), o.output, 1, { eps = o.eps })
  b:residual(name, from, o.stride == 1 and o.input == o.output)
end


local function build(name, opts)
  local width, depth, side, eps = table.unpack(scales[name], 1, 4)
  local b, input = Blocks.new(), round8(32 * width)
  conv(b, "features.0", input, 3, { act = true, stride = 2, eps = eps })
  for s, row in ipairs(stages) do
    local output = round8(row[4] * width)
    for i = 1, math.ceil(row[5] * depth) do
      block(b, ("features.%d.%d"):format(s, i - 1), {
        input = input, output = output, expand = row[1], kernel = row[2],
        stride = i == 1 and row[3] or 1, eps = eps })
      input = output
    end
  end
  conv(b, "features.8", 4 * input, 1, { act = true, eps = eps })
  b:classify("classifier.1", opts.classes or 1000)
  return b:arch(name, opts, side)
end


return Blocks.family(scales, build)
