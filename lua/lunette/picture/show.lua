---show(x): tensors, channels, maps, pictures and canvases in the terminal, or as a
---PNG file.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local options = require "lunette.base.options"
local say = require("lunette.base.text").say
local sheets = require "lunette.picture.sheet"
local tiles_of = require "lunette.picture.tiles"

local class_of = tiles_of.class_of

---`sink` gets what is shown where it is set: a page instead of the terminal.
---@type { sink?: fun(x: any) }
local M = {}

local defaults = { columns = false, colormap = false, each = false, most = 256,
                   file = false }

---@class lunette.ShowOptions
---@field columns? integer   tiles a row (default: what fits)
---@field colormap? string   default: viridis, coolwarm for values of both signs
---@field each? boolean      every tile on a scale of its own (default: one for all,
---  for explanations each its own)
---@field most? integer      tiles at most (256)
---@field file? string       write a PNG there instead


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
  if class_of(t) ~= "lunette.tensor" or t:size() == 0 or not is_flat(t) then
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


-- drawing ----------------------------------------------------------------------


local GUTTER = 5 -- columns of text


local function numbered(tiles) return tiles[1].label ~= nil and #tiles > 1 end


---All tiles on one sheet, in pixels enough to tell what is on them.
local function sheet_of(tiles, o)
  local w, h = tiles[1].image:size()
  local scale = math.max(1, math.min(8, 224 // math.max(w, h)))
  local columns = o.columns or tiles.columns or math.ceil((#tiles) ^ 0.5)
  local rows = -(-#tiles // columns)
  local strip = numbered(tiles) and w * scale >= 20 and sheets.STRIP or 0
  return sheets.compose(tiles, #tiles, { gap = 2, strip = strip,
    width = columns * (w * scale + 2), height = rows * (h * scale + 2 + strip) },
    columns)
end


local function write(x, tiles, o)
  if class_of(x) == "lunette.Canvas" then
    say("wrote " .. assert(x:save(o.file)))
    return
  end
  local sheet = sheet_of(tiles, o)
  local format = assert(require("lunette.picture.file").format_of(o.file))
  assert(require("lunette.base.files").write(o.file, sheet.image:encode(format)))
  local total = math.max(tiles.total or #tiles, #tiles)
  local count = count_text(#tiles, total, tiles.what)
  local note = tiles.note and tiles.note:find "image 1 of" and ", " .. tiles.note or ""
  say(("wrote %s%s%s"):format(o.file, count and ": " .. count or "", note))
end


local function not_drawn(tiles)
  local w, h = tiles[1].image:size()
  local s = #tiles == 1 and "" or "s"
  say(("%d picture%s of %d x %d, not drawn: this is no terminal for them; "
         .. 'show(x, "file.png") writes them'):format(#tiles, s, w, h))
end


---Pixels for the picture on this terminal. A map by itself takes no more than half of
---the screen.
local function size_for(tiles, small)
  local width, height = require("lunette.picture.term").room()
  if small then width = width // 2 end
  if small or #tiles == 1 and tiles[1].map then height = height // 2 end
  return width, height
end


---Room for tiles on this terminal, and the fewest pixels in which one can be told from
---others: where the screen has pixels, numbers stand above the tiles, else before them.
local function room_for(tiles, kind, small)
  local width, height = size_for(tiles, small)
  if require("lunette.picture.term").in_pixels(kind) then
    return { width = width, height = height, gap = 2,
             strip = numbered(tiles) and sheets.STRIP or 0 }, 24
  end
  local gutter = numbered(tiles) and GUTTER or 0
  return { width = width - gutter, height = height, gap = 1, strip = 0,
           even = true }, 10
end


---As many tiles as can be told apart on this terminal, as one picture; their number.
local function layout(tiles, kind, o)
  local room, least = room_for(tiles, kind, o.small)
  local columns = o.columns or tiles.columns or nil
  local n = sheets.fitting(tiles, room, least, columns)
  if tiles.columns and n < tiles.columns then columns = nil end
  return sheets.compose(tiles, n, room, columns), n
end


---The numbers of each row's first tile before its line, where tiles have no strip.
local function with_numbers(text, tiles, sheet, n)
  local out, line = {}, 0
  for row in text:gmatch "[^\n]*\n" do
    local at, first = 2 * line / sheet.step, nil
    if at == math.floor(at) and at * sheet.columns < n then
      first = tiles[math.floor(at) * sheet.columns + 1].label
    end
    out[#out + 1] = ("%4s "):format(first or "") .. row
    line = line + 1
  end
  return table.concat(out)
end


---Draws tiles; gives the number of lines of the terminal that this took, or nil where
---nothing is drawn.
local function draw(tiles, o)
  local term = require "lunette.picture.term"
  local kind = term.kind()
  if kind == "ascii" then o.colormap = o.colormap or "gray" end
  local lo, hi, each = colour(tiles, o)
  if not kind then
    not_drawn(tiles)
    return nil
  end
  local sheet, n = layout(tiles, kind, o)
  local text = term.encode(sheet.image, kind, o.id)
  if not term.in_pixels(kind) and numbered(tiles) then
    text = with_numbers(text, tiles, sheet, n)
  end
  io.stdout:write(text)
  local said = caption(tiles, n, lo, hi, each)
  if said ~= "" then say(said) end
  return term.lines(sheet.image, kind) + (said ~= "" and 1 or 0)
end


-- the function -----------------------------------------------------------------


local function options_of(file, opts)
  if type(file) == "table" then file, opts = nil, file end
  if file ~= nil and type(file) ~= "string" then
    error(("show: expected a file name or options, got %s"):format(type(file)), 0)
  end
  local o = options.check("show", opts, defaults)
  o.file = file or o.file
  return o
end


---Draws a tensor, the channels of an activation, maps, pictures, a canvas, a layer's
---kernels (those that see colours in the network's own), or a list of them in the
---terminal; or writes it as a PNG file.
---Caveat: channels share one colour scale, so quiet channels look dark; give
---  { each = true } to see them, and do not compare brightness then.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(run:activation(net:last_map().name))
---  show(net.block1_conv1)
---@param x any
---@param file? string|lunette.ShowOptions   a PNG file to write instead
---@param opts? lunette.ShowOptions
local function show(x, file, opts)
  local o = options_of(file, opts)
  if not o.file and M.sink then
    M.sink(x)
    return
  end
  local text = not o.file and vectors(x)
  if text then
    say(text)
    return
  end
  local tiles = {}
  tiles_of.add(tiles, x, o.most)
  if #tiles == 0 then blame "show: nothing to draw" end
  if not o.file then
    draw(tiles, o)
    return
  end
  colour(tiles, o)
  write(x, tiles, o)
end


---For the REPL: a map half as large, after its numbers.
local function small(x)
  local tiles = {}
  tiles_of.add(tiles, x, 8)
  local lo, hi = core.image.range(x)
  if #tiles == 0 or lo == hi then return end
  draw(tiles, { small = true, columns = false, colormap = false, each = true })
end


local pictures_shown = 0 -- a number for the next of kitty's pictures that are replaced


---A place on the terminal for something that changes while it is watched: every call of
---the function draws its argument where the last one was, with a line about it.
---@return fun(x: any, note?: string)
local function place()
  local lines = 0
  pictures_shown = pictures_shown + 1
  local id = pictures_shown
  return function(x, note)
    local tiles = { note = note }
    tiles_of.add(tiles, x, defaults.most)
    if lines > 0 then io.stdout:write(("\27[%dA\r\27[J"):format(lines)) end
    lines = draw(tiles, { columns = false, colormap = false, id = id }) or 0
    io.stdout:flush()
  end
end


---A `show` for scripts that run where nobody looks: every call writes a file of its
---own, BASE-1.png, BASE-2.png ...; vectors are printed. With a file's name it writes
---there.
---Example:
---  local show = lu.show_into "out/example"
---  show(lu.uniform(8, 8))
---@param base string
---@return fun(x: any, file?: string|lunette.ShowOptions, opts?: lunette.ShowOptions)
local function into(base)
  if type(base) ~= "string" or base == "" then
    blame("show_into: expected the beginning of the files' names")
  end
  local count = 0
  return function(x, file, opts)
    local o = {}
    for key, value in pairs(type(file) == "table" and file or opts or {}) do
      o[key] = value
    end
    if type(file) == "string" then o.file = file end
    if not o.file and not vectors(x) then
      count = count + 1
      o.file = ("%s-%d.png"):format(base, count)
    end
    return show(x, o)
  end
end


---What show draws, as an image; of vectors the text that it prints instead.
---@param x any
---@param opts? lunette.ShowOptions
---@return userdata? image, string? note   its tiles and range, or the text
local function image_of(x, opts)
  local o = options_of(opts or {})
  if class_of(x) == "lunette.Canvas" then return assert(x:render()), nil end
  local text = vectors(x)
  if text then return nil, text end
  local tiles = {}
  tiles_of.add(tiles, x, o.most)
  if #tiles == 0 then error("show: nothing to draw", 0) end
  local lo, hi, each = colour(tiles, o)
  return sheet_of(tiles, o).image, caption(tiles, #tiles, lo, hi, each)
end


M.show, M.small, M.place, M.into, M.image = show, small, place, into, image_of
return setmetatable(M, { __call = function(_, ...) return show(...) end })
