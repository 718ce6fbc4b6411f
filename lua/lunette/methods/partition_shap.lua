local core = require "lunette.core"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local partitions = require "lunette.explain.partitions"
local perturb = require "lunette.explain.perturb"
local sampling = require "lunette.explain.sampling"
local segments = require "lunette.explain.segments"

local ROUND = 8 -- parts that are divided before it is chosen anew: two pictures each


---The open part whose undivided share of the score is largest, of equal ones the first.
local function take_largest(open)
  local best = 1
  for n = 2, #open do
    if open[n].worth > open[best].worth then best = n end
  end
  return table.remove(open, best)
end


---A part in its context: `around` is the coalition that it joins (a linked list of
---nodes by `before`), `without` and `with` are the scores of the coalition without and
---with the part, `weight` is the share of all orders in which it joins just this
---coalition.
local function part(node, around, without, with, weight)
  return { node = node, around = around, without = without, with = with,
           weight = weight, worth = math.abs(with - without) * weight }
end


---The mask of what stays: (1,H,W).
local function mask_of(around, h, w)
  local mask = core.zeros(1, h, w)
  while around do
    around.node.paint(mask, 1)
    around = around.before
  end
  return mask
end


---Halves parts: asks for the scores where either half joins first, and puts both
---halves, each in both contexts, among the open parts.
local function divide(list, ask, open)
  local asked = {}
  for _, p in ipairs(list) do
    asked[#asked + 1] = { node = p.node.left, before = p.around }
    asked[#asked + 1] = { node = p.node.right, before = p.around }
  end
  local values = ask(asked)
  for n, p in ipairs(list) do
    local l, r, half = p.node.left, p.node.right, p.weight / 2
    local left, right = values[2 * n - 1], values[2 * n]
    for _, new in ipairs {
      part(l, p.around, p.without, left, half),
      part(l, asked[2 * n], right, p.with, half),
      part(r, p.around, p.without, right, half),
      part(r, asked[2 * n - 1], left, p.with, half),
    } do
      open[#open + 1] = new
    end
  end
end


---The Owen values of one picture (H,W): every part's, spread evenly over its pixels
---where it is not divided further.
local function values_of(root, ask, evals, h, w)
  local ends = ask { false, { node = root } }
  local open = { part(root, nil, ends[1], ends[2], 1) }
  local map, asked = core.zeros(1, h, w), 2
  while #open > 0 do
    local now = {}
    while #open > 0 and #now < ROUND do
      local p = take_largest(open)
      if asked + 2 <= evals and p.node:split() then
        now[#now + 1], asked = p, asked + 2
      else
        p.node.paint(map, (p.with - p.without) * p.weight / p.node.size)
      end
    end
    if #now > 0 then divide(now, ask, open) end
  end
  return map:view(h, w), asked
end


---How many pictures are looked at until no part can be halved any more, at most
---`evals`: two for each part and context. A half has twice as many contexts as its
---whole.
local function count_of(root, evals)
  local count, parts = 2, { { node = root, contexts = 1 } }
  local n = 0
  while n < #parts and count < evals do
    n = n + 1
    local p = parts[n]
    if p.node:split() then
      count = count + 2 * p.contexts
      parts[#parts + 1] = { node = p.node.left, contexts = 2 * p.contexts }
      parts[#parts + 1] = { node = p.node.right, contexts = 2 * p.contexts }
    end
  end
  return math.min(count, evals)
end


---Partition SHAP (Lundberg's shap; Owen 1977): Owen values of a hierarchy: the picture
---is halved again and again, across its longer side, and of all orders in which pixels
---may join only those count in which each half joins as a whole. The part whose share
---of the score is largest is halved next, until `evals` pictures were looked at.
---(N,H,W), signed; it sums to S(x) - S(baseline). With `segments` the leaves are those:
---halves are of their list, along the longer extent of their centres.
---Caveat: how the picture is halved is a choice that changes the answer; and what was
---  not divided has one value all over.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.partition_shap(run, { evals = 20, modifiers = { "linear" } }))
return method {
  name = "partition_shap", family = "perturbation", draws = "map",
  flat = "no part changes the score",
  paper = "Owen 1977, Values of games with a priori unions; Lundberg & Lee 2017",
  options = {
    "score", "modifiers", "progress",
    evals = opt.count(500, "pictures with parts missing", 2),
    segments = segments.optional('leaves: n: a grid of n x n; "slic:50"; or labels '
      .. "(tensor, .png, .npy); false: halves down to single pixels"),
    baseline = opt.baseline("blur", "what stands where a part is missing"),
    batch = opt.quiet(opt.count(16, "masked pictures at a time")),
  },
  keeps = sampling.keeps,
  explain = function(run, o)
    local n, h, w = run:count(), run.images:dim(3), run.images:dim(4)
    local root = o.segments and partitions.of_labels(segments.of(o.segments, run))
      or partitions.of_pixels(h, w)
    local map, counts = core.zeros(n, h, w), {}
    perturb.ask(run, { score = o.score, modifiers = o.modifiers, baseline = o.baseline,
      batch = o.batch, count = count_of(root, o.evals), name = "partition_shap",
      progress = o.progress },
      function(i, ask)
        map[i], counts[i] = values_of(root, function(list)
          local masks = {}
          for k, around in ipairs(list) do masks[k] = mask_of(around, h, w) end
          return ask(masks)
        end, o.evals, h, w)
      end)
    return map, { asked = counts }
  end,
}
