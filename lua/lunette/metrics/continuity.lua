local asking = require "lunette.explain.asking"
local core = require "lunette.core"
local metric = require("lunette.explain.metric").new
local opt = require("lunette.base.options").opt
local shaken = require "lunette.explain.shaken"


---The picture moved to the right by `by` pixels; what comes in is the edge's.
local function moved_picture(x, by)
  local wide = x:dim(4)
  local edge = x:narrow { dim = 4, start = 1, length = 1 }
    :expand { shape = { x:dim(1), x:dim(2), x:dim(3), by } }
  return core.ops.concat(edge, x:narrow { dim = 4, start = 1, length = wide - by },
                         { dim = 4 })
end


---Continuity (Montavon et al. 2018): the largest |map(x') - map(x)| over |x' - x|, of
---the picture moved to the right by `step`, 2 `step` ... pixels. Gives also the ratios.
---Caveat: the map should move with the picture; this asks only that it does not jump.
return metric {
  name = "continuity", needs = "method", family = "robustness", better = "lower",
  channels = true, title = "continuity",
  paper = "Montavon et al. 2018, Methods for interpreting and understanding deep "
    .. "neural networks",
  options = {
    "score", "modifiers", "batch", "method", "with",
    moves = opt.count(28, "how many"),
    step = opt.count(1, "pixels from one to the next"),
  },
  value = function(map, case, o)
    local x, ratios, far = asking.picture(case), {}, {}
    local most = math.max(1, math.min(o.moves, (x:dim(4) - 1) // o.step))
    case.again:each(case.i, most, o.batch, function(first, k)
      local batch = core.zeros(k, table.unpack(x:shape(), 2))
      for n = 1, k do
        batch[n] = moved_picture(x, (first + n - 1) * o.step)[1]
        far[first + n - 1] = shaken.length(batch[n] - x[1])
      end
      return batch
    end, function(k, other)
      ratios[k] = shaken.length(other - map) / (far[k] + 1e-10)
    end)
    local largest = shaken.largest(ratios)
    return largest, largest, ratios
  end,
}
