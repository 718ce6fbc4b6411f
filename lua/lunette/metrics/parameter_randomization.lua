local alike = require "lunette.explain.alike"
local asking = require "lunette.explain.asking"
local blame = require "lunette.base.blame"
local copies = require "lunette.explain.copies"
local core = require "lunette.core"
local metric = require("lunette.explain.metric").new
local opt = require("lunette.base.options").opt


---Networks to ask, in order: { layer that is the last to be drawn anew, network }.
local function networks(net, o)
  local names, k = o.layers or copies.weighted(net), 0
  if type(names) ~= "table" then
    blame("parameter_randomization: layers is a list of names, got " .. type(names))
  end
  if o.how == "together" then names = { names } end
  if o.how == "given" then names = { "given" } end
  if o.how == "given" and type(o.params) ~= "table" then
    blame('parameter_randomization: how = "given" wants `params`, tensors by name')
  end
  return function()
    k = k + 1
    if not names[k] then return nil end
    if o.how == "given" then
      local other = copies.copy(net)
      for name, value in pairs(o.params) do other.params[name] = value end
      return "given", other
    end
    if o.how == "together" then
      return table.concat(names[k], " "), copies.redraw(copies.copy(net), names[k],
                                                        o.seed)
    end
    if o.how == "independent" then
      return names[k], copies.redraw(copies.copy(net), { names[k] }, o.seed)
    end
    return names[k], copies.random_top(net, names, k, o.seed)
  end
end


---The map of a network: its mean over noisy copies of the picture where that is asked
---for.
local function map_of(case, o, net)
  local x = asking.picture(case)
  if o.smooth == 0 then return case.again:maps(x, case.i, { net = net })[1]:clone() end
  local s, total = x:stats(), nil
  local shape = { table.unpack(x:shape(), 2) }
  case.again:each(case.i, o.smooth, o.batch, function(first, k)
    local batch = core.zeros(k, table.unpack(shape))
    for n = 1, k do
      batch[n] = x[1] + core.normal(o.seed, first + n - 1, shape)
        * (o.noise * (s.max - s.min))
    end
    return batch
  end, function(_, map)
    total = total and total:add_(map) or map:clone()
  end, { net = net })
  return total * (1 / o.smooth)
end


---Model parameter randomisation (Adebayo et al. 2018): weights are drawn anew, from the
---output down (`cascading`) or one layer at a time (`independent`), and the map is
---compared with that of the trained network: 1 for a map that does not depend on the
---weights. Gives the mean over the layers, the likenesses and the layers' names. New
---weights are normal with the layer's own root mean square; batch norms stay. `smooth`
---averages every map over noisy copies first (smooth MPRT, Hedstroem et al. 2024).
---Caveat: can reject a method (an edge detector keeps its map), not rank those that
---  pass (Binder et al. 2023): noise passes best.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  local map = lu.saliency(run, { modifiers = { "guided" } })
---  local mean, _, each, names = lu.metrics.parameter_randomization(map, run)
---  print(names[1][1], each[1][1]) -- guided saliency does not ask the last layer
return metric {
  name = "parameter_randomization", needs = "method", family = "sanity",
  better = "lower", channels = true, title = "weights redrawn",
  paper = "Adebayo et al. 2018, Sanity checks for saliency maps",
  options = {
    "score", "modifiers", "batch", "seed", "method", "with",
    how = opt.choice("cascading", { "cascading", "independent", "together", "given" },
      "layers from the output down to this one, this one alone, all, or `params`"),
    layers = opt.any(false, "a list of layers' names, instead of all with weights"),
    params = opt.any(false, "of your own by name, with how = \"given\""),
    likeness = opt.choice("ssim", alike.names, "ssim of block means, or a correlation "
      .. "of all values, or of histograms of oriented gradients (hog)"),
    abs = opt.flag(true, "compares the values' sizes"),
    smooth = opt.count(0, "noisy copies whose maps are averaged first; 0: none", 0),
    noise = opt.number(0.1, "their deviation, as a share of the picture's range", 0),
  },
  value = function(map, case, o)
    local own = o.smooth > 0 and map_of(case, o, case.run.net) or map
    if o.abs then own = own:abs() end
    local names, list = {}, {}
    for name, net in networks(case.run.net, o) do
      local other = map_of(case, o, net)
      if o.abs then other = other:abs() end
      names[#names + 1] = name
      list[#list + 1] = alike.of(o.likeness, own, other)
      collectgarbage()
    end
    local mean = asking.mean(list)
    return mean, mean, list, names
  end,
}
