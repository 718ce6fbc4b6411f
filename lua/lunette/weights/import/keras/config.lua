---What a Keras config says: which layers there are, in an order in which they can be
---computed, and what each reads. Sequential, Functional, and models within models;
---Keras 2 and 3. Nothing of a config is ever run.
---
---A call is { name =, class =, config =, inputs = names of calls, numbers, layer =,
---path2 =, path3 = }: `layer` says whose weights it uses (a layer may be called more
---than once), the paths where Keras 2 and 3 keep them.
local json = require "lunette.base.json"

local M = {}

local MOST_CALLS, MOST_DEPTH, MOST_READ = 4096, 16, 512

---@class lunette.keras.Call
---@field name string
---@field class string
---@field config table
---@field inputs (string|number)[]
---@field module? string   where Keras has the class: "keras.src.ops.numpy"
---@field layer string
---@field path2 string[]   names of the models around it, and its own
---@field path3 string     "layers/functional/layers/conv2d_3"


local function fail(message, ...) error(message:format(...), 0) end


---A name as it may be printed and stored.
local function safe(name)
  if type(name) ~= "string" or name == "" or #name > 128 or name:find "%c" then
    fail("a layer's name is no plain text of at most 128 letters")
  end
  return name
end


---Keras' own to_snake_case: "MaxPooling2D" -> "max_pooling2d", "ReLU" -> "re_lu".
---@param class string
---@return string
function M.snake(class)
  local s = class:gsub("[^%w_]", "")
  -- any character before a capital with small letters behind it, left to right
  s = s:gsub("(.)(%u%l+)", "%1_%2")
  return (s:gsub("([a-z])(%u)", "%1_%2"):lower())
end


---A config without its nulls, which mean "not given"; in lists they are false.
local function without_null(value, depth)
  if depth > 64 then fail "nested too deep" end
  if type(value) ~= "table" then return value end
  for key, one in pairs(value) do
    if one == json.null then
      value[key] = type(key) ~= "string" and false or nil
    else
      without_null(one, depth + 1)
    end
  end
  return value
end


---Of whose package a class or function is, where it is none of Keras' own: a name that
---somebody registered, or a module of theirs. What Keras calls so may be another thing
---there.
---@param spec table   of a config
---@return string? package
function M.foreign(spec)
  local name, module = spec.registered_name, spec.module
  if type(name) == "string" and name:find(">", 1, true) then return name end
  if type(module) ~= "string" or module == "builtins" then return nil end
  local top = module:match "^[^.]*"
  local own = top:find "^keras" or top == "tensorflow" or top:find "^tf"
  return not own and module or nil
end


local models = { Sequential = true, Functional = true, Model = true }


local function is_model(spec)
  return models[spec.class_name] and type(spec.config) == "table"
    and type(spec.config.layers) == "table"
end


-- what a layer reads -------------------------------------------------------------


---Keras 3: tensors and numbers among the arguments, in order.
local function collect(value, refs, depth)
  if depth > MOST_DEPTH then fail "its arguments are nested too deep" end
  if type(value) == "number" then
    refs[#refs + 1] = { number = value }
  elseif type(value) == "table" and value.class_name == "__keras_tensor__" then
    local h = type(value.config) == "table" and value.config.keras_history
    if type(h) ~= "table" then fail "a tensor without a history" end
    refs[#refs + 1] = { name = h[1], node = h[2], tensor = h[3] }
  elseif type(value) == "table" then
    for _, one in ipairs(value) do collect(one, refs, depth + 1) end
  end
end


---Raises where a call is one that answers otherwise than the network does.
local function check_given(given)
  if given.training == true then
    fail("it is called as in training (training = True): its answer is left to "
         .. "chance or to the batch")
  end
end


---What Keras 3 calls the tensors that it reads, where it gives them by name.
local read_by_name = { "inputs", "x", "xs", "x1", "x2" }
local is_read = {}
for _, name in ipairs(read_by_name) do is_read[name] = true end


local function has_tensor(value)
  local refs = {}
  collect(type(value) == "table" and value or nil, refs, 0)
  for _, ref in ipairs(refs) do
    if ref.name then return true end
  end
  return false
end


---Keras 3: the arguments that have names.
local function collect_named(given, refs)
  if type(given) ~= "table" then return end
  check_given(given)
  for _, name in ipairs(read_by_name) do collect(given[name], refs, 0) end
  for name, value in pairs(given) do
    if not is_read[name] and has_tensor(value) then
      fail("its argument '%s' is not supported", safe(name))
    end
  end
end


---Keras 2: ["name", node, tensor, { arguments }], of which `y` may be a number or
---another tensor.
local function add_reference(one, refs)
  if type(one) ~= "table" or type(one[1]) ~= "string" then
    fail "what it reads is written in no way that Keras has"
  end
  refs[#refs + 1] = { name = one[1], node = one[2], tensor = one[3] }
  local given = type(one[4]) == "table" and one[4] or {}
  check_given(given)
  local y = given.y
  if type(y) == "number" then refs[#refs + 1] = { number = y } end
  if type(y) == "table" and type(y[1]) == "string" then
    refs[#refs + 1] = { name = y[1], node = y[2], tensor = y[3] }
  end
end


---What every call of a layer reads.
local function calls_of(spec)
  local list = {}
  for i, node in ipairs(type(spec.inbound_nodes) == "table" and spec.inbound_nodes
                        or {}) do
    local refs = {}
    if type(node) ~= "table" then fail "a call is no list" end
    if node.args then
      collect(node.args, refs, 0)
      collect_named(node.kwargs, refs)
    elseif type(node[1]) == "string" then
      add_reference(node, refs)
    else
      for _, one in ipairs(node) do add_reference(one, refs) end
    end
    if #refs > MOST_READ then
      fail("a layer reads %d others, at most %d", #refs, MOST_READ)
    end
    list[i] = refs
  end
  return list
end


-- one model ----------------------------------------------------------------------


---Where Keras 3 keeps each layer: by class, counted.
local function places(layers, prefix)
  local used, list = {}, {}
  for i, spec in ipairs(layers) do
    local name = M.snake(tostring(spec.class_name))
    local n = used[name]
    used[name] = (n or -1) + 1
    list[i] = ("%slayers/%s%s"):format(prefix, name, n and "_" .. used[name] or "")
  end
  return list
end


local expand


---Adds one call of a layer, or the calls of a model; returns what it puts out: a list,
---as a model may have several outputs.
local function add_call(out, spec, name, inputs, where)
  if #out.calls >= MOST_CALLS then fail("more than %d layers", MOST_CALLS) end
  if is_model(spec) then
    return expand(out, spec, inputs, {
      depth = where.depth + 1, name = name .. "/", layer = where.layer .. "/",
      path2 = where.path2, path3 = where.path3 .. "/" })
  end
  local config = type(spec.config) == "table" and spec.config or {}
  out.calls[#out.calls + 1] = {
    name = name, class = tostring(spec.class_name), config = config, inputs = inputs,
    foreign = M.foreign(spec), layer = where.layer,
    module = type(spec.module) == "string" and spec.module or nil,
    path2 = where.path2, path3 = where.path3,
  }
  return { name }
end


local function layer_name(spec, i)
  local config = type(spec.config) == "table" and spec.config or {}
  local name = spec.name or config.name
  return safe(name or ("%s_%d"):format(M.snake(tostring(spec.class_name)), i))
end


---Where a layer of a model is.
local function where_of(around, name, place)
  local path2 = { table.unpack(around.path2) }
  path2[#path2 + 1] = name
  return { depth = around.depth, path2 = path2, path3 = place,
           layer = around.layer .. name }
end


local function sequence(out, layers, inputs, around)
  local place, value = places(layers, around.path3), inputs[1]
  for i, spec in ipairs(layers) do
    local name = layer_name(spec, i)
    local is_input = spec.class_name == "InputLayer"
    if is_input and value == nil or not is_input then
      local values = add_call(out, spec, around.name .. name, { value },
                              where_of(around, name, place[i]))
      if #values > 1 then fail("'%s' has several outputs, in a sequence", name) end
      value = values[1]
    end
  end
  return { value }
end


---A list of what an object has, by its keys: so Keras orders outputs that have names.
local function by_keys(object)
  local keys, list = {}, {}
  for key in pairs(object) do
    if type(key) == "string" then keys[#keys + 1] = key end
  end
  table.sort(keys)
  for i, key in ipairs(keys) do list[i] = object[key] end
  return list
end


---Names of input_layers or output_layers: ["name", 0, 0], a list of such, or an object.
local function endpoints(list)
  if type(list) ~= "table" then return {} end
  if type(list[1]) == "string" then list = { list } end
  if next(list) ~= nil and #list == 0 then list = by_keys(list) end
  local found = {}
  for i, one in ipairs(list) do
    if type(one) ~= "table" then fail "its inputs or outputs are no list" end
    found[i] = { name = one[1], node = one[2], tensor = one[3] }
  end
  return found
end


---The layers of a functional model by name: what each call reads, what it puts out.
local function table_of(layers, around)
  local place, by_name = places(layers, around.path3), {}
  for i, spec in ipairs(layers) do
    local name = layer_name(spec, i)
    if by_name[name] then fail("two layers are named '%s'", name) end
    local ok, calls = pcall(calls_of, spec)
    if not ok then fail("layer '%s': %s", name, calls) end
    by_name[name] = { spec = spec, place = place[i], calls = calls, done = {},
                      busy = {} }
  end
  return by_name
end


---The layer that a reference means, and which of its calls.
local function entry_of(by_name, ref)
  local entry = by_name[ref.name]
  if not entry then fail("'%s' is read, but is no layer", safe(tostring(ref.name))) end
  local k = (math.tointeger(ref.node) or 0) + 1
  if not entry.calls[k] and #entry.calls <= 1 then k = 1 end
  return entry, k
end


---Raises where a call cannot be computed: it reads itself, or nothing. (A layer may
---read what an earlier call of it put out.)
local function check_call(entry, k, ref, depth)
  if depth > MOST_CALLS then fail("more than %d layers", MOST_CALLS) end
  if entry.busy[k] then
    fail("layer '%s' reads itself", safe(ref.name))
  end
  if not entry.calls[k] and entry.spec.class_name ~= "InputLayer" then
    fail("layer '%s' reads nothing", safe(ref.name))
  end
end


---Which of a call's values a reference means.
local function picked(values, ref)
  local value = values[(math.tointeger(ref.tensor) or 0) + 1]
  if not value then
    fail("an output of '%s' is read that it has not", safe(tostring(ref.name)))
  end
  return value
end


---The value of a call, computed when it is first asked for.
local function value_of(out, by_name, ref, around, depth)
  if ref.number then return ref.number end
  local entry, k = entry_of(by_name, ref)
  if entry.done[k] then return picked(entry.done[k], ref) end
  check_call(entry, k, ref, depth)
  entry.busy[k] = true
  local inputs = {}
  for i, r in ipairs(entry.calls[k] or {}) do
    inputs[i] = value_of(out, by_name, r, around, depth + 1)
  end
  entry.busy[k] = nil
  local name = around.name .. ref.name .. (k > 1 and "__" .. k or "")
  entry.done[k] = add_call(out, entry.spec, name, inputs,
                           where_of(around, ref.name, entry.place))
  return picked(entry.done[k], ref)
end


local function functional(out, config, inputs, around)
  local by_name = table_of(config.layers, around)
  for i, input in ipairs(inputs[1] and endpoints(config.input_layers) or {}) do
    local entry = by_name[input.name]
    if entry then entry.done[1] = { inputs[i] } end
  end
  local values = {}
  for i, output in ipairs(endpoints(config.output_layers)) do
    values[i] = value_of(out, by_name, output, around, 0)
  end
  if #values == 0 then fail "it names no outputs" end
  return values
end


---Does any layer say what it reads? Some writers leave that out of a chain.
local function is_chain(config)
  for _, spec in ipairs(config.layers) do
    if spec.inbound_nodes and #spec.inbound_nodes > 0 then return false end
  end
  return true
end


function expand(out, spec, inputs, around)
  if around.depth > MOST_DEPTH then fail "models within models, too deep" end
  for _, one in ipairs(spec.config.layers) do
    if type(one) ~= "table" then fail "a layer is no object" end
  end
  if spec.class_name == "Sequential" or is_chain(spec.config) then
    return sequence(out, spec.config.layers, inputs, around)
  end
  return functional(out, spec.config, inputs, around)
end


---Reads a config.
---@param text string   JSON
---@return { name: string, calls: lunette.keras.Call[], outputs: string[],
---  build_shape: any }? model, string? message
function M.read(text)
  local spec, message = json.decode(text)
  if type(spec) ~= "table" then
    return nil, "the config is no JSON object" .. (message and ": " .. message or "")
  end
  if not is_model(spec) then
    local class = tostring(spec.class_name):gsub("%c", "?"):sub(1, 60)
    return nil, ("the config describes no layers: it is of '%s'"):format(class)
  end
  local fine, why = pcall(without_null, spec, 0)
  if not fine then return nil, "the config: " .. tostring(why) end
  local out = { calls = {}, name = spec.config.name,
                build_shape = spec.config.build_input_shape }
  local ok, values = pcall(expand, out, spec, {}, { depth = 0, name = "", layer = "",
                                                    path2 = {}, path3 = "" })
  if not ok then return nil, "the config: " .. tostring(values) end
  if #values == 0 then return nil, "the config has no layers" end
  out.outputs = values
  return out
end

return M
