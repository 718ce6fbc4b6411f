---An optimiser's loop over any tensor, pictures or masks: steps that make an objective
---larger.
local optimisers = require "lunette.base.optimisers"
local progress = require "lunette.base.progress"

---@class lunette.Optimisation
---@field x lunette.Tensor      where it begins; not changed
---@field steps integer
---@field gradient fun(x: lunette.Tensor, step: integer): lunette.Tensor, any   of
---  the objective, and its value
---@field step? string          a row of base/optimisers.lua ("adam")
---@field rate? number          (0.05)
---@field project? fun(x: lunette.Tensor): lunette.Tensor   back to what is allowed
---@field watch? fun(x: lunette.Tensor, step: integer, value: any, bar:
---  lunette.Progress)   after the step; what prints clears the bar first
---@field name? string          for the progress bar
---@field progress? any
---@field state? lunette.Tensor[]   moments of an earlier call's last step, changed
---@field done? integer         steps that were made before (0)
---@field kept? table           where a climb stands: { x, state, done }, filled here
---  and, where it is filled already, gone on from

---Where the steps begin.
local function begin(o, step)
  local kept = o.kept or {}
  kept.x = kept.x or o.x:clone()
  kept.state = kept.state or o.state or optimisers.state(step, kept.x)
  kept.done = kept.done or o.done or 0
  return kept
end


---Makes the steps.
---@param o lunette.Optimisation
---@return lunette.Tensor x, any[] trace   the objective before every step
return function(o)
  local step, trace = o.step or "adam", {}
  local row, kept = optimisers.rows[step], begin(o, step)
  local x, state, done = kept.x, kept.state, kept.done
  local bar <close> = progress.start(o.name or "optimising", o.steps - done, o.progress)
  for t = done + 1, o.steps do
    local g, value = o.gradient(x, t)
    trace[t] = value
    row.take(x, -g, state, { rate = o.rate or 0.05, step = t })
    if o.project then x:copy_(o.project(x)) end
    kept.done = t
    if o.watch then o.watch(x, t, value, bar) end
    bar:add(1)
  end
  return x, trace
end
