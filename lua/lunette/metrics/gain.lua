local blame = require "lunette.base.blame"
local covered = require "lunette.explain.covered"
local metric = require("lunette.explain.metric").new


---Average gain (Zhang et al. 2024, "Opti-CAM"): what the probability gains of what it
---lacks, max(0, o - y) / (1 - y), when the picture is multiplied by its map, scaled to
---0 .. 1.
---Caveat: of probabilities alone.
return metric {
  name = "gain", needs = "run", family = "faithfulness", better = "higher",
  title = "gain %", paper = "Zhang et al. 2024, Opti-CAM",
  options = { "score", "modifiers", "batch" },
  value = function(map, case, o)
    local whole, under = covered.scores(map, case, o)
    if whole < 0 or whole > 1 + 1e-6 then
      blame(("gain: a score of %g is no probability; leave `modifiers` out"):format(
            whole))
    end
    return whole < 1 and math.max(0, under - whole) / (1 - whole) or 0
  end,
}
