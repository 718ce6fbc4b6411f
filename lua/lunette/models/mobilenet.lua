---MobileNet V2 (Sandler et al. 2018) and V3 (Howard et al. 2019), names as torchvision
---has them: narrow ends, a wide depthwise middle.
local Blocks = require "lunette.models.blocks"

local M = {}
local round8 = Blocks.round8


---Expansion, channels, repeats, stride.
local v2 = { { 1, 16, 1, 1 }, { 6, 24, 2, 2 }, { 6, 32, 3, 2 }, { 6, 64, 4, 2 },
             { 6, 96, 3, 1 }, { 6, 160, 3, 2 }, { 6, 320, 1, 1 } }


---Inverted residual of V2: expand (unless by 1), depthwise, project.
local function inverted(b, name, o)
  local from, at, wide = b.last, 0, o.input * o.expand
  local conv = name .. ".conv."
  if o.expand ~= 1 then
    b:conv_bn { conv .. "0.0", bn = conv .. "0.1", filters = wide, kernel = 1,
                act = "relu6", act_name = conv .. "0.2" }
    at = 1
  end
  local d = conv .. at
  b:conv_bn { d .. ".0", bn = d .. ".1", filters = wide, kernel = 3, groups = wide,
              stride = o.stride, act = "relu6", act_name = d .. ".2" }
  b:conv_bn { conv .. at + 1, bn = conv .. at + 2, filters = o.output, kernel = 1 }
  b:residual(name, from, o.stride == 1 and o.input == o.output)
end


---The layers of MobileNet V2, as a table for lu.net.
---@param opts? { classes?: integer, side?: integer|table, width?: number,
---  preprocessing?: string|table }
---@return table
function M.mobilenet_v2(opts)
  opts = opts or {}
  local b, width, at = Blocks.new(), opts.width or 1, 0
  local input = round8(32 * width)
  b:conv_bn { "features.0.0", bn = "features.0.1", filters = input, kernel = 3,
              stride = 2, act = "relu6", act_name = "features.0.2" }
  for _, row in ipairs(v2) do
    local output = round8(row[2] * width)
    for i = 1, row[3] do
      at = at + 1
      inverted(b, "features." .. at, { input = input, output = output, expand = row[1],
                                       stride = i == 1 and row[4] or 1 })
      input = output
    end
  end
  b:conv_bn { "features.18.0", bn = "features.18.1",
              filters = round8(1280 * math.max(1, width)), kernel = 1, act = "relu6",
              act_name = "features.18.2" }
  b:classify("classifier.1", opts.classes or 1000)
  return b:arch("mobilenet_v2", opts)
end


---Kernel, expanded channels, channels, squeeze and excite, activation, stride.
local RE, HS = "relu", "hard_swish"
local v3 = {
  mobilenet_v3_large = {
    { 3, 16, 16, false, RE, 1 }, { 3, 64, 24, false, RE, 2 },
    { 3, 72, 24, false, RE, 1 }, { 5, 72, 40, true, RE, 2 },
    { 5, 120, 40, true, RE, 1 }, { 5, 120, 40, true, RE, 1 },
    { 3, 240, 80, false, HS, 2 },
    { 3, 200, 80, false, HS, 1 }, { 3, 184, 80, false, HS, 1 },
    { 3, 184, 80, false, HS, 1 }, { 3, 480, 112, true, HS, 1 },
    { 3, 672, 112, true, HS, 1 }, { 5, 672, 160, true, HS, 2 },
    { 5, 960, 160, true, HS, 1 }, { 5, 960, 160, true, HS, 1 }, last = 1280 },
  mobilenet_v3_small = { { 3, 16, 16, true, RE, 2 }, { 3, 72, 24, false, RE, 2 },
    { 3, 88, 24, false, RE, 1 }, { 5, 96, 40, true, HS, 2 },
    { 5, 240, 40, true, HS, 1 },
    { 5, 240, 40, true, HS, 1 }, { 5, 120, 48, true, HS, 1 },
    { 5, 144, 48, true, HS, 1 }, { 5, 288, 96, true, HS, 2 },
    { 5, 576, 96, true, HS, 1 }, { 5, 576, 96, true, HS, 1 }, last = 1024 },
}


---A convolution, batch norm (eps 1e-3) and activation: `name.0`, `.1`, `.2`.
local function v3_conv(b, name, filters, kernel, o)
  b:conv_bn { name .. ".0", bn = name .. ".1", filters = filters, kernel = kernel,
              stride = o.stride, groups = o.groups, eps = 1e-3,
              act = o.act, act_name = name .. ".2" }
end


local function v3_block(b, name, row, input)
  local kernel, wide, output, se, act, stride = table.unpack(row)
  local from, at = b.last, 0
  local function next_name()
    at = at + 1
    return ("%s.block.%d"):format(name, at - 1)
  end
  if wide ~= input then v3_conv(b, next_name(), wide, 1, { act = act }) end
  v3_conv(b, next_name(), wide, kernel, { act = act, stride = stride, groups = wide })
  if se then
    b:excite(next_name(), { from = b.last, channels = wide, squeeze = round8(wide / 4),
                            act = "relu", gate = "hard_sigmoid" })
  end
  v3_conv(b, next_name(), output, 1, {})
  b:residual(name, from, stride == 1 and input == output)
  return output
end


---A row with its channels `width` times as many.
local function widened(row, width)
  local kernel, wide, output, se, act, stride = table.unpack(row)
  return { kernel, round8(wide * width), round8(output * width), se, act, stride }
end


local function build_v3(name, opts)
  local b, rows, width = Blocks.new(), v3[name], opts.width or 1
  local channels = round8(16 * width)
  v3_conv(b, "features.0", channels, 3, { act = HS, stride = 2 })
  for i, row in ipairs(rows) do
    channels = v3_block(b, "features." .. i, widened(row, width), channels)
  end
  v3_conv(b, "features." .. #rows + 1, 6 * channels, 1, { act = HS })
  b:add { "avgpool", "global_avg_pool" }
  b:add { "flatten", "flatten" }
  b:add { "classifier.0", "linear", units = round8(rows.last * width) }
  b:add { "classifier.1", "hard_swish" }
  b:add { "classifier.3", "linear", units = opts.classes or 1000 }
  b:add { "softmax", "softmax" }
  return b:arch(name, opts)
end


for name, build in pairs(Blocks.family(v3, build_v3)) do M[name] = build end

return M
