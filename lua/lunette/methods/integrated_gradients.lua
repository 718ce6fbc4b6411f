local baselines = require "lunette.explain.baselines"
local core = require "lunette.core"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local paths = require "lunette.explain.paths"
local perturb = require "lunette.explain.perturb"
local sampling = require "lunette.explain.sampling"


---The mean gradient along the straight path from b to x.
local function mean_gradient(run, o, b, wish)
  local alphas, weights = paths.rules[o.rule](o.steps)
  return sampling.gradients(run, {
    name = "integrated_gradients", count = #alphas, batch = o.batch,
    fold = sampling.weighted(weights), progress = wish,
    make = paths.points(run.images, b, alphas),
  }, o)
end


---The same of a run on tracing tensors: all points of all pictures are one batch.
local function traced_from(run, o, baseline)
  local x, alphas, weights = run.images, paths.rules[o.rule](o.steps)
  local shape = x:shape()
  local n, count, rest = shape[1], #alphas, { table.unpack(shape, 2) }
  local ones = { 1, count }
  for d = 1, #rest do ones[d + 2] = 1 end
  local function along(list) return core.tensor(list):reshape { shape = ones } end
  local constant = require("lunette.trace").constant
  local b = constant(baselines.of_one(baseline, run.net, rest))
  local off = (x - b):reshape { n, 1, table.unpack(rest) }
  local points = off * along(alphas) + b:reshape { 1, 1, table.unpack(rest) }
  local part = run:copies(points:reshape { n * count, table.unpack(rest) }, count)
  local g = part:gradient { score = o.score, modifiers = o.modifiers }
  g = g:reshape { n, count, table.unpack(rest) } * along(weights)
  g = g:sum { dims = { 2 } }
  return o.multiply and (x - b) * g or g
end


local function traced(run, o)
  local list, sum = baselines.list(o.baseline), nil
  for _, baseline in ipairs(list) do
    local map = traced_from(run, o, baseline)
    sum = sum and sum + map or map
  end
  return #list > 1 and sum * (1 / #list) or sum
end


---Integrated gradients (Sundararajan et al. 2017): the gradient, averaged on the way
---from a baseline to the picture, times the difference of the two. Signed, (N,C,H,W);
---the sum over the picture is the score's difference, up to `delta` (in the story, one
---an image), which says whether there were enough steps. Of several baselines
---({ "zero", "blur" }) the mean is taken, and the delta that is furthest off.
---Rules: "gausslegendre" and the Riemann sums are captum's; "trapezoid" is unbiased,
---"riemann_trapezoid" captum's, whose weights sum to 1 - 1/n; "linspace" is PAIR's.
---Caveat: what the baseline shows counts as nothing: black pixels get 0 against black.
---  Compare several baselines, or give several.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  local map = lu.integrated_gradients(run, { modifiers = { "linear" }, steps = 20,
---                                             baseline = "blur" })
---  print(map.story.delta[1])
return method {
  name = "integrated_gradients", family = "path", draws = "map",
  flat = "the picture is its baseline, or no gradient reaches it",
  paper = "Sundararajan et al. 2017, Axiomatic attribution for deep networks",
  options = {
    "score", "modifiers", "progress", "batch",
    steps = opt.count(50, "points on the path"),
    rule = opt.choice("gausslegendre", paths.names, "where they lie"),
    baseline = baselines.option,
    multiply = opt.flag(true, "times the difference from the baseline"),
  },
  keeps = sampling.keeps,
  explain = function(run, o)
    return baselines.mean(run, o, function(b, wish)
      local g = mean_gradient(run, o, b, wish)
      local whole = (run.images - b) * g
      return o.multiply and whole or g, perturb.delta(run, o, whole, b)
    end)
  end,
  traced = traced,
}
