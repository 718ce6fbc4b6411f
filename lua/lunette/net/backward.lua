---Backward passes over a run: values of scores, their gradients, gradients of the
---weights. A score is differentiated on a small tape of its own, which gives the
---seed; then the run's tape is walked back once.
local apply = require "lunette.modifiers.apply"
local blame = require "lunette.base.blame"
local channel_means = require "lunette.net.channel_means"
local core = require "lunette.core"
local forward = require "lunette.net.forward"
local named = require "lunette.modifiers.named"
local options = require "lunette.base.options"
local passes = require "lunette.net.passes"
local score_class = require "lunette.score.score"
local scored_layer = require "lunette.net.scored"
local scores = require "lunette.score"

local Backward = {}


-- what is scored ---------------------------------------------------------------


local function score_list(what)
  if type(what) ~= "table" then blame "gradient: scores is a list" end
  local list = {}
  for i, s in ipairs(what) do
    list[i] = scores.of(s)
    if list[i].layer ~= list[1].layer or list[i].output ~= list[1].output then
      blame "gradient: scores of different layers need calls of their own"
    end
  end
  if #list == 0 then blame "gradient: the list of scores is empty" end
  return list
end


---The scored tensor, its node and layer.
local function scored(run, mods, score)
  local target, st = scored_layer.layer(run, score, mods), forward.state_of(run)
  local id = st.node[target.name]
  if not id or st.dropped[target.name] then
    blame(("layer '%s' %s"):format(target.name, id
      and "was dropped; run with keep = true" or "was not part of this run"))
  end
  return st.tape:node(id).output, id, target
end


---The values of a score, computed from `leaf`, the only tensor on `tape`.
local function values_of(run, score, tape, leaf, layer)
  local s = score.fn(leaf, run, score, layer)
  if not options.is_tensor(s) or not s:node() then
    blame(("score '%s' returned %s, expected a tensor computed from the output, "
           .. "one value a sample"):format(score.name, type(s)))
  end
  if not tape:has(s) then
    blame(("score '%s' is computed from something else than its argument, the output"
      ):format(score.name))
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
  local s = values_of(run, score, tape, leaf, layer)
  -- a value of several numbers a sample counts by its mean (as tf-keras-vis)
  local per = s:size() // value:dim(1)
  local seed = core.backward(s, core.full(1 / per, s:shape()), { leaf:node() })[1]
  forward.give_back(tape)
  return seed or core.zeros(value:shape())
end


local function seeds_of(run, list, value, layer)
  if #list == 1 then return seed_of(run, list[1], value, layer) end
  local shape, n = value:shape(), value:dim(1)
  shape[1] = n * #list
  local all = core.zeros(shape)
  for i, score in ipairs(list) do
    local seed <close> = seed_of(run, score, value, layer)
    all:rows((i - 1) * n + 1, i * n):copy_(seed)
  end
  return all
end


---The sum over the parts of a score, each with the layer that it looks at.
local function sum_of_parts(score, f)
  local sum
  for i, part in ipairs(score.parts) do
    local v = f(part)
    v:mul_(score.weights[i])
    if sum then sum:add_(v) else sum = v end
  end
  return sum
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
function Backward:values(score, opts)
  forward.state_of(self)
  opts = options.check("values", opts, { modifiers = {} })
  local mods, n = named.list(opts.modifiers), self:count()
  local several = score_class.several(score)
  local list = score_list(several or { score == nil and "predicted" or score })
  local all = core.zeros(#list, n)
  if list[1].spread and #list == 1 then
    return sum_of_parts(list[1], function(part)
      return self:values(part, opts)
    end)
  end
  for k, s in ipairs(list) do
    local value, _, layer = scored(self, mods, s)
    local tape = core.tape()
    local v = values_of(self, s, tape, tape:watch(value), layer):detach()
    all:rows(k):copy_(v:reshape { 1, n, v:size() // n }:mean { dims = { 3 } })
    forward.give_back(tape)
  end
  return several and all or all:reshape { n }
end


-- gradients --------------------------------------------------------------------


---@class lunette.GradientOptions
---@field score? any       class id, name, "predicted", a score, or a list `scores`
---@field scores? any[]    K scores: K gradients a sample in one batched backward
---@field wrt? string|string[]   "input" (default), layer names
---@field exact? boolean   `wrt` means those modules: a convolution before its relu
---@field modifiers? string|lunette.Modifier|(string|lunette.Modifier)[]
---@field flows? table      filled: `start`, the seed's sum, and by node id {
---  handed_on = list, bias = number }, what the node's inputs and its bias get
---@field reduce? "mean"   over height and width: (N,C,1,1), as Grad-CAM wants


---Node id of "input" or a layer (activated, unless exact); raises for unknown ones.
local function target_node(run, name, exact)
  local st = forward.state_of(run)
  if name ~= "input" then
    local id, layer = forward.node_of(run, name, exact)
    return id or blame(layer), layer
  end
  if run.start then
    blame(("this run starts at '%s'; ask for the gradient of that layer"):format(
          run.start.name))
  end
  if st.dropped.input then blame "the input was dropped; run with keep = true" end
  return st.leaf, { name = "input", shape = run.net.input }
end


---Zeros of a node's shape, once per copy: the gradient where no path leads.
local function zeros_like(run, id, copies)
  local shape = forward.state_of(run).tape:node(id).shape
  shape[1] = shape[1] * copies
  return core.zeros(shape)
end


---Id of the first node whose gradient is wanted: backward walks no further.
local function first_target(run, opts)
  local first = math.huge
  for _, name in ipairs(type(opts.wrt) == "table" and opts.wrt or { opts.wrt }) do
    first = math.min(first, (target_node(run, name, opts.exact)))
  end
  return first
end


---Node ids of the layers in `wrt`; with `reduce`, for each the function that turns the
---gradient of its node into channel means (channel_means.lua).
local function targets_of(run, opts, scored_id, rules, is_output)
  local wrt = type(opts.wrt) == "table" and opts.wrt or { opts.wrt }
  local ids, means = {}, {}
  for i, name in ipairs(wrt) do
    local id, layer = target_node(run, name, opts.exact)
    if id > scored_id then
      blame(("gradient: layer '%s' comes after the scored layer"):format(name))
    end
    if opts.reduce then
      id, means[i] = channel_means(run, layer, id, scored_id, is_output and rules)
    end
    ids[i] = id
  end
  return ids, means
end


local function check_options(opts)
  opts = options.check("gradient", opts, { score = false, scores = false,
                       wrt = "input", modifiers = {}, exact = false, reduce = false,
                       flows = false })
  if opts.reduce and opts.reduce ~= "mean" then
    blame(("gradient: reduce is \"mean\", got %s"):format(tostring(opts.reduce)))
  end
  opts.modifiers = named.list(opts.modifiers)
  return opts
end


---The gradient of a score that looks at several layers: the sum of its parts'.
local function gradient_of_parts(run, score, opts)
  if type(opts.wrt) == "table" then
    local list = {}
    for i, name in ipairs(opts.wrt) do
      local one = { wrt = name }
      for key, value in pairs(opts) do one[key] = one[key] or value end
      list[i] = gradient_of_parts(run, score, one)
    end
    return table.unpack(list)
  end
  return sum_of_parts(score, function(part)
    local one = { score = part, scores = false }
    for key, value in pairs(opts) do
      if one[key] == nil then one[key] = value end
    end
    return run:gradient(one)
  end)
end


---Fills `flows` by node id: the engine's sums (`sums`), and the bias's share where a
---rule in Lua reported one (`told`, by layer).
local function tell_flows(run, flows, sums, told)
  for _, node in ipairs(forward.nodes(run)) do
    local own = told[node.layer.name]
    if own and sums[node.id] then sums[node.id].bias = own.bias or 0 end
  end
  for id, sum in pairs(sums) do flows[id] = { handed_on = sum, bias = sum.bias } end
end


---Gradient of the score: (N, ...) for one score, (K*N, ...) for K, score-major.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  local g = run:gradient { score = 3, wrt = "block4_conv3" }
---  print(g)
---@param opts? lunette.GradientOptions
---@return lunette.Tensor gradient   one for each `wrt`
function Backward:gradient(opts)
  forward.state_of(self)
  opts = check_options(opts)
  local list = score_list(opts.scores or { opts.score or "predicted" })
  if list[1].spread and #list == 1 then
    return gradient_of_parts(self, list[1], opts)
  end
  local value, id, layer = scored(self, opts.modifiers, list[1])
  local seed <close> = seeds_of(self, list, value, layer)
  local sums, told = opts.flows and {}, opts.flows and {}
  local first = first_target(self, opts)
  local rules = apply.rules(self, forward.nodes(self, first, id), opts.modifiers, told)
  local is_output = channel_means.is_output(list[1], opts.modifiers)
  local ids, means = targets_of(self, opts, id, rules, is_output)
  local st = forward.state_of(self)
  passes.backwards = passes.backwards + seed:dim(1)
  local grads = core.backward(st.tape:box(id), seed, ids, rules, sums or nil)
  if sums then
    opts.flows.start = seed:sum():item()
    tell_flows(self, opts.flows, sums, told)
  end
  for i, g in ipairs(grads) do
    grads[i] = g or zeros_like(self, ids[i], #list)
    if means[i] then grads[i] = means[i](grads[i]) end
  end
  return table.unpack(grads)
end


---How many layers each backward modifier would change on the way from the output back
---to `wrt`; 0 where a gradient with it would be an error. So scripts that try several
---rules can tell which of them mean nothing at a layer.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  print(run:changes { "guided" }.guided, run:changes({ "guided" }, "fc1").guided)
---@param modifiers any     a name, a modifier, or a list of these
---@param wrt? string       "input", or a layer's name
---@return table<string, integer>   by the modifier's name
function Backward:changes(modifiers, wrt)
  local id = target_node(self, wrt or "input")
  return apply.count(self, forward.nodes(self, id), named.list(modifiers))
end


---Gradients of the parameters (the run must watch them): by name.
---@param loss lunette.Tensor   one value, computed from run.output
---@return table<string, lunette.Tensor>
function Backward:parameter_gradients(loss)
  local st, names, ids = forward.state_of(self), {}, {}
  for name, id in pairs(st.param_node) do
    names[#names + 1] = name
    ids[#ids + 1] = id
  end
  if #names == 0 then
    blame 'parameter_gradients: run with { watch = "parameters" }'
  end
  if not options.is_tensor(loss) or not st.tape:has(loss) then
    blame "parameter_gradients: the loss is not computed from this run's output"
  end
  local grads, found = core.backward(loss, core.ones(loss:shape()), ids), {}
  for i, name in ipairs(names) do found[name] = grads[i] or nil end
  return found
end


---The node whose value is scored; of a score that looks at several the first of them.
---@param run lunette.Run
---@param score any
---@param mods lunette.Modifier[]
---@return integer id
function Backward.scored_node(run, score, mods)
  local first, whole = math.huge, scores.of(score)
  for _, part in ipairs(whole.spread and whole.parts or { whole }) do
    local _, id = scored(run, mods, part)
    first = math.min(first, id)
  end
  return first
end


---Adds what this file is about to the class of runs.
---@param Run table
function Backward.install(Run)
  Run.values, Run.gradient = Backward.values, Backward.gradient
  Run.changes = Backward.changes
  Run.parameter_gradients = Backward.parameter_gradients
end

return Backward
