local baselines = require "lunette.explain.baselines"
local apply = require "lunette.modifiers.apply"
local blur = require "lunette.tensors.blur"
local coarse = require "lunette.explain.coarse_masks"
local core = require "lunette.core"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local optimise = require "lunette.explain.optimise"
local perturb = require "lunette.explain.perturb"
local progress = require "lunette.base.progress"
local sampling = require "lunette.explain.sampling"
local segments = require "lunette.explain.segments"
local witness = require "lunette.explain.witness"
local work = require "lunette.explain.work"


---1 outside a disk in the middle of the picture, 0 inside: (h,w).
local function outside_disk(h, w, radius)
  local y = (core.range(0, h - 1) - (h - 1) / 2):view(h, 1)
  local x = (core.range(0, w - 1) - (w - 1) / 2):view(1, w)
  return (y * y + x * x):gt(radius * radius)
end


---Where the climb begins: outside the smallest disk in the middle that takes away 99 %
---of what the whole baseline takes from the score; edges blurred.
local function start_of(run, i, o, base, masks)
  if o.start == "ones" then return masks.ones() end
  local h, w = run.images:dim(3), run.images:dim(4)
  local step, list = math.max(1, math.max(h, w) / 45), {}
  for r = 1, 32 do list[r] = step * r end
  local falls = core.zeros(#list + 2)
  perturb.each(run, { only = i, score = o.score, modifiers = o.modifiers,
    baseline = base, name = "a disk", progress = false,
    masks = { count = #list + 2, get = function(first, k)
      local all = core.zeros(k, 1, h, w)
      for n = 1, k do
        local r = list[first + n - 2] -- first the picture, after the disks nothing
        all[n][1] = r and outside_disk(h, w, r)
          or core.full(first + n == 2 and 1 or 0, h, w)
      end
      return all
    end } },
    function(_, first, _, v) falls:rows(first, first + v:size() - 1):copy_(v) end)
  local all, none, radius = falls[1], falls[#list + 2], list[#list]
  for r = #list, 1, -1 do
    if (falls[r + 1] - none) <= 0.01 * (all - none) then radius = list[r] end
  end
  return masks.near(blur(outside_disk(h, w, radius):view(1, 1, h, w), h / 22.7))
end


---A picture moved by whole pixels, its edge repeated.
local function moved(x, down, right)
  local h, w = x:dim(3), x:dim(4)
  return x:pad { before = { 0, 0, 0, 0 }, after = { 0, 0, down, right }, mode = 2 }
    :narrow { dim = 3, start = down + 1, length = h }
    :narrow { dim = 4, start = right + 1, length = w }
end


---The loss's gradient, downhill as the optimiser climbs.
local function objective(run, i, o, score, base, masks)
  local x, forward = run.images:rows(i), apply.forward(o.modifiers, run)
  return function(m, t)
    local u = core.uniform(o.seed, t, 2)
    local down, right = math.floor(u[1] * o.jitter), math.floor(u[2] * o.jitter)
    local own, other = moved(x, down, right), moved(base, down, right)
    local tape <close> = core.tape()
    local leaf = tape:watch(m)
    local mask = masks.enlarged(leaf)
    local seen = mask * own + (1 - mask) * other
    local part <close> = run.net:run(seen:detach(), { modifiers = forward })
    witness.note(run, i, { part = part, score = score, modifiers = o.modifiers })
    local g = part:gradient { score = score, modifiers = o.modifiers }
    local loss = (seen * g):sum() + masks.hidden(leaf) * o.l1
      + masks.edges(leaf, o.beta) * o.tv
    local d = core.backward(loss, core.ones(loss:shape()), { leaf:node() })[1]
    return -d, part:values(score, { modifiers = o.modifiers })[1]
  end
end


---What the mask is made of, its size settled.
local function masks_of(run, o)
  local h, w = run.images:dim(3), run.images:dim(4)
  if o.cell == 0 then o.cell = math.max(1, math.floor(math.min(h, w) / 28 + 0.5)) end
  if o.segments then return coarse.segments(segments.of(o.segments, run), o.cell) end
  return coarse.cells(h, w, o.cell, o.sigma)
end


---Meaningful perturbation (Fong & Vedaldi 2017): the smallest, smoothest part of the
---picture that, once blurred away, takes the class away: a mask m of coarse cells is
---found that makes S(m x + (1 - m) baseline) + l1 sum |1 - m| + tv sum |grad m|^beta
---small, by Adam, the picture moved by a few pixels in each step. (N,H,W): 1 - m, from
---0 to 1, near 1 where the evidence was. The constants are the authors'. The story has
---`values`, the score of the picture as the mask leaves it. With `segments` the mask
---has one number a segment; `l1` counts their area in cells, edges cost nothing.
---Cost: `steps` forwards and backwards, and 34 forwards for where it begins.
---Caveat: meant for probabilities: leave the softmax in, or weigh `l1` and `tv` anew.
---  The mask may find what fools the network, not what the class is seen by; another
---  start may end elsewhere.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.meaningful_perturbation(run, { steps = 3 }))
return method {
  name = "meaningful_perturbation", family = "perturbation", draws = "map",
  flat = "no step has changed the mask",
  paper = "Fong & Vedaldi 2017, Interpretable explanations of black boxes by "
    .. "meaningful perturbation",
  options = {
    "score", "modifiers", "progress", "seed",
    baseline = opt.baseline("blur", "what stands where the mask is 0"),
    steps = opt.count(300, "of Adam"),
    rate = opt.number(0.1, "size of a step", 0),
    l1 = opt.number(1e-4, "what each blurred cell costs", 0),
    tv = opt.number(0.01, "what the mask's edges cost", 0),
    beta = opt.number(3, "the edges' power", 1),
    cell = opt.count(0, "pixels a side of a mask's cell; 0: 8 of 224", 0, 1024),
    sigma = opt.number(0.625, "of the blur of the enlarged mask, in cells", 0, 16),
    jitter = opt.count(4, "pixels by which the picture moves, less one", 1, 4096),
    segments = segments.optional 'not cells: "slic:50", or labels (tensor, .png, .npy)',
    start = opt.choice("disk", { "disk", "ones" }, "where it begins: outside the "
      .. "smallest disk that hides the class, or nothing blurred"),
  },
  keeps = sampling.keeps,
  explain = function(run, o)
    local n, h, w = run:count(), run.images:dim(3), run.images:dim(4)
    local loop = work.loop(run, { score = o.score, name = "meaningful_perturbation",
                                  alone = true })
    local map, values = core.zeros(n, h, w), {}
    local base = baselines.of(o.baseline, run.net, run.images)
    local masks = masks_of(run, o)
    local how = { forward = apply.forward(o.modifiers, run) }
    local starts = {}
    for i = 1, n do starts[i] = start_of(run, i, o, base, masks) end
    local bar <close> = progress.start("meaningful_perturbation", n * o.steps,
                                       o.progress)
    for i = 1, n do
      local own, known = loop:take(i)[loop.k], loop:of(i, function() return {} end)
      local m = optimise { x = starts[i], steps = o.steps,
        rate = o.rate, step = "adam", kept = known,
        gradient = loop:measured(objective(run, i, o, own, base:rows(i), masks)),
        project = function(mask) return mask:clamp(0, 1) end,
        watch = function() loop:tick() bar:add(1) end, progress = false }
      local mask = masks.enlarged(m)
      map[i] = (1 - mask):view(h, w)
      local left = mask * run.images:rows(i) + (1 - mask) * base:rows(i)
      values[i] = perturb.score_of(run, left, own, how)[1]
    end
    return map, { values = values, sigma = not o.segments and o.sigma or false,
      tv = not o.segments and o.tv or false, beta = not o.segments and o.beta or false }
  end,
}
