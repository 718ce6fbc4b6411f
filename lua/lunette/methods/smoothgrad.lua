local inner = require "lunette.explain.inner" (function()
  return require "lunette.methods"
end)
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local sampling = require "lunette.explain.sampling"


---Deviation of the noise of every image.
local function sigmas(run, o)
  local list = {}
  for i = 1, run:count() do
    local s = run.images[i]:stats()
    list[i] = o.sigma or o.noise * (s.max - s.min)
  end
  return list
end


---Copy s of image i: the picture and noise, given or drawn.
local function maker(run, o)
  local x, sigma = run.images, sigmas(run, o)
  local shape = x:shape()
  table.remove(shape, 1)
  return function(i, s)
    if o.last_clean and s == o.samples then return x[i] end
    local noise <close> = o.draws and o.draws[s] or sampling.noise(o.seed, s, shape)
    local scaled <close> = noise * sigma[i]
    return scaled + x[i]
  end
end


---SmoothGrad and its kin (Smilkov et al. 2017; Adebayo et al. 2018): any method over
---noisy copies of the picture: the mean of its maps, the mean of their squares, or
---their variance (VarGrad). `of` names the method, `with` its options.
---captum's NoiseTunnel is { sigma = }, tf-keras-vis' noise is a share of the picture's
---range, zennit's last copy has no noise (last_clean).
---Caveat: a smooth map is not a truer one: what the method is blind to stays unseen.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.smoothgrad(run, { of = "input_x_gradient", samples = 4,
---                            modifiers = { "linear" } }))
return method {
  name = "smoothgrad", family = "gradient", draws = "map", within = inner.within,
  paper = "Smilkov et al. 2017, SmoothGrad: removing noise by adding noise",
  options = {
    "score", "modifiers", "progress", "seed", "batch",
    of = inner.option, with = inner.with,
    how = opt.choice("mean", { "mean", "mean_square", "variance" }, "what is kept"),
    samples = opt.count(25, "noisy copies"),
    noise = opt.number(0.15, "sigma as a share of each image's range", 0, 5),
    sigma = opt.maybe(opt.number(0, "sigma itself", 0)),
    draws = opt.tensor("(samples,C,H,W) or (samples,1,H,W)",
      "normal noise of your own"),
    last_clean = opt.flag(false, "the last copy is the picture itself"),
  },
  keeps = sampling.keeps,
  explain = function(run, o)
    local fold, finish = sampling.reductions[o.how](o.samples)
    return sampling.fold(run, {
      name = "smoothgrad", count = o.samples, batch = o.batch, fold = fold,
      finish = finish, make = maker(run, o), score = o.score, modifiers = o.modifiers,
      progress = o.progress,
    }, function(part, score)
      return inner.map(part, o, score)
    end), { noise = not o.sigma and o.noise or false }
  end,
}
