---Scores: what is explained. A score turns the scored layer's output, a tensor on
---a tape, into one value a sample (or several, which count by their mean).
---Class ids are the data set's own numbers, from 0: ImageNet's hen is 8.
local core = require "lunette.core"

local M = {}

---@class lunette.Score
---@field name string
---@field fn fun(output: lunette.Tensor, run: lunette.Run): lunette.Tensor
---@field layer? string   scored layer; default: the run's output
local Score = {}
Score.__index = Score
Score.__name = "lunette.Score"


function Score.__tostring(s) return "score " .. s.name end


---A score from any function of the output.
---@param name string
---@param fn fun(output: lunette.Tensor, run: lunette.Run): lunette.Tensor
---@param layer? string
---@return lunette.Score
function M.new(name, fn, layer)
  return setmetatable({ name = name, fn = fn, layer = layer }, Score)
end


-- class ids --------------------------------------------------------------------


---One id from a number, a numeral, a name or "predicted".
local function class_id(run, what, sample)
  if what == "predicted" then
    local p = run:probabilities()
    if p:dim() == 4 then p = p:mean { dims = { 3, 4 } } end
    return p[sample]:argmax() - 1
  end
  local number = tonumber(what)
  local id = math.tointeger(number)
  if id then return id end
  if number then
    error(("score: expected a class id or name, got %s"):format(tostring(what)), 0)
  end
  local found, message = require("lunette.net.labels").find(what, run.net)
  if not found then error(message, 0) end
  return found
end


---The class of sample i of n: one is for all, or they are one each.
local function class_of(classes, i, n)
  local list = type(classes) == "table" and classes or { classes }
  if #list ~= 1 and #list ~= n then
    error(("score: %d classes for %d images; give one for all or one each"):format(
          #list, n), 0)
  end
  return list[#list == 1 and 1 or i]
end


---Ids for every sample.
local function ids_for(run, classes, n, count)
  local ids = {}
  for i = 1, n do
    ids[i] = class_id(run, class_of(classes, i, n), i)
    if ids[i] < 0 or ids[i] >= count then
      error(("score: class %d is outside 0 .. %d of %s"):format(ids[i], count - 1,
            run.net.name), 0)
    end
  end
  return ids
end


local function split(classes)
  if type(classes) ~= "string" or not classes:find(",", 1, true) then return classes end
  local list = {}
  for word in classes:gmatch "[^,]+" do
    list[#list + 1] = word:match "^%s*(.-)%s*$"
  end
  return list
end


---The ids that a categorical score stands for in this run (for captions).
---@param score lunette.Score
---@param run lunette.Run
---@return integer[]? ids   nil for other scores, and where a modifier scores a
---  layer that has no such classes
function M.classes(score, run)
  if not score.classes then return nil end
  local count = run.output_layer.shape[1] or 0
  local ok, ids = pcall(ids_for, run, score.classes, run:count(), count)
  return ok and ids or nil
end


---Does the score look for the most probable class?
---@param score lunette.Score
---@return boolean
function M.predicts(score)
  local classes = score.classes
  for _, c in ipairs(type(classes) == "table" and classes or { classes }) do
    if c == "predicted" then return true end
  end
  return false
end


---The score of sample i alone, for batches that repeat it.
---@param score lunette.Score
---@param run lunette.Run
---@param i integer
---@return lunette.Score
function M.row(score, run, i)
  if score.row then return score.row(i) end
  if not score.classes then return score end
  return M.categorical(class_id(run, class_of(score.classes, i, run:count()), i))
end


---Every class must be an id or a name; gives them as text.
local function class_text(classes)
  local words = {}
  for i, c in ipairs(type(classes) == "table" and classes or { classes }) do
    if type(c) ~= "number" and type(c) ~= "string" then
      error(("score: expected a class id or name, got %s"):format(type(c)), 3)
    end
    words[i] = tostring(c)
  end
  if #words == 0 then error("score: no class is given", 3) end
  return table.concat(words, ",")
end


---The output of a class, one for all samples or one each. Output (N,K) or
---(N,K,H,W), of which the mean over pixels counts (as tf-keras-vis).
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.saliency(run, { score = lu.score.categorical(3) }))
---@param classes integer|string|table   id, name, "predicted", "8,21", or a list
---@return lunette.Score
function M.categorical(classes)
  classes = split(classes)
  local name = "categorical(" .. class_text(classes) .. ")"
  local score = M.new(name, function(output, run)
    local shape = output:shape()
    if #shape < 2 then error("categorical: the output is no list of classes", 0) end
    local index = ids_for(run, classes, shape[1], shape[2])
    if #shape == 2 then
      for i, id in ipairs(index) do index[i] = { id + 1 } end
      return output:gather(core.tensor(index), { dim = 2 })
    end
    local mask = core.zeros(shape[1], shape[2], 1, 1)
    for i, id in ipairs(index) do mask:set(i, id + 1, 1, 1, 1) end
    return (output * mask):sum { dims = { 2 } }:mean { dims = { 2, 3 } }
  end)
  score.classes = classes
  return score
end


---(2b-1) * output, for networks with one output a sample (N,1).
---@param value boolean|boolean[]
---@return lunette.Score
function M.binary(value)
  local many = type(value) == "table"
  local text = many and "one each" or tostring(value)
  local score = M.new("binary(" .. text .. ")", function(output)
    if many and #value ~= output:dim(1) then
      error(("binary: %d values for %d samples"):format(#value, output:dim(1)), 0)
    end
    if output:size() ~= output:dim(1) then
      error(("binary: the output has %d values a sample, expected 1"):format(
            output:size() // output:dim(1)), 0)
    end
    local sign = core.zeros(output:shape())
    local flat = sign:view(output:dim(1))
    for i = 1, output:dim(1) do
      local v = value
      if many then v = value[i] end
      flat[i] = v and 1 or -1
    end
    return output * sign
  end)
  score.row = many and function(i) return M.binary(value[i]) end or nil
  return score
end


---Zero everywhere: a control.
---@return lunette.Score
function M.inactive()
  return M.new("inactive", function(output) return output * 0 end)
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
  local sa, sb = M.categorical(a), M.categorical(b)
  return M.new(("contrast(%s, %s)"):format(a, b), function(output, run)
    return sa.fn(output, run) - sb.fn(output, run)
  end)
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
    error("unit: expected a layer's name and a channel (from 1)", 2)
  end
  return M.new(("unit(%s, %d)"):format(layer, k), function(output)
    if k < 1 or k > output:dim(2) then
      error(("unit: layer '%s' has channels 1 .. %d, not %d"):format(layer,
            output:dim(2), k), 0)
    end
    local one = output:narrow { dim = 2, start = k, length = 1 }
    if output:dim() == 4 then return one:mean { dims = { 3, 4 } } end
    return one
  end, layer)
end


---Sum of a class's output over the pixels of a mask, for networks with (N,K,H,W).
---@param mask lunette.Tensor   (H,W) or (N,H,W), 0..1
---@param class integer|string
---@return lunette.Score
function M.segment(mask, class)
  local categorical = M.categorical(class)
  return M.new("segment", function(output, run)
    if output:dim() ~= 4 then
      error("segment: the output has no height and width", 0)
    end
    local h, w, size = output:dim(3), output:dim(4), mask:shape()
    if size[#size] ~= w or size[#size - 1] ~= h then
      error(("segment: the mask is (%s), the output (%d,%d)"):format(
            table.concat(size, ","), h, w), 0)
    end
    local m = mask:view(mask:size() // (h * w), 1, h, w)
    return categorical.fn(output * m, run) * (h * w)
  end)
end


---A score from what scripts write: a score, a function, or a class.
---@param what any
---@return lunette.Score
function M.of(what)
  if type(what) == "table" and getmetatable(what) == Score then return what end
  if type(what) == "function" then return M.new("function", what) end
  if type(what) == "number" or type(what) == "string" or type(what) == "table" then
    return (M.categorical(what))
  end
  error(("score: expected a class, a score or a function, got %s"):format(type(what)),
        3)
end

return M
