local asking = require "lunette.explain.asking"
local metric = require("lunette.explain.metric").new
local opt = require("lunette.base.options").opt
local copies = require "lunette.explain.copies"
local shaken = require "lunette.explain.shaken"


---Input invariance (Kindermans et al. 2017): a constant is added to every value of the
---picture, and the network subtracts it again before its first layer: the same
---function, so the map should be the same. Gives |map' - map| / |map|: 0 for methods
---that ask for gradients alone, not for those that multiply by the picture or go to a
---fixed baseline.
---Caveat: whether a shift of the input should change nothing is a matter of taste;
---  methods with a baseline say so by their baseline.
return metric {
  name = "input_invariance", needs = "method", family = "robustness", better = "lower",
  channels = true, title = "input invariance",
  paper = "Kindermans et al. 2017, The (un)reliability of saliency methods",
  options = {
    "score", "modifiers", "batch", "method", "with",
    shift = opt.number(1, "that is added to the picture as the network takes it"),
  },
  value = function(map, case, o)
    local other = case.again:maps(asking.picture(case) + o.shift, case.i,
      { net = copies.shifted(case.run.net, o.shift) })[1]
    return shaken.length(other - map) / math.max(shaken.length(map), 1e-30)
  end,
}
