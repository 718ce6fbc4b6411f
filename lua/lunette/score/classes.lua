---Class ids of samples from what people write: ids, numerals, names, "predicted".
local blame = require "lunette.base.blame"
local brief = require("lunette.base.text").brief
local probability = require "lunette.score.probability"

local M = {}


---Classes as a list: one for all samples, or one each.
---@param classes any
---@return any[]
function M.list(classes)
  return type(classes) == "table" and classes or { classes }
end


---Does a list of classes contain what only the run can tell?
---@param classes any
---@return boolean
function M.has_predicted(classes)
  for _, c in ipairs(M.list(classes)) do
    if c == "predicted" then return true end
  end
  return false
end


---The most probable class of every sample: the largest probability, or the largest
---value where the output is none (of maps: of their means).
---@param run lunette.Run
---@param output? string   of which output
---@return integer[]
local function predicted(run, output)
  local p = run:probabilities(output) or run.outputs[output] or run.output
  local ids = {}
  if p:dim() == 4 then p = p:mean { dims = { 3, 4 } } end
  for i = 1, p:dim(1) do ids[i] = p[i]:argmax() - 1 end
  return ids
end


---One id from a number, a numeral or a name.
local function id_of(run, what)
  local number = tonumber(what)
  local id = math.tointeger(number)
  if id then return id end
  if number then
    blame(("score: expected a class id or name, got %s"):format(brief(what)))
  end
  local found, message = require("lunette.score.labels").find(what, run.net)
  return found or blame(message)
end


---Raises unless there is one class for all n samples, or one each.
---@param list any[]
---@param n integer
function M.check_count(list, n)
  if #list == 1 or #list == n then return end
  blame(("score: %d classes for %d images; give one for all or one each"):format(
        #list, n))
end


---Is a text with commas one of the network's classes ("hen, biddy"), not a list?
local function is_name(text, net)
  for _, name in ipairs(require("lunette.score.labels").of(net) or {}) do
    if name == text then return true end
  end
  return false
end


---Ids instead of names and "predicted": one for all samples where one was given,
---else one each.
---@param run lunette.Run
---@param classes any
---@param output? string   of which output
---@return integer[]
function M.ids(run, classes, output)
  local list, ids = M.list(classes), {}
  if list.whole and is_name(list.whole, run.net) then list = { list.whole } end
  M.check_count(list, run:count())
  local best = M.has_predicted(list) and predicted(run, output)
  for i = 1, best and #best or #list do
    local what = list[#list == 1 and 1 or i]
    ids[i] = what == "predicted" and best[i] or id_of(run, what)
  end
  return ids
end


---Are all ids below `count`?
---@param ids integer[]
---@param count integer
---@param name string   whose classes they are
---@return boolean? ok, string? message
function M.check_range(ids, count, name)
  for _, id in ipairs(ids) do
    if id < 0 or id >= count then
      return nil, ("score: class %d is outside 0 .. %d of %s"):format(id, count - 1,
                                                                     name)
    end
  end
  return true
end


---Does the score ask for the most probable class?
---@param score lunette.Score
---@return boolean
function M.predicts(score)
  for _, part in ipairs(score.parts or {}) do
    if M.predicts(part) then return true end
  end
  return score.classes ~= nil and M.has_predicted(score.classes)
end


---The ids that a categorical score stands for in this run (for captions).
---@param score lunette.Score
---@param run lunette.Run
---@return integer[]? ids   one a sample; nil for other scores, and where a modifier
---  scores a layer that has no such classes
function M.of(score, run)
  if not score.classes then return nil end
  local ok, ids = pcall(M.ids, run, score.classes, score.output)
  if not ok then return nil end
  for i = #ids + 1, run:count() do ids[i] = ids[1] end
  local layer = run.output_layers[score.output] or run.output_layer
  local count = probability.binary(run.net, layer) and 2 or layer.shape[1] or 0
  return M.check_range(ids, count, run.net.name) and ids or nil
end

return M
