local blame = require "lunette.base.blame"
local core = require "lunette.core"
local masking = require "lunette.explain.masks"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local perturb = require "lunette.explain.perturb"
local sampling = require "lunette.explain.sampling"
local segments = require "lunette.explain.segments"
local types = require "lunette.base.types"


local function whole_or_pair(v)
  local list = type(v) == "table" and v or { v }
  for _, n in ipairs(list) do
    if not types.is_count(n) then return "a whole number from 1, or {h, w}" end
  end
  return (#list < 1 or #list > 2) and "one number or {h, w}" or nil
end


---What is covered, one after the other: windows, or segments.
local function covers(run, o)
  local _, c, h, w = table.unpack(run.images:shape())
  if not o.segments then
    return masking.windows { height = h, width = w, window = o.window,
                             stride = o.stride, channels = o.channelwise and c or nil }
  end
  if o.channelwise then
    blame "occlusion: channelwise is of windows; segments cover all channels"
  end
  return segments.hidden(o.segments, run)
end


---Masks that are 0 on what is covered, or, to keep it, outside.
local function masks_of(run, o)
  local masks = covers(run, o)
  if not o.keep then return masks end
  return { count = masks.count, get = function(...) return 1 - masks.get(...) end }
end


---Why the map may be the same everywhere.
local function why_flat(run, o)
  local _, _, h, w = table.unpack(run.images:shape())
  local list = type(o.window) == "table" and o.window or { o.window }
  if o.segments or list[1] < h or (list[2] or list[1]) < w then
    return "no window changes the score"
  end
  return ("one window covers the whole picture (%d x %d); a smaller one tells places "
          .. "apart"):format(h, w)
end


---Occlusion (Zeiler & Fergus 2014): how much the score falls when a window of the
---picture is covered by the baseline; where windows overlap, the mean of their falls.
---Signed, (N,H,W); (N,C,H,W) where each channel is covered by itself. With `segments`
---superpixels, or parts of your own, are covered instead of windows; given as masks
---(M,H,W) of 0 and 1 they may overlap, as windows do.
---Caveat: a covered picture is none that the network has seen: part of the fall may be
---  surprise. Compare baselines and windows.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.occlusion(run, { window = 32, stride = 32, modifiers = { "linear" } }))
return method {
  name = "occlusion", family = "perturbation",
  draws = "map", flat = why_flat,
  paper = "Zeiler & Fergus 2014, Visualizing and understanding convolutional networks",
  options = {
    "score", "modifiers", "progress",
    batch = opt.quiet(opt.count(12, "covered pictures at a time")),
    window = opt.any(15, "side of the window, or {h, w}", whole_or_pair),
    stride = opt.any(8, "from one window to the next, or {h, w}", whole_or_pair),
    baseline = opt.baseline("zero", "zero, mean, blur, noise, black, a number, tensor"),
    segments = segments.optional('not windows: "slic:50", labels (tensor, .png, '
      .. ".npy), or masks (M,H,W)"),
    keep = opt.flag(false, "only the window stays: the score itself, not its fall "
      .. "(zennit)"),
    sum = opt.flag(false, "the sum of the falls where windows overlap (PAIR)"),
    channelwise = opt.flag(false, "every channel by itself: (N,C,H,W)"),
  },
  keeps = sampling.keeps,
  explain = function(run, o)
    local n, c, h, w = table.unpack(run.images:shape())
    local planes = o.channelwise and c or 1
    local fall, count = core.zeros(n, planes, h, w), core.zeros(n, planes, h, w)
    local clean = not o.keep and perturb.clean(run, o)
    local masks = masks_of(run, o)
    perturb.each(run, { masks = masks, score = o.score, modifiers = o.modifiers,
      baseline = o.baseline, batch = o.batch, progress = o.progress,
      name = "occlusion" }, function(i, _, m, values)
      local covered = o.keep and m or 1 - m
      local falls = o.keep and values or clean[i] - values
      falls = falls:view(values:size(), 1, 1, 1)
      fall[i]:add_((covered * falls):sum { dims = { 1 } })
      count[i]:add_(covered:sum { dims = { 1 } })
    end)
    local map = o.sum and fall or fall / count:maximum(core.ones(1))
    map = o.channelwise and map or map:view(n, h, w)
    return map, o.segments and { window = false, stride = false } or nil
  end,
}
