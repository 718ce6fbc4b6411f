local asking = require "lunette.explain.asking"
local core = require "lunette.core"
local metric = require("lunette.explain.metric").new
local opt = require("lunette.base.options").opt


---Perturbation k of the picture (1,C,H,W).
local function perturbation(x, o, k)
  if o.draws then return o.draws[k]:view(1, table.unpack(x:shape(), 2)) end
  local s = x:stats()
  return core.normal(o.seed, k, x:shape()) * (o.noise * (s.max - s.min))
end


---What the sums have to be multiplied by to be nearest to the falls, as captum does.
local function scale_of(sums, falls)
  local ab, aa = 0, 0
  for k = 1, #sums do ab, aa = ab + sums[k] * falls[k], aa + sums[k] * sums[k] end
  return aa > 0 and ab / aa or 1
end


---Infidelity (Yeh et al. 2019): the mean square of how far the map's sum of products
---with a perturbation u is from the score's fall S(x) - S(x - u). `normalize` scales
---the map to fit best first (as captum). A map without channels is repeated.
---Caveat: in squares of the score; a gradient is best for small perturbations, by
---  construction.
return metric {
  name = "infidelity", needs = "run", family = "faithfulness", better = "lower",
  channels = true, title = "infidelity",
  paper = "Yeh et al. 2019, On the (in)fidelity and sensitivity of explanations",
  options = {
    "score", "modifiers", "batch", "seed",
    samples = opt.count(50, "perturbations"),
    noise = opt.number(0.1, "their deviation, as a share of the picture's range", 0),
    normalize = opt.flag(false, "the map is scaled to fit best"),
    draws = opt.any(false, "perturbations (K,C,H,W) of your own"),
  },
  value = function(map, case, o)
    asking.check_draws("infidelity", o.draws, case)
    local x, full = asking.picture(case), asking.for_channels(map, case)
    local count, sums = o.draws and o.draws:dim(1) or o.samples, {}
    local scores = asking.scores(case, o, count, function(first, k)
      local batch = core.zeros(k, table.unpack(x:shape(), 2))
      for n = 1, k do
        local u = perturbation(x, o, first + n - 1)
        sums[first + n - 1] = (full * u[1]):sum():item()
        batch[n] = (x - u)[1]
      end
      return batch
    end)
    local clean, falls, sum = asking.clean(case, o), {}, 0
    for k = 1, count do falls[k] = clean - scores[k] end
    local scale = o.normalize and scale_of(sums, falls) or 1
    for k = 1, count do sum = sum + (scale * sums[k] - falls[k]) ^ 2 end
    return sum / count
  end,
}
