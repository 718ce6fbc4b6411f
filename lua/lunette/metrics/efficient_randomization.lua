local asking = require "lunette.explain.asking"
local copies = require "lunette.explain.copies"
local core = require "lunette.core"
local metric = require("lunette.explain.metric").new
local opt = require("lunette.base.options").opt


---The entropy of how the values fall into `bins` between two ends.
local function entropy(map, low, high, bins)
  local counts, h, n = {}, 0, map:size()
  local width = (high - low) / bins
  for _, v in ipairs(map:view(n):totable()) do
    local bin = width > 0 and math.min(bins - 1, (v - low) // width) or 0
    counts[bin] = (counts[bin] or 0) + 1
  end
  for _, c in pairs(counts) do h = h - c / n * math.log(c / n) end
  return h
end


---Efficient parameter randomisation (Hedstroem et al. 2024, eMPRT): all weights are
---drawn anew; gives the relative rise of the entropy of the map's histogram, (H' - H) /
---H, and both entropies. Above 0: the trained network's map has an order that the
---random one's has not. An edge detector has 0.
---Caveat: depends on the bins; here `bins` over the range of both maps, each divided by
---  its largest size.
return metric {
  name = "efficient_randomization", needs = "method", family = "sanity",
  better = "higher", channels = true, title = "entropy rise",
  paper = "Hedstroem et al. 2024, Sanity checks revisited",
  options = {
    "score", "modifiers", "batch", "seed", "method", "with",
    bins = opt.count(100, "of the histogram", 2),
  },
  value = function(map, case, o)
    local net = case.run.net
    local names = copies.weighted(net)
    local random = copies.random_top(net, names, #names, o.seed)
    local other = case.again:maps(asking.picture(case), case.i, { net = random })[1]
    local function scaled(t)
      local s = t:stats()
      return t / core.full(math.max(math.abs(s.min), math.abs(s.max), 1e-30), 1)
    end
    map, other = scaled(map), scaled(other)
    local a, b = map:stats(), other:stats()
    local low, high = math.min(a.min, b.min), math.max(a.max, b.max)
    local before = entropy(map, low, high, o.bins)
    local after = entropy(other, low, high, o.bins)
    local rise = (after - before) / math.max(before, 1e-30)
    if before == 0 then rise = after > 0 and 1 or 0 end
    return rise, rise, before, after
  end,
}
