---How an optimiser takes a step: rows that say what they keep of a tensor, and a
---function that moves it against the gradient of a loss. Training and everything that
---climbs (`explain/optimise.lua`) take the same ones.
local core = require "lunette.core"

---@class lunette.Stepper
---@field keeps string[]   names of the tensors that it keeps of each x
---@field take fun(x: lunette.Tensor, g: lunette.Tensor, kept: lunette.Tensor[],
---  o: { rate: number, step: integer })   o.step counts from 1; a row may know more

---@type table<string, lunette.Stepper>
local M = {}


---Adam (Kingma & Ba 2015), with decoupled weight decay (Loshchilov & Hutter 2019):
---beta1 0.9, beta2 0.999, eps 1e-8, decay 0, scale (of the gradient) 1.
M.adam = { keeps = { "m", "v" }, take = function(x, g, kept, o)
  x:adam_(g, kept[1], kept[2], o)
end }


---Gradient descent with momentum (Polyak 1964, as PyTorch writes it): v = momentum v +
---scale g + decay x, x = x - rate v; momentum 0, decay 0, scale 1.
M.sgd = { keeps = { "v" }, take = function(x, g, kept, o)
  x:sgd_(g, kept[1], { rate = o.rate, momentum = o.momentum, decay = o.decay,
                       scale = o.scale })
end }


---m and v of Adam, not corrected for their beginning at 0.
local function moments(g, kept)
  kept[1]:mul_(0.9):add_(g, 0.1)
  kept[2]:mul_(0.999):add_(g:square(), 0.001)
end


---Adam as Keras writes it: the correction is in the rate, epsilon 1e-7 beside the
---uncorrected root.
M.adam_keras = { keeps = { "m", "v" }, take = function(x, g, kept, o)
  moments(g, kept)
  local rate = o.rate * math.sqrt(1 - 0.999 ^ o.step) / (1 - 0.9 ^ o.step)
  x:add_(kept[1] / (kept[2]:sqrt() + 1e-7), -rate)
end }


---Adam with Nesterov's look ahead (Dozat 2016).
M.nadam = { keeps = { "m", "v" }, take = function(x, g, kept, o)
  moments(g, kept)
  local t = o.step
  local ahead = kept[1] * (0.9 / (1 - 0.9 ^ (t + 1))) + g * (0.1 / (1 - 0.9 ^ t))
  x:add_(ahead / ((kept[2] * (1 / (1 - 0.999 ^ t))):sqrt() + 1e-7), -o.rate)
end }


---RMSprop: x moves by g over the root of a running mean v of g^2.
---@param rho number        what v keeps of itself in a step
---@param inside boolean    g / sqrt(v + 1e-7), else g / (sqrt(v) + 1e-7)
local function rmsprop(rho, inside)
  return { keeps = { "v" }, take = function(x, g, kept, o)
    local v = kept[1]:mul_(rho):add_(g:square(), 1 - rho)
    x:add_(g / (inside and (v + 1e-7):sqrt() or v:sqrt() + 1e-7), -o.rate)
  end }
end

---RMSprop, rho 0.999, as Keras 3 writes it.
M.rmsprop = rmsprop(0.999, true)

---RMSprop, rho 0.999, as Keras 2 and torch write it.
M.rmsprop_outside = rmsprop(0.999, false)

---RMSprop of keras-vis, rho 0.95.
M.rmsprop_95 = rmsprop(0.95, true)


---Momentum 0.9 with dampening 0.9: steps along the running mean of gradients, which
---begins with the first one (torch's SGD).
M.momentum = { keeps = { "v" }, take = function(x, g, kept, o)
  if o.step == 1 then kept[1]:copy_(g) else kept[1]:mul_(0.9):add_(g, 0.1) end
  x:add_(kept[1], -o.rate)
end }


---What an optimiser keeps of a tensor like x before its first step: zeros.
---@param name string
---@param x lunette.Tensor
---@return lunette.Tensor[]
local function state(name, x)
  local list = {}
  for i = 1, #M[name].keeps do list[i] = core.zeros(x:shape()) end
  return list
end

return { rows = M, state = state }
