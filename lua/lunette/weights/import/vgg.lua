---VGGs: their convolutions by names, and behind them any head of dense layers. What the
---names do not say the shapes must, in one way only.
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


-- the head -----------------------------------------------------------------------


local known_order = {
  fc1 = 1, fc2 = 2, predictions = 99, ["pre_logits.fc1"] = 1, ["pre_logits.fc2"] = 2,
  ["head.fc"] = 99,
}


local function dense_size(m)
  local s, inner = m.params.weight.shape, 1
  for i = 2, #s do inner = inner * s[i] end
  return s[1], inner
end


---Modules behind the convolutions with a matrix for a weight.
local function dense_modules(mods, convs)
  local is_conv, list = {}, {}
  for _, m in ipairs(convs) do is_conv[m] = true end
  for _, m in ipairs(mods.list) do
    local w = m.params.weight
    local flat = w and (#w.shape == 2 or #w.shape == 4 and m.name:find "^pre_logits")
    if flat and not is_conv[m] then list[#list + 1] = m end
  end
  return list
end


local function chains(list, channels)
  for i, m in ipairs(list) do
    local _, n = dense_size(m)
    if i == 1 and n % channels ~= 0 or i > 1 and n ~= dense_size(list[i - 1]) then
      return false
    end
  end
  return true
end


local function names_of(list)
  local names = {}
  for i, m in ipairs(list) do names[i] = m.name end
  return table.concat(names, ", ")
end


---Orders in which each layer reads what the one before puts out.
local function fitting_orders(list, channels)
  local found = {}
  local function go(order, rest)
    if #found > 8 then return end
    if #rest == 0 then
      if chains(order, channels) then found[#found + 1] = { table.unpack(order) } end
      return
    end
    for i, m in ipairs(rest) do
      local others = { table.unpack(rest) }
      table.remove(others, i)
      order[#order + 1] = m
      if chains(order, channels) then go(order, others) end
      order[#order] = nil
    end
  end
  go({}, list)
  return found
end


local function all(list, check)
  for _, m in ipairs(list) do
    if not check(m.name) then return false end
  end
  return true
end


---A comparison of two modules by their order in the file or by their names; nil where
---neither tells.
local function ranks(list, given)
  local rank, stem = {}, list[1] and list[1].name:gsub("[%d_.]+$", "")
  for i, name in ipairs(given.layer_names or {}) do rank[name] = i end
  local function by(place)
    return all(list, place) and function(a, b) return place(a.name) < place(b.name) end
  end
  local function known(name)
    return known_order[name] or tonumber(name:match "^fc(%d+)$")
  end
  local function same_stem(name) return name:gsub("[%d_.]+$", "") == stem end
  return by(function(name) return rank[name] end) or by(known)
    or all(list, same_stem) and function(a, b) return modules.before(a.name, b.name) end
    or nil
end


---The dense layers in the order in which they are computed; raises where that is open.
---@param list lunette.import.Module[]
---@param channels integer   of the map that the first reads
---@param given lunette.import.Given
---@return lunette.import.Module[]
function M.in_order(list, channels, given)
  local before = ranks(list, given)
  if before then
    table.sort(list, before)
    if chains(list, channels) then return list end
    fail("its dense layers %s do not follow each other by their shapes", names_of(list))
  end
  local orders = fitting_orders(list, channels)
  if #orders == 1 then return orders[1] end
  if #orders == 0 then
    fail("its dense layers %s fit in no order behind %d channels", names_of(list),
         channels)
  end
  local texts = {}
  for i, order in ipairs(orders) do texts[i] = names_of(order) end
  fail("its dense layers may come in several orders (%s): describe the network with "
    .. "--arch net.lua", table.concat(texts, "; or "))
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


-- the way in ----------------------------------------------------------------------


---Names of the paper's first dense layer, for which its own architecture has aliases.
local papers = { ["classifier.0"] = true, fc1 = true, ["pre_logits.fc1"] = true }


---The head as options of models.vgg, and the modules under our names.
local function add_head(opts, list)
  local dense = {}
  for i, m in ipairs(list) do
    local name = i == #list and "predictions" or "fc" .. i
    dense[i] = { units = dense_size(m),
                 aliases = m.name ~= name and { m.name } or nil }
    opts.renamed[#opts.renamed + 1] = { name, m }
  end
  if #dense == 3 and dense[1].units == dense[2].units and papers[list[1].name] then
    opts.fc, opts.classes = dense[1].units, dense[3].units
  else
    opts.dense = dense
  end
  opts.units = dense[#dense].units
end


---Our names of the convolutions, in order.
local function conv_names(name)
  local names = {}
  for block, n in ipairs(depths[name]) do
    for i = 1, n do names[#names + 1] = ("block%d_conv%d"):format(block, i) end
  end
  return names
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
  local name, convs, normed, counted = by_places(mods)
  if not name then name, convs, normed = by_blocks(mods) end
  if not name and mods.family == "keras" then
    name, convs, normed, counted = by_count(mods, given)
  end
  if not name then return nil end
  local assumed, opts = {}, { renamed = {}, normed = normed or nil,
                              width = widths_of(name, convs) }
  if counted then
    assumed[1] = ("network: %s, as it has %d convolutions (--arch)"):format(name,
      #convs)
    for i, ours in ipairs(conv_names(name)) do opts.renamed[i] = { ours, convs[i] } end
  end
  local channels = opts.width[5]
  local head = M.in_order(dense_modules(mods, convs), channels, given)
  if #head == 0 then
    opts.top, opts.side = false, given.side or { 224, 224 }
    if not given.side then assumed[#assumed + 1] = "input 224x224 (--side)" end
  else
    local _, n = dense_size(head[1])
    opts.side, opts.pool_side = picture(n // channels, given, assumed)
    add_head(opts, head)
    if #head > 1 then assumed[#assumed + 1] = "relu between its dense layers" end
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
