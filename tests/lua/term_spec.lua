-- Pictures in the terminal: what is printed is decoded again, and has the colours of
-- the picture, whatever the protocol.
local core = require "lunette.core"
local term = require "lunette.picture.term"

local red, green, blue, white = 0xFF0000, 0x00FF00, 0x0000FF, 0xFFFFFF

---Four quarters: red, green / blue, white, with one odd pixel.
local function quarters(w, h)
  local im = core.image.new(w, h, red)
  im:fill(w // 2, 0, w - w // 2, h // 2, green)
  im:fill(0, h // 2, w // 2, h - h // 2, blue)
  im:fill(w // 2, h // 2, w - w // 2, h - h // 2, white)
  im:fill(1, 1, 1, 1, 0xC86432)
  return im
end

---More than 256 colours.
local function shades(w, h)
  local im = core.image.new(w, h)
  for y = 0, h - 1 do
    for x = 0, w - 1 do
      im:fill(x, y, 1, 1, (255 * x // (w - 1)) << 16 | (255 * y // (h - 1)) << 8
                          | (7 * x + 5 * y) % 256)
    end
  end
  return im
end

---Largest difference of a channel between the picture and pixels[y][x] = {r,g,b}.
local function off(im, pixels)
  local w, h = im:size()
  local worst = 0
  for y = 0, h - 1 do
    for x = 0, w - 1 do
      local want, got = { im:get(x, y) }, pixels[y] and pixels[y][x]
      if not got then return math.huge end
      for c = 1, 3 do worst = math.max(worst, math.abs(want[c] - got[c])) end
    end
  end
  return worst
end


-- decoders ---------------------------------------------------------------------


local cube = { [0] = 0, 95, 135, 175, 215, 255 }

local function of_256(n)
  if n >= 232 then
    local v = 8 + 10 * (n - 232)
    return { v, v, v }
  end
  n = n - 16
  return { cube[n // 36], cube[n // 6 % 6], cube[n % 6] }
end

---A colour after "38;" or "48;".
local function sgr_colour(text)
  local r, g, b = text:match "^2;(%d+);(%d+);(%d+)$"
  if r then return { tonumber(r), tonumber(g), tonumber(b) } end
  return of_256(tonumber(text:match "^5;(%d+)$"))
end

local function decode_blocks(text)
  local pixels, y = {}, 0
  for line in text:gmatch "([^\n]*)\n" do
    local fore, back, x, at = nil, nil, 0, 1
    pixels[y], pixels[y + 1] = {}, {}
    while at <= #line do
      local code, stop = line:match("^\27%[([%d;]*)m()", at)
      if code then
        if code:find "^38;" then fore = sgr_colour(code:sub(4)) end
        if code:find "^48;" then back = sgr_colour(code:sub(4)) end
        if code == "49" then back = nil end
        if code == "0" then fore, back = nil, nil end
        at = stop
      else
        assert(line:sub(at, at + 2) == "▀", "a half block")
        pixels[y][x], pixels[y + 1][x] = fore, back
        x, at = x + 1, at + 3
      end
    end
    y = y + 2
  end
  return pixels
end

local function decode_sixel(text)
  local body = assert(text:match '^\27Pq"1;1;%d+;%d+(.*)\27\\\n$')
  local colours, pixels, x, y, colour, at = {}, {}, 0, 0, nil, 1
  local function put(char, n)
    local bits = char:byte() - 63
    for _ = 1, n do
      for k = 0, 5 do
        if bits >> k & 1 == 1 then
          pixels[y + k] = pixels[y + k] or {}
          assert(not pixels[y + k][x], "drawn once")
          pixels[y + k][x] = colour
        end
      end
      x = x + 1
    end
  end
  while at <= #body do
    local id, r, g, b, stop = body:match("^#(%d+);2;(%d+);(%d+);(%d+)()", at)
    if id then
      colours[id] = { r * 255 / 100, g * 255 / 100, b * 255 / 100 }
    else
      id, stop = body:match("^#(%d+)()", at)
      if id then colour = assert(colours[id]) end
    end
    if not id then
      local n, char
      n, char, stop = body:match("^!(%d+)([?-~])()", at)
      if n then
        put(char, tonumber(n))
      else
        char, stop = body:match("^(.)()", at)
        if char == "$" then
          x = 0
        elseif char == "-" then
          x, y = 0, y + 6
        else
          put(char, 1)
        end
      end
    end
    at = stop
  end
  return pixels
end

local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function from_base64(text)
  local out = {}
  for four in text:gmatch "...." do
    local n, bytes = 0, 3
    for c in four:gmatch "." do
      if c == "=" then bytes = bytes - 1 end
      n = n << 6 | (c == "=" and 0 or digits:find(c, 1, true) - 1)
    end
    out[#out + 1] = string.char(n >> 16, n >> 8 & 255, n & 255):sub(1, bytes)
  end
  return table.concat(out)
end

local function pixels_of(png)
  local im = assert(core.image.decode(png))
  local w, h = im:size()
  local pixels = {}
  for y = 0, h - 1 do
    pixels[y] = {}
    for x = 0, w - 1 do pixels[y][x] = { im:get(x, y) } end
  end
  return pixels
end

local decoders = {
  truecolor = decode_blocks, ["256"] = decode_blocks, sixel = decode_sixel,
  kitty = function(text)
    local parts = {}
    for keys, part in text:gmatch "\27_G([^;]*);([^\27]*)\27\\" do
      assert(#part <= 4096 and keys:find "m=[01]$")
      parts[#parts + 1] = part
    end
    return pixels_of(from_base64(table.concat(parts)))
  end,
  iterm = function(text)
    return pixels_of(from_base64(text:match "^\27%]1337;File=[^:]*:(.*)\7\n$"))
  end,
}


-- the tests --------------------------------------------------------------------


---Most that a channel may be off: few colours, many colours.
local bounds = { truecolor = { 0, 0 }, ["256"] = { 45, 48 }, sixel = { 1.3, 52 },
                 kitty = { 0, 0 }, iterm = { 0, 0 } }

local has_chafa
before_each(function() -- our own drawing, wherever the tests run
  has_chafa = term.has_chafa
  term.has_chafa = function() return false end
end)
after_each(function() term.has_chafa = has_chafa end)

for kind, bound in pairs(bounds) do
  describe("a picture by " .. kind, function()
    it("has its colours", function()
      for _, size in ipairs { { 6, 4 }, { 7, 5 }, { 31, 13 } } do
        local im = quarters(size[1], size[2])
        assert.is_true(off(im, decoders[kind](term.encode(im, kind))) <= bound[1])
      end
    end)

    it("has them where there are more than 256", function()
      local im = shades(40, 30)
      local worst = off(im, decoders[kind](term.encode(im, kind)))
      assert.is_true(worst <= bound[2], "off by " .. worst)
    end)
  end)
end

describe("the primary colours", function()
  it("are exact in 256 colours and as sixels", function()
    for _, kind in ipairs { "256", "sixel" } do
      for _, colour in ipairs { red, green, blue, white, 0 } do
        local im = core.image.new(2, 2, colour)
        assert.equal(0, off(im, decoders[kind](term.encode(im, kind))))
      end
    end
  end)
end)

describe("a picture in characters", function()
  it("is bright where the picture is", function()
    local im = core.image.new(4, 2, 0)
    im:fill(1, 0, 1, 2, 0x808080)
    im:fill(2, 0, 1, 2, white)
    im:fill(3, 0, 1, 2, green)
    assert.equal(" =@+\n", (term.encode(im, "ascii")))
  end)
end)
