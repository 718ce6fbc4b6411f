local core = require "lunette.core"
local masking = require "lunette.explain.masks"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local perturb = require "lunette.explain.perturb"
local sampling = require "lunette.explain.sampling"
local segments = require "lunette.explain.segments"


---What the sum of score times mask is divided by.
local divisors = {
  keep = function(o, n) return n * o.keep end,
  count = function(_, n) return n end,
  mean = function(_, _, total) return total:mean() end,
  masks = function(_, _, total) return total + 1e-4 end,
}


---The masks: the caller's own, segments that stay or go at random, or soft grids.
local function masks_of(run, o)
  if o.masks then return masking.of(o.masks) end
  if o.segments then
    local labels = segments.of(o.segments, run)
    return masking.coalitions(labels, core.uniform(o.seed, 1, o.count,
      (segments.count(labels))):lt(o.keep))
  end
  return masking.random { height = run.images:dim(3), width = run.images:dim(4),
    cells = o.cells, keep = o.keep, count = o.count, seed = o.seed }
end


---RISE (Petsiuk et al. 2018): the mean of random soft masks, weighed by the score of
---the picture seen through each. Divided by N p ("keep", the paper), N ("count",
---TorchRay), N times the mean of all masks ("mean"), or by the masks' own sum ("masks",
---xplique). With `segments` the masks are of superpixels, or of parts of your own, and
---each stays with probability `keep`.
---Caveat: an estimate: with few masks the map is mottled. Meant for probabilities: do
---  not leave the softmax out.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.rise(run, { count = 30 }))
return method {
  name = "rise", family = "perturbation",
  draws = "map", flat = "no mask changes the score",
  paper = "Petsiuk et al. 2018, RISE: randomized input sampling for explanation",
  options = {
    "score", "modifiers", "progress", "seed",
    count = opt.count(1000, "masks"),
    cells = opt.count(7, "cells of a mask's grid, a side", 2),
    keep = opt.number(0.5, "probability that a cell stays", 0, 1),
    over = opt.choice("keep", { "keep", "count", "mean", "masks" }, "divided by"),
    segments = segments.optional 'not cells: "slic:50", or labels (tensor, .png, .npy)',
    masks = opt.any(false, "(M,H,W): of your own", masking.refuse),
    batch = opt.quiet(opt.count(16, "masked pictures at a time")),
  },
  flags = { count = "masks-count" },
  keeps = sampling.keeps,
  explain = function(run, o)
    local n, h, w = run:count(), run.images:dim(3), run.images:dim(4)
    local masks = masks_of(run, o)
    local sum, total = core.zeros(n, h * w), core.zeros(1, h * w)
    local scores = core.zeros(n, masks.count)
    perturb.each(run, { masks = masks, score = o.score, modifiers = o.modifiers,
      batch = o.batch, name = "rise", progress = o.progress },
      function(i, first, m, values)
        local k = values:size()
        local flat = m:reshape { k, h * w }
        sum[i]:add_(core.ops.matmul(values:view(1, k), flat)[1])
        if i == 1 then total:add_(flat:sum { dims = { 1 }, keepdims = true }) end
        scores[i]:rows(first, first + k - 1):copy_(values)
      end)
    local map = sum / divisors[o.over](o, masks.count, total)
    return map:view(n, h, w), { masks = false, count = masks.count,
      scores = o.masks and { scores[1]:totable() } or nil,
      seed = not o.masks and o.seed or false,
      cells = not o.masks and not o.segments and o.cells or false }
  end,
}
