local core = require "lunette.core"
local common = require "lunette.explain.method"
local options = require "lunette.base.options"
local progress = require "lunette.base.progress"

local own = {
  keepdims = false, smooth_samples = 0, smooth_noise = 0.20, seed = 0, batch = 8,
  gradient_modifier = "abs",
}


local function modified(g, how)
  if how == "abs" then return g:abs() end
  if how == false or how == "none" then return g end
  if type(how) ~= "function" then
    error('saliency: gradient_modifier is "abs", "none" or a function', 0)
  end
  return how(g)
end


---Gaussian noise of image n, sample s: its own stream, so the same bits come out
---for any batch size.
local function noisy(x, n, s, sigma, seed)
  local shape = x:shape()
  table.remove(shape, 1)
  return core.normal(seed, (n << 32) + s, shape):mul_(sigma):add_(x[n])
end


---Mean over samples of the modified gradient (tf-keras-vis: abs before averaging)
---of image i. Sums are made one by one, so that batches do not change them.
local function smooth_one(run, o, i)
  local stats = run.images[i]:stats()
  local sigma, total = o.smooth_noise * (stats.max - stats.min), nil
  local score = o.resolved:take(i)
  for first = 1, o.smooth_samples, o.batch do
    local count = math.min(o.batch, o.smooth_samples - first + 1)
    local shape = run.images:shape()
    shape[1] = count
    local batch <close> = core.zeros(shape)
    for k = 1, count do
      batch[k] = noisy(run.images, i, first + k - 1, sigma, o.seed)
    end
    local part <close> = run.net:run(batch, { modifiers = o.forward })
    o.changed = o.changed or common.changed_nodes(part, o.modifiers)
    local g = modified(part:gradient { score = score, modifiers = o.modifiers },
                       o.gradient_modifier)
    for k = 1, count do
      if total then total:add_(g[k]) else total = g[k]:clone() end
    end
    o.bar:add(count)
  end
  return total:mul_(1 / o.smooth_samples)
end


local function smooth(run, o)
  local bar <close> = progress.start("saliency", run:count() * o.smooth_samples,
                                     o.progress)
  local rows = {}
  o.bar, o.resolved = bar, require("lunette.explain.score").resolve(o.score, run)
  for i = 1, run:count() do rows[i] = smooth_one(run, o, i) end
  local shape = rows[1]:shape()
  table.insert(shape, 1, #rows)
  local out = core.zeros(shape)
  for i, row in ipairs(rows) do out[i] = row end
  return out
end


---What the noisy copies are run with: the forward modifiers of the run itself and
---of this call.
local function forward_modifiers(run, list)
  local kept, has = {}, {}
  for _, m in ipairs(run.modifiers) do kept[#kept + 1], has[m.name] = m, true end
  for _, m in ipairs(list) do
    if m.target and not has[m.name] then kept[#kept + 1] = m end
  end
  return kept
end


local function check(o)
  options.whole("saliency: smooth_samples", o.smooth_samples, 0, 4)
  options.whole("saliency: batch", o.batch, 1, 4)
  options.whole("saliency: seed", o.seed, math.mininteger, 4)
  o.score = require("lunette.explain.score").of(o.score)
  if o.raw then o.gradient_modifier = "none" end
  if o.smooth_samples == 0 and o.dialect == "pytorch-grad-cam" then o.raw = true end
end


---The gradient, or its mean over noisy copies.
local function gradient(run, o)
  if o.smooth_samples > 0 then
    o.forward = forward_modifiers(run, o.modifiers)
    return smooth(run, o)
  end
  local g = run:gradient { score = o.score, modifiers = o.modifiers }
  return o.raw and g or modified(g, o.gradient_modifier)
end


---Noisy copies are run instead of the pictures; only the most probable class has to
---be found in the pictures themselves.
local function first_value(_, o)
  if o.smooth_samples <= 0 then return nil end
  local scores = require "lunette.explain.score"
  if scores.predicts(scores.of(o.score)) then return nil end
  return false
end


---@class lunette.SaliencyOptions : lunette.MethodOptions
---@field smooth_samples? integer   noisy copies (0: none), SmoothGrad
---@field smooth_noise? number      sigma as a share of each image's range (0.20)
---@field keepdims? boolean         keep the channels: (N,C,H,W)
---@field gradient_modifier? "abs"|"none"|function   before the maximum over channels
---@field raw? boolean              the signed gradient itself (N,C,H,W)
---@field seed? integer             of the noise (0)
---@field batch? integer            noisy copies at a time (8)

---Saliency: the gradient of the score with respect to the picture (Simonyan et al.
---2013), with SmoothGrad (Smilkov et al. 2017) on request.
---Dialects: "tf-keras-vis" |g|, maximum over channels, min-max per image;
---"captum" |g| with all channels, not normalised; "pytorch-grad-cam" has no
---saliency map of its own: the gradient as it is.
---Caveat: says where a small change would change the score, not what is there;
---  noisy, and saturated scores have almost no gradient: give { modifiers =
---  { "linear" } } for networks that end in a softmax.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.saliency(run, { modifiers = { "linear", "guided" } }))
---@param subject lunette.Net|lunette.Run
---@param x lunette.Tensor|lunette.SaliencyOptions   (N,C,H,W) for a network
---@param opts? lunette.SaliencyOptions
---@return lunette.Tensor map   (N,H,W); (N,C,H,W) with keepdims, raw, other dialects
local function saliency(subject, x, opts)
  local run, o, made = common.prepare("saliency", own, subject, x, opts, first_value)
  local _ <close> = made and run or nil
  check(o)
  local g = gradient(run, o)
  common.warn_if_flat(g, "saliency", function()
    return "no gradient reaches the picture"
  end)
  local story = { smooth_samples = o.smooth_samples, smooth_noise = o.smooth_noise,
                  seed = o.smooth_samples > 0 and o.seed or nil }
  if not o.raw and o.dialect == "tf-keras-vis" then
    if not o.keepdims then g = g:max { dims = { 2 } } end
    if o.normalize then g = g:normalize() end
  end
  return common.tell(g, "saliency", run, o, story)
end

return saliency
