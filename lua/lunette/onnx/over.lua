---A network whose nodes are in an ONNX file already: its values and parameters are the
---file's, by name. Where ONNX has another order of dimensions, a Transpose is added
---when the value is read.
local emit = require "lunette.onnx.emit"
local network = require "lunette.onnx.network"

local M = {}

local FLOAT = 1


---Is a list 1, 2, 3 ...?
local function in_order(list)
  for i, v in ipairs(list) do if i ~= v then return false end end
  return true
end


local function less_1(list)
  local out = {}
  for i, v in ipairs(list) do out[i] = v - 1 end
  return out
end


---A node that shows a value in another way; its name.
local function view(graph, op, inputs, attrs, base)
  local name = graph:name(("%s/%s"):format(base, op))
  graph:node(op, inputs, attrs, { name })
  return name
end


-- values -----------------------------------------------------------------------------


---For each of our dimensions, which of ONNX's it is (from 1); nil where ONNX's value
---has no batch dimension.
local function places(seen)
  local perm = {}
  for i, d in ipairs(seen.order) do perm[d] = i end
  for d = 1, #seen.order do if not perm[d] then return nil end end
  return perm
end


---The name of a layer's value as we have it; made when it is asked for.
---@param graph lunette.OnnxGraph
---@param seen lunette.onnx.Seen
---@return (fun(): string)?
local function value(graph, seen)
  local perm = places(seen)
  if not perm then return nil end
  local name
  return function()
    name = name or in_order(perm) and seen.name
      or view(graph, "Transpose", { seen.name }, { perm = less_1(perm) }, seen.name)
    return name
  end
end


-- parameters -------------------------------------------------------------------------


local function same(a, b) return table.concat(a, ",") == table.concat(b, ",") end


---The name of a parameter as we have it; made when it is asked for.
---@param graph lunette.OnnxGraph
---@param source lunette.onnx.Source
---@param shape integer[]      of the parameter in the network
---@param turned boolean       a dense weight of layout (in,out)
local function parameter(graph, source, shape, turned)
  local perm = { table.unpack(source.perm) }
  if turned then perm[1], perm[2] = perm[2], perm[1] end
  return function()
    local name, base = source.name, source.name
    if source.type ~= "F32" then
      name = view(graph, "Cast", { name }, { to = FLOAT }, base)
    end
    local now = source.shape
    if not in_order(perm) then
      if not same(now, source.view) then
        name = view(graph, "Reshape", { name, graph:ints(source.view) }, nil, base)
      end
      name = view(graph, "Transpose", { name }, { perm = less_1(perm) }, base)
      now = {}
      for i, p in ipairs(perm) do now[i] = source.view[p] end
    end
    if not same(now, shape) then
      name = view(graph, "Reshape", { name, graph:ints(shape) }, nil, base)
    end
    return name
  end
end


---Tensors of the network that the file has.
local function take_parameters(graph, net, origin)
  for _, layer in ipairs(net:layers()) do
    for _, q in ipairs(layer.params) do
      local source, t = origin.params[q.name], net.params[q.name]
      local turned = q.key == "weight" and layer.weight_layout == "in_out"
      if source and t and not (turned and #source.perm ~= 2) then
        graph.sources[t] = parameter(graph, source, t:shape(), turned)
      end
    end
  end
end


---The network of a file that nodes are added to, its layers traced.
---@param graph lunette.OnnxGraph
---@param net lunette.Net
---@return lunette.OnnxEmitter e, table<string, lunette.Traced> values   by layer
---@return lunette.Net copy   of which they are the values
function M.network(graph, net)
  local copy, origin = network.copy(net), graph.original.origin
  local e, x = emit.new(graph), network.picture(copy)
  graph.picture = origin.picture.name
  take_parameters(graph, net, origin)
  local last = net:layers()[#net:layers()].name
  local values = network.forward(copy, { input = x }, net.outputs or { last })
  return e, values, copy
end


---May a value be read where it stands? Runtimes compute a layer norm that stands there
---in pieces in one pass, and otherwise where its result has more readers.
local function readable(graph, traced)
  return traced.op ~= "layer_norm" or graph.opset >= 17
end


---Says which of the traced values the file has.
---@param e lunette.OnnxEmitter
---@param values table<string, lunette.Traced>   by layer
function M.give(e, values)
  local origin = e.graph.original.origin
  for name, traced in pairs(values) do
    local seen = origin.values[name]
    local named = seen and readable(e.graph, traced) and value(e.graph, seen)
    if named then e.given[traced] = named end
  end
end

return M
