local cam = require("lunette.explain.cam").new
local masks = require "lunette.explain.masks"
local opt = require("lunette.base.options").opt
local perturb = require "lunette.explain.perturb"
local tokens = require "lunette.explain.tokens"

---Recipro-CAM (Byun & Lee 2024): no gradient: at every place of the layer, the score of
---the network when that place alone is let through (`soft`: with a 3x3 binomial around
---it). Only what follows the layer is run, once a place.
---Caveat: a single place is none that the network has seen; with a logit, which has no
---  natural 0, the map's level says nothing, only its shape.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.recipro_cam(run))
return cam {
  name = "recipro_cam", needs = "score",
  paper = "Byun & Lee 2024, ReciproCAM: lightweight gradient-free class activation map",
  keeps = function() return nil end, -- other branches are read where it is run again
  options = {
    "progress",
    soft = opt.flag(true, "a 3x3 binomial around the place, not the place alone"),
    batch = opt.quiet(opt.count(32, "places at a time")),
  },
  map = function(A, _, run, o, layer)
    local n, h, w = A:dim(1), A:dim(3), A:dim(4)
    local places = masks.on_tokens(masks.places(h, w, o.soft),
                                   tokens.grid_of(run.net, layer))
    local values = perturb.values(run, { masks = places, from = layer, score = o.score,
      modifiers = o.modifiers, batch = o.batch, name = "recipro_cam",
      progress = o.progress })
    return values:view(n, 1, h, w)
  end,
}
