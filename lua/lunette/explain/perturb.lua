---Values of a score under masks: the picture where a mask is 1, the baseline where it
---is 0. Masked pictures exist a batch at a time, however many masks there are. At a
---layer (`from`) only what follows it is run.
local apply = require "lunette.modifiers.apply"
local baselines = require "lunette.explain.baselines"
local blame = require "lunette.base.blame"
local ceilings = require "lunette.explain.ceiling"
local core = require "lunette.core"
local masking = require "lunette.explain.masks"
local partial = require "lunette.explain.partial"
local sampling = require "lunette.explain.sampling"
local work = require "lunette.explain.work"

local M = {}

local CHUNK = 16 -- masks whose part of a sum is taken at once

---@class lunette.Perturbation
---@field masks lunette.Masks|lunette.Tensor|fun(i: integer): any   for all images, or
---  of image i
---@field score any
---@field wrap? fun(score: lunette.Score): lunette.Score   what is asked instead
---@field alone? boolean      the masks depend on the score
---@field baseline? any       of baselines.of ("zero")
---@field modifiers? lunette.Modifier[]
---@field batch? integer      masked pictures at a time (16)
---@field only? integer       of this image alone
---@field from? lunette.Layer masks are of its values
---@field name? string        for the progress bar
---@field progress? any


---What a run must keep for the scores to be read.
local function kept_for(list)
  local kept
  for i, score in ipairs(list) do
    local own = score.layer
      or not (score.classes or score.parts) and score.name == "function"
    if i > 1 and own ~= kept then return true end
    kept = own
  end
  return kept
end


---The scores of a batch of pictures, or of a layer's values.
---@param run lunette.Run       whose network and forward modifiers
---@param batch lunette.Tensor  (k,...)
---@param list lunette.Score[]  of each of them
---@param o { forward: lunette.Modifier[], from?: lunette.Layer, beside?: lunette.Run }
---  beside: a run of the image, for what other branches read
---@return lunette.Tensor values   (K,k)
function M.scores_of(run, batch, list, o)
  local opts = { modifiers = o.forward, keep = kept_for(list) }
  opts.beside = o.from and o.beside or nil
  local part <close> = o.from and run.net:run_from(o.from.name, batch, opts)
    or run.net:run(batch, opts)
  local all = core.zeros(#list, batch:dim(1))
  for k, score in ipairs(list) do all[k] = part:values(score) end
  return all
end


---The score of each of a batch (k).
function M.score_of(run, batch, score, o)
  return M.scores_of(run, batch, { score }, o)[1]
end


---A backward rule would change nothing here: raises for one.
local function check_modifiers(spec)
  for _, m in ipairs(spec.modifiers or {}) do
    if m.rule or m.entries or m.rewrite then
      blame(("%s: modifier '%s' is about backward, and this runs forward alone; "
             .. "leave it out"):format(spec.name or "perturbation", m.name))
    end
  end
end


local function prepare(run, spec)
  check_modifiers(spec)
  local x = run.images
  if spec.from then
    local value, message = run:activation(spec.from.name)
    if not value then blame(message) end
    x = value:detach()
  end
  local loop, most = work.loop(run, spec), spec.batch or CHUNK
  if spec.from then most = ceilings.copies(most, spec.from.shape) end
  return { x = x, base = baselines.of(spec.baseline or "zero", run.net, x),
           loop = loop, from = spec.from, ceiling = loop:batches(most),
           forward = apply.forward(spec.modifiers, run) }
end


local function masks_of(spec, i)
  return masking.of(type(spec.masks) == "function" and spec.masks(i) or spec.masks)
end


---Where the mask is 1 the picture has the same bits as before.
local function masked(x, base, m)
  local rest <close> = (1 - m) * base
  return (m * x):add_(rest)
end


---One image of a perturbation: its masks, and what is known of their scores.
local function image_of(run, o, spec, i)
  local shape = o.x:shape()
  shape[1] = 1
  local image = { masks = masks_of(spec, i), list = o.loop:take(i),
                  x = o.x[i]:view(table.unpack(shape)),
                  base = o.base[i]:view(table.unpack(shape)) }
  image.known = o.loop:of(i, function()
    return { values = core.zeros(#o.loop.scores, image.masks.count), done = 0 }
  end)
  image.beside = function() -- made when it is first needed
    if o.from and not image.other then
      image.other, image.made = sampling.beside(run, i)
    end
    return image.other
  end
  return setmetatable(image, { __close = function()
    if image.made then image.made:release() end
    if image.clean then image.clean:release() end
  end })
end


---The plan (partial.lua) for masks that change the picture in a rectangle alone: only
---what that rectangle reaches is computed. Nil where whole passes are cheaper, or where
---a score looks at an inner layer.
local function plan_of(run, o, spec, first)
  local masks = not o.from and spec.masks and masks_of(spec, first)
  if not masks or not masks.box or kept_for(o.loop.scores) then return nil end
  return partial.plan(run, masks.usual or masks.box(1))
end


---A rectangle of a tensor (1,C,H,W).
local function piece(t, b)
  return core.zeros(1, t:dim(2), b.h, b.w):paste_(t, 1, 1, b.y, b.x, b.h, b.w)
end


---The values of the plan's layer under masks first .. first + k - 1.
local function in_parts(run, o, image, first, k)
  if not image.clean then
    image.clean = run.net:run(image.x, { modifiers = o.forward })
  end
  local boxes = {}
  for n = 1, k do boxes[n] = image.masks.box(first + n - 1) end
  return partial.values(o.plan, image.clean, boxes, function(n)
    local b, m = boxes[n], image.masks.get(first + n - 1, 1)
    return masked(piece(image.x, b), piece(image.base, b), piece(m, b))
  end)
end


---The scores (K,k) under masks first .. first + k - 1, and the masks where they were
---made.
local function scores_under(run, o, image, first, k)
  if o.plan then
    local values <close> = in_parts(run, o, image, first, k)
    return M.scores_of(run, values, image.list, { forward = o.forward,
                                                  from = o.plan.join })
  end
  local m = image.masks.get(first, k)
  local batch <close> = masked(image.x, image.base, m)
  return M.scores_of(run, batch, image.list, { forward = o.forward, from = o.from,
                                               beside = image.beside() }), m
end


---Computes the scores of further masks, until those of the first `count` are known.
---@return integer? first, lunette.Tensor? masks   of the last batch
local function know(run, o, image, count)
  local known, first, m = image.known, nil, nil
  o.loop:fill(known, count, image.masks.count, o, function(at, k)
    local values
    values, m = scores_under(run, o, image, at, k)
    for j = 1, #image.list do
      known.values[j]:rows(at, at + k - 1):copy_(values[j])
    end
    first = at
  end)
  return first, m
end


---All images' scores and masks in pieces of one size, whatever the batch is, so that
---sums over them have the same bits.
local function pieces(run, o, image, i, use)
  local count = image.masks.count
  for first = 1, count, CHUNK do
    local k = math.min(CHUNK, count - first + 1)
    local at, m = know(run, o, image, first + k - 1)
    if not m or at ~= first or m:dim(1) ~= k then m = image.masks.get(first, k) end
    use(i, first, m, image.known.values[o.loop.k]:rows(first, first + k - 1),
        function() return masked(image.x, image.base, m) end)
  end
end


---Opens a bar for what is not known yet, and goes over the images.
local function over(run, spec, f)
  local o = prepare(run, spec)
  local first, last = spec.only or 1, spec.only or run:count()
  o.plan = plan_of(run, o, spec, first)
  local bar <close> = o.loop:progress(spec, first, last, function(i)
    return masks_of(spec, i).count
  end)
  o.bar = bar
  for i = first, last do
    local image <close> = image_of(run, o, spec, i)
    f(o, image, i)
  end
end


---Goes over all masked pictures, sixteen at a time; nothing of them is kept.
---@param run lunette.Run
---@param spec lunette.Perturbation
---@param use fun(i: integer, first: integer, masks: lunette.Tensor,
---  values: lunette.Tensor, pictures: fun(): lunette.Tensor)   image, number of the
---  first mask, masks, scores (k), and what makes the masked pictures
function M.each(run, spec, use)
  over(run, spec, function(o, image, i) pieces(run, o, image, i, use) end)
end


---The same of a run on tracing tensors: all masks of all pictures are one batch.
local function traced_values(run, spec)
  local masks = masks_of(spec, 1)
  local x = spec.from and run:activation(spec.from.name) or run.images
  if spec.baseline and spec.baseline ~= "zero" then
    error("masks with a baseline cannot be traced", 0)
  end
  local m = masks.traced and masks.traced(require("lunette.trace").constant)
    or masks.get(1, masks.count)
  local shape = x:shape()
  local n, rest = shape[1], { table.unpack(shape, 2) }
  local copies = x:reshape { n, 1, table.unpack(rest) }
    * m:reshape { 1, table.unpack(m:shape()) }
  local part = run:copies(copies:reshape { n * masks.count, table.unpack(rest) },
                          masks.count, spec.from)
  return part:values(spec.score, { modifiers = spec.modifiers })
    :reshape { n, masks.count }
end


---Raises for a run on tracing tensors, which has no scores to read: before masks are
---made.
function M.check_numbers(run)
  if run.traced then
    error("it reckons with every picture's scores, and they cannot be traced", 0)
  end
end


---The scores of all masked pictures.
---@param run lunette.Run
---@param spec lunette.Perturbation   as many masks for every image
---@return lunette.Tensor values   (N,M)
function M.values(run, spec)
  if run.traced then return traced_values(run, spec) end
  local all = core.zeros(run:count(), masks_of(spec, 1).count)
  over(run, spec, function(o, image, i)
    know(run, o, image, image.masks.count)
    all[i] = image.known.values[o.loop.k]
  end)
  return all
end


---Asks for scores picture by picture where the masks depend on what was answered
---before: `use(i, ask)` with ask(list of masks (1,H,W)) -> list of scores, of image i.
---@param run lunette.Run
---@param spec lunette.Perturbation   without masks; `count`: how many at most
---@param use fun(i: integer, ask: fun(list: lunette.Tensor[]): number[])
function M.ask(run, spec, use)
  spec.alone, spec.masks = true, { count = spec.count, get = error }
  over(run, spec, function(o, image, i)
    local asked = 0
    use(i, function(list)
      local first, shape = asked, list[1]:shape()
      image.masks = { count = first + #list, get = function(from, k)
        local all = core.zeros(k, table.unpack(shape))
        for n = 1, k do all[n] = list[from - first + n - 1] end
        return all
      end }
      asked = asked + #list
      know(run, o, image, asked)
      return image.known.values[o.loop.k]:rows(first + 1, asked):totable()
    end)
  end)
end


---The scores of pictures x (N,C,H,W) in the place of the run's own, as the method's
---modifiers have them.
local function scores_at(run, x, o, name)
  local loop = work.loop(run, { score = o.score, name = name })
  local how = { forward = apply.forward(o.modifiers, run) }
  local all = core.zeros(run:count())
  loop:batches(1):size(1) -- what earlier batches left is collected
  for i = 1, run:count() do
    local known = loop:of(i, function()
      return { values = M.scores_of(run, x:rows(i), loop:take(i), how) }
    end)
    all[i] = known.values:get(loop.k, 1)
  end
  return all
end


---The scores of the pictures themselves, as the method's modifiers have them.
---@param run lunette.Run
---@param o table   options of a method: score, modifiers
---@return lunette.Tensor values   (N)
function M.clean(run, o) return scores_at(run, run.images, o, "the picture") end


---How far a map is from complete: its sum less S(x) - S(baseline), for each image.
---@param run lunette.Run
---@param o table              options of a method: score, modifiers
---@param map lunette.Tensor   (N,...)
---@param base lunette.Tensor|lunette.Tensor[]   (N,C,H,W), or several of them
---@param shares? number[]     of several the part of each, 1 together
---@return number[]
function M.delta(run, o, map, base, shares)
  local above, list = M.clean(run, o), {}
  for i = 1, run:count() do list[i] = map[i]:sum():item() - above[i] end
  for b, share in ipairs(shares or { 1 }) do
    local below = share > 0
      and scores_at(run, shares and base[b] or base, o, "the baseline")
    for i = 1, below and #list or 0 do list[i] = list[i] + share * below[i] end
  end
  return list
end

return M
