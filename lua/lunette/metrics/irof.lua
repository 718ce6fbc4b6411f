local asking = require "lunette.explain.asking"
local metric = require("lunette.explain.metric").new
local opt = require("lunette.base.options").opt
local patches = require "lunette.explain.patches"
local superpixels = require "lunette.explain.superpixels"
local types = require "lunette.base.types"


---IROF, iterative removal of features (Rieger & Hansen 2020): superpixels (SLIC) become
---the mean colour, those of the largest mean first; the area over the curve of score
---over first score, from 0 to 1 where the score only falls. Gives also the curves.
---Caveat: who draws the superpixels decides which maps can be good.
return metric {
  name = "irof", needs = "run", family = "faithfulness", better = "higher",
  title = "IROF",
  paper = "Rieger & Hansen 2020, IROF: a low resource evaluation metric",
  options = {
    "score", "modifiers", "batch",
    segments = opt.count(100, "about how many superpixels"),
    labels = opt.any(false, "(H,W) of your own, whole numbers from 0"),
    baseline = opt.baseline("mean", "what stands where superpixels are gone"),
  },
  value = function(map, case, o)
    local labels = o.labels
      or superpixels.slic(superpixels.picture(case.run, case.i), o.segments)
    if not types.is_tensor(labels) then
      error("irof: labels are a tensor (H,W), not a " .. type(labels), 0)
    end
    if labels:size() ~= map:size() then
      error(("irof: labels are (%s), the map (%s)"):format(
            table.concat(labels:shape(), ","), table.concat(map:shape(), ",")), 0)
    end
    local means = patches.means(map, labels)
    local curve = patches.curve(case, o, labels, means, #means)
    local first = curve[1]
    for k, v in ipairs(curve) do curve[k] = first ~= 0 and v / first or 1 end
    local over = 1 - asking.area(curve)
    return over, over, curve
  end,
}
