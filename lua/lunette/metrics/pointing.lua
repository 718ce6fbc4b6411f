local core = require "lunette.core"
local metric = require("lunette.explain.metric").new
local opt = require("lunette.base.options").opt


---Is any pixel of the mask nearer than `radius` to pixel `at` (row-major, from 1)?
local function near(mask, at, radius)
  local height, width = mask:dim(1), mask:dim(2)
  local row, column = (at - 1) // width, (at - 1) % width
  local y = (core.range(0, height - 1) - row):square():view(height, 1)
  local x = (core.range(0, width - 1) - column):square():view(1, width)
  return ((y + x):lt(radius * radius) * mask):max():item() > 0
end


---Pointing game (Zhang et al. 2016, "Top-down neural attention by excitation
---backprop"): is the largest value on the object? Of equal ones the first counts. Gives
---the share of hits, and true or false for each map.
return metric {
  name = "pointing", needs = "mask", title = "pointing %", family = "mask",
  better = "higher", paper = "Zhang et al. 2016, Top-down neural attention",
  options = {
    tolerance = opt.number(0, "pixels: also a hit when the object is nearer than that "
      .. "(the paper and TorchRay use 15)"),
  },
  value = function(map, mask, o)
    local at = map:view(map:size()):argmax()
    local hit = mask:view(mask:size())[at] > 0
      or (o.tolerance > 0 and near(mask, at, o.tolerance))
    return hit and 1 or 0, hit
  end,
}
