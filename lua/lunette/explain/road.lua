---ROAD (Rong et al. 2022): how the score changes when shares of the pixels are removed
---and filled in smoothly.
local asking = require "lunette.explain.asking"
local core = require "lunette.core"
local impute = require "lunette.explain.impute"

local M = {}


---How many pixels are at or above numpy's percentile p of n different values.
local function above(p, n) return n - math.ceil(p / 100 * (n - 1) - 1e-9) end


---Masks of what is removed, one a percentile: of equal values the first.
---@param map lunette.Tensor        (H,W)
---@param percentiles number[]
---@return lunette.Tensor           (P,1,H,W)
function M.removed(map, percentiles)
  local ranks, n = asking.ranks(map), map:size()
  local all = core.zeros(#percentiles, 1, map:dim(1), map:dim(2))
  for k, p in ipairs(percentiles) do
    all[k][1] = ranks:le(math.min(above(p, n), n - 1)) -- one pixel is left
  end
  return all
end


---The score's changes, one a percentile.
---@param map lunette.Tensor   (H,W): the largest go first
---@param case lunette.Case
---@param o table              score, modifiers, batch, percentiles, noise, seed, close
---@return number[]
function M.changes(map, case, o)
  local removed = M.removed(map, o.percentiles)
  local values = asking.scores(case, o, #o.percentiles, function(first, k)
    return impute.linear(asking.picture(case), removed:rows(first, first + k - 1),
                         { noise = o.noise, seed = o.seed + first,
                           close = o.close })
  end)
  local clean = asking.clean(case, o)
  for k, v in ipairs(values) do values[k] = v - clean end
  return values
end


---Most relevant first, least relevant first, and half of what lies between them.
---@return { morf: number, lerf: number, combined: number, morf_curve: number[],
---  lerf_curve: number[] }
function M.of(map, case, o)
  local morf, lerf = M.changes(map, case, o), M.changes(-map, case, o)
  local a, b = asking.mean(morf), asking.mean(lerf)
  return { morf = a, lerf = b, combined = (b - a) / 2, morf_curve = morf,
           lerf_curve = lerf }
end


---@return string?
function M.check_percentiles(list)
  local ok = type(list) == "table" and #list > 0
  for _, p in ipairs(ok and list or {}) do
    ok = ok and type(p) == "number" and p >= 0 and p < 100
  end
  return not ok and "a list of numbers from 0 to below 100" or nil
end

return M
