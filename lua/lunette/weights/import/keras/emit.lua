---Our table of layers as it grows out of a Keras config: layers are added one by one,
---their shapes are the operators' own. Keras counts (H,W,C), we (C,H,W).
---
---A value is { name =, shape = }: the layer that puts it out, without the batch. Where
---it has three axes, `first` says in which order: true, as Keras has them
---(channels_first, or what a Permute made of them); else Keras' (H,W,C) is our (C,H,W).
---Other values have Keras' axes. What Keras has flattened is { flat = value, shape =
---{ n } } until somebody reads it: a dense layer takes our order and has its weights
---permuted, others get Keras' order, which is (H,W,C) but where `planes` says (C,H,W).
local layers = require "lunette.layers"

local Emit = {}
Emit.__index = Emit

local MOST_MADE = 2 ^ 22


local function fail(call, message, ...)
  error(("layer '%s' (%s): "):format(call.name, call.class:gsub("%c", "?"))
    .. message:format(...), 0)
end


---@param weights table   where tensors are found
---@return table
local function new(weights)
  return setmetatable({ weights = weights, layers = {}, params = {}, names = {} },
                      Emit)
end


---A name that no layer has yet.
function Emit:free_name(name)
  local free, n = name, 1
  while self.names[free] or free == "input" do
    n = n + 1
    free = name .. "_" .. n
  end
  self.names[free] = true
  return free
end


---Adds a layer.
---@param call lunette.keras.Call   on whose behalf
---@param name string
---@param kind string
---@param from any[]        values and numbers
---@param attrs? table
---@param shares? string    the layer whose parameters it has
---@return table value      its axes in the order of the first input of three axes
function Emit:add(call, name, kind, from, attrs, shares)
  local spec, shapes, entries = { name = self:free_name(name), kind = kind,
                                  shares = shares }, {}, {}
  local first
  for key, value in pairs(attrs or {}) do spec[key] = value end
  for i, one in ipairs(from) do
    if type(one) == "table" and one.name then
      shapes[#shapes + 1] = one.shape
      if first == nil and #one.shape == 3 then first = one.first end
      entries[i] = one.name
    else
      entries[i] = one
    end
  end
  spec.from = entries
  local probe = {}
  for key, value in pairs(spec) do probe[key] = value end
  local ok, message = pcall(function()
    layers.check(probe)
    layers.read_inputs(probe, entries)
    layers.infer(probe, shapes)
  end)
  if not ok then fail(call, "%s", (tostring(message):gsub("^layer '.-': ", ""))) end
  self.layers[#self.layers + 1] = spec
  return { name = spec.name, shape = probe.shape, first = first }
end


---The value in another order of axes.
---@param dims integer[]   where each comes from, the batch with them
---@param first boolean    the order that comes out
function Emit:permuted(call, name, x, dims, first)
  local y = self:add(call, name, "permute", { x }, { dims = dims })
  y.first = first
  return y
end


---The value with Keras' channels as the first of our axes, where Keras has them first
---(`first`) or last. Others than those of three axes stay.
---@param first boolean
---@return table value
function Emit:laid_out(call, x, first)
  if #x.shape ~= 3 or (x.first or false) == first then return x end
  return self:permuted(call, x.name .. (first and "_first" or "_last"), x,
                       first and { 1, 3, 4, 2 } or { 1, 4, 2, 3 }, first)
end


---A weight of the call: the tensor, or nil where it may be missing.
---@param slots string[]   Keras 2's words for it
---@param place integer    Keras 3's place, from 1
---@param optional? boolean
function Emit:find(call, slots, place, optional)
  local t = self.weights:find(call, slots, place)
  if not t and not optional then fail(call, "the file has no '%s' of it", slots[1]) end
  return t
end


---Says which tensor is a parameter: its axes split as `view`, in the order `perm`.
---@param layer string   ours
---@param key string     "weight" ...
function Emit:param(call, layer, key, tensor, view, perm, shape)
  local have, want = layers.product(tensor.shape), layers.product(view)
  if have ~= want then
    fail(call, "'%s' is (%s), which is not (%s)", tensor.name,
         table.concat(tensor.shape, ", "), table.concat(view, ", "))
  end
  self.params[#self.params + 1] = { name = layer .. "." .. key, source = tensor,
                                    view = view, perm = perm, shape = shape }
end


---A parameter whose numbers no tensor of the file holds.
function Emit:constant(layer, key, data, shape)
  self.params[#self.params + 1] = { name = layer .. "." .. key, data = data,
                                    shape = shape }
end


---Raises where a layer needs more numbers that the file does not hold than any network
---has: they would be made up one by one.
function Emit.check_count(call, n)
  if n > MOST_MADE then
    fail(call, "needs %.0f numbers that are not in the file, at most %.0f", n,
         MOST_MADE)
  end
end


---A parameter of ones or zeros.
function Emit:fill(call, layer, key, shape, one)
  local data, n = {}, layers.product(shape)
  Emit.check_count(call, n)
  for i = 1, n do data[i] = one end
  self:constant(layer, key, data, shape)
end


---x `kind` numbers of its own, one for every channel, or every place: (C,1,1), (1,H,W).
---@param kind "mul"|"add"
---@param data number[]
---@param shape integer[]
---@return table value
function Emit:by_numbers(call, name, kind, x, data, shape)
  local y = self:add(call, name, kind, { x, { param = "value", shape = shape } })
  self:constant(y.name, "value", data, shape)
  return y
end


---A vector of n.
function Emit:vector(call, layer, key, tensor, n)
  self:param(call, layer, key, tensor, { n }, { 1 }, { n })
end


---The value as a layer of ours, flattened as Keras does.
function Emit:real(call, x)
  if not x.flat then return x end
  local source, name = x.flat, x.flat_name
  local s = source.shape
  if not x.planes and #s == 3 and s[2] * s[3] > 1 and s[1] > 1 then
    source = self:add(call, name .. "_order", "permute", { source },
                      { dims = { 1, 3, 4, 2 } })
  end
  local y = self:add(call, name, "flatten", { source })
  x.flat, x.name, x.shape = nil, y.name, y.shape
  return x
end


---The value flattened in our order, and the shape (C,H,W) that Keras flattens in
---another.
function Emit:flattened(call, x)
  if not x.flat then return x, nil end
  local from = not x.planes and x.flat.shape or nil
  return self:add(call, x.flat_name, "flatten", { x.flat }), from
end

Emit.fail = fail

return new
