---An ONNX model under construction (nodes, initializers, inputs, outputs), and its
---file.
local core = require "lunette.core"
local files = require "lunette.base.files"
local opsets = require "lunette.onnx.opsets"
local wire = require "lunette.onnx.wire"

local M = {}

---@class lunette.OnnxGraph
---@field opset integer
---@field half boolean       weights as float16, each followed by a Cast
---@field nodes lunette.Wire[]
---@field initializers table[]
---@field inputs lunette.Wire[]
---@field outputs lunette.Wire[]
---@field meta string[][]    key and value
---@field batch integer|string|false   how many pictures, or what that is called
---@field lists table<string, number[]>   constants that may become attributes, by name
---@field sources table<lunette.Tensor, fun(): string>   names of what the file has
local Graph = {}
Graph.__index = Graph

---Element types by ONNX's numbers.
M.FLOAT, M.INT64, M.BOOL, M.HALF = 1, 7, 9, 10

---The opsets that can be written, and the IR version that goes with each.
M.OPSETS = { [13] = 7, [14] = 7, [15] = 8, [16] = 8, [17] = 8 }

---The longest protobuf file; larger weights go into a second file.
M.MOST = 2 ^ 31 - 2 ^ 20

---With half = true, smaller weights stay float32.
local SMALL = 256


---@param opts { opset?: integer, half?: boolean, original?: lunette.OnnxOriginal }
---  original: a file that nodes are added to
---@return lunette.OnnxGraph
function M.new(opts)
  local o = opts.original
  return setmetatable({ opset = o and o.opset or opts.opset or 17,
    half = opts.half or false, original = o, batch = o and o.batch or "N", nodes = {},
    initializers = {}, inputs = {}, outputs = {}, meta = {},
    taken = o and o.taken or {}, known = {}, lists = {}, sources = {}, counts = {} },
    Graph)
end


---A name that no value has yet.
---@param base string
---@return string
function Graph:name(base)
  local name, n = base, self.counts[base] or 1
  while self.taken[name] do
    n = n + 1
    name = ("%s_%d"):format(base, n)
  end
  self.counts[base] = n
  self.taken[name] = true
  return name
end


-- nodes ------------------------------------------------------------------------------


local FLOAT, INT, STRING, TENSOR, FLOATS, INTS = 1, 2, 3, 4, 6, 7

---An attribute: whole numbers, other numbers, texts, or a list of numbers.
local function attribute(name, value)
  local a = wire.new():text(1, name)
  if wire.is(value) then return a:message(5, value):int(20, TENSOR) end
  if type(value) == "string" then return a:text(4, value):int(20, STRING) end
  if math.type(value) == "integer" then return a:int(3, value):int(20, INT) end
  if type(value) == "number" then return a:float(2, value):int(20, FLOAT) end
  local whole = true
  for _, v in ipairs(value) do whole = whole and math.type(v) == "integer" end
  for _, v in ipairs(value) do
    if whole then a:int(8, v) else a:float(7, v) end
  end
  return a:int(20, whole and INTS or FLOATS)
end


---Adds a node as it is.
---@param n { op: string, inputs: (string|false)[], attrs?: table<string, any>,
---  outputs: string[], name?: string }
function Graph:put(n)
  local node, keys = wire.new(), {}
  for i = 1, #n.inputs do node:text(1, n.inputs[i] or "") end
  for _, y in ipairs(n.outputs) do node:text(2, y) end
  node:text(3, n.name or n.outputs[1]):text(4, n.op)
  for key in pairs(n.attrs or {}) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do node:message(5, attribute(key, n.attrs[key])) end
  self.nodes[#self.nodes + 1] = node
end


---Adds a node, given as opsets 13 to 17 have it.
---@param op string
---@param inputs (string|false)[]   names; false: left out
---@param attrs? table<string, any>
---@param outputs string[]          names, of Graph:name
---@param name? string              of the node (that of its first output)
function Graph:node(op, inputs, attrs, outputs, name)
  opsets.write(self, { op = op, inputs = inputs, attrs = attrs, outputs = outputs,
                       name = name })
end


-- constants --------------------------------------------------------------------------


---The weights that are written: how long they are.
local function bytes_of(t)
  if type(t.data) == "string" then return #t.data end
  return t.data:size() * (t.kind == M.HALF and 2 or 4)
end


local function entry(key, value) return wire.new():text(1, key):text(2, value) end


---A TensorProto. `at`: where its values stand in the file of that name.
local function tensor_proto(t, file, at)
  local w = wire.new()
  for _, d in ipairs(t.shape) do w:int(1, d) end
  w:int(2, t.kind):text(8, t.name)
  if file then
    w:message(13, entry("location", file)):message(13, entry("offset", tostring(at)))
      :message(13, entry("length", tostring(bytes_of(t))))
    return w:int(14, 1)
  end
  if type(t.data) == "string" then return w:text(9, t.data) end
  return w:values(9, t.data, t.kind == M.HALF)
end


---Whole numbers as floats: those of a Constant before opset 9.
local function floats(bytes)
  local list = {}
  for at = 1, #bytes, 8 do
    list[#list + 1] = string.pack("<f", (string.unpack("<i8", bytes, at)))
  end
  return table.concat(list)
end


---A constant as a node.
local function constant(self, name, shape, kind, data)
  local whole = kind == M.INT64 and self.opset < 9
  local made = whole and self:name(name .. ".float") or name
  local value = tensor_proto { name = made, shape = shape,
    kind = whole and M.FLOAT or kind, data = whole and floats(data) or data }
  self:put { op = "Constant", inputs = {}, attrs = { value = value },
             outputs = { made } }
  if whole then self:node("Cast", { made }, { to = M.INT64 }, { name }) end
end


---@param name string   of Graph:name
---@param shape integer[]
---@param kind integer
---@param data string|lunette.Tensor   bytes, or values
function Graph:initializer(name, shape, kind, data)
  if self.original and self.original.ir < 4 then -- there they would be inputs as well
    return constant(self, name, shape, kind, data)
  end
  self.initializers[#self.initializers + 1] = { name = name, shape = shape, kind = kind,
                                                data = data }
end


---The name of a list of whole numbers; equal ones are written once.
---@param list integer[]
---@param shape? integer[]   {} for a single number without dimensions
---@return string
function Graph:ints(list, shape)
  shape = shape or { #list }
  local text = table.concat(list, "_")
  local key = "ints " .. text .. "/" .. #shape
  if not self.known[key] then
    local bytes = {}
    for i, n in ipairs(list) do bytes[i] = string.pack("<i8", math.tointeger(n)) end
    self.known[key] = self:name("int." .. (#text > 0 and #text < 40 and text or "list"))
    self.lists[self.known[key]] = list
    self:initializer(self.known[key], shape, M.INT64, table.concat(bytes))
  end
  return self.known[key]
end


---A float32 in the fewest digits that are still it.
local function digits(x)
  local value = string.pack("<f", x)
  for n = 1, 9 do
    local text = ("%%.%dg"):format(n):format(x)
    if string.pack("<f", tonumber(text) or 0) == value then return text end
  end
  return ("%.9g"):format(x)
end


---The name of a number: of shape (1), or of no dimensions.
---@param x number
---@param scalar? boolean
---@return string
function Graph:number(x, scalar)
  local key = ("number %.17g%s"):format(x, scalar and "" or " in a list")
  if not self.known[key] then
    self.known[key] = self:name("float." .. digits(x))
    self.lists[self.known[key]] = { x }
    self:initializer(self.known[key], scalar and {} or { 1 }, M.FLOAT,
                     string.pack("<f", x))
  end
  return self.known[key]
end


---The name of a list of no numbers.
---@return string
function Graph:empty()
  if not self.known.empty then
    self.known.empty = self:name "float.none"
    self:initializer(self.known.empty, { 0 }, M.FLOAT, "")
  end
  return self.known.empty
end


---A tensor under a name; as float16 it is made float32 again by a Cast.
---@param t lunette.Tensor
---@param base string
---@return string name
function Graph:tensor(t, base)
  if not self.known[t] and self.sources[t] then self.known[t] = self.sources[t]() end
  if self.known[t] then return self.known[t] end
  local name = self:name(base)
  self.known[t] = name
  if self.half and t:size() >= SMALL then
    local stored = self:name(base .. ".half")
    self:initializer(stored, t:shape(), M.HALF, t)
    self:node("Cast", { stored }, { to = M.FLOAT }, { name })
  else
    self:initializer(name, t:shape(), M.FLOAT, t)
  end
  return name
end


-- inputs and outputs -----------------------------------------------------------------


---{ name, type, shape }: dimensions are numbers, or names where they are open.
local function value_info(name, kind, dims)
  local shape = wire.new()
  for _, d in ipairs(dims) do
    local one = wire.new()
    if math.type(d) == "integer" then one:int(1, d) elseif d then one:text(2, d) end
    shape:message(1, one)
  end
  local tensor = wire.new():int(1, kind):message(2, shape)
  return wire.new():text(1, name):message(2, wire.new():message(1, tensor))
end


---@param name string
---@param kind integer
---@param dims (integer|string)[]
function Graph:input(name, kind, dims)
  self.inputs[#self.inputs + 1] = value_info(name, kind, dims)
end


---@param name string
---@param kind integer
---@param dims (integer|string|false)[]   false: not known
function Graph:output(name, kind, dims)
  self.outputs[#self.outputs + 1] = value_info(name, kind, dims)
end


-- the file ---------------------------------------------------------------------------


---Initializers in the file itself, or in one beside it, aligned as pages are.
local function put_tensors(self, graph, beside)
  local parts, at = {}, 0
  for _, t in ipairs(self.initializers) do
    if beside and type(t.data) ~= "string" then
      local gap = -at % 4096
      if gap > 0 then parts[#parts + 1] = ("\0"):rep(gap) end
      at = at + gap
      graph:message(5, tensor_proto(t, beside, at))
      parts[#parts + 1] = t.kind == M.HALF and { half = t.data } or t.data
      at = at + bytes_of(t)
    else
      graph:message(5, tensor_proto(t))
    end
  end
  return parts
end


---The model, whole: that which was there, with more in its graph and behind it.
local function model_over(self, graph)
  local o = self.original
  local w = wire.new():raw(o.before):message(7, graph):raw(o.after)
  for _, m in ipairs(self.meta) do
    if not o.meta[m[1]] then w:message(14, entry(m[1], m[2])) end
  end
  return w
end


---The whole model.
local function model(self, name, graph)
  if self.original then return model_over(self, graph) end
  local version = core.build().version
  local opset = wire.new():text(1, ""):int(2, self.opset)
  local version_of_format = M.OPSETS[self.opset] or self.opset > 17 and 10 or 7
  local w = wire.new():int(1, version_of_format):text(2, "lunette")
    :text(3, version):message(7, graph:text(2, name)):message(8, opset)
  for _, m in ipairs(self.meta) do w:message(14, entry(m[1], m[2])) end
  return w
end


---@return integer   bytes of all weights
function Graph:weight_bytes()
  local total = 0
  for _, t in ipairs(self.initializers) do total = total + bytes_of(t) end
  return total
end


---The whole file, and, where protobuf's 2 GB would not do, what stands beside it.
local function assembled(self, name, beside)
  local o = self.original
  local graph = wire.new():raw(o and o.graph or "")
  for _, node in ipairs(self.nodes) do graph:message(1, node) end
  local parts = put_tensors(self, graph, beside)
  for _, v in ipairs(self.inputs) do graph:message(11, v) end
  for _, v in ipairs(self.outputs) do graph:message(12, v) end
  return model(self, name, graph), parts
end


---How long the file will be, its weights included.
---@param name string   of the graph
---@return integer
function Graph:bytes(name)
  return assembled(self, name).bytes
end


---Writes the model: one file, or, where protobuf's 2 GB would not do, two, of which the
---second, PATH.data, holds the weights; whole or not at all.
---@param path string
---@param name string   of the graph
---@param more? { [1]: string, [2]: string }   one more file to be written with it
---@return integer? bytes, string? message
function Graph:write(path, name, more)
  local beside = self:weight_bytes() > M.MOST and path:match "[^/]*$" .. ".data" or nil
  local w, parts = assembled(self, name, beside)
  local set = { { path, w } }
  if beside then set[2] = { path .. ".data", parts } end
  set[#set + 1] = more
  local ok, message = files.write_set(set)
  if not ok then return nil, message end
  return w.bytes + (beside and self:weight_bytes() or 0)
end

return M
