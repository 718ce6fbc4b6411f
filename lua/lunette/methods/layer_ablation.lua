local masks = require "lunette.explain.masks"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local perturb = require "lunette.explain.perturb"
local tokens = require "lunette.explain.tokens"

---Layer ablation: how much the score falls when a channel of a layer is 0: one value a
---channel, (N,K). Only what follows the layer is run.
---Caveat: channels that say the same hide one another.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  local falls = lu.layer_ablation(run, { modifiers = { "linear" } })
---  print(table.concat(select(2, falls[1]:top(3)), " ")) -- the channels that matter
return method {
  name = "layer_ablation", family = "layer",
  draws = "numbers", flat = "no channel changes the score",
  paper = "captum, LayerFeatureAblation",
  options = {
    "score", "modifiers", "progress",
    layer = opt.layer("last", "whose channels"),
    batch = opt.quiet(opt.count(32, "channels at a time")),
  },
  explain = function(run, o)
    local grid = tokens.grid_of(run.net, o.layer)
    local each = masks.on_tokens(masks.channels(o.layer.shape[grid and 2 or 1]), grid)
    local without = perturb.values(run, { masks = each, from = o.layer, score = o.score,
      modifiers = o.modifiers, batch = o.batch, name = "layer ablation",
      progress = o.progress })
    return perturb.clean(run, o):view(run:count(), 1) - without
  end,
}
