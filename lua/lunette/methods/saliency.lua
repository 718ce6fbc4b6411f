local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local sampling = require "lunette.explain.sampling"


local function check_modifier(how)
  local ok = how == "abs" or how == "none" or how == false or type(how) == "function"
  return not ok and '"abs", "none" or a function' or nil
end


local function modified(g, how)
  if how == "abs" then
    local signed <close> = g
    return signed:abs()
  end
  return type(how) == "function" and how(g) or g
end


---The mean over noisy copies of the modified gradient (tf-keras-vis: abs before
---averaging). Sigma is a share of each image's range.
local function smooth(run, o)
  local x, sigma = run.images, {}
  local shape = x:shape()
  table.remove(shape, 1)
  for i = 1, run:count() do
    local stats = x[i]:stats()
    sigma[i] = o.smooth_noise * (stats.max - stats.min)
  end
  return sampling.gradients(run, {
    name = "saliency", count = o.smooth_samples, batch = o.batch,
    make = function(i, s)
      return sampling.noise(o.seed, s, shape):mul_(sigma[i]):add_(x[i])
    end,
  }, o, function(g) return modified(g, o.gradient_modifier) end)
    :mul_(1 / o.smooth_samples)
end


---Saliency: the gradient of the score with respect to the picture (Simonyan et al.
---2013), with SmoothGrad (Smilkov et al. 2017) on request.
---Dialects: "tf-keras-vis" |g|, maximum over channels, min-max per image;
---"captum" |g| with all channels, not normalised.
---Caveat: says where a small change would change the score, not what is there;
---  noisy, and saturated scores have almost no gradient: give { modifiers =
---  { "linear" } } for networks that end in a softmax.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.saliency(run, { modifiers = { "linear", "guided" } }))
return method {
  name = "saliency", family = "gradient", draws = "map", measured = true,
  paper = "Simonyan et al. 2013, Deep inside convolutional networks",
  options = {
    "score", "modifiers", "normalize", "progress", "seed", "batch",
    smooth_samples = opt.count(0, "noisy copies (SmoothGrad); 0: none", 0),
    smooth_noise = opt.number(0.20, "sigma as a share of each image's range", 0, 5),
    keepdims = opt.flag(false, "keep the channels: (N,C,H,W)"),
    gradient_modifier = opt.any("abs", '"abs", "none" or a function, before the '
      .. "maximum over channels", check_modifier),
  },
  flags = { smooth_samples = "samples", smooth_noise = "noise" },
  keeps = function(net, o)
    if o.smooth_samples > 0 then return sampling.keeps(net, o) end
    return nil
  end,
  explain = function(run, o)
    if o.raw then o.gradient_modifier = "none" end
    if o.smooth_samples > 0 then return smooth(run, o) end
    local g = run:gradient { score = o.score, modifiers = o.modifiers }
    return modified(g, o.gradient_modifier), { smooth_noise = false, seed = false }
  end,
  finish = {
    ["tf-keras-vis"] = function(g, o)
      if not o.keepdims and #g:shape() > 2 then g = g:max { dims = { 2 } } end
      return o.normalize and g:normalize() or g
    end,
    captum = function(g) return g end,
  },
}
