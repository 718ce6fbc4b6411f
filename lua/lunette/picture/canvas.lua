---Canvases: rows x columns of pictures and maps with titles, colour bars and
---captions; saved as PNG together with the raw maps (.npy) and a .json that says
---how they were made.
---
---  local c = lu.canvas { columns = #images, titles = { "hen", "kite" } }
---  c:row("image", images)
---  c:row("Grad-CAM", maps, { overlay = images, colormap = "jet" })
---  assert(c:save "out/gradcam.png")
local blame = require "lunette.base.blame"
local brief = require("lunette.base.text").brief
local colormap = require "lunette.picture.colormap"
local core = require "lunette.core"
local file = require "lunette.picture.file"
local files = require "lunette.base.files"
local json = require "lunette.base.json"
local npy = require "lunette.picture.npy"
local options = require "lunette.base.options"
local painter = require "lunette.picture.painter"
local panels = require "lunette.picture.panels"
local strict = require "lunette.base.strict"
local file_word = require("lunette.base.text").file_word

---@class lunette.Canvas
local Canvas = strict.class("canvas", {})
Canvas.__index = Canvas
Canvas.__name = "lunette.Canvas"

local colours = { white = 0xFFFFFF, black = 0x000000, gray = 0x808080, grey = 0x808080 }


local function colour_of(text)
  local hex = tostring(text):match "^#(%x%x%x%x%x%x)$"
  local colour = colours[text] or hex and tonumber(hex, 16)
  if colour then return colour end
  error(("canvas: background '%s' is no colour; use white, black or #rrggbb"):format(
        brief(text)), 0)
end


local canvas_options = { columns = false, titles = false, scale = 1, title = "",
                         cell = false, background = "white", facts = false,
                         lang = false }

---@class lunette.CanvasOptions
---@field columns? integer      default: as many as the longest row has cells
---@field titles? string[]      one above each column
---@field title? string         above everything
---@field scale? number         1 (default) or 2: the same picture in finer pixels
---@field cell? integer         side of a cell in pixels at scale 1 (default: what
---  the pictures have, multiplied by a whole number to come near 256)
---@field background? string   "white" (default), "black", "#rrggbb"
---@field facts? table          plain data that the .json gets besides
---@field lang? "en"|"ru"       of what the colour bars say (default: as the notebook
---  that shows it, or English)


local function whole(name, value, least, most)
  local n = math.tointeger(value)
  if not n or n < least or n > most then
    error(("canvas: %s must be a whole number from %d to %d, got %s"):format(name,
          least, most, brief(value)), 0)
  end
  return n
end


---Raises unless each column has a title, or none has.
local function check_titles(titles, columns)
  local n = titles and #titles or 0
  if n > 0 and n ~= columns then
    error(("canvas: %d title%s for %d column%s; '' leaves a column without one"):format(
          n, n == 1 and "" or "s", columns, columns == 1 and "" or "s"), 0)
  end
end


local function new_canvas(opts)
  local o = options.check("canvas", opts, canvas_options)
  if o.columns then o.columns = whole("columns", o.columns, 1, 1000) end
  if o.lang then options.choice("canvas: lang", o.lang, panels.langs) end
  if o.columns and type(o.titles) == "table" then check_titles(o.titles, o.columns) end
  if o.cell then o.cell = whole("cell", o.cell, 8, 4096) end
  return setmetatable({
    columns = o.columns, titles = o.titles, title = o.title or "", cell = o.cell,
    scale = whole("scale", o.scale, 1, 4), background = colour_of(o.background),
    facts = o.facts or {}, lang = o.lang, rows = {},
  }, Canvas)
end


-- rows -----------------------------------------------------------------------------


local row_options = {
  kind = false, colormap = false, overlay = false, alpha = 0.5, normalize = false,
  percentile = 99, vmin = false, vmax = false, shared = false, colorbar = true,
  captions = false, wrap = false, grey = false, interpolate = false,
}

---@class lunette.RowOptions
---@field kind? string         "picture" or "map" when the shape does not tell
---@field colormap? string     viridis for unsigned maps, coolwarm for signed ones and
---  for symmetric scales
---@field overlay? any         pictures to lay the maps over; true: the last row of them
---@field alpha? number        share of the map in an overlay (0.5)
---@field grey? boolean        overlay on grey pictures
---@field normalize? string    "minmax" (unsigned), "symmetric" (signed), "max",
---  "percentile", "none"; for each map by itself unless `shared`
---@field percentile? number   of |value| that takes the last colour (99)
---@field vmin? number         value of the first colour
---@field vmax? number         value of the last colour
---@field shared? boolean      one scale for the whole row
---@field colorbar? boolean    with tick numbers, right of the row (default true)
---@field captions? string[]   below each cell; "\n" begins a new line
---@field wrap? boolean       captions are broken at spaces, not cut off
---@field interpolate? string  filter for maps: "nearest", "bilinear", "bicubic" ...


---The pictures below a row's maps, one for each map or one for all.
local function add_overlay(self, row, overlay)
  local images
  if overlay == true then
    images = self.last_pictures
      or blame "row: overlay = true needs a row of pictures before it"
  else
    images = panels.pictures(overlay, row.title)
  end
  if #images ~= 1 and #images ~= #row.cells then
    blame(("row '%s': %d maps over %d pictures"):format(row.title, #row.cells,
          #images))
  end
  for i, cell in ipairs(row.cells) do
    cell.base = images[#images == 1 and 1 or i]
  end
end


local function colours_of_row(row, o)
  local centred = row.signed or row.normalize == "symmetric"
  row.colormap = o.colormap or (centred and "coolwarm" or "viridis")
  local ok, message = colormap.get(row.colormap)
  if not ok then error(message, 0) end
  row.colorbar = o.colorbar
end


local function check_row_options(opts)
  local o = options.check("row", opts, row_options)
  if type(o.alpha) == "number" and not (o.alpha >= 0 and o.alpha <= 1) then
    error(("row: alpha is from 0 to 1, got %s"):format(brief(o.alpha)), 0)
  end
  if (o.vmin or o.vmax) and not (o.vmin and o.vmax) then
    error("row: vmin and vmax go together", 0)
  end
  if o.vmin and o.vmin >= o.vmax then
    error(("row: vmin %g is not below vmax %g"):format(o.vmin, o.vmax), 0)
  end
  return o
end


local function make_row(self, title, what, opts)
  local o = check_row_options(opts)
  local row = panels.row(title, what, o, self.columns)
  if self.columns and #row.cells > self.columns then
    error(("row '%s' has %d cells, the canvas %d columns"):format(title, #row.cells,
          self.columns), 0)
  end
  if row.kind == "picture" then
    self.last_pictures = {}
    for i, c in ipairs(row.cells) do self.last_pictures[i] = c.image end
  else
    colours_of_row(row, o)
  end
  if o.overlay then add_overlay(self, row, o.overlay) end
  row.alpha, row.grey, row.interpolate = o.alpha, o.grey, o.interpolate or nil
  row.captions, row.wrap = o.captions or nil, o.wrap
  return row
end


---Adds a row. Pictures are an images batch of net:images, a list of (3,H,W), or
---(N,3,H,W) of 0..255. Maps are (N,H,W), (N,1,H,W), (H,W) or a list of them; a
---map with a value that is not finite is an error.
---@param title any            a text at the left side; may be left out
---@param what any
---@param opts? lunette.RowOptions
---@return lunette.Canvas self
function Canvas:row(title, what, opts)
  if title ~= nil and type(title) ~= "string" then
    if type(what) == "string" then
      blame(("row: the title comes first: canvas:row('%s', what, opts)"):format(what))
    end
    title, what, opts = "", title, what
  end
  self.rows[#self.rows + 1] = make_row(self, title or "", what, opts)
  return self
end


-- drawing --------------------------------------------------------------------------


local function finish(self)
  local columns = 1
  for _, row in ipairs(self.rows) do
    columns = math.max(columns, #row.cells)
    if row.kind == "map" then row.meaning = panels.meaning(row, self.lang or "en") end
  end
  check_titles(self.titles, self.columns or columns)
  return {
    rows = self.rows, columns = self.columns or columns, titles = self.titles,
    title = self.title, scale = self.scale, background = self.background,
    cell = self.cell or painter.default_cell(self.rows),
  }
end


---Draws the canvas.
---@return userdata? image, string? message   8-bit image (`image:png()`, `:size()`)
function Canvas:render()
  if #self.rows == 0 then return nil, "the canvas has no rows" end
  return painter.paint(finish(self))
end


---The bytes of the canvas as a picture file.
---@param format? "png"|"jpg"|"jpeg"|"bmp"   "png"
---@return string? bytes, string? message
function Canvas:encode(format)
  local image, message = self:render()
  if not image then return nil, message end
  local meta = { "Software", "Lunette " .. core.build().version }
  if self.title ~= "" then
    meta[3], meta[4] = "Title", self.title
  end
  local bytes = image:encode(format or "png", meta)
  image:release()
  return bytes
end


---The bytes of the canvas as a PNG file.
---@return string? bytes, string? message
function Canvas:png() return self:encode "png" end


-- saving ---------------------------------------------------------------------------


---A row's title as part of a file name.
local function slug(title, i, taken)
  local name = file_word(title:lower():gsub("[._+-]+", "_"), 60)
  name = name:gsub("__+", "_"):gsub("^_", ""):gsub("_$", "")
  if name == "" then name = "row" .. i end
  local base, n = name, 1
  while taken[name] do
    n = n + 1
    name = base .. "_" .. n
  end
  taken[name] = true
  return name
end


---(N,H,W) of a row's maps, or nil when they differ in size.
local function stack(cells)
  local h, w = cells[1].map:dim(1), cells[1].map:dim(2)
  for _, c in ipairs(cells) do
    if c.map:dim(1) ~= h or c.map:dim(2) ~= w then return nil end
  end
  local t = core.zeros(#cells, h, w)
  for i, c in ipairs(cells) do t[i] = c.map end
  return t
end


---The arrays of a row by file name.
local function arrays_of(row, base)
  local all = stack(row.cells)
  if all then return { { path = base .. ".npy", tensor = all } } end
  local list = {}
  for i, c in ipairs(row.cells) do
    list[i] = { path = ("%s-%d.npy"):format(base, i), tensor = c.map }
  end
  return list
end


local plain


local function plain_table(list, depth)
  local meta = getmetatable(list)
  if depth > 8 or meta and meta.__tostring then return brief(list) end
  local size, copy = 0, {}
  for _ in pairs(list) do size = size + 1 end
  for key, value in pairs(list) do
    copy[size == #list and key or tostring(key)] = plain(value, depth + 1)
  end
  return copy
end


---Plain data for JSON: tensors, functions and numbers that JSON lacks as text.
function plain(value, depth)
  local kind = type(value)
  if kind == "table" then return plain_table(value, depth or 0) end
  local odd = kind == "number" and (value ~= value or math.abs(value) == math.huge)
  if odd or kind == "userdata" or kind == "function" then return brief(value) end
  return value
end


local function tell_row(row, arrays)
  local told = { title = row.title, kind = row.kind, images = plain(row.names) }
  if not row.names then told.images = nil end
  if row.captions then told.captions = plain(row.captions) end
  if row.kind == "picture" then return told end
  told.colormap, told.normalize, told.alpha = row.colormap, row.normalize, nil
  told.overlay = row.cells[1].base ~= nil
  if told.overlay then told.alpha, told.grey = row.alpha, row.grey end
  if row.normalize == "percentile" then told.percentile = row.percentile end
  told.npy, told.ranges = json.array {}, json.array {}
  for i, a in ipairs(arrays) do told.npy[i] = select(2, files.split(a.path)) end
  for i, c in ipairs(row.cells) do
    told.ranges[i] = { least = c.least, greatest = c.greatest, first_colour = c.lo,
                       last_colour = c.hi, flat = c.flat }
  end
  if row.story then told.story = plain(row.story) end
  return told
end


local function tell(self, path, rows)
  local build, told = core.build(), {}
  for key, value in pairs(self.facts) do told[key] = plain(value) end
  told.lunette, told.commit, told.isa = build.version, build.commit, build.isa
  told.picture, told.title = select(2, files.split(path)), self.title
  told.scale, told.rows = self.scale, json.array(rows)
  told.columns = self.titles and plain(self.titles) or nil
  told.made = os.date "!%Y-%m-%dT%H:%M:%SZ"
  return json.encode(told, { indent = 2 }) .. "\n"
end


---The files beside a picture: BASE-ROW.npy with the raw values of every row of maps,
---BASE.json with how they were made; those that are wanted.
local function companions(self, path, wanted)
  local base = path:gsub("%.%w+$", "")
  local set, rows, taken = {}, {}, {}
  for i, row in ipairs(self.rows) do
    local arrays = {}
    if row.kind == "map" and wanted.npy then
      arrays = arrays_of(row, base .. "-" .. slug(row.title, i, taken))
    end
    for _, a in ipairs(arrays) do
      set[#set + 1] = { a.path, npy.encode(a.tensor) }
    end
    rows[i] = tell_row(row, arrays)
  end
  if wanted.json then set[#set + 1] = { base .. ".json", tell(self, path, rows) } end
  return set
end


---Writes the picture, and beside it BASE-ROW.npy with the raw values of every
---row of maps and BASE.json with how they were made: all of them whole, or none. A
---device or FIFO gets a PNG alone.
---@param path string   .png, .jpg, .jpeg or .bmp; missing folders are made
---@param beside? { npy?: boolean, json?: boolean }   which of them (both)
---@return string? path, string? message
---@return string[]? files   all that were written, the picture last
function Canvas:save(path, beside)
  if type(path) ~= "string" or path == "" then blame("canvas: save wants a path") end
  local format, message = file.format_of(path)
  if not format then return nil, message end
  local bytes
  bytes, message = self:encode(format)
  if not bytes then return nil, message end
  local set = files.is_special(path) and {}
    or companions(self, path, beside or { npy = true, json = true })
  set[#set + 1] = { path, bytes }
  local ok
  ok, message = files.write_set(set)
  if not ok then return nil, message end
  local names = {}
  for i, entry in ipairs(set) do names[i] = entry[1] end
  return path, nil, names
end


---A new canvas: rows of pictures and maps with titles and colour bars.
---Example:
---  local net = lu.load "glyphs"
---  local images = net:images(lu.glyphs.default_images(2).images)
---  local canvas = lu.canvas { columns = 2, title = "Grad-CAM" }
---  canvas:row("image", images)
---  canvas:row("map", lu.gradcam(net, images), { overlay = images.pictures })
---  assert(canvas:save "out/example.png")
---@param opts? lunette.CanvasOptions
---@return lunette.Canvas
local function canvas(opts)
  local ok, made = pcall(new_canvas, opts)
  if not ok then blame(made) end
  return made
end

return canvas
