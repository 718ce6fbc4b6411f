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
    local g <close> = row:narrow { dim = 1, start = 1, length = n }
    local value = row:get(n + 1)
    if not total then return { g = g:clone(), value = value, sum = core.zeros(n) } end
    local square <close> = total.g * total.g
    local below = square:sum():item()
    if below > 0 then
      local part <close> = square * ((value - total.value) / below)
      total.sum:add_(part)
    end
    total.g:copy_(g)
    total.value = value
    return total
  end
end


---The map against one baseline.
local function shared_rise(run, o, b, wish)
  local x, n = run.images, run.images:size() // run:count()
  return sampling.fold(run, {
    name = "idgi", count = o.steps + 1, batch = o.batch, score = o.score,
    modifiers = o.modifiers, progress = wish, fold = fold_steps(n),
    finish = function(total) return total.sum end,
    make = function(i, s)
      local whole <close> = x[i] - b[i]
      local part <close> = whole * ((s - 1) / o.steps)
      return b[i] + part
    end,
  }, function(part, score)
    sampling.tell_changed(o, part)
    local g <close> = part:gradient { score = score, modifiers = o.modifiers }
    local k = part:count()
    local values = part:values(score, { modifiers = o.modifiers })
    local rows <close> = g:reshape { k, n } -- a view keeps what it is of
    return ops.concat(rows, values:view(k, 1), { dim = 2 })
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
