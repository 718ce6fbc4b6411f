local metric = require("lunette.explain.metric").new


---Relevance rank accuracy (Arras et al. 2022, "CLEVR-XAI"): of as many of the largest
---values as the object has pixels, the share that lie on it. Of equal values the upper
---left count first. A mask without a pixel gets 0.
---Caveat: asks for the whole object, also where a part of it tells the class.
return metric {
  name = "relevance_rank", needs = "mask", title = "relevance rank %", family = "mask",
  better = "higher", paper = "Arras et al. 2022, CLEVR-XAI",
  value = function(map, mask)
    local object, inside = mask:view(mask:size()), 0
    local k = math.floor(mask:sum():item() + 0.5)
    if k == 0 then return 0 end
    local order = map:view(map:size()):argsort()
    for n = 1, k do inside = inside + object[math.floor(order[n])] end
    return inside / k
  end,
}
