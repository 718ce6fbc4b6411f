---Layout and drawing of a canvas. All lengths are given for scale 1 and
---multiplied by the scale, so that a 2x canvas is the same picture, crisper.
local colormap = require "lunette.picture.colormap"
local core = require "lunette.core"
local ticks = require "lunette.picture.ticks"

local M = {}

-- pixels at scale 1
local MARGIN, GAP, ROW_GAP = 14, 6, 9
local TITLE, HEADING, CAPTION, TICK = 17, 13, 11, 10 -- text sizes
local SMALLEST = 0.78                                -- a text shrinks to this share
local BAR_GAP, BAR, TICK_LENGTH = 9, 10, 3
local MAX_SIDE, MAX_PIXELS = 16384, 100 * 1000 * 1000
-- Bytes of a text that are laid out; the rest would not fit into the widest picture.
local MOST_TEXT, MOST_LINES = 4096, 64


-- text ----------------------------------------------------------------------------


local width_of = core.image.text_width


local function height_of(size) return math.ceil(size * 1.25) end


---Cuts the end off until the text and an ellipsis fit: the longest beginning that
---does, found by halving.
local function elide(text, size, room)
  if #text <= MOST_TEXT and width_of(size, text) <= room then return text end
  text = text:sub(1, MOST_TEXT)
  local starts = {}
  for at in text:gmatch "()[^\x80-\xBF][\x80-\xBF]*" do starts[#starts + 1] = at end
  local function cut(i) return text:sub(1, starts[i] - 1):gsub("%s+$", "") .. "…" end
  local fits, not_ = 0, #starts + 1
  while not_ - fits > 1 do
    local i = (fits + not_) // 2
    if width_of(size, cut(i)) <= room then fits = i else not_ = i end
  end
  return fits > 0 and cut(fits) or "…"
end


---Breaks a text at spaces into lines that fit; a long word stays whole.
local function wrap(text, size, room, most)
  local lines, line = {}, nil
  for word in text:gmatch "%S+" do
    local longer = line and line .. " " .. word or word
    if line and #lines + 1 < most and width_of(size, longer) > room then
      lines[#lines + 1] = line
      longer = word
    end
    line = longer
  end
  lines[#lines + 1] = line
  return lines
end


local function widest(lines, size)
  local w = 0
  for _, line in ipairs(lines) do w = math.max(w, width_of(size, line)) end
  return w
end


---Lines of a text for `room` pixels: smaller first, then over two lines, then cut.
---@return table {size =, lines =, width =, height =}
local function fit(text, size, room, most)
  local block
  text = text:sub(1, MOST_TEXT)
  for line_count = 1, most do
    for share = 1, SMALLEST, -0.055 do
      local s = size * share
      local lines = wrap(text, s, room, line_count)
      block = { size = s, lines = lines, width = widest(lines, s) }
      if block.width <= room then goto fits end
    end
  end
  for i, line in ipairs(block.lines) do
    block.lines[i] = elide(line, block.size, room)
  end
  block.width = widest(block.lines, block.size)
  ::fits::
  block.height = #block.lines * height_of(block.size)
  return block
end


---Lines of a caption, broken where it says so; with `wraps` also where one is too long.
local function caption_block(text, size, room, wraps)
  local block = { size = size, lines = {} }
  for line in (text .. "\n"):gmatch "(.-)\n" do
    for _, part in ipairs(wraps and wrap(line, size, room, MOST_LINES) or { line }) do
      if #block.lines == MOST_LINES then break end
      block.lines[#block.lines + 1] = elide(part, size, room)
    end
  end
  block.height = #block.lines * height_of(size)
  return block
end


---Draws lines centred on x, the first one's top at y.
local function draw_centred(im, block, x, y, colour)
  local above, below = core.image.text_height(block.size)
  local line_height = height_of(block.size)
  for i, line in ipairs(block.lines) do
    local base = y + (i - 1) * line_height + (line_height + above - below) // 2
    im:text(x - width_of(block.size, line) // 2, base, block.size, colour, line)
  end
end


---The same running upwards: centred on y, the first line's left edge at x.
local function draw_turned(im, block, x, y, colour)
  local above, below = core.image.text_height(block.size)
  local line_height = height_of(block.size)
  for i, line in ipairs(block.lines) do
    local base = x + (i - 1) * line_height + (line_height + above - below) // 2
    im:text(base, y + width_of(block.size, line) // 2, block.size, colour, line, true)
  end
end


-- sizes ----------------------------------------------------------------------------


local function size_of_cell(cell)
  local content = cell.base or cell.image
  if content then return content:size() end
  return cell.map:dim(2), cell.map:dim(1)
end


---Largest side in the first row of pictures, or else of all maps.
local function content_side(rows)
  local side = 1
  for _, row in ipairs(rows) do
    for _, cell in ipairs(row.cells) do
      local w, h = size_of_cell(cell)
      side = math.max(side, w, h)
    end
    if row.kind == "picture" then break end
  end
  return side
end


---Side of a cell when none was asked for: a whole multiple of what it shows, so
---that pixels stay pixels, near 256; large photographs shrink to 224.
function M.default_cell(rows)
  local side = content_side(rows)
  if side > 256 then return 224 end
  return side * (256 // side)
end


---Size of a picture of w x h drawn into a square cell.
local function drawn_size(w, h, cell)
  local f = cell / math.max(w, h)
  return math.max(1, math.floor(w * f + 0.5)), math.max(1, math.floor(h * f + 0.5))
end


-- cells ----------------------------------------------------------------------------


local function resize_picture(image, w, h)
  local iw, ih = image:size()
  if iw == w and ih == h then return image end
  -- whole multiples of small pictures keep their pixels
  local whole = w % iw == 0 and h % ih == 0
  return image:resize(w, h, whole and "nearest" or w < iw and "lanczos" or "bicubic")
end


---A map in colours, w x h pixels. Over a picture it is interpolated; alone its
---pixels stay visible when they fit a whole number of times.
local function colour_map(row, cell, w, h)
  local map = cell.map
  local mh, mw = map:dim(1), map:dim(2)
  if mh ~= h or mw ~= w then
    local whole = not cell.base and w % mw == 0 and h % mh == 0
    local filter = row.interpolate or (whole and "nearest" or "bilinear")
    map = core.image.resize_map(map, h, w, filter)
  end
  return core.image.colormap(map, row.colours, cell.lo, cell.hi)
end


local function draw_cell(row, cell, side)
  local w, h = drawn_size(cell.w, cell.h, side)
  if cell.image then return resize_picture(cell.image, w, h) end
  if not cell.base then return colour_map(row, cell, w, h) end
  local base = resize_picture(cell.base, w, h)
  local under = core.image.new(w, h)
  under:paste(base, 0, 0)
  if row.grey then under:grey() end
  return under:blend(colour_map(row, cell, w, h), 0, 0, row.alpha)
end


-- colour bars ----------------------------------------------------------------------


---A column of 256 steps, highest on top.
local function bar_image(row, w, h)
  local ramp = core.range(255, 0, -1):view(256, 1)
  return core.image.colormap(ramp, row.colours, 0, 255):resize(w, h, "bilinear")
end


local function bar_of(row, u)
  local most = math.max(2, math.min(7, row.height // (22 * u))) -- texts stay apart
  local list, power = ticks.of(row.lo, row.hi, most)
  local w = 0
  for _, t in ipairs(list) do w = math.max(w, width_of(TICK * u, t.text)) end
  local label = row.meaning or power
  label = label and fit(label, TICK * u, row.height, 2)
  return { ticks = list, text_width = w, label = label,
           width = (BAR_GAP + BAR + TICK_LENGTH + 3) * u + w
                   + (label and label.height + 2 * u or 0) }
end


local function outline(im, x, y, w, h, t, colour)
  im:fill(x, y, w, t, colour):fill(x, y + h - t, w, t, colour)
  im:fill(x, y, t, h, colour):fill(x + w - t, y, t, h, colour)
end


local function draw_bar(im, row, x, y, h, u, ink)
  local bar, w = row.bar, BAR * u
  x = x + BAR_GAP * u
  im:paste(bar_image(row, w, h), x, y)
  outline(im, x, y, w, h, u, ink.line)
  local above = core.image.text_height(TICK * u)
  for _, t in ipairs(bar.ticks) do
    local share = row.hi > row.lo and (t.value - row.lo) / (row.hi - row.lo) or 0.5
    local ty = y + math.floor((1 - share) * (h - u) + 0.5)
    im:fill(x + w, ty, TICK_LENGTH * u, u, ink.line)
    -- digits are about 0.73 of the size high; the outermost stay beside the bar
    local base = ty + u // 2 + math.floor(TICK * u * 0.365 + 0.5)
    base = math.max(y + math.floor(above * 0.8), math.min(y + h, base))
    im:text(x + w + (TICK_LENGTH + 3) * u, base, TICK * u, ink.soft, t.text)
  end
  if bar.label then
    draw_turned(im, bar.label, x + w + (TICK_LENGTH + 5) * u + bar.text_width,
                y + h // 2, ink.soft)
  end
end


-- layout ---------------------------------------------------------------------------


---Size of a row's pictures as drawn, and its colour bar. Cells are as
---wide as the widest picture, so that upright photographs stand close.
local function measure_row(row, place, u)
  row.height, row.caption_height = 1, 0
  for _, c in ipairs(row.cells) do
    c.w, c.h = size_of_cell(c)
    local w, h = drawn_size(c.w, c.h, place.side)
    row.height = math.max(row.height, h)
    place.cell = math.max(place.cell, w)
  end
  row.bar = row.colorbar and bar_of(row, u) or nil
end


local function measure_captions(row, place, u)
  for i, c in ipairs(row.cells) do
    local text = row.captions and row.captions[i]
    if text and text ~= "" then
      c.caption = caption_block(text, CAPTION * u, place.cell, row.wrap)
      row.caption_height = math.max(row.caption_height, c.caption.height + 2 * u)
    end
  end
end


local function measure_sides(canvas, place, u)
  place.left, place.right = 0, 0
  for _, row in ipairs(canvas.rows) do
    if row.title ~= "" then
      row.heading = fit(row.title, HEADING * u, row.height, 2)
      place.left = math.max(place.left, row.heading.height + 5 * u)
    end
    if row.bar then place.right = math.max(place.right, row.bar.width) end
  end
end


local function measure_titles(canvas, place, u)
  place.headings, place.heading_height = {}, 0
  for i = 1, place.columns do
    local text = canvas.titles and canvas.titles[i]
    if text and text ~= "" then
      local block = fit(text, HEADING * u, place.cell, 2)
      place.headings[i] = block
      place.heading_height = math.max(place.heading_height, block.height + 3 * u)
    end
  end
  place.title_height = 0
  if canvas.title ~= "" then
    place.title = fit(canvas.title, TITLE * u, place.width - 2 * MARGIN * u, 2)
    place.title_height = place.title.height + 7 * u
  end
end


local function layout(canvas)
  local u = canvas.scale
  local place = { columns = canvas.columns, side = canvas.cell * u, cell = 1 }
  for _, row in ipairs(canvas.rows) do measure_row(row, place, u) end
  for _, row in ipairs(canvas.rows) do measure_captions(row, place, u) end
  measure_sides(canvas, place, u)
  place.x = MARGIN * u + place.left
  place.grid = place.columns * place.cell + (place.columns - 1) * GAP * u
  place.width = place.x + place.grid + place.right + MARGIN * u
  measure_titles(canvas, place, u)
  local y = MARGIN * u + place.title_height + place.heading_height
  for i, row in ipairs(canvas.rows) do
    row.y = y
    y = y + row.height + row.caption_height + (i < #canvas.rows and ROW_GAP * u or 0)
  end
  place.height = y + MARGIN * u
  return place
end


-- the whole ------------------------------------------------------------------------


---Colours of text and lines that can be read on the background.
local function inks(background)
  local r, g, b = background >> 16, background >> 8 & 255, background & 255
  if 0.299 * r + 0.587 * g + 0.114 * b > 128 then
    return { text = 0x1A1A1A, soft = 0x404040, line = 0x808080 }
  end
  return { text = 0xF0F0F0, soft = 0xC8C8C8, line = 0x909090 }
end


local function draw_row(im, row, place, u, ink)
  for i, c in ipairs(row.cells) do
    local x = place.x + (i - 1) * (place.cell + GAP * u)
    local image = draw_cell(row, c, place.side)
    local w, h = image:size()
    im:paste(image, x + (place.cell - w) // 2, row.y + (row.height - h) // 2)
    if image ~= c.image then image:release() end
    if c.caption then
      local y = row.y + row.height + 2 * u
      draw_centred(im, c.caption, x + place.cell // 2, y, ink.soft)
    end
  end
  if row.heading then
    draw_turned(im, row.heading, MARGIN * u + place.left - 5 * u - row.heading.height,
                row.y + row.height // 2, ink.text)
  end
  if row.bar then draw_bar(im, row, place.x + place.grid, row.y, row.height, u, ink) end
end


---Draws a canvas.
---@param canvas table   see lunette.canvas
---@return userdata? image, string? message
function M.paint(canvas)
  local u, place = canvas.scale, layout(canvas)
  local w, h = place.width, place.height
  if w > MAX_SIDE or h > MAX_SIDE or w * h > MAX_PIXELS then
    return nil, ("the canvas would have %d x %d pixels; the limit is %d a side and %d "
                 .. "in all: fewer rows or columns, a smaller cell or scale"):format(w,
                 h, MAX_SIDE, MAX_PIXELS)
  end
  local im, ink = core.image.new(w, h, canvas.background), inks(canvas.background)
  if place.title then -- above the grid's middle, as far as the edges allow
    local half = place.title.width // 2 + MARGIN * u
    local x = math.max(half, math.min(w - half, place.x + place.grid // 2))
    draw_centred(im, place.title, x, MARGIN * u, ink.text)
  end
  local bottom = MARGIN * u + place.title_height + place.heading_height - 3 * u
  for i, block in pairs(place.headings) do
    local x = place.x + (i - 1) * (place.cell + GAP * u) + place.cell // 2
    draw_centred(im, block, x, bottom - block.height, ink.text)
  end
  for _, row in ipairs(canvas.rows) do
    row.colours = row.colormap and colormap.get(row.colormap)
    draw_row(im, row, place, u, ink)
  end
  return im
end

return M
