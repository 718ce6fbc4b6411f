local curves = require "lunette.explain.curves"
local metric = require("lunette.explain.metric").new

---Deletion (Petsiuk et al. 2018, RISE): the area under the score while
---pixels go, the most important first: a good map makes the score fall soon. Gives the
---areas, small ones being good, and the curves.
---Caveat: half a picture is none that the network has seen; compare baselines.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  local map = lu.gradcam(run, { modifiers = { "linear" } })
---  print((lu.metrics.deletion(map, run, { steps = 10, baseline = "blur" })))
return metric {
  name = "deletion", needs = "run", title = "deletion", family = "faithfulness",
  better = "lower", paper = "Petsiuk et al. 2018, RISE", options = curves.options,
  value = function(map, case, o)
    local area, curve = curves.curve(map, case, o, false)
    return area, area, curve
  end,
}
