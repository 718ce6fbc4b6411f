---Backward rules of the relu family that say more than the engine's row: their story,
---and what they take. What has no row here is the engine's alone.
local row = require("lunette.modifiers.modifier").row

local M = {}


---The true gradient; says so in captions.
M.vanilla = row { name = "vanilla", doc = "the true gradient" }


---Guided backpropagation (Springenberg et al. 2014): dx = dy [dy>0] [x>0].
---Caveat: nearly blind to the class (Adebayo et al. 2018): cleaner is not truer.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.saliency(run, { modifiers = { "linear", "guided" } }))
M.guided = row { name = "guided", rule = "guided", doc = "dx = dy [dy>0] [x>0]" }


---Zeiler & Fergus' deconvnet (2013): dx = dy [dy>0], gates open.
---Caveat: shows what the picture's edges are more than what the class is.
M.deconvnet = row { name = "deconvnet", rule = "deconvnet", doc = "dx = dy [dy>0]" }


---Units that relu made zero let the gradient through too: dx = dy [dy>0]
---(the lab report's modifier, keras-vis' `rectified`). Called with { leak = e }:
---dx = dy where x>0, e*dy elsewhere, no sign gate.
---Caveat: silent units speak too, so that more than the evidence lights up.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.saliency(run, { modifiers = { "linear", "rectified" } }))
M.rectified = row {
  name = "rectified", rule = "rectified", takes = { { "leak" } },
  doc = "dx = dy [dy>0]; with leak: dy where x>0, else leak dy",
  make = function(p) return { rule = { "leak", leak = p.leak } } end,
}


---dx = dy * sigmoid(beta * x): relu as softplus would send it back (Dombrowski et al.
---2019). Called with a number or { beta = 10 }.
M.beta_smooth = row {
  name = "beta_smooth", rule = "beta_smooth", takes = { { "beta", 10 } },
  doc = "dx = dy sigmoid(beta x)",
}

return { fields = M, rows = { M.vanilla, M.guided, M.rectified, M.deconvnet,
                              M.beta_smooth } }
