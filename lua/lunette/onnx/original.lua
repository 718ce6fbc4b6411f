---An ONNX file that nodes are added to. What it has stays as it is, byte for byte: the
---fields of the model are copied, and those that are new stand behind them.
local files = require "lunette.base.files"
local listing = require "lunette.weights.import.listing"
local onnx = require "lunette.weights.import.onnx"
local origins = require "lunette.weights.import.onnx.origin"
local program = require "lunette.weights.import.program"
local shapes = require "lunette.base.shapes"
local wire = require "lunette.onnx.wire"

local M = {}

---@class lunette.OnnxOriginal
---@field path string
---@field origin lunette.onnx.Origin
---@field opset integer
---@field ir integer
---@field batch integer|string|false   its pictures: how many, or what it calls that
---@field taken table<string, boolean>  names of values and nodes
---@field bytes integer    how long it is
---@field before string    the model's fields before its graph
---@field graph string     the fields of the graph
---@field after string

---Fields of the messages: ONNX's numbers.
local GRAPH, INPUT = 7, 11


---The fields of the model: those before and behind the graph, and those inside it.
---Protobuf reads several graphs as parts of one.
local function split(bytes)
  local before, graph, after = {}, {}, {}
  for field, content, from, to in wire.fields(bytes) do
    if field == GRAPH then
      graph[#graph + 1] = content
    else
      local list = #graph > 0 and after or before
      list[#list + 1] = bytes:sub(from, to)
    end
  end
  return table.concat(before), table.concat(graph), table.concat(after)
end


---The first content of a field, at a path of fields.
local function at(bytes, ...)
  for _, want in ipairs { ... } do
    local found
    for field, content in wire.fields(bytes) do
      if field == want then
        found = content
        break
      end
    end
    if not found then return nil end
    bytes = found
  end
  return bytes
end


---How many pictures an input has: a number, a name, or false.
local function batch_of(graph, name)
  for field, content in wire.fields(graph) do
    if field == INPUT and at(content, 1) == name then
      local dim = at(content, 2, 1, 2, 1) -- type, tensor, shape, its first dimension
      local value, param = dim and at(dim, 1), dim and at(dim, 2)
      if param and param ~= "" then return param end
      return math.type(value) == "integer" and value > 0 and value or false
    end
  end
  return false
end


local function names_of(model)
  local taken = {}
  for _, t in ipairs(model.tensors) do taken[t.name] = true end
  for _, list in ipairs { model.inputs, model.outputs } do
    for _, v in ipairs(list) do taken[type(v) == "table" and v[1] or v] = true end
  end
  for _, node in ipairs(model.nodes) do
    taken[node.name] = true
    for _, name in ipairs(node.outputs) do taken[name] = true end
  end
  return taken
end


---Dimensions as the listing has them: false where they are open.
local function dimensions(text)
  local list = {}
  for d in (text or ""):gmatch "[^,]+" do
    list[#list + 1] = math.tointeger(tonumber(d)) or false
  end
  return list
end


---The input that takes the picture: the one that no initializer fills.
local function picture_of(model)
  local filled = {}
  for _, t in ipairs(model.tensors) do filled[t.name] = true end
  for _, input in ipairs(model.inputs) do
    if not filled[input[1]] then return input end
  end
end


---Why nodes cannot be added to a file, or nil.
local function obstacle(o, input)
  if o.opset < M.OLDEST then
    return ("its opset, %d, is older than %d"):format(o.opset, M.OLDEST)
  end
  if input[2] ~= "F32" then return "its input is of " .. input[2] end
  local seen = o.origin.picture
  if #seen.shape < 4 and #seen.shape ~= 2 then return "its input has no batch" end
  for i, d in ipairs(dimensions(input[3])) do
    if i > 1 and (not d or d < 1) then return "its picture's size is open" end
  end
  return nil
end


---The oldest opset that nodes are written for.
M.OLDEST = 7


local function described(path)
  local found, message = listing.list(path)
  if not found then return nil, message end
  if found.format ~= "ONNX" then return nil end
  for _, f in ipairs(found.lines) do
    for i = 2, #f do f[i] = program.unescape(f[i]) end
  end
  return found
end


---Opens an ONNX file to add nodes to. Returns nil where it is no ONNX file, and nil and
---a reason where nodes cannot be added.
---@param path string
---@return lunette.OnnxOriginal? original, string? message
function M.read(path)
  local found, message = described(path)
  if not found then return nil, message end
  local arch, why, model, b = onnx.read(found.lines, {})
  if not arch then return nil, why end
  local bytes
  bytes, message = files.read(path)
  if not bytes then return nil, message end
  local input = picture_of(model)
  local o = { path = path, origin = origins(b), opset = model.opset, ir = model.ir,
              layers = arch.layers, input = arch.input, taken = names_of(model),
              meta = model.meta, outside = select(2, next(model.outside)) }
  o.before, o.graph, o.after = split(bytes)
  o.bytes = #bytes
  o.batch = batch_of(o.graph, input[1])
  message = obstacle(o, input)
  if message then return nil, message end
  return o
end


local function same_layers(o, net)
  local layers = net:layers()
  if #layers ~= #o.layers or not shapes.same(net.input, o.input) then return false end
  for i, layer in ipairs(layers) do
    local own = o.layers[i]
    if layer.name ~= own.name or layer.kind ~= own.kind then return false end
  end
  return true
end


---Is the file still that which the network was loaded from?
local function unchanged(o, net)
  local was = net.weights_file and net.weights_file:meta().source_sha256
  local sums = was and program.digests(o.path, { "sha256" })
  return sums and sums.sha256 == was
end


---Is a network what the file says, with the same weights?
---@param o lunette.OnnxOriginal
---@param net lunette.Net
---@return boolean
function M.is(o, net)
  local fresh = same_layers(o, net) and unchanged(o, net)
    and require("lunette.weights.load").again(net)
  if not fresh then return false end
  for name, t in pairs(fresh.params) do
    local own = net.params[name]
    local same = own == t or own and shapes.same(own:shape(), t:shape()) and own:same(t)
    if not same then return false end
  end
  return true
end

---A file of weights beside the original, as a file beside what is written.
---@param o lunette.OnnxOriginal
---@param path string   what is written
---@return { [1]: string, [2]: string }? file   nil: there is none, or it is there
---@return string? message
function M.beside(o, path)
  if not o.outside then return nil end
  local own = files.split(o.path) .. "/" .. o.outside
  local copy = files.split(path) .. "/" .. o.outside
  if own == copy then return nil end
  local bytes, message = files.read(own)
  if not bytes then return nil, message end
  if not files.exists(copy) then return { copy, bytes } end
  if files.read(copy) == bytes then return nil end
  return nil, ("%s would be overwritten: it is not the weights of %s"):format(copy,
    o.path)
end

return M
