---A run: one forward pass of a network, kept on a tape. Any number of backward
---passes with different rules, scores and targets go over the same run; nothing
---is cloned and nothing is left behind.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local layers = require "lunette.net.layers"
local modifiers = require "lunette.explain.modifiers"
local options = require "lunette.base.options"
local probability = require "lunette.net.probability"
local progress = require "lunette.base.progress"
local report = require "lunette.net.report"
local scores = require "lunette.explain.score"

---@class lunette.RunOptions
---@field modifiers? (string|lunette.Modifier)[]  "linear", extract(layer)
---@field keep? boolean|string  false: forward only, values are dropped after use;
---  a layer's name: dropped before that layer, gradients reach back to it
---@field watch? string    "parameters": gradients of the weights too

---@class lunette.Run
---@field net lunette.Net
---@field images lunette.Tensor     what was run
---@field output lunette.Tensor     (N,classes), on the tape
---@field output_layer lunette.Layer
---@field modifiers lunette.Modifier[]        forward modifiers it was made with
---@field changed table<string, integer>      how many nodes each of them changed
local is_tensor = options.is_tensor
local Run = {}
local state = setmetatable({}, { __mode = "k" }) -- run -> tape, nodes by layer


-- forward ----------------------------------------------------------------------


---The layers that `target` depends on, as a set of names, not beyond `start`.
local function needed(net, target, start)
  local set, work = {}, { target }
  while #work > 0 do
    local layer = table.remove(work)
    if not set[layer.name] and layer ~= start then
      set[layer.name] = true
      for _, from in ipairs(layer.from) do
        if from ~= "input" then
          work[#work + 1] = net:layer(from)
        elseif start then
          error(("layer '%s' does not depend on '%s' alone"):format(target.name,
                start.name), 0)
        end
      end
    end
  end
  return set
end


local function watched_params(net, layer, st)
  local found = net:params_of(layer)
  if st.watch ~= "parameters" then return found end
  for _, q in ipairs(layer.params) do
    if not q.frozen then -- one leaf a parameter, however many layers share it
      local id = st.param_node[q.name]
      local leaf = id and st.tape:box(id) or st.tape:watch(found[q.key])
      st.param_node[q.name] = leaf:node()
      found[q.key] = leaf
    end
  end
  return found
end


---Drops what `layer` read when nobody after it will, up to the layer from which on
---everything is kept.
local function forget_inputs(net, layer, st)
  if layer.index > st.kept_from then return end
  for _, from in ipairs(layer.from) do
    local readers = net:readers(from)
    if readers[#readers] == layer.index and st.box[from] then
      st.tape:forget(st.box[from]:node())
      st.box[from]:release()
      st.box[from] = nil
      st.dropped[from] = true
    end
  end
end


---May the values of `layer` wait for the next one, which is computed with it? Not
---those that the run was asked for.
local function may_wait(layer, st)
  return (layer.fuses or layer.pooled) and layer ~= st.target
    and layer.index ~= st.kept_from
end


local function apply(net, layer, st)
  local xs = {}
  for i, from in ipairs(layer.from) do xs[i] = st.box[from] end
  local opts = { name = layer.name, defer = may_wait(layer, st) }
  local y = layers.apply(layer, xs, watched_params(net, layer, st), opts)
  st.box[layer.name] = y
  st.node[layer.name] = y:node()
  st.waiting[#st.waiting + 1] = layer
  if opts.defer then return end
  for i = #st.waiting, 1, -1 do
    forget_inputs(net, st.waiting[i], st)
    st.waiting[i] = nil
  end
end


---Where forward stops: before a softmax under `linear`, at a layer under `extract`.
local function target_of(net, mods)
  local list = net:layers()
  return modifiers.target(net, list[#list], mods)
end


---Index of the first layer whose value is kept, whoever reads it.
local function first_kept(net, keep)
  if type(keep) == "boolean" then return keep and 0 or math.huge end
  if type(keep) ~= "string" then
    error("run: keep is true, false or a layer's name, got a " .. type(keep), 4)
  end
  local layer, message = net:activated(keep)
  if not layer then error("run: keep: " .. message, 4) end
  return layer.index
end


local function check_input(net, x, start)
  local want = table.concat(start and start.shape or net.input, ",")
  local got = type(x)
  if is_tensor(x) then
    local shape = x:shape()
    if shape[1] > 0 and table.concat(shape, ",", 2) == want then return end
    got = "(" .. table.concat(shape, ",") .. ")"
  end
  error(("%s%s wants a tensor (N,%s), got %s"):format(net.name,
        start and " after " .. start.name or "", want, got), 3)
end


---A NaN in weights too large to search at loading shows here, once a network.
local function warn_of_nan(net, out)
  if net.meta.warned or out:stats().finite then return end
  net.meta.warned = true
  require "lunette.base.warn"(("%s: the output holds NaN or infinity; look at its "
    .. "weights and the input"):format(net.name))
end


---@param net lunette.Net
---@param x lunette.Tensor
---@param opts? lunette.RunOptions
---@param start? lunette.Layer   run_from: x is what this layer put out
---@return lunette.Run
local function new(net, x, opts, start)
  opts = options.check("run", opts, { modifiers = {}, keep = true, watch = false })
  local kept_from = first_kept(net, opts.keep)
  check_input(net, x, start)
  local mods = modifiers.list(opts.modifiers)
  local target, changed = target_of(net, mods)
  local tape = core.tape()
  local st = { tape = tape, box = {}, node = {}, param_node = {}, watch = opts.watch,
               kept_from = kept_from, dropped = {}, target = target, waiting = {} }
  local leaf = tape:watch(x)
  st.leaf = leaf:node()
  st.box[start and start.name or "input"] = leaf
  st.node[start and start.name or "input"] = st.leaf
  local set = needed(net, target, start)
  local bar <close>, work = progress.layers(net, set, x:dim(1))
  for _, layer in ipairs(net:layers()) do
    if set[layer.name] then apply(net, layer, st) end
    bar:add(work[layer.name] or 0)
  end
  local run = setmetatable({ net = net, images = x, output_layer = target,
                             output = st.box[target.name], start = start,
                             output_layers = { [target.name] = target },
                             outputs = { [target.name] = st.box[target.name] },
                             modifiers = mods, changed = changed }, Run)
  -- the tape keeps the values and the run reads them by node: boxes waiting for
  -- the collector would hold them after the run is gone
  for _, box in pairs(st.box) do
    if box ~= run.output then box:release() end
  end
  st.box = nil
  state[run] = st
  warn_of_nan(net, run.output)
  return run
end


---A run without its values, where copies of the pictures are run instead: what is
---asked of it, and for how many.
---@param net lunette.Net
---@param x lunette.Tensor
---@param mods lunette.Modifier[]   forward modifiers
---@return lunette.Run
local function outline(net, x, mods)
  check_input(net, x)
  local target, changed = target_of(net, mods)
  return setmetatable({ net = net, images = x, output_layer = target,
                        output_layers = { [target.name] = target },
                        modifiers = mods, changed = changed }, Run)
end


-- reading ----------------------------------------------------------------------


local function state_of(run)
  return state[run] or error("run was released", 0)
end


local function node_of(run, name, exact)
  local st = state_of(run)
  local find = exact and run.net.layer or run.net.activated
  local layer, message = find(run.net, name)
  if not layer then return nil, message end
  local id = st.node[layer.name]
  if id and not st.dropped[layer.name] then return id, layer end
  return nil, ("layer '%s' %s"):format(layer.name, id
    and "was dropped; run with keep = true" or "was not part of this run")
end


---The value of a layer (N, ...): for a convolution or dense layer what comes out
---of its activation, as Keras counts it. `run.block4_conv3` is the same for short.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(run:activation "block4_conv3")
---@param name string   layer name or alias, or "input"
---@return lunette.Tensor? value, string? message
function Run:activation(name)
  local st = state_of(self)
  if name == "input" then return self.images end
  local id, layer = node_of(self, name)
  if not id then return nil, layer end
  return st.tape:node(id).output
end


---The value of exactly that layer: a convolution before its relu.
---@param name string
---@return lunette.Tensor? value, string? message
function Run:preactivation(name)
  local id, message = node_of(self, name, true)
  if not id then return nil, message end
  return state_of(self).tape:node(id).output
end


function Run.__index(run, key)
  if Run[key] ~= nil then return Run[key] end
  if type(key) ~= "string" or not state[run] then return nil end
  if not run.net:has(key) then return nil end
  return (run:activation(key))
end


---Number of images in this run.
---@return integer
function Run:count() return self.images:dim(1) end


---The run's layers that have values, in order: {layer, node id}.
function Run:nodes()
  local st, list = state_of(self), {}
  for _, layer in ipairs(self.net:layers()) do
    local id = st.node[layer.name]
    if id then list[#list + 1] = { layer = layer, id = id } end
  end
  return list
end


---The tape's node of a layer, as a modifier sees it.
---@param name string
function Run:node(name)
  local id, message = node_of(self, name, true)
  if not id then return nil, message end
  return state[self].tape:node(id)
end


---What an output is: "softmax" or "sigmoid" probabilities, "binary" (one unit
---under a sigmoid), or "values", which are no probabilities.
---@param output? string   of several
---@return "softmax"|"sigmoid"|"binary"|"values"
function Run:kind(output)
  return probability.kind(self.net, self.output_layers[output] or self.output_layer)
end


---Class probabilities (N,classes), as the network's own last activation makes them,
---also where `linear` stopped the run before it; of one unit under a sigmoid 1 - p
---and p.
---@param output? string   of several
---@return lunette.Tensor? probabilities, string? message   nil where there are none
function Run:probabilities(output)
  state_of(self)
  local value = self.outputs[output] or self.output
  local layer = self.output_layers[output] or self.output_layer
  return probability.of(self.net, layer, value:detach())
end


---What `top` ranks: (N,classes) values, with probabilities where the output has
---some, and the classes' names.
local function ranking(run, output)
  local layer = run.output_layers[output] or run.output_layer
  local out = (run.outputs[output] or run.output):detach()
  if out:size() ~= out:dim(1) * out:dim(2) then
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
---@param k? integer  5
---@param output? string   of several
---@return table[][]  per image {{class =, name =, probability =, score =}, ...}, the
---  probability nil where there is none
function Run:top(k, output)
  state_of(self)
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
  return list
end


-- backward ---------------------------------------------------------------------


---The tensor that is scored: the output, or the layer that a modifier or the
---score names.
local function scored(run, mods, score)
  local target = modifiers.target(run.net, run.output_layer, mods, run)
  if score.layer then
    local layer, message = run.net:activated(score.layer)
    if not layer then error(message, 0) end
    target = layer
  end
  local st = state[run]
  local id = st.node[target.name]
  if not id then
    error(("layer '%s' was not part of this run"):format(target.name), 0)
  end
  return st.tape:node(id).output, id, target
end


---The values of a score, computed from `leaf`, a tensor on a tape of its own.
local function values_of(run, score, leaf, layer)
  local s = score.fn(leaf, run, score, layer)
  if type(s) ~= "userdata" or not s.node or not s:node() then
    blame(("score '%s' returned %s, expected a tensor computed from the output, "
           .. "one value a sample"):format(score.name, type(s)))
  end
  if s:size() % leaf:dim(1) ~= 0 then
    blame(("score '%s' returned %d values for %d samples"):format(score.name,
          s:size(), leaf:dim(1)))
  end
  return s
end


---d score / d output for one score: the score's own tape is gone afterwards.
local function seed_of(run, score, value, layer)
  local tape = core.tape()
  local leaf = tape:watch(value)
  local s = values_of(run, score, leaf, layer)
  -- a value of several numbers a sample counts by its mean (as tf-keras-vis)
  local per = s:size() // value:dim(1)
  local seed = core.backward(s, core.full(1 / per, s:shape()), { leaf:node() })[1]
  if not seed then return core.zeros(value:shape()) end
  if table.concat(seed:shape(), ",") ~= table.concat(value:shape(), ",") then
    blame(("score '%s' is computed from something else than its argument, the output"
      ):format(score.name))
  end
  return seed
end


local function seeds_of(run, list, value, layer)
  if #list == 1 then return seed_of(run, list[1], value, layer) end
  local shape, n = value:shape(), value:dim(1)
  shape[1] = n * #list
  local all = core.zeros(shape)
  for i, score in ipairs(list) do
    all:rows((i - 1) * n + 1, i * n):copy_(seed_of(run, score, value, layer))
  end
  return all
end


---The box on the tape whose backward starts.
local function box_at(run, id)
  local st = state[run]
  return st.tape:box(id)
end


---@class lunette.GradientOptions
---@field score? any       class id, name, "predicted", a score, or a list `scores`
---@field scores? any[]    K scores: K gradients a sample in one batched backward
---@field wrt? string|string[]   "input" (default), layer names
---@field exact? boolean   `wrt` means those modules: a convolution before its relu
---@field modifiers? (string|lunette.Modifier)[]

local function score_list(what)
  if type(what) ~= "table" then error("gradient: scores is a list", 0) end
  local list = {}
  for i, s in ipairs(what) do
    list[i] = scores.of(s)
    if list[i].layer ~= list[1].layer then
      error("gradient: scores of different layers need calls of their own", 0)
    end
  end
  if #list == 0 then error("gradient: the list of scores is empty", 0) end
  return list
end


---Gradient of the score: (N, ...) for one score, (K*N, ...) for K, score-major.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  local g = run:gradient { score = 3, wrt = "block4_conv3" }
---  print(g)
---@param opts? lunette.GradientOptions
---@return lunette.Tensor gradient   one for each `wrt`
function Run:gradient(opts)
  state_of(self)
  opts = options.check("gradient", opts, { score = false, scores = false,
                       wrt = "input", modifiers = {}, exact = false })
  local list = score_list(opts.scores or { opts.score or "predicted" })
  opts.modifiers = modifiers.list(opts.modifiers)
  local value, id, layer = scored(self, opts.modifiers, list[1])
  local seed = seeds_of(self, list, value, layer)
  local wrt = type(opts.wrt) == "table" and opts.wrt or { opts.wrt }
  local ids = {}
  for i, name in ipairs(wrt) do
    ids[i] = self:target_node(name, opts.exact)
    if ids[i] > id then
      error(("gradient: layer '%s' comes after the scored layer"):format(name), 2)
    end
  end
  local rules = modifiers.rules(self, opts.modifiers, id)
  local grads = core.backward(box_at(self, id), seed, ids, rules)
  for i, g in ipairs(grads) do
    grads[i] = g or self:zeros_like(ids[i], #list)
  end
  return table.unpack(grads)
end


---The value of a score for every sample (N), or of a list of K scores (K,N). Several
---numbers a sample count by their mean.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(2).images))
---  print(run:values(lu.score.contrast("predicted", 3)))
---@param score any   class id, name, "predicted", a score, a list of scores, or
---  { scores = list of any of these }
---@param opts? { modifiers?: any[] }   which layer is scored: "linear", extract
---@return lunette.Tensor
function Run:values(score, opts)
  state_of(self)
  opts = options.check("values", opts, { modifiers = {} })
  local mods, n = modifiers.list(opts.modifiers), self:count()
  local several = scores.several(score)
  local list = score_list(several or { score == nil and "predicted" or score })
  local all = core.zeros(#list, n)
  for k, s in ipairs(list) do
    local value, _, layer = scored(self, mods, s)
    local v = values_of(self, s, core.tape():watch(value), layer):detach()
    all:rows(k):copy_(v:reshape { 1, n, v:size() // n }:mean { dims = { 3 } })
  end
  return several and all or all:reshape { n }
end


---Node id of "input" or a layer (activated, unless exact); raises for unknown ones.
---@param name string
---@param exact? boolean
---@return integer
function Run:target_node(name, exact)
  local st = state_of(self)
  if name == "input" then
    if self.start then
      error(("this run starts at '%s'; ask for the gradient of that layer"):format(
            self.start.name), 0)
    end
    if st.dropped.input then
      error("the input was dropped; run with keep = true", 0)
    end
    return st.leaf
  end
  local id, message = node_of(self, name, exact)
  if not id then error(message, 0) end
  return id
end


---Zeros of a node's shape, once per copy: the gradient where no path leads.
---@param id integer
---@param copies integer
---@return lunette.Tensor
function Run:zeros_like(id, copies)
  local shape = state[self].tape:node(id).shape
  shape[1] = shape[1] * copies
  return core.zeros(shape)
end


---Gradients of the parameters (the run must watch them): by name.
---@param loss lunette.Tensor   one value, computed from run.output
---@return table<string, lunette.Tensor>
function Run:parameter_gradients(loss)
  local st, names, ids = state_of(self), {}, {}
  for name, id in pairs(st.param_node) do
    names[#names + 1] = name
    ids[#ids + 1] = id
  end
  if #names == 0 then
    error('parameter_gradients: run with { watch = "parameters" }', 2)
  end
  local grads, found = core.backward(loss, core.ones(loss:shape()), ids), {}
  for i, name in ipairs(names) do found[name] = grads[i] or nil end
  return found
end


---Gives the run's memory back now; it cannot be used afterwards.
function Run:release()
  local st = state[self]
  if not st then return end
  state[self] = nil
  self.output:release()
  -- nodes that scripts have looked at keep the tape, but not its values
  for id = 0, st.tape:count() - 1 do st.tape:forget(id) end
  st.tape:release()
end

Run.__close = Run.release
Run.__name = "lunette.Run"


function Run.__tostring(run)
  if not state[run] then return "Run (released)" end
  local out = { ("Run of %s over %d image%s, output %s"):format(run.net.name,
                run:count(), run:count() == 1 and "" or "s", run.output_layer.name) }
  local ok, top = pcall(run.top, run, 5)
  for n, row in ipairs(ok and top or {}) do
    out[#out + 1] = ("  image %d"):format(n)
    for _, c in ipairs(row) do
      out[#out + 1] = "    " .. report.class_text(c, run:kind())
    end
    if n == 8 and run:count() > 8 then
      out[#out + 1] = ("  ... %d more"):format(run:count() - 8)
      break
    end
  end
  return table.concat(out, "\n")
end


report.install(Run)

return { new = new, outline = outline, Run = Run }
