---Scores of classes, and a score from whatever scripts write for one.
local blame = require "lunette.base.blame"
local classes = require "lunette.score.classes"
local is_tensor = require("lunette.base.options").is_tensor
local of_classes = require "lunette.score.values"
local scores = require "lunette.score.score"
local strict = require "lunette.base.strict"
local told = require("lunette.base.types").told

local M = {}


local function split(what)
  if type(what) ~= "string" or not what:find(",", 1, true) then return what end
  local list = {}
  for word in what:gmatch "[^,]+" do
    list[#list + 1] = word:match "^%s*(.-)%s*$"
  end
  list.whole = what
  return list
end


---Every class must be an id or a name; gives them as text.
function M.class_text(what)
  local words = {}
  for i, c in ipairs(classes.list(what)) do
    if type(c) ~= "number" and type(c) ~= "string" then
      blame(("score: expected a class id or name, got %s"):format(told(c)))
    end
    words[i] = tostring(c)
  end
  if #words == 0 then
    blame 'score: no class is given; it is an id or a name, or a list: { 8, "kite" }'
  end
  return table.concat(words, ",")
end


---The output of a class, one for all samples or one each. Output (N,K) or
---(N,K,H,W), of which the mean over pixels counts (as tf-keras-vis). One unit that
---ends in a sigmoid stands for two classes, 1 and 0.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.saliency(run, { score = lu.score.categorical(3) }))
---@param what integer|string|table   id, name, "predicted", "8,21", or a list
---@return lunette.Score
function M.categorical(what)
  what = split(what)
  local score = scores.new("categorical(" .. M.class_text(what) .. ")", of_classes)
  score.classes = what
  return score
end


---A score from what scripts write: a score, a function, or a class.
---@param what any
---@return lunette.Score
function M.of(what)
  if scores.is(what) then return what end
  if type(what) == "function" then
    local maker = scores.makers[strict.behind(what)]
    if maker then
      blame(("score: lu.score.%s makes a score; call it: lu.score.%s(...)"):format(
            maker, maker))
    end
    return scores.new("function", what)
  end
  local list = type(what) == "table" and getmetatable(what) == nil
  if type(what) == "number" or type(what) == "string" or list then
    return (M.categorical(what))
  end
  blame(("score: expected a class, a score or a function, got %s"):format(
        is_tensor(what) and "a tensor; give ids as a list" or told(what)))
end

return M
