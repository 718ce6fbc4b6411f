---A run on tracing tensors: it answers what methods ask of a run (values, gradients,
---scores) with traced values, those of the network in the file.
local apply = require "lunette.modifiers.apply"
local blame = require "lunette.base.blame"
local call = require "lunette.explain.call"
local forward = require "lunette.net.forward"
local gradient = require "lunette.trace.gradient"
local methods = require "lunette.methods"
local named = require "lunette.modifiers.named"
local network = require "lunette.onnx.network"
local options = require "lunette.base.options"
local score_class = require "lunette.score.score"
local scored_layer = require "lunette.net.scored"
local scores = require "lunette.score"
local seeds = require "lunette.onnx.seed"
local trace = require "lunette.trace"

local M = {}

---@class lunette.TracedRun: lunette.Run
---@field traced true
---@field values_of table<string, lunette.Traced>   by layer, and "input"
---@field prefix string   of the names of its layers in the file
local Run = { __name = "lunette.TracedRun", traced = true }
Run.__index = Run


---@param net lunette.Net            of network.copy
---@param values table<string, lunette.Traced>   known ones: "input", or a layer
---@param mods lunette.Modifier[]    forward ones: which layer is scored
---@param prefix? string
---@return lunette.TracedRun
function M.new(net, values, mods, prefix)
  local outputs, changed = forward.outputs(net, mods)
  local run = { net = net, images = values.input, values_of = values,
                modifiers = mods, changed = changed, prefix = prefix or "",
                output_layer = outputs[1].layer, output_layers = {},
                output_names = {}, outputs = {}, gradients = {} }
  local names = {}
  for i, output in ipairs(outputs) do
    run.output_names[i], names[i] = output.name, output.layer.name
    run.output_layers[output.name] = output.layer
  end
  network.forward(net, values, names, prefix)
  for _, output in ipairs(outputs) do
    run.outputs[output.name] = values[output.layer.name]
  end
  run.output = values[outputs[1].layer.name]
  return setmetatable(run, Run)
end


-- values -----------------------------------------------------------------------------


function Run.count() return trace.BATCH end

function Run.release() end


---@param name string
---@return lunette.Traced? value, string? message
function Run:preactivation(name)
  local layer, message = self.net:layer(name)
  if not layer then return nil, message end
  if not self.values_of[layer.name] then
    network.forward(self.net, self.values_of, { layer.name }, self.prefix)
  end
  return self.values_of[layer.name]
end


---@param name string
---@return lunette.Traced? value, string? message
function Run:activation(name)
  if name == "input" then return self.images end
  local layer, message = self.net:activated(name)
  if not layer then return nil, message end
  return self:preactivation(layer.name)
end


-- gradients --------------------------------------------------------------------------


---The scored layer under the modifiers, and its value.
local function scored(run, score, mods)
  local target = scored_layer.layer(run, score, mods)
  return run:preactivation(target.name), target
end


---The layers from value `first` to `last`, in the form that modifiers take.
local function between(run, first, last)
  local list = {}
  for _, layer in ipairs(run.net:layers()) do
    local value = run.values_of[layer.name]
    if value and value.id > first and value.id <= last then
      list[#list + 1] = { layer = layer, id = value.id }
    end
  end
  return list
end


local function wanted_of(run, wrt, exact)
  local list, first = {}, math.huge
  for i, name in ipairs(type(wrt) == "table" and wrt or { wrt }) do
    local value, message
    if exact and name ~= "input" then
      value, message = run:preactivation(name)
    else
      value, message = run:activation(name)
    end
    if not value then blame(message) end
    list[i], first = value, math.min(first, value.id)
  end
  return list, first
end


---A key of a gradient's question, so that methods that ask the same share one answer.
local function key_of(opts, score, wanted)
  local parts = { tostring(score.classes or score), score.output or "",
                  score.layer or "" }
  for _, m in ipairs(opts.modifiers) do
    parts[#parts + 1] = ("%s %p"):format(m.name, m)
  end
  for _, w in ipairs(wanted) do parts[#parts + 1] = w.id end
  return table.concat(parts, "|")
end


local defaults = { score = false, scores = false, wrt = "input", modifiers = {},
                   exact = false, reduce = false, flows = false }


---The gradient of a score: see lunette.Run's.
---@param opts? lunette.GradientOptions
---@return lunette.Traced ...   one for each `wrt`
function Run:gradient(opts)
  opts = options.check("gradient", opts, defaults)
  opts.modifiers = named.list(opts.modifiers)
  local list = opts.scores or { opts.score or "predicted" }
  if #list > 1 then blame "a file that is baked explains one score" end
  local score = self:resolve(list[1])
  if score.spread then blame "a score of several layers cannot be baked" end
  local y, layer = scored(self, score, opts.modifiers)
  local wanted, first = wanted_of(self, opts.wrt, opts.exact)
  local key = key_of(opts, score, wanted)
  if not self.gradients[key] then
    local rules = apply.rules(self, between(self, first, y.id), opts.modifiers)
    local seed = trace.within("score", seeds.of_score, self, score, y, layer)
    self.gradients[key] = gradient.of(y, seed, wanted, rules)
  end
  local grads = { table.unpack(self.gradients[key]) }
  for i, g in ipairs(grads) do
    grads[i] = g or trace.filled(0, wanted[i]:shape())
    if opts.reduce then
      grads[i] = grads[i]:mean { dims = { 3, 4 }, keepdims = true }
    end
  end
  return table.unpack(grads)
end


---A score, also as part of others, whose classes are found when the file is run.
---@param what any
---@return lunette.Score
function Run:resolve(what)
  local score, fields = scores.of(what), {}
  if score.classes then
    fields.fn = function(output, run, own, layer)
      local seed = seeds.of_score(run, own, output, layer)
      return (output * seed):reshape { output:dim(1), output:size() // output:dim(1) }
        :sum { dims = { 2 } }
    end
  end
  return score_class.changed(score, fields, function(part)
    return self:resolve(part)
  end)
end


---The value of a score (N).
---@param score any   or { scores = list of one }
---@param opts? { modifiers?: any[] }
---@return lunette.Traced
function Run:values(score, opts)
  local several = score_class.several(score)
  score = self:resolve(several and several[1] or score)
  local y, layer = scored(self, score, named.list(opts and opts.modifiers or {}))
  local v = trace.within("score", score.fn, y, self, score, layer)
  return v:reshape { y:dim(1), v:size() // y:dim(1) }:mean { dims = { 2 } }
end


-- copies -----------------------------------------------------------------------------


---Each sample repeated `count` times, copies side by side.
local function repeated(t, count)
  local shape = t:shape()
  local one, all = { shape[1], 1, table.unpack(shape, 2) }, { shape[1], count }
  table.move(shape, 2, #shape, 3, all)
  shape[1] = shape[1] * count
  return t:reshape { shape = one }:expand { shape = all }:reshape { shape = shape }
end


---What a layer's followers read that does not depend on it, and outputs that do not.
local function beside(run, start, count, values)
  local follows = { [start] = true }
  for _, layer in ipairs(run.net:layers()) do
    for _, from in ipairs(layer.from) do
      follows[layer.name] = follows[layer.name] or follows[from]
    end
  end
  local function keep(name)
    local value = not follows[name] and not values[name] and run.values_of[name]
    if value then values[name] = repeated(value, count) end
  end
  for _, layer in ipairs(run.net:layers()) do
    for _, from in ipairs(follows[layer.name] and layer.from or {}) do keep(from) end
  end
  for _, layer in pairs(run.output_layers) do keep(layer.name) end
end


---A run of `count` copies of every picture, or of a layer's values; each copy is
---explained for the class of its picture.
---@param x lunette.Traced    (N count, ...)
---@param count integer
---@param from? lunette.Layer
---@return lunette.TracedRun
function Run:copies(x, count, from)
  local values = { [from and from.name or "input"] = x }
  if from then beside(self, from.name, count, values) end
  self.made = (self.made or 0) + 1
  local part = M.new(self.net, values, self.modifiers,
                     ("%scopies%d."):format(self.prefix, self.made))
  part.of, part.times = self, count
  return part
end


---The seed of a run of copies: that of its pictures, repeated.
function Run:seed_of_copies(what, output, layer)
  local own = self.of.values_of[layer.name]
  return repeated(seeds.of_class(self.of, what, own, layer), self.times)
    :reshape { shape = output:shape() }
end


-- methods ----------------------------------------------------------------------------


---Options of several maps, or of long work: a file has one map, at once.
local refused = { "classes", "top", "checkpoint" }


---Why a method that is more than operators on a batch cannot be traced, of what its
---code raised: it made a tensor for all pictures, or asked a run for what a traced one
---has not. Nil: the message says it itself.
local function reason_of(row, message)
  if message:find(("no memory for a tensor (%d,"):format(trace.BATCH), 1, true) then
    return "it makes something of its own for every picture, and their number is open"
  elseif message:find "attempt to " or message:find "got a traced" then
    return "it asks for what is known only when the file runs"
  elseif message:find "takes a part" and methods[row.name] == row then
    return "it takes the pictures one by one"
  end
  local place, rest = message:match "^(.-:%d+: )(.*)$"
  return message:find "trace" and (rest or message) or nil, place
end


---The map; an error says which method it is that cannot be baked.
local function traced(row, run, o)
  local ok, map = pcall(row.traced or row.explain, run, o)
  if ok then return map end
  local message = tostring(map)
  local reason, place = reason_of(row, message)
  if not reason then error(message, 0) end
  error(("%s%s cannot be baked: %s"):format(place or "", row.name, reason), 0)
end


---What a method makes of this run: its map, as operators, without a story.
---@param row lunette.Method
---@param opts? table
---@return lunette.Traced map
function Run:__explain(row, opts)
  local o = call.options(row, self.net, opts)
  for _, key in ipairs(refused) do
    if o.given[key] then error(("%s: %s cannot be baked"):format(row.name, key), 0) end
  end
  return call.finish(row, traced(row, self, o), o, self)
end

return M
