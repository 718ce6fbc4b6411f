local asking = require "lunette.explain.asking"
local baselines = require "lunette.explain.baselines"
local metric = require("lunette.explain.metric").new
local opt = require("lunette.base.options").opt


---Completeness error (Sundararajan et al. 2017): how far the map's sum is from the
---score's difference S(x) - S(baseline), as a share of that. Gives also the differences
---themselves.
---Caveat: a question to methods that promise it (path methods, DeepLift, Shapley
---  values), of their signed maps, not normalised: `raw = true`.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  local map = lu.integrated_gradients(run, { steps = 10, modifiers = { "linear" } })
---  print((lu.metrics.completeness(map, run, { modifiers = { "linear" } })))
return metric {
  name = "completeness", needs = "run", family = "faithfulness", better = "lower",
  channels = true, any_size = true, title = "completeness error",
  paper = "Sundararajan et al. 2017, Axiomatic attribution for deep networks",
  options = {
    "score", "modifiers", "batch",
    baseline = opt.baseline("zero", "from which the map counts"),
  },
  value = function(map, case, o)
    local x = asking.picture(case)
    local base = baselines.of(o.baseline, case.run.net, x)
    local below = asking.scores(case, o, 1, function() return base:clone() end)[1]
    local difference = asking.clean(case, o) - below
    local delta = map:sum():item() - difference
    local share = math.abs(delta) / math.max(math.abs(difference), 1e-30)
    return share, share, delta
  end,
}
