---Scenes whose truth is known: 224 x 224 pictures of one or two flat shapes of ten
---classes on cluttered ground, with the exact mask of every shape. Size (area),
---place, angle, colour and texture are drawn alike for all classes, and the ground
---carries fragments painted in the same way, so that only the whole outline tells
---the class. Scene number i of a seed is the same, bit for bit, in any batch.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local options = require "lunette.base.options"
local paint = require "lunette.glyphs.paint"
local shapes = require "lunette.glyphs.shapes"

local M = {}

---Class names; ids count from 0: "disc" is class 0.
---@type string[]
M.names = shapes.names

---Side of a scene in pixels.
M.side = 224

---Farthest point of any class, in units of the square root of its area.
local REACH = 1.0


-- one scene ----------------------------------------------------------------------


---Pieces that are no whole class, painted as the objects are.
local function litter(image, dice, avoid, share)
  local side = image:dim(2)
  local most = 3 + 13 * (side / M.side) ^ 2
  for _ = 1, math.floor(dice:int(3, math.floor(most)) * share) do
    local name = dice:pick(shapes.fragment_names)
    local size = dice:real(8, 34)
    local at = { x = dice:real(0, side), y = dice:real(0, side), size = size,
                 reach = 1.25 * size, angle = dice:real(0, 2 * math.pi),
                 mirror = dice:chance(0.5), k = dice:real() }
    local look = paint.look(dice, avoid, dice:real(20, 110))
    look.opacity = dice:chance(0.3) and dice:real(0.3, 1) or nil
    paint.shape(image, dice, shapes.fragments[name], at, look)
  end
end


---Where an object goes; the same law for every class. `root` is the square root
---of its area in pixels.
local function place(dice, root, side)
  local margin = REACH * root + 2
  local far = side - margin
  return { x = dice:real(margin, far), y = dice:real(margin, far),
           root = root, reach = REACH * root, angle = dice:real(0, 2 * math.pi),
           mirror = dice:chance(0.5), k = dice:real() }
end


---Places for two objects that do not touch, whatever their classes are.
local function two_places(dice)
  for _ = 1, 60 do
    local a = place(dice, dice:real(22, 46), M.side)
    local b = place(dice, dice:real(22, 46), M.side)
    if (a.x - b.x) ^ 2 + (a.y - b.y) ^ 2 > (a.reach + b.reach + 2) ^ 2 then
      return { a, b }
    end
  end
  -- two opposite corners always do
  local a, b = place(dice, 30, M.side), place(dice, 30, M.side)
  a.x, a.y, b.x, b.y = 50, 50, M.side - 50, M.side - 50
  return { a, b }
end


---Class ids of a scene's objects, all different; the first one may be given.
local function classes(dice, count, first)
  local ids = { dice:int(0, #M.names - 1) }
  ids[1] = first or ids[1]
  if count == 2 then ids[2] = (ids[1] + dice:int(1, #M.names - 1)) % #M.names end
  return ids
end


---Paints scene number `number`: image (3,S,S), class ids, masks (S,S).
local function scene(seed, number, count, opts)
  local side = opts.side
  local ground, layout = paint.dice(seed, number, 0), paint.dice(seed, number, 1)
  local image, colours = paint.background(ground, side, side)
  image = image * opts.clutter
  litter(image, paint.dice(seed, number, 2), colours, opts.clutter)
  local ids = classes(layout, count, opts.class or nil)
  local at = count == 2 and two_places(layout)
    or { place(layout, layout:real(24, math.min(78, 0.47 * side)), side) }
  local masks = {}
  for i, id in ipairs(ids) do
    local dice, name = paint.dice(seed, number, 3 + i), M.names[id + 1]
    masks[i] = core.zeros(side, side)
    at[i].size = at[i].root / shapes.side[name]
    local look = paint.look(dice, colours, 100)
    local target = opts.bare and image:clone() or image
    paint.shape(target, dice, shapes[name], at[i], look, masks[i])
  end
  return paint.finish(paint.dice(seed, number, 3), image, opts.clutter), ids, masks
end


-- batches ------------------------------------------------------------------------


---@class lunette.ScenesOptions
---@field n? integer        how many scenes (1)
---@field seed? integer     which sequence (0)
---@field first? integer    number of the first scene in it, from 1 (1)
---@field objects? integer  1 or 2 in each scene (1)
---@field class? integer    of the (first) object of all of them (drawn)
---@field bare? boolean     the same scenes without their objects (false)
---@field clutter? number   0 .. 1 (1): less makes the ground darker, fragments fewer
---  and noise weaker, down to bright shapes on black: where a training may begin
---@field side? integer     width and height (224); one object only in smaller ones

---@class lunette.Scenes
---@field images lunette.Tensor   (N,3,224,224), levels 0 .. 255, RGB
---@field labels integer[]        class id of the (first) object
---@field masks lunette.Tensor    (N,224,224), 1 on every pixel it has a part of
---@field labels2? integer[]      two objects: the second one
---@field masks2? lunette.Tensor
---@field names string[]          class names, id 0 first

local function check(opts)
  opts = options.check("scenes", opts, { n = 1, seed = 0, first = 1, objects = 1,
                                         class = false, bare = false, clutter = 1,
                                         side = M.side })
  if opts.objects ~= 1 and opts.objects ~= 2 then
    blame("scenes: objects is 1 or 2, not " .. tostring(opts.objects))
  end
  if opts.side < 64 or opts.objects == 2 and opts.side ~= M.side then
    blame(("scenes: no room for %d objects in %d pixels"):format(opts.objects,
          opts.side))
  end
  if opts.n < 1 or opts.first < 1 then
    blame("scenes: n and first count from 1")
  end
  if opts.class and not (math.tointeger(opts.class) and M.names[opts.class + 1]) then
    blame(("scenes: class %s is none of 0 .. %d"):format(opts.class, #M.names - 1))
  end
  return opts
end


---Scenes number first .. first + n - 1 of the sequence `seed`.
---@param opts? lunette.ScenesOptions
---@return lunette.Scenes
function M.scenes(opts)
  opts = check(opts)
  local n, s, two = opts.n, opts.side, opts.objects == 2
  local out = { images = core.zeros(n, 3, s, s), names = M.names, labels = {},
                masks = core.zeros(n, s, s), labels2 = two and {} or nil,
                masks2 = two and core.zeros(n, s, s) or nil }
  for i = 1, n do
    local image, ids, masks = scene(opts.seed, opts.first + i - 1, opts.objects, opts)
    out.images[i], out.labels[i], out.masks[i] = image, ids[1], masks[1]
    if two then out.labels2[i], out.masks2[i] = ids[2], masks[2] end
  end
  return out
end


---How the embedded network wants its input: levels 0 .. 255 to about -2 .. 2.
M.preprocessing = { order = "rgb", scale = 1 / 255, mean = { 0.5, 0.5, 0.5 },
                    std = { 0.25, 0.25, 0.25 } }


---Scenes as input of the embedded network. (What net:images does picture by
---picture, for images that are tensors already.)
---@param images lunette.Tensor   (N,3,224,224), levels 0 .. 255
---@return lunette.Tensor
function M.input(images)
  local p = M.preprocessing
  return images * (p.scale / p.std[1]) - p.mean[1] / p.std[1]
end


---Pictures to show where none were named: a few clear scenes.
---@param n? integer   (4)
---@return { images: lunette.Tensor[], labels: integer[], names: string[] }
---  images: (3,224,224) each, as net:images takes them; names: for captions
function M.default_images(n)
  local found = { images = {}, labels = {}, names = {} }
  local scenes = M.scenes { n = n or 4, seed = 2026 }
  for i, label in ipairs(scenes.labels) do
    found.images[i], found.labels[i] = scenes.images[i], label
    found.names[i] = ("scene %d (%s)"):format(i, M.names[label + 1])
  end
  return found
end

return M
