local expectation = require "lunette.explain.expectation"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local sampling = require "lunette.explain.sampling"

local own = {
  sigma = opt.number(0, "deviation of noise that is added to the picture", 0),
  draws = opt.tensor("(samples,C,H,W) or (samples,1,H,W)",
                     "normal noise of your own"),
}
for key, option in pairs(expectation.options) do own[key] = option end

---GradientSHAP (Lundberg & Lee 2017, as captum has it): expected gradients of noisy
---copies of the picture. Signed, (N,C,H,W).
---Caveat: Shapley values only of networks that are nearly linear between the baselines
---  and the picture.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.gradient_shap(run, { samples = 6, sigma = 5, modifiers = { "linear" } }))
return method {
  name = "gradient_shap", family = "path", draws = "map",
  flat = "the picture is its baseline, or no gradient reaches it",
  paper = "Lundberg & Lee 2017, A unified approach to interpreting model predictions",
  options = own, keeps = sampling.keeps,
  explain = function(run, o) return expectation.explain(run, o, "GradientSHAP") end,
}
