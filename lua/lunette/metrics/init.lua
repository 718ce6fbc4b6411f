---How well a map agrees with the truth: does it lie on the object? All of them take
---maps (N,H,W) or (H,W) and masks of the same shape (over 0.5 is the object), and
---give the mean over the maps and the list of single values.
local core = require "lunette.core"
local options = require "lunette.base.options"

local M = {}


-- maps and masks -----------------------------------------------------------------


local function shape_text(t) return "(" .. table.concat(t:shape(), ",") .. ")" end


---Both as (N,H*W), off any tape.
local function pair(what, map, mask)
  if shape_text(map) ~= shape_text(mask) then
    error(("%s: map is %s, mask is %s"):format(what, shape_text(map),
          shape_text(mask)), 3)
  end
  local nd = map:dim()
  if nd ~= 2 and nd ~= 3 then
    error(("%s: maps are (N,H,W) or (H,W), got %s"):format(what, shape_text(map)), 3)
  end
  local n = nd == 3 and map:dim(1) or 1
  local size = map:size() // n
  local flat = map:detach():view(n, size)
  if not flat:stats().finite then
    error(("%s: the map holds NaN or infinity"):format(what), 3)
  end
  return flat, mask:detach():view(n, size):gt(0.5), n, map:dim(nd)
end


local function mean(list)
  local sum = 0
  for _, v in ipairs(list) do sum = sum + v end
  return sum / #list
end


-- pointing game ------------------------------------------------------------------


---Is any pixel of `mask` (flat, rows of `width`) nearer than `radius` to pixel `at`?
local function near(mask, width, at, radius)
  local height = mask:size() // width
  local row, column = (at - 1) // width, (at - 1) % width
  local y = (core.range(0, height - 1) - row):square():view(height, 1)
  local x = (core.range(0, width - 1) - column):square():view(1, width)
  return ((y + x):lt(radius * radius) * mask:view(height, width)):max():item() > 0
end


---Pointing game (Zhang et al. 2016, "Top-down neural attention by excitation
---backprop"): is the largest value on the object? Of equal ones the first counts.
---@param map lunette.Tensor
---@param mask lunette.Tensor
---@param opts? { tolerance?: number }   pixels: also a hit when the object is nearer
---  than that (0; the paper and TorchRay use 15)
---@return number share, boolean[] hits
function M.pointing(map, mask, opts)
  opts = options.check("pointing", opts, { tolerance = 0 })
  local flat, object, n, width = pair("pointing", map, mask)
  local hits, points = {}, {}
  for i = 1, n do
    local at = flat[i]:argmax()
    hits[i] = object[i][at] > 0
      or (opts.tolerance > 0 and near(object[i], width, at, opts.tolerance))
    points[i] = hits[i] and 1 or 0
  end
  return mean(points), hits
end


-- energy -------------------------------------------------------------------------


---Energy inside (Wang et al. 2020, "Score-CAM", section 4.3): the share of the
---map's sum that lies on the object. Negative values count as 0; a map without any
---positive value has no energy to place and gets 0.
---@param map lunette.Tensor
---@param mask lunette.Tensor
---@return number mean, number[] shares
function M.energy(map, mask)
  local flat, object = pair("energy", map, mask)
  local positive = flat:relu()
  local all = positive:sum { dims = { 2 } }:totable()
  local inside = (positive * object):sum { dims = { 2 } }:totable()
  local shares = {}
  for i, total in ipairs(all) do shares[i] = total > 0 and inside[i] / total or 0 end
  return mean(shares), shares
end


-- intersection over union --------------------------------------------------------


---The best |P and M| / |P or M| over all thresholds, and its threshold: pixels are
---taken from the largest value down, and a cut may lie wherever the value changes.
local function best_cut(values, order, object, total)
  local best, threshold, inside = 0, math.huge, 0
  for k = 1, #order do
    inside = inside + object[math.floor(order[k])]
    if values[k + 1] ~= values[k] then
      local iou = inside / (k + total - inside)
      if iou > best then best, threshold = iou, values[k] end
    end
  end
  return best, threshold
end


---Intersection over union at the best threshold (as weakly supervised localisation
---reports it: Choe et al. 2020, MaxBoxAcc's search, here with masks and exact).
---@param map lunette.Tensor
---@param mask lunette.Tensor
---@return number mean, number[] ious, number[] thresholds   the object is map >= it
function M.iou(map, mask)
  local flat, object, n = pair("iou", map, mask)
  local ious, thresholds = {}, {}
  for i = 1, n do
    local order, values = flat[i]:argsort()
    local inside = object[i]:totable()
    local total = object[i]:sum():item()
    ious[i], thresholds[i] = best_cut(values:totable(), order:totable(), inside, total)
  end
  return mean(ious), ious, thresholds
end

return M
