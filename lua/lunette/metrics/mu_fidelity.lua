local asking = require "lunette.explain.asking"
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local metric = require("lunette.explain.metric").new
local masks = require "lunette.explain.masks"
local opt = require("lunette.base.options").opt
local patches = require "lunette.explain.patches"
local rank_correlation = require "lunette.tensors.rank_correlation"


---Labels of n x n cells, as `masks.cells` has them.
local function cells(n, h, w)
  local y = ((core.range(0, h - 1) * n + 0.5) / h):floor():view(h, 1)
  local x = ((core.range(0, w - 1) * n + 0.5) / w):floor():view(1, w)
  return y * n + x
end


---mu-fidelity (Bhatt et al. 2020, as xplique has it): Spearman's correlation, over
---random sets of cells of a grid, of the map's sum over the set and of how far the
---score falls when the set becomes the baseline. From -1 to 1. Gives also how far it
---fell.
---Caveat: cells of a grid, not the object's parts; few of them tell more than single
---  pixels do.
return metric {
  name = "mu_fidelity", needs = "run", family = "faithfulness", better = "higher",
  title = "mu-fidelity",
  paper = "Bhatt et al. 2020, Evaluating and aggregating feature-based explanations",
  options = {
    "score", "modifiers", "batch", "seed",
    cells = opt.count(9, "cells a side", 2),
    share = opt.number(0.2, "of the cells that go", 0.01, 0.99),
    runs = opt.count(200, "sets", 2),
    baseline = opt.baseline("zero", "what stands where cells are gone"),
  },
  value = function(map, case, o)
    local n, h, w = o.cells, map:dim(1), map:dim(2)
    if n > h or n > w then
      blame(("mu_fidelity: %d cells a side for a map of %d x %d"):format(n, h, w))
    end
    local go = math.max(1, math.floor(o.share * n * n + 0.5))
    local rows, labels = core.ones(o.runs, n * n), cells(n, h, w)
    for k = 1, o.runs do
      local order = core.uniform(o.seed, k, n * n):argsort():totable()
      for j = 1, go do rows:set(k, math.floor(order[j]), 0) end
    end
    local sums = patches.sums(map, labels)
    local mine = core.ops.matmul(1 - rows, core.tensor(sums):view(n * n, 1))
    local scores = asking.masked(case, o, masks.cells(rows, n, h, w))
    local falls = asking.clean(case, o) - core.tensor(scores)
    local r = rank_correlation(mine, falls)
    return r, r, falls:totable()
  end,
}
