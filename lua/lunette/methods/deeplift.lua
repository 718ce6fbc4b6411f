local deeplift = require "lunette.explain.deeplift"
local method = require("lunette.explain.method").new

---DeepLIFT (Shrikumar et al. 2017), rescale rule: the score's difference from that of a
---baseline, handed back layer by layer: through what is not linear in the proportion
---of its output's difference to its input's. Signed, (N,C,H,W); the sum is
---S(x) - S(baseline), and `delta` in the story says how far it is off. Residual sums,
---concatenations, poolings, products (squeeze and excite), attention's matrix products
---and a softmax have rules of their own, so that nothing is lost on the way. Of several
---baselines ({ "zero", "blur" }) the mean is taken (captum's DeepLiftShap).
---Dialects: none, but `softmax` "mean" is captum's rule for one, which is not complete;
---captum 0.8 is itself incomplete where a relu stands beside a max-pool.
---Caveat: what the baseline shows counts as nothing; and the rescale rule says nothing
---  of what two inputs do together, as a relu of their sum.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  local map = lu.deeplift(run, { baseline = "blur", modifiers = { "linear" } })
---  print(map.story.delta[1])
return method {
  name = "deeplift", slopeless = true, family = "path", draws = "map",
  flat = "the picture is its baseline, or no gradient reaches it",
  paper = "Shrikumar et al. 2017, Learning important features through propagating "
    .. "activation differences",
  options = deeplift.options(),
  explain = function(run, o) return deeplift.explain(run, o, "input") end,
}
