local asking = require "lunette.explain.asking"
local metric = require("lunette.explain.metric").new
local opt = require("lunette.base.options").opt


---Pixel flipping (Bach et al. 2015): the score while values of the picture become the
---baseline, `features` at a time, those of the largest map values first; each channel
---of a pixel is a value (a map without channels is repeated). Gives the mean of the
---curve by trapezoids, and the curves, without the untouched picture (as Quantus).
---Caveat: half a picture is none that the network has seen; compare baselines.
return metric {
  name = "pixel_flipping", needs = "run", family = "faithfulness", better = "lower",
  channels = true, title = "pixel flipping",
  paper = "Bach et al. 2015, On pixel-wise explanations",
  options = {
    "score", "modifiers", "batch",
    features = opt.count(1024, "values that are changed in a step"),
    baseline = opt.baseline("zero", "what stands where values are gone"),
  },
  value = function(map, case, o)
    local full = asking.for_channels(map, case)
    local steps = -(-full:size() // o.features)
    local curve = asking.masked(case, o,
      asking.pieces(asking.ranks(full), o.features, steps))
    table.remove(curve, 1)
    local area = asking.area(curve)
    return area, area, curve
  end,
}
