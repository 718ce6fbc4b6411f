---VGGs: their convolutions by names, and behind them any head of dense layers. What the
---names do not say the shapes must, in one way only.
local heads = require "lunette.weights.import.heads"
local modules = require "lunette.weights.import.modules"

local M = {}

---Convolutions a block.
local depths = {
  vgg11 = { 1, 1, 2, 2, 2 }, vgg13 = { 2, 2, 2, 2, 2 }, vgg16 = { 2, 2, 3, 3, 3 },
  vgg19 = { 2, 2, 4, 4, 4 },
}


local function fail(message, ...) error(message:format(...), 0) end


-- convolutions -------------------------------------------------------------------


---Where torchvision has the convolutions among features.N, a stride apart.
local function places_of(depth, step)
  local places, at = {}, 0
  for _, n in ipairs(depth) do
    for _ = 1, n do
      places[#places + 1], at = at, at + step
    end
    at = at + 1
  end
  return table.concat(places, ",")
end


local function is_kernel(m)
  local w = m.params.weight
  return w ~= nil and #w.shape == 4
end


---Numbers of the convolutions among features.N; are there normalisations?
local function feature_places(mods)
  local places, normed = {}, false
  for _, m in ipairs(mods.list) do
    local n = m.name:match "^features%.(%d+)$"
    if n and is_kernel(m) then places[#places + 1] = math.tointeger(n) end
    normed = normed or n ~= nil and m.params.running_mean ~= nil
  end
  table.sort(places)
  return places, normed
end


---Torch: features.N.
local function by_places(mods)
  local places, normed = feature_places(mods)
  local text, convs = table.concat(places, ","), {}
  for i, n in ipairs(places) do convs[i] = mods.by_name["features." .. n] end
  for name, depth in pairs(depths) do
    if #places > 0 and places_of(depth, normed and 3 or 2) == text then
      return name, convs, normed
    end
  end
  return nil
end


---Keras and Lunette: blockB_convI.
local function by_blocks(mods)
  local convs, normed = {}, false
  local depth = {}
  for block = 1, 5 do
    depth[block] = 0
    while true do
      local m = mods.by_name[("block%d_conv%d"):format(block, depth[block] + 1)]
      if not (m and m.params.weight) then break end
      convs[#convs + 1], depth[block] = m, depth[block] + 1
    end
    normed = normed or mods.by_name["block" .. block .. "_bn1"] ~= nil
  end
  for name, d in pairs(depths) do
    if table.concat(d, ",") == table.concat(depth, ",") then
      return name, convs, normed
    end
  end
  return nil
end


---Convolutions that have the names Keras gives by itself, in their order.
local function counted_convs(mods)
  local convs = {}
  for _, m in ipairs(mods.list) do
    if is_kernel(m) then
      if not m.name:find "^conv2d[_%d]*$" then return {} end
      convs[#convs + 1] = m
    end
  end
  table.sort(convs, function(a, b) return modules.before(a.name, b.name) end)
  return convs
end


---Does every pair of convolutions have one width?
local function in_pairs(convs)
  for i = 1, #convs, 2 do
    local a, b = convs[i].params.weight, convs[i + 1].params.weight
    if a.shape[1] ~= b.shape[1] then return false end
  end
  return true
end


---Keras' own names, conv2d_7: only how many there are tells, and eight in pairs could
---be another network, with four pools.
local function by_count(mods, given)
  local convs = counted_convs(mods)
  local by = { [8] = "vgg11", [10] = "vgg13", [13] = "vgg16", [16] = "vgg19" }
  local name = by[#convs]
  if #convs == 8 and given.arch ~= name and in_pairs(convs) then
    fail("its 8 convolutions in pairs may be vgg11, with five pools, or a network with "
      .. "four: say --arch vgg11, or describe it with --arch net.lua")
  end
  return name, convs, false, true
end


---Channels of each block.
local function widths_of(name, convs)
  local width, at = {}, 1
  for block, n in ipairs(depths[name]) do
    width[block] = convs[at].params.weight.shape[1]
    at = at + n
  end
  return width
end


-- the size of the picture ---------------------------------------------------------


---Ways to write n as height x width, squares first.
local function sides(n)
  local root = math.floor(n ^ 0.5 + 0.5)
  if root * root == n then return { { root, root } } end
  local list = {}
  for h = 1, n do
    if n % h == 0 and h <= 4 * (n // h) and n // h <= 4 * h then
      list[#list + 1] = { h, n // h }
    end
  end
  return list
end


---Side of the picture, and the side that the last map is averaged to.
local function picture(places, given, assumed)
  local side = given.side
  local maps = sides(places)
  local first = maps[1]
  if not first then
    fail("its first dense layer reads %d places of a map, which is no picture's",
         places)
  end
  if side then
    local h, w = side[1] // 32, side[2] // 32
    if h * w == places then return side, nil end
    if first[1] ~= first[2] then
      fail("a picture of %dx%d gives a map of %dx%d; its first dense layer reads %d "
        .. "places", side[1], side[2], h, w, places)
    end
    assumed[#assumed + 1] = ("the last map is averaged to %dx%d"):format(first[1],
      first[2])
    return side, first[1]
  elseif places == 1 then
    fail("its head reads one value a channel: pictures of 32x32, or global average "
      .. "pooling of larger ones; say --side 32 or, say, --side 224")
  elseif #maps > 1 then
    local texts = {}
    for i, m in ipairs(maps) do texts[i] = ("%dx%d"):format(m[1] * 32, m[2] * 32) end
    fail("its head reads %d places of a map, no square: pictures of %s; say which "
      .. "with --side", places, table.concat(texts, ", or "))
  end
  assumed[#assumed + 1] = ("input %dx%d, from what the first dense layer reads "
    .. "(--side)"):format(first[1] * 32, first[2] * 32)
  return { first[1] * 32, first[2] * 32 }, nil
end


-- the head -------------------------------------------------------------------------


---The modules of the head: dense layers (a matrix, or a kernel under `pre_logits`), and
---the batch norms behind the last convolution.
local function behind(mods, convs, given)
  local is_conv, dense, norms = {}, {}, {}
  for _, m in ipairs(convs) do is_conv[m] = true end
  for _, m in ipairs(mods.list) do
    local w = m.params.weight
    local flat = w and (#w.shape == 2 or #w.shape == 4 and m.name:find "^pre_logits")
    if flat and not is_conv[m] then dense[#dense + 1] = m end
    local body = m.name:find "^features%." or m.name:find "^block%d+_"
    if m.params.running_mean and not body then norms[#norms + 1] = m end
  end
  return dense, heads.behind_convs(convs, norms, given)
end



---Names of the paper's first dense layer, for which its own architecture has aliases.
local papers = { ["classifier.0"] = true, fc1 = true, ["pre_logits.fc1"] = true }


---The head as options of models.vgg, and the modules under our names.
local function add_head(opts, list, norms, eps)
  local dense = {}
  local function alias(name, m)
    opts.renamed[#opts.renamed + 1] = { name, m }
    return m.name ~= name and { m.name } or nil
  end
  for i, m in ipairs(list) do
    local name = i == #list and "predictions" or "fc" .. i
    local one, n = { units = heads.size(m), aliases = alias(name, m) }, norms[m]
    if not m.params.bias then one.bias = false end
    if n then
      one.norm, one.relu, one.eps = n.side, n.relu, eps
      one.norm_aliases = alias(name .. "_bn", n.norm)
    end
    dense[i] = one
  end
  local front = norms.front
  if front then
    opts.front = { map = front.map, relu = front.relu, eps = eps,
                   aliases = alias("top_bn", front.norm) }
  end
  if #dense == 3 and dense[1].units == dense[2].units and papers[list[1].name]
     and next(norms) == nil and dense[1].bias == nil then
    opts.fc, opts.classes = dense[1].units, dense[3].units
  else
    opts.dense = dense
  end
end


---Our names of the convolutions, in order.
local function conv_names(name)
  local names = {}
  for block, n in ipairs(depths[name]) do
    for i = 1, n do names[#names + 1] = ("block%d_conv%d"):format(block, i) end
  end
  return names
end


---Which VGG's convolutions there are: by torch's places, Keras' blocks, or how many.
local function convolutions(mods, given)
  local name, convs, normed = by_places(mods)
  if not name then name, convs, normed = by_blocks(mods) end
  if name or mods.family ~= "keras" then return name, convs, normed end
  return by_count(mods, given)
end


---@class lunette.import.Given
---@field arch? string              an architecture that the user names
---@field side? integer[]           {height, width}
---@field layer_names? string[]     Keras' order of layers

---The VGG that modules are, or nil. Raises where two readings fit.
---@param mods { list: lunette.import.Module[], by_name: table, family: string }
---@param given lunette.import.Given
---@return string? name, table? opts, string[]? assumed
function M.find(mods, given)
  local name, convs, normed, counted = convolutions(mods, given)
  if not name then return nil end
  local eps = mods.family == "keras" and 1e-3 or nil -- Keras' own, torch's is ours
  local assumed, opts = {}, { renamed = {}, normed = normed or nil, eps = eps,
                              width = widths_of(name, convs) }
  if counted then
    assumed[1] = ("network: %s, as it has %d convolutions (--arch)"):format(name,
      #convs)
    for i, ours in ipairs(conv_names(name)) do opts.renamed[i] = { ours, convs[i] } end
  end
  local channels = opts.width[5]
  local dense, norms = behind(mods, convs, given)
  local head = heads.in_order(dense, channels, given)
  norms = heads.norms(head, norms, given, channels)
  if #head == 0 then
    opts.top, opts.side = false, given.side or { 224, 224 }
    if not given.side then assumed[#assumed + 1] = "input 224x224 (--side)" end
  else
    local _, n = heads.size(head[1])
    opts.side, opts.pool_side = picture(n // channels, given, assumed)
    add_head(opts, head, norms, eps)
    assumed[#assumed + 1] = heads.assumption(head, norms)
  end
  return name, opts, assumed
end


---Puts the modules that VGG's names mean under those names.
function M.rename(mods, opts)
  for _, pair in ipairs(opts.renamed) do
    if mods.by_name[pair[1]] == nil then mods.by_name[pair[1]] = pair[2] end
  end
  opts.renamed = nil
end

return M
