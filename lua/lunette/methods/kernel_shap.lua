local core = require "lunette.core"
local coalitions = require "lunette.explain.coalitions"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local sampling = require "lunette.explain.sampling"
local warn = require "lunette.base.warn"

local ENDS = 1e6 -- the weight of the whole and of the empty picture


---How many segments stay, from a number u in 0 .. 1: k with p(k) ~ (m-1) / (k (m-k)).
local function size_of(u, m)
  local total, sum = 0, 0
  for k = 1, m - 1 do total = total + 1 / (k * (m - k)) end
  for k = 1, m - 1 do
    sum = sum + 1 / (k * (m - k)) / total
    if u < sum then return k end
  end
  return m - 1
end


---Coalitions: the whole, the empty one, and drawn ones.
local function draw(o, m)
  local rows = core.zeros(o.samples, m)
  rows[1]:fill_(1)
  for r = 3, m > 1 and o.samples or 0 do
    local k = size_of(core.uniform(o.seed, 2 * r, 1)[1], m)
    local order = core.uniform(o.seed, 2 * r + 1, m):argsort()
    for j = 1, k do rows:set(r, math.floor(order[j]), 1) end
  end
  return rows
end


local function weights(rows)
  local list = {}
  for r, row in ipairs(rows) do
    local kept = 0
    for _, v in ipairs(row) do kept = kept + v end
    list[r] = (kept == 0 or kept == #row) and ENDS or 1
  end
  return list
end


---KernelSHAP (Lundberg & Lee 2017): Shapley values of segments as the coefficients of a
---weighted linear fit to sampled coalitions. The story has `values` and `intercept`.
---Caveat: with few samples the fit is loose; `samples` should be several times the
---  number of segments. With fewer coalitions than segments the shortest of the fits is
---  taken, and a warning says so.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.kernel_shap(run, { segments = 3, samples = 40, modifiers = { "linear" } }))
return method {
  name = "kernel_shap", family = "perturbation",
  draws = "map", flat = "no coalition changes the score",
  paper = "Lundberg & Lee 2017, A unified approach to interpreting model predictions",
  options = coalitions.options {
    "seed",
    samples = opt.count(200, "coalitions, the whole and the empty one among them", 2),
    coalitions = coalitions.given,
  },
  keeps = sampling.keeps,
  explain = function(run, o)
    local labels, m = coalitions.labels(run, o)
    local rows = o.coalitions or draw(o, m)
    if rows:dim(1) < m + 1 then
      warn(("kernel_shap: %d coalitions do not tell %d segments apart: of the fits "
        .. "through them the shortest is drawn; give samples = %d or more")
        :format(rows:dim(1), m, 4 * m))
    end
    local values = coalitions.values(run, o, labels, rows, "kernel_shap")
    local w = weights(coalitions.lists(rows))
    return coalitions.fitted(run, o, labels, rows, values, function() return w end)
  end,
}
