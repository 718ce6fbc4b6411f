---Why a map is 0 everywhere: where on the way back the gradient dies, and the remedy.
local classes = require "lunette.score.classes"
local forward = require "lunette.net.forward"
local layers = require "lunette.layers"


---The layers whose values are there, up to the scored one, the last first.
local function walked(run)
  local list = {}
  for _, node in ipairs(forward.nodes(run)) do
    if run:node(node.layer.name) then table.insert(list, 1, node.layer) end
  end
  return list
end


---What to do about a layer through which nothing comes back.
local function remedy(layer)
  if not layers.is(layer, "activation") then return "" end
  return ": none of its units is active; the modifier \"rectified:leak=0.1\" lets "
    .. "silent units through"
end


---Why hardly any gradient comes through a softmax or sigmoid, as text: the largest
---probability is over 0.9999, or p (1 - p), by which the logit's gradient is
---multiplied, is below 1e-6 for the explained class. Nil where neither holds.
local function saturated(run, o, image)
  local kind = run.output_layer.kind
  if kind ~= "softmax" and kind ~= "sigmoid" then return nil end
  local p = run:probabilities()
  if not p then return nil end
  if p:rows(image):stats().max > 0.9999 then return "p > 0.9999" end
  local ids = classes.of(o.score, run)
  local own = ids and p:get(image, ids[image] + 1)
  if not own or own * (1 - own) >= 1e-6 then return nil end
  return ("p = %.2g of that class: the gradient is below 1e-6 of the logit's"):format(
    own)
end


---Where the gradient of an image dies, walking back from the score; nil: nowhere.
local function place(run, o, image)
  local after
  for _, layer in ipairs(walked(run)) do
    local ok, g = pcall(run.gradient, run, { score = o.score, wrt = layer.name,
      exact = true, modifiers = o.modifiers })
    local s = ok and g:rows(image):stats()
    if s and s.min == 0 and s.max == 0 then
      return after and ("the gradient dies at '%s' (%s)%s"):format(after.name,
             after.kind, remedy(after)) or nil
    end
    after = s and layer or after
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
