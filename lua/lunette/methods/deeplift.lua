local baselines = require "lunette.explain.baselines"
local deeplift = require "lunette.explain.deeplift"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local perturb = require "lunette.explain.perturb"


---Baselines: one, or a list.
local function list_of(what, run)
  local list = {}
  if type(what) ~= "table" then what = { what } end
  for i, one in ipairs(what) do list[i] = baselines.of(one, run.net, run.images) end
  return list
end


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
  name = "deeplift", family = "path", draws = "map",
  flat = "the picture is its baseline, or no gradient reaches it",
  paper = "Shrikumar et al. 2017, Learning important features through propagating "
    .. "activation differences",
  options = {
    "score", "modifiers",
    baseline = opt.baseline("zero", "zero, mean, blur, noise, black, a number, tensor; "
      .. "or a list of them"),
    softmax = opt.choice("path", { "path", "mean" }, "the rule of a softmax: its mean "
      .. "slope, or captum's"),
  },
  explain = function(run, o)
    local map, delta = nil, {}
    for b, base in ipairs(list_of(o.baseline, run)) do
      local m, difference = deeplift.multipliers(run, base, o, "input")
      local one = m * difference
      for i, d in ipairs(perturb.delta(run, o, one, base)) do
        delta[i] = math.max(delta[i] or 0, math.abs(d))
      end
      map = map and map:mul_((b - 1) / b):add_(one * (1 / b)) or one
    end
    return map, { delta = delta }
  end,
}
