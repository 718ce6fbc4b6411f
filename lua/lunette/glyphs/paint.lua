---Painting into an image tensor (3,H,W): textured, antialiased shapes on patches
---just large enough, and backgrounds. Every choice comes from numbered streams of
---random numbers, so a scene depends on its seed and number and on nothing else.
local core = require "lunette.core"

local M = {}

local pi = math.pi

---Streams a scene may use for its parts; maps of noise have streams beyond 2^40.
local SLOTS = 16


-- chance -------------------------------------------------------------------------


---@class lunette.Dice   random numbers of one part of one scene
local Dice = {}
Dice.__index = Dice


---@param seed integer
---@param scene integer   number of the scene, from 1
---@param slot integer    which part of it, 0 .. 15
function M.dice(seed, scene, slot)
  local stream = scene * SLOTS + slot
  return setmetatable({ seed = seed, stream = stream, at = 0, maps = 0,
                        list = core.uniform(seed, stream, 512):totable() }, Dice)
end


---A number in lo .. hi (0 .. 1).
function Dice:real(lo, hi)
  self.at = self.at % #self.list + 1
  local r = self.list[self.at]
  return lo and lo + r * (hi - lo) or r
end


---An integer in lo .. hi.
function Dice:int(lo, hi)
  return math.min(hi, lo + math.floor(self:real() * (hi - lo + 1)))
end


function Dice:pick(list) return list[self:int(1, #list)] end


function Dice:chance(p) return self:real() < p end


function Dice:colour()
  return { self:real(0, 255), self:real(0, 255), self:real(0, 255) }
end


---A map of uniform noise (1,c,h,w), a new one in every call.
function Dice:noise(c, h, w)
  self.maps = self.maps + 1
  return core.uniform(self.seed, self.stream + (self.maps << 40), 1, c, h, w)
end


-- colours ------------------------------------------------------------------------


local function far(a, b)
  local d = 0
  for i = 1, 3 do d = d + (a[i] - b[i]) ^ 2 end
  return d ^ 0.5
end


---A colour at least `least` from every one of `others`, or the farthest of 30.
---@param dice lunette.Dice
---@param others number[][]
---@param least number   Euclidean, in levels 0 .. 255
function M.contrasting(dice, others, least)
  local best, distance = nil, -1
  for _ = 1, 30 do
    local c = dice:colour()
    local d = math.huge
    for _, o in ipairs(others) do d = math.min(d, far(c, o)) end
    if d > distance then best, distance = c, d end
    if d >= least then break end
  end
  return best
end


---A colour near another one.
local function near(dice, c, reach)
  local out = {}
  for i = 1, 3 do
    out[i] = math.max(0, math.min(255, c[i] + dice:real(-reach, reach)))
  end
  return out
end


local function planes(c)
  return core.tensor { { { c[1] } }, { { c[2] } }, { { c[3] } } }
end


-- textures -----------------------------------------------------------------------


---Each texture: (1 or none,h,w) of 0 .. 1, how far from the first colour to the
---second. x (1,w) and y (h,1) are pixels from the middle, r the reach.
local textures = {}


function textures.stripes(dice, x, y)
  local a, wave = dice:real(0, pi), 2 * pi / dice:real(5, 16)
  local phase = x * (wave * math.cos(a)) + (y * (wave * math.sin(a)) + dice:real(0, 6))
  return (phase:sin() * dice:real(0.6, 3) + 0.5):clamp(0, 1)
end


function textures.checks(dice, x, y)
  local a, wave = dice:real(0, pi), pi / dice:real(4, 10)
  local c, s = wave * math.cos(a), wave * math.sin(a)
  local p = (x * c + y * s):sin() * (y * c - x * s):sin()
  return (p * dice:real(1, 6) + 0.5):clamp(0, 1)
end


function textures.noise(dice, x, y)
  local cell = dice:real(2, 9)
  local h, w = y:dim(1), x:dim(2)
  local n = dice:noise(1, math.max(2, math.ceil(h / cell)),
                       math.max(2, math.ceil(w / cell)))
  return n:interpolate({ size = { h, w }, mode = 1 }):view(h, w)
end


function textures.gradient(dice, x, y, r)
  local a = dice:real(0, 2 * pi)
  return (x * (0.6 * math.cos(a) / r) + y * (0.6 * math.sin(a) / r) + 0.5):clamp(0, 1)
end


local texture_names = { "stripes", "checks", "noise", "gradient", "flat", "flat" }


---How a shape looks: drawn for objects and fragments alike, so that nothing but
---the outline tells them apart.
---@param dice lunette.Dice
---@param avoid number[][]   colours of the background
---@param least number       contrast with them
function M.look(dice, avoid, least)
  local look = { first = M.contrasting(dice, avoid, least),
                 texture = dice:pick(texture_names) }
  look.second = M.contrasting(dice, avoid, 0.7 * least)
  if dice:chance(0.5) then look.second = near(dice, look.first, 60) end
  if dice:chance(0.35) then
    look.edge, look.rim = M.contrasting(dice, avoid, 0.5 * least), dice:real(1.2, 3)
  end
  return look
end


---The colours of a patch (3,h,w) or (3,1,1).
local function colours(dice, look, x, y, r, d)
  local c = planes(look.first)
  local texture = textures[look.texture]
  if texture then
    local t = texture(dice, x, y, r)
    c = c + t * (planes(look.second) - c)
  end
  if look.edge then
    c = c + (d + (look.rim + 0.5)):clamp(0, 1) * (planes(look.edge) - c)
  end
  return c
end


-- shapes -------------------------------------------------------------------------


---Paints one shape into the image. What its alpha does not touch keeps its bits.
---@param image lunette.Tensor   (3,H,W), changed
---@param dice lunette.Dice
---@param fn function   signed distance (u, v, size, k)
---@param at table      {x =, y =, size =, reach =, angle =, mirror =, k =}
---@param look table
---@param mask? lunette.Tensor   (H,W): 1 where the shape has any part, changed
function M.shape(image, dice, fn, at, look, mask)
  local h, w, r = image:dim(2), image:dim(3), at.reach + 2
  local x0, x1 = math.max(1, math.floor(at.x - r)), math.min(w, math.ceil(at.x + r))
  local y0, y1 = math.max(1, math.floor(at.y - r)), math.min(h, math.ceil(at.y + r))
  if x1 < x0 or y1 < y0 then return end
  local x = (core.range(x0, x1) - at.x):view(1, x1 - x0 + 1)
  local y = (core.range(y0, y1) - at.y):view(y1 - y0 + 1, 1)
  local c, s = math.cos(at.angle), math.sin(at.angle)
  local m = at.mirror and -1 or 1
  local d = fn(x * c + y * s, y * (m * c) - x * (m * s), at.size, at.k)
  local alpha = (0.5 - d):clamp(0, 1)
  local part = image:narrow { dim = 2, start = y0, length = y1 - y0 + 1 }
  part = part:narrow { dim = 3, start = x0, length = x1 - x0 + 1 }
  local paint = colours(dice, look, x, y, r, d)
  local cover = look.opacity and alpha * look.opacity or alpha
  image:paste_(part + cover * (paint - part), y0, x0)
  if mask then mask:paste_(alpha:gt(0), y0, x0) end
end


-- backgrounds --------------------------------------------------------------------


---Noise at several scales (3,H,W), about 0, the coarse ones strongest.
local function clouds(dice, image, h, w)
  local amplitude = dice:real(10, 60)
  for _, cells in ipairs { 3, 7, 17, 45 } do
    if dice:chance(0.75) then
      local c = dice:chance(0.5) and 3 or 1
      local n = dice:noise(c, cells, cells):interpolate { size = { h, w }, mode = 2 }
      image = image + (n:view(c, h, w) - 0.5) * (amplitude * dice:real(0.4, 1.6))
    end
    amplitude = amplitude * 0.75
  end
  return image
end


---A background (3,H,W) and the colours that it is made of.
---@param dice lunette.Dice
---@return lunette.Tensor image, number[][] colours
function M.background(dice, h, w)
  local first = dice:colour()
  local second = near(dice, first, dice:real(10, 90))
  local x = (core.range(1, w) - w / 2):view(1, w)
  local y = (core.range(1, h) - h / 2):view(h, 1)
  local a, b = planes(first), planes(second)
  local image = a + textures.gradient(dice, x, y, w / 2) * (b - a)
  if dice:chance(0.4) then
    local kind = dice:chance(0.6) and "stripes" or "checks"
    local t = textures[kind](dice, x * 0.5, y * 0.5) - 0.5
    image = image + t * planes(near(dice, { 0, 0, 0 }, dice:real(20, 70)))
  end
  return clouds(dice, image, h, w), { first, second }
end


---Sensor noise over everything, then levels 0 .. 255 as a file would hold them.
function M.finish(dice, image, strength)
  local h, w = image:dim(2), image:dim(3)
  if dice:chance(0.7) then
    local n = dice:noise(1, h, w):view(1, h, w)
    image = image + (n - 0.5) * (dice:real(4, 50) * strength)
  end
  return image:clamp(0, 255):round()
end

return M
