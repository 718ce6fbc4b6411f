---The objective of extremal perturbations (Fong et al. 2019): what the network makes of
---a picture seen through smooth masks, less what it costs that a mask's values, sorted,
---are not those of a mask of the wanted area.
local apply = require "lunette.modifiers.apply"
local core = require "lunette.core"
local pyramids = require "lunette.explain.pyramid"
local witness = require "lunette.explain.witness"

local M = {}

local WEIGHT, GROWTH = 300, 1.0035 -- of the area's constraint, and its growth a step


---Areas as a list of shares.
---@param o { area: number|number[] }
---@return number[]
function M.areas(o)
  return type(o.area) == "table" and o.area or { o.area }
end


---The masks' ideal (K,1,H,W): 1 at the largest values of each mask, as many as its area
---asks for, and 0 at all others.
local function wanted(mask, areas)
  local n = mask:size() // #areas
  local want = core.zeros(#areas, n)
  for k, a in ipairs(areas) do
    local order = mask[k]:reshape { n }:argsort() -- the largest first
    local place = order:argsort():flip { dims = { 1 } }
    want[k] = place:le(n - math.floor(n * (1 - a)))
  end
  return want:reshape(mask:shape())
end


---Pictures that a variant shows the network: masked, or their complements, or both.
local views = {
  preserve = function(pyramid, m) return pyramids.seen(pyramid, m) end,
  delete = function(pyramid, m) return pyramids.seen(pyramid, 1 - m) end,
  dual = function(pyramid, m)
    return core.ops.concat(pyramids.seen(pyramid, m), pyramids.seen(pyramid, 1 - m),
                           { dim = 1 })
  end,
}


---The reward's gradient by the pictures that were shown, and the reward of each mask.
local function reward(run, image, x, score, o, forward)
  local part <close> = run.net:run(x, { modifiers = forward })
  witness.note(run, image, { part = part, score = score, modifiers = o.modifiers })
  local g = part:gradient { score = score, modifiers = o.modifiers }
  local values = part:values(score, { modifiers = o.modifiers }):totable()
  local k = #M.areas(o)
  if o.variant == "delete" then g = -g end
  local list = {}
  for i = 1, k do
    list[i] = o.variant == "delete" and -values[i] or values[i]
    if o.variant == "dual" then list[i] = list[i] - values[k + i] end
  end
  if o.variant == "dual" then g:rows(k + 1, 2 * k):mul_(-1) end
  return g, list
end


---The objective of one picture's masks: grids (K,1,rows,columns) and the step (from 1)
---to its gradient there (times `masks.pace`) and the rewards.
---@param run lunette.Run
---@param i integer        the picture
---@param o table          options of the method
---@param score lunette.Score   of that picture
---@param masks lunette.SmoothMasks
---@param kept table   takes the last step's mask (tensor), rewards and areas (lists)
---@return fun(p: lunette.Tensor, t: integer): lunette.Tensor, number[]
function M.objective(run, i, o, score, masks, kept)
  local areas, forward = M.areas(o), apply.forward(o.modifiers, run)
  local pyramid = pyramids.of(run.images:rows(i), o.how, o.levels, o.blur)
  return function(p, t)
    local tape <close> = core.tape()
    local leaf = tape:watch(p)
    local mask, whole = masks.generate(leaf)
    local x = views[o.variant](pyramid, mask)
    local turned = o.flip and t % 2 == 1
    if turned then x = x:flip { dims = { 4 } } end
    local g, rewards = reward(run, i, x:detach(), score, o, forward)
    local m = whole:detach()
    local off = m - (masks.wanted and masks.wanted(p, areas) or wanted(m, areas))
    local weight = WEIGHT * GROWTH ^ (t - 1)
    local pull = off * (-2 * weight / (m:size() // #areas))
    kept.mask, kept.rewards = mask:detach():clone(), rewards
    kept.areas = m:mean { dims = { 2, 3, 4 } }:totable()
    local energy = (x * g):sum() + (whole * pull):sum()
    local up = core.backward(energy, core.ones(energy:shape()), { leaf:node() })[1]
    return masks.pace and up * masks.pace or up, rewards
  end
end

return M
