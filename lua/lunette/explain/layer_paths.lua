---Layers along the path of the picture: options of the methods that average gradients
---there.
local baselines = require "lunette.explain.baselines"
local ceiling = require "lunette.explain.ceiling"
local opt = require("lunette.base.options").opt
local paths = require "lunette.explain.paths"
local work = require "lunette.explain.work"

local M = {}

---Options of all of them.
M.options = {
  "score", "modifiers", "progress", "batch",
  layer = opt.layer("last", "whose units"),
  steps = opt.count(50, "points on the path"),
  rule = opt.choice("gausslegendre", paths.names, "where they lie"),
  baseline = baselines.option,
}


---Copies at a time, of which each has the layer's values `times` times.
---@param o table   options of a method
---@param times integer
---@return integer
function M.batch(o, times) return ceiling.copies(o.batch, o.layer.shape, times) end


---The activations of the layer for pictures x (N,...), made once for all scores.
function M.values(run, o, x)
  return (work.once(run, function()
    local part <close> = run.net:run(x, { modifiers = run.modifiers,
                                          keep = o.layer.name })
    return part:activation(o.layer.name):detach():clone()
  end))
end

return M
