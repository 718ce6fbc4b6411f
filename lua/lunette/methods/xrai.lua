local core = require "lunette.core"
local integrated = require "lunette.methods.integrated_gradients"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local progress = require "lunette.base.progress"
local sampling = require "lunette.explain.sampling"
local superpixels = require "lunette.explain.superpixels"
local warn = require "lunette.base.warn"

local SCALES = { 50, 100, 150, 250, 500, 1200 } -- PAIR's


---Offsets of a disk.
local function disk(r)
  local list = {}
  for dy = -r, r do
    for dx = -r, r do
      if dy * dy + dx * dx <= r * r then list[#list + 1] = { dy, dx } end
    end
  end
  return list
end


---Sets the pixels of the disk around pixel k (from 1).
local function dilate(set, k, around, h, w)
  local y, x = (k - 1) // w, (k - 1) % w
  for _, d in ipairs(around) do
    local v, u = y + d[1], x + d[2]
    if v >= 0 and v < h and u >= 0 and u < w then set[v * w + u + 1] = true end
  end
end


---The pixels (from 1) of every segment of one label map, lowest number first, each
---dilated by the disk: what lies within needs no disk, its neighbours' reach as far.
local function segments_of(labels, around, list)
  local h, w = labels:dim(1), labels:dim(2)
  local pixels, names, all = {}, {}, labels:reshape { h * w }:totable()
  for k, name in ipairs(all) do
    if not pixels[name] then
      pixels[name] = {}
      names[#names + 1] = name
    end
    pixels[name][k] = true
    local inside = all[k - 1] == name and all[k + 1] == name and all[k - w] == name
      and all[k + w] == name and k % w > 1
    if not inside then dilate(pixels[name], k, around, h, w) end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local segment = {}
    for k in pairs(pixels[name]) do segment[#segment + 1] = k end
    table.sort(segment)
    list[#list + 1] = segment
  end
end


---Those pixels of a segment that nobody has taken, and their mean.
local function rest_of(segment, taken, base)
  local list, sum = {}, 0
  for _, k in ipairs(segment) do
    if not taken[k] then list[#list + 1], sum = k, sum + base[k] end
  end
  return list, #list > 0 and sum / #list or -math.huge
end


local function take(list, value, map, taken, trace)
  for _, k in ipairs(list) do map[k], taken[k] = value, true end
  trace[#trace + 1] = { list, value }
end


---The open segments that still bring enough; and the best of them, of equals the first.
local function still_open(open, new, mean, least)
  local list, best = {}, nil
  for _, n in ipairs(open) do
    if #new[n] >= least then
      list[#list + 1] = n
      if not best or mean[n] > mean[best] then best = n end
    end
  end
  return list, best
end


---The segments of every pixel.
local function owners_of(segments)
  local owners = {}
  for n, s in ipairs(segments) do
    for _, k in ipairs(s) do
      owners[k] = owners[k] or {}
      table.insert(owners[k], n)
    end
  end
  return owners
end


---Again and again the segment with the highest mean over its new pixels.
local function full(segments, base, least, map, trace)
  local taken, open, new, mean = {}, {}, {}, {}
  local owners = owners_of(segments)
  for n, s in ipairs(segments) do
    open[n] = n
    new[n], mean[n] = rest_of(s, taken, base)
  end
  while true do
    local best
    open, best = still_open(open, new, mean, math.max(least, 1))
    if not best then return taken end
    take(new[best], mean[best], map, taken, trace)
    local touched = {}
    for _, k in ipairs(new[best]) do
      for _, n in ipairs(owners[k]) do touched[n] = true end
    end
    for n in pairs(touched) do new[n], mean[n] = rest_of(new[n], taken, base) end
  end
end


---Segments in the order of their own means, once.
local function fast(segments, base, least, map, trace)
  local order, own, taken = {}, {}, {}
  for n, s in ipairs(segments) do
    order[n] = n
    local _, mean = rest_of(s, taken, base)
    own[n] = mean
  end
  table.sort(order, function(a, b)
    if own[a] ~= own[b] then return own[a] > own[b] end
    return a < b
  end)
  for _, n in ipairs(order) do
    local list, mean = rest_of(segments[n], taken, base)
    if #list >= least then take(list, mean, map, taken, trace) end
  end
  return taken
end


---The map of one image, and the ranks of its segments.
local function ranked(base, labels, o, h, w)
  local segments, around = {}, disk(o.dilate)
  for s = 1, labels:dim(1) do segments_of(labels[s], around, segments) end
  local map, trace, left = {}, {}, {}
  local walk = o.mode == "fast" and fast or full
  local taken = walk(segments, base, o.min_diff, map, trace)
  for k = 1, h * w do left[k] = k end
  local rest, mean = rest_of(left, taken, base)
  for n, t in ipairs(trace) do t[3] = n end
  table.sort(trace, function(a, b)
    if a[2] ~= b[2] then return a[2] > b[2] end
    return a[3] < b[3]
  end)
  if #rest > 0 then take(rest, mean, map, taken, trace) end
  local rank = {}
  for n, t in ipairs(trace) do
    for _, k in ipairs(t[1]) do rank[k] = n end
  end
  return core.tensor(o.rank and rank or map):view(h, w), #trace
end


---Integrated gradients from the darkest and the brightest constant picture, averaged.
local function base_of(run, o)
  local total
  for k, end_ in ipairs { "min", "max" } do
    local map = warn.during(false, integrated, run, {
      score = o.score, modifiers = o.modifiers,
      steps = o.steps, rule = o.rule, progress = progress.part(o.progress, k, 2),
      batch = o.batch, baseline = function(x)
        local b = core.zeros(x:shape())
        for i = 1, x:dim(1) do b[i]:fill_(x[i]:stats()[end_]) end
        return b
      end })
    total = total and (total + map) / 2 or map
  end
  return total
end


---Labels (S,H,W) of image i.
local function labels_of(run, o, i)
  if o.labels then
    if o.labels:dim() == 2 then
      return o.labels:view(1, o.labels:dim(1), o.labels:dim(2))
    end
    return o.labels:dim() == 4 and o.labels[i] or o.labels
  end
  local h, w = run.images:dim(3), run.images:dim(4)
  -- PAIR's scales and sizes are of 224 x 224
  local share = h * w / (224 * 224)
  local least = math.max(4, math.floor(150 * share))
  local list = superpixels.felzenszwalb(superpixels.picture(run, i), SCALES, 0.8, least)
  local all = core.zeros(#list, h, w)
  for s, labels in ipairs(list) do all[s] = labels end
  return all
end


---XRAI (Kapishnikov et al. 2019): regions instead of pixels: segments of the picture at
---six scales (Felzenszwalb's graph) are taken one by one, that with the highest mean
---attribution over its new pixels first, and every pixel gets that mean. The
---attribution is integrated gradients, averaged over a black and a white baseline, the
---maximum over channels (or `base`, of your own). Signed, (N,H,W).
---Modes: "full" chooses anew after every segment, "fast" sorts them once by their
---means.
---Dialects: none; the numbers are PAIR's, given its segments: { dilate = 5,
---min_diff = 50, rule = "linspace" }; here the ties of constant pictures, which that
---rule begins with, are kept out by "riemann_middle".
---Caveat: sees no finer than its segments, and the best segment's whole area lights up.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.xrai(run, { steps = 4, min_diff = 10, dilate = 1, modifiers = { "linear" }
---  }))
return method {
  name = "xrai", family = "path",
  draws = "map", flat = "the picture is one segment, or no gradient "
    .. "reaches it",
  paper = "Kapishnikov et al. 2019, XRAI: better attributions through regions",
  options = {
    "score", "modifiers", "progress", "batch",
    mode = opt.choice("full", { "full", "fast" }, "chosen anew, or sorted once"),
    steps = opt.count(50, "points on each path"),
    rule = opt.choice("riemann_middle", require("lunette.explain.paths").names,
                      "where they lie"),
    min_diff = opt.count(50, "new pixels that a segment must bring", 0),
    dilate = opt.count(5, "pixels by which segments grow", 0),
    labels = opt.tensor("(H,W), (S,H,W) or (N,S,H,W)", "segments of your own"),
    base = opt.tensor("(N,H,W) or (N,C,H,W)", "an attribution of your own"),
    rank = opt.flag(false, "the segments' ranks, from 1, not their means"),
  },
  keeps = sampling.keeps,
  explain = function(run, o)
    local n, h, w = run:count(), run.images:dim(3), run.images:dim(4)
    local base, map, counts = o.base or base_of(run, o), core.zeros(n, h, w), {}
    if base:dim() == 4 then base = base:max { dims = { 2 } } end
    for i = 1, n do
      local values = base[i]:reshape { h * w }:totable()
      map[i], counts[i] = ranked(values, labels_of(run, o, i), o, h, w)
    end
    return map, { segments = counts, labels = false, base = o.base and "given" or nil }
  end,
}
