---Curves of a score while pixels go, or come, in the order of a map.
local asking = require "lunette.explain.asking"
local opt = require("lunette.base.options").opt

local M = {}

---Options of metrics that draw such curves.
M.options = {
  "score", "modifiers", "batch",
  baseline = opt.baseline("zero", "what stands where pixels are gone"),
  steps = opt.count(100, "of the curve"),
}


---The score with 0, 1 ... steps parts of the pixels changed, first ones first.
---@param map lunette.Tensor   (H,W)
---@param case { run: lunette.Run, i: integer }
---@param o table              options
---@param comes boolean        pixels come: from the baseline to the picture
---@return number area, number[] curve   steps + 1 values; the area is their mean, ends
---  counting half
function M.curve(map, case, o, comes)
  local part = -(-map:size() // o.steps)
  local masks = asking.pieces(asking.ranks(map), part, o.steps, comes)
  -- one end is the picture itself, which needs no pass
  local others = { count = o.steps, get = function(first, k)
    return masks.get(first + (comes and 0 or 1), k)
  end }
  local curve = asking.masked(case, o, others)
  table.insert(curve, comes and o.steps + 1 or 1, asking.clean(case, o))
  return asking.area(curve), curve
end

return M
