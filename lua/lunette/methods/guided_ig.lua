local apply = require "lunette.modifiers.apply"
local core = require "lunette.core"
local baselines = require "lunette.explain.baselines"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local perturb = require "lunette.explain.perturb"
local progress = require "lunette.base.progress"
local sampling = require "lunette.explain.sampling"
local witness = require "lunette.explain.witness"
local work = require "lunette.explain.work"

local abs, floor = math.abs, math.floor
local DONE = 3e38 -- the gradient of a feature that may move no further


local function copy(list) return table.move(list, 1, #list, 1, {}) end


local function distance(x, y)
  local sum = 0
  for k = 1, #x do sum = sum + abs(x[k] - y[k]) end
  return sum
end


---The value that a share `fraction` of |g| does not exceed ("lower" quantile).
local function quantile(g, fraction)
  local values <close> = core.tensor(g)
  local sizes <close> = values:abs()
  local negative <close> = -sizes
  local order <close>, sorted = negative:argsort()
  local least <close> = sorted
  local _ = order
  return -least[floor(fraction * (#g - 1)) + 1]
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
  local worth, open, done = copy(g), g, false
  local before = copy(x)
  while not done do
    catch_up(x, w, low)
    local now = distance(x, w.x)
    done = abs(left - now) <= 1e-9 * math.max(1, abs(left), abs(now))
      or move(x, w, open, high, now - left, o.fraction)
  end
  for k = 1, #x do sum[k] = sum[k] + (x[k] - before[k]) * worth[k] end
end


---Three float32 tensors whose sum has all bits of a list of doubles, and back.
local function split(list)
  local parts, left = {}, copy(list)
  for n = 1, 3 do
    parts[n] = core.tensor(left)
    for k, v in ipairs(parts[n]:totable()) do left[k] = left[k] - v end
  end
  return parts
end


local function join(parts)
  local list = parts[1]:totable()
  for n = 2, 3 do
    for k, v in ipairs(parts[n]:totable()) do list[k] = list[k] + v end
  end
  return list
end


---Where the walk of an image stands: at the baseline, or where a checkpoint says.
local function place(known, w)
  if known.x then return join(known.x), join(known.sum), known.done end
  local sum = {}
  for k = 1, #w.x do sum[k] = 0 end
  return copy(w.b), sum, 0
end


---The walk of one image.
local function walk(run, o, i, base, how)
  local shape, n = run.images:rows(i):shape(), run.images:rows(i):size()
  local w = { x = run.images[i]:view(n):totable(), b = base[i]:view(n):totable() }
  local known = how.loop:of(i, function() return {} end)
  local x, sum, done = place(known, w)
  w.total = distance(w.x, w.b)
  local function straight(s) return base[i] + (run.images[i] - base[i]) * (s / 2) end
  local gradient = how.loop:measured(function()
    local values <close> = core.tensor(x)
    local at <close> = values:view(table.unpack(shape)) -- views keep what they are of
    local part <close> = run.net:run(at, { modifiers = how.forward })
    local score = how.loop:take(i)[how.loop.k]
    witness.note(run, i, { part = part, score = score, modifiers = o.modifiers,
                           make = straight, count = 2 })
    local g <close> = part:gradient { score = score, modifiers = o.modifiers }
    local flat <close> = g:view(n)
    return flat:totable()
  end)
  how.loop.writes = function()
    known.x, known.sum, known.done = split(x), split(sum), done
  end
  for t = done + 1, w.total > 0 and o.steps or 0 do
    step(x, w, gradient(), t, o, sum)
    done = t
    how.loop:tick()
    how.bar:add(1)
  end
  how.loop.writes()
  return core.tensor(sum):view(table.unpack(shape))
end


---Guided integrated gradients (Kapishnikov et al. 2021): the path moves the features
---with the smallest gradients first, so that noise of steep places weighs less. As
---PAIR computes it. Signed, (N,C,H,W). Of several baselines the mean.
---Caveat: one feature on the other side of the quantile, and the walk parts: small
---  changes of the picture may change the map much.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.guided_ig(run, { steps = 3, baseline = "blur", modifiers = { "linear" } }))
return method {
  name = "guided_ig", family = "path", draws = "map",
  flat = "the picture is its baseline, or no gradient reaches it",
  paper = "Kapishnikov et al. 2021, Guided integrated gradients",
  options = {
    "score", "modifiers", "progress",
    steps = opt.count(200, "of the path"),
    fraction = opt.number(0.25, "share of the features that move", 0, 1),
    max_dist = opt.number(0.02, "how far from the straight path", 0, 1),
    baseline = baselines.option,
  },
  keeps = sampling.keeps,
  explain = function(run, o)
    local forward = apply.forward(o.modifiers, run)
    return baselines.mean(run, o, function(base, wish)
      local bar <close> = progress.start("guided_ig", run:count() * o.steps, wish)
      local how = { bar = bar, forward = forward,
                    loop = work.loop(run, { score = o.score, name = "guided_ig",
                                            alone = true }) }
      local map = core.zeros(run.images:shape())
      for i = 1, run:count() do
        map:rows(i):copy_(walk(run, o, i, base, how))
      end
      return map, perturb.delta(run, o, map, base)
    end)
  end,
}
