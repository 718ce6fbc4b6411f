local core = require "lunette.core"
local baselines = require "lunette.explain.baselines"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local perturb = require "lunette.explain.perturb"
local sampling = require "lunette.explain.sampling"
local ops = core.ops


---A fold over the points of the path: each step's change of the score is divided among
---the values in proportion to the squared gradient at its beginning. A row is the
---gradient (n numbers), then the score.
local function fold_steps(n)
  return function(total, row)
    local g, value = row:narrow { dim = 1, start = 1, length = n }, row:get(n + 1)
    if total then
      local square = total.g * total.g
      local below = square:sum():item()
      if below > 0 then total.sum:add_(square * ((value - total.value) / below)) end
    end
    return { g = g:clone(), value = value, sum = total and total.sum or core.zeros(n) }
  end
end


---The map against one baseline.
local function shared_rise(run, o, b, wish)
  local x, n = run.images, run.images:size() // run:count()
  return sampling.fold(run, {
    name = "idgi", count = o.steps + 1, batch = o.batch, score = o.score,
    modifiers = o.modifiers, progress = wish, fold = fold_steps(n),
    finish = function(total) return total.sum end,
    make = function(i, s) return b[i] + (x[i] - b[i]) * ((s - 1) / o.steps) end,
  }, function(part, score)
    sampling.tell_changed(o, part)
    local g = part:gradient { score = score, modifiers = o.modifiers }
    local k = part:count()
    local values = part:values(score, { modifiers = o.modifiers })
    return ops.concat(g:reshape { k, n }, values:view(k, 1), { dim = 2 })
  end):reshape(x:shape())
end


---IDGI, important direction gradient integration (Yang et al. 2023): integrated
---gradients without what the gradient's noise adds: along the same path each step's
---change of the score is shared by the squares of the gradient:
---sum_j (S(x_j+1) - S(x_j)) g_j^2 / sum g_j^2. Of one sign where the score only rises,
---(N,C,H,W). The sum is S(x) - S(baseline), whatever the number of steps, unless a
---gradient is 0 everywhere. Of several baselines the mean.
---Caveat: squares forget which way a pixel pulls: the sign is the step's, of all pixels
---  alike.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.idgi(run, { steps = 8, modifiers = { "linear" } }))
return method {
  name = "idgi", family = "path", draws = "map",
  flat = "the picture is its baseline, or no gradient reaches it",
  paper = "Yang et al. 2023, IDGI: a framework to eliminate explanation noise from "
    .. "integrated gradients",
  options = {
    "score", "modifiers", "progress", "batch",
    steps = opt.count(50, "of the path"),
    baseline = baselines.option,
  },
  keeps = sampling.keeps,
  explain = function(run, o)
    return baselines.mean(run, o, function(b, wish)
      local map = shared_rise(run, o, b, wish)
      return map, perturb.delta(run, o, map, b)
    end)
  end,
}
