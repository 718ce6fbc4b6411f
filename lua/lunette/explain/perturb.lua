---Values of a score under masks: the picture where a mask is 1, the baseline where it
---is 0. Masked pictures exist a batch at a time, however many masks there are. At a
---layer (`from`) only what follows it is run.
local core = require "lunette.core"
local baselines = require "lunette.explain.baselines"
local masking = require "lunette.explain.masks"
local progress = require "lunette.base.progress"
local sampling = require "lunette.explain.sampling"
local scores = require "lunette.score"

local M = {}

---@class lunette.Perturbation
---@field masks lunette.Masks|lunette.Tensor|fun(i: integer): any   for all images, or
---  of image i
---@field score any
---@field baseline? any       of baselines.of ("zero")
---@field modifiers? lunette.Modifier[]
---@field batch? integer      masked pictures at a time (16)
---@field only? integer       of this image alone
---@field from? lunette.Layer masks are of its values
---@field name? string        for the progress bar
---@field progress? any


---What a run must keep for the score to be read.
local function kept_for(score)
  if score.layer then return score.layer end
  return not (score.classes or score.parts) and score.name == "function"
end


---The score of a batch of pictures, or of a layer's values.
---@param run lunette.Run       whose network and forward modifiers
---@param batch lunette.Tensor
---@param score lunette.Score   of each of them
---@param o { forward: lunette.Modifier[], from?: lunette.Layer, beside?: lunette.Run }
---  beside: a run of the image, for what other branches read
---@return lunette.Tensor values   (k)
function M.score_of(run, batch, score, o)
  local opts = { modifiers = o.forward, keep = kept_for(score) }
  opts.beside = o.from and o.beside or nil
  local part <close> = o.from and run.net:run_from(o.from.name, batch, opts)
    or run.net:run(batch, opts)
  return part:values(score)
end


---A backward rule would change nothing here: raises for one.
local function check_modifiers(spec)
  for _, m in ipairs(spec.modifiers or {}) do
    if m.rule or m.entries or m.rewrite then
      error(("%s: modifier '%s' is about backward, and this runs forward alone; "
             .. "leave it out"):format(spec.name or "perturbation", m.name), 0)
    end
  end
end


local function prepare(run, spec)
  check_modifiers(spec)
  local x = run.images
  if spec.from then
    local value, message = run:activation(spec.from.name)
    if not value then error(message, 0) end
    x = value:detach()
  end
  local score = scores.resolve(spec.score, run)
  return { x = x, base = baselines.of(spec.baseline or "zero", run.net, x),
           score = score, batch = spec.batch or 16, from = spec.from,
           forward = sampling.forward_modifiers(run, spec.modifiers or {}) }
end


local function masks_of(spec, i)
  return masking.of(type(spec.masks) == "function" and spec.masks(i) or spec.masks)
end


---Where the mask is 1 the picture has the same bits as before.
local function masked(x, base, m)
  return m * x + (1 - m) * base
end


local function over_one(run, o, spec, i, use)
  local masks, score = masks_of(spec, i), o.score:take(i)
  local made
  if o.from then o.beside, made = sampling.beside(run, i) end
  local _ <close> = made
  local shape = o.x:shape()
  shape[1] = 1
  local x, base = o.x[i]:view(table.unpack(shape)), o.base[i]:view(table.unpack(shape))
  for first = 1, masks.count, o.batch do
    local k = math.min(o.batch, masks.count - first + 1)
    local m = masks.get(first, k)
    local batch <close> = masked(x, base, m)
    use(i, first, m, M.score_of(run, batch, score, o), batch)
    o.bar:add(k)
  end
end


---Goes over all masked pictures; nothing of them is kept.
---@param run lunette.Run
---@param spec lunette.Perturbation
---@param use fun(i: integer, first: integer, masks: lunette.Tensor,
---  values: lunette.Tensor, batch: lunette.Tensor)   image, number of the first mask,
---  masks, scores (k), and the masked pictures, which are gone afterwards
function M.each(run, spec, use)
  local o, total = prepare(run, spec), 0
  local first, last = spec.only or 1, spec.only or run:count()
  for i = first, last do total = total + masks_of(spec, i).count end
  local bar <close> = progress.start(spec.name or "perturbation", total, spec.progress)
  o.bar = bar
  for i = first, last do over_one(run, o, spec, i, use) end
end


---The scores of all masked pictures.
---@param run lunette.Run
---@param spec lunette.Perturbation   as many masks for every image
---@return lunette.Tensor values   (N,M)
function M.values(run, spec)
  local all = core.zeros(run:count(), masks_of(spec, 1).count)
  M.each(run, spec, function(i, first, _, values)
    all[i]:rows(first, first + values:size() - 1):copy_(values)
  end)
  return all
end


---The scores of the pictures themselves, as the method's modifiers have them.
---@param run lunette.Run
---@param o table   options of a method: score, modifiers
---@return lunette.Tensor values   (N)
function M.clean(run, o)
  local forward = sampling.forward_modifiers(run, o.modifiers or {})
  local score, all = scores.resolve(o.score, run), core.zeros(run:count())
  local how = { forward = forward }
  for i = 1, run:count() do
    all[i] = M.score_of(run, run.images:rows(i), score:take(i), how)[1]
  end
  return all
end

---How far a map is from complete: its sum less S(x) - S(baseline), for each image.
---@param run lunette.Run
---@param o table              options of a method: score, modifiers
---@param map lunette.Tensor   (N,...)
---@param base lunette.Tensor  (N,C,H,W)
---@return number[]
function M.delta(run, o, map, base)
  local forward = sampling.forward_modifiers(run, o.modifiers or {})
  local score, list = scores.resolve(o.score, run), {}
  for i = 1, run:count() do
    local one, how = score:take(i), { forward = forward }
    local ends = M.score_of(run, run.images:rows(i), one, how)[1]
      - M.score_of(run, base:rows(i), one, how)[1]
    list[i] = map[i]:sum():item() - ends
  end
  return list
end

return M
