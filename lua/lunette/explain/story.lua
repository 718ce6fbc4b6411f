---Stories: what a map says of how it was made.
local apply = require "lunette.modifiers.apply"
local core = require "lunette.core"
local forward = require "lunette.net.forward"
local options = require "lunette.base.options"
local probability = require "lunette.score.probability"
local scored = require "lunette.net.scored"
local several = require "lunette.explain.several"
local shared = require "lunette.explain.shared"

local M = {}


---How many nodes each modifier changed: the forward ones in the run, the backward
---ones in this call.
---@return table<string, integer>   empty where there are no modifiers
function M.changed_nodes(run, list, layer)
  -- copies are run instead of this one, and no gradient asked of them
  if forward.is_released(run) then return run.changed end
  local first = layer and run:node(layer.name)
  local nodes = forward.nodes(run, first and first.id)
  local _, changed = apply.rules(run, nodes, list)
  for name, n in pairs(run.changed) do changed[name] = n end
  return changed
end


---A value of an option as a story tells it.
function M.told(value)
  if options.is_tensor(value) then
    return ("tensor (%s)"):format(table.concat(value:shape(), ","))
  end
  if type(value) == "function" then return "function" end
  if type(value) ~= "table" then return value end
  if value.name then return value.name end
  local list = {}
  for i, v in ipairs(value) do list[i] = M.told(v) end
  return list
end


---Is the option told elsewhere, or of no effect?
local function told_apart(key, option)
  return option.type == "score" or key == "modifiers" or option.effect == false
    or shared.several[key] ~= nil
end


---What a row's own options were; false and empty ones are not told.
local function tell_options(row, o, story)
  for key, option in pairs(row.options) do
    local apart = told_apart(key, option)
      or o.raw and (key == "dialect" or key == "normalize")
    local value = o[key]
    local said = value ~= nil and value ~= false
      or option.type == "flag" and option.default
    if said and not apart then story[key] = M.told(value) end
  end
end


---@return string[]
local function modifier_names(list)
  local names = {}
  for i, m in ipairs(list) do names[i] = m.name end
  return names
end


---What classes of an output are called, one each.
local function class_names(net, output, ids)
  local names, known = {}, probability.names(net, output)
  for i, id in ipairs(ids) do names[i] = known[id + 1] or "class " .. id end
  return names
end


---The score of a call, the output that it looks at, and the classes, where it is of
---any. `scored`: the layer that it is of instead, where a modifier chose another one.
local function tell_one(run, o, story)
  local score, output = o.score, scored.output(run, o.score)
  story.score, story.output = score.name, output.name
  if score.layer or not score.classes then return end
  if not scored.classified(run, score, o.modifiers) then
    story.scored = scored.layer(run, score, o.modifiers).name
    return
  end
  story.classes = scored.ids(run, score, o.modifiers)
  story.class_names = story.classes and class_names(run.net, output, story.classes)
end


---Score, classes and modifiers, where the method has them.
local function tell_score(row, run, o, story)
  if row.options.modifiers then
    local layer = o.layer and o.layer.name and row.walks_to_layer and o.layer or nil
    local changed = o.changed or M.changed_nodes(run, o.modifiers, layer)
    story.modifiers = modifier_names(o.modifiers)
    story.changed_nodes = next(changed) and changed or nil
  end
  if row.options.score and o.scores then
    several.tell(run, o, story)
  elseif row.options.score then
    tell_one(run, o, story)
  end
end


---Does a story's score name an output, other than by looking at the first one? That
---output.
---@param story table
---@return string? output
function M.named_output(story)
  local output = story.output
  if type(story.score) ~= "string" or type(output) ~= "string" then return nil end
  local tail = " on " .. output
  return story.score:sub(-#tail) == tail and output or nil
end


---The score of the classes that a map says it explains, of their output.
---@param map lunette.Tensor
---@return lunette.Score? score   nil: it names none
function M.score_of(map)
  local story = map.story or {}
  local told = story.classes
  if type(told) ~= "table" or not told[1] then return nil end
  local score, output = require("lunette.score").of(told), M.named_output(story)
  return output and score:on(output) or score
end


---What map `at` explains, where that is a class: of the classes of its picture, else
---its id and the name that is given.
---@param story table
---@param ranking? table[]   of run:top
---@param at integer
---@param name? string       of a class that is not among them
---@return table? class
function M.class_of(story, ranking, at, name)
  local id = (story.classes or {})[at]
  for _, c in ipairs(id and ranking or {}) do
    if c.class == id then return c end
  end
  return id and { class = id, name = name or "channel " .. id } or nil
end


---Attaches what is needed to make the map again.
---@param row lunette.Method
---@param map lunette.Tensor
---@param run lunette.Run
---@param o table       the call's options
---@param facts table   the method's own; false takes a key out
---@return lunette.Tensor map
function M.tell(row, map, run, o, facts)
  local build = core.build()
  local story = {
    method = row.name, draws = row.draws, model = run.net.name, weights = run.net.path,
    weights_sha256 = run.net.meta.source_sha256, output = run.output_layer.name,
    version = build.version, commit = build.commit, isa = build.isa,
    images = run.images.names,
  }
  for key, value in pairs(run.images.prepared or {}) do story[key] = value end
  tell_options(row, o, story)
  tell_score(row, run, o, story)
  for key, value in pairs(facts) do
    if value == false then value = nil end
    story[key] = value
  end
  map.story = story
  map.origin = { row = row, opts = o.given, net = run.net, images = run.images,
                 run_modifiers = run.modifiers }
  return map
end

return M
