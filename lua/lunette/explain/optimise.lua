---An optimiser's loop over any tensor, pictures or masks: steps that make an objective
---larger.
local core = require "lunette.core"
local progress = require "lunette.base.progress"

---@class lunette.Optimisation
---@field x lunette.Tensor      where it begins; not changed
---@field steps integer
---@field gradient fun(x: lunette.Tensor, step: integer): lunette.Tensor, number   of
---  the objective, and its value
---@field step? "adam"|"sgd"    ("adam")
---@field rate? number          (0.05)
---@field project? fun(x: lunette.Tensor): lunette.Tensor   back to what is allowed
---@field watch? fun(x: lunette.Tensor, step: integer, value: number)
---@field name? string          for the progress bar
---@field progress? any


local takers = {}

---Adam (Kingma & Ba 2014), beta 0.9 and 0.999, epsilon 1e-8.
function takers.adam(x, rate)
  local m, v = core.zeros(x:shape()), core.zeros(x:shape())
  return function(g, t) x:adam_(g, m, v, { rate = rate, step = t }) end
end


---Plain gradient steps.
function takers.sgd(x, rate)
  return function(g) x:add_(g * -rate) end
end


---@param o lunette.Optimisation
---@return lunette.Tensor x, number[] trace   the objective before every step
return function(o)
  local x, trace = o.x:clone(), {}
  local take = takers[o.step or "adam"](x, o.rate or 0.05)
  local bar <close> = progress.start(o.name or "optimising", o.steps, o.progress)
  for t = 1, o.steps do
    local g, value = o.gradient(x, t)
    trace[t] = value
    take(-g, t)
    if o.project then x:copy_(o.project(x)) end
    if o.watch then o.watch(x, t, trace[t]) end
    bar:add(1)
  end
  return x, trace
end
