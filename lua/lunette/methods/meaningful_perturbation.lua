local baselines = require "lunette.explain.baselines"
local blur = require "lunette.tensors.blur"
local apply = require "lunette.modifiers.apply"
local core = require "lunette.core"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local optimise = require "lunette.explain.optimise"
local perturb = require "lunette.explain.perturb"
local progress = require "lunette.base.progress"
local sampling = require "lunette.explain.sampling"
local work = require "lunette.explain.work"

local NEAR = 1e-12 -- under roots and powers, whose slope at 0 has none


---1 outside a disk in the middle of the picture, 0 inside: (h,w).
local function outside_disk(h, w, radius)
  local y = (core.range(0, h - 1) - (h - 1) / 2):view(h, 1)
  local x = (core.range(0, w - 1) - (w - 1) / 2):view(1, w)
  return (y * y + x * x):gt(radius * radius)
end


---Where the climb begins: outside the smallest disk in the middle that takes away 99 %
---of what the whole baseline takes from the score; edges blurred.
local function start_of(run, i, o, base)
  local h, w = run.images:dim(3), run.images:dim(4)
  local rows, columns = -(-h // o.cell), -(-w // o.cell)
  if o.start == "ones" then return core.ones(1, 1, rows, columns) end
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
  local mask = blur(outside_disk(h, w, radius):view(1, 1, h, w), h / 22.7)
  return mask:resize(rows, columns):clamp(0, 1)
end


---sum ((m - its right neighbour)^2 + (m - its lower neighbour)^2)^(beta / 2)
local function variation(m, beta)
  local h, w = m:dim(3), m:dim(4)
  local function part(y, x)
    return m:narrow { dim = 3, start = y, length = h - 1 }
      :narrow { dim = 4, start = x, length = w - 1 }
  end
  if h < 2 or w < 2 then return (m * 0):sum() end
  local here = part(1, 1)
  local square = (here - part(1, 2)):square() + (here - part(2, 1)):square()
  return (square + NEAR):pow(beta / 2):sum()
end


---A picture moved by whole pixels, its edge repeated.
local function moved(x, down, right)
  local h, w = x:dim(3), x:dim(4)
  return x:pad { before = { 0, 0, 0, 0 }, after = { 0, 0, down, right }, mode = 2 }
    :narrow { dim = 3, start = down + 1, length = h }
    :narrow { dim = 4, start = right + 1, length = w }
end


---A coarse mask, enlarged and smoothed: (1,1,H,W).
local function enlarged(m, o, h, w)
  return blur(m:resize(h, w), o.sigma * o.cell)
end


---The loss's gradient, downhill as the optimiser climbs.
local function objective(run, i, o, score, base)
  local x, h, w = run.images:rows(i), run.images:dim(3), run.images:dim(4)
  local forward = apply.forward(o.modifiers, run)
  return function(m, t)
    local u = core.uniform(o.seed, t, 2)
    local down, right = math.floor(u[1] * o.jitter), math.floor(u[2] * o.jitter)
    local own, other = moved(x, down, right), moved(base, down, right)
    local tape <close> = core.tape()
    local leaf = tape:watch(m)
    local mask = enlarged(leaf, o, h, w)
    local seen = mask * own + (1 - mask) * other
    local part <close> = run.net:run(seen:detach(), { modifiers = forward })
    local g = part:gradient { score = score, modifiers = o.modifiers }
    local loss = (seen * g):sum() + (1 - leaf):abs():sum() * o.l1
      + variation(leaf, o.beta) * o.tv
    local d = core.backward(loss, core.ones(loss:shape()), { leaf:node() })[1]
    return -d, part:values(score, { modifiers = o.modifiers })[1]
  end
end


---Meaningful perturbation (Fong & Vedaldi 2017): the smallest, smoothest part of the
---picture that, once blurred away, takes the class away: a mask m of coarse cells is
---found that makes S(m x + (1 - m) baseline) + l1 sum |1 - m| + tv sum |grad m|^beta
---small, by Adam, the picture moved by a few pixels in each step. (N,H,W): 1 - m, from
---0 to 1, near 1 where the evidence was. The constants are the authors'. The story has
---`values`, the score of the picture as the mask leaves it.
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
    if o.cell == 0 then o.cell = math.max(1, math.floor(math.min(h, w) / 28 + 0.5)) end
    local how = { forward = apply.forward(o.modifiers, run) }
    local starts = {}
    for i = 1, n do starts[i] = start_of(run, i, o, base) end
    local bar <close> = progress.start("meaningful_perturbation", n * o.steps,
                                       o.progress)
    for i = 1, n do
      local own, known = loop:take(i)[loop.k], loop:of(i, function() return {} end)
      local m = optimise { x = starts[i], steps = o.steps,
        rate = o.rate, step = "adam", kept = known,
        gradient = loop:measured(objective(run, i, o, own, base:rows(i))),
        project = function(mask) return mask:clamp(0, 1) end,
        watch = function() loop:tick() bar:add(1) end, progress = false }
      local mask = enlarged(m, o, h, w)
      map[i] = (1 - mask):view(h, w)
      local left = mask * run.images:rows(i) + (1 - mask) * base:rows(i)
      values[i] = perturb.score_of(run, left, own, how)[1]
    end
    return map, { values = values }
  end,
}
