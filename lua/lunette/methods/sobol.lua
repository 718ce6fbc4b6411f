local core = require "lunette.core"
local grids = require "lunette.explain.grids"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local sampling = require "lunette.explain.sampling"


---The designs: A, then for every cell A with that cell's values of B (Saltelli's), a
---row each: (N (d + 1), d).
local function designs(n, d, seed)
  local a, b = core.uniform(seed, 1, n, d), core.uniform(seed, 2, n, d)
  local all = core.zeros(n * (d + 1), d)
  all:rows(1, n):copy_(a)
  for k = 1, d do
    local part = all:rows(k * n + 1, (k + 1) * n)
    part:copy_(a)
    for r = 1, n do part:set(r, k, b:get(r, k)) end
  end
  return all
end


---Jansen's estimate of the total indices: sum (f_A - f_C)^2 / (2 N var f_A).
local function jansen(values, rows)
  local d = rows:dim(2)
  local n = rows:dim(1) // (d + 1)
  local a, found = values:rows(1, n), {}
  local mean = a:mean():item()
  local var = (a - mean):square():mean():item()
  for k = 1, d do
    local c = values:rows(k * n + 1, (k + 1) * n)
    found[k] = var > 0 and (a - c):square():sum():item() / (2 * n * var) or 0
  end
  return found
end


---Sobol attribution (Fel et al. 2021): the picture is dimmed cell by cell at random; a
---cell's total Sobol index is the share of the score's variance that its dimming takes
---part in, alone and together with others. (N,H,W), never negative; `values` in the
---story has one a cell. With `segments` superpixels, or parts of your own, are dimmed.
---Cost: designs x (cells^2 + 1) forwards.
---Caveat: variance has no sign: cells that speak against the class light up as those
---  that speak for it.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.sobol(run, { cells = 3, designs = 8, modifiers = { "linear" } }))
return method {
  name = "sobol", family = "perturbation",
  draws = "map", flat = "dimming changes nothing",
  paper = "Fel et al. 2021, Look at the variance!",
  options = grids.options {
    designs = opt.count(32, "random pictures, and as many for every cell", 2),
  },
  keeps = sampling.keeps,
  explain = function(run, o)
    return grids.explain(run, o, "sobol", function(parts)
      return designs(o.designs, parts, o.seed)
    end, jansen)
  end,
}
