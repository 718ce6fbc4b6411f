---What a score is: a function of the scored layer's output, with a name.
local blame = require "lunette.base.blame"
local classes = require "lunette.score.classes"
local strict = require "lunette.base.strict"

local M = {}

---Functions that make scores, with their names: one given uncalled is a mistake.
---@type table<function, string>
M.makers = setmetatable({}, { __mode = "k" })

---@class lunette.Score
---@field name string
---@field fn fun(output: lunette.Tensor, run: lunette.Run, score: lunette.Score,
---  layer: lunette.Layer): lunette.Tensor   `layer` put out `output`
---@field layer? string|false   scored layer; default: an output of the run
---@field output? string    which of several outputs
---@field classes? any      of categorical scores: ids, names, "predicted"
---@field parts? lunette.Score[]   scores that it is made of
---@field rows? false|fun(i: integer): function   `fn` of sample i, of what is one each
---@field weights? number[]  of the parts of a sum
---@field spread? boolean    the parts look at different layers: they are differentiated
---  one by one
local Score = strict.class("score", {})
Score.__index = Score
Score.__name = "lunette.Score"
M.class = Score

function Score.__tostring(s) return "score " .. s.name end


---The score with some fields replaced, and every part changed by `f`.
---@param score lunette.Score
---@param fields table
---@param f fun(part: lunette.Score): lunette.Score
---@return lunette.Score
function M.changed(score, fields, f)
  local copy = {}
  for key, value in pairs(score) do copy[key] = value end
  for key, value in pairs(fields) do copy[key] = value end
  if score.parts then copy.parts = {} end
  for i, part in ipairs(score.parts or {}) do copy.parts[i] = f(part) end
  return setmetatable(copy, Score)
end


---A score from any function of the output.
---@param name string
---@param fn fun(output: lunette.Tensor, run: lunette.Run): lunette.Tensor
---@param layer? string
---@return lunette.Score
function M.new(name, fn, layer)
  return setmetatable({ name = name, fn = fn, layer = layer }, Score)
end


---A score of the same layer, or output, as another one.
---@param score lunette.Score
---@param name string
---@param fn fun(output: lunette.Tensor, run: lunette.Run, score: lunette.Score,
---  layer: lunette.Layer): lunette.Tensor
---@return lunette.Score
function M.over(score, name, fn)
  local new = M.new(name, fn, score.layer)
  new.output = score.output
  return new
end


---The same score of another output, where a network has several.
---@param output string   its name
---@return lunette.Score
function Score:on(output)
  if type(output) ~= "string" then
    blame("score:on: expected an output's name, got " .. type(output))
  end
  local name = ("%s on %s"):format(self.name, output)
  return M.changed(self, { name = name, output = output, layer = false }, function(part)
    return part:on(output)
  end)
end


---The score of sample i alone, for batches of copies of this sample: where classes,
---masks or values are given one a sample, number i is taken. Call `lu.score.resolve`
---first; otherwise "predicted" is predicted anew for every batch.
---@param i integer   from 1
---@return lunette.Score
function Score:take(i)
  local list = self.classes and classes.list(self.classes)
  local fields = { fn = self.rows and self.rows(i) or self.fn, rows = false }
  if list and #list > 1 then
    if not list[i] then
      blame(("score: there are classes of %d samples, none of %d"):format(#list, i))
    end
    fields.classes = { list[i] }
    local on = self.output and " on " .. self.output or ""
    fields.name = ("categorical(%s)%s"):format(list[i], on)
  end
  return M.changed(self, fields, function(part) return part:take(i) end)
end


---Is that a score?
---@param what any
---@return boolean
function M.is(what) return getmetatable(what) == Score end


---The list, where what scripts write is K scores: { scores = list }, or a list of
---scores and functions. A list of classes is one score, one class a sample.
---@param what any
---@return any[]?
function M.several(what)
  if type(what) ~= "table" or M.is(what) then return nil end
  if what.scores then return what.scores end
  local first = what[1]
  return (M.is(first) or type(first) == "function") and what or nil
end


return M
