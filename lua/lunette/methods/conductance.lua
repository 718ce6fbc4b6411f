local baselines = require "lunette.explain.baselines"
local core = require "lunette.core"
local layer_paths = require "lunette.explain.layer_paths"
local method = require("lunette.explain.method").new
local paths = require "lunette.explain.paths"
local perturb = require "lunette.explain.perturb"
local sampling = require "lunette.explain.sampling"


---dS/dA (A' - A) summed, where A' is the layer at the next point.
local function fold_steps()
  return function(total, value, s)
    local g <close> = value[1] -- views keep what they are of
    local a <close> = value[2]
    total = total or {}
    if s > 1 then
      local change <close>, was = a - total.a, total.g
      local step <close>, at = change * was, total.a
      total.sum = total.sum and total.sum:add_(step) or step:clone()
      total.g, total.a = g:clone(), a:clone()
      was:release()
      at:release()
    else
      total.g, total.a = g:clone(), a:clone()
    end
    return total
  end
end


---Layer conductance (Dhamdhere et al. 2018, as captum computes it): how much of the
---score's rise from a baseline to the picture flows through each unit:
---sum_i dS/dA(i) (A(i+1) - A(i)). Of the layer's shape, signed. Of several
---baselines the mean.
---Caveat: the sum over a layer is the rise only with many steps.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  local opts = { layer = "block4_conv3", steps = 8, modifiers = { "linear" } }
---  show(lu.conductance(run, opts))
return method {
  name = "conductance", family = "layer", draws = "channels",
  paper = "Dhamdhere et al. 2018, How important is a neuron?",
  options = layer_paths.options, keeps = sampling.keeps,
  explain = function(run, o)
    local alphas, x = paths.rules[o.rule](o.steps + 1), run.images
    return baselines.mean(run, o, function(b, wish)
      local map = sampling.fold(run, {
        name = "conductance", count = #alphas, batch = layer_paths.batch(o, 4),
        score = o.score, modifiers = o.modifiers, progress = wish, fold = fold_steps(),
        finish = function(total) return total.sum end,
        make = paths.points(x, b, alphas),
      }, function(part, score)
        sampling.tell_changed(o, part, o.layer)
        local g <close> = part:gradient { score = score, modifiers = o.modifiers,
                                          wrt = o.layer.name }
        local a <close> = part:activation(o.layer.name):detach()
        local shape = g:shape()
        table.insert(shape, 2, 1)
        local slope <close> = g:reshape(shape) -- views keep what they are of
        local value <close> = a:reshape(shape)
        return core.ops.concat(slope, value, { dim = 2 })
      end)
      return map, perturb.delta(run, o, map, b)
    end)
  end,
}
