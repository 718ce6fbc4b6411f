---Why a map is 0 everywhere: where on the way back the gradient dies, and the remedy.
local apply = require "lunette.modifiers.apply"
local backward = require "lunette.net.backward"
local forward = require "lunette.net.forward"
local layers = require "lunette.layers"
local scored = require "lunette.net.scored"
local scores = require "lunette.score"


---The nodes whose values are there, up to the scored one, the last first.
local function walked(run, last)
  local list = {}
  for _, node in ipairs(forward.nodes(run, nil, last)) do
    if run:node(node.layer.name) then table.insert(list, 1, node) end
  end
  return list
end


---Why nothing comes back through an activation, and what to do about it. `g` is the
---gradient of what it gives, `y`, for one image.
local function remedy(layer, g, y)
  if not layers.is(layer, "activation") then return "" end
  local reached = (y:gt(0) * g:ne(0)):sum():item() > 0
  local why = reached and "its rule drops all that comes back to it"
    or "none of its units that the gradient reaches is active"
  return (": %s; the modifier \"rectified:leak=0.1\" lets a little through"):format(why)
end


---Why hardly any gradient comes through a softmax or sigmoid, as text: the largest
---probability is over 0.9999, or p (1 - p), by which the logit's gradient is
---multiplied, is below 1e-6 for the explained class. Nil where neither holds.
local function saturated(run, o, image)
  local score = scores.resolve(o.score, run)
  local kind = scored.layer(run, score, o.modifiers or {}).kind
  if kind ~= "softmax" and kind ~= "sigmoid" then return nil end
  local p = run:probabilities(score.output)
  if not p then return nil end
  if p:rows(image):stats().max > 0.9999 then return "p > 0.9999" end
  local ids = scored.ids(run, score, o.modifiers or {})
  local own = ids and p:get(image, ids[image] + 1)
  if not own or own * (1 - own) >= 1e-6 then return nil end
  return ("p = %.2g of that class: the gradient is below 1e-6 of the logit's"):format(
    own)
end


---The gradient of an image at a node. Modifiers that change no node between it and the
---scored node `last` are left out, since they would raise an error.
local function gradient_at(run, o, node, last, image)
  local kept, nodes = {}, forward.nodes(run, node.id, last)
  for _, m in ipairs(o.modifiers or {}) do
    if apply.count(run, nodes, { m })[m.name] ~= 0 then kept[#kept + 1] = m end
  end
  return run:gradient { score = o.score, wrt = node.layer.name, exact = true,
                        modifiers = kept }:rows(image)
end


---Where the gradient of an image dies, walking back from the score; nil: nowhere.
local function place(run, o, image)
  local last = backward.scored_node(run, o.score, o.modifiers or {})
  local after, reaches
  for _, node in ipairs(walked(run, last)) do
    local g = gradient_at(run, o, node, last, image)
    local s = g:stats()
    if s.min == 0 and s.max == 0 then
      return after and ("the gradient dies at '%s' (%s)%s"):format(after.name,
             after.kind, remedy(after, reaches, run[after.name]:rows(image))) or nil
    end
    after, reaches = node.layer, g
  end
  return nil
end


---@param run lunette.Run
---@param o table        options of a method: score, modifiers
---@param image integer
---@return string?   nil where it cannot be said
return function(run, o, image)
  if forward.is_released(run) or not o.score then return nil end
  local sure = saturated(run, o, image)
  if sure then
    return ("the softmax is saturated (%s), and hardly any gradient comes through it; "
      .. "give the modifier \"linear\""):format(sure)
  end
  return place(run, o, image)
end
