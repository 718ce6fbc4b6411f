---An adversarial patch (Brown et al. 2017): a square that changes the class wherever it
---lies, optimised by Adam over pictures and places.
local core = require "lunette.core"
local optimise = require "lunette.explain.optimise"

local M = {}


---Pastes a patch (C,s,s) into pictures (k,C,H,W), each at its own place.
---@param levels lunette.Tensor
---@param patch lunette.Tensor
---@param places integer[][]     { row, column } from 1
---@return lunette.Tensor levels, lunette.Tensor mask   (k,1,H,W)
function M.lay(levels, patch, places)
  local out = levels:clone()
  local mask = core.zeros(levels:dim(1), 1, levels:dim(3), levels:dim(4))
  local s = patch:dim(2)
  for k, at in ipairs(places) do
    for c = 1, patch:dim(1) do out[k][c]:paste_(patch[c], at[1], at[2]) end
    mask[k][1]:paste_(core.ones(s, s), at[1], at[2])
  end
  return out, mask
end


---Random places for k patches of a side.
---@param shape integer[]   of the pictures
---@param side integer
---@param seed integer
---@param stream integer
---@return integer[][]
function M.places(shape, side, k, seed, stream)
  local u, list = core.uniform(seed, stream, k, 2), {}
  for n = 1, k do
    list[n] = { 1 + math.floor(u:get(n, 1) * (shape[3] - side + 1)),
                1 + math.floor(u:get(n, 2) * (shape[4] - side + 1)) }
  end
  return list
end


---@param p { net: lunette.Net, space: lunette.LevelSpace, levels: lunette.Tensor,
---  goal: lunette.Goal }
---@param o { side: integer, steps: integer, batch: integer, rate: number,
---  seed: integer }
---@return lunette.Tensor patch   (C,side,side), levels
function M.attack(p, o)
  local n, shape = p.levels:dim(1), p.levels:shape()
  local size = math.min(o.batch, n)
  local function gradient(patch, step)
    local numbers, u = {}, core.uniform(o.seed, 2 * step, size)
    for k = 1, size do numbers[k] = math.floor(u[k] * n) + 1 end
    local some = p.levels:index_select(core.tensor(numbers), { dim = 1 })
    local places = M.places(shape, o.side, size, o.seed, 2 * step + 1)
    local laid = M.lay(some, patch, places)
    local _, g = p.goal:take(numbers):ask(p.net, p.space:input(laid), true)
    g = p.space:gradient(g)
    local sum = core.zeros(patch:shape())
    for k, at in ipairs(places) do
      sum:add_(g[k]:narrow { dim = 2, start = at[1], length = o.side }
        :narrow { dim = 3, start = at[2], length = o.side })
    end
    return -sum
  end
  local first = core.uniform(o.seed, 0, shape[2], o.side, o.side) * 255
  return (optimise { x = first, steps = o.steps, gradient = gradient, rate = o.rate,
    project = function(patch) return patch:clamp(0, 255) end, name = "patch",
    progress = false })
end

return M
