---One step of activation maximisation: the gradient of what is wanted, of a picture
---that is the network's input or that is decoded from parameters, and what regularizers
---take from it. `o` is the call's options, as activation_maximization prepares them.
local apply = require "lunette.modifiers.apply"
local core = require "lunette.core"
local gradient = require "lunette.base.gradient"
local input = require "lunette.features.input"
local modifiers = require "lunette.modifiers"
local shape = require "lunette.tensors.shape"
local transforms = require "lunette.features.transforms"
local warn = require "lunette.base.warn"

local M = {}


---The modifiers of a run of the network, and of the walks over it. A score of one
---layer needs no more than that layer.
function M.run_modifiers(o, score)
  if not score.layer or score.spread then
    return apply.forward(o.modifiers), o.modifiers
  end
  return { modifiers.extract(score.layer) }, apply.backward(o.modifiers)
end


---Calls f(picture, score) for every picture of x, and joins each of its results.
---One after the other: the network's values of several push each other out of the cache
---and want fresh memory, which costs more than weights that are read once for all.
---@param x lunette.Tensor       (K, ...), or of further views of the same, (V K, ...)
---@param list lunette.Score[]   K
---@param f fun(picture: lunette.Tensor, score: lunette.Score): lunette.Tensor ...
function M.one_by_one(x, list, f)
  local all = {}
  for i = 1, x:dim(1) do
    local results = { f(x:rows(i), list[(i - 1) % #list + 1]) }
    for k, t in ipairs(results) do
      all[k] = all[k] or {}
      all[k][i] = t
    end
    -- the next finds this one's memory, warm, not fresh pages
    if i < x:dim(1) then collectgarbage() end
  end
  for k, rows in ipairs(all) do all[k] = shape.concat(rows, 1) end
  return table.unpack(all)
end


---Is all of it 0? A picture's middle row mostly tells that it is not.
local function is_dead(g)
  local s = g:shape()
  local row = g:narrow { dim = 3, start = (s[3] + 1) // 2, length = 1 }
  return row:abs():stats().max == 0 and g:abs():stats().max == 0
end


---Where a picture gets no gradient, because no relu on the way is active, the gradient
---that goes through closed relus where it is positive: it opens them.
local function revived(run, walk, score, g)
  if not is_dead(g) then return g end
  local rules = table.move(walk, 1, #walk, 2, { "rectified" })
  return run:gradient { score = score, modifiers = rules }
end


---A picture that no gradient reaches will stay what it is.
local function warn_of_dead(o, g)
  if o.began then return end
  o.began = true
  for i, score in ipairs(o.scores) do
    if is_dead(g:rows(i)) then
      warn(("activation_maximization: picture %d gets no gradient: %s is not active on "
        .. "it, and a relu stops what would make it so; another seed, or modifiers = "
        .. "{ \"rectified\" }, may find a way"):format(i, score.name))
    end
  end
end


---d score / d x of one picture and the score's value; the gates of backward rules look
---at the score's gradient, or at the loss's, which has the other sign.
local function ascent(o, x, score)
  local forward, walk = M.run_modifiers(o, score)
  local run <close> = o.net:run(x, { modifiers = forward })
  local value = run:values(score, { modifiers = walk })
  if o.gate == "loss" then score = -score end
  local g = run:gradient { score = score, modifiers = walk }
  if o.row.revives then g = revived(run, walk, score, g) end
  return o.gate == "loss" and -g or g, value
end


---The same of pictures, or views of them: gradients (K,C,H,W), values (K).
local function ascents(o, x)
  local g, values = M.one_by_one(x, o.scores, function(picture, score)
    return ascent(o, picture, score)
  end)
  warn_of_dead(o, g)
  return g, values
end


---Takes the penalties' gradients off g; gives what each costs (K).
local function penalise(o, x, g)
  local costs = {}
  for i, penalty in ipairs(o.regularizers) do
    local d, cost = gradient(penalty, x)
    g:add_(d, -1)
    costs[i] = cost
  end
  return g, costs
end


---The pictures as the network sees them in step t: moved, `views` times, one set of
---views after the other.
local function seen(o, picture, t)
  local random, all = transforms.random(o.seed, t), nil
  for _ = 1, o.row.views or 1 do
    local x = picture
    for _, f in ipairs(o.transforms) do x = f(x, random, t, o) end
    x = transforms.centre(x, o.net.input[2], o.net.input[3])
    all = all and core.ops.concat(all, x, { dim = 1 }) or x
  end
  return input.of(o.net, all)
end


---The objective of a picture that is decoded from parameters: its gradient there.
function M.decoded(o)
  local k, views = #o.scores, o.row.views or 1
  return function(p, t)
    local tape <close> = core.tape()
    local leaf = tape:watch(p)
    local picture = o.parametrisation.decode(leaf)
    local x = seen(o, picture, t)
    local g, values = ascents(o, x:detach())
    local at = core.backward(x, g, { picture:node() })[1]
    if o.transparency then o.transparency:add_(at:abs():sum { dims = { 2 } }) end
    local _, costs = penalise(o, picture:detach(), at)
    values = values:view(views, k):mean { dims = { 1 } }
    return core.backward(picture, at, { leaf:node() })[1],
           { values = values, costs = costs }
  end
end


---The same of a picture that is the input itself; moves stay in it.
function M.direct(o)
  return function(x, t)
    local random = transforms.random(o.seed, t)
    for _, f in ipairs(o.transforms) do x:copy_(f(x, random, t, o)) end
    local g, values = ascents(o, x)
    local costs
    g, costs = penalise(o, x, g)
    if o.row.unit then
      g = g / (g:square():sum { dims = { 2, 3, 4 }, keepdims = true }:sqrt() + 1e-12)
    end
    return g, { values = values, costs = costs }
  end
end

return M
