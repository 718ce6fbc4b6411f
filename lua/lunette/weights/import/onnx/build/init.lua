---The graph that an ONNX file becomes while its nodes are read in order. A value is
---a constant (lunette.weights.import.onnx.fold), or live:
---  { layer = name, shape = {ONNX's dimensions, the batch being 1}, order = {..} }
---where order[i] is the dimension of our layer that ONNX's i-th is. Ours begin with
---the batch, which stays first; a Transpose therefore only changes `order`, and a
---layer that moves values is made where an operator wants its own order. Where ONNX
---does not see the batch (a picture without one, or a batch of 1 that was multiplied
---into other dimensions, as attention does with heads), no order names dimension 1,
---until ONNX makes a dimension of 1: that is the batch from then on. Where something
---wants a batch first and ONNX sees more than 1 there, these are copies of each picture
---(`folded`, the attribute `copies` of reshape): the batch is that many times as long.
local layers = require "lunette.layers"
local model = require "lunette.weights.import.onnx.model"

local Build = {}
Build.__index = Build


local function identity(n)
  local order = {}
  for i = 1, n do order[i] = i end
  return order
end
Build.identity = identity


---Does ONNX see the batch of this value?
local function batched(x)
  for _, d in ipairs(x.order) do if d == 1 then return true end end
  return false
end
Build.batched = batched


---The order of a value like x, of `rank` dimensions in ONNX, as they lie.
local function natural(x, rank)
  local order, skip = {}, batched(x) and 0 or 1
  for i = 1, rank do order[i] = i + skip end
  return order
end
Build.natural = natural


function Build.same(a, b) return table.concat(a, ",") == table.concat(b, ",") end


function Build.new(m)
  return setmetatable({ model = m, value = {}, specs = {}, shapes = {}, copies = {},
                        counts = {}, params = {}, taken = {}, origin = {},
                        words = {} }, Build)
end


-- names ------------------------------------------------------------------------


---A name for a node's layer that no other has, until names.lua gives the last ones.
function Build:name(node)
  local name = node.name ~= "" and node.name or node.outputs[1]
  name = name:gsub("[%c%s]", "_"):sub(1, 200)
  if name == "" or name == "input" then name = node.op:lower() end
  local base, n = name, 1
  while self.taken[name] do
    n = n + 1
    name = ("%s_%d"):format(base, n)
  end
  self.taken[name] = true
  return name
end


-- layers -----------------------------------------------------------------------


---ONNX's shape of a layer's.
local function seen(shape, order, copies)
  local out = {}
  for i, d in ipairs(order) do out[i] = d == 1 and copies or shape[d - 1] end
  return out
end


function Build:fail(message, ...)
  error(("%s: "):format(self.node and model.title(self.node) or "the graph")
    .. message:format(...), 0)
end


---The layer that a spec describes, with its shape; raises in the node's name.
function Build:inferred(spec, inputs, copies)
  local layer = { aliases = {} }
  for key, value in pairs(spec) do layer[key] = value end
  local ok, message = pcall(function()
    layers.check(layer)
    layers.read_inputs(layer, spec.from)
    layers.infer(layer, inputs, copies)
  end)
  if not ok then self:fail("%s", message) end
  return layer
end


---What a layer reads, for its spec: names of layers, numbers, parameters; the layers'
---shapes and copies, and the first of them.
local function reads(b, from)
  local names, inputs, copies, first = {}, {}, {}, nil
  for i, x in ipairs(from) do
    names[i] = x
    if type(x) == "table" and x.layer then
      first = first or x
      names[i] = x.layer
      inputs[#inputs + 1], copies[#inputs + 1] = b.shapes[x.layer], b.copies[x.layer]
    end
  end
  return names, inputs, copies, first
end


---Adds a layer. `from` holds live values, numbers, and parameters made by `param`.
---@return table live
function Build:add(name, kind, from, attrs, order)
  local spec = { name = name, kind = kind }
  for key, value in pairs(attrs or {}) do spec[key] = value end
  local inputs, copies, first
  spec.from, inputs, copies, first = reads(self, from)
  if spec.copies == copies[1] then spec.copies = nil end
  local layer = self:inferred(spec, inputs, copies)
  self.specs[#self.specs + 1] = spec
  self.origin[spec] = { node = self.node or { name = name, op = kind, inputs = {},
                        outputs = {} }, word = self.words[name] or "" }
  self.shapes[name], self.copies[name] = layer.shape, layer.copies
  order = order or natural(first, #layer.shape + (batched(first) and 1 or 0))
  return { layer = name, shape = seen(layer.shape, order, layer.copies), order = order,
           spec = spec }
end


---A name for a layer on the way to a node's own: the node's and a word.
function Build:free(word)
  local added, n = ":" .. word, 1
  while self.taken[self.own .. added] do
    n = n + 1
    added = (":%s%d"):format(word, n)
  end
  local name = self.own .. added
  self.taken[name] = true
  self.words[name] = (self.words[self.own] or "") .. added
  return name
end


---A layer on the way to a node's own.
function Build:step(word, kind, from, attrs, order)
  return self:add(self:free(word), kind, from, attrs, order)
end


---Calls f while a layer on the way, named by `word`, stands for the node's own.
function Build:inside(word, f)
  local own = self.own
  self.own = self:free(word)
  local y = f()
  self.own = own
  return y
end


---The layer of the node that is read.
function Build:layer(kind, from, attrs, order)
  return self:add(self.own, kind, from, attrs, order)
end

require "lunette.weights.import.onnx.build.constants"(Build)
require "lunette.weights.import.onnx.build.orders"(Build)

return Build
