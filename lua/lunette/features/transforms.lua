---Small random moves between a picture and the network: what remains after all of
---them is what the unit wants to see, not where. A transform is a function of pictures
---on a tape (K,C,H,W) and a source of random numbers; one draw moves the whole batch.
local core = require "lunette.core"

local M = {}


---Random numbers of one step: `random()` is from 0 to below 1.
---@param seed integer
---@param step integer
---@return fun(): number
function M.random(seed, step)
  local list, at = core.uniform(seed, step, 64):totable(), 0
  return function()
    at = at % #list + 1
    return list[at]
  end
end


---A whole number from a to b.
local function whole(random, a, b) return a + math.floor(random() * (b - a + 1)) end


---Rotation and enlargement about the centre, bilinear; what comes from outside is
---mirrored, or is `outside` where that is a number.
---@param x lunette.Tensor   (K,C,H,W)
---@param o { degrees?: number, scale?: number, outside?: number }   scale: a thing of
---  10 pixels becomes 10 scale pixels
---@return lunette.Tensor
function M.affine(x, o)
  local angle, s = math.rad(o.degrees or 0), 1 / (o.scale or 1)
  local c, d = math.cos(angle) * s, math.sin(angle) * s
  return x:affine { matrix = { c, d, -d, c }, value = o.outside or 0,
                    mirror = o.outside and 0 or 1 }
end


---A border of n pixels of one grey, then moved by up to m <= n pixels: all sides
---together lose m of them.
---@param n integer
---@param m? integer      (0)
---@param value? number   (0.5)
function M.pad(n, m, value)
  m = m or 0
  return function(x, random)
    local y, z = whole(random, 0, m), whole(random, 0, m)
    return x:pad { before = { 0, 0, n - y, n - z }, value = value or 0.5,
                   after = { 0, 0, n - m + y, n - m + z } }
  end
end


---Moves by up to n pixels: the picture loses n of each side's length.
function M.jitter(n)
  return function(x, random)
    local y, z = whole(random, 1, n + 1), whole(random, 1, n + 1)
    return x:narrow { dim = 3, start = y, length = x:dim(3) - n }
      :narrow { dim = 4, start = z, length = x:dim(4) - n }
  end
end


---One of the scales, by bilinear resizing.
---@param list number[]
function M.scale(list)
  return function(x, random)
    local s = list[whole(random, 1, #list)]
    local h, w = math.ceil(x:dim(3) * s), math.ceil(x:dim(4) * s)
    if s == 1 then return x end
    return x:interpolate { size = { h, w }, mode = 1 }
  end
end


---One of the angles, in degrees.
---@param list number[]
function M.rotate(list)
  return function(x, random)
    local degrees = list[whole(random, 1, #list)]
    return degrees == 0 and x or M.affine(x, { degrees = degrees, outside = 0.5 })
  end
end


---The middle h x w pixels; a border of grey where there are fewer.
function M.centre(x, h, w)
  local top, left = h - x:dim(3), w - x:dim(4)
  if top > 0 or left > 0 then
    local y, z = math.max(top, 0), math.max(left, 0)
    x = x:pad { before = { 0, 0, y // 2, z // 2 }, value = 0.5,
                after = { 0, 0, y - y // 2, z - z // 2 } }
  end
  local y, z = (x:dim(3) - h) // 2, (x:dim(4) - w) // 2
  if x:dim(3) ~= h then x = x:narrow { dim = 3, start = y + 1, length = h } end
  if x:dim(4) ~= w then x = x:narrow { dim = 4, start = z + 1, length = w } end
  return x
end


---Several moves in one pass over the picture, on grey: by up to `first` pixels, then
---one of the scales, one of the angles, then by up to `last` pixels; about the centre,
---in each direction half as far.
---@param o { first: integer, scales: number[], angles: number[], last: integer }
function M.together(o)
  local function shift(random, n) return n / 2 - whole(random, 0, n) end
  return function(x, random)
    local y, z = shift(random, o.first), shift(random, o.first)
    local s = 1 / o.scales[whole(random, 1, #o.scales)]
    local angle = math.rad(o.angles[whole(random, 1, #o.angles)])
    local down, right = shift(random, o.last), shift(random, o.last)
    local c, d = math.cos(angle) * s, math.sin(angle) * s
    return x:affine { matrix = { c, d, -d, c }, value = 0.5,
                      shift = { -y - c * down - d * right, -z + d * down - c * right } }
  end
end


---Lucid's standard moves, for pictures of that height.
---@param side integer
---@return function[]
function M.standard(side)
  local n = math.max(1, side * 12 // 224)
  local scales, angles = {}, {}
  for i = -5, 5 do scales[#scales + 1] = 1 + i / 50 end
  for i = -10, 10 do angles[#angles + 1] = i end
  for _ = 1, 5 do angles[#angles + 1] = 0 end
  return { M.together { first = math.max(1, n * 2 // 3), scales = scales,
                        angles = angles, last = math.max(1, n // 3) } }
end


---Crops of a random place, whose side shrinks from `first` to `last` of the picture's
---while the steps go on, seen at the whole size, with noise (MaCo).
---@param first number
---@param last number
---@param noise number
function M.crop(first, last, noise)
  return function(x, random, t, o)
    local h, w = x:dim(3), x:dim(4)
    local share = first + (last - first) * (t - 1) / math.max(1, o.steps - 1)
    share = share * (0.75 + 0.5 * random())
    local ch = math.min(h, math.max(2, math.floor(h * share + 0.5)))
    local cw = math.min(w, math.max(2, math.floor(w * share + 0.5)))
    local y, z = whole(random, 1, h - ch + 1), whole(random, 1, w - cw + 1)
    local part = x:narrow { dim = 3, start = y, length = ch }
      :narrow { dim = 4, start = z, length = cw }
      :interpolate { size = { h, w }, mode = 1 }
    local seed = math.floor(random() * 2 ^ 24)
    return part + core.normal(seed, 0, 1, x:dim(2), h, w) * noise
  end
end


-- tf-keras-vis' own, which stay in the picture ------------------------------------


---A circular move by -n .. n-1 pixels in both directions.
function M.roll(n)
  return function(x, random)
    local y, z = whole(random, -n, n - 1), whole(random, -n, n - 1)
    return x:roll { shift = { 0, 0, y, z } }
  end
end


---A turn by up to so many degrees either way, mirrored at the border.
function M.turn(degrees)
  return function(x, random)
    return M.affine(x, { degrees = (random() * 2 - 1) * degrees })
  end
end


---Enlarges or shrinks by a factor of low .. high, mirrored at the border.
function M.zoom(low, high)
  return function(x, random)
    return M.affine(x, { scale = low + random() * (high - low) })
  end
end

return M
