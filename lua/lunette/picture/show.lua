---show(x): tensors, channels, maps, pictures and canvases in the terminal, or as a
---PNG file.
local core = require "lunette.core"
local drawn = require "lunette.picture.drawn"
local options = require "lunette.base.options"
local say = require("lunette.base.text").say

local defaults = { columns = false, colormap = false, each = false, most = 256,
                   file = false }

---@class lunette.ShowOptions
---@field columns? integer   tiles a row (default: what fits)
---@field colormap? string   default: viridis, coolwarm for values of both signs
---@field each? boolean      every tile on a scale of its own (default: one for all,
---  for explanations each its own)
---@field most? integer      tiles at most (256)
---@field file? string       write a PNG there instead


-- tiles: {image} or {map =} ------------------------------------------------------


local function meta_name(x)
  local meta = debug.getmetatable(x)
  return type(meta) == "table" and rawget(meta, "__name") or nil
end


local function picture(t)
  return { image = require("lunette.picture.image").to_image(t) }
end


---Filters of a first layer: three channels as colours, each filter stretched.
local function filter(t)
  local s = t:stats()
  local wide = s.max > s.min and 255 / (s.max - s.min) or 0
  return picture((t - s.min) * wide)
end


local function add_maps(tiles, t, most)
  tiles.total = (tiles.total or 0) + #t
  for i = 1, math.min(#t, most) do tiles[#tiles + 1] = { map = t[i] } end
end


local function add_batch(tiles, t, most)
  local n, c, h = t:dim(1), t:dim(2), t:dim(3)
  if drawn.kind(t) == "map" and c > 1 then
    tiles.each = true
    return add_maps(tiles, drawn.planes(t), most)
  end
  if c == 1 then return add_maps(tiles, t:view(n, h, t:dim(4)), most) end
  if c == 3 and h <= 16 and not t.story then
    tiles.total = n
    for i = 1, math.min(n, most) do tiles[i] = filter(t[i]) end
    return
  end
  if drawn.kind(t) == "picture" then
    for i = 1, math.min(n, most) do tiles[#tiles + 1] = picture(t[i]) end
    return
  end
  if n > 1 then tiles.note = ("image 1 of %d"):format(n) end
  tiles.what = "channels"
  add_maps(tiles, t[1], most)
end


local add


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
    if not t.story and #t > 1 then tiles.what = "channels" end
    add_maps(tiles, t, most)
  elseif n == 4 then
    add_batch(tiles, t, most)
  else
    error(("show: a tensor of %d dimensions is no picture; pick a part of it, as in "
           .. "show(x[1])"):format(n), 0)
  end
end


function add(tiles, x, most)
  local name = meta_name(x)
  if name == "lunette.tensor" then
    add_tensor(tiles, x, most)
  elseif name == "lunette.image" then
    tiles[#tiles + 1] = { image = x }
  elseif name == "lunette.Canvas" then
    tiles[#tiles + 1] = { image = assert(x:render()) }
  elseif name == "lunette.Run" then
    add(tiles, x.images, most)
  elseif type(x) == "table" and name == nil and #x > 0 then
    for _, part in ipairs(x) do add(tiles, part, most) end
  elseif name == "lunette.Layer" then
    error(("show: a layer is no picture; show(run.%s) draws what it put out"):format(
          x.name), 0)
  else
    error(("show: cannot draw %s; tensors, pictures, maps and canvases it can"):format(
          name or type(x)), 0)
  end
end


-- colours ----------------------------------------------------------------------


local function range_of(maps)
  local lo, hi = math.huge, -math.huge
  for _, m in ipairs(maps) do
    local a, b = core.image.range(m)
    lo, hi = math.min(lo, a), math.max(hi, b)
  end
  if lo > hi then lo, hi = 0, 0 end
  return lo, hi
end


---Values of the first and the last colour, and the colours.
local function scale_of(lo, hi, name)
  local colormap = require "lunette.picture.colormap"
  local signed = lo < 0 and hi > 0
  name = name or (signed and "coolwarm" or "viridis")
  local colours, message = colormap.get(name)
  if not colours then error("show: " .. message, 0) end
  if signed then hi = math.max(-lo, hi) end
  return signed and -hi or lo, hi, colours
end


---Makes images of the maps; returns the range that the colours mean.
local function colour(tiles, o)
  local maps = {}
  for _, tile in ipairs(tiles) do maps[#maps + 1] = tile.map end
  if #maps == 0 then return nil end
  local each = o.each or tiles.each
  local lo, hi = range_of(maps)
  local first, last, colours = scale_of(lo, hi, o.colormap)
  for _, tile in ipairs(tiles) do
    if tile.map then
      local a, b, c = first, last, colours
      if each then a, b, c = scale_of(range_of { tile.map }) end
      if each and o.colormap then c = colours end
      tile.image = core.image.colormap(tile.map, c, a, b > a and b or a + 1)
    end
  end
  return lo, hi, each
end


-- layout -----------------------------------------------------------------------


---Columns and the side of a tile so that n tiles fill width x height best.
local function grid(n, tile_w, tile_h, width, height, columns, gap)
  local best_columns, best = 1, 0
  for c = columns or 1, columns or n do
    local rows = -(-n // c)
    local s = math.min((width - gap * (c - 1)) / (c * tile_w),
                       (height - gap * (rows - 1)) / (rows * tile_h))
    if s > best then best_columns, best = c, s end
  end
  return best_columns, best
end


local function sized(image, w, h)
  local iw, ih = image:size()
  if iw == w and ih == h then return image end
  return image:resize(w, h, (w >= 2 * iw) and "nearest" or "bilinear")
end


---How many tiles can be told apart in that room: at least `least` pixels each.
local function fitting(tiles, width, height, least, gap)
  local n = #tiles
  local w, h = tiles[1].image:size()
  while n > 1 do
    local _, s = grid(n, w, h, width, height, nil, gap)
    if s * math.min(w, h) >= math.min(least, math.min(w, h)) then break end
    n = n > 16 and n - n // 8 or n - 1
  end
  return n
end


---One image of all tiles.
local function compose(tiles, n, o, width, height, gap)
  local w, h = tiles[1].image:size()
  local columns, s = grid(n, w, h, width, height, o.columns or nil, gap)
  if s >= 2 then s = math.floor(s) end
  local tw, th = math.max(1, math.floor(w * s)), math.max(1, math.floor(h * s))
  local rows = -(-n // columns)
  columns = math.min(columns, n)
  local sheet = core.image.new(columns * (tw + gap) - gap, rows * (th + gap) - gap)
  for i = 1, n do
    local x, y = (i - 1) % columns * (tw + gap), (i - 1) // columns * (th + gap)
    sheet:paste(sized(tiles[i].image, tw, th), x, y)
  end
  return sheet
end


-- text instead of pictures -------------------------------------------------------


local eighths = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" }


---One line of bars: each the greatest of its share of the values.
local function spark(t, width)
  local n, out = t:size(), {}
  local lo, hi = core.image.range(t)
  local across = math.min(n, width)
  local v = t:view(n)
  for i = 0, across - 1 do
    local top = -math.huge
    for k = i * n // across + 1, math.max(i * n // across + 1, (i + 1) * n // across) do
      top = math.max(top, v[k])
    end
    local at = hi > lo and (top - lo) / (hi - lo) or 0
    out[#out + 1] = eighths[1 + math.min(7, math.floor(at * 8))]
  end
  return table.concat(out)
end


---Vectors: (K), a few rows of (N,K), (N,K,1,1).
local function is_flat(t)
  local n = t:dim()
  if n == 1 then return true end
  if n == 2 then return t:dim(1) <= 8 and t:dim(2) >= 4 * t:dim(1) end
  return n == 4 and t:dim(3) * t:dim(4) == 1
end


---Vectors as bars, and where the largest values are; nil for anything else.
local function vectors(t)
  if meta_name(t) ~= "lunette.tensor" or t:size() == 0 or not is_flat(t) then
    return nil
  end
  local out, list = {}, t:dim() == 1 and { t } or {}
  for i = 1, t:dim() == 1 and 0 or math.min(8, #t) do list[i] = t[i] end
  for _, row in ipairs(list) do
    local values, index = row:top(5)
    local best = {}
    for i, v in ipairs(values) do best[i] = ("[%d] %.4g"):format(index[i], v) end
    out[#out + 1] = spark(row:detach(), 72)
    out[#out + 1] = ("%d values; largest: %s"):format(row:size(),
                                                      table.concat(best, "  "))
  end
  return table.concat(out, "\n")
end


local function count_text(n, total, what)
  if n < total then return ("%d of %d %s"):format(n, total, what or "tiles") end
  return what and ("%d %s"):format(n, what)
end


local function caption(tiles, n, lo, hi, each)
  local total = math.max(tiles.total or #tiles, #tiles)
  local list = { count_text(n, total, tiles.what) }
  if lo then
    list[#list + 1] = ("%.4g .. %.4g%s"):format(lo, hi, each and #tiles > 1
      and ", each on its own scale" or "")
  end
  list[#list + 1] = tiles.note
  if n < total then list[#list + 1] = 'show(x, "file.png") writes more of them' end
  return table.concat(list, ", ")
end


-- the function -----------------------------------------------------------------


local function write(x, tiles, o)
  if meta_name(x) == "lunette.Canvas" then
    say("wrote " .. assert(x:save(o.file)))
    return
  end
  local w, h = tiles[1].image:size()
  local scale = math.max(1, math.min(8, 224 // math.max(w, h)))
  local columns = o.columns or math.ceil((#tiles) ^ 0.5)
  local rows = -(-#tiles // columns)
  local sheet = compose(tiles, #tiles, { columns = columns }, columns * (w * scale + 2),
                        rows * (h * scale + 2), 2)
  local format = assert(require("lunette.picture.image").format_of(o.file))
  assert(require("lunette.base.files").write(o.file, sheet:encode(format)))
  say("wrote " .. o.file)
end


local function not_drawn(tiles)
  local w, h = tiles[1].image:size()
  local s = #tiles == 1 and "" or "s"
  say(("%d picture%s of %d x %d, not drawn: this is no terminal for them; "
         .. 'show(x, "file.png") writes them'):format(#tiles, s, w, h))
end


local function draw(tiles, o)
  local term = require "lunette.picture.term"
  local kind = term.kind()
  if kind == "ascii" then o.colormap = o.colormap or "gray" end
  local lo, hi, each = colour(tiles, o)
  if not kind then return not_drawn(tiles) end
  local width, height = term.room()
  if o.small then width, height = width // 2, height // 2 end
  local pixels = term.in_pixels(kind)
  local gap = pixels and 2 or 1
  local n = fitting(tiles, width, height, pixels and 24 or 10, gap)
  io.stdout:write(term.encode(compose(tiles, n, o, width, height, gap)))
  local text = caption(tiles, n, lo, hi, each)
  if text ~= "" then say(text) end
end


local function options_of(file, opts)
  if type(file) == "table" then file, opts = nil, file end
  if file ~= nil and type(file) ~= "string" then
    error(("show: expected a file name or options, got %s"):format(type(file)), 0)
  end
  local o = options.check("show", opts, defaults, 0)
  o.file = file or o.file
  return o
end


---Draws a tensor, the channels of an activation, maps, pictures, a canvas, or a list
---of them in the terminal; or writes it as a PNG file.
---Caveat: channels share one colour scale, so quiet channels look dark; give
---  { each = true } to see them, and do not compare brightness then.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(run:activation(net:last_map().name))
---@param x any
---@param file? string|lunette.ShowOptions   a PNG file to write instead
---@param opts? lunette.ShowOptions
local function show(x, file, opts)
  local ok, message = pcall(function()
    local o = options_of(file, opts)
    local text = not o.file and vectors(x)
    if text then
      say(text)
      return
    end
    local tiles = {}
    add(tiles, x, o.most)
    if #tiles == 0 then error("show: nothing to draw", 0) end
    if not o.file then return draw(tiles, o) end
    colour(tiles, o)
    write(x, tiles, o)
  end)
  if not ok then error(message, 2) end
end


---For the REPL: a map half as large, after its numbers.
local function small(x)
  local tiles = {}
  add(tiles, x, 8)
  local lo, hi = core.image.range(x)
  if #tiles == 0 or lo == hi then return end
  draw(tiles, { small = true, columns = false, colormap = false, each = true })
end


return setmetatable({ show = show, small = small }, {
  __call = function(_, ...) return show(...) end,
})
