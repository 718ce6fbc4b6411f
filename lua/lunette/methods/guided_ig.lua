local apply = require "lunette.modifiers.apply"
local core = require "lunette.core"
local baselines = require "lunette.explain.baselines"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local perturb = require "lunette.explain.perturb"
local progress = require "lunette.base.progress"
local sampling = require "lunette.explain.sampling"
local scores = require "lunette.score"

local abs, floor = math.abs, math.floor
local DONE = 3e38 -- the gradient of a feature that may move no further


local function distance(x, y)
  local sum = 0
  for k = 1, #x do sum = sum + abs(x[k] - y[k]) end
  return sum
end


---The value that a share `fraction` of |g| does not exceed ("lower" quantile).
local function quantile(g, fraction)
  local order, sorted = (-core.tensor(g):abs()):argsort()
  local _ = order
  return -sorted[floor(fraction * (#g - 1)) + 1]
end


---Moves features that have covered less of their way than the share `low` to that
---share.
local function catch_up(x, w, low)
  for k = 1, #x do
    local span = w.x[k] - w.b[k]
    if span ~= 0 and (x[k] - w.b[k]) / span < low then x[k] = w.b[k] + span * low end
  end
end


---Moves the features with the smallest gradients toward the band's upper edge, until
---the distance is what it should be; true when it is.
local function move(x, w, g, high, gap, fraction)
  local upper, room = {}, 0
  for k = 1, #x do
    upper[k] = w.b[k] + (w.x[k] - w.b[k]) * high
    if x[k] == upper[k] then g[k] = DONE end
  end
  local threshold = quantile(g, fraction)
  local chosen = {}
  for k = 1, #x do
    if abs(g[k]) <= threshold and g[k] ~= DONE then
      chosen[#chosen + 1] = k
      room = room + abs(x[k] - upper[k])
    end
  end
  local gamma = room > 0 and gap / room or math.huge
  for _, k in ipairs(chosen) do
    x[k] = gamma > 1 and upper[k] or x[k] + (upper[k] - x[k]) * gamma
  end
  return gamma <= 1
end


---One step of the walk; adds to `sum` what each feature's move was worth.
local function step(x, w, g, t, o, sum)
  local alpha, left = t / o.steps, w.total * (1 - t / o.steps)
  local low, high = math.max(alpha - o.max_dist, 0), math.min(alpha + o.max_dist, 1)
  local worth, open, done = { table.unpack(g) }, g, false
  local before = { table.unpack(x) }
  while not done do
    catch_up(x, w, low)
    local now = distance(x, w.x)
    done = abs(left - now) <= 1e-9 * math.max(1, abs(left), abs(now))
      or move(x, w, open, high, now - left, o.fraction)
  end
  for k = 1, #x do sum[k] = sum[k] + (x[k] - before[k]) * worth[k] end
end


---The walk of one image.
local function walk(run, o, i, base, score, forward, bar)
  local shape = run.images:rows(i):shape()
  local n = run.images:rows(i):size()
  local w = { x = run.images[i]:view(n):totable(), b = base[i]:view(n):totable() }
  local x, sum = { table.unpack(w.b) }, {}
  for k = 1, n do sum[k] = 0 end
  w.total = distance(w.x, w.b)
  for t = 1, w.total > 0 and o.steps or 0 do
    local part <close> = run.net:run(core.tensor(x):view(table.unpack(shape)),
                                     { modifiers = forward })
    local g = part:gradient { score = score, modifiers = o.modifiers }
    step(x, w, g:view(n):totable(), t, o, sum)
    bar:add(1)
  end
  return core.tensor(sum):view(table.unpack(shape))
end


---Guided integrated gradients (Kapishnikov et al. 2021): the path moves the features
---with the smallest gradients first, so that noise of steep places weighs less. As
---PAIR computes it. Signed, (N,C,H,W).
---Caveat: one feature on the other side of the quantile, and the walk parts: small
---  changes of the picture may change the map much.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.guided_ig(run, { steps = 3, baseline = "blur", modifiers = { "linear" } }))
return method {
  name = "guided_ig", family = "path", draws = "map", resumes = false,
  flat = "the picture is its baseline, or no gradient reaches it",
  paper = "Kapishnikov et al. 2021, Guided integrated gradients",
  options = {
    "score", "modifiers", "progress",
    steps = opt.count(200, "of the path"),
    fraction = opt.number(0.25, "share of the features that move", 0, 1),
    max_dist = opt.number(0.02, "how far from the straight path", 0, 1),
    baseline = opt.baseline("zero", "zero, mean, blur, noise, black, a number, tensor"),
  },
  keeps = sampling.keeps,
  explain = function(run, o)
    local base = baselines.of(o.baseline, run.net, run.images)
    local score = scores.resolve(o.score, run)
    local forward = apply.forward(o.modifiers, run)
    local bar <close> = progress.start("guided_ig", run:count() * o.steps, o.progress)
    local map = core.zeros(run.images:shape())
    for i = 1, run:count() do
      map:rows(i):copy_(walk(run, o, i, base, score:take(i), forward, bar))
    end
    return map, { delta = perturb.delta(run, o, map, base) }
  end,
}
