---Inception V3 (Szegedy et al. 2015, "Rethinking the Inception architecture"), names as
---torchvision has them. Its auxiliary head serves training alone and is left out.
---
---A module is a list of branches, a branch a list of convolutions `{ name, filters,
---kernel, stride }`, the first of which reads the module's input. A branch that ends in
---`fork` is two convolutions side by side; one of `pool` begins with a pooling.
local Blocks = require "lunette.models.blocks"

local M = {}

local ACROSS, DOWN = { 1, 7 }, { 7, 1 } -- a 7x7 in two steps


local function average(channels)
  return { pool = "avg_pool2d", { "branch_pool", channels, 1 } }
end


---35x35: 1x1, 5x5, two 3x3, pooling.
local function module_a(channels)
  return {
    { { "branch1x1", 64, 1 } },
    { { "branch5x5_1", 48, 1 }, { "branch5x5_2", 64, 5 } },
    { { "branch3x3dbl_1", 64, 1 }, { "branch3x3dbl_2", 96, 3 },
      { "branch3x3dbl_3", 96, 3 } },
    average(channels),
  }
end


---17x17: 7x7 in steps of 1x7 and 7x1, of `c` channels.
local function module_c(c)
  return {
    { { "branch1x1", 192, 1 } },
    { { "branch7x7_1", c, 1 }, { "branch7x7_2", c, ACROSS },
      { "branch7x7_3", 192, DOWN } },
    { { "branch7x7dbl_1", c, 1 }, { "branch7x7dbl_2", c, DOWN },
      { "branch7x7dbl_3", c, ACROSS }, { "branch7x7dbl_4", c, DOWN },
      { "branch7x7dbl_5", 192, ACROSS } },
    average(192),
  }
end


---8x8: branches that fork into 1x3 and 3x1.
local function module_e()
  local function fork(name)
    return { { name .. "a", 384, { 1, 3 } }, { name .. "b", 384, { 3, 1 } } }
  end
  return {
    { { "branch1x1", 320, 1 } },
    { { "branch3x3_1", 384, 1 }, fork = fork "branch3x3_2", name = "branch3x3" },
    { { "branch3x3dbl_1", 448, 1 }, { "branch3x3dbl_2", 384, 3 },
      fork = fork "branch3x3dbl_3", name = "branch3x3dbl" },
    average(192),
  }
end


---From 35x35 to 17x17, and from there to 8x8.
local module_b = {
  { { "branch3x3", 384, 3, 2 } },
  { { "branch3x3dbl_1", 64, 1 }, { "branch3x3dbl_2", 96, 3 },
    { "branch3x3dbl_3", 96, 3, 2 } },
  { pool = "max_pool2d" },
}
local module_d = {
  { { "branch3x3_1", 192, 1 }, { "branch3x3_2", 320, 3, 2 } },
  { { "branch7x7x3_1", 192, 1 }, { "branch7x7x3_2", 192, ACROSS },
    { "branch7x7x3_3", 192, DOWN }, { "branch7x7x3_4", 192, 3, 2 } },
  { pool = "max_pool2d" },
}

local modules = {
  { "Mixed_5b", module_a(32) }, { "Mixed_5c", module_a(64) },
  { "Mixed_5d", module_a(64) }, { "Mixed_6a", module_b },
  { "Mixed_6b", module_c(128) }, { "Mixed_6c", module_c(160) },
  { "Mixed_6d", module_c(160) }, { "Mixed_6e", module_c(192) },
  { "Mixed_7a", module_d }, { "Mixed_7b", module_e() }, { "Mixed_7c", module_e() },
}


---`name.conv`, `name.bn`, `name.relu`; one with a stride has no padding.
local function conv(b, name, filters, kernel, o)
  return b:conv_bn { name .. ".conv", bn = name .. ".bn", filters = filters,
                     kernel = kernel, stride = o.stride, from = o.from,
                     padding = o.padding or o.stride and 0 or nil, eps = 1e-3,
                     act = "relu", act_name = name .. ".relu" }
end


---A convolution of a branch, given as its row.
local function step(b, name, row, from)
  return conv(b, name .. "." .. row[1], row[2], row[3],
              { stride = row[4], from = from })
end


local function pooled(b, name, branch, from)
  local fine = branch.pool == "avg_pool2d"
  return b:add { name .. ".pool", branch.pool, kernel = 3, stride = fine and 1 or 2,
                 padding = fine and 1 or 0, from = from }
end


local function add_branch(b, name, branch, from)
  local last = from
  if branch.pool then last = pooled(b, name, branch, from) end
  for _, row in ipairs(branch) do last = step(b, name, row, last) end
  if not branch.fork then return last end
  local parts = {}
  for i, row in ipairs(branch.fork) do
    parts[i] = step(b, name, row, last)
  end
  return b:add { ("%s.%s.concat"):format(name, branch.name), "concat", from = parts }
end


local function add_module(b, name, branches)
  local from, parts = b.last, {}
  for i, branch in ipairs(branches) do parts[i] = add_branch(b, name, branch, from) end
  b:add { name .. ".concat", "concat", from = parts, aliases = { name } }
end


---The layers of Inception V3, as a table for lu.net. Its published weights want
---pictures from -1 to 1 (torchvision converts them inside, by `transform_input`).
---@param opts? { classes?: integer, side?: integer|table,
---  preprocessing?: string|table }
---@return table
function M.inception_v3(opts)
  opts = opts or {}
  local b = Blocks.new()
  local function pool(name) b:add { name, "max_pool2d", kernel = 3, stride = 2 } end
  conv(b, "Conv2d_1a_3x3", 32, 3, { stride = 2 })
  conv(b, "Conv2d_2a_3x3", 32, 3, { padding = 0 })
  conv(b, "Conv2d_2b_3x3", 64, 3, {})
  pool "maxpool1"
  conv(b, "Conv2d_3b_1x1", 80, 1, {})
  conv(b, "Conv2d_4a_3x3", 192, 3, { padding = 0 })
  pool "maxpool2"
  for _, row in ipairs(modules) do add_module(b, row[1], row[2]) end
  b:classify("fc", opts.classes or 1000)
  return b:arch("inception_v3", opts, 299, Blocks.from_minus_1)
end

return M
