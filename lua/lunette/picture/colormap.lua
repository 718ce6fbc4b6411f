---Colour maps: 256 RGB triples each, made from a few control points. All are
---within 2/255 of matplotlib's maps of the same names.
local blame = require "lunette.base.blame"
local M = {}

-- A map is 33 control points, hexadecimal RGB, joined by Catmull-Rom splines.
-- viridis, magma, inferno, plasma: van der Walt and Smith 2015 (CC0); turbo:
-- Mikhailov 2019; coolwarm: Moreland 2009. Fitted by least squares.
local splines = {
  viridis =
    "440154470d6048186a482374472d7b4536814240863f49893b528b375a8d33638d"
    .. "2f6a8e2c728e297a8e26818e23898e21908c1f988b1f9f8821a68528ae8031b57b"
    .. "3ebc744cc26c5dc9636ece5882d34c96d83fabdc32c0df24d5e21aeae51afde724",
  magma =
    "0000030303110a0822130d331d114628115a36106a430f7650127c5d177f691c81"
    .. "7621818226818f2a819c2e7fa9327db63779c33b75cf4170db486ae65163ee5c5e"
    .. "f5695cf9785dfb8761fd9668fea571feb47bfec387fed194fde0a2fceeb0fcfdbf",
  inferno =
    "0000030303120b0724150b37210c4a2f0a5a3c09654a0c6b57106d63146e70196e"
    .. "7d1e6d89226a962766a32b61af315cbb3755c63e4dd14644db4f3be35932eb6528"
    .. "f1711ef67f14f98d0afb9c06fcab0ffbba1ff9ca32f5d949f2e865f3f586fcffa5",
  plasma =
    "0d08872206903105963f049c4c02a15901a56600a77201a87e03a88909a69511a2"
    .. "9f1a9ca92396b22c8ebb3587c33e80cb4778d25071d9596ae06263e66c5ceb7555"
    .. "f07f4ff48a48f89441fb9f3afdab33feb72dfdc328fcd025f9dd24f5eb28f0f923",
  turbo =
    "31123c392a734040a14456c7466be3467ff64293ff37a7fa29bbec1dcdd818dcc3"
    .. "1ee8b031f2994cf97e6bfd648aff4da3fd3cb8f735cced34dee037edd03af8c03a"
    .. "fdae35fe982cfb8022f56817ec520fe04009d23105c02302ac1701950d017a0403",
  coolwarm =
    "3b4cc0445acc4d68d75775e16282ea6c8ef1779af782a5fb8db0fe98b9ffa3c2fe"
    .. "aec9fcb8d0f9c2d5f4ccd9eed5dbe6dddddde5d8d1ecd3c5f1ccb9f4c4adf7bba0"
    .. "f7b194f7a687f49a7bf18d6fec7f63e57058de604dd55042cb3e38c0282fb40426",
}

-- Maps that are straight lines between {position, red, green, blue}, 0 .. 1.
local lines = {
  gray = { { 0, 0, 0, 0 }, { 1, 1, 1, 1 } },
  seismic = { { 0, 0, 0, 0.3 }, { 0.25, 0, 0, 1 }, { 0.5, 1, 1, 1 }, { 0.75, 1, 0, 0 },
              { 1, 0.5, 0, 0 } },
}

-- jet's channels bend at places of their own: {position, value, ...}.
local jet = {
  { 0, 0, 0.35, 0, 0.66, 1, 0.89, 1, 1, 0.5 },
  { 0, 0, 0.125, 0, 0.375, 1, 0.64, 1, 0.91, 0, 1, 0 },
  { 0, 0.5, 0.11, 1, 0.34, 1, 0.65, 0, 1, 0 },
}


local function byte(v)
  return string.char(math.floor(math.max(0, math.min(255, v)) + 0.5))
end


---Catmull-Rom at u (0 .. points) of one channel; the ends go on straight.
local function spline_at(p, u)
  local k = math.min(math.floor(u), #p - 2)
  local t, b, c = u - k, p[k + 1], p[k + 2]
  local a, d = p[k] or 2 * b - c, p[k + 3] or 2 * c - b
  return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d
                                     + t * (3 * (b - c) + d - a)))
end


local function line_at(points, x)
  for i = 3, #points - 1, 2 do
    local x0, y0, x1, y1 = points[i - 2], points[i - 1], points[i], points[i + 1]
    if x <= x1 then return y0 + (y1 - y0) * (x - x0) / (x1 - x0) end
  end
  return points[#points]
end


local function from_spline(hex)
  local channels = { {}, {}, {} }
  local i = 0
  for pair in hex:gmatch "%x%x" do
    table.insert(channels[i % 3 + 1], tonumber(pair, 16))
    i = i + 1
  end
  local last = #channels[1] - 1
  return function(c, x) return spline_at(channels[c], x * last) end
end


local function from_lines(rows)
  local channels = { {}, {}, {} }
  for _, row in ipairs(rows) do
    for c = 1, 3 do
      table.insert(channels[c], row[1])
      table.insert(channels[c], row[c + 1])
    end
  end
  return function(c, x) return 255 * line_at(channels[c], x) end
end


local function build(at)
  local out = {}
  for i = 0, 255 do
    for c = 1, 3 do out[#out + 1] = byte(at(c, i / 255)) end
  end
  return table.concat(out)
end


---Whether a map is made for values on both sides of zero.
---@type table<string, boolean>
M.diverging = { coolwarm = true, seismic = true }

local names = { "jet", "gray", "seismic" }
for name in pairs(splines) do names[#names + 1] = name end
table.sort(names)

---@type string[]
M.names = names

local cache = {}


---The colours of a map: 256 RGB triples, 768 bytes, lowest value first.
---@param name string   one of colormap.names; "NAME_r" turns it round
---@return string? table, string? message
function M.get(name)
  if cache[name] then return cache[name] end
  local base = name:match "^(.*)_r$" or name
  local at
  if splines[base] then
    at = from_spline(splines[base])
  elseif lines[base] then
    at = from_lines(lines[base])
  elseif base == "jet" then
    at = function(c, x) return 255 * line_at(jet[c], x) end
  else
    return nil, ("no colour map '%s'%s; there are %s"):format(name,
      require("lunette.base.suggest").after(name, names), table.concat(names, ", "))
  end
  if base ~= name then
    local forward = at
    at = function(c, x) return forward(c, 1 - x) end
  end
  cache[name] = build(at)
  return cache[name]
end


---Adds a map of one's own, or replaces one.
---@param name string
---@param points table   {{position, red, green, blue}, ...}, all 0 .. 1
function M.define(name, points)
  if type(points) ~= "table" or #points < 2 or points[1][1] ~= 0
     or points[#points][1] ~= 1 then
    blame("a colour map is {{0, r, g, b}, ..., {1, r, g, b}}")
  end
  if not (splines[name] or lines[name] or name == "jet") then
    names[#names + 1] = name
    table.sort(names)
  end
  splines[name], lines[name], cache[name] = nil, points, nil
end


---Colours a map.
---@param map lunette.Tensor   (H,W)
---@param name? string         colour map ("viridis")
---@param lo? number           value of the lowest colour (the map's least)
---@param hi? number           value of the highest colour (the map's greatest)
---@return lunette.Tensor picture   (3,H,W), 0..255
function M.apply(map, name, lo, hi)
  local core = require "lunette.core"
  local colours, message = M.get(name or "viridis")
  if not colours then blame(message) end
  local least, greatest = core.image.range(map)
  local image = core.image.colormap(map, colours, lo or least, hi or greatest)
  return core.image.to_planes({ image })[1]
end

return M
