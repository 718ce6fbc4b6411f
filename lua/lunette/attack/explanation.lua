---Attack on an explanation: changes the map and keeps the label. Random search over
---squares (Andriushchenko et al. 2020, who attack labels): a square's values move by
---eps up or down, and stay there if the map becomes less similar. Works for any method,
---with or without gradients.
local alike = require "lunette.explain.alike"
local core = require "lunette.core"

local M = {}


---New signs for a square, as a picture (C,H,W) that is 0 elsewhere: one for each
---channel, or at every second step one for each value.
local function square(shape, side, eps, seed, step)
  local c, h, w = shape[2], shape[3], shape[4]
  local u = core.uniform(seed, step, 2 + c)
  local y = 1 + math.floor(u[1] * (h - side + 1))
  local x = 1 + math.floor(u[2] * (w - side + 1))
  local change, mask = core.zeros(c, h, w), core.zeros(1, h, w)
  mask[1]:paste_(core.ones(side, side), y, x)
  for k = 1, c do
    local signs = core.full(u[2 + k] < 0.5 and -1 or 1, side, side)
    if step % 2 == 0 then
      signs = core.uniform(seed, (step << 8) + k, side, side):lt(0.5) * 2 - 1
    end
    change[k]:paste_(signs * eps, y, x)
  end
  return change, mask
end


---The class that the network names.
local function label_of(p, levels)
  local run <close> = p.net:run(p.space:input(levels), { modifiers = p.modifiers })
  return run.output:detach()[1]:argmax() - 1
end


---The similarity of the map of `levels` to the first one.
local function likeness(p, levels)
  local run <close> = p.net:run(p.space:input(levels))
  local map = p.explain(run, { score = p.class })
  return alike.of("ssim", p.first, alike.plane(map[1]:detach()))
end


---The side of the step's square: large at first, then smaller.
local function side_of(step, steps, least)
  return math.max(2, math.floor(least * (0.5 * (1 - (step - 1) / steps) + 0.05)))
end


---Attacks one picture: the least similar map that was found with the same label, and
---the similarity under random signs, as the control.
---@param p { net: lunette.Net, space: lunette.LevelSpace, levels: lunette.Tensor,
---  class: integer, explain: function, modifiers: lunette.Modifier[], first:
---  lunette.Tensor }   levels (1,C,H,W); first: the picture's map (H,W)
---@param o { eps: number, steps: integer, seed: integer }
---@return { levels: lunette.Tensor, likeness: number, noise: number }
function M.attack(p, o)
  local shape = p.levels:shape()
  local noise = (core.uniform(o.seed, 0, shape):lt(0.5) * 2 - 1) * o.eps
  local noisy = (p.levels + noise):clamp(0, 255)
  local kept = likeness(p, noisy)
  local d, best = core.zeros(shape), 1
  if label_of(p, noisy) == p.class then d, best = noise, kept end
  for step = 1, o.steps do
    local side = side_of(step, o.steps, math.min(shape[3], shape[4]))
    local change, mask = square(shape, side, o.eps, o.seed, step)
    local try = core.zeros(shape)
    try[1] = d[1] * (1 - mask) + change
    local now = (p.levels + try):clamp(0, 255)
    if label_of(p, now) == p.class then
      local like = likeness(p, now)
      if like < best then d, best = try, like end
    end
    collectgarbage "step"
  end
  return { levels = (p.levels + d):clamp(0, 255), likeness = best, noise = kept }
end

return M
