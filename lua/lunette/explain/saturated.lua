---Is a softmax or sigmoid so sure that hardly any gradient comes through it?
local probability = require "lunette.score.probability"
local scored = require "lunette.net.scored"
local scores = require "lunette.score"

local M = {}

local SURE = 0.9999 -- a probability above
local LEAST = 1e-6  -- a share of the logit's gradient below


---By what the logit's own gradient is multiplied, where p is the class's probability.
local function share(kind, p) return kind == "log_softmax" and 1 - p or p * (1 - p) end


---The probabilities (N,K) that a score looks at, and the layer that makes them; nil
---where it looks at other values, or at several layers.
local function looked_at(run, score, modifiers)
  if score.spread then return nil end
  local layer = scored.layer(run, score, modifiers)
  local kind = probability.kind(run.net, layer)
  local value = kind ~= "values" and run:preactivation(layer.name)
  local p = value and probability.of(run.net, layer, value:detach())
  if not p or p:dim() ~= 2 then return nil end
  return p, probability.activation(run.net, layer).kind
end


---The probability of the class of a sample; nil where the score is of none.
local function own_of(p, ids, image)
  local class = ids and ids[image] + 1
  return class and class <= p:dim(2) and p:get(image, class) or nil
end


---Why hardly any gradient of the score comes back, as text: the largest probability is
---over 0.9999 (of a sigmoid and a log softmax the explained class's), or the gradient
---of that class's logit is multiplied by less than 1e-6. Nil where neither holds.
---@param run lunette.Run
---@param score lunette.Score
---@param modifiers? lunette.Modifier[]
---@param image integer
---@return string?
function M.at(run, score, modifiers, image)
  score, modifiers = scores.resolve(score, run), modifiers or {}
  local p, kind = looked_at(run, score, modifiers)
  if not p then return nil end
  local own = own_of(p, scored.ids(run, score, modifiers), image)
  -- of a function nothing is known: it may take a logarithm
  local most = kind == "softmax" and (own or score.parts) and p:rows(image):stats().max
    or own
  local why
  if most and most > SURE then
    why = "p > 0.9999"
  elseif own and share(kind, own) < LEAST then
    why = ("p = %.2g of that class: the gradient is below 1e-6 of the logit's"):format(
      own)
  end
  return why and ("the %s is saturated (%s)"):format(kind:gsub("_", " "), why)
end


---The same with what follows from it and the remedy.
---@param sure string?     of `at`
---@param slopes? boolean  of a method that asks for gradients
---@return string?
function M.told(sure, slopes)
  return sure and ("%s, and hardly %s; give the modifier \"linear\""):format(sure,
    slopes and "any gradient comes through it" or "anything changes it")
end

return M
