---Masks with one number a segment, in the place of smooth ones (smooth_masks.lua).
local core = require "lunette.core"
local masking = require "lunette.explain.masks"

local M = {}


---What numbers p (M) should be for an area of `budget` pixels: 1 for the largest as
---long as they fit, what is left for the next; equal numbers share what is left.
local function wanted(p, pixels, budget)
  local order, want, at = {}, {}, 1
  for k = 1, #p do order[k] = k end
  table.sort(order, function(a, b)
    if p[a] ~= p[b] then return p[a] > p[b] end
    return a < b
  end)
  while at <= #p do
    local last, size = at, 0
    while last <= #p and p[order[last]] == p[order[at]] do
      size = size + pixels[order[last]]
      last = last + 1
    end
    local share = math.min(1, budget / size)
    for n = at, last - 1 do want[order[n]] = share end
    budget, at = math.max(0, budget - size), last
  end
  return want
end


---@param labels lunette.Tensor   (H,W)
---@param cell integer            side, in pixels, of the cell whose pace segments keep
---@return lunette.SmoothMasks    of grids (K,1,1,M); no margin
function M.new(labels, cell)
  local members, h, w = masking.members(labels), labels:dim(1), labels:dim(2)
  local m = members:dim(1)
  local pixels = members:sum { dims = { 2 } }:totable()

  local function spread(p)
    local k = p:dim(1)
    return core.ops.matmul(p:reshape { k, m }, members):reshape { k, 1, h, w }
  end

  return { rows = 1, columns = m,
    pace = cell * cell / core.tensor(pixels):view(1, 1, 1, m),
    generate = function(p)
      local all = spread(p)
      return all, all
    end,
    wanted = function(p, areas)
      local rows = {}
      for k, a in ipairs(areas) do
        rows[k] = wanted(p[k]:view(m):totable(), pixels, a * h * w)
      end
      return spread(core.tensor(rows))
    end }
end

return M
