---Tiles laid out as one picture: how many columns, how large, with their numbers.
local core = require "lunette.core"

local M = {}

---@class lunette.SheetRoom
---@field width integer     pixels
---@field height integer
---@field gap integer       pixels between tiles
---@field strip integer     pixels above every tile, for its number; 0: none
---@field even? boolean     two rows of pixels are one line of text

M.STRIP = 11

local SIZE, GREY, WHITE = 9, 0x606060, 0xFFFFFF


---Columns and the scale of tiles so that n of them fill the room best.
local function grid(n, tile_w, tile_h, room, columns)
  local best_columns, best = 1, 0
  for c = columns or 1, columns or n do
    local rows = -(-n // c)
    local across = room.width - room.gap * (c - 1)
    local down = room.height - room.gap * (rows - 1) - room.strip * rows
    local s = math.min(across / (c * tile_w), down / (rows * tile_h))
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
---@param tiles lunette.Tiles
---@param room lunette.SheetRoom
---@param least integer
---@param columns? integer
---@return integer
function M.fitting(tiles, room, least, columns)
  local n = #tiles
  local w, h = tiles[1].image:size()
  while n > 1 do
    local _, s = grid(n, w, h, room, columns)
    if s * math.min(w, h) >= math.min(least, math.min(w, h)) then break end
    n = n > 16 and n - n // 8 or n - 1
  end
  if columns and n > columns then n = n - n % columns end
  return n
end


---@class lunette.Sheet
---@field image userdata
---@field columns integer
---@field step integer      pixels from one row of tiles to the next


---One image of the first n tiles.
---@param tiles lunette.Tiles
---@param n integer
---@param room lunette.SheetRoom
---@param columns? integer
---@return lunette.Sheet
function M.compose(tiles, n, room, columns)
  local w, h = tiles[1].image:size()
  local across, s = grid(n, w, h, room, columns)
  if s >= 2 then s = math.floor(s) end
  local tw, th = math.max(1, math.floor(w * s)), math.max(1, math.floor(h * s))
  local rows, gap, strip = -(-n // across), room.gap, room.strip
  if room.even and rows > 1 and (th + gap) % 2 == 1 then th = math.max(1, th - 1) end
  local step = th + gap + strip
  across = math.min(across, n)
  local image = core.image.new(across * (tw + gap) - gap, rows * step - gap, WHITE)
  for i = 1, n do
    local x, y = (i - 1) % across * (tw + gap), (i - 1) // across * step
    image:paste(sized(tiles[i].image, tw, th), x, y + strip)
    local label = tiles[i].label
    if strip > 0 and label then
      image:text(x, y + strip - 2, SIZE, GREY, tostring(label))
    end
  end
  return { image = image, columns = across, step = step }
end

return M
