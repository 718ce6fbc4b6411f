---Why a map is 0 everywhere: where on the way back the gradient dies, or that the layer
---is silent, and the remedy.
local apply = require "lunette.modifiers.apply"
local backward = require "lunette.net.backward"
local forward = require "lunette.net.forward"
local layers = require "lunette.layers"
local saturated = require "lunette.explain.saturated"
local scores = require "lunette.score"
local witness = require "lunette.explain.witness"

local M = {}

---@class lunette.Asked
---@field run lunette.Run     with values
---@field image integer       in that run
---@field score? lunette.Score
---@field modifiers lunette.Modifier[]
---@field layer? lunette.Layer   whose map it is; nil: of the picture


local function is_zero(t)
  local s = t:stats()
  return s.min == 0 and s.max == 0
end


-- where the gradient dies ------------------------------------------------------------


---Nodes between what the map is of and what is scored, the first included.
local function between(at, first, last)
  local list, kept = {}, forward.followers(at.run.net, first)
  local dropped = forward.state_of(at.run).dropped
  for _, node in ipairs(forward.nodes(at.run, nil, last)) do
    if kept[node.layer.name] and not dropped[node.layer.name] then
      list[#list + 1] = node
    end
  end
  return list
end


---Gradients at all of them, by name, by one pass: each as for the image alone.
local function gradients(at, first, nodes)
  local wrt, found = {}, {}
  if first == "input" then wrt[1] = "input" end
  for _, node in ipairs(nodes) do wrt[#wrt + 1] = node.layer.name end
  local grads = { at.run:gradient { score = at.score, wrt = wrt, exact = true,
                                    modifiers = at.modifiers } }
  for i, name in ipairs(wrt) do found[name] = grads[i]:rows(at.image) end
  return found
end


---Why nothing comes back through a layer, and what to do about it. `g` is the gradient
---of what it gives.
local function remedy(at, layer, g)
  if layers.is(layer, "weighted") then
    return ": the weights that the gradient meets are 0"
  end
  if not layers.is(layer, "activation") then return "" end
  local y = at.run:preactivation(layer.name):rows(at.image)
  local reached = (y:gt(0) * g:ne(0)):sum():item() > 0
  local why = reached and "its rule drops all that comes back to it"
    or "none of its units that the gradient reaches is active"
  return (": %s; the modifier \"rectified:leak=0.1\" lets a little through"):format(why)
end


---What the map is of, by name: a layer, or the picture.
local function first_of(at)
  local layer = at.layer or at.run.start
  return layer and layer.name or "input"
end


---Where the gradient dies; nil: nowhere.
local function place(at)
  local first = first_of(at)
  local last = backward.scored_node(at.run, at.score, at.modifiers)
  local nodes = between(at, first, last)
  local found, reached = gradients(at, first, nodes), nil
  if not found[first] or not is_zero(found[first]) then return nil end
  for i = #nodes, 1, -1 do -- the first of all that a gradient reaches
    if not is_zero(found[nodes[i].layer.name]) then reached = nodes[i].layer end
  end
  if reached then
    return ("the gradient dies at '%s' (%s)%s"):format(reached.name, reached.kind,
           remedy(at, reached, found[reached.name]))
  end
  local scored = #nodes > 0 and nodes[#nodes].layer.name or first
  return ("no gradient reaches %s: the score does not change with the values of '%s'"
    ):format(at.layer and first or "the picture", scored)
end


-- other causes -----------------------------------------------------------------------


---That all values of the layer are 0.
local function silence(at)
  local value = at.layer and at.run:activation(at.layer.name)
  if not value or not is_zero(value:rows(at.image)) then return nil end
  return ("'%s' (%s) is silent: all its values are 0; an earlier layer may not be"
    ):format(at.layer.name, at.layer.kind)
end


---@param at lunette.Asked
---@return string?
local function cause(at)
  if not at.score then return silence(at) end
  local sure = saturated.at(at.run, at.score, at.modifiers, at.image)
  return saturated.told(sure, true) or place(at) or silence(at)
end


-- who is asked -----------------------------------------------------------------------


---The same cause for all of some pictures, each alone; nil where one of them has none.
local function of_pictures(run, o, ask, image, list)
  local why
  for _, picture in ipairs(list) do
    local x = picture()
    local shape = x:shape()
    if #shape == #run.images:shape() - 1 then x = x:view(1, table.unpack(shape)) end
    local part <close> = run.net:run(x, { modifiers = apply.forward(o.modifiers, run) })
    local score = ask.score and scores.resolve(ask.score, run):take(image)
    local own = cause { run = part, image = 1, score = score, layer = ask.layer,
                        modifiers = ask.modifiers }
    if not own then return nil end
    why = why or own
  end
  return why
end


---@param run lunette.Run
---@param o table     options of a method: score, modifiers
---@param image integer
---@param k? integer  which of the call's scores (1)
---@param layer? lunette.Layer   whose map it is; nil: the picture's
---@return string?    nil where it cannot be said
function M.why(run, o, image, k, layer)
  local ask = { score = o.score, modifiers = o.modifiers or {}, layer = layer }
  local known = witness.of(run, k or 1, image)
  if known and next(known.makers) then
    return of_pictures(run, o, ask, image, witness.copies(known))
  end
  if run.start or run:count() == 1 and not forward.is_released(run) then
    ask.run, ask.image = run, image
    return cause(ask)
  end
  local function picture() return run.images:rows(image) end
  return of_pictures(run, o, ask, image, { picture })
end

return M
