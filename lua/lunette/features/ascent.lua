---One step of activation maximisation: the gradient of what is wanted, of a picture
---that is the network's input or that is decoded from parameters, and what regularizers
---take from it. `o` is the call's options, as activation_maximization prepares them.
local apply = require "lunette.modifiers.apply"
local core = require "lunette.core"
local gradient = require "lunette.base.gradient"
local input = require "lunette.features.input"
local modifiers = require "lunette.modifiers"
local scores = require "lunette.score"
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


---The largest |value| of each sample (K).
local function peaks(g)
  return g:abs():reshape { g:dim(1), g:size() // g:dim(1) }:max { dims = { 2 } }
end


---The numbers of the pictures that get no gradient.
local function dead_of(g)
  local most, list = peaks(g), {}
  for i = 1, g:dim(1) do
    if most[i] == 0 then list[#list + 1] = i end
  end
  return list
end


---The same pictures by themselves: a run, and their score.
local function run_of(o, x, list)
  local rows, wanted = {}, {}
  for i, n in ipairs(list) do
    rows[i], wanted[i] = x:rows(n), o.scores[(n - 1) % #o.scores + 1]
  end
  local score = #wanted == 1 and wanted[1] or scores.each(wanted)
  local forward = M.run_modifiers(o, score)
  return o.net:run(shape.concat(rows, 1), { modifiers = forward }),
         o.gate == "loss" and -score or score
end


---Where a picture gets no gradient, because no relu on the way is active, the gradient
---that goes through closed relus where it is positive: it opens them. A few of many
---pictures are run again by themselves, which costs less than all of them once more.
local function revive(o, x, walk, run, score, g)
  local dead, rules = dead_of(g), { "rectified" }
  if #dead == 0 then return g end
  table.move(walk, 1, #walk, 2, rules)
  local few = 2 * #dead < g:dim(1)
  local forced
  if few then
    local own <close>, wanted = run_of(o, x, dead)
    forced = own:gradient { score = wanted, modifiers = rules }
  else
    forced = run:gradient { score = score, modifiers = rules }
  end
  for i, n in ipairs(dead) do g:rows(n):copy_(forced:rows(few and i or n)) end
  return g
end


---A picture that no gradient reaches will stay what it is.
local function warn_of_dead(o, g)
  for _, i in ipairs(dead_of(g)) do
    if i > #o.scores then break end -- a further view of one that was named
    warn(("activation_maximization: picture %d gets no gradient: %s is not active on "
      .. "it, and a relu stops what would make it so; another seed, or modifiers = "
      .. "{ \"rectified\" }, may find a way"):format(i, o.scores[i].name))
  end
end


---d score / d x and the scores' values (K), the backward rules' gates looking at the
---score's gradient, or at the loss's, which has the other sign.
local function ascent(o, x, score)
  local forward, walk = M.run_modifiers(o, score)
  local run <close> = o.net:run(x, { modifiers = forward })
  local values = run:values(score, { modifiers = walk })
  if o.gate == "loss" then score = -score end
  local g = run:gradient { score = score, modifiers = walk }
  if o.row.revives then g = revive(o, x, walk, run, score, g) end
  if not o.began then warn_of_dead(o, g) end
  o.began = true
  return o.gate == "loss" and -g or g, values
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
  local list = {}
  for i = 1, k * views do list[i] = o.scores[(i - 1) % k + 1] end
  local score = #list == 1 and list[1] or scores.each(list)
  return function(p, t)
    local tape <close> = core.tape()
    local leaf = tape:watch(p)
    local picture = o.parametrisation.decode(leaf)
    local x = seen(o, picture, t)
    local g, values = ascent(o, x:detach(), score)
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
  local score = #o.scores == 1 and o.scores[1] or scores.each(o.scores)
  return function(x, t)
    local random = transforms.random(o.seed, t)
    for _, f in ipairs(o.transforms) do x:copy_(f(x, random, t, o)) end
    local g, values = ascent(o, x, score)
    local costs
    g, costs = penalise(o, x, g)
    if o.row.unit then
      g = g / (g:square():sum { dims = { 2, 3, 4 }, keepdims = true }:sqrt() + 1e-12)
    end
    return g, { values = values, costs = costs }
  end
end

return M
