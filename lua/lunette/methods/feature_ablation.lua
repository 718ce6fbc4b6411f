local core = require "lunette.core"
local coalitions = require "lunette.explain.coalitions"
local method = require("lunette.explain.method").new
local perturb = require "lunette.explain.perturb"
local sampling = require "lunette.explain.sampling"
local segments = require "lunette.explain.segments"

---Feature ablation: how much the score falls when a segment of the picture takes the
---baseline's values; on each of its pixels. `values` in the story has one a segment.
---Caveat: segments that say the same hide one another: neither alone is missed.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.feature_ablation(run, { segments = 4, modifiers = { "linear" } }))
return method {
  name = "feature_ablation", family = "perturbation",
  draws = "map", flat = "no segment changes the score",
  paper = "Zeiler & Fergus 2014, Visualizing and understanding convolutional networks",
  options = coalitions.options(), keeps = sampling.keeps,
  explain = function(run, o)
    local labels, m = coalitions.labels(run, o)
    local rows = core.ones(m, m)
    for k = 1, m do rows:set(k, k, 0) end
    local values = coalitions.values(run, o, labels, rows, "feature ablation")
    local falls = perturb.clean(run, o):view(run:count(), 1) - values
    return segments.spread(labels, falls), { values = coalitions.lists(falls) }
  end,
}
