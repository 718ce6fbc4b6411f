---RegNet X and Y (Radosavovic et al. 2020, "Designing network design spaces"), names
---as torchvision has them: stages of residual units whose 3x3 convolution is grouped;
---those of Y squeeze and excite.
local Blocks = require "lunette.models.blocks"


---Depth, then what the widths of the units come from: first width, slope, ratio; the
---channels of a group.
local rows = {
  regnet_x_400mf = { 22, 24, 24.48, 2.54, 16 },
  regnet_x_800mf = { 16, 56, 35.73, 2.28, 16 },
  regnet_x_1_6gf = { 18, 80, 34.01, 2.25, 24 },
  regnet_x_3_2gf = { 25, 88, 26.31, 2.25, 48 },
  regnet_x_8gf = { 23, 80, 49.56, 2.88, 120 },
  regnet_x_16gf = { 22, 216, 55.59, 2.1, 128 },
  regnet_x_32gf = { 23, 320, 69.86, 2.0, 168 },
  regnet_y_400mf = { 16, 48, 27.89, 2.09, 8 },
  regnet_y_800mf = { 14, 56, 38.84, 2.4, 16 },
  regnet_y_1_6gf = { 27, 48, 20.71, 2.65, 24 },
  regnet_y_3_2gf = { 21, 80, 42.63, 2.66, 24 },
  regnet_y_8gf = { 17, 192, 76.82, 2.19, 56 },
  regnet_y_16gf = { 18, 200, 106.23, 2.48, 112 },
  regnet_y_32gf = { 20, 232, 115.89, 2.53, 232 },
  regnet_y_128gf = { 27, 456, 160.83, 2.52, 264 },
}


---The nearest whole number, of two the even one, as torch and Python round.
local function round(x)
  local n = math.floor(x + 0.5)
  return n - x == 0.5 and n % 2 == 1 and n - 1 or n
end


---A width that whole groups fill, at most a tenth less.
local function fill_groups(width, group)
  local n = math.max(group, (width + group // 2) // group * group)
  return n < 0.9 * width and n + group or n
end


---The stages: units whose width is first ratio^k, k the nearest to what grows by the
---slope, in steps of 8, and filled up to whole groups.
---@return { channels: integer, group: integer, units: integer }[]
local function stages_of(row)
  local depth, first, slope, ratio, group = table.unpack(row)
  local list, before = {}, nil
  for i = 0, depth - 1 do
    local k = round(math.log((first + i * slope) / first) / math.log(ratio))
    local width = 8 * round(first * ratio ^ k / 8)
    if width ~= before then
      local g = math.min(group, width)
      list[#list + 1] = { channels = fill_groups(width, g), group = g, units = 0 }
    end
    list[#list].units, before = list[#list].units + 1, width
  end
  return list
end


local function conv(b, name, filters, kernel, o)
  return b:conv_bn { name .. ".0", bn = name .. ".1", filters = filters,
                     kernel = kernel, stride = o.stride, groups = o.groups,
                     from = o.from, act = o.act and "relu" or nil,
                     act_name = name .. ".2" }
end


---1x1, grouped 3x3, (squeeze and excite,) 1x1, added to what came in or its projection.
local function unit(b, name, u)
  local from, f = b.last, name .. ".f."
  local kept = u.input == u.width and not u.stride
  local x = kept and from
    or conv(b, name .. ".proj", u.width, 1, { stride = u.stride, from = from })
  conv(b, f .. "a", u.width, 1, { act = true, from = from })
  conv(b, f .. "b", u.width, 3, { act = true, stride = u.stride,
                                  groups = u.width // u.group })
  if u.excite then
    b:excite(f .. "se", { from = b.last, channels = u.width, act = "relu",
                          squeeze = round(u.input / 4), gate = "sigmoid" })
  end
  local y = conv(b, f .. "c", u.width, 1, {})
  b:add { name .. ".add", "add", from = { x, y } }
  b:add { name .. ".activation", "relu", aliases = { name } }
end


---`stages` are others than the row's.
local function build(name, opts)
  local b, input, excite = Blocks.new(), 32, name:find "_y_" ~= nil
  conv(b, "stem", input, 3, { act = true, stride = 2 })
  for s, stage in ipairs(opts.stages or stages_of(rows[name])) do
    for i = 1, stage.units do
      unit(b, ("trunk_output.block%d.block%d-%d"):format(s, s, i - 1), {
        input = input, width = stage.channels, group = stage.group, excite = excite,
        stride = i == 1 and 2 or nil })
      input = stage.channels
    end
  end
  b:classify("fc", opts.classes or 1000)
  return b:arch(opts.stages and name:match "^regnet_%a" or name, opts)
end


return Blocks.family(rows, build)
