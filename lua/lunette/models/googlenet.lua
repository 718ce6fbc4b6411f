---GoogLeNet (Szegedy et al. 2014, "Going deeper with convolutions") as torchvision has
---it: with batch norm, and 3x3 convolutions where the paper has 5x5. Its two auxiliary
---heads serve training alone and are left out.
local Blocks = require "lunette.models.blocks"

local M = {}

---Channels of a module's branches: 1x1; 1x1, 3x3; 1x1, 3x3; 1x1 behind the pooling.
---"pool" is one of that window between modules.
local rows = {
  { "inception3a", 64, 96, 128, 16, 32, 32 },
  { "inception3b", 128, 128, 192, 32, 96, 64 },
  { "maxpool3", pool = 3 },
  { "inception4a", 192, 96, 208, 16, 48, 64 },
  { "inception4b", 160, 112, 224, 24, 64, 64 },
  { "inception4c", 128, 128, 256, 24, 64, 64 },
  { "inception4d", 112, 144, 288, 32, 64, 64 },
  { "inception4e", 256, 160, 320, 32, 128, 128 },
  { "maxpool4", pool = 2 },
  { "inception5a", 256, 160, 320, 32, 128, 128 },
  { "inception5b", 384, 192, 384, 48, 128, 128 },
}


---Adds a convolution, its batch norm and its relu: `name.conv`, `name.bn`, `name.relu`.
local function conv(b, name, filters, kernel, o)
  return b:conv_bn { name .. ".conv", bn = name .. ".bn", filters = filters,
                     kernel = kernel, stride = o and o.stride, from = o and o.from,
                     eps = 1e-3, act = "relu", act_name = name .. ".relu" }
end


local function pool(b, name, kernel)
  b:add { name, "max_pool2d", kernel = kernel, stride = 2, ceil_mode = true }
end


---Four ways through a map, side by side.
local function module(b, row)
  local from, name = b.last, row[1]
  local parts = { conv(b, name .. ".branch1", row[2], 1) }
  for i = 2, 3 do
    local branch = ("%s.branch%d."):format(name, i)
    conv(b, branch .. "0", row[2 * i - 1], 1, { from = from })
    parts[i] = conv(b, branch .. "1", row[2 * i], 3)
  end
  b:add { name .. ".branch4.0", "max_pool2d", kernel = 3, stride = 1, padding = 1,
          from = from }
  parts[4] = conv(b, name .. ".branch4.1", row[7], 1)
  b:add { name .. ".concat", "concat", from = parts, aliases = { name } }
end


---The layers of GoogLeNet, as a table for lu.net. Its published weights want pictures
---from -1 to 1 (torchvision converts them inside, by `transform_input`).
---@param opts? { classes?: integer, side?: integer|table,
---  preprocessing?: string|table }
---@return table
function M.googlenet(opts)
  opts = opts or {}
  local b = Blocks.new()
  conv(b, "conv1", 64, 7, { stride = 2 })
  pool(b, "maxpool1", 3)
  conv(b, "conv2", 64, 1)
  conv(b, "conv3", 192, 3)
  pool(b, "maxpool2", 3)
  for _, row in ipairs(rows) do
    if row.pool then pool(b, row[1], row.pool) else module(b, row) end
  end
  b:classify("fc", opts.classes or 1000)
  return b:arch("googlenet", opts, nil, Blocks.from_minus_1)
end

return M
