---The forward pass: which layers a run needs, in which order they are computed, and
---what may be dropped again. The tape and the nodes of every run are kept here,
---apart from the run that scripts see.
local blame = require "lunette.base.blame"
local build = require "lunette.net.build"
local core = require "lunette.core"
local layers = require "lunette.layers"
local targets_under = require("lunette.modifiers.apply").target
local options = require "lunette.base.options"
local passes = require "lunette.net.passes"
local progress = require "lunette.base.progress"
local told = require("lunette.base.types").told

local M = {}

local states = setmetatable({}, { __mode = "k" }) -- run -> its state

---@class lunette.RunState
---@field tape userdata
---@field node table<string, integer>        node id of every layer that was run
---@field param_node table<string, integer>  leaves of watched parameters
---@field leaf integer                       node id of what was run
---@field dropped table<string, boolean>     layers whose values are gone


---The state of a run; raises when it was released.
---@param run lunette.Run
---@return lunette.RunState
function M.state_of(run)
  if states[run] then return states[run] end
  local own = type(run) == "table" and (getmetatable(run) or {}).__name == "lunette.Run"
  blame(own and "the run was released"
        or "a run's method is called with a colon, as in run:top(5)")
end


---@param run lunette.Run
---@return boolean
function M.is_released(run) return states[run] == nil end


---Forgets a run's state; returns it.
---@param run lunette.Run
---@return lunette.RunState?
function M.drop(run)
  local st = states[run]
  states[run] = nil
  return st
end


---Gives a tape back, with the values that it holds: nodes that somebody has looked at
---keep the tape alive until they are collected.
---@param tape lunette.Tape
function M.give_back(tape)
  for id = 0, tape:count() - 1 do tape:forget(id) end
  tape:release()
end


---Node id of a layer whose value is there.
---@param run lunette.Run
---@param name string
---@param exact? boolean   that layer, not its activation
---@return integer? id, lunette.Layer|string layer_or_message
function M.node_of(run, name, exact)
  local st = M.state_of(run)
  local find = exact and run.net.layer or run.net.activated
  local layer, message = find(run.net, name)
  if not layer then return nil, message end
  local id = st.node[layer.name]
  if id and not st.dropped[layer.name] then return id, layer end
  return nil, ("layer '%s' %s"):format(layer.name, id
    and "was dropped; run with keep = true" or "was not part of this run")
end


---The layers that were run, in order, with their node ids.
---@param run lunette.Run
---@param first? integer   after this node
---@param last? integer    up to this one
---@return { layer: lunette.Layer, id: integer }[]
function M.nodes(run, first, last)
  local st, list = M.state_of(run), {}
  for _, layer in ipairs(run.net:layers()) do
    local id = st.node[layer.name]
    if id and id > (first or -1) and id <= (last or math.huge) then
      list[#list + 1] = { layer = layer, id = id }
    end
  end
  return list
end


-- what is needed ---------------------------------------------------------------


---The layers that depend on layer `start`, itself included, as a set of names.
---@param net lunette.Net
---@param start string
---@return table<string, true?>
function M.followers(net, start)
  local set = { [start] = true }
  for _, layer in ipairs(net:layers()) do
    for _, from in ipairs(layer.from) do
      set[layer.name] = set[layer.name] or set[from]
    end
  end
  return set
end


---Watches, for n samples, the values of another run (`beside`, of one image) that the
---needed layers read and that do not depend on `start`: the other branches of a graph.
local function stand_beside(net, st, start, beside, set, n)
  local follows = M.followers(net, start.name)
  for _, layer in ipairs(net:layers()) do
    local run = layer ~= start and follows[layer.name] and set[layer.name]
    local read = run and layer.from or {} -- what `start` reads is not needed
    for _, from in ipairs(read) do
      if not follows[from] and not st.box[from] then
        local value = from == "input" and beside.images
          or assert(beside:preactivation(from))
        local shape = value:shape()
        shape[1] = n
        st.box[from] = st.tape:watch(value:detach():expand { shape = shape })
        st.node[from] = st.box[from]:node()
      end
    end
  end
  for name in pairs(set) do set[name] = follows[name] end
end


---Adds the layers that `target` depends on to the set, not beyond `start`.
local function add_needed(net, target, start, set)
  local work, n, by_name = { target }, 1, build.parts(net).by_name
  while n > 0 do
    local layer = work[n]
    n = n - 1
    if not set[layer.name] and layer ~= start then
      set[layer.name] = true
      for _, from in ipairs(layer.from) do
        if from ~= "input" then
          n = n + 1
          work[n] = by_name[from]
        elseif start then
          return nil, ("layer '%s' does not depend on '%s' alone"):format(target.name,
                                                                         start.name)
        end
      end
    end
  end
  return set
end


---The layers that the outputs depend on. An output that depends on more than `start` is
---removed from `outputs`.
local function needed(net, outputs, start, beside)
  if beside then start = nil end
  local set, message = {}, nil
  for i = #outputs, 1, -1 do
    local own, why = add_needed(net, outputs[i].layer, start, {})
    if not own then
      table.remove(outputs, i)
      message = why
    end
    for name in pairs(own or {}) do set[name] = true end
  end
  if #outputs == 0 then blame(message) end
  return set
end


---Where each of a network's outputs ends up under the modifiers, and what they
---changed; a message where they change nothing at all.
local function targets(net, names, mods)
  local list, changed, message = {}, {}, nil
  for i, name in ipairs(names) do
    local layer = net:layer(name)
    local ok, target, counts = pcall(targets_under, net, layer, mods)
    list[i] = ok and target or layer
    if not ok then message = message or target end
    for modifier, n in pairs(ok and counts or {}) do
      changed[modifier] = (changed[modifier] or 0) + n
    end
  end
  return list, changed, not next(changed) and message
end


---The outputs of a run under the modifiers: before a softmax under `linear`; under
---`extract` one layer alone.
---@param net lunette.Net
---@param mods lunette.Modifier[]
---@return { name: string, layer: lunette.Layer }[] outputs
---@return table<string, integer> changed   by modifier
function M.outputs(net, mods)
  local all = net:layers()
  local names, outputs, seen = net.outputs or { all[#all].name }, {}, {}
  local layers_, changed, message = targets(net, names, mods)
  if message then blame(message) end
  for i, layer in ipairs(layers_) do
    if not seen[layer.name] then
      outputs[#outputs + 1] = { name = names[i], layer = layer }
    end
    seen[layer.name] = true
  end
  if #names > 1 and #outputs == 1 then outputs[1].name = outputs[1].layer.name end
  return outputs, changed
end


---Index of the first layer whose value is kept, whoever reads it.
local function first_kept(net, keep)
  if type(keep) == "boolean" then return keep and 0 or math.huge end
  if type(keep) ~= "string" then
    blame("run: keep is true, false or a layer's name, got a " .. type(keep))
  end
  local layer, message = net:activated(keep)
  if not layer then blame("run: keep: " .. message) end
  return layer.index
end


---What was given in place of an input.
local function told_input(x)
  if options.is_tensor(x) then return "(" .. table.concat(x:shape(), ",") .. ")" end
  return told(x)
end


---Where a batch for the network comes from, by the shape of what was given.
local function remedy(shape, want, start)
  local c, h, w = table.unpack(want)
  local given = shape and table.concat(shape, ",") or ""
  if w and given:find((",%d,%d,%d"):format(h, w, c), 1, true) and #shape == 4 then
    return "; channels come first: x:permute { dims = { 1, 4, 2, 3 } }"
  end
  local makes = start and "" or "; net:images makes one from paths or pictures"
  if given ~= table.concat(want, ",") then return makes end
  return makes .. "; x:rows(i) is one of a batch"
end


---Raises unless x is a batch for the network, or for the layers after `start`.
---@param net lunette.Net
---@param x any
---@param start? lunette.Layer
function M.check_input(net, x, start)
  local want = table.concat(start and start.shape or net.input, ",")
  local shape = options.is_tensor(x) and x:shape()
  if shape and shape[1] > 0 and table.concat(shape, ",", 2) == want then return end
  blame(("%s%s wants a tensor (N,%s), got %s%s"):format(net.name,
        start and " after " .. start.name or "", want, told_input(x),
        remedy(shape, start and start.shape or net.input, start)))
end


---Raises where there is no input because what should have made it gave nil, message.
---@param net lunette.Net
---@param x any
---@param message any   what came beside it
function M.check_given(net, x, message)
  if x == nil and type(message) == "string" then
    blame(("%s: the input is nil: %s (assert(net:images ...) stops there)"):format(
          net.name, message))
  end
end


-- computing --------------------------------------------------------------------


local function watched_params(net, layer, st)
  if #layer.params == 0 then return {} end
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


---Drops the inputs of `layer` that no later layer reads, outputs excepted, unless the
---layer is among those that are kept (`kept_from` on). If the values of `layer` are
---deferred, the core holds its inputs until they are computed.
local function forget_inputs(layer, st)
  if layer.index > st.kept_from then return end
  local list = layer.from
  for i = 1, #list do
    local from = list[i]
    local readers, box = st.readers[from], st.box[from]
    if box and readers[#readers] == layer.index and not st.is_output[from] then
      st.tape:forget(st.node[from])
      box:release()
      st.box[from] = nil
      st.dropped[from] = true
    end
  end
end


---Is the next layer the only one that reads the values of `layer`? Then the core may
---defer them and compute both in one pass.
local function read_by_next(layer, st)
  local readers = st.readers[layer.name]
  return readers ~= nil and #readers == 1 and readers[1] == layer.index + 1
    and not st.is_output[layer.name] and layer.index ~= st.kept_from
end


local function apply(net, layer, st)
  local xs, from = {}, layer.from
  for i = 1, #from do xs[i] = st.box[from[i]] end
  local opts = { name = layer.name, defer = read_by_next(layer, st),
                 forward_only = layer.index < st.kept_from }
  local y = layers.apply(layer, xs, watched_params(net, layer, st), opts)
  st.box[layer.name] = y
  st.node[layer.name] = y:node()
  forget_inputs(layer, st)
end


local function new_state(net, x, start, opts)
  local tape = core.tape()
  local leaf = tape:watch(x)
  local from = start and start.name or "input"
  return { tape = tape, leaf = leaf:node(), box = { [from] = leaf },
           node = { [from] = leaf:node() }, param_node = {}, dropped = {},
           watch = opts.watch, kept_from = first_kept(net, opts.keep),
           is_output = {}, readers = build.parts(net).readers }
end


---Takes the outputs' tensors out of the state and releases all others. A run reads
---values from the tape by node, and a tensor that waits for Lua's collector would keep
---its memory after the run was released.
local function take_outputs(st, outputs)
  local values = {}
  for _, output in ipairs(outputs) do
    values[output.name] = st.box[output.layer.name]
  end
  for name, box in pairs(st.box) do
    if not st.is_output[name] then box:release() end
  end
  st.box, st.readers = nil, nil
  return values
end


---Computes everything that the outputs need.
---@param net lunette.Net
---@param x lunette.Tensor
---@param opts table              filled: keep, watch
---@param start? lunette.Layer    x is what this layer put out
---@param outputs table[]         of M.outputs; those that cannot be had go
---@return lunette.RunState state, table<string, lunette.Tensor> values   by output
function M.compute(net, x, opts, start, outputs)
  local st = new_state(net, x, start, opts)
  local set = needed(net, outputs, start, opts.beside)
  if opts.beside then stand_beside(net, st, start, opts.beside, set, x:dim(1)) end
  for _, output in ipairs(outputs) do st.is_output[output.layer.name] = true end
  local kind = start and "partial" or "forwards"
  passes[kind] = passes[kind] + x:dim(1)
  local bar <close>, work = progress.layers(net, set, x:dim(1))
  for _, layer in ipairs(build.parts(net).list) do
    if set[layer.name] and layer ~= start then apply(net, layer, st) end
    bar:add(work[layer.name] or 0)
  end
  return st, take_outputs(st, outputs)
end


---Remembers the state of a run.
---@param run lunette.Run
---@param st lunette.RunState
function M.keep(run, st) states[run] = st end

return M
