---Writes traced values as ONNX nodes: each value that is asked for, and all that it is
---computed from. How an operator is written stands in operators/ (a `column`).
local blame = require "lunette.base.blame"
local is_tensor = require("lunette.base.types").is_tensor
local graphs = require "lunette.onnx.graph"
local shapes = require "lunette.base.shapes"
local trace = require "lunette.trace"

local M = {}

---@class lunette.OnnxEmitter
---@field graph lunette.OnnxGraph
---@field own string     name of the value that is being written
---@field names table<lunette.Traced, string>
---@field decisions { value: lunette.Traced, name: string, kind: integer }[]   masks,
---  places of largest values, classes: what a rounding may turn round
---@field given table<lunette.Traced, fun(): string>   values that the file has already
local Emitter = {}
Emitter.__index = Emitter

---A value that does not depend on the picture is written as numbers if it has at most
---FOLDED of them, unless the nodes that compute it from weights take fewer bytes: NODE
---bytes a node are assumed, and NAME bytes for a list of numbers besides the numbers.
local FOLDED, NODE, NAME = 1024, 120, 60

---Operators that lunette-import does with numbers.
local OF_NUMBERS = {}
for _, op in ipairs { "relu", "maximum", "minimum", "add", "sub", "mul", "div", "neg",
                      "abs", "sqrt", "reciprocal", "reshape" } do
  OF_NUMBERS[op] = true
end


---@param graph lunette.OnnxGraph
---@return lunette.OnnxEmitter
function M.new(graph)
  return setmetatable({ graph = graph, names = {}, given = {}, owners = {},
                        decisions = {} }, Emitter)
end


-- for columns ------------------------------------------------------------------------


---Adds a node for an intermediate result, named as torch names the operators inside a
---module, "/conv1/Mul". Returns its output's name.
---@param op string
---@param inputs (string|false)[]
---@param attrs? table
---@return string
function Emitter:step(op, inputs, attrs)
  local name = self.graph:name(("/%s/%s"):format(self.own, op))
  self.graph:node(op, inputs, attrs, { name })
  return name
end


---Adds the node whose output is the value.
---@param op string
---@param inputs (string|false)[]
---@param attrs? table
---@return string
function Emitter:out(op, inputs, attrs)
  local name = self.own
  if self.owners[name] ~= self.value then name = self.graph:name(name) end
  self.graph:node(op, inputs, attrs, { name })
  return name
end


function Emitter:ints(list, shape) return self.graph:ints(list, shape) end
function Emitter:number(x, scalar) return self.graph:number(x, scalar) end


---An initializer for this value alone.
function Emitter:tensor(t, word)
  return self.graph:tensor(t, self.own .. "." .. word)
end


---Raises with the layer's name.
---@param message string
function Emitter:fail(message, ...)
  blame(("%s '%s': "):format(self.value.op, self.value.label or self.own)
    .. message:format(...))
end


---A shape as ONNX's Reshape takes it: the name of a list. The batch is 0 (copied from
---the input) where the input has it in the same place, else -1 (inferred).
---@param dims integer[]
---@param from? integer[]   of the input
---@return string
function Emitter:shape(dims, from)
  local list, open = {}, 0
  for i, d in ipairs(dims) do
    list[i] = d
    if d % trace.BATCH == 0 and d > 0 then
      list[i], open = from and from[i] == d and 0 or -1, open + 1
    end
  end
  local left = 0
  for _, d in ipairs(list) do if d == -1 then left = left + 1 end end
  if left > 1 then self:fail("its shape has two dimensions that are not known") end
  return self:ints(list)
end


---The batch size times `times`, computed in the file: a list of one number.
---@param times integer
---@return string
function Emitter:batch(times)
  local g = self.graph
  local key = "batch " .. times
  if math.type(g.batch) == "integer" then return self:ints { g.batch * times } end
  if not g.known[key] then
    local own = self.own
    self.own = "batch"
    if times ~= 1 then
      g.known[key] = self:step("Mul", { self:batch(1), self:ints { times } })
    elseif g.opset >= 15 then
      g.known[key] = self:step("Shape", { g.picture }, { start = 0, ["end"] = 1 })
    else
      local all = self:step("Shape", { g.picture })
      g.known[key] = self:step("Gather", { all, self:ints { 0 } })
    end
    self.own = own
  end
  return g.known[key]
end


---A shape with the computed batch size: the name of a list.
---@param dims integer[]
---@return string
function Emitter:whole_shape(dims)
  local parts, run, open = {}, {}, false
  local function close()
    if #run > 0 then parts[#parts + 1], run = self:ints(run), {} end
  end
  for _, d in ipairs(dims) do
    if d % trace.BATCH == 0 and d > 0 then
      close()
      parts[#parts + 1], open = self:batch(d // trace.BATCH), true
    else
      run[#run + 1] = d
    end
  end
  close()
  if not open then return parts[1] end
  if #parts == 1 then return parts[1] end
  return self:step("Concat", parts, { axis = 0 })
end


-- decisions --------------------------------------------------------------------------


---Remembers where something that is decided stands in the file.
---@param t lunette.Traced
---@param name string
---@param kind integer
---@return string name
function Emitter:decides(t, name, kind)
  table.insert(self.decisions, { value = t, name = name, kind = kind })
  return name
end


---ONNX's names of comparisons.
M.comparisons = { gt = "Greater", lt = "Less", ge = "GreaterOrEqual",
                  le = "LessOrEqual", eq = "Equal" }


---Does a value compare two others, of which the picture decides?
---@param t lunette.Traced
---@return boolean
function M.is_comparison(t) return t.live and M.comparisons[t.op] ~= nil end


---The comparisons that a product's second factor consists of, or nil. x * [a > b] is
---written as one Where, without the numbers 1 and 0.
---@param t lunette.Traced
---@return lunette.Traced[]?
function M.mask_of(t)
  local x, by = t.inputs[1], t.inputs[2]
  if t.op ~= "mul" or not by.live or not shapes.same(x.dims, t.dims) then return nil end
  if M.comparisons[by.op] then return { by } end
  local a, b = by.inputs[1], by.inputs[2]
  if by.op == "mul" and M.comparisons[a.op] and M.comparisons[b.op] then
    return { a, b }
  end
  return nil
end


local bytes_of


---Bytes of the nodes that compute a value that does not depend on the picture. A node
---that several values read counts for each of them in part.
local function bytes_of_nodes(t)
  if not OF_NUMBERS[t.op] then return math.huge end
  local bytes = NODE
  for _, x in ipairs(t.inputs) do
    bytes = bytes + bytes_of(x) / math.max(1, x.uses or 1)
  end
  return bytes
end


---Is a value that does not depend on the picture written as numbers?
local function is_folded(t)
  if t.live or t.op == "constant" then return false end
  if t.folded == nil then
    local size = trace.size(t)
    t.folded = size <= FOLDED and 4 * size + NAME <= bytes_of_nodes(t)
  end
  return t.folded
end


bytes_of = function(t)
  if t.op == "constant" then return 0 end
  return is_folded(t) and 4 * trace.size(t) + NAME or bytes_of_nodes(t)
end


---The values that a value's nodes read. A comparison that is written into its reader's
---Where (mask_of) is replaced by the two values it compares.
local function read_by(t)
  if is_folded(t) then return {} end
  local mask, list = M.mask_of(t), { t.inputs[1] }
  if t.op == "where" and M.is_comparison(t.inputs[1]) then
    mask, list = { t.inputs[1] }, { t.inputs[2], t.inputs[3] }
  elseif not mask then
    return t.inputs
  end
  for _, comparison in ipairs(mask) do
    table.move(comparison.inputs, 1, 2, #list + 1, list)
  end
  return list
end


-- values -----------------------------------------------------------------------------


---The part of a tensor that its other values repeat: itself, or 1 long in dimensions
---along which nothing changes.
local function part_of(t)
  local shape = t:shape()
  for d = 1, #shape do
    local first = t:narrow { dim = d, start = 1, length = 1 }
    if first:expand { shape = t:shape() }:same(t) then t = first end
  end
  return t
end


---A row (1,K) that is 1 at one place and 0 elsewhere, as the class of a score: in three
---pieces. Nil: it is no such row, or short.
local function one_hot(self, t)
  local value, dims = t.value, t.dims
  if #dims ~= 2 or dims[1] ~= 1 or dims[2] < 128 then return nil end
  if self.graph.opset < 8 then return nil end -- it had no Expand
  local at = value:view(dims[2]):argmax()
  if value:get(1, at) ~= 1 or value:abs():sum():item() ~= 1 then return nil end
  self.own, self.value = (t.section or "map") .. ".one_hot", t
  local parts = {}
  for _, part in ipairs { { 0, at - 1 }, { 1, 1 }, { 0, dims[2] - at } } do
    if part[2] > 0 then
      parts[#parts + 1] = self:step("Expand", { self:number(part[1]),
                                                self:ints { 1, part[2] } })
    end
  end
  return self:out("Concat", parts, { axis = 1 })
end


---A tensor that is no weight of the network; what repeats itself is written once.
local function constant(self, t)
  if not is_tensor(t.value) then return self.graph:number(t.value) end
  local hot = not t.name and one_hot(self, t)
  if hot then return hot end
  local name = t.name or (t.section or "map") .. ".constant"
  if t.name or t.value:size() <= FOLDED then return self.graph:tensor(t.value, name) end
  local part = part_of(t.value)
  if part:size() == t.value:size() then return self.graph:tensor(t.value, name) end
  self.own, self.value = name, t
  return self:out("Expand", { self:tensor(part, "part"), self:ints(t.dims) })
end


---Operators that names have in short.
local short = { conv2d = "conv", conv_transpose2d = "convT", maximum = "max",
                minimum = "min", reciprocal = "inv" }


---The name of a value: the layer's for its last value, else "layer.operator".
local function own_name(self, t)
  if t.label and self.owners[t.label] == t then return t.label end
  return (t.label or t.section or "map") .. "." .. (short[t.op] or t.op)
end


local function write(self, t)
  if self.given[t] then return self.given[t]() end
  if t.op == "constant" then return constant(self, t) end
  if t.op == "detach" then return self.names[t.inputs[1]] end
  self.own, self.value = own_name(self, t), t
  if is_folded(t) then return self.graph:tensor(trace.known(t), self.own) end
  local inputs = {}
  for i, x in ipairs(t.inputs) do inputs[i] = x and self.names[x] or false end
  local columns = require "lunette.onnx.operators"
  local op = t.op == "backward" and "back_" .. t.attrs.op or t.op
  local column = columns[op] or self:fail("ONNX has no way to say it")
  return column(self, t, inputs)
end


---The values that `list` depends on and that are not written yet, in the order in which
---they were made.
local function missing(self, list)
  local set, order, work = {}, {}, { table.unpack(list) }
  while #work > 0 do
    local t = table.remove(work)
    if not set[t] and not self.names[t] then
      set[t], order[#order + 1] = true, t
      for _, x in ipairs(self.given[t] and {} or read_by(t)) do
        if x then work[#work + 1] = x end
      end
    end
  end
  table.sort(order, function(a, b) return a.id < b.id end)
  return order
end


---Reserves the names of layers, where they are free, for the layers' last values.
local function reserve(self, order)
  local own, taken = {}, self.graph.taken
  for _, t in ipairs(order) do
    if t.label and not self.given[t] and (own[t.label] or not taken[t.label]) then
      own[t.label], taken[t.label], self.owners[t.label] = true, true, t
    end
  end
end


---Writes values and all that they are computed from; returns their names.
---@param list lunette.Traced[]
---@return string[]
function Emitter:write(list)
  local order, names = missing(self, list), {}
  reserve(self, order)
  for _, t in ipairs(order) do self.names[t] = write(self, t) end
  for i, t in ipairs(list) do names[i] = self.names[t] end
  return names
end


---Dimensions as an input or output has them: the batch is N, or what the file calls it,
---other multiples are open.
---@param dims integer[]
---@param batch? integer|string|false   of the graph
---@return (integer|string|false)[]
function M.dimensions(dims, batch)
  local list = {}
  for i, d in ipairs(dims) do
    local times = d % trace.BATCH == 0 and d // trace.BATCH
    if times and math.type(batch) == "integer" then
      list[i] = batch * times
    else
      list[i] = not times and d or times == 1 and batch or false
    end
  end
  return list
end

M.FLOAT, M.INT64 = graphs.FLOAT, graphs.INT64

return M
