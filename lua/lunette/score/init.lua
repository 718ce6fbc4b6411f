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
local brief = require("lunette.base.text").brief
local classes = require "lunette.score.classes"
local core = require "lunette.core"
local is_tensor = require("lunette.base.options").is_tensor
local objectives = require "lunette.score.objectives"
local of = require "lunette.score.of"
local scores = require "lunette.score.score"

local M = { new = scores.new, of = of.of, categorical = of.categorical }
for name, maker in pairs(objectives) do M[name] = maker end


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
  local one = M.of(what)
  local ids = one.classes and classes.ids(run, one.classes, one.output)
  return scores.changed(one, { classes = ids }, function(part)
    return M.resolve(part, run)
  end)
end


-- classes ----------------------------------------------------------------------


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
  local name = ("contrast(%s, %s)"):format(of.class_text(a), of.class_text(b))
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
    blame("segment: expected a mask (H,W) or (N,H,W), got " .. brief(mask))
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
---@param value boolean|boolean[]   true or false, for all or a list of one each
---@return lunette.Score
function M.binary(value)
  check_binary(value)
  local many = type(value) == "table"
  local text = many and "one each" or brief(value)
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


for name, maker in pairs(M) do scores.makers[maker] = name end

return M
