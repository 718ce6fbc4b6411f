local core = require "lunette.core"
local grids = require "lunette.explain.grids"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local sampling = require "lunette.explain.sampling"


---The median distance between values, of those that differ; 1 where none do.
local function bandwidth(list)
  local all = {}
  for i = 1, #list do
    for j = 1, i - 1 do
      local d = math.abs(list[i] - list[j])
      if d > 0 then all[#all + 1] = d end
    end
  end
  table.sort(all)
  return all[#all // 2 + 1] or 1
end


---H L H (R,R): the Gaussian kernel of the values, rows and columns centred.
local function centred_kernel(values)
  local r, width = values:size(), bandwidth(values:totable())
  local d = (values:view(r, 1) - values:view(1, r)) / width
  local kernel = (d:square() * -0.5):exp()
  local rows = kernel:mean { dims = { 2 }, keepdims = true }
  return kernel - rows - rows:permute { dims = { 2, 1 } } + kernel:mean()
end


---HSIC of each cell with the values: x' L x 2 / (R - 1)^2 for x of 0 and 1, whose own
---kernel is [x = x'].
local function dependence(values, rows)
  local l = centred_kernel(values)
  local each = (rows * core.ops.matmul(l, rows)):sum { dims = { 1 } }
  return (each * (2 / (rows:dim(1) - 1) ^ 2)):totable()
end


---HSIC attribution (Novello et al. 2022): cells of the picture are left out at random;
---what a cell matters is how much the score depends on whether it is there, by the
---Hilbert-Schmidt independence criterion, which sees any dependence, not a linear one
---alone. (N,H,W), never far below 0; `values` in the story has one a cell. With
---`segments` superpixels, or parts of your own, are left out.
---Cost: as many forwards as `designs`, however many cells.
---Caveat: dependence has no sign: cells that speak against the class light up too.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.hsic(run, { cells = 4, designs = 60, modifiers = { "linear" } }))
return method {
  name = "hsic", family = "perturbation",
  draws = "map", flat = "no cell changes the score",
  paper = "Novello et al. 2022, Making sense of dependence",
  options = grids.options {
    designs = opt.count(500, "random pictures", 3),
  },
  keeps = sampling.keeps,
  explain = function(run, o)
    return grids.explain(run, o, "hsic", function(parts)
      return core.uniform(o.seed, 1, o.designs, parts):lt(0.5)
    end, dependence)
  end,
}
