---ResNet (He et al. 2015), ResNeXt (Xie et al. 2016) and Wide ResNet (Zagoruyko &
---Komodakis 2016), names as torchvision has them; those for pictures of 32x32 as
---pytorch-cifar (`resnet18_cifar`) has them, with the names of pytorch-cifar100 as
---aliases, or, of three stages from 16 channels on, the paper (`resnet20_cifar`).
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
  resnet18_cifar = { 2, 2, 2, 2, small = true },
  resnet34_cifar = { 3, 4, 6, 3, small = true },
  resnet50_cifar = { 3, 4, 6, 3, deep = true, small = true },
  resnet101_cifar = { 3, 4, 23, 3, deep = true, small = true },
  resnet152_cifar = { 3, 8, 36, 3, deep = true, small = true },
}

---The paper's for pictures of 32x32: shortcuts without parameters (option A), or with
---projections (option B, `_b`).
for depth, count in pairs { [20] = 3, [32] = 5, [44] = 7, [56] = 9, [110] = 18 } do
  rows[("resnet%d_cifar"):format(depth)] = { count, count, count, small = true,
                                             first = 16, padded = true }
  rows[("resnet%d_cifar_b"):format(depth)] = { count, count, count, small = true,
                                               first = 16 }
end

---What pytorch-cifar takes off its pictures, 0 .. 1.
local cifar = { order = "rgb", scale = 1 / 255, mean = { 0.4914, 0.4822, 0.4465 },
                std = { 0.2023, 0.1994, 0.2010 } }


---Every second row and column, and channels of zeros before and behind (He et al. 2015,
---option A).
local function padded(b, name, u)
  local more = u.out // 4
  b:add { name .. ".shortcut.sub", "max_pool2d", kernel = 1, stride = u.stride,
          from = u.from }
  return b:add { name .. ".shortcut", "pad", before = { 0, more, 0, 0 },
                 after = { 0, more, 0, 0 } }
end


---pytorch-cifar100's names of the convolution and the batch norm that were added last:
---`part` and the one behind it, of a sequence.
local function also_named(b, u, sequence, part)
  for i, layer in ipairs { b.layers[#b.layers - 1], b.layers[#b.layers] } do
    layer.aliases = layer.aliases or {}
    table.insert(layer.aliases, ("%s%s.%d"):format(u.other, sequence, part + i - 1))
  end
end


---What the residual is added to: x, or its projection where shapes differ.
local function shortcut_of(b, name, u)
  if not u.project then return u.from end
  if u.padded then return padded(b, name, u) end
  local torch = name .. ".downsample"
  local short = u.small and name .. ".shortcut" or torch
  b:conv_bn { short .. ".0", bn = short .. ".1", filters = u.out, kernel = 1,
              stride = u.stride, from = u.from }
  if u.small then
    b.layers[#b.layers - 1].aliases = { torch .. ".0" }
    b.layers[#b.layers].aliases = { torch .. ".1" }
    also_named(b, u, "shortcut", 0)
  end
  return b.last
end


---conv, bn, relu and the last conv and bn of a unit.
local function residual(b, name, u)
  local function part(i, filters, kernel, o)
    local last = i == #u.parts
    b:conv_bn { ("%s.conv%d"):format(name, i), bn = ("%s.bn%d"):format(name, i),
                filters = filters, kernel = kernel, stride = o.stride,
                groups = o.groups, from = o.from }
    if u.small then also_named(b, u, "residual_function", 3 * (i - 1)) end
    if not last then b:add { ("%s.relu%d"):format(name, i), "relu" } end
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
  local other = u.small and u.other:gsub("%.$", "") or nil
  b:add { ("%s.relu%d"):format(name, #u.parts), "relu", aliases = { name, other } }
end


---conv2_x to conv5_x of the paper's table.
local function stages(b, row, first)
  local expansion = row.deep and 4 or 1
  for stage, count in ipairs(row) do
    local base = first << (stage - 1)
    for i = 1, count do
      local down = stage > 1 and i == 1
      unit(b, ("layer%d.%d"):format(stage, i - 1), row, base, {
        from = b.last, stride = down and 2 or nil, out = base * expansion,
        project = i == 1 and (down or row.deep), small = row.small,
        padded = row.padded, other = ("conv%d_x.%d."):format(stage + 1, i - 1) })
    end
  end
end


---The first convolution: 7x7 and a pooling, or 3x3 in the size of the picture.
local function stem(b, small, first)
  b:conv_bn { "conv1", bn = "bn1", filters = first, kernel = small and 3 or 7,
              stride = small and 1 or 2, aliases = small and { "conv1.0" } }
  if small then b.layers[#b.layers].aliases = { "conv1.1" } end
  b:add { "relu", "relu" }
  if not small then
    b:add { "maxpool", "max_pool2d", kernel = 3, stride = 2, padding = 1 }
  end
end


local function build(name, opts)
  local b, row = Blocks.new(), rows[name]
  local first = math.max(1, math.floor((row.first or 64) * (opts.width or 1)))
  stem(b, row.small, first)
  stages(b, row, first)
  if not row.small then
    b:classify("fc", opts.classes or 1000)
    return b:arch(name, opts)
  end
  b:classify("linear", opts.classes or 10)
  b.layers[#b.layers - 1].aliases = { "fc" }
  local arch = b:arch(name, opts, 32, cifar)
  arch.labels = nil
  return arch
end


return Blocks.family(rows, build)
