---Gradients at a layer along the path of the picture: options and points of the methods
---that average them.
local baselines = require "lunette.explain.baselines"
local opt = require("lunette.base.options").opt
local paths = require "lunette.explain.paths"
local sampling = require "lunette.explain.sampling"
local work = require "lunette.explain.work"

local M = {}

---Options of all of them.
M.options = {
  "score", "modifiers", "progress", "batch",
  layer = opt.layer("last", "whose units"),
  steps = opt.count(50, "points on the path"),
  rule = opt.choice("gausslegendre", paths.names, "where they lie"),
  baseline = opt.baseline("zero", "zero, mean, blur, noise, black, a number, tensor"),
}


---Points, weights and baselines of a call.
function M.of(run, o)
  local b = baselines.of(o.baseline, run.net, run.images)
  local alphas, weights = paths.rules[o.rule](o.steps)
  return alphas, weights, b
end


---sum_i w_i dS/dA at the points of the picture's path.
---@return lunette.Tensor   (N, layer's shape)
function M.mean_gradient(run, o, name)
  local alphas, weights, b = M.of(run, o)
  local x = run.images
  return sampling.gradients(run, { name = name, count = #alphas, batch = o.batch,
    fold = sampling.weighted(weights), wrt = o.layer.name,
    make = function(i, s) return b[i] + (x[i] - b[i]) * alphas[s] end }, o)
end


---The activations of the layer for pictures x (N,...), made once for all scores.
function M.values(run, o, x)
  return (work.once(run, function()
    local part <close> = run.net:run(x, { modifiers = run.modifiers,
                                          keep = o.layer.name })
    return part:activation(o.layer.name):detach():clone()
  end))
end

return M
