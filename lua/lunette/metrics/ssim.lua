local core = require "lunette.core"
local metric = require("lunette.explain.metric").new
local opt = require("lunette.base.options").opt
local ops = core.ops


---A Gaussian of sum 1: (1,1,side,side).
local function window_of(side, sigma)
  local line, total = {}, 0
  for k = 1, side do
    line[k] = math.exp(-((k - (side + 1) / 2) ^ 2) / (2 * sigma * sigma))
    total = total + line[k]
  end
  local row = core.tensor(line) / total
  return (row:view(side, 1) * row:view(1, side)):view(1, 1, side, side)
end


---Of every window that lies inside: luminance times contrast and structure.
local function local_ssim(a, b, o, range)
  local h, w = a:dim(1), a:dim(2)
  local weight = window_of(o.window, o.sigma)
  local function mean(t) return ops.conv2d(t:view(1, 1, h, w), weight) end
  local ma, mb = mean(a), mean(b)
  local va, vb = mean(a * a) - ma * ma, mean(b * b) - mb * mb
  local vab = mean(a * b) - ma * mb
  local c1, c2 = (0.01 * range) ^ 2, (0.03 * range) ^ 2
  local s = (ma * mb * 2 + c1) * (vab * 2 + c2)
    / ((ma * ma + mb * mb + c1) * (va + vb + c2))
  return s:view(s:dim(3), s:dim(4))
end


---Structural similarity (Wang et al. 2004): the mean over Gaussian windows of how alike
---two maps are in luminance, contrast and structure; 1 for equal ones. Gives the mean,
---one value a map, and the values window by window, (H-10,W-10), which say where the
---maps differ.
---Caveat: depends on the maps' scales: bring them to one first (map:normalize()).
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  print((lu.metrics.ssim(lu.gradcam(run), lu.hirescam(run))))
return metric {
  name = "ssim", needs = "map", title = "SSIM",
  options = {
    window = opt.count(11, "side of a window", 2),
    sigma = opt.number(1.5, "of the Gaussian", 1e-3),
    range = opt.number(0, "what values span; 0: from the smallest to the largest of "
      .. "both", 0),
  },
  value = function(map, other, o)
    if map:dim(1) < o.window or map:dim(2) < o.window then
      error(("ssim: maps of %d x %d are smaller than a window of %d; give { window = }"
        ):format(map:dim(1), map:dim(2), o.window), 0)
    end
    local a, b = map:stats(), other:stats()
    local range = o.range
    if range == 0 then range = math.max(a.max, b.max) - math.min(a.min, b.min) end
    if range == 0 then return 1, 1, core.ones(1, 1) end -- equal everywhere
    local each = local_ssim(map, other, o, range)
    local s = each:mean():item()
    return s, s, each
  end,
}
