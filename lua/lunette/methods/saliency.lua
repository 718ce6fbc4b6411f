local core = require "lunette.core"
local common = require "lunette.methods.common"

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
  return x[n] + core.normal(seed, (n << 32) + s, shape) * sigma
end


---Mean over samples of the modified gradient (tf-keras-vis: abs before averaging).
local function smooth(run, opts)
  local x, total = run.images, nil
  local n, sigma = x:dim(1), {}
  for i = 1, n do
    local s = x[i]:stats()
    sigma[i] = opts.smooth_noise * (s.max - s.min)
  end
  local rows = {}
  for i = 1, n do
    total = nil
    for first = 1, opts.smooth_samples, opts.batch do
      local count = math.min(opts.batch, opts.smooth_samples - first + 1)
      local shape = x:shape()
      shape[1] = count
      local batch <close> = core.zeros(shape)
      for k = 1, count do batch[k] = noisy(x, i, first + k - 1, sigma[i], opts.seed) end
      local part <close> = run.net:run(batch, { modifiers = opts.forward })
      local g = modified(part:gradient { score = opts.row_score(i),
                                         modifiers = opts.modifiers }, opts.gradient_modifier)
      for k = 1, count do -- one by one, so that batches do not change the sum
        if total then total:add_(g[k]) else total = g[k]:clone() end
      end
    end
    rows[i] = total:mul_(1 / opts.smooth_samples)
  end
  local out = core.zeros(x:shape())
  for i = 1, n do out[i] = rows[i] end
  return out
end


---The score of image i alone, for batches that repeat it.
local function row_scores(run, opts)
  local scores = require "lunette.score"
  local score = scores.of(opts.score)
  local ids = scores.classes(score, run)
  return function(i)
    return ids and scores.categorical(ids[i]) or score
  end
end


local function forward_modifiers(run, list)
  local modifiers = require "lunette.modifier"
  local kept, has = {}, {}
  for _, m in ipairs(list) do
    if modifiers.of(m).target then kept[#kept + 1], has[modifiers.of(m).name] = m, true end
  end
  for name in pairs(run.changed) do -- what the run itself was made with
    if not has[name] then table.insert(kept, 1, (name:gsub("extract%((.*)%)", "extract:%1"))) end
  end
  return kept
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
---@param subject lunette.Net|lunette.Run
---@param x lunette.Tensor|lunette.SaliencyOptions   (N,C,H,W) when subject is a network
---@param opts? lunette.SaliencyOptions
---@return lunette.Tensor map   (N,H,W), or (N,C,H,W) with keepdims, raw, or other dialects
local function saliency(subject, x, opts)
  local run, o, made = common.prepare("saliency", own, subject, x, opts)
  local scope <close> = made and run or nil
  if o.raw then o.gradient_modifier = "none" end
  local g
  if o.smooth_samples > 0 then
    o.forward, o.row_score = forward_modifiers(run, o.modifiers), row_scores(run, o)
    g = smooth(run, o)
  else
    g = run:gradient { score = o.score, modifiers = o.modifiers }
    if o.dialect == "pytorch-grad-cam" then o.raw = true end
    if not o.raw then g = modified(g, o.gradient_modifier) end
  end
  common.warn_if_flat(g, "saliency", "no gradient reaches the picture")
  local story = { smooth_samples = o.smooth_samples, smooth_noise = o.smooth_noise,
                  seed = o.smooth_samples > 0 and o.seed or nil }
  if not o.raw and o.dialect == "tf-keras-vis" then
    if not o.keepdims then g = g:max { dims = { 2 } } end
    if o.normalize then g = g:normalize() end
  end
  return common.tell(g, "saliency", run, o, story)
end

return saliency
