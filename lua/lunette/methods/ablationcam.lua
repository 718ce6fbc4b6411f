local cam = require("lunette.explain.cam").new
local masks = require "lunette.explain.masks"
local opt = require("lunette.base.options").opt
local perturb = require "lunette.explain.perturb"
local tokens = require "lunette.explain.tokens"

---AblationCAM (Ramaswamy et al. 2020): a channel's weight is the relative fall of the
---score when the channel is taken out, (S - S without it) / S. Only what follows the
---layer is run again, once a channel.
---Caveat: the share is of the score itself: a score near 0 makes it any number.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.ablationcam(run, { modifiers = { "linear" } }))
return cam {
  name = "ablationcam", needs = "score",
  paper = "Ramaswamy et al. 2020, Ablation-CAM",
  keeps = function() return nil end, -- other branches are read where it is run again
  options = { "progress", batch = opt.quiet(opt.count(32, "channels at a time")) },
  weights = function(A, _, run, o, layer)
    local n, k = A:dim(1), A:dim(2)
    local base = A:stats().min == 0 and "zero" or A:stats().min - 1e7
    local each = masks.on_tokens(masks.channels(k), tokens.grid_of(run.net, layer))
    local without = perturb.values(run, { masks = each, from = layer, score = o.score,
      modifiers = o.modifiers, baseline = base, batch = o.batch, name = "ablationcam",
      progress = o.progress })
    local whole = run:values(o.score, { modifiers = o.modifiers }):view(n, 1)
    return ((whole - without) / whole):view(n, k, 1, 1)
  end,
}
