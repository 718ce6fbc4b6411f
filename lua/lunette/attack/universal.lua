---One perturbation for all pictures (Moosavi-Dezfooli et al. 2017), found by PGD on
---their mean lead instead of picture by picture (Shafahi et al. 2020).
local core = require "lunette.core"

local M = {}


---@param p { net: lunette.Net, space: lunette.LevelSpace, levels: lunette.Tensor,
---  goal: lunette.Goal }
---@param o { eps: number, steps: integer, batch: integer, seed: integer }
---@return lunette.Tensor v   (1,C,H,W), levels from -eps to eps
function M.attack(p, o)
  local shape, n = p.levels:shape(), p.levels:dim(1)
  shape[1] = 1
  local v = core.zeros(shape)
  local size = math.min(o.batch, n)
  for step = 1, o.steps do
    local places = {}
    local u = core.uniform(o.seed, step, size)
    for k = 1, size do places[k] = math.floor(u[k] * n) + 1 end
    local some = p.levels:index_select(core.tensor(places), { dim = 1 })
    local _, g = p.goal:take(places):ask(p.net,
      p.space:input((some + v):clamp(0, 255)), true)
    local mean = p.space:gradient(g):mean { dims = { 1 }, keepdims = 1 }
    -- step sizes that decrease, so that it converges
    local far = o.eps / 4 * (1 - (step - 1) / o.steps) + o.eps / 40
    v = (v - mean:sign() * far):clamp(-o.eps, o.eps)
  end
  return v
end

return M
