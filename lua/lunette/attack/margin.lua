---What an attack minimises: the lead of a picture's class over the next one; with a
---target, the next one's lead over the target. Below 0 the attack has succeeded. It is
---measured on logits: a saturated softmax has no gradient.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local named = require "lunette.modifiers.named"
local probability = require "lunette.score.probability"
local scores = require "lunette.score"

local M = {}


---`linear` where the network ends in probabilities.
---@param net lunette.Net
---@return lunette.Modifier[]
function M.modifiers(net)
  local layers = net:layers()
  local kind = probability.kind(net, layers[#layers])
  return named.list(kind ~= "values" and { "linear" } or {})
end


local function one_hot(classes, n, count)
  local hot = core.zeros(n, count)
  for i = 1, n do hot:set(i, (classes[i] or classes[1]) + 1, 1) end
  return hot
end


---1 for class 1, -1 for class 0: (n,1).
local function signs(classes, n)
  local list = core.zeros(n, 1)
  for i = 1, n do list:set(i, 1, 2 * (classes[i] or classes[1]) - 1) end
  return list
end


---The lead of a class over the largest other one, as a score. Of a single unit, its
---value (class 1) or the negative one (class 0).
---@param classes integer[]   one a sample of the batch, or one for all
---@return lunette.Score
function M.lead(classes)
  return scores.new("lead", function(output)
    local n, count = output:dim(1), output:dim(2)
    if count == 1 then return output * signs(classes, n) end
    local hot = one_hot(classes, n, count)
    local own = (output * hot):sum { dims = { 2 }, keepdims = 1 }
    return own - (output + hot * -1e30):max { dims = { 2 }, keepdims = 1 }
  end)
end


---@class lunette.Goal
---@field classes integer[]    of the pictures; with `targeted` the targets
---@field targeted boolean
local Goal = {}
Goal.__index = Goal


---@param classes integer[]
---@param target? integer
---@return lunette.Goal
function M.goal(classes, target)
  local list = {}
  for i, class in ipairs(classes) do list[i] = target or class end
  return setmetatable({ classes = list, targeted = target ~= nil }, Goal)
end


---The goal of some of the pictures, by their numbers in the batch.
---@param places integer[]
---@return lunette.Goal
function Goal:take(places)
  local list = {}
  for k, i in ipairs(places) do list[k] = self.classes[i] end
  return setmetatable({ classes = list, targeted = self.targeted }, Goal)
end


---The quantity to minimise, one value a picture, and its gradient by the input.
---@param net lunette.Net
---@param x lunette.Tensor      (N,C,H,W)
---@param with_gradient boolean
---@return number[] values, lunette.Tensor? gradient
function Goal:ask(net, x, with_gradient)
  local run <close> = net:run(x, { modifiers = M.modifiers(net),
                                   keep = with_gradient })
  if run.output:dim() ~= 2 or run.output:dim(2) < 2 then
    blame "attack: the network's output is no list of classes"
  end
  local score, sign = M.lead(self.classes), self.targeted and -1 or 1
  local values = (run:values(score) * sign):view(x:dim(1)):totable()
  if not with_gradient then return values end
  return values, run:gradient { score = score } * sign
end

return M
