---Scores: what is explained. A score turns the scored layer's output, a tensor on
---a tape, into one value a sample (or several, which count by their mean).
---Class ids are the data set's own numbers, from 0: ImageNet's hen is 8.
---
---Names and "predicted" mean something in one run only: `resolve` turns them into
---ids there, and `score:take(i)` is the score of one of its samples. So copies of a
---picture (noisy, masked) are explained by what the picture itself was:
---
---  local one = lu.score.resolve(what, run):take(i)
local blame = require "lunette.base.blame"
local classes = require "lunette.score.classes"
local core = require "lunette.core"
local is_tensor = require("lunette.base.options").is_tensor
local of_classes = require "lunette.score.values"
local probability = require "lunette.score.probability"

local M = {}

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
local Score = {}
Score.__index = Score
Score.__name = "lunette.Score"


function Score.__tostring(s) return "score " .. s.name end


---The score with some fields replaced, and every part changed by `f`.
local function changed(score, fields, f)
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


---The same score of another output, where a network has several.
---@param output string   its name
---@return lunette.Score
function Score:on(output)
  if type(output) ~= "string" then
    blame("score:on: expected an output's name, got " .. type(output))
  end
  local name = ("%s on %s"):format(self.name, output)
  return changed(self, { name = name, output = output, layer = false }, function(part)
    return part:on(output)
  end)
end


---The score of sample i alone, for batches that repeat this sample: of classes,
---masks and values that are given one each, those of i. Resolve the score before,
---or "predicted" is predicted anew in every batch.
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
    fields.name = ("categorical(%s)"):format(list[i])
  end
  return changed(self, fields, function(part) return part:take(i) end)
end


---Does the score ask for the most probable class?
---@param score lunette.Score
---@return boolean
function M.predicts(score)
  for _, part in ipairs(score.parts or {}) do
    if M.predicts(part) then return true end
  end
  return score.classes ~= nil and classes.has_predicted(score.classes)
end


---The same score with class ids where it has names or "predicted", as they are in
---this run: of every kind of score, once. Its name stays as it was written.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(2).images))
---  local score = lu.score.resolve(lu.score.contrast("predicted", 3), run)
---  print(run:values(score))
---@param what any            as `lu.score.of` takes it
---@param run lunette.Run
---@return lunette.Score
function M.resolve(what, run)
  local score = M.of(what)
  local ids = score.classes and classes.ids(run, score.classes, score.output)
  return changed(score, { classes = ids }, function(part)
    return M.resolve(part, run)
  end)
end


---The ids that a categorical score stands for in this run (for captions).
---@param score lunette.Score
---@param run lunette.Run
---@return integer[]? ids   one a sample; nil for other scores, and where a modifier
---  scores a layer that has no such classes
function M.classes(score, run)
  if not score.classes then return nil end
  local ok, ids = pcall(classes.ids, run, score.classes, score.output)
  if not ok then return nil end
  for i = #ids + 1, run:count() do ids[i] = ids[1] end
  local layer = run.output_layers[score.output] or run.output_layer
  local count = probability.binary(run.net, layer) and 2 or layer.shape[1] or 0
  return classes.check_range(ids, count, run.net.name) and ids or nil
end


-- classes ----------------------------------------------------------------------


local function split(what)
  if type(what) ~= "string" or not what:find(",", 1, true) then return what end
  local list = {}
  for word in what:gmatch "[^,]+" do
    list[#list + 1] = word:match "^%s*(.-)%s*$"
  end
  return list
end


---Every class must be an id or a name; gives them as text.
local function class_text(what)
  local words = {}
  for i, c in ipairs(classes.list(what)) do
    if type(c) ~= "number" and type(c) ~= "string" then
      blame(("score: expected a class id or name, got %s"):format(type(c)))
    end
    words[i] = tostring(c)
  end
  if #words == 0 then blame "score: no class is given" end
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
  local score = M.new("categorical(" .. class_text(what) .. ")", of_classes)
  score.classes = what
  return score
end


---Class a against class b: the difference of their outputs.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.saliency(run, { score = lu.score.contrast(2, 3) }))
---@param a integer|string   class id or name
---@param b integer|string
---@return lunette.Score
function M.contrast(a, b)
  local parts = { M.categorical(a), M.categorical(b) }
  local name = ("contrast(%s, %s)"):format(class_text(a), class_text(b))
  local score = M.new(name, function(output, run, self, layer)
    local one, other = self.parts[1], self.parts[2]
    return one.fn(output, run, one, layer) - other.fn(output, run, other, layer)
  end)
  score.parts = parts
  return score
end


---The masks (1 or N, 1, H, W) for an output (N,K,H,W).
local function masks_for(mask, output)
  if output:dim() ~= 4 then blame "segment: the output has no height and width" end
  local n, h, w, size = output:dim(1), output:dim(3), output:dim(4), mask:shape()
  if size[#size] ~= w or size[#size - 1] ~= h then
    blame(("segment: the mask is (%s), the output (%d,%d)"):format(
          table.concat(size, ","), h, w))
  end
  local count = mask:size() // (h * w)
  if count ~= 1 and count ~= n then
    blame(("segment: %d masks for %d samples; give one for all or one each"):format(
          count, n))
  end
  return mask:view(count, 1, h, w)
end


local function under(mask)
  return function(output, run, self, layer)
    local m, class = masks_for(mask, output), self.parts[1]
    return class.fn(output * m, run, class, layer) * (output:dim(3) * output:dim(4))
  end
end


---Sum of a class's output over the pixels of a mask, for networks with (N,K,H,W).
---@param mask lunette.Tensor   (H,W), or (N,H,W) for one each, 0..1
---@param class integer|string
---@return lunette.Score
function M.segment(mask, class)
  if not is_tensor(mask) or mask:dim() < 2 or mask:dim() > 3 then
    blame("segment: expected a mask (H,W) or (N,H,W), got " .. tostring(mask))
  end
  local score = M.new("segment", under(mask))
  score.parts = { M.categorical(class) }
  if mask:dim() == 3 and mask:dim(1) > 1 then
    score.rows = function(i) return under(mask:narrow { dim = 1, start = i,
                                                        length = 1 }) end
  end
  return score
end


-- others -----------------------------------------------------------------------


local function check_binary(value)
  for _, v in ipairs(type(value) == "table" and value or { value }) do
    if type(v) ~= "boolean" then
      blame(("binary: expected true or false, or a list of them, got %s"):format(
            type(v)))
    end
  end
  if value == nil or type(value) == "table" and #value == 0 then
    blame "binary: expected true or false, or a list of them"
  end
end


local function signed(list)
  return function(output)
    local n = output:dim(1)
    if #list ~= 1 and #list ~= n then
      blame(("binary: %d values for %d samples"):format(#list, n))
    end
    if output:size() ~= n then
      blame(("binary: the output has %d values a sample, expected 1"):format(
            output:size() // n))
    end
    local sign = core.zeros(output:shape())
    local flat = sign:view(n)
    for i = 1, n do flat[i] = list[#list == 1 and 1 or i] and 1 or -1 end
    return output * sign
  end
end


---(2b-1) * output, for networks with one output a sample (N,1).
---@param value boolean|boolean[]
---@return lunette.Score
function M.binary(value)
  check_binary(value)
  local many = type(value) == "table"
  local text = many and "one each" or tostring(value)
  local score = M.new("binary(" .. text .. ")", signed(many and value or { value }))
  score.rows = many and function(i) return signed { value[i] } end or nil
  return score
end


---Zero everywhere: a control.
---@return lunette.Score
function M.inactive()
  return M.new("inactive", function(output) return output * 0 end)
end


---One unit of a layer (channel k from 1; the mean over pixels).
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.saliency(run, { score = lu.score.unit("block4_conv3", 5) }))
---@param layer string
---@param k integer
---@return lunette.Score
function M.unit(layer, k)
  if type(layer) ~= "string" or not math.tointeger(k) then
    blame "unit: expected a layer's name and a channel (from 1)"
  end
  return M.new(("unit(%s, %d)"):format(layer, k), function(output)
    if k < 1 or k > output:dim(2) then
      blame(("unit: layer '%s' has channels 1 .. %d, not %d"):format(layer,
            output:dim(2), k))
    end
    local one = output:narrow { dim = 2, start = k, length = 1 }
    if output:dim() == 4 then return one:mean { dims = { 3, 4 } } end
    return one
  end, layer)
end


---The list, where what scripts write is K scores: { scores = list }, or a list of
---scores and functions. A list of classes is one score, one class a sample.
---@param what any
---@return any[]?
function M.several(what)
  if type(what) ~= "table" or getmetatable(what) == Score then return nil end
  if what.scores then return what.scores end
  local first = what[1]
  return (getmetatable(first) == Score or type(first) == "function") and what or nil
end


---A maker of scores, as `lu.score.unit`, where a score is wanted.
local function check_called(what)
  for name, f in pairs(M) do
    if f == what then
      blame(("score: lu.score.%s makes a score; call it: lu.score.%s(...)"):format(
            name, name))
    end
  end
end


---A score from what scripts write: a score, a function, or a class.
---@param what any
---@return lunette.Score
function M.of(what)
  if type(what) == "table" and getmetatable(what) == Score then return what end
  if type(what) == "function" then
    check_called(what)
    return M.new("function", what)
  end
  if type(what) == "number" or type(what) == "string" or type(what) == "table" then
    return (M.categorical(what))
  end
  blame(("score: expected a class, a score or a function, got %s"):format(
        is_tensor(what) and "a tensor; give ids as a list" or type(what)))
end

require "lunette.score.objectives"(M, Score)

return M
