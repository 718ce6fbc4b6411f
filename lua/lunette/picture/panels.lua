---What a canvas draws: turns what people hand over (batches, lists, maps, images
---of a run) into cells, and decides what a map's values span.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local drawn = require "lunette.picture.drawn"
local options = require "lunette.base.options"
local pictures = require "lunette.picture.image"
local shapes = require "lunette.base.shapes"
local types = require "lunette.base.types"
local warn = require "lunette.base.warn"

local M = {}


-- which of the two it is ---------------------------------------------------------


---The kind of a tensor without a story, by its shape: three channels are a picture.
local function kind_of_tensor(t, columns)
  local s = t:shape()
  if #s == 4 and s[2] == 3 then return "picture" end
  if #s == 4 and s[2] == 1 or #s == 2 then return "map" end
  -- three maps, or one picture: the number of columns decides
  if #s == 3 then return s[1] == 3 and columns == 1 and "picture" or "map" end
  error(("row: %s is neither pictures (N,3,H,W) nor maps (N,H,W) or (N,1,H,W); "
         .. "kind = \"map\" sums channels"):format(shapes.text(t)), 0)
end


---The kind of a tensor with a story.
local function kind_told(t) return drawn.kind(t) == "picture" and "picture" or "map" end


local function check_list(list)
  for i, one in ipairs(list) do
    if not types.is_image(one) and not types.is_tensor(one) then
      blame(("canvas:row: number %d of the list is a picture or a map, got %s"):format(
            i, types.told(one)))
    end
  end
end


local function kind_of(what, columns)
  if types.is_image(what) or what.pictures then return "picture" end
  if type(what) == "userdata" and what.story then return kind_told(what) end
  if type(what) == "userdata" then return kind_of_tensor(what, columns) end
  local first = what[1]
  if first == nil then error("row: an empty list", 0) end
  check_list(what)
  if types.is_image(first) then return "picture" end
  if first.story then return kind_told(first) end
  local s = first:shape()
  return #s == 3 and s[1] == 3 and "picture" or "map"
end


-- pictures -----------------------------------------------------------------------


local function as_list(what)
  if types.is_image(what) then return { what } end
  if type(what) ~= "table" and not types.is_tensor(what) then
    blame(("canvas:row: pictures are tensors (lu.image.load reads a file), got %s")
      :format(types.told(what)))
  end
  if what.pictures then return what.pictures end
  if type(what) == "table" then
    check_list(what)
    return what
  end
  local n, list = #what:shape(), {}
  if n == 2 or n == 3 and what:dim(1) == 3 then return { what } end
  for i = 1, #what do list[i] = what[i] end
  return list
end


---Pixels are 0..255; a preprocessed input shown as it is misleads.
local function check_pixels(t, row, i)
  local lo, hi, bad = core.image.range(t)
  if bad > 0 then
    error(("row '%s': picture %d has %d values that are not numbers"):format(row, i,
          bad), 0)
  end
  if lo < -0.5 or hi > 255.5 then
    error(("row '%s': picture %d has values from %.4g to %.4g, pictures have 0..255; "
           .. "pass the images of net:images, or lu.image.deprocess(x, preprocessing), "
           .. "or say kind = \"map\""):format(row, i, lo, hi), 0)
  end
  if hi > 0 and hi <= 1 then
    warn(("row '%s': picture %d has values within 0..1; pictures have 0..255"):format(
         row, i))
  end
end


---@return userdata[] images   8-bit
function M.pictures(what, row)
  local images = {}
  for i, p in ipairs(as_list(what)) do
    if not types.is_image(p) then check_pixels(p, row, i) end
    images[i] = pictures.to_image(p)
  end
  if #images == 0 then error(("row '%s': no pictures"):format(row), 0) end
  return images
end


-- maps ---------------------------------------------------------------------------


---(H,W) of one map; channels are summed.
local function plane(t, row, i)
  local n = t:dim()
  if n == 2 then return t:detach() end
  if n == 3 and t:dim(1) == 1 then return t[1] end
  if n ~= 3 then
    error(("row '%s': map %d has shape %s, (H,W) expected"):format(row, i,
          shapes.text(t)), 0)
  end
  local sum = t[1]:clone()
  for c = 2, t:dim(1) do sum:add_(t[c]) end
  return sum
end


local function map_list(what)
  local list = {}
  if type(what) == "table" then what = what.map or what.maps or what end
  if type(what) == "userdata" and what:dim() == 2 then return { what } end
  for i = 1, #what do list[i] = what[i] end
  return list
end


---@return table[] cells   {map =, least =, greatest =}
function M.maps(what, row)
  local cells = {}
  for i, t in ipairs(map_list(what)) do
    local map = plane(t, row, i)
    local lo, hi, bad = core.image.range(map)
    if bad > 0 then
      error(("row '%s': map %d has %d of %d values that are not finite (NaN or "
             .. "infinite); nothing can be drawn"):format(row, i, bad, map:size()), 0)
    end
    cells[i] = { map = map, least = lo, greatest = hi }
  end
  if #cells == 0 then error(("row '%s': no maps"):format(row), 0) end
  return cells
end


-- from values to colours -----------------------------------------------------------


local function largest(lo, hi) return math.max(math.abs(lo), math.abs(hi)) end


local span = {
  minmax = function(c) return c.least, c.greatest end,
  max = function(c, signed)
    local m = largest(c.least, c.greatest)
    return signed and -m or 0, m
  end,
  symmetric = function(c)
    local m = largest(c.least, c.greatest)
    return -m, m
  end,
  percentile = function(c, signed, p)
    local m = core.image.percentile(c.map, p)
    if m == 0 then m = largest(c.least, c.greatest) end
    return signed and -m or 0, m
  end,
  none = function(_, signed) return signed and -1 or 0, 1 end,
}

M.normalizations = { "minmax", "max", "symmetric", "percentile", "none" }


---A map of one value: all zero takes the colour of zero, others the middle one.
local function flat_span(cell, row, i, caption)
  local v, signed = cell.least, row.signed
  local whose = caption and (" (%s)"):format((caption:gsub("%s*\n%s*", ", "))) or ""
  warn(("row '%s': map %d%s is %s everywhere; it is drawn flat"):format(row.title, i,
       whose, v == 0 and "zero" or ("%.4g"):format(v)))
  if v == 0 then return signed and -1 or 0, 1 end
  return v, v
end


local function cell_span(row, c, i, o)
  c.flat = c.least == c.greatest or nil
  local lo, hi
  if c.flat then
    lo, hi = flat_span(c, row, i, (o.captions or {})[i])
    if row.normalize ~= "none" then return lo, hi end
  end
  return span[row.normalize](c, row.signed, o.percentile)
end


local function shared_span(cells)
  local lo, hi = math.huge, -math.huge
  for _, c in ipairs(cells) do lo, hi = math.min(lo, c.lo), math.max(hi, c.hi) end
  for _, c in ipairs(cells) do c.lo, c.hi = lo, hi end
end


---Whether the row's cells have one scale; then its colour bar shows values.
local function one_scale(cells)
  for _, c in ipairs(cells) do
    if c.lo ~= cells[1].lo or c.hi ~= cells[1].hi then return false end
  end
  return true
end


---What the first and last colour stand for, where the scale is each map's own.
local own_scale = {
  en = {
    one = "the map's", each = "each map's",
    minmax = "0 .. 1: %s least .. greatest value",
    max = "1.0: %s largest |value|",
    symmetric = "1.0: %s largest |value|",
    percentile = "1.0: percentile %%g of %s |values|",
    none = "relative",
    greatest = "1.0: %s greatest value",
  },
  ru = {
    one = "карты", each = "каждой карты",
    minmax = "0 .. 1: наименьшее .. наибольшее значение %s",
    max = "1.0: наибольшее |значение| %s",
    symmetric = "1.0: наибольшее |значение| %s",
    percentile = "1.0: процентиль %%g |значений| %s",
    none = "относительные",
    greatest = "1.0: наибольшее значение %s",
  },
}

---The languages in which a colour bar says what its numbers mean.
M.langs = { "en", "ru" }


---What the numbers of the row's colour bar mean, or nil where they are the values as
---the method gives them.
---@param row table
---@param lang "en"|"ru"
---@return string?
function M.meaning(row, lang)
  local say = own_scale[lang]
  local whose = #row.cells == 1 and say.one or say.each
  if row.relative then
    return say[row.normalize]:format(whose):format(row.percentile)
  end
  local story = row.story or {}
  if story.normalize == true and not story.raw and not row.signed then
    return say.greatest:format(whose)
  end
  return nil
end


---What the row's colour bar spans: values, or shares where every cell has a
---scale of its own, or its values are cut at a percentile.
local function bar_span(row)
  row.relative = not one_scale(row.cells)
    or row.normalize == "percentile" and not row.shared
  if not row.relative then
    row.lo, row.hi = row.cells[1].lo, row.cells[1].hi
    return
  end
  local centred = row.normalize == "symmetric"
    or row.signed and row.normalize ~= "minmax"
  row.lo, row.hi = centred and -1 or 0, 1
end


---Sets lo and hi of every cell (the values of the first and last colour), and of
---the row's colour bar.
---@param row table   {title, cells, signed}
---@param o table     options of canvas:row
function M.scale(row, o)
  row.normalize = o.normalize or (row.signed and "symmetric" or "minmax")
  options.choice("row: normalize", row.normalize, M.normalizations)
  for i, c in ipairs(row.cells) do
    c.lo, c.hi = cell_span(row, c, i, o)
  end
  if o.shared then shared_span(row.cells) end
  for _, c in ipairs(row.cells) do
    c.lo, c.hi = o.vmin or c.lo, o.vmax or c.hi
  end
  row.shared = o.shared or o.vmin ~= nil and o.vmin ~= false
  bar_span(row)
  row.percentile = o.percentile
  row.meaning = M.meaning(row, "en")
end


---Raises for what has no cells: a number, a run, a network.
local function check_drawable(title, what)
  local object = type(what) == "table" and getmetatable(what)
  if not object and (type(what) == "table" or type(what) == "userdata") then return end
  error(("row '%s': pictures or maps expected, got %s%s"):format(title,
        types.told(what), types.is_object(what, "lunette.Run")
        and "; run.images are its pictures, a method makes maps" or ""), 0)
end


---Cells, kind and scale of one row.
---@param title string
---@param what any
---@param o table          checked options of canvas:row
---@param columns integer? number of columns when it is known
---@return table row
function M.row(title, what, o, columns)
  check_drawable(title, what)
  local kind = o.kind or kind_of(what, columns)
  options.choice("row: kind", kind, { "picture", "map" })
  local names = not types.is_image(what) and what.names or nil
  local row = { title = title, kind = kind, cells = {}, names = names }
  if kind == "picture" then
    for i, image in ipairs(M.pictures(what, title)) do
      row.cells[i] = { image = image }
    end
    return row
  end
  row.cells = M.maps(what, title)
  row.story = what.story
  for _, c in ipairs(row.cells) do row.signed = row.signed or c.least < 0 end
  row.signed = row.signed or false
  M.scale(row, o)
  return row
end

return M
