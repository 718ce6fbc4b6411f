---ShuffleNet V2 (Ma et al. 2018), names as torchvision has them: half of the channels
---go by, the other half through a depthwise unit, then both are shuffled.
local Blocks = require "lunette.models.blocks"


---Channels of the stages and of the last convolution.
local widths = {
  shufflenet_v2_x0_5 = { 48, 96, 192, 1024 },
  shufflenet_v2_x1_0 = { 116, 232, 464, 1024 },
  shufflenet_v2_x1_5 = { 176, 352, 704, 1024 },
  shufflenet_v2_x2_0 = { 244, 488, 976, 2048 },
}
local repeats = { 4, 8, 4 }


---Convolutions `{ filters, kernel, stride, act }` of a branch, numbered as torch's
---Sequential counts convolution, norm and activation.
local function branch(b, name, from, list)
  local at = 0
  for i, row in ipairs(list) do
    local c = ("%s.%d"):format(name, at)
    b:conv_bn { c, bn = ("%s.%d"):format(name, at + 1), filters = row[1],
                kernel = row[2], stride = row[3], groups = row[2] > 1 and row[1] or 1,
                from = i == 1 and from or nil, act = row.act and "relu" or nil,
                act_name = ("%s.%d"):format(name, at + 2) }
    at = at + (row.act and 3 or 2)
  end
  return b.last
end


---Channel shuffle of two groups: (2, c/2) becomes (c/2, 2).
local function shuffle(b, name, u)
  local h, w = u.side[1], u.side[2]
  b:add { name .. ".groups", "reshape", shape = { 2, u.output // 2, h, w } }
  b:add { name .. ".swapped", "permute", dims = { 1, 3, 2, 4, 5 } }
  b:add { name .. ".shuffled", "reshape", shape = { u.output, h, w },
          aliases = { name } }
end


---The unit that halves the sides: both branches read everything.
local function down_unit(b, name, u)
  local from, half = b.last, u.output // 2
  local a = branch(b, name .. ".branch1", from,
                   { { u.input, 3, 2 }, { half, 1, act = true } })
  local c = branch(b, name .. ".branch2", from,
                   { { half, 1, act = true }, { half, 3, 2 }, { half, 1, act = true } })
  b:add { name .. ".concat", "concat", from = { a, c } }
  shuffle(b, name, u)
end


local function unit(b, name, u)
  local from, half = b.last, u.output // 2
  b:add { name .. ".passed", "narrow", dim = 2, start = 1, length = half }
  b:add { name .. ".taken", "narrow", dim = 2, start = half + 1, length = half,
          from = from }
  local c = branch(b, name .. ".branch2", name .. ".taken",
                   { { half, 1, act = true }, { half, 3 }, { half, 1, act = true } })
  b:add { name .. ".concat", "concat", from = { name .. ".passed", c } }
  shuffle(b, name, u)
end


---Sides of a map that a stride of 2 keeps, `times` times.
local function halved(side, times)
  for _ = 1, times do side = { (side[1] + 1) // 2, (side[2] + 1) // 2 } end
  return side
end


local function build(name, opts)
  local b, width, input = Blocks.new(), widths[name], 24
  local side = opts.side or 224
  side = type(side) == "table" and side or { side, side }
  b:conv_bn { "conv1.0", bn = "conv1.1", filters = input, kernel = 3, stride = 2,
              act = "relu", act_name = "conv1.2" }
  b:add { "maxpool", "max_pool2d", kernel = 3, stride = 2, padding = 1 }
  for stage, count in ipairs(repeats) do
    local u = { input = input, output = width[stage], side = halved(side, stage + 2) }
    for i = 1, count do
      local make = i == 1 and down_unit or unit
      make(b, ("stage%d.%d"):format(stage + 1, i - 1), u)
    end
    input = width[stage]
  end
  b:conv_bn { "conv5.0", bn = "conv5.1", filters = width[4], kernel = 1, act = "relu",
              act_name = "conv5.2" }
  b:classify("fc", opts.classes or 1000)
  return b:arch(name, opts)
end


return Blocks.family(widths, build)
