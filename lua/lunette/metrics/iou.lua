local metric = require("lunette.explain.metric").new


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
---reports it: Choe et al. 2020, MaxBoxAcc's search, here with masks and exact). Gives
---the mean, and for each map the union and the threshold: the object is map >= it.
return metric {
  name = "iou", needs = "mask", title = "best IoU %", family = "mask",
  better = "higher",
  paper = "Choe et al. 2020, Evaluating weakly supervised object localization methods",
  value = function(map, mask)
    local order, values = map:view(map:size()):argsort()
    local best, threshold = best_cut(values:totable(), order:totable(),
      mask:view(mask:size()):totable(), mask:sum():item())
    return best, best, threshold
  end,
}
