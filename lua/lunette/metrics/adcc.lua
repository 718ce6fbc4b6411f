local covered = require "lunette.explain.covered"
local metric = require("lunette.explain.metric").new


---ADCC (Poppi et al. 2021): the harmonic mean of coherency (how far the map of the
---picture under its map is like the map: (1 + Pearson) / 2), of 1 - complexity (the
---scaled map's mean) and of 1 - average drop. Gives also the three.
---Caveat: three things in one number; the parts say more.
return metric {
  name = "adcc", needs = "method", family = "faithfulness", better = "higher",
  title = "ADCC",
  paper = "Poppi et al. 2021, Revisiting the evaluation of class activation mapping",
  options = { "score", "modifiers", "batch", "method", "with" },
  value = function(map, case, o)
    local drop = covered.drop(covered.scores(map, case, o))
    local coherency = covered.coherency(map, case)
    local complexity = covered.scaled(map):mean():item()
    local all = covered.harmonic { coherency, 1 - complexity, 1 - drop }
    return all, all, coherency, complexity, drop
  end,
}
