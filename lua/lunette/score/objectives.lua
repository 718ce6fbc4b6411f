---Scores that features are looked for with: one neuron, a direction, a layer's energy,
---the likeness to a given activation; sums of scores, also of different layers; a score
---of its own for every sample.
local blame = require "lunette.base.blame"
local classes = require "lunette.score.classes"
local core = require "lunette.core"
local is_tensor = require("lunette.base.options").is_tensor

local of = require("lunette.score.of").of
local scores = require "lunette.score.score"
local Score = scores.class

local M = {}


-- scores ---------------------------------------------------------------------------


local function check_layer(what, layer)
  if type(layer) ~= "string" then
    blame(("%s: expected a layer's name, got %s"):format(what, type(layer)))
  end
end


---Raises where a neuron is not a channel, or a channel, a row and a column. (Whether
---the layer has it is known when it is asked.)
local function check_place(k, y, x)
  local at = (y ~= nil or x ~= nil) and { k or false, y or false, x or false } or { k }
  for i = 1, math.max(1, #at) do
    if type(at[i]) ~= "number" or not math.tointeger(at[i]) then
      blame "neuron: expected a channel (from 1), or a channel, a row and a column"
    end
  end
end


---One value of one channel; the middle one where no place is given.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  print(run:values(lu.score.neuron("block4_conv3", 5)))
---@param layer string
---@param k integer      channel, from 1
---@param y? integer     row, from 1
---@param x? integer     column, from 1
---@return lunette.Score
function M.neuron(layer, k, y, x)
  check_layer("neuron", layer)
  check_place(k, y, x)
  local at = y and (", %d, %d"):format(y, x) or ""
  return scores.new(("neuron(%s, %d%s)"):format(layer, k, at), function(output)
    local s = output:shape()
    local h, w = s[3] or 1, s[4] or 1
    local row, column = y or h // 2 + 1, x or w // 2 + 1
    if k < 1 or k > s[2] or row < 1 or row > h or column < 1 or column > w then
      blame(("neuron: layer '%s' has (%d,%d,%d) values, none at (%d,%d,%d)"):format(
            layer, s[2], h, w, k, row, column))
    end
    return output:reshape { s[1], s[2] * h * w }:narrow { dim = 2, length = 1,
      start = ((k - 1) * h + row - 1) * w + column }
  end, layer)
end


---The mean over pixels of the channels' product with a direction; with `power` times
---the cosine between them (at least 0.1) to that power, which wants the direction and
---little else (Lucid).
---@param layer string
---@param vector lunette.Tensor   (C)
---@param power? number           (0)
---@return lunette.Score
function M.direction(layer, vector, power)
  check_layer("direction", layer)
  if not is_tensor(vector) then blame "direction: expected a tensor (C)" end
  return scores.new(("direction(%s)"):format(layer), function(output)
    local s = output:shape()
    if vector:size() ~= s[2] then
      blame(("direction: %d numbers for the %d channels of '%s'"):format(
            vector:size(), s[2], layer))
    end
    local flat = output:reshape { s[1], s[2], (s[3] or 1) * (s[4] or 1) }
    local along = core.ops.matmul(vector:view(1, s[2]), flat)
    if (power or 0) > 0 then
      local length = flat:square():sum { dims = { 2 }, keepdims = true }:add(1e-12)
        :sqrt() * math.sqrt(vector:square():sum():item())
      local cosine = core.ops.maximum(along / length, core.full(0.1, 1))
      along = along * cosine:pow(power)
    end
    return along:mean { dims = { 2, 3 } }
  end, layer)
end


---The mean square of a layer: everything that it answers to ("deep dream").
---@param layer string
---@return lunette.Score
function M.energy(layer)
  check_layer("energy", layer)
  return scores.new(("energy(%s)"):format(layer), function(output)
    local n = output:dim(1)
    return output:reshape { n, output:size() // n }:square():mean { dims = { 2 } }
  end, layer)
end


---How near a layer comes to a given activation: -|a - b|^2 / |b|^2 (Mahendran &
---Vedaldi 2015), 0 at best.
---@param layer string
---@param target lunette.Tensor   (1,...) for all samples
---@return lunette.Score
function M.match(layer, target)
  check_layer("match", layer)
  if not is_tensor(target) then blame "match: expected an activation, a tensor" end
  local flat = target:detach():reshape { 1, target:size() }
  local scale = -1 / math.max(flat:square():sum():item(), 1e-12)
  return scores.new(("match(%s)"):format(layer), function(output)
    local n = output:dim(1)
    if output:size() // n ~= flat:size() then
      blame(("match: layer '%s' has %d values, the target %d"):format(layer,
            output:size() // n, flat:size()))
    end
    return (output:reshape { n, flat:size() } - flat):square():sum { dims = { 2 } }
      * scale
  end, layer)
end


---The activation of a layer that a score compares with: of a run, or as it is given.
local function target_of(what, layer, target)
  if type(target) == "table" and target.activation then
    local value, message = target:activation(layer)
    if not value then blame(("%s: %s"):format(what, message)) end
    target = value
  end
  if not is_tensor(target) then
    blame(("%s: expected a run of the other picture, or an activation, a tensor, got "
           .. "%s"):format(what, type(target)))
  end
  return target:detach():reshape { target:dim(1), target:size() // target:dim(1) }
    :clone()
end


---The cosine between what a layer says of each sample and the rows of `flat`, one for
---all samples or one each.
local function cosine_with(flat)
  return function(output, _, _, layer)
    local n, size = output:dim(1), flat:dim(2)
    if output:size() // n ~= size or flat:dim(1) ~= 1 and flat:dim(1) ~= n then
      blame(("similarity: layer '%s' has %d values of %d samples, the other picture's "
        .. "has %d of %d"):format(layer.name, output:size() // n, n, size, flat:dim(1)))
    end
    return output:reshape { n, size }:cosine(flat:expand { n, size }, 2)
  end
end


---How alike a layer finds two pictures: the cosine between its values for the picture
---and for another one, from -1 to 1. Any method explains it: what of this picture makes
---it like that one.
---Example:
---  local net = lu.load "glyphs"
---  local x = net:images(lu.glyphs.default_images(2).images)
---  local other = net:run(x:rows(2))
---  local score = lu.score.similarity("block4_conv3", other)
---  show(lu.saliency(net, x:rows(1), { score = score }))
---@param layer string
---@param target lunette.Run|lunette.Tensor   a run of the other picture, or its
---  activation; of one picture for all samples, or of as many as there are samples
---@return lunette.Score
function M.similarity(layer, target)
  check_layer("similarity", layer)
  local flat = target_of("similarity", layer, target)
  local score = scores.new(("similarity(%s)"):format(layer), cosine_with(flat), layer)
  if flat:dim(1) > 1 then
    score.rows = function(i)
      return cosine_with(flat:narrow { dim = 1, start = i, length = 1 })
    end
  end
  return score
end


-- sums -------------------------------------------------------------------------


---Is the score made of parts on different layers?
local function is_spread(parts)
  for _, p in ipairs(parts) do
    if p.spread or p.layer ~= parts[1].layer or p.output ~= parts[1].output then
      return true
    end
  end
  return false
end


---The sum of weights[i] times parts[i].
local function sum_of(name, parts, weights)
  local score = scores.new(name, function(output, run, self, layer)
    local sum
    for i, p in ipairs(self.parts) do
      local v = p.fn(output, run, p, layer) * self.weights[i]
      v = v:reshape { output:dim(1), v:size() // output:dim(1) }:mean { dims = { 2 } }
      sum = sum and sum + v or v
    end
    return sum
  end, parts[1].layer)
  score.parts, score.weights, score.spread = parts, weights, is_spread(parts)
  score.output = parts[1].output
  return score
end


local function check_both(a, b, sign)
  if scores.is(a) and scores.is(b) then return end
  blame(("score %s: both sides are scores, not %s and %s"):format(sign,
        scores.is(a) and "a score" or type(a), scores.is(b) and "a score" or type(b)))
end


---Sums, differences and multiples of scores: a - 0.5 * b.
function Score.__add(a, b)
  check_both(a, b, "+")
  return sum_of(("%s + %s"):format(a.name, b.name), { a, b }, { 1, 1 })
end


function Score.__sub(a, b)
  check_both(a, b, "-")
  return sum_of(("%s - %s"):format(a.name, b.name), { a, b }, { 1, -1 })
end


function Score.__mul(a, b)
  if scores.is(b) then a, b = b, a end
  if type(b) ~= "number" then
    blame(("score *: a score is multiplied by a number, not by %s"):format(
          scores.is(b) and "a score" or type(b)))
  end
  return sum_of(("%g (%s)"):format(b, a.name), { a }, { b })
end


function Score.__unm(a) return sum_of(("-(%s)"):format(a.name), { a }, { -1 }) end


-- one each ---------------------------------------------------------------------


---The parts of a score that look at one layer each, with their weights.
local function terms_of(score, weight, list)
  if not score.spread then
    list[#list + 1] = { score = score, weight = weight }
    return list
  end
  for i, p in ipairs(score.parts) do
    terms_of(p, weight * (score.weights and score.weights[i] or 1), list)
  end
  return list
end


---The value of one sample: the sum of its terms.
local function value_of(terms, output, run, layer)
  local sum
  for _, t in ipairs(terms) do
    local v = t.score.fn(output, run, t.score, layer)
    v = v:reshape { 1, v:size() }:mean { dims = { 2 } } * t.weight
    sum = sum and sum + v or v
  end
  return sum or core.zeros(1)
end


---The score of one layer: rows[i] is the list of terms of sample i.
local function of_rows(name, rows, first)
  local score = scores.new(name, function(output, run, _, layer)
    if output:dim(1) ~= #rows then
      blame(("each: %d scores for %d samples"):format(#rows, output:dim(1)))
    end
    local all
    for i, terms in ipairs(rows) do
      local one = output:narrow { dim = 1, start = i, length = 1 }
      local v = value_of(terms, one, run, layer)
      all = all and core.ops.concat(all, v, { dim = 1 }) or v
    end
    return all
  end, first.layer)
  score.output = first.output
  score.rows = function(i)
    return function(output, run, _, layer)
      local all
      for n = 1, output:dim(1) do
        local one = output:narrow { dim = 1, start = n, length = 1 }
        local v = value_of(rows[i], one, run, layer)
        all = all and core.ops.concat(all, v, { dim = 1 }) or v
      end
      return all
    end
  end
  return score
end


---A score of its own for every sample, of one layer or of several: sample i is scored
---by list[i] alone.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(2).images))
---  print(run:values(lu.score.each { 3, lu.score.unit("block4_conv3", 5) }))
---@param list any[]   classes or scores, none of which asks for "predicted"
---@return lunette.Score
function M.each(list)
  local names, order, groups = {}, {}, {}
  for i, what in ipairs(list) do
    local score = of(what)
    if classes.predicts(score) then blame 'each: name the classes, not "predicted"' end
    names[i] = score.name
    for _, term in ipairs(terms_of(score, 1, {})) do
      local key = ("%s\0%s"):format(term.score.layer, term.score.output)
      if not groups[key] then
        order[#order + 1], groups[key] = key, {}
        for n = 1, #list do groups[key][n] = {} end
        groups[key].first = term.score
      end
      table.insert(groups[key][i], term)
    end
  end
  if #order == 0 then blame "each: the list of scores is empty" end
  local parts, weights = {}, {}
  local name = ("each(%s)"):format(table.concat(names, ", "))
  for i, key in ipairs(order) do
    parts[i], weights[i] = of_rows(name, groups[key], groups[key].first), 1
  end
  if #parts == 1 then return parts[1] end
  return sum_of(name, parts, weights)
end

return M
