---What a table of layers says of one: its check, its shape and parameters, its
---application. Shapes are the operators' business (core.shape), what each kind is
---stands in kinds.lua.
---
---Attributes count dimensions as the operators do: dimension 1 is the batch. Shapes
---in a table of layers leave the batch out, as `input` does: `reshape` of (N,12,4,4)
---with `shape = { 3, 4, 4, 4 }` puts out (N,3,4,4,4), and `permute` with
---`dims = { 1, 3, 2, 4, 5 }` then (N,4,3,4,4). A layer that would mix the pictures of
---a batch is refused.
---
---`reshape` alone may change how many samples a picture has in the batch: of
---(N,50,3,8,8), with `shape = { 3, 8, 8 }, copies = 50`, it makes (50 N,3,8,8), each
---picture's copies side by side; what follows has 50 copies until a `copies = 1`.
local brief = require("lunette.base.text").brief
local core = require "lunette.core"
local kinds = require "lunette.layers.kinds"
local suggest = require "lunette.base.suggest"
local types = require "lunette.base.types"

local M = { kinds = kinds.kinds }
local fail = kinds.fail

---Numbers that a layer may put out for one picture: 8 GiB of them.
local MOST_VALUES = 2.0 ^ 31

---Is a layer, or a kind, an "activation", "probability", "weighted", "normalisation",
---"pooling", "dropout", "padding", "join", "elementwise", "view", "selection",
---"reduction", "resizing", "comparison" or "position"? (engine/ops/ops.def says which
---are.)
---@param what lunette.Layer|string
---@param word string
---@return boolean
function M.is(what, word)
  local kind = M.kinds[type(what) == "table" and what.kind or what]
  return kind ~= nil and kind.is[word] == true
end


local kinds_are -- words: "activation" ...


---Is a text a kind of layer, or a word that M.is knows?
---@param text string
---@return boolean
function M.is_kind(text)
  if not kinds_are then
    kinds_are = {}
    for name in pairs(core.ops) do
      for word in pairs(M.kinds[name].is) do kinds_are[word] = true end
    end
  end
  return M.kinds[text] ~= nil or kinds_are[text] == true
end


---Elements of a shape.
---@param shape integer[]
---@return integer
function M.product(shape)
  local n = 1
  for _, d in ipairs(shape) do n = n * d end
  return n
end


-- what a table of layers says ----------------------------------------------------


---Keys that every layer may have; `from` is where it reads, so flatten's attribute
---of that name is not to be had. A layer that `shares` has the parameters of another.
local always = { name = true, kind = true, from = true, aliases = true, shares = true }


---Words are for attributes whose values are words.
local function check_words(layer, key, value)
  local words = M.kinds[layer.kind].words[key]
  if not words then
    if type(value) ~= "string" then return end
    fail(layer, "%s is a number, true, false or a list of at most 6 numbers", key)
  end
  for _, word in ipairs(words) do
    if value == word then return end
  end
  fail(layer, "%s is one of '%s', got '%s'", key, table.concat(words, "', '"),
       brief(value))
end


---Checks what a table of layers says about one; raises with the layer's name.
---@param layer table   its attributes by name, with `name` and `kind`
function M.check(layer)
  local kind, takes, known = M.kinds[layer.kind], {}, {}
  for _, list in ipairs { kind.own, kind.attrs } do
    for _, key in ipairs(list) do
      if not always[key] then takes[#takes + 1], known[key] = key, true end
    end
  end
  for key, value in pairs(layer) do
    if known[key] then
      check_words(layer, key, value)
    elseif not always[key] then
      fail(layer, "%s has no attribute '%s'%s", layer.kind, tostring(key),
           suggest.after(tostring(key), takes))
    end
  end
  for _, key in ipairs(kind.needs) do
    if layer[key] == nil then fail(layer, "%s needs `%s`", layer.kind, key) end
  end
end


---A parameter that a layer reads beside other layers: { param = "gamma",
---shape = { 8, 1, 1 } }, to which `frozen` (never trained) and `init` may be added.
local function check_operand(layer, entry)
  if type(entry.param) ~= "string" or not entry.param:find "^[%w_]+$" then
    fail(layer, "a parameter among its inputs is { param = name, shape = {...} }")
  end
  local shape, ok = entry.shape, type(entry.shape) == "table"
  for _, d in ipairs(ok and shape or {}) do ok = ok and types.is_count(d) end
  if not ok or #shape == 0 or #shape > 6 then
    fail(layer, "its parameter '%s' needs `shape = {...}`", entry.param)
  end
end


---Parts what a layer reads: `layer.from` keeps the names of layers, and
---`layer.operands`, where numbers or parameters are among them, says how both follow
---one another: { from = i }, { value = number } or { param = key }.
---@param layer table
---@param entries table   names, numbers, { param =, shape = }
function M.read_inputs(layer, entries)
  layer.from = {}
  local operands, own = {}, {}
  for i, entry in ipairs(entries) do
    if type(entry) == "number" then
      operands[i] = { value = entry }
    elseif type(entry) == "table" then
      check_operand(layer, entry)
      operands[i] = { param = entry.param }
      own[#own + 1] = { entry.param, entry.shape, frozen = entry.frozen,
                        init = entry.init or M.is(layer, "elementwise")
                          and (layer.kind == "mul" or layer.kind == "div") and 1 or 0 }
    else
      layer.from[#layer.from + 1] = entry
      operands[i] = { from = #layer.from }
    end
  end
  if #layer.from == 0 then fail(layer, "reads no layer") end
  if #operands > #layer.from then layer.operands, layer.own_params = operands, own end
end


-- shapes and parameters ----------------------------------------------------------


---The operator's arguments: its inputs, then the parameters in the operator's order.
---`of` has the layers' values by place in `from`, `param` the parameters by key,
---`number(v)` makes an input of a number. Returns the list and its length, since
---optional parameters may be nil.
local function arguments(layer, of, param, number)
  local list, n, operands = {}, 0, rawget(layer, "operands")
  if operands then
    for i, o in ipairs(operands) do
      list[i] = o.from and of[o.from] or o.param and param[o.param] or number(o.value)
      n = i
    end
  else
    for i = 1, #of do list[i], n = of[i], i end
  end
  local order = M.kinds[layer.kind].order
  for i = 1, order and #order or 0 do
    n = n + 1
    list[n] = param[order[i]]
  end
  return list, n
end


---The operator's attributes as the layer has them, for an output of n samples. (What a
---layer lacks is not looked for among its parameters: a run asks for all of these of
---every layer.)
local function attributes(kind, layer, n, opts)
  local keys = kind.attrs
  for i = 1, #keys do
    local key = keys[i]
    if not always[key] then opts[key] = rawget(layer, key) end
  end
  if kind.shaped then opts.shape = { n, table.unpack(layer.shape or {}) } end
  return opts
end


---The output's shape for these input shapes; raises with the layer's name.
local function ask(kind, layer, list, opts)
  local ok, shape, message = pcall(core.shape, kind.op, list, opts)
  if not ok then fail(layer, "%s", tostring(shape)) end
  if not shape then error(message, 0) end
  return shape
end


---The layer's output shape for n pictures, `copies` of each in its inputs; batch
---included.
local function shape_of(kind, layer, inputs, params, n, copies)
  local of, own, samples = {}, {}, n * copies
  for i, shape in ipairs(inputs) do of[i] = { samples, table.unpack(shape) } end
  for _, q in ipairs(params) do
    own[q.key] = kind.repeats and { samples, table.unpack(q.shape) } or q.shape
  end
  local list, count = arguments(layer, of, own, function() return { 1 } end)
  for i = 1, count do list[i] = list[i] or false end
  local opts = attributes(kind, layer, n * layer.copies, { name = layer.name })
  if not kind.folds or count < 2 then return ask(kind, layer, list, opts) end
  local shape = list[1]
  for i = 2, count do shape = ask(kind, layer, { shape, list[i] }, opts) end
  return shape
end


---Attributes that name dimensions, or have a value a dimension.
local function touches_batch(layer, dims)
  local lists = { dim = "named", dims = "named", shift = "each", before = "each",
                  after = "each" }
  for key, how in pairs(lists) do
    local value = layer[key]
    local list = type(value) == "table" and value or { value }
    for i, d in ipairs(list) do
      local batch = d == 1 or d == -dims
      if layer.kind == "permute" then batch = batch ~= (i == 1) end
      if how == "named" and batch or how == "each" and i == 1 and d ~= 0 then
        return key
      end
    end
  end
  return nil
end


---Does the layer's kind treat every picture of a batch by itself, whatever its shape?
local function by_picture(layer)
  return M.is(layer, "weighted") or M.is(layer, "pooling")
    or M.is(layer, "normalisation")
end


---Raises where a layer would mix the pictures of a batch: its shape for 2 and for 3
---pictures must be that for one, a picture each (no dimension is both 2 and 3 long).
local function check_batch(kind, layer, inputs, params, copies, shape)
  local key = touches_batch(layer, #inputs[1] + 1)
  if key then
    fail(layer, "%s: dimension 1 is the batch, which stays as it is", key)
  end
  if by_picture(layer) and shape[1] == copies then return end
  local want = table.concat(shape, ",", 2)
  for n = 1, 3 do
    local ok, got = true, shape
    if n > 1 then ok, got = pcall(shape_of, kind, layer, inputs, params, n, copies) end
    if not ok or got[1] ~= n * layer.copies or table.concat(got, ",", 2) ~= want then
      fail(layer, "%s mixes the pictures of a batch: for %d it %s", layer.kind, n,
           ok and "puts out (" .. table.concat(got, ", ") .. ")" or "fails")
    end
  end
end


---How many copies of a picture its inputs have, all the same; sets how many it has.
local function count_copies(layer, list)
  local copies = list[1] or 1
  for i = 2, #layer.from do
    local other = list[i] or 1
    if other ~= copies then
      fail(layer, "reads %d and %d copies of a picture", copies, other)
    end
  end
  layer.copies = layer.copies or copies
  if not types.is_count(layer.copies) then
    fail(layer, "copies is a whole number from 1 on, got %s", brief(layer.copies))
  end
  return copies
end


---Refuses sizes beyond all bounds: a few bytes of a file can ask for any.
local function check_size(layer, shape)
  local size = 1.0
  for _, d in ipairs(shape) do size = size * d end
  if size > MOST_VALUES then
    fail(layer, "puts out (%s), %.0f numbers a picture, at most %.0f",
         table.concat(shape, ", ", 2), size, MOST_VALUES)
  end
end


---Sets the layer's output shape and parameters, given the shapes of what it reads;
---raises with the layer's name where they do not fit.
---@param layer lunette.Layer
---@param inputs integer[][]   without the batch
---@param copies? table<integer, integer>   of a picture, by input; 1 where it says none
function M.infer(layer, inputs, copies)
  local kind, params, times = M.kinds[layer.kind], {}, count_copies(layer, copies or {})
  local list = kind.params and kind.params(layer, inputs[1]) or {}
  for _, q in ipairs(layer.own_params or {}) do list[#list + 1] = q end
  for i, q in ipairs(list) do
    params[i] = { name = (layer.shares or layer.name) .. "." .. q[1], key = q[1],
                  shape = q[2], frozen = q.frozen, init = q.init,
                  shared = layer.shares ~= nil }
  end
  local shape = shape_of(kind, layer, inputs, params, 1, times)
  check_size(layer, shape)
  check_batch(kind, layer, inputs, params, times, shape)
  layer.params, layer.own_params = params, nil
  layer.shape = { table.unpack(shape, 2) }
end


-- running ------------------------------------------------------------------------


---Parameters of one picture, for n of them.
local function repeated(layer, params, n)
  local list = {}
  for _, q in ipairs(layer.params) do
    local one = params[q.key]:reshape { 1, table.unpack(q.shape) }
    list[q.key] = one:expand { n, table.unpack(q.shape) }
  end
  return list
end


---How many nodes of a tape a layer is: one, or, of three or more inputs that are taken
---two by two, one less than inputs, of which the last has the layer's id.
---@param layer lunette.Layer
---@return integer
function M.applications(layer)
  local inputs, first = layer.operands or layer.from, 1
  if not M.kinds[layer.kind].folds then return 1 end
  while layer.operands and not inputs[first].from do first = first + 1 end
  return math.max(1, #inputs - math.max(2, first) + 1) -- constants leave no node
end


---Samples of what a layer with an attribute `shape` puts out.
local function samples_of(layer, x)
  return layer.kind == "reshape" and x:size() // M.product(layer.shape) or x:dim(1)
end


---Applies a layer.
---@param layer lunette.Layer
---@param xs lunette.Tensor[]     values of what it reads, as `layer.from` names them
---@param params table<string, lunette.Tensor>   by key
---@param opts table              the node's name, and whether it may be deferred
---@return lunette.Tensor
function M.apply(layer, xs, params, opts)
  local kind = M.kinds[layer.kind]
  if kind.repeats and rawget(layer, "operands") then
    params = repeated(layer, params, xs[1]:dim(1))
  end
  local list, count = arguments(layer, xs, params, function(v) return v end)
  local f = core.ops[kind.op]
  attributes(kind, layer, kind.shaped and samples_of(layer, xs[1]), opts)
  if not kind.folds then
    list[count + 1] = opts
    return f(table.unpack(list, 1, count + 1))
  end
  local y = f(list[1], list[2], opts)
  for i = 3, count do y = f(y, list[i], opts) end
  return y
end

return M
