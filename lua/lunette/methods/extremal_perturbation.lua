local core = require "lunette.core"
local extremal = require "lunette.explain.extremal"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local optimise = require "lunette.explain.optimise"
local progress = require "lunette.base.progress"
local sampling = require "lunette.explain.sampling"
local segment_masks = require "lunette.explain.segment_masks"
local segments = require "lunette.explain.segments"
local smooth_masks = require "lunette.explain.smooth_masks"
local work = require "lunette.explain.work"


local function check_area(v)
  local list = type(v) == "table" and v or { v }
  for _, a in ipairs(list) do
    if type(a) ~= "number" or not (a > 0 and a < 1) then
      return "a share between 0 and 1, or a list of them"
    end
  end
  return #list == 0 and "a share between 0 and 1, or a list of them" or nil
end


---The masks, sizes that were not given settled as shares of the picture's.
local function settle(run, o)
  local h, w = run.images:dim(3), run.images:dim(4)
  local side = math.min(h, w)
  if o.step == 0 then o.step = math.max(1, math.floor(side / 32 + 0.5)) end
  if o.sigma == 0 then o.sigma = 3 * o.step end
  if o.blur == 0 then o.blur = side * 20 / 224 end
  if o.segments then return segment_masks.new(segments.of(o.segments, run), o.step) end
  return smooth_masks.new(h, w, o.step, o.sigma)
end


---Extremal perturbation (Fong et al. 2019): the smooth mask of a given area through
---which the network sees most of the class (`variant` "preserve"), or least through
---its complement ("delete"), or both ("dual"). Beside the mask the picture is blurred,
---or faded to 0. (N,H,W), from 0 to 1: the mask, or with a list of areas the sum of
---theirs. As TorchRay's, with its constants: 800 steps of momentum, rate 0.01, and for
---224 pixels cells of 7, sigma 21, eight steps of blur up to 20; every second step
---mirrored. With `segments` the mask has one number a segment, and no margin.
---The story has the `rewards` and the masks' `areas` at the end.
---Cost: `steps` forwards and backwards of each picture and area.
---Caveat: the area is yours to choose: with one that is too large the mask takes in
---  what does not matter. The mask is found by climbing: it need not be the best one.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.extremal_perturbation(run, { steps = 2, step = 16, sigma = 16,
---                                       modifiers = { "linear" } }))
return method {
  name = "extremal_perturbation", family = "perturbation", draws = "map",
  flat = "no step has changed the mask: give more of them",
  paper = "Fong et al. 2019, Understanding deep networks via extremal perturbations",
  options = {
    "score", "modifiers", "progress",
    area = opt.any(0.1, "share of the picture that the mask takes, or a list of them",
                   check_area),
    variant = opt.choice("preserve", { "preserve", "delete", "dual" },
                         "what is asked of the mask"),
    how = opt.choice("blur", { "blur", "fade" }, "what is left beside the mask"),
    blur = opt.number(0, "sigma of the strongest blur; 0: 20 pixels of 224", 0, 4096),
    levels = opt.count(8, "steps from the strongest to none", 2),
    step = opt.count(0, "pixels a cell of the mask; 0: 7 of 224", 0, 4096),
    sigma = opt.count(0, "pixels: how smooth the mask is; 0: three cells", 0, 4096),
    segments = segments.optional 'not cells: "slic:50", or labels (tensor, .png, .npy)',
    steps = opt.count(800, "of the climb"),
    rate = opt.number(0.01, "size of a step", 0),
    flip = opt.flag(true, "the mirror image in every second step"),
  },
  keeps = sampling.keeps,
  explain = function(run, o)
    local n, h, w = run:count(), run.images:dim(3), run.images:dim(4)
    local loop = work.loop(run, { score = o.score, name = "extremal_perturbation",
                                  alone = true })
    local map = core.zeros(n, h, w)
    local masks = settle(run, o)
    local facts = { rewards = {}, areas = {}, step = not o.segments and o.step or false,
                    sigma = not o.segments and o.sigma or false }
    local bar <close> = progress.start("extremal_perturbation", n * o.steps, o.progress)
    for i = 1, n do
      local known = loop:of(i, function() return { climb = {}, last = {} } end)
      local climb = extremal.objective(run, i, o, loop:take(i)[loop.k], masks,
                                       known.last)
      optimise { x = core.ones(#extremal.areas(o), 1, masks.rows, masks.columns),
        steps = o.steps, rate = o.rate, step = "momentum",
        gradient = loop:measured(climb), kept = known.climb,
        project = function(p) return p:clamp(0, 1) end,
        watch = function() loop:tick() bar:add(1) end, progress = false }
      map[i] = known.last.mask:sum { dims = { 1 } }:view(h, w)
      facts.rewards[i], facts.areas[i] = known.last.rewards, known.last.areas
    end
    return map, facts
  end,
}
