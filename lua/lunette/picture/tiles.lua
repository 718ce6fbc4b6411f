---What `show` draws: a list of tiles, images or maps, from whatever it is given.
local drawn = require "lunette.picture.drawn"
local types = require "lunette.base.types"

local M = {}

---@class lunette.Tiles   a list of { image =, map =, label = }
---@field total? integer   how many there are, where not all of them are in the list
---@field what? string     what they are: "channels", "filters"
---@field each? boolean    every map on a scale of its own
---@field note? string     what else is to be said
---@field columns? integer


---@param x any
---@return string?
function M.class_of(x)
  local meta = debug.getmetatable(x)
  return type(meta) == "table" and rawget(meta, "__name") or nil
end


local function picture(t)
  return { image = require("lunette.picture.image").to_image(t) }
end


-- weights -----------------------------------------------------------------------


---A filter of three channels, stretched from its least to its greatest value.
local function filter(t, bgr)
  if bgr then
    t = t:index_select(require("lunette.core").tensor { 3, 2, 1 }, { dim = 1 })
  end
  local s = t:stats()
  local wide = s.max > s.min and 255 / (s.max - s.min) or 0
  return picture((t - s.min) * wide)
end


---Filters that see colours: a tile each. `t.colours` says in which order the network
---has them.
local function add_filters(tiles, t, most)
  local n = t:dim(1)
  tiles.total, tiles.what = n, "filters"
  tiles.note = "each from its least to its greatest value"
  if not t.colours then tiles.note = tiles.note .. ", the first channel as red" end
  for i = 1, math.min(n, most) do
    tiles[i] = filter(t[i], t.colours == "bgr")
    tiles[i].label = i
  end
end


---Filters of any channels: a row a filter, a column a channel.
local function add_planes(tiles, t, most)
  local n, c = t:dim(1), t:dim(2)
  local columns = math.min(c, 32)
  local rows = math.max(1, math.min(n, 32, most // columns))
  tiles.columns, tiles.total, tiles.what = columns, n * c, "planes"
  tiles.note = ("a row a filter (1 .. %d of %d), a column an input channel "
    .. "(1 .. %d of %d)"):format(rows, n, columns, c)
  for i = 1, rows do
    for k = 1, columns do tiles[#tiles + 1] = { map = t[i][k], label = k } end
  end
end


---A layer's weights: the kernels of a convolution, a dense layer's matrix.
local function add_layer(tiles, layer, most)
  local w = layer.weight
  if w == nil and #layer.params > 0 then
    error(("show: layer '%s' has no weights yet; lu.load gives some, or "
           .. "net:init()"):format(layer.name), 0)
  elseif w == nil or w:dim() < 2 then
    error(("show: layer '%s' (%s) has no kernels; show(run[\"%s\"]) draws what it put "
           .. "out"):format(layer.name, layer.kind, layer.name), 0)
  end
  if w:dim() == 2 then
    tiles.note = ("the weights of %s"):format(layer.name)
    tiles[1] = { map = w }
  elseif w:dim(2) == 3 then
    add_filters(tiles, w, most)
  else
    add_planes(tiles, w, most)
  end
end


-- tensors -----------------------------------------------------------------------


---Planes (N,H,W), numbered where they are channels.
local function add_maps(tiles, t, most, numbered)
  tiles.total = (tiles.total or 0) + #t
  for i = 1, math.min(#t, most) do
    tiles[#tiles + 1] = { map = t[i], label = numbered and i or nil }
  end
end


---Are these a convolution's weights? Small squares, many of them, that no run gave.
local function are_kernels(t)
  local h, w = t:dim(3), t:dim(4)
  return t:dim(1) > 4 and h == w and h % 2 == 1 and h <= 7 and h > 1
    and not t:node() and not t.story
end


local function add_batch(tiles, t, most)
  local n, c, h = t:dim(1), t:dim(2), t:dim(3)
  if drawn.kind(t) == "map" and c > 1 then
    tiles.each = true
    return add_maps(tiles, drawn.planes(t), most)
  end
  if c == 1 then return add_maps(tiles, t:view(n, h, t:dim(4)), most) end
  if c == 3 and h <= 16 and not t.story then return add_filters(tiles, t, most) end
  if drawn.kind(t) == "picture" then
    for i = 1, math.min(n, most) do tiles[#tiles + 1] = picture(t[i]) end
    return
  end
  if are_kernels(t) then return add_planes(tiles, t, most) end
  if n > 1 then tiles.note = ("image 1 of %d"):format(n) end
  tiles.what = "channels"
  add_maps(tiles, t[1], most, true)
end


local function add_tensor(tiles, t, most)
  local n = t:dim()
  if type(t.pictures) == "table" and #t.pictures > 0 then
    for _, p in ipairs(t.pictures) do tiles[#tiles + 1] = picture(p) end
  elseif n == 2 then
    tiles[#tiles + 1] = { map = t }
  elseif n == 3 and drawn.kind(t) == "picture" then
    tiles[#tiles + 1] = picture(t)
  elseif n == 3 then
    tiles.each = tiles.each or t.story ~= nil
    local numbered = not t.story and #t > 1
    if numbered then tiles.what = "channels" end
    add_maps(tiles, t, most, numbered)
  elseif n == 4 then
    add_batch(tiles, t, most)
  else
    error(("show: a tensor of %d dimensions is no picture; pick a part of it, as in "
           .. "show(x[1])"):format(n), 0)
  end
end


---Adds the tiles of a value to the list.
---@param tiles lunette.Tiles
---@param x any
---@param most integer   of one tensor
function M.add(tiles, x, most)
  local name = M.class_of(x)
  if name == "lunette.tensor" then
    add_tensor(tiles, x, most)
  elseif name == "lunette.image" then
    tiles[#tiles + 1] = { image = x }
  elseif name == "lunette.Canvas" then
    tiles[#tiles + 1] = { image = assert(x:render()) }
  elseif name == "lunette.Run" then
    M.add(tiles, x.images, most)
  elseif name == "lunette.Layer" then
    add_layer(tiles, x, most)
  elseif type(x) == "table" and name == nil and #x > 0 then
    for _, part in ipairs(x) do M.add(tiles, part, most) end
  else
    local hint = type(x) == "string" and "; lu.image.load reads a picture" or ""
    error(("show: cannot draw %s; tensors, pictures, maps, canvases and layers with "
           .. "kernels it can%s"):format(types.told(x), hint), 0)
  end
end

return M
