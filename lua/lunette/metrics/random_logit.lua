local alike = require "lunette.explain.alike"
local asking = require "lunette.explain.asking"
local core = require "lunette.core"
local metric = require("lunette.explain.metric").new
local opt = require("lunette.base.options").opt
local scores = require "lunette.score"


---The other classes that are asked: the runner-up first, then others at random.
local function others(case, o)
  if o.others and type(o.others) ~= "table" then
    error("random_logit: others is a list of classes, not a " .. type(o.others), 0)
  end
  if o.others then return o.others end
  local ranks = case.run:top(math.maxinteger, case.again.score.output)[case.i]
  local own = require("lunette.score.classes").of(case.again.score, case.run)
  local mine, list, rest = own and own[case.i] or own and own[1], {}, {}
  for _, c in ipairs(ranks) do
    if c.class ~= mine then rest[#rest + 1] = c.class end
  end
  list[1] = table.remove(rest, 1)
  while #list < o.count and #rest > 0 do
    local pick = core.uniform(o.seed, #list, 1)[1]
    list[#list + 1] = table.remove(rest, 1 + math.floor(pick * #rest))
  end
  return list
end


---Random logit (Sixt et al. 2020): how alike the map is to those of other classes, the
---runner-up first, then some at random: 1 for a map that shows what is in the picture,
---whatever was asked. Gives the mean, the likenesses and the classes.
---Caveat: two classes may have one reason; compare with how alike the map is to itself
---  under faint noise (`map:trust()` does).
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  local map = lu.gradcam(run, { modifiers = { "linear" } })
---  print((lu.metrics.random_logit(map, run, { count = 3 })))
return metric {
  name = "random_logit", needs = "method", family = "sanity", better = "lower",
  channels = true, title = "another class",
  paper = "Sixt et al. 2020, When explanations lie",
  options = {
    "score", "modifiers", "seed", "method", "with",
    count = opt.count(9, "other classes, at most all"),
    others = opt.any(false, "a list of classes instead"),
    likeness = opt.choice("ssim", alike.names, "ssim of block means, or a correlation "
      .. "of all values, or of histograms of oriented gradients (hog)"),
  },
  value = function(map, case, o)
    local list, x = {}, asking.picture(case)
    local classes, output = others(case, o), case.again.score.output
    for k, class in ipairs(classes) do
      local score = scores.of(class)
      if output then score = score:on(output) end
      local other = case.again:maps(x, case.i, { score = score })[1]
      list[k] = alike.of(o.likeness, map, other)
    end
    local mean = asking.mean(list)
    return mean, mean, list, classes
  end,
}
