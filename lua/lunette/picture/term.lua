---Pictures in the terminal: by the kitty or iTerm2 protocol, as sixels, as half
---blocks in 24-bit or 256 colours, or as characters; whichever it can. Never on a
---pipe. NO_COLOR and LUNETTE_GRAPHICS (kitty, iterm, sixel, blocks, 256, ascii,
---chafa, off) are honoured. chafa draws sixels and blocks where it is installed.
local core = require "lunette.core"

local M = {}


-- what the terminal can --------------------------------------------------------


local function env(name)
  local v = os.getenv(name)
  return v ~= "" and v or nil
end


local by_name = { kitty = "kitty", iterm = "iterm", iterm2 = "iterm", sixel = "sixel",
                  blocks = "truecolor", truecolor = "truecolor", ["256"] = "256",
                  ascii = "ascii", chafa = "chafa" }


local function colours()
  local term = env "TERM" or ""
  local says = env "COLORTERM"
  local all = says == "truecolor" or says == "24bit" or term:find "direct"
  return all and "truecolor" or "256"
end


local programs = { ghostty = "kitty", WezTerm = "iterm", ["iTerm.app"] = "iterm" }


---Terminals that say in their environment what they draw.
local function from_environment()
  local term = env "TERM" or ""
  if env "TMUX" or env "STY" or term:find "^screen" or term:find "^tmux" then
    return colours() -- a multiplexer passes no pictures through
  end
  if env "KITTY_WINDOW_ID" or term:find "kitty" or term:find "ghostty" then
    return "kitty"
  end
  if env "LC_TERMINAL" == "iTerm2" then return "iterm" end
  return programs[env "TERM_PROGRAM" or ""]
end


---Asks "what are you" (DA1): the answer lists 4 where sixels are drawn.
local function from_answer()
  local answer = core.term_ask("\27[c", "c", 100)
  local list = answer and answer:match "\27%[%?([%d;]+)c"
  if list and (";" .. list .. ";"):find(";4;", 1, true) then return "sixel" end
  return nil
end


local detected


---How pictures are drawn here: "kitty", "iterm", "sixel", "truecolor", "256",
---"ascii", "chafa", or nil where they are not (a pipe, or LUNETTE_GRAPHICS=off).
---@return string?
function M.kind()
  if not core.is_tty(1) then return nil end
  local wish = env "LUNETTE_GRAPHICS"
  if wish == "off" or wish == "none" then return nil end
  if wish and by_name[wish] then return by_name[wish] end
  if env "NO_COLOR" or env "TERM" == "dumb" or not env "TERM" then return "ascii" end
  detected = detected or from_environment() or from_answer() or colours()
  return detected
end


---Whether text may be coloured.
---@return boolean
function M.colour()
  return core.is_tty(1) and not env "NO_COLOR" and env "TERM" ~= "dumb"
    and env "TERM" ~= nil
end


---Whether pictures of that kind have pixels of their own, not the screen's
---characters.
---@param kind string
---@return boolean
function M.in_pixels(kind)
  return kind == "kitty" or kind == "iterm" or kind == "sixel"
end


---The same in pixels; terminals that do not say have cells of 8 x 16.
local function room_in_pixels(columns, rows)
  local _, _, across, down = core.term_size(1)
  local cell_w = (across or 0) > 0 and across / columns or 8
  local cell_h = (down or 0) > 0 and down / rows or 16
  return math.floor(math.min(columns * cell_w, 960)),
         math.floor(math.max(64, math.min((rows - 4) * cell_h, 640)))
end


---Room for one picture in its own pixels: width, height.
---@return integer width, integer height
function M.room()
  local columns, rows = core.term_size(1)
  columns, rows = columns or 80, rows or 24
  local kind = M.kind()
  if M.in_pixels(kind) then return room_in_pixels(columns, rows) end
  if kind == "ascii" then return math.min(columns, 80), math.min(2 * rows - 8, 48) end
  return math.min(columns, 120), math.max(12, math.min(2 * (rows - 4), 96))
end


-- drawing ----------------------------------------------------------------------


local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

---@param s string
---@return string
function M.base64(s)
  local out = {}
  for i = 1, #s, 3 do
    local a, b, c = s:byte(i, i + 2)
    local n = a << 16 | (b or 0) << 8 | (c or 0)
    for k = 0, 3 do
      local at = (n >> (18 - 6 * k) & 63) + 1
      local pad = k == 2 and not b or k == 3 and not c
      out[#out + 1] = pad and "=" or letters:sub(at, at)
    end
  end
  return table.concat(out)
end


local draw = {}

---PNG in pieces of 4096 bytes (kitty's limit); q=2: it shall not answer.
function draw.kitty(image)
  local data, out = M.base64(image:png()), {}
  for at = 1, #data, 4096 do
    local more = at + 4096 <= #data and 1 or 0
    local head = at == 1 and "a=T,f=100,q=2," or ""
    out[#out + 1] = ("\27_G%sm=%d;%s\27\\"):format(head, more, data:sub(at, at + 4095))
  end
  return table.concat(out) .. "\n"
end


function draw.iterm(image)
  local png = image:png()
  local w, h = image:size()
  local head = ("size=%d;width=%dpx;height=%dpx"):format(#png, w, h)
  return "\27]1337;File=inline=1;" .. head .. ":" .. M.base64(png) .. "\7\n"
end


local levels = { 0, 95, 135, 175, 215, 255 }

---Nearest of xterm's 256 colours: the 6x6x6 cube or the 24 greys.
local function xterm(r, g, b)
  local function step(v)
    return v < 48 and 0 or v < 115 and 1 or (v - 35) // 40
  end
  local i, j, k = step(r), step(g), step(b)
  local grey = math.max(0, math.min(23, ((r + g + b) // 3 - 3) // 10))
  local function far(x, y, z) return (x - r) ^ 2 + (y - g) ^ 2 + (z - b) ^ 2 end
  local level = 8 + 10 * grey
  if far(level, level, level) < far(levels[i + 1], levels[j + 1], levels[k + 1]) then
    return 232 + grey
  end
  return 16 + 36 * i + 6 * j + k
end
M.xterm = xterm


local function sgr_true(layer, r, g, b)
  return ("\27[%d;2;%d;%d;%dm"):format(layer, r, g, b)
end


local function sgr_256(layer, r, g, b)
  return ("\27[%d;5;%dm"):format(layer, xterm(r, g, b))
end


---Two pixels a character: the upper half in the text colour, the lower in the
---background. Colours are said only where they change.
local function half_blocks(image, sgr)
  local w, h = image:size()
  local out = {}
  for y = 0, h - 1, 2 do
    local line, fore, back = {}, nil, nil
    for x = 0, w - 1 do
      local up = sgr(38, image:get(x, y))
      local low = y + 1 < h and sgr(48, image:get(x, y + 1)) or "\27[49m"
      if up ~= fore then line[#line + 1] = up end
      if low ~= back then line[#line + 1] = low end
      fore, back = up, low
      line[#line + 1] = "▀"
    end
    out[#out + 1] = table.concat(line) .. "\27[0m\n"
  end
  return table.concat(out)
end


draw.truecolor = function(image) return half_blocks(image, sgr_true) end
draw["256"] = function(image) return half_blocks(image, sgr_256) end


local ramp = " .:-=+*#%@"

---Characters by brightness, for terminals without colours.
function draw.ascii(image)
  local w, h = image:size()
  local out = {}
  for y = 0, h - 1, 2 do
    local line = {}
    for x = 0, w - 1 do
      local light = 0
      for row = y, math.min(y + 1, h - 1) do
        local r, g, b = image:get(x, row)
        light = math.max(light, 0.299 * r + 0.587 * g + 0.114 * b)
      end
      local at = math.min(#ramp, 1 + math.floor(light / 256 * #ramp))
      line[x + 1] = ramp:sub(at, at)
    end
    out[#out + 1] = table.concat(line):gsub("%s+$", "") .. "\n"
  end
  return table.concat(out)
end


-- sixels -----------------------------------------------------------------------


local bayer = { { 0, 8, 2, 10 }, { 12, 4, 14, 6 }, { 3, 11, 1, 9 }, { 15, 7, 13, 5 } }


---Colours as they are while there are at most 256; else a 6x7x6 cube, dithered.
local function palette_of(image, w, h)
  local seen, list, pixels = {}, {}, {}
  for y = 0, h - 1 do
    for x = 0, w - 1 do
      local r, g, b = image:get(x, y)
      local v = r << 16 | g << 8 | b
      if not seen[v] then
        list[#list + 1] = v
        seen[v] = #list - 1
        if #list > 256 then return nil end
      end
      pixels[y * w + x] = seen[v]
    end
  end
  return list, pixels
end


local function cube(image, w, h)
  local list, pixels = {}, {}
  for i = 0, 251 do
    local r, g, b = i // 42, i // 6 % 7, i % 6
    list[i + 1] = (r * 51) << 16 | (g * 255 // 6) << 8 | b * 51
  end
  for y = 0, h - 1 do
    for x = 0, w - 1 do
      local r, g, b = image:get(x, y)
      local noise = (bayer[y % 4 + 1][x % 4 + 1] + 0.5) / 16
      local i = math.min(5, math.floor(r / 51 + noise))
      local j = math.min(6, math.floor(g * 6 / 255 + noise))
      local k = math.min(5, math.floor(b / 51 + noise))
      pixels[y * w + x] = i * 42 + j * 6 + k
    end
  end
  return list, pixels
end


---Which of six rows have a colour, for each colour: mask by column.
local function masks_of(pixels, w, y, rows)
  local masks = {}
  for dy = 0, rows - 1 do
    local bit, from = 1 << dy, (y + dy) * w
    for x = 0, w - 1 do
      local c = pixels[from + x]
      local mask = masks[c]
      if not mask then
        mask = {}
        masks[c] = mask
      end
      mask[x] = (mask[x] or 0) | bit
    end
  end
  return masks
end


---Six rows: for each colour in them one line of characters, runs counted.
local function band(pixels, w, y, rows, out)
  for c, mask in pairs(masks_of(pixels, w, y, rows)) do
    out[#out + 1] = "#" .. c
    local x = 0
    while x < w do
      local v, from = mask[x] or 0, x
      repeat x = x + 1 until x >= w or (mask[x] or 0) ~= v
      local n, char = x - from, string.char(63 + v)
      out[#out + 1] = n > 3 and ("!%d%s"):format(n, char) or char:rep(n)
    end
    out[#out + 1] = "$"
  end
  out[#out + 1] = "-"
end


---Sixels have their colours in 0..100.
local function per_cent(byte) return (byte * 100 + 127) // 255 end


function draw.sixel(image)
  local w, h = image:size()
  local list, pixels = palette_of(image, w, h)
  if not list then list, pixels = cube(image, w, h) end
  local out = { ('\27Pq"1;1;%d;%d'):format(w, h) }
  for i, v in ipairs(list) do
    out[#out + 1] = ("#%d;2;%d;%d;%d"):format(i - 1, per_cent(v >> 16),
      per_cent(v >> 8 & 255), per_cent(v & 255))
  end
  for y = 0, h - 1, 6 do band(pixels, w, y, math.min(6, h - y), out) end
  return table.concat(out) .. "\27\\\n"
end


-- chafa ------------------------------------------------------------------------


local chafa_path


---@return boolean
function M.has_chafa()
  if chafa_path == nil then
    chafa_path = require("lunette.base.paths").program "chafa" or false
  end
  return chafa_path ~= false
end


---The picture drawn by chafa, or nil when it fails.
local function chafa(image, kind)
  local w, h = image:size()
  local words = { "--animate", "off", "-f", kind == "sixel" and kind or "symbols" }
  if kind ~= "sixel" then
    table.move({ "--symbols", "block+quad", "-c", kind == "256" and kind or "full",
                 "-s", ("%dx%d"):format(w, (h + 1) // 2) }, 1, 6, 5, words)
  end
  words[#words + 1] = "/dev/stdin"
  local process = core.spawn(chafa_path, words, image:png())
  if not process then return nil end
  local text, code = process:finish()
  return code == 0 and text ~= "" and text:gsub("\n?$", "\n") or nil
end


local by_chafa = { sixel = true, truecolor = true, ["256"] = true }


---Whether chafa is to draw: asked for, or there and nothing else was asked for.
local function chafa_draws(kind)
  local forced = by_name[os.getenv "LUNETTE_GRAPHICS" or ""]
  if forced then return forced == "chafa" and M.has_chafa() end
  return by_chafa[kind] and M.has_chafa()
end


---The picture as text for a terminal of that kind.
---@param image userdata   8-bit image of core.image
---@param kind? string     default: what this terminal can
---@return string? text    nil where nothing is drawn
function M.encode(image, kind)
  kind = kind or M.kind()
  if not kind then return nil end
  local real = kind == "chafa" and colours() or kind
  return chafa_draws(kind) and chafa(image, real) or draw[real](image)
end

return M
