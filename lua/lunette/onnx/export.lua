---lu.export: a network as an ONNX file.
local blame = require "lunette.base.blame"
local emit = require "lunette.onnx.emit"
local graphs = require "lunette.onnx.graph"
local json = require "lunette.base.json"
local labels = require "lunette.score.labels"
local metadata = require "lunette.weights.metadata"
local nets = require "lunette.net"
local network = require "lunette.onnx.network"
local options = require "lunette.base.options"
local preprocessing = require "lunette.picture.preprocessing"

local M = {}


---@param net any
---@param path any
---@param what string
function M.check(what, net, path)
  if getmetatable(net) ~= nets.Net or type(path) ~= "string" then
    blame(what .. ": expected a network and a path")
  end
end


---@param opset any
---@param what string
---@return integer
function M.check_opset(what, opset)
  local known = math.tointeger(tonumber(opset))
  if known and graphs.OPSETS[known] then return known end
  blame(("%s: opset is 13 to 17, got %s"):format(what, tostring(opset)))
end


---All fields of a network's preprocessing, for programs that do not know its name.
local function preprocessing_spec(net)
  local spec = preprocessing.spec(net.preprocessing)
  return json.encode { order = spec.order, scale = spec.scale, mean = spec.mean,
                       std = spec.std, fit = spec.fit, filter = spec.filter }
end


---Adds metadata that the nodes do not hold: preprocessing, classes, origin.
---@param graph lunette.OnnxGraph
---@param net lunette.Net
function M.describe(graph, net)
  local meta, keys = metadata.of(net), {}
  local names = net.labels and labels.of(net)
  meta.lunette_graph, meta.lunette_turned = nil, nil -- the nodes hold these
  meta.preprocessing_spec = net.preprocessing and preprocessing_spec(net)
  meta.class_names = names and #names > 0 and json.encode(names) or nil
  for key in pairs(meta) do keys[#keys + 1] = key end
  table.sort(keys)
  for i, key in ipairs(keys) do graph.meta[i] = { key, meta[key] } end
end


---Writes the network's own nodes, inputs and outputs.
---@param graph lunette.OnnxGraph
---@param net lunette.Net
---@return lunette.OnnxEmitter e, table<string, lunette.Traced> values   by layer
---@return lunette.Net copy   the network that was traced
function M.network(graph, net)
  net = network.copy(net)
  local e, x = emit.new(graph), network.picture(net)
  graph.picture = graph:name "input"
  e.names[x] = graph.picture
  graph:input(graph.picture, emit.FLOAT, emit.dimensions(x.dims, graph.batch))
  local names = net.outputs or { net:layers()[#net:layers()].name }
  local values, list = network.forward(net, { input = x }, names), {}
  for i, name in ipairs(names) do list[i] = values[name] end
  for i, written in ipairs(e:write(list)) do
    graph:output(written, emit.FLOAT, emit.dimensions(list[i].dims, graph.batch))
  end
  return e, values, net
end


---@class lunette.ExportOptions
---@field opset? integer    of ONNX's operators, 13 to 17 (17)
---@field half? boolean     weights as float16

---Writes a network as an ONNX file: its layers under their names, any number of
---pictures at a time, preprocessing and classes in the metadata. Where weights are
---beyond 2 GB they stand in PATH.data.
---Example:
---  local net = lu.load "glyphs"
---  local path = os.tmpname()
---  assert(lu.export(net, path))
---  os.remove(path)
---@param net lunette.Net
---@param path string
---@param opts? lunette.ExportOptions
---@return table? report, string? message   { bytes =, nodes = }
function M.export(net, path, opts)
  M.check("export", net, path)
  opts = options.check("export", opts, { opset = 17, half = false })
  opts.opset = M.check_opset("export", opts.opset)
  local graph = graphs.new(opts)
  M.describe(graph, net)
  M.network(graph, net)
  local bytes, message = graph:write(path, net.name)
  if not bytes then return nil, message end
  return { bytes = bytes, nodes = #graph.nodes }
end

return M
