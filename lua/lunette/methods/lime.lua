local core = require "lunette.core"
local coalitions = require "lunette.explain.coalitions"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local sampling = require "lunette.explain.sampling"


---Each segment stays with probability 1/2.
local function draw(o, m)
  local rows = core.zeros(o.samples, m)
  for r = 1, o.samples do rows[r] = core.uniform(o.seed, r, m):lt(0.5) end
  return rows
end


---1 - cosine of the picture and every masked one (captum's distance).
local function cosine_distances(x, batch)
  local k, n = batch:dim(1), x:size()
  local flat <close> = batch:view(k, n) -- views keep what they are of
  local one <close> = x:view(1, n)
  local over = { dims = { 2 } }
  local products <close> = flat * one
  local squares <close> = flat:square()
  local own <close> = one:square()
  local dot = products:sum(over)
  local lengths = (squares:sum(over) * own:sum(over)):sqrt()
  local list = {}
  for r = 1, k do
    local below = lengths[r]
    list[r] = below > 0 and 1 - dot[r] / below or 1
  end
  return list
end


local kernels = {
  cosine = function(d, _, width) return math.exp(-d * d / (2 * width * width)) end,
  original = function(_, share, width) -- the authors' own
    local d = 1 - share ^ 0.5
    return math.exp(-d * d / (width * width)) ^ 0.5
  end,
}


local function share_of(row)
  local sum = 0
  for _, v in ipairs(row) do sum = sum + v end
  return sum / #row
end


---LIME (Ribeiro et al. 2016) over segments: the coefficients of a linear model of the
---score, fitted to pictures in which segments are missing, near ones weighing more. The
---story has `values`, `intercept`, `weights`.
---Kernels: "cosine" is captum's, exp(-d^2 / (2 width^2)) of the cosine distance of the
---pictures; "original" the authors', of the share of segments that stay.
---Caveat: fit, kernel and segments are choices that change the answer.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.lime(run, { segments = 3, samples = 30, modifiers = { "linear" } }))
return method {
  name = "lime", family = "perturbation",
  draws = "map", flat = "no segment changes the score",
  paper = "Ribeiro et al. 2016, Why should I trust you?",
  options = coalitions.options {
    "seed",
    samples = opt.count(200, "pictures with segments missing"),
    kernel = opt.choice("cosine", { "cosine", "original" }, "how near a picture is"),
    width = opt.number(1, "of the kernel", 1e-9),
    fit = opt.choice("ridge", { "linear", "ridge", "lasso" }, "how it is fitted"),
    alpha = opt.number(1, "strength of ridge or lasso", 0),
    coalitions = coalitions.given,
  },
  keeps = sampling.keeps,
  explain = function(run, o)
    local labels, m = coalitions.labels(run, o)
    local rows = o.coalitions or draw(o, m)
    local x, weights = coalitions.lists(rows), {}
    for i = 1, run:count() do weights[i] = {} end
    local values = coalitions.values(run, o, labels, rows, "lime",
      function(i, first, _, pictures)
        local seen <close> = pictures()
        for k, d in ipairs(cosine_distances(run.images[i], seen)) do
          local r = first + k - 1
          weights[i][r] = kernels[o.kernel](d, share_of(x[r]), o.width)
        end
      end)
    local map, facts = coalitions.fitted(run, o, labels, rows, values,
      function(i) return weights[i] end, { [o.fit] = o.alpha })
    facts.weights, facts.alpha = weights, o.fit ~= "linear" and o.alpha or false
    return map, facts
  end,
}
