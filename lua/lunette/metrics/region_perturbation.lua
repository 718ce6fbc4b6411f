local asking = require "lunette.explain.asking"
local core = require "lunette.core"
local metric = require("lunette.explain.metric").new
local opt = require("lunette.base.options").opt
local patches = require "lunette.explain.patches"


---What pieces are ranked by: the most relevant first, the least, or at random.
local orders = {
  morf = function(means) return means end,
  lerf = function(means) return (-core.tensor(means)):totable() end,
  random = function(means, o) return core.uniform(o.seed, 1, #means):totable() end,
}


---Region perturbation (Samek et al. 2017): squares of the picture become the baseline
---one after the other, those of the largest mean first; gives the mean of how far the
---score has fallen after 0, 1 ... `regions` of them (AOPC), and the scores. With `order
---= "lerf"` the least relevant go first, and a small number is the good one.
---Caveat: a square of one colour is evidence by itself; compare baselines.
return metric {
  name = "region_perturbation", needs = "run", family = "faithfulness",
  better = "higher", title = "region perturbation",
  paper = "Samek et al. 2017, Evaluating the visualization of what a deep neural "
    .. "network has learned",
  options = {
    "score", "modifiers", "batch", "seed",
    side = opt.count(8, "pixels of a square"),
    regions = opt.count(100, "squares that go, at most all"),
    order = opt.choice("morf", { "morf", "lerf", "random" }, "which go first: the most "
      .. "relevant, the least, or any"),
    baseline = opt.baseline("mean", "what stands where squares are gone"),
  },
  value = function(map, case, o)
    local labels = patches.grid(map:dim(1), map:dim(2), o.side)
    local means = patches.means(map, labels)
    local curve = patches.curve(case, o, labels, orders[o.order](means, o),
                                math.min(o.regions, #means))
    local fall = curve[1] - asking.mean(curve)
    return fall, fall, curve
  end,
}
