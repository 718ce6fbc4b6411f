---Attacks on networks and on their explanations. Distances are in levels of the
---picture, 0 .. 255, so that `eps = 8` means the same for every network, whatever its
---preprocessing.
---
---  local a = lu.attack.pgd(net, images, { eps = 4 })
---  print(a.share, a.rounded) -- how often the label fell; the same for whole levels
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local deepfool = require "lunette.attack.deepfool"
local explanation = require "lunette.attack.explanation"
local gradient = require "lunette.attack.gradient"
local margin = require "lunette.attack.margin"
local options = require "lunette.base.options"
local patch = require "lunette.attack.patch"
local pixels = require "lunette.attack.pixels"
local space = require "lunette.attack.space"
local types = require "lunette.base.types"
local universal = require "lunette.attack.universal"
local opt = options.opt

local M = {}

---@class lunette.Attacked
---@field levels lunette.Tensor      (N,C,H,W), 0 .. 255, the network's order of
---  channels
---@field input lunette.Tensor       the same as the network takes it
---@field success (boolean|nil)[]    of pictures that were right before; nil: was wrong
---@field share number               of those
---@field rounded number             share with whole levels, as a PNG keeps them
---@field lead number[]              of the class over the next one; below 0: it fell
---@field linf number[]              how far the pictures moved, in levels
---@field l2 number[]

local shared = {
  classes = opt.any(false, "true classes (default: what the network says); pictures "
                    .. "that it has wrong do not count"),
  target = opt.any(false, "a class id: towards it, not only away", function(v)
    return v and not math.tointeger(v) and "a class id" or nil
  end),
  seed = opt.count(0, "of the random numbers", math.mininteger),
}

local function with(own)
  for key, option in pairs(shared) do own[key] = option end
  return own
end


-- one call ---------------------------------------------------------------------------


---What the network says of pictures.
local function predicted(net, x)
  local run <close> = net:run(x, { modifiers = margin.modifiers(net), keep = false })
  if run.output:dim() ~= 2 or run.output:dim(2) < 2 then
    blame "attack: the network's output is no list of classes"
  end
  local list = {}
  for i = 1, x:dim(1) do list[i] = run.output:detach()[i]:argmax() - 1 end
  return list
end


local function check_classes(net, o, n, count)
  local list = type(o.classes) == "table" and o.classes or nil
  if list and #list ~= n then
    blame(("attack: %d classes for %d pictures"):format(#list, n))
  end
  local all = { table.unpack(list or {}) }
  all[#all + 1] = o.target or nil
  for _, class in ipairs(all) do
    local whole = type(class) == "number" and math.tointeger(class)
    if not whole or class < 0 or class >= count then
      blame(("attack: class %s is none of %s's %d"):format(tostring(class), net.name,
            count))
    end
  end
end


---Checks the arguments of an attack and collects what it works on.
local function problem(net, x, o)
  types.check_net("attack", net)
  if not options.is_tensor(x) or x:dim() ~= 4 then
    blame "attack: pictures (N,C,H,W) of net:images are wanted"
  end
  local now = predicted(net, x)
  check_classes(net, o, x:dim(1), net:layers()[#net:layers()].shape[1])
  local s = space.of(net)
  local levels = s:levels(x:detach()):clamp(0, 255)
  local truth = type(o.classes) == "table" and o.classes or now
  local right = {}
  for i, class in ipairs(truth) do
    right[i] = class == now[i] and class ~= (o.target or nil)
  end
  return { net = net, space = s, levels = levels, truth = truth, right = right,
           goal = margin.goal(truth, o.target or nil) }
end


---The share of the pictures that were right whose label fell, and which.
local function share_of(p, values)
  local fell, count, list = 0, 0, {}
  for i, v in ipairs(values) do
    if p.right[i] then
      count, list[i] = count + 1, v < 0
      fell = fell + (v < 0 and 1 or 0)
    end
  end
  return count > 0 and fell / count or 0, list
end


---The result of an attack.
local function judged(p, levels)
  local values = p.goal:ask(p.net, p.space:input(levels), false)
  local whole = p.goal:ask(p.net, p.space:input(levels:round()), false)
  local share, success = share_of(p, values)
  local d = levels - p.levels
  return { levels = levels, input = p.space:input(levels), success = success,
           share = share, rounded = (share_of(p, whole)), lead = values,
           linf = gradient.length(d, "linf"), l2 = gradient.length(d, "l2") }
end


local pgd_options = with {
  norm = opt.choice("linf", gradient.norms, "how far is measured"),
  eps = opt.number(8, "levels: how far (l2: the Euclidean length; 765 is 3 where a "
                   .. "picture has values 0 .. 1)", 0),
  steps = opt.count(20, "along the gradient"),
  step = opt.number(0, "levels a step; 0: eps / 4, for l2 2.5 eps / steps", 0),
  restarts = opt.count(1, "from other places in the ball"),
  start = opt.flag(true, "begins at a random place"),
}


---Projected gradient descent (Madry et al. 2018) on the lead of the class: the
---strongest attack of the gradient's, within `eps` levels. Keeps the best point of all
---steps.
---Caveat: what it does not find may still be there: the robust share is an upper bound.
---Example:
---  local net = lu.load "glyphs"
---  local images = net:images(lu.glyphs.default_images(2).images)
---  local a = lu.attack.pgd(net, images, { eps = 4, steps = 5 })
---  print(a.share, a.linf[1])
---@param net lunette.Net
---@param x lunette.Tensor   (N,C,H,W) of net:images
---@param opts? table        norm, eps, steps, step, restarts, start, classes, target,
---  seed
---@return lunette.Attacked
function M.pgd(net, x, opts)
  local o = options.check("pgd", opts, pgd_options)
  local p = problem(net, x, o)
  if o.step == 0 then o.step = o.norm == "l2" and 2.5 * o.eps / o.steps or o.eps / 4 end
  return judged(p, o.eps == 0 and p.levels or gradient.attack(p, o))
end


---The fast gradient sign method (Goodfellow et al. 2015): one step of eps levels.
---Caveat: far weaker than PGD; a network that withstands it need not be robust.
---Example:
---  local net = lu.load "glyphs"
---  local images = net:images(lu.glyphs.default_images(2).images)
---  print(lu.attack.fgsm(net, images, { eps = 4 }).share)
---@param net lunette.Net
---@param x lunette.Tensor
---@param opts? table   eps, classes, target
---@return lunette.Attacked
function M.fgsm(net, x, opts)
  local o = options.check("fgsm", opts, { eps = pgd_options.eps,
    classes = shared.classes, target = shared.target })
  o.norm, o.steps, o.step, o.restarts, o.start, o.seed = "linf", 1, o.eps, 1, false, 0
  local p = problem(net, x, o)
  return judged(p, o.eps == 0 and p.levels or gradient.attack(p, o))
end


---DeepFool (Moosavi-Dezfooli et al. 2016): how far is the nearest boundary? Step by
---step to the nearest one of the network taken for linear, until the label falls; `l2`
---in the result says how far that was.
---Caveat: what it finds is small, not the smallest; only lengths of those pictures
---  whose label fell say something.
---Example:
---  local net = lu.load "glyphs"
---  local images = net:images(lu.glyphs.default_images(2).images)
---  local a = lu.attack.deepfool(net, images)
---  print(a.share, a.l2[1]) -- 1 and a Euclidean length in levels
---@param net lunette.Net
---@param x lunette.Tensor
---@param opts? table   steps, rivals, overshoot, classes, target
---@return lunette.Attacked
function M.deepfool(net, x, opts)
  local o = options.check("deepfool", opts, {
    steps = opt.count(50, "at most"),
    rivals = opt.count(10, "classes whose boundaries are asked, the likeliest"),
    overshoot = opt.number(0.02, "of the whole way, beyond the boundary", 0),
    classes = shared.classes, target = shared.target,
  })
  local p = problem(net, x, o)
  return judged(p, deepfool.attack(p, o))
end


---Random signs of eps levels: the control of an attack.
---@param net lunette.Net
---@param x lunette.Tensor
---@param opts? table   eps, classes, target, seed
---@return lunette.Attacked
function M.noise(net, x, opts)
  local o = options.check("noise", opts, with { eps = pgd_options.eps })
  local p = problem(net, x, o)
  local signs = core.uniform(o.seed, 0, p.levels:shape()):lt(0.5) * 2 - 1
  return judged(p, (p.levels + signs * o.eps):clamp(0, 255))
end


---One pixel, or a few, of any colour (Su et al. 2019), by differential evolution,
---forward alone.
---Caveat: at 224 x 224 one pixel seldom does anything; it is asked because people do.
---@param net lunette.Net
---@param x lunette.Tensor
---@param opts? table   pixels, population, generations, batch, classes, target, seed
---@return lunette.Attacked
function M.pixels(net, x, opts)
  local o = options.check("pixels", opts, with {
    pixels = opt.count(1, "how many"), population = opt.count(40, "candidates", 4),
    generations = opt.count(20, "of them"),
    batch = opt.quiet(opt.count(16, "pictures at a time")),
  })
  local p = problem(net, x, o)
  return judged(p, pixels.attack(p, o))
end


---One perturbation for all pictures (Moosavi-Dezfooli et al. 2017), found on `x`; `v`
---in the result is (1,C,H,W), levels. Ask it of other pictures with `lu.attack.laid`.
---Caveat: the share on the pictures it was made of is too high; take others.
---@param net lunette.Net
---@param x lunette.Tensor
---@param opts? table   eps, steps, batch, classes, target, seed
---@return lunette.Attacked
function M.universal(net, x, opts)
  local o = options.check("universal", opts, with {
    eps = opt.number(10, "levels", 0), steps = opt.count(40, "batches"),
    batch = opt.count(16, "pictures a batch"),
  })
  local p = problem(net, x, o)
  local v = universal.attack(p, o)
  local result = judged(p, (p.levels + v):clamp(0, 255))
  result.v = v
  return result
end


---A square that works wherever it lies (Brown et al. 2017), found on `x` by Adam;
---`patch` in the result is (C,side,side), levels. Judged at other places than it was
---found at.
---Caveat: a clean network has such patches too: they are the control of an audit that
---  looks for planted ones.
---@param net lunette.Net
---@param x lunette.Tensor
---@param opts? table   side, steps, batch, rate, classes, target, seed
---@return lunette.Attacked
function M.patch(net, x, opts)
  local o = options.check("patch", opts, with {
    side = opt.count(24, "pixels"), steps = opt.count(60, "of Adam"),
    batch = opt.count(8, "pictures a step"),
    rate = opt.number(8, "levels a step", 1e-3),
  })
  local p = problem(net, x, o)
  if o.side > p.levels:dim(3) or o.side > p.levels:dim(4) then
    blame(("patch: a side of %d in pictures of %d x %d"):format(o.side, p.levels:dim(3),
          p.levels:dim(4)))
  end
  local found = patch.attack(p, o)
  local places = patch.places(p.levels:shape(), o.side, p.levels:dim(1), o.seed, -1)
  local result = judged(p, (patch.lay(p.levels, found, places)))
  result.patch = found
  return result
end


---A perturbation of one's own (1,C,H,W) or (N,C,H,W) in levels, laid on other pictures.
---@param net lunette.Net
---@param x lunette.Tensor
---@param v lunette.Tensor
---@param opts? table   classes, target
---@return lunette.Attacked
function M.laid(net, x, v, opts)
  if not options.is_tensor(v) then
    blame("laid: a pattern is a tensor, got " .. types.told(v))
  end
  local o = options.check("laid", opts, { classes = shared.classes,
                                          target = shared.target })
  local p = problem(net, x, o)
  return judged(p, (p.levels + v):clamp(0, 255))
end


---The share of pictures that no eps so far made fall: a larger ball holds the smaller.
local function robust_share(success, fell, n)
  local count, stays = 0, 0
  for i = 1, n do
    if success[i] ~= nil then
      fell[i] = fell[i] or success[i]
      count, stays = count + 1, stays + (fell[i] and 0 or 1)
    end
  end
  return count > 0 and stays / count or 0
end


---The share of pictures that stay right, over eps: PGD (with the last eps' answer kept
---where it was enough), and random signs as its control.
---Example:
---  local net = lu.load "glyphs"
---  local images = net:images(lu.glyphs.default_images(2).images)
---  for _, r in ipairs(lu.attack.curve(net, images, { 0, 1, 4 }, { steps = 4 })) do
---    print(r.eps, r.robust, r.noise)
---  end
---@param net lunette.Net
---@param x lunette.Tensor
---@param list? number[]   eps in levels ({ 0, 0.5, 1, 2, 4, 8, 16 })
---@param opts? table      of pgd
---@return { eps: number, robust: number, noise: number }[]   shares of the pictures
---  that were right
function M.curve(net, x, list, opts)
  local rows, fell, o = {}, {}, {}
  if list ~= nil and type(list) ~= "table" or opts ~= nil and type(opts) ~= "table" then
    blame(("curve: a list of eps and a table of options are expected, got %s and %s")
      :format(types.told(list), types.told(opts)))
  end
  for key, v in pairs(opts or {}) do o[key] = v end
  for k, eps in ipairs(list or { 0, 0.5, 1, 2, 4, 8, 16 }) do
    o.eps = eps
    local stays = robust_share(M.pgd(net, x, o).success, fell, x:dim(1))
    local control = M.noise(net, x, { eps = eps, classes = o.classes, target = o.target,
                                      seed = o.seed })
    rows[k] = { eps = eps, robust = stays, noise = 1 - control.share }
  end
  return rows
end


---Attack on an explanation: within eps levels and with the label kept, how far can the
---map be moved? A random search over squares, for any method. `likeness` is SSIM of
---block means with the first map; `noise` that of random signs of the same size, the
---control.
---Caveat: a search finds a way, not the best one: maps may be moved further.
---@param net lunette.Net
---@param x lunette.Tensor   (1,C,H,W)
---@param explain fun(run: lunette.Run, o: table): lunette.Tensor   a map of o.score
---@param opts? table        eps, steps, seed
---@return { levels: lunette.Tensor, likeness: number, noise: number, class: integer }
function M.explanation(net, x, explain, opts)
  local o = options.check("explanation", opts, {
    eps = opt.number(8, "levels", 0), steps = opt.count(40, "squares that are tried"),
    seed = shared.seed,
  })
  if not options.is_tensor(x) or x:dim() ~= 4 or x:dim(1) ~= 1 then
    blame("explanation: one picture (1,C,H,W) is wanted")
  end
  local called = (getmetatable(explain) or {}).__call or explain
  if type(called) ~= "function" then
    blame("explanation: `explain` is a method or a function, got "
          .. types.told(explain))
  end
  local p = problem(net, x, {})
  p.class, p.explain, p.modifiers = p.truth[1], explain, margin.modifiers(net)
  local run <close> = net:run(x)
  local map = explain(run, { score = p.class })
  if not options.is_tensor(map) then
    blame("explanation: `explain` returns a map (1,H,W), not " .. types.told(map))
  end
  p.first = require("lunette.explain.alike").plane(map[1]:detach()):clone()
  local result = explanation.attack(p, o)
  result.class = p.class
  return result
end

return M
