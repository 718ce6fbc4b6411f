---A run: one forward pass of a network, kept on a tape. Any number of backward
---passes with different rules, scores and targets go over the same run; nothing
---is cloned and nothing is left behind. Here is what can be read of it; see
---forward.lua for how it is made, backward.lua for gradients, report.lua for how it
---is printed.
local blame = require "lunette.base.blame"
local forward = require "lunette.net.forward"
local named = require "lunette.modifiers.named"
local options = require "lunette.base.options"
local probability = require "lunette.score.probability"
local report = require "lunette.net.report"
local strict = require "lunette.base.strict"

---@class lunette.Run
---@field net lunette.Net
---@field images lunette.Tensor     what was run
---@field output lunette.Tensor     (N,classes), on the tape; the first of several
---@field output_layer lunette.Layer
---@field outputs table<string, lunette.Tensor>        by the output's name, or another
---  name of its layer
---@field output_layers table<string, lunette.Layer>   what gave them
---@field output_names string[]                        in order
---@field modifiers lunette.Modifier[]        forward modifiers it was made with
---@field changed table<string, integer>      how many nodes each of them changed
local Run = strict.class("run", { __name = "lunette.Run" })


---A NaN in weights too large to search at loading shows here, once a network.
local function warn_of_nan(net, out)
  if net.meta.warned or out:stats().finite then return end
  net.meta.warned = true
  require "lunette.base.warn"(("%s: the output holds NaN or infinity; look at its "
    .. "weights and the input"):format(net.name))
end


---What is found by an output's name is found by its layer's other names, too: those of
---an ONNX file's outputs are.
local function by_any_name(net, list)
  return setmetatable(list, { __index = function(t, name)
    local layer = type(name) == "string" and net:has(name) and net:layer(name)
    return layer and rawget(t, layer.name) or nil
  end })
end


---A new run that has the layers of its outputs, but no values yet.
local function describe(net, x, mods, outputs, changed)
  local run = { net = net, images = x, modifiers = mods, changed = changed,
                output_layer = outputs[1].layer, output_layers = by_any_name(net, {}),
                output_names = {}, outputs = {} }
  for i, output in ipairs(outputs) do
    run.output_names[i] = output.name
    run.output_layers[output.name] = output.layer
  end
  return run
end


---@param net lunette.Net
---@param x lunette.Tensor
---@param opts? lunette.RunOptions
---@param start? lunette.Layer   run_from: x is what this layer put out
---@return lunette.Run
local function new(net, x, opts, start)
  forward.check_given(net, x, opts)
  forward.check_input(net, x, start)
  opts = options.check("run", opts, { modifiers = {}, keep = true, watch = false,
                                      beside = false })
  local mods = named.list(opts.modifiers)
  local outputs, changed = forward.outputs(net, mods)
  local st, values = forward.compute(net, x, opts, start, outputs)
  local run = describe(net, x, mods, outputs, changed)
  run.start, run.output = start, values[outputs[1].name]
  run.outputs = by_any_name(net, values)
  forward.keep(run, st)
  warn_of_nan(net, run.output)
  return setmetatable(run, Run)
end


---A run without values, for methods that run copies of the pictures instead: it has the
---network, the pictures, the modifiers and the outputs' layers.
---@param net lunette.Net
---@param x lunette.Tensor
---@param mods lunette.Modifier[]   forward modifiers
---@return lunette.Run
local function outline(net, x, mods)
  forward.check_input(net, x)
  return setmetatable(describe(net, x, mods, forward.outputs(net, mods)), Run)
end


-- values -----------------------------------------------------------------------


---The value of a layer (N, ...): for a convolution or dense layer what comes out
---of its activation, as Keras counts it. `run.block4_conv3` is the same for short.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(run:activation "block4_conv3")
---@param name string   layer name or alias, or "input"
---@return lunette.Tensor? value, string? message
function Run:activation(name)
  local st = forward.state_of(self)
  if name == "input" then return self.images end
  local id, layer = forward.node_of(self, name)
  if not id then return nil, layer end
  return st.tape:node(id).output
end


---The value of exactly that layer: a convolution before its relu.
---@param name string
---@return lunette.Tensor? value, string? message
function Run:preactivation(name)
  local id, message = forward.node_of(self, name, true)
  if not id then return nil, message end
  return forward.state_of(self).tape:node(id).output
end


function Run.__index(run, key)
  if Run[key] ~= nil then return Run[key] end
  if type(key) ~= "string" or forward.is_released(run) then return nil end
  if not run.net:has(key) then return nil end
  return (run:activation(key))
end


---What a layer put out is not written to.
function Run.__newindex(run, key, value)
  if type(key) == "string" and run.net:has(key) then
    blame(("'%s' is what a layer put out and is read-only; net:run_from('%s', x) goes "
          .. "on with values of your own"):format(key, key))
  end
  rawset(run, key, value)
end


---Number of images in this run.
---@return integer
function Run:count() return self.images:dim(1) end


---The tape's node of a layer, as a modifier sees it.
---@param name string
---@return lunette.Node? node, string? message
function Run:node(name)
  local id, message = forward.node_of(self, name, true)
  if not id then return nil, message end
  return forward.state_of(self).tape:node(id)
end


-- classes ----------------------------------------------------------------------


---An output's value and layer: the first where none is named.
local function output_of(run, name)
  forward.state_of(run)
  if name == nil then return run.output, run.output_layer end
  if not run.outputs[name] then
    blame(("there is no output '%s' in this run (there are: %s)"):format(
          tostring(name), table.concat(run.output_names, ", ")))
  end
  return run.outputs[name], run.output_layers[name]
end


---What an output is: "softmax" or "sigmoid" probabilities, "binary" (one unit
---under a sigmoid), or "values", which are no probabilities.
---@param output? string   of several
---@return "softmax"|"sigmoid"|"binary"|"values"
function Run:kind(output)
  local _, layer = output_of(self, output)
  return probability.kind(self.net, layer)
end


---Class probabilities (N,classes), as the network's own last activation makes them,
---also where `linear` stopped the run before it; of one unit under a sigmoid 1 - p
---and p.
---@param output? string   of several
---@return lunette.Tensor? probabilities, string? message   nil where there are none
function Run:probabilities(output)
  local value, layer = output_of(self, output)
  return probability.of(self.net, layer, value:detach())
end


---What `top` ranks: (N,classes) values, with probabilities where the output has
---some, and the classes' names.
local function ranking(run, output)
  local out, layer = output_of(run, output)
  out = out:detach()
  if out:dim() < 2 or out:size() ~= out:dim(1) * out:dim(2) then
    blame(("top: %s has no classes: its output '%s' is (%s)"):format(run.net.name,
          layer.name, table.concat(layer.shape, ",")))
  end
  out = out:reshape { out:dim(1), out:dim(2) }
  local p = probability.of(run.net, layer, out)
  local names = probability.names(run.net, layer)
  if probability.binary(run.net, layer) then
    out = probability.both(out, run:kind(output) == "binary" and 1 or 0)
  end
  return out, p, names
end


---The k most probable classes of every image, or those of the largest values where
---the output is not of probabilities.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  print(run:top(3)[1][1].name)
---  print(run:top(3)) -- image 1: 99.9 %, class 8, its name ...
---@param k? integer  5
---@param output? string   of several
---@return table[][]  per image {{class =, name =, probability =, score =}, ...}, the
---  probability nil where there is none; prints as a line a class
function Run:top(k, output)
  k = options.whole("top: k", k or 5, 1)
  local values, p, names = ranking(self, output)
  local list = {}
  for n = 1, values:dim(1) do
    local row, order = {}, (p or values)[n]:argsort()
    for i = 1, math.min(k, #order) do
      local c = math.floor(order[i])
      row[i] = { class = c - 1, name = names[c] or ("class " .. c - 1),
                 probability = p and p:get(n, c), score = values:get(n, c) }
    end
    list[n] = row
  end
  return report.top(list, self:kind(output))
end


-- end --------------------------------------------------------------------------


---Gives the run's memory back now; it cannot be used afterwards.
function Run:release()
  local st = forward.drop(self)
  if not st then return end
  for _, value in pairs(self.outputs) do value:release() end
  forward.give_back(st.tape)
end

function Run.__close(run) run:release() end

require("lunette.net.backward").install(Run)
report.install(Run)

return { new = new, outline = outline, Run = Run }
