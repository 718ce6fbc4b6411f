local energy = require "lunette.metrics.energy"
local metric = require("lunette.explain.metric").new


---Focus (Arias-Duart et al. 2022, "Focus! Rating XAI methods and finding biases"): on a
---mosaic of pictures, the share of the positive relevance that lies on the tiles of the
---class that was asked for. The mask is 1 on those tiles; `lu.mosaic` makes both.
---Caveat: at the size of a tile; a map that knows the tile and not the object gets 1.
---Example:
---  local net = lu.load "glyphs"
---  local scenes = lu.glyphs.default_images(4)
---  local images, mask = lu.mosaic(scenes.images, { 1 })
---  local map = lu.gradcam(net, net:images { images }, { score = scenes.labels[1] })
---  print((lu.metrics.focus(map[1], mask)))
return metric {
  name = "focus", needs = "mask", title = "focus %", family = "mask", better = "higher",
  paper = "Arias-Duart et al. 2022, Focus! Rating XAI methods and finding biases",
  value = energy.value,
}
