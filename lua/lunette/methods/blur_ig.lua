local blur = require "lunette.tensors.blur"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local perturb = require "lunette.explain.perturb"
local sampling = require "lunette.explain.sampling"

local H = 0.01 -- the step of the difference that stands for the blur's derivative


---The blurs on the path: steps + 1 of them.
local function path(o)
  local list = {}
  for i = 0, o.steps do
    local share = i / o.steps
    list[i + 1] = o.sqrt and (share * o.max_sigma) ^ 0.5 or share * o.max_sigma
  end
  return list
end


---Blur integrated gradients (Xu et al. 2020): the path leads from the blurred picture
---to the picture, scale by scale: -sum dsigma dG/dsigma g(G(sigma)). Signed, (N,C,H,W).
---Outside the picture lies 0, as in PAIR's implementation.
---Caveat: what the strongest blur still shows counts as nothing.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.blur_ig(run, { steps = 6, max_sigma = 10, modifiers = { "linear" } }))
return method {
  name = "blur_ig", family = "path", draws = "map",
  paper = "Xu et al. 2020, Attribution in scale and space",
  options = {
    "score", "modifiers", "progress", "batch",
    steps = opt.count(100, "blurs on the path"),
    max_sigma = opt.number(50, "the strongest, in pixels", 0, 1000),
    sqrt = opt.flag(false, "sigma grows as a root"),
  },
  keeps = sampling.keeps,
  explain = function(run, o)
    local sigma = path(o)
    local function at(i, s) return blur(run.images:rows(i), s, "zero") end
    local map = sampling.gradients(run, {
      name = "blur_ig", count = o.steps, batch = o.batch,
      make = function(i, s)
        local blurred <close> = at(i, sigma[s])
        return blurred[1]
      end,
      fold = function(total, value, s, i)
        local there <close> = at(i, sigma[s] + H)
        local here <close> = at(i, sigma[s])
        local change <close> = there - here
        local by = (sigma[s] - sigma[s + 1]) / H
        local rise <close> = change[1] -- a view keeps what it is of
        local part <close> = rise * value
        return sampling.add(total, part:mul_(by))
      end,
    }, o)
    local blurred = blur(run.images, sigma[o.steps + 1], "zero")
    return map, { delta = perturb.delta(run, o, map, blurred) }
  end,
}
