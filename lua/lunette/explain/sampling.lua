---Means over many copies of a picture: noisy ones, points of a path, anything that
---`make` gives. Copies are run in batches; their values are added one by one in the
---order of the copies, so the same bits come out for any batch size.
local apply = require "lunette.modifiers.apply"
local classes = require "lunette.score.classes"
local core = require "lunette.core"
local witness = require "lunette.explain.witness"
local work = require "lunette.explain.work"

local M = {}

---@class lunette.Sampling
---@field count integer      copies an image
---@field batch integer      copies at a time
---@field make fun(i: integer, s: integer): lunette.Tensor   copy s of image i: its
---  shape without N
---@field fold? fun(total: any, value: lunette.Tensor, s: integer, i: integer): any
---  takes the value of copy s of image i into the total (M.add)
---@field finish? fun(total: any): lunette.Tensor   of an image, at the end
---@field name string        for the progress bar
---@field from? lunette.Layer  copies are of its values; only what follows it is run
---@field score? lunette.Score
---@field modifiers? lunette.Modifier[]
---@field progress? any


---The sum of all values.
function M.add(total, value)
  if total then return total:add_(value) end
  return value:clone()
end


---The sum of weights[s] * value.
---@param weights number[]
function M.weighted(weights)
  return function(total, value, s)
    if not total then return value * weights[s] end
    local part <close> = value * weights[s]
    return total:add_(part)
  end
end


---Reductions of n values by name: the `fold` and `finish` of M.fold. `finish` does not
---change the total, which may be in a checkpoint.
---@type table<string, fun(n: integer): function, function>
M.reductions = {
  mean = function(n)
    return M.add, function(total) return total * (1 / n) end
  end,
  mean_square = function(n)
    return function(total, value)
      local square <close> = value * value
      return M.add(total, square)
    end, function(total) return total * (1 / n) end
  end,
  -- E[d^2] - E[d]^2 of the differences d from the first value, which keeps digits
  variance = function(n)
    return function(total, value)
      if not total then
        return { first = value:clone(), sum = value * 0, square = value * 0 }
      end
      local d <close> = value - total.first
      local square <close> = d * d
      total.sum:add_(d)
      total.square:add_(square)
      return total
    end, function(total)
      local mean = total.sum * (1 / n)
      return total.square * (1 / n) - mean * mean
    end
  end,
}


---The stream of random numbers of copy s. All images share it, so that a map depends
---neither on the batch size nor on the image's position in the batch.
---@param s integer
---@return integer
function M.stream(s) return (1 << 32) + s end


---Normal noise of copy s, with mean 0 and deviation 1.
---@param seed integer
---@param s integer
---@param shape integer[]
---@return lunette.Tensor
function M.noise(seed, s, shape) return core.normal(seed, M.stream(s), shape) end


---Copies first .. first + k - 1 of image i, as a batch.
local function batch_of(o, i, first, k)
  local batch
  for n = 1, k do
    local copy <close> = o.make(i, first + n - 1)
    batch = batch or core.zeros(k, table.unpack(copy:shape()))
    batch[n] = copy
  end
  return batch
end


---A run of image i alone: what other branches than the copied layer's read. The run
---itself where it is of one image; else one that is the caller's to release.
---@param run lunette.Run
---@param i integer
---@return lunette.Run beside, lunette.Run? made
function M.beside(run, i)
  if run:count() == 1 then return run end
  local one = run.net:run(run.images:rows(i))
  return one, one
end


---Remembers what a batch of copies of the pictures was, for what the call warns of.
local function note(run, o, i, part, list)
  if o.from then return end
  for j, score in ipairs(list) do
    if score then
      witness.note(run, i, { part = part, score = score, modifiers = o.modifiers,
                             k = #list > 1 and j or nil, make = o.again(i),
                             count = o.count })
    end
  end
end


---What makes copies of image i again: one function for all of its batches.
local function makers(make)
  local list = {}
  return function(i)
    list[i] = list[i] or function(s) return make(i, s) end
    return list[i]
  end
end


---Takes the copies of one image into its totals, one a score.
local function over_one(run, o, i, value)
  local known = o.loop:of(i, function() return { done = 0 } end)
  if known.done == o.count then return end
  known.totals = known.totals or {} -- a checkpoint has no empty tables
  local list, beside, made = o.loop:take(i), nil, nil
  if o.from then beside, made = M.beside(run, i) end
  local _ <close> = made
  o.loop:fill(known, o.count, o.count, o, function(first, k)
    local batch <close> = batch_of(o, i, first, k)
    local how = { modifiers = o.forward, beside = beside }
    local part <close> = o.from and run.net:run_from(o.from.name, batch, how)
      or run.net:run(batch, how)
    note(run, o, i, part, list)
    for j, score in ipairs(list) do
      local values <close> = value(part, score or nil, i, first)
      o.loop:begin()
      for n = 1, k do
        local one <close> = values[n]
        known.totals[j] = o.fold(known.totals[j], one, first + n - 1, i)
      end
    end
  end)
end


---The totals of all images for every score, computed where they are not known.
local function totals_of(run, o, spec, value)
  local bar <close> = o.loop:progress(spec, 1, run:count(), function()
    return o.count
  end)
  o.bar = bar
  for i = 1, run:count() do over_one(run, o, i, value) end
end


---All totals as one tensor (N, ...).
local function stack(rows)
  local shape = rows[1]:shape()
  table.insert(shape, 1, #rows)
  local out = core.zeros(shape)
  for i, row in ipairs(rows) do out[i] = row end
  return out
end


---Folds what `value` says of every copy's run.
---@param run lunette.Run        the pictures' own, or an outline
---@param spec lunette.Sampling
---@param value fun(part: lunette.Run, score: lunette.Score?, i: integer,
---  first: integer): lunette.Tensor   (k, ...) of copies first, first + 1 ...
---@return lunette.Tensor total   (N, ...)
function M.fold(run, spec, value)
  local loop = work.loop(run, spec)
  local o = { count = spec.count, make = spec.make, fold = spec.fold or M.add,
              from = spec.from, loop = loop, ceiling = loop:batches(spec.batch),
              modifiers = spec.modifiers, again = makers(spec.make),
              forward = apply.forward(spec.modifiers, run) }
  totals_of(run, o, spec, value)
  local rows = {}
  for i = 1, run:count() do
    local total = loop.state[i].totals[loop.k]
    rows[i] = spec.finish and spec.finish(total) or total
  end
  return stack(rows)
end


---Notes for the story, once, how many nodes each modifier changes in a run of copies.
---@param o table   options of a method
---@param part lunette.Run
---@param layer? { name: string }   the gradient goes back to it and no further
function M.tell_changed(o, part, layer)
  o.changed = o.changed
    or require("lunette.explain.story").changed_nodes(part, o.modifiers, layer)
end


---The mean gradient of the score over copies.
---@param run lunette.Run
---@param spec lunette.Sampling
---@param o table         options of a method: score, modifiers, progress
---@param change? fun(g: lunette.Tensor): lunette.Tensor   of every gradient
---  `spec.wrt`: with respect to that layer, not the picture
---@return lunette.Tensor total
function M.gradients(run, spec, o, change)
  spec.score, spec.modifiers = o.score, o.modifiers
  if spec.progress == nil then spec.progress = o.progress end
  return M.fold(run, spec, function(part, score)
    M.tell_changed(o, part, spec.wrt and { name = spec.wrt })
    local g = part:gradient { score = score, modifiers = o.modifiers,
                              wrt = spec.wrt or "input" }
    return change and change(g) or g
  end)
end


---`keeps` of methods that run copies instead of the pictures: nothing is needed of
---these, unless the most probable class has to be found.
---@return false|nil
function M.keeps(_, o)
  if classes.predicts(o.score) then return nil end
  return false
end

return M
