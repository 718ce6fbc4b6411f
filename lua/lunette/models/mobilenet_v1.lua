---MobileNet (Howard et al. 2017), names as Keras has them: a depthwise 3x3, then a 1x1,
---thirteen times. A stride of 2 pads below and to the right alone, as TensorFlow does.
local Blocks = require "lunette.models.blocks"

local M = {}

---Channels and stride of the thirteen.
local rows = { { 64, 1 }, { 128, 2 }, { 128, 1 }, { 256, 2 }, { 256, 1 }, { 512, 2 },
               { 512, 1 }, { 512, 1 }, { 512, 1 }, { 512, 1 }, { 512, 1 },
               { 1024, 2 }, { 1024, 1 } }


---`name`, `name_bn`, `name_relu`.
local function conv(b, name, o)
  b:add { name, "conv2d", filters = o.filters, kernel = o.kernel, bias = false,
          groups = o.groups, stride = o.stride ~= 1 and o.stride or nil,
          padding = o.kernel > 1 and (o.stride == 1 and 1 or 0) or nil,
          padding_end = o.stride == 2 and 1 or nil }
  b:add { name .. "_bn", "batch_norm", eps = 1e-3 }
  b:add { name .. "_relu", "relu6" }
end


---The layers of MobileNet, as a table for lu.net: `width` is Keras' alpha (1, 0.75, 0.5
---or 0.25).
---@param opts? { classes?: integer, side?: integer|table, width?: number,
---  preprocessing?: string|table }
---@return table
function M.mobilenet(opts)
  opts = opts or {}
  local b, width = Blocks.new(), opts.width or 1
  local channels = math.floor(32 * width)
  conv(b, "conv1", { filters = channels, kernel = 3, stride = 2 })
  for i, row in ipairs(rows) do
    conv(b, "conv_dw_" .. i, { filters = channels, kernel = 3, stride = row[2],
                               groups = channels })
    channels = math.floor(row[1] * width)
    conv(b, "conv_pw_" .. i, { filters = channels, kernel = 1, stride = 1 })
  end
  b:add { "global_average_pooling2d", "global_avg_pool" }
  b:add { "conv_preds", "conv2d", filters = opts.classes or 1000, kernel = 1 }
  b:add { "flatten", "flatten", aliases = { "reshape_2" } }
  b:add { "softmax", "softmax", aliases = { "act_softmax", "predictions" } }
  return b:arch("mobilenet", opts, 224, "tf")
end

return M
