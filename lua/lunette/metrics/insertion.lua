local curves = require "lunette.explain.curves"
local metric = require("lunette.explain.metric").new

---Insertion (Petsiuk et al. 2018, RISE): the area under the score while
---pixels come, the most important first: a good map makes the score rise soon. Gives
---the areas, large ones being good, and the curves.
---Caveat: half a picture is none that the network has seen; compare baselines.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  local map = lu.gradcam(run, { modifiers = { "linear" } })
---  print((lu.metrics.insertion(map, run, { steps = 10, baseline = "blur" })))
return metric {
  name = "insertion", needs = "run", title = "insertion", family = "faithfulness",
  better = "higher", paper = "Petsiuk et al. 2018, RISE", options = curves.options,
  value = function(map, case, o)
    local area, curve = curves.curve(map, case, o, true)
    return area, area, curve
  end,
}
