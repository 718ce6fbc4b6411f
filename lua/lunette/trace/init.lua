---Tracing tensors: operators applied to them are recorded instead of computed. A
---tracing tensor has a shape and no values; every operator, and every tensor method
---made of operators, returns another one. A network, a backward rule or a method that
---is run once on tracing tensors thus becomes a graph of operators.
---
---A trace cannot depend on values: a branch on a value, or reading one, is an error
---with the script's line. Values that do not depend on the picture (weights, and what
---is computed from them) are known and may be read.
---
---The batch size is open. M.BATCH stands for it: a dimension of k * M.BATCH is k times
---the number of pictures.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local is_tensor = require("lunette.base.types").is_tensor
local shapes = require "lunette.base.shapes"
require "lunette.tensors" -- whose methods are traced

local M = {}

---Stands for the batch size. (A prime, so that no other dimension is a multiple of it.)
M.BATCH = 999983

---@class lunette.Traced
---@field id integer           order in which they were made; 0: a constant
---@field op string            operator; "leaf", "constant", "detach" or "backward"
---@field inputs lunette.Traced[]   false: left out
---@field attrs table          of the operator, all of them
---@field dims integer[]
---@field live boolean         depends on the picture, or on how many there are
---@field label? string        the layer that it is the value of
---@field readers? integer      layers that read it
---@field uses? integer         operators that read it
---@field again? lunette.Traced   the same value computed once more, see M.apart
---@field section? string      what it is part of, for names of nodes (M.within)
---@field value? lunette.Tensor|number   of a constant
---@field name? string         of a leaf or a constant
local Traced = { __name = "lunette.Traced" }

local made, section = 0, nil
local constants = setmetatable({}, { __mode = "k" }) -- tensor -> its constant


---Is that a tracing tensor?
---@param value any
---@return boolean
function M.is(value) return getmetatable(value) == Traced end


local function new(t)
  made = made + 1
  t.id, t.section = made, section
  return setmetatable(t, Traced)
end


---Calls f; names of nodes that are traced meanwhile begin with `name`.
---@param name string?
---@param f function
---@return any ...
function M.within(name, f, ...)
  local before = section
  section = name
  local result = table.pack(pcall(f, ...))
  section = before
  if not result[1] then error(result[2], 0) end
  return table.unpack(result, 2, result.n)
end


-- making them ----------------------------------------------------------------------


---An input of the graph: the picture, a class.
---@param name string
---@param dims integer[]
---@return lunette.Traced
function M.leaf(name, dims)
  return new { op = "leaf", inputs = {}, attrs = {}, dims = dims, live = true,
               name = name }
end


---A constant: a tensor or a number.
---@param value lunette.Tensor|number
---@param name? string
---@return lunette.Traced
function M.constant(value, name)
  local there = constants[value]
  if there then return there end
  local dims = is_tensor(value) and value:shape() or { 1 }
  for _, d in ipairs(dims) do
    if d % M.BATCH == 0 then
      blame("a tensor as long as the batch cannot be traced; make it of one picture, "
            .. "and let it broadcast")
    end
  end
  local t = setmetatable({ id = 0, op = "constant", inputs = {}, attrs = {},
    dims = dims, live = false, value = value, name = name }, Traced)
  if is_tensor(value) then constants[value] = t end
  return t
end


---@param x lunette.Traced|lunette.Tensor|number
---@return lunette.Traced
function M.of(x)
  return M.is(x) and x or M.constant(x)
end


---A tensor of any shape filled with one value.
---@param value number
---@param dims integer[]
---@return lunette.Traced
function M.filled(value, dims)
  local ones = {}
  for i = 1, #dims do ones[i] = 1 end
  return M.constant(core.full(value, ones)):expand { shape = dims }
end


local function has_batch(dims)
  for _, d in ipairs(dims) do if d % M.BATCH == 0 and d > 0 then return true end end
  return false
end


---Dimensions with a batch of n in place of M.BATCH.
---@param dims integer[]
---@param n integer
---@return integer[]
function M.for_batch(dims, n)
  local list = {}
  for i, d in ipairs(dims) do
    list[i] = d > 0 and d % M.BATCH == 0 and d // M.BATCH * n or d
  end
  return list
end


---The operator's shape for a batch of n.
local function shape_for(op, dims, attrs, n)
  local list, own = {}, attrs
  for i, d in ipairs(dims) do list[i] = d and M.for_batch(d, n) end
  if type(attrs.shape) == "table" then
    own = { shape = M.for_batch(attrs.shape, n) }
    for key, v in pairs(attrs) do own[key] = own[key] or v end
  end
  local ok, shape, message = pcall(core.shape, op, list, own)
  if ok and shape then return shape end
  blame(ok and message or shape)
end


---The operator's shape for an open batch: it is inferred for batches of 5 and of 7, and
---dimensions that differ are multiples of the batch.
local function shape_of(op, dims, attrs)
  local few, more = shape_for(op, dims, attrs, 5), shape_for(op, dims, attrs, 7)
  for i, d in ipairs(few) do
    if d ~= more[i] then
      if d * 7 ~= more[i] * 5 then blame(op .. ": mixes the pictures of a batch") end
      few[i] = d // 5 * M.BATCH
    end
  end
  return few
end


---The value whose numbers a reshaped one shows, and whether in that very shape.
local function unshaped(t, shape)
  while t.op == "reshape" and not t.label do t = t.inputs[1] end
  return t, shapes.same(t.dims, shape)
end


---Counts who reads a value.
local function note_reader(t, label)
  if label then t.readers = (t.readers or 0) + 1 end
  t.uses = (t.uses or 0) + 1
end


---Records an operator; engine/bind/ops.c calls this. A value that is reshaped again and
---again is reshaped once, or not at all.
---@param op string
---@param inputs any[]
---@param attrs table
---@param label? string
---@return lunette.Traced
function Traced.__operator(op, inputs, attrs, label)
  local list, dims, live = {}, {}, false
  for i, x in ipairs(inputs) do
    list[i] = x and M.of(x)
    dims[i] = x and list[i].dims
    live = live or x and list[i].live
    if x then note_reader(list[i], label) end
  end
  local shape = shape_of(op, dims, attrs)
  if op == "reshape" and not label then
    local from, same = unshaped(list[1], shape)
    if same then return from end
    list[1] = from
  end
  return new { op = op, inputs = list, attrs = attrs, dims = shape, label = label,
               live = live or has_batch(shape) }
end


---A node that is no operator: `detach`, or `backward`, the gradient of an operator
---(attrs.op) that cannot be written in operators.
---@param op string
---@param inputs lunette.Traced[]
---@param attrs table
---@param dims integer[]
---@return lunette.Traced
function M.special(op, inputs, attrs, dims)
  return new { op = op, inputs = inputs, attrs = attrs, dims = dims, live = true }
end


---A value as gradient formulas and rules read it.
---@param t lunette.Traced
---@return table node   { op =, inputs =, attrs =, output = }
function M.node(t)
  return { op = t.op, inputs = t.inputs, attrs = t.attrs, output = t }
end


---The two terms of a sum over tokens: of `add`, or of a dense layer its product and its
---bias. Nil: the value is no such sum.
local function parts_of(x)
  if #x.dims ~= 3 then return nil end
  if x.op == "add" then return x.inputs[1], x.inputs[2] end
  if x.op ~= "linear" or not x.inputs[3] then return nil end
  return core.ops.linear(x.inputs[1], x.inputs[2], nil, x.attrs), x.inputs[3]
end


---A copy of a sum over tokens, computed as a - (-b), which has the same bits; any other
---value is returned as it is. Gradients read this copy, because runtimes fuse a sum
---with the layer behind it (gelu, layer norm) only while nothing else reads the sum.
---@param x any
---@return any
function M.apart(x)
  if not M.is(x) or not x.label or x.readers ~= 1 then return x end
  if not x.again then
    local a, b = parts_of(x)
    x.again = a and core.ops.sub(M.apart(a), core.ops.neg(M.apart(b))) or x
  end
  return x.again
end


-- values that are known ------------------------------------------------------------


---The values of what does not depend on the picture.
---@param t lunette.Traced
---@return lunette.Tensor
function M.known(t)
  if t.op == "constant" then
    return is_tensor(t.value) and t.value or core.full(t.value, 1)
  end
  if not t.values then
    local inputs = {}
    for i, x in ipairs(t.inputs) do inputs[i] = x and M.known(x) or nil end
    if t.op == "detach" then return inputs[1] end
    inputs[#t.inputs + 1] = t.attrs
    t.values = core.ops[t.op](table.unpack(inputs, 1, #t.inputs + 1))
  end
  return t.values
end


local function read(what)
  return function(t, ...)
    if t.live then
      blame(("%s reads a value, which a file that is baked does not have yet: only "
             .. "operators can be traced"):format(what))
    end
    return M.known(t)[what](M.known(t), ...)
  end
end

local methods = {}
for _, what in ipairs { "item", "get", "totable", "bytes", "stats", "argmax",
                        "argsort" } do
  methods[what] = read(what)
end


local function refused(text)
  return function() blame(text .. ": this cannot be traced") end
end

for _, what in ipairs { "set", "copy_", "fill_", "add_", "mul_" } do
  methods[what] = refused(what .. " changes a tensor in place")
end
methods.paste_, methods.clamp_ = methods.copy_, methods.copy_


-- methods of the class that C has ---------------------------------------------------


function methods.shape(t) return { table.unpack(t.dims) } end

function methods.dim(t, d)
  if d == nil then return #t.dims end
  return t.dims[d < 0 and d + #t.dims + 1 or d]
end

---How many values it has.
---@param t lunette.Traced
---@return integer
function M.size(t)
  local n = 1
  for _, d in ipairs(t.dims) do n = n * d end
  return n
end

methods.size = M.size

function methods.view(t, ...)
  local dims = type(...) == "table" and ... or { ... }
  return core.ops.reshape(t, { shape = dims })
end

function methods.rows(t, first, last)
  if t.dims[1] % M.BATCH == 0 then
    blame "rows: pictures of a batch cannot be told apart where they are traced"
  end
  return core.ops.narrow(t, { dim = 1, start = first,
                              length = (last or first) - first + 1 })
end

function methods.detach(t)
  return t.live and M.special("detach", { t }, {}, t.dims) or t
end

function methods.clone(t) return t end

function methods.node(t) return t.id end

function methods.release() end


---Methods that are Lua are made of those that are traced.
local function by_name(t, key)
  if methods[key] or core.ops[key] then return methods[key] or core.ops[key] end
  local method = core.methods[key]
  if method and debug.getinfo(method, "S").what ~= "C" then return method end
  if method then blame(key .. ": this cannot be traced") end
  if type(key) == "number" then
    blame(("[%s] takes a part of a tensor; trace narrow instead"):format(key))
  end
  return rawget(t, key)
end

Traced.__index = by_name
Traced.__close = methods.release

for _, name in ipairs { "add", "sub", "mul", "div", "pow" } do
  Traced["__" .. name] = core.ops[name]
end
function Traced.__unm(t) return core.ops.neg(t) end


for _, event in ipairs { "__lt", "__le", "__len" } do
  Traced[event] = refused(event == "__len" and "# of a tensor"
    or "a branch on the values of a tensor (use gt, where ...)")
end


function Traced.__tostring(t)
  return require "lunette.trace.formula"(t)
end


---Shape as people write it, the batch as N.
---@param dims integer[]
---@return string
function M.shape_text(dims)
  local list = {}
  for i, d in ipairs(dims) do
    local n = d % M.BATCH == 0 and d // M.BATCH
    list[i] = n and (n == 1 and "N" or n .. " N") or d
  end
  return "(" .. table.concat(list, ",") .. ")"
end

return M
