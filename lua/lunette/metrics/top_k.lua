local metric = require("lunette.explain.metric").new
local opt = require("lunette.base.options").opt


---Top-k intersection (Theiner et al. 2021): the share of the k largest values that lie
---on the object. Of equal values the upper left count first.
---Caveat: where k is more than the object has pixels, 1 cannot be reached.
return metric {
  name = "top_k", needs = "mask", title = "top k inside %", family = "mask",
  better = "higher",
  paper = "Theiner et al. 2021, Interpretable semantic photo geolocation",
  options = { k = opt.count(1000, "how many, at most all") },
  value = function(map, mask, o)
    local k, n = math.min(o.k, map:size()), 0
    local object, order = mask:view(mask:size()), map:view(map:size()):argsort()
    for place = 1, k do n = n + object[math.floor(order[place])] end
    return n / k
  end,
}
