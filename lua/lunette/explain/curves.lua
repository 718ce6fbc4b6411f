---Curves of a score while pixels go, or come, in the order of a map.
local core = require "lunette.core"
local opt = require("lunette.base.options").opt
local perturb = require "lunette.explain.perturb"

local M = {}

---Options of metrics that draw such curves.
M.options = {
  score = opt.score("predicted", "class id or name, predicted, or a score"),
  modifiers = opt.any({}, "linear: the logit instead of the probability"),
  baseline = opt.baseline("zero", "what stands where pixels are gone"),
  steps = opt.count(100, "of the curve"),
  batch = opt.quiet(opt.count(16, "pictures at a time")),
}


---The place of every pixel in the order of the map, from 1: the largest value first,
---of equal ones the upper left.
---@param map lunette.Tensor   (H,W)
---@return lunette.Tensor      (H,W)
function M.ranks(map)
  local order = map:view(map:size()):argsort()
  local ranks = {}
  for place, at in ipairs(order:totable()) do ranks[math.floor(at)] = place end
  return core.tensor(ranks):view(map:dim(1), map:dim(2))
end


---The score with 0, 1 ... steps parts of the pixels changed, first ones first.
---@param map lunette.Tensor   (H,W)
---@param case { run: lunette.Run, i: integer }
---@param o table              options
---@param comes boolean        pixels come: from the baseline to the picture
---@return number area, number[] curve   steps + 1 values; the area is their mean, ends
---  counting half
function M.curve(map, case, o, comes)
  local ranks, h, w = M.ranks(map), map:dim(1), map:dim(2)
  local part = -(-(h * w) // o.steps)
  local masks = { count = o.steps + 1, get = function(first, k)
    local all = core.zeros(k, 1, h, w)
    for n = 1, k do
      local gone = (first + n - 2) * part
      all[n][1] = comes and ranks:le(gone) or ranks:gt(gone)
    end
    return all
  end }
  local curve = core.zeros(o.steps + 1)
  perturb.each(case.run, { masks = masks, score = o.score, modifiers = o.modifiers,
    baseline = o.baseline, batch = o.batch, only = case.i },
    function(_, first, _, values)
      curve:rows(first, first + values:size() - 1):copy_(values)
    end)
  curve = curve:totable()
  local area = (curve[1] + curve[#curve]) / 2
  for k = 2, #curve - 1 do area = area + curve[k] end
  return area / o.steps, curve
end

return M
