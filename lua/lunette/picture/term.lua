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


---Pixels of a character; terminals that do not say have 8 x 16.
local function cell()
  local columns, rows, across, down = core.term_size(1)
  return (across or 0) > 0 and across / columns or 8,
         (down or 0) > 0 and down / rows or 16
end


---The same in pixels.
local function room_in_pixels(columns, rows)
  local cell_w, cell_h = cell()
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


---Lines of the terminal that a picture takes.
---@param image userdata
---@param kind string
---@return integer
function M.lines(image, kind)
  local _, h = image:size()
  if not M.in_pixels(kind) then return (h + 1) // 2 end
  local _, cell_h = cell()
  return math.ceil(h / cell_h)
end


-- drawing ----------------------------------------------------------------------


local draw = { sixel = require "lunette.picture.sixel" }

---PNG in pieces of 4096 bytes (kitty's limit); q=2: it shall not answer. A picture
---with a number takes the place of the last one of that number.
function draw.kitty(image, id)
  local data, out = core.base64(image:png()), {}
  for at = 1, #data, 4096 do
    local more = at + 4096 <= #data and 1 or 0
    local head = at == 1 and "a=T,f=100,q=2," or ""
    if at == 1 and id then head = head .. ("i=%d,p=1,"):format(id) end
    out[#out + 1] = ("\27_G%sm=%d;%s\27\\"):format(head, more, data:sub(at, at + 4095))
  end
  return table.concat(out) .. "\n"
end


function draw.iterm(image)
  local png = image:png()
  local w, h = image:size()
  local head = ("size=%d;width=%dpx;height=%dpx"):format(#png, w, h)
  return "\27]1337;File=inline=1;" .. head .. ":" .. core.base64(png) .. "\7\n"
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
---@param id? integer      kitty: of a picture that is replaced
---@return string? text    nil where nothing is drawn
function M.encode(image, kind, id)
  kind = kind or M.kind()
  if not kind then return nil end
  local real = kind == "chafa" and colours() or kind
  return chafa_draws(kind) and chafa(image, real) or draw[real](image, id)
end

return M
