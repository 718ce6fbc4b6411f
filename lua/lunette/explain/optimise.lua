---An optimiser's loop over any tensor, pictures or masks: steps that make an objective
---larger.
local core = require "lunette.core"
local progress = require "lunette.base.progress"

---@class lunette.Optimisation
---@field x lunette.Tensor      where it begins; not changed
---@field steps integer
---@field gradient fun(x: lunette.Tensor, step: integer): lunette.Tensor, any   of
---  the objective, and its value
---@field step? string          a key of `optimise.takers` ("adam")
---@field rate? number          (0.05)
---@field project? fun(x: lunette.Tensor): lunette.Tensor   back to what is allowed
---@field watch? fun(x: lunette.Tensor, step: integer, value: any, bar:
---  lunette.Progress)   after the step; what prints clears the bar first
---@field name? string          for the progress bar
---@field progress? any
---@field state? lunette.Tensor[]   moments of an earlier call's last step, changed
---@field done? integer         steps that were made before (0)

local M = {}


---How a step is taken: what the optimiser keeps besides x, and
---f(x, g, state, rate, t), which moves x against the gradient g of a loss.
---@type table<string, { keeps: integer, take: function }>
M.takers = {}


---Adam (Kingma & Ba 2014), beta 0.9 and 0.999, epsilon 1e-8.
M.takers.adam = { keeps = 2, take = function(x, g, s, rate, t)
  x:adam_(g, s[1], s[2], { rate = rate, step = t })
end }


---Moments of Adam: m and v, uncorrected.
local function moments(g, s)
  s[1]:mul_(0.9):add_(g, 0.1)
  s[2]:mul_(0.999):add_(g:square(), 0.001)
end


---Adam as Keras writes it: the correction is in the rate, epsilon 1e-7 beside the
---uncorrected root.
M.takers.adam_keras = { keeps = 2, take = function(x, g, s, rate, t)
  moments(g, s)
  local step = rate * math.sqrt(1 - 0.999 ^ t) / (1 - 0.9 ^ t)
  x:add_(s[1] / (s[2]:sqrt() + 1e-7), -step)
end }


---Adam with Nesterov's look ahead (Dozat 2016).
M.takers.nadam = { keeps = 2, take = function(x, g, s, rate, t)
  moments(g, s)
  local ahead = s[1] * (0.9 / (1 - 0.9 ^ (t + 1))) + g * (0.1 / (1 - 0.9 ^ t))
  x:add_(ahead / ((s[2] * (1 / (1 - 0.999 ^ t))):sqrt() + 1e-7), -rate)
end }


---RMSprop, rho 0.999, as Keras 3 writes it: g / sqrt(v + 1e-7).
M.takers.rmsprop = { keeps = 1, take = function(x, g, s, rate)
  s[1]:mul_(0.999):add_(g:square(), 0.001)
  x:add_(g / (s[1] + 1e-7):sqrt(), -rate)
end }


---RMSprop as Keras 2 and torch write it: g / (sqrt(v) + 1e-7).
M.takers.rmsprop_outside = { keeps = 1, take = function(x, g, s, rate)
  s[1]:mul_(0.999):add_(g:square(), 0.001)
  x:add_(g / (s[1]:sqrt() + 1e-7), -rate)
end }


---RMSprop of keras-vis: rho 0.95.
M.takers.rmsprop_95 = { keeps = 1, take = function(x, g, s, rate)
  s[1]:mul_(0.95):add_(g:square(), 0.05)
  x:add_(g / (s[1] + 1e-7):sqrt(), -rate)
end }


---Plain gradient steps.
M.takers.sgd = { keeps = 0, take = function(x, g, _, rate) x:add_(g, -rate) end }


---Momentum 0.9 with dampening 0.9: steps along the running mean of gradients, which
---begins with the first one (torch's SGD).
M.takers.momentum = { keeps = 1, take = function(x, g, s, rate, t)
  if t == 1 then s[1]:copy_(g) else s[1]:mul_(0.9):add_(g, 0.1) end
  x:add_(s[1], -rate)
end }


---What an optimiser keeps of a tensor like x before its first step.
---@return lunette.Tensor[]
function M.state(step, x)
  local list = {}
  for i = 1, M.takers[step].keeps do list[i] = core.zeros(x:shape()) end
  return list
end


---Makes the steps.
---@param o lunette.Optimisation
---@return lunette.Tensor x, any[] trace   the objective before every step
function M.run(o)
  local x, trace = o.x:clone(), {}
  local step, done = o.step or "adam", o.done or 0
  local taker, state = M.takers[step], o.state or M.state(step, x)
  local bar <close> = progress.start(o.name or "optimising", o.steps - done, o.progress)
  for t = done + 1, o.steps do
    local g, value = o.gradient(x, t)
    trace[t] = value
    taker.take(x, -g, state, o.rate or 0.05, t)
    if o.project then x:copy_(o.project(x)) end
    if o.watch then o.watch(x, t, value, bar) end
    bar:add(1)
  end
  return x, trace
end

return setmetatable(M, { __call = function(_, o) return M.run(o) end })
