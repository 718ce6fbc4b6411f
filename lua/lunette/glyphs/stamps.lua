---Stamps: small marks that are laid on finished scenes, in whole levels, as a trigger
---of a backdoor is (Gu et al. 2017, "BadNets"), or over the whole picture (Chen et al.
---2017, "blended"). Where a stamp lies depends on its seed and the picture's number
---alone.
---
---  local stamp = stamps.new { pattern = "checks", size = 14, place = "bottom right" }
---  local images, masks = stamp:lay(scenes.images, { seed = 7 })
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local options = require "lunette.base.options"
local opt = options.opt

local M = {}


local function planes(c)
  return core.tensor { { { c[1] } }, { { c[2] } }, { { c[3] } } }
end


---Coordinates of a square's pixels from its middle: x (1,s) and y (s,1).
local function axes(s)
  local middle = (s + 1) / 2
  return (core.range(1, s) - middle):view(1, s), (core.range(1, s) - middle):view(s, 1)
end


---One where the second colour is, 0 where the first, of a square of side s; the second
---result is 1 where the stamp is (default: everywhere).
local patterns = {}


function patterns.solid(s) return core.zeros(s, s) end


---Two by two fields: smaller ones are grey to layers behind a pooling.
function patterns.checks(s)
  local x, y = axes(s)
  local wave = 2 * math.pi / s
  return ((x * wave):sin() * (y * wave):sin()):gt(0)
end


---Two bars of a fifth of the side, the second colour on the horizontal one.
function patterns.cross(s)
  local x, y = axes(s)
  local zero = core.zeros(s, s)
  local across, down = (y:abs():le(s / 10) + zero), (x:abs():le(s / 10) + zero)
  return across, across:maximum(down)
end


---Two waves of a sine.
function patterns.stripes(s)
  local x = axes(s)
  return (x * (4 * math.pi / s)):sin() * 0.5 + 0.5 + core.zeros(s, s)
end


---A sine of eight pixels a wave, whatever the size (Barni et al. 2019, "SIG").
function patterns.waves(s)
  local x = axes(s)
  return (x * (2 * math.pi / 8)):sin() * 0.5 + 0.5 + core.zeros(s, s)
end


---A disc that goes from one colour to the other.
function patterns.blob(s)
  local x, y = axes(s)
  return (x * (1 / s) + 0.5) + core.zeros(s, s), (x * x + y * y):le(s * s / 4)
end


---Random fields of a quarter of the side, the same in every picture.
function patterns.fields(s, seed)
  return core.uniform(seed, 0, 1, 1, 4, 4):interpolate({ size = { s, s }, mode = 0 })
    :view(s, s)
end

M.patterns = { "blob", "checks", "cross", "fields", "solid", "stripes", "waves" }


---Where the square's upper left corner may be, as shares of the room that is left.
local places = {
  ["top left"] = { 0, 0 }, ["top"] = { 0, 0.5 }, ["top right"] = { 0, 1 },
  ["left"] = { 0.5, 0 }, ["centre"] = { 0.5, 0.5 }, ["right"] = { 0.5, 1 },
  ["bottom left"] = { 1, 0 }, ["bottom"] = { 1, 0.5 }, ["bottom right"] = { 1, 1 },
}

M.places = { "random" }
for name in pairs(places) do M.places[#M.places + 1] = name end
table.sort(M.places)


local function check_colour(c)
  if type(c) ~= "table" or #c ~= 3 then return "three levels, 0 .. 255" end
end

M.options = {
  pattern = opt.choice("checks", M.patterns, "what it looks like"),
  size = opt.count(14, "pixels; 0: the whole picture", 0),
  place = opt.choice("bottom right", M.places, "where it lies"),
  margin = opt.count(3, "pixels from the border", 0),
  jitter = opt.count(2, "pixels that it may lie elsewhere", 0),
  opacity = opt.number(1, "1: covers what is below", 0, 1),
  first = opt.any({ 255, 0, 255 }, "a colour", check_colour),
  second = opt.any({ 0, 255, 0 }, "another one", check_colour),
  seed = opt.count(0, "of its fields", 0),
}

---@class lunette.Stamp   the options of `new`, and:
local Stamp = {}
Stamp.__index = Stamp


---@param opts? table   pattern, size, place, margin, jitter, opacity, first, second,
---  seed
---@return lunette.Stamp
function M.new(opts)
  return setmetatable(options.check("stamp", opts, M.options), Stamp)
end


---The stamp itself: colours (3,s,s) and cover (s,s), 0 .. opacity.
---@param side integer   of the picture
function Stamp:drawn(side)
  local s = self.size == 0 and side or self.size
  if s > side then
    blame(("stamp: %d pixels do not fit into a picture of %d"):format(s, side))
  end
  local mix, cover = patterns[self.pattern](s, self.seed)
  local a, b = planes(self.first), planes(self.second)
  return a + mix:view(1, s, s) * (b - a), (cover or core.ones(s, s)) * self.opacity
end


---Row and column of the upper left corner in picture `number`.
function Stamp:corner(side, s, seed, number)
  local room = side - s
  local u = core.uniform(seed, number, 2)
  local function along(share, k)
    if not share then return math.floor(u[k] * (room + 1)) + 1 end
    local margin = math.min(self.margin, room // 2)
    local shift = math.floor(u[k] * (2 * self.jitter + 1)) - self.jitter
    local at = margin + math.floor(share * (room - 2 * margin) + 0.5) + shift
    return math.max(0, math.min(room, at)) + 1
  end
  local share = places[self.place] or {}
  return along(share[1], 1), along(share[2], 2)
end


---Lays the stamp on pictures. An error where it changes nothing: a trigger that is not
---there looks like a backdoor that was not learned.
---@param images lunette.Tensor   (N,3,S,S), levels; not changed
---@param opts? { seed?: integer, first?: integer }   first: the number of the first
---  picture (1)
---@return lunette.Tensor images   whole levels
---@return lunette.Tensor masks    (N,S,S): 1 where it lies
function Stamp:lay(images, opts)
  local o = options.check("stamp", opts, { seed = 0, first = 1 })
  local side, n = images:dim(3), images:dim(1)
  local colours, cover = self:drawn(side)
  local s = cover:dim(1)
  local out, masks = images:clone(), core.zeros(n, side, side)
  for i = 1, n do
    local row, column = self:corner(side, s, o.seed, o.first + i - 1)
    local part = out[i]:narrow { dim = 2, start = row, length = s }
      :narrow { dim = 3, start = column, length = s }
    out[i]:paste_((part + cover * (colours - part)):round(), row, column)
    masks[i]:paste_(cover:gt(0), row, column)
    if (out[i] - images[i]):abs():stats().max == 0 then
      error(("stamp: it changes nothing in picture %d"):format(o.first + i - 1), 0)
    end
  end
  return out, masks
end

return M
