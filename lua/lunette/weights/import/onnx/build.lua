---The graph that an ONNX file becomes while its nodes are read in order. A value is
---a constant (lunette.weights.import.onnx.fold), or live:
---  { layer = name, shape = {ONNX's dimensions, the batch being 1}, order = {..} }
---where order[i] is the dimension of our layer that ONNX's i-th is. Ours begin with
---the batch, which stays first; a Transpose therefore only changes `order`, and a
---layer that moves values is made where an operator wants its own order. Where the
---picture has no batch in ONNX, no order names dimension 1, until ONNX puts a
---dimension of 1 in front: that is the batch from then on.
-- luacheck: ignore 561 (a case an attribute)
local fold = require "lunette.weights.import.onnx.fold"
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
  return setmetatable({ model = m, value = {}, specs = {}, shapes = {}, params = {},
                        taken = {}, aliases = {} }, Build)
end


-- names ------------------------------------------------------------------------


---"/layer1/layer1.0/relu_1/Relu" is the module layer1.0.relu_1: levels repeat their
---parents, the last is the operator; a node of a module's own code keeps it.
local function path_of(name)
  local parts = {}
  for part in name:gmatch "[^/]+" do parts[#parts + 1] = part end
  while #parts > 1 and (parts[1] == "StatefulPartitionedCall"
                        or parts[1]:find "^model[_%d]*$"
                        or parts[1]:find "^sequential[_%d]*$") do
    table.remove(parts, 1)
  end
  if #parts > 1 then
    local operator = table.remove(parts)
    local previous = parts[#parts - 1]
    local module = not (previous and parts[#parts] == previous)
    -- functions called in a module's forward have the module's path and an operator
    if not operator:find "^%u%a*$" or not module then parts[#parts + 1] = operator end
  end
  local out = {}
  for i, part in ipairs(parts) do
    local next_ = parts[i + 1]
    if not (next_ and next_:sub(1, #part + 1) == part .. ".") then
      out[#out + 1] = part
    end
  end
  return table.concat(out, ".")
end


---A name for a node's layer that no other has.
function Build:name(node)
  local name = path_of(node.name ~= "" and node.name or node.outputs[1])
  name = name:gsub("[%c%s]", "_"):gsub(":%d+$", ""):sub(1, 200)
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
local function seen(shape, order)
  local out = {}
  for i, d in ipairs(order) do out[i] = d == 1 and 1 or shape[d - 1] end
  return out
end


function Build:fail(message, ...)
  error(("%s: "):format(self.node and model.title(self.node) or "the graph")
    .. message:format(...), 0)
end


---Adds a layer. `from` holds live values, numbers, and parameters made by `param`.
---@return table live
function Build:add(name, kind, from, attrs, order)
  local spec = { name = name, kind = kind, from = {} }
  for key, value in pairs(attrs or {}) do spec[key] = value end
  local inputs, first = {}, nil
  for i, x in ipairs(from) do
    if type(x) == "table" and x.layer then
      first = first or x
      spec.from[i] = x.layer
      inputs[#inputs + 1] = self.shapes[x.layer]
    else
      spec.from[i] = x
    end
  end
  local layer = { aliases = {} }
  for key, value in pairs(spec) do layer[key] = value end
  local ok, message = pcall(function()
    layers.check(layer)
    layers.read_inputs(layer, spec.from)
    layers.infer(layer, inputs)
  end)
  if not ok then self:fail("%s", message) end
  self.specs[#self.specs + 1] = spec
  self.shapes[name] = layer.shape
  order = order or natural(first, #layer.shape + (batched(first) and 1 or 0))
  return { layer = name, shape = seen(layer.shape, order), order = order, spec = spec }
end


---A name for a layer on the way to a node's own: the node's and a word.
function Build:free(word)
  local name, n = ("%s:%s"):format(self.own, word), 1
  while self.taken[name] do
    n = n + 1
    name = ("%s:%s%d"):format(self.own, word, n)
  end
  self.taken[name] = true
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


-- constants --------------------------------------------------------------------


---Keeps a constant as parameter `key` of layer `name`, in this shape.
function Build:keep(name, key, c, shape)
  local p = { name = name .. "." .. key, shape = shape }
  if c.source and not (c.whole and c.data) then
    p.source, p.view, p.perm = c.source, c.view, c.perm
  elseif c.data then
    p.data = c.data
  else
    self:fail("the numbers of '%s' are not known", key)
  end
  if fold.product(shape) ~= fold.product(c.shape) then
    self:fail("'%s' has shape (%s), wanted (%s)", key, table.concat(c.shape, ","),
              table.concat(shape, ","))
  end
  if p.source and c.whole then
    self:fail("'%s' is of integers (%s)", key, c.source.type)
  end
  self.params[#self.params + 1] = p
end


---A constant as an operand beside a live value of `rank` dimensions in `order`.
function Build:operand(c, key, rank, order)
  if c.data and fold.product(c.shape) == 1 and c.data[1] == c.data[1]
     and math.abs(c.data[1]) ~= math.huge then
    return c.data[1] + 0.0
  end
  local shape = { table.unpack(c.shape) }
  while #shape < rank do table.insert(shape, 1, 1) end
  if #shape > rank then self:fail("a constant has %d dimensions", #shape) end
  local perm = {}
  for i, d in ipairs(order) do perm[d] = i end
  if perm[1] and shape[perm[1]] ~= 1 then
    self:fail("a constant differs between pictures")
  end
  local turned, ordered = {}, {}
  for d = 1, rank + 1 do if perm[d] then turned[#turned + 1] = perm[d] end end
  for d, i in ipairs(turned) do ordered[d] = shape[i] end
  -- dimensions of 1 may move freely; others keep their order, or are turned
  local moved = {}
  for d, i in ipairs(turned) do if ordered[d] ~= 1 then moved[#moved + 1] = i end end
  for i = 2, #moved do
    if moved[i] < moved[i - 1] then
      c = self:turn(self:reshaped(c, shape), turned)
      break
    end
  end
  if perm[1] then table.remove(ordered, 1) end
  if #ordered == 0 then ordered = { 1 } end
  self:keep(self.own, key, c, ordered)
  return { param = key, shape = ordered, frozen = true }
end


---A constant in another shape.
function Build.reshaped(_, c, shape)
  return { const = true, shape = shape, data = c.data, whole = c.whole,
           source = c.source, view = c.view, perm = c.perm }
end


---Which of a source's dimensions each of a constant's is made of, when it is
---neighbours that became one: (16,4,4,10) seen as (256,10).
local function groups(view, shape)
  local list, at = {}, 1
  for i, d in ipairs(shape) do
    local n, group = 1, {}
    while at <= #view and (n < d or view[at] == 1 and #group == 0 and d == 1) do
      group[#group + 1], n = at, n * view[at]
      at = at + 1
    end
    if n ~= d then return nil end
    list[i] = group
  end
  return at > #view and list or nil
end


---A constant with its dimensions in another order (from 1).
function Build:turn(c, perm)
  if c.data then return fold.transpose(c, perm) end
  local parts = Build.same(c.perm, identity(#c.perm)) and groups(c.view, c.shape)
  if parts then
    local both, shape = {}, {}
    for i, p in ipairs(perm) do
      shape[i] = c.shape[p]
      table.move(parts[p], 1, #parts[p], #both + 1, both)
    end
    return { const = true, shape = shape, source = c.source, view = c.view,
             perm = both, whole = c.whole }
  end
  if not Build.same(c.perm, identity(#c.perm)) or not Build.same(c.view, c.shape) then
    if #c.view == #c.shape and #c.perm == #perm then
      local both, shape = {}, {}
      for i, p in ipairs(perm) do both[i], shape[i] = c.perm[p], c.shape[p] end
      return { const = true, shape = shape, source = c.source, view = c.view,
               perm = both, whole = c.whole }
    end
    self:fail("a large constant is reshaped and transposed")
  end
  local shape = {}
  for i, p in ipairs(perm) do shape[i] = c.shape[p] end
  return { const = true, shape = shape, source = c.source, view = c.view,
           perm = perm, whole = c.whole }
end


---The constant of a tensor of the file.
function Build:tensor(t)
  local m = self.model
  return { const = true, shape = t.shape, source = t, view = t.shape,
           perm = identity(#t.shape), data = model.values(m, t.index),
           whole = not (t.type:find "^F" or t.type == "BF16") }
end


-- the order of dimensions --------------------------------------------------------


---The value in the order that operators want: ONNX's own, the batch first.
---@param x table live
---@param want? integer[]   another order
function Build:ordered(x, want)
  want = want or natural(x, #x.shape)
  if Build.same(x.order, want) then return x end
  local dims = { batched(x) and 0 or 1 }
  for i, d in ipairs(want) do dims[d] = x.order[i] end
  if dims[1] ~= 1 then
    self:fail("the batch is not the first dimension where it has to be")
  end
  return self:step("order", "permute", { x }, { dims = dims }, want)
end


---Without the dimension ONNX calls `axis` (from 1), which has one element.
local function drop(order, axis)
  local gone, out = order[axis], {}
  for i, d in ipairs(order) do
    if i ~= axis then out[#out + 1] = d > gone and d - 1 or d end
  end
  return out
end


---The value with the shape that ONNX wants to see; its numbers stay in place.
---@param x table live
---@param shape integer[]   ONNX's, batch included
---@param own? boolean      it is the node's own layer
function Build:reshape(x, shape, own)
  if fold.product(shape) ~= fold.product(x.shape) then
    self:fail("%d numbers do not make (%s)", fold.product(x.shape),
              table.concat(shape, ", "))
  end
  x = self:ordered(x)
  if batched(x) and shape[1] ~= 1 and not self.single then
    self:fail("a shape of (%s) mixes the pictures of a batch",
              table.concat(shape, ", "))
  end
  local front = shape[1] == 1
  local rest, order = { table.unpack(shape, front and 2 or 1) }, {}
  if #rest == 0 then rest = { 1 } end
  for i = 1, #shape do order[i] = front and i or i + 1 end
  local make = own and self.layer or function(b, ...) return b:step("shape", ...) end
  return make(self, "reshape", { x }, { shape = rest }, order)
end


---Takes dimensions of one element out: a list of axes, from 1.
function Build:squeeze(x, axes, own)
  local gone, shape = {}, {}
  for _, a in ipairs(axes) do gone[a] = true end
  local order = x.order
  for a = #x.shape, 1, -1 do
    if gone[a] then
      if x.shape[a] ~= 1 then self:fail("dimension %d has %d, not 1", a, x.shape[a]) end
      if order[a] == 1 then self:fail("the batch would be gone") end
      order = drop(order, a)
    end
  end
  local sizes = {}
  for a, d in ipairs(x.shape) do
    if not gone[a] then sizes[#sizes + 1] = d end
  end
  for i, d in ipairs(order) do if d > 1 then shape[d - 1] = sizes[i] end end
  local make = own and self.layer or function(b, ...) return b:step("squeeze", ...) end
  if #shape == 0 then shape = { 1 } end
  return make(self, "reshape", { x }, { shape = shape }, order)
end


---Dimension 1, put in before what had no batch, is the batch.
function Build:with_batch(x, axes, own)
  local order, rest = { 1, table.unpack(x.order) }, {}
  local y = { layer = x.layer, spec = x.spec, shape = { 1, table.unpack(x.shape) },
              order = order }
  for _, a in ipairs(axes) do if a ~= 1 then rest[#rest + 1] = a end end
  return #rest > 0 and self:unsqueeze(y, rest, own) or y
end


---Puts dimensions of one element in, where ONNX's result has them (from 1).
function Build:unsqueeze(x, axes, own)
  local new, order, at = {}, {}, 0
  for _, a in ipairs(axes) do new[a] = true end
  if new[1] and not batched(x) then return self:with_batch(x, axes, own) end
  local rank = #x.shape + #axes
  local ours, last = {}, #x.shape + (batched(x) and 0 or 1)
  for a = 1, rank do
    if new[a] then
      last = last + 1
      order[a] = last -- ours: at the end
    else
      at = at + 1
      order[a] = x.order[at]
    end
  end
  for a = 1, rank do
    if order[a] ~= 1 then ours[order[a] - 1] = new[a] and 1 or 0 end
  end
  local i = 0
  for a = 1, rank do
    if not new[a] then
      i = i + 1
      if order[a] ~= 1 then ours[order[a] - 1] = x.shape[i] end
    end
  end
  local make = own and self.layer or function(b, ...) return b:step("shape", ...) end
  return make(self, "reshape", { x }, { shape = ours }, order)
end

return Build
