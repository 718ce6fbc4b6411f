---ResNet (He et al. 2015), ResNeXt (Xie et al. 2016) and Wide ResNet (Zagoruyko &
---Komodakis 2016), names as torchvision has them.
local Blocks = require "lunette.models.blocks"


---Units a stage; `deep` units have three convolutions, whose middle one has `groups`
---groups and `width` channels a group of 64.
local rows = {
  resnet18 = { 2, 2, 2, 2 }, resnet34 = { 3, 4, 6, 3 },
  resnet50 = { 3, 4, 6, 3, deep = true }, resnet101 = { 3, 4, 23, 3, deep = true },
  resnet152 = { 3, 8, 36, 3, deep = true },
  resnext50_32x4d = { 3, 4, 6, 3, deep = true, groups = 32, width = 4 },
  resnext101_32x8d = { 3, 4, 23, 3, deep = true, groups = 32, width = 8 },
  resnext101_64x4d = { 3, 4, 23, 3, deep = true, groups = 64, width = 4 },
  wide_resnet50_2 = { 3, 4, 6, 3, deep = true, width = 128 },
  wide_resnet101_2 = { 3, 4, 23, 3, deep = true, width = 128 },
}


---What the residual is added to: x, or its projection where shapes differ.
local function shortcut_of(b, name, u)
  if not u.project then return u.from end
  return b:conv_bn { name .. ".downsample.0", bn = name .. ".downsample.1",
                     filters = u.out, kernel = 1, stride = u.stride, from = u.from }
end


---conv, bn, relu and the last conv and bn of a unit.
local function residual(b, name, u)
  local function part(i, filters, kernel, o)
    local last = i == #u.parts
    b:conv_bn { ("%s.conv%d"):format(name, i), bn = ("%s.bn%d"):format(name, i),
                filters = filters, kernel = kernel, stride = o.stride,
                groups = o.groups, from = o.from, act = not last and "relu" or nil,
                act_name = ("%s.relu%d"):format(name, i) }
  end
  for i, p in ipairs(u.parts) do
    part(i, p[1], p[2], { stride = p.stride, groups = p.groups,
                          from = i == 1 and u.from or nil })
  end
  return b.last
end


---A unit's convolutions: filters and kernel of each.
local function parts_of(row, base, stride)
  if not row.deep then return { { base, 3, stride = stride }, { base, 3 } } end
  local groups = row.groups or 1
  local width = base * (row.width or 64) // 64 * groups
  return { { width, 1 }, { width, 3, stride = stride, groups = groups },
           { 4 * base, 1 } }
end


local function unit(b, name, row, base, u)
  u.parts = parts_of(row, base, u.stride)
  local inner = residual(b, name, u)
  b:add { name .. ".add", "add", from = { inner, shortcut_of(b, name, u) } }
  b:add { ("%s.relu%d"):format(name, #u.parts), "relu", aliases = { name } }
end


---conv2_x to conv5_x of the paper's table.
local function stages(b, row)
  local expansion = row.deep and 4 or 1
  for stage, count in ipairs(row) do
    local base = 64 << (stage - 1)
    for i = 1, count do
      local down = stage > 1 and i == 1
      unit(b, ("layer%d.%d"):format(stage, i - 1), row, base, {
        from = b.last, stride = down and 2 or nil, out = base * expansion,
        project = i == 1 and (down or row.deep) })
    end
  end
end


local function build(name, opts)
  local b = Blocks.new()
  b:conv_bn { "conv1", bn = "bn1", filters = 64, kernel = 7, stride = 2, act = "relu",
              act_name = "relu" }
  b:add { "maxpool", "max_pool2d", kernel = 3, stride = 2, padding = 1 }
  stages(b, rows[name])
  b:classify("fc", opts.classes or 1000)
  return b:arch(name, opts)
end


return Blocks.family(rows, build)
