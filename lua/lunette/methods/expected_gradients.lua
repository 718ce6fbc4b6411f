local expectation = require "lunette.explain.expectation"
local method = require("lunette.explain.method").new
local sampling = require "lunette.explain.sampling"

---Expected gradients (Erion et al. 2021): integrated gradients over many baselines at
---once: at random points between the picture and a random baseline. Signed, (N,C,H,W).
---Caveat: an estimate: its error falls as one over the root of the samples.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.expected_gradients(run, { samples = 6, modifiers = { "linear" } }))
return method {
  name = "expected_gradients", family = "path", draws = "map",
  flat = "the picture is its baseline, or no gradient reaches it",
  paper = "Erion et al. 2021, Improving performance of deep learning models",
  options = expectation.options, keeps = sampling.keeps,
  explain = function(run, o)
    return expectation.explain(run, o, "expected gradients")
  end,
}
