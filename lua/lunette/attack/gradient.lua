---Attacks along the gradient: one step (FGSM, Goodfellow et al. 2015) and many in a
---ball (PGD, Madry et al. 2018), L-infinity or L2, away from the class or towards
---another.
local core = require "lunette.core"

local M = {}


---The length of every picture's values: (N,1,1,1).
local function lengths(t)
  return t:square():sum { dims = { 2, 3, 4 }, keepdims = 1 }:sqrt()
    :maximum(core.full(1e-12, 1))
end


---By norm: the direction of a step, the projection into the ball, a random start.
local norms = {
  linf = {
    step = function(g) return g:sign() end,
    project = function(d, eps) return d:clamp(-eps, eps) end,
    start = function(shape, eps, seed, stream)
      return (core.uniform(seed, stream, shape) * 2 - 1) * eps
    end,
  },
  l2 = {
    step = function(g) return g / lengths(g) end,
    project = function(d, eps)
      return d * (core.full(eps, 1) / lengths(d)):minimum(core.ones(1))
    end,
    start = function(shape, eps, seed, stream) -- uniform in the ball's volume
      local d = core.normal(seed, stream, shape)
      local n = shape[2] * shape[3] * shape[4]
      local far = core.uniform(seed, stream + (1 << 40), shape[1], 1, 1, 1)
      return d / lengths(d) * far:pow(core.full(1 / n, 1)) * eps
    end,
  },
}


---Keeps, picture by picture, the levels with the smaller value.
local function keep_better(best, levels, values)
  for i, v in ipairs(values) do
    if not best.values[i] or v < best.values[i] then
      best.values[i] = v
      best.levels[i] = levels[i]
    end
  end
end


---One descent from a start.
local function descend(p, o, best, start)
  local norm, d = norms[o.norm], start
  for step = 1, o.steps + 1 do
    local now = (p.levels + d):clamp(0, 255)
    local last = step > o.steps
    local values, g = p.goal:ask(p.net, p.space:input(now), not last)
    keep_better(best, now, values)
    if last then break end
    d = norm.project(d - norm.step(p.space:gradient(g)) * o.step, o.eps)
    d = (p.levels + d):clamp(0, 255) - p.levels
  end
end


---The pictures of the smallest lead that were found within eps.
---@param p { net: lunette.Net, space: lunette.LevelSpace, levels: lunette.Tensor,
---  goal: lunette.Goal }
---@param o { norm: "linf"|"l2", eps: number, step: number, steps: integer,
---  restarts: integer, start: boolean, seed: integer }
---@return lunette.Tensor levels
function M.attack(p, o)
  local shape = p.levels:shape()
  local best = { values = {}, levels = p.levels:clone() }
  for r = 1, o.restarts do
    local start = core.zeros(shape)
    if o.start then
      start = (p.levels + norms[o.norm].start(shape, o.eps, o.seed, r)):clamp(0, 255)
        - p.levels
    end
    descend(p, o, best, start)
  end
  return best.levels
end

M.norms = { "linf", "l2" }

---The length of a difference, picture by picture.
---@param d lunette.Tensor   (N,C,H,W)
---@param norm "linf"|"l2"
---@return number[]
function M.length(d, norm)
  if norm == "l2" then return lengths(d):view(d:dim(1)):totable() end
  return d:abs():max { dims = { 2, 3, 4 } }:view(d:dim(1)):totable()
end

return M
