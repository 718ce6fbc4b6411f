local metric = require("lunette.explain.metric").new


---Area under the ROC curve: how likely a pixel of the object has a larger value than
---one beside it, equal values counting half. 1 perfect, 0.5 by chance, 0 inverted; 0.5
---where the mask is empty or full.
---Caveat: all pixels beside the object count alike, however far they are from it.
---Example:
---  local mask = lu.tensor { { 1, 0 }, { 1, 0 } }
---  print((lu.metrics.auc_roc(lu.tensor { { 3, 2 }, { 2, 1 } }, mask))) -- 0.875
return metric {
  name = "auc_roc", needs = "mask", title = "ROC AUC %", family = "mask",
  better = "higher", paper = "Fawcett 2006, An introduction to ROC analysis",
  value = function(map, mask)
    local order, value = map:view(map:size()):argsort()
    local at, v = order:totable(), value:totable()
    local object = mask:view(mask:size()):totable()
    local inside, beside, area, here, there = 0, 0, 0, 0, 0
    for k = 1, #at do -- from the largest down: pixels beside that come after
      if object[math.floor(at[k])] > 0 then here = here + 1 else there = there + 1 end
      if v[k + 1] ~= v[k] then
        area = area + there * (inside + here / 2)
        inside, beside, here, there = inside + here, beside + there, 0, 0
      end
    end
    if inside == 0 or beside == 0 then return 0.5 end
    return area / (inside * beside)
  end,
}
