---Which output a score is of, which layer it is computed from, and whether its classes
---are those of the output.
local apply = require "lunette.modifiers.apply"
local blame = require "lunette.base.blame"
local classes = require "lunette.score.classes"
local probability = require "lunette.score.probability"

local M = {}


---The layer of the output that a score looks at: the one it names, else the first. Of a
---sum over several outputs it is that of the first part. Raises where the run has no
---such output.
---@param run lunette.Run
---@param score lunette.Score   resolved or not
---@return lunette.Layer
function M.output(run, score)
  local one = score.spread and score.parts[1] or score
  local layer = run.output_layers[one.output or run.output_names[1]]
  return layer or blame(("score '%s': there is no output '%s' in this run (there are: "
    .. "%s)"):format(score.name, one.output, table.concat(run.output_names, ", ")))
end


---The layer whose values a score is a function of: the one that it names, else its
---output, or what forward modifiers (`linear`, `extract`) put in its place.
---@param run lunette.Run
---@param score lunette.Score
---@param mods lunette.Modifier[]
---@return lunette.Layer
function M.layer(run, score, mods)
  local target = apply.target(run.net, M.output(run, score), mods, run)
  if not score.layer then return target end
  local layer, message = run.net:activated(score.layer)
  return layer or blame(message)
end


---The output of whose classes a score is; nil where it is of another layer's values, as
---under `extract`.
---@param run lunette.Run
---@param score lunette.Score
---@param mods lunette.Modifier[]
---@return lunette.Layer?
function M.classified(run, score, mods)
  if score.layer or not score.classes then return nil end
  local output, target = M.output(run, score), M.layer(run, score, mods)
  if target == output then return output end
  local last = probability.layer(run.net, target)
  return last and last == probability.layer(run.net, output) and output or nil
end


---The classes that a score is of, one a sample; nil: it is of none.
---@param run lunette.Run
---@param score lunette.Score
---@param mods lunette.Modifier[]
---@return integer[]? ids
function M.ids(run, score, mods)
  return M.classified(run, score, mods) and classes.of(score, run) or nil
end


return M
