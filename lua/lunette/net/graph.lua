---A network as plain data: the table that lu.net takes, in one form, and as JSON in
---the metadata of a weights file (`lunette_graph`). What a file says is checked and
---bounded here; what its layers mean is the business of lu.net.
local json = require "lunette.base.json"
local types = require "lunette.base.types"

local M = {}

---Bounds of what a file may hold.
local MOST_LAYERS, MOST_INPUTS, MOST_NAMES, MOST_TEXT = 8192, 64, 32, 256
local MOST_INPUT = 2 ^ 28 -- numbers a picture


local function is_text(v)
  return type(v) == "string" and #v > 0 and #v <= MOST_TEXT and not v:find "%c"
end


local function is_number(v)
  return type(v) == "number" and v == v and math.abs(v) ~= math.huge
end


---A list of at most `most` values that all are what `check` wants.
local function is_list(v, most, check)
  if type(v) ~= "table" or #v > most then return false end
  for i, one in pairs(v) do
    if not types.is_count(i) or i > #v or not check(one) then return false end
  end
  return true
end


local function is_parameter(v)
  return type(v) == "table" and is_text(v.param)
end


local function is_input(v) return is_text(v) or is_number(v) or is_parameter(v) end


local function is_attribute(v)
  return is_number(v) or type(v) == "boolean" or is_text(v) or is_list(v, 6, is_number)
end


---What the keys of a layer may hold; every other key is an attribute.
local layer_keys = {
  name = is_text, kind = is_text, shares = is_text,
  from = function(v) return is_input(v) or is_list(v, MOST_INPUTS, is_input) end,
  aliases = function(v) return is_list(v, MOST_NAMES, is_text) end,
}


---A copy of a value, and of what is in it; list marks of JSON are gone.
local function copy(value)
  if type(value) ~= "table" then return value end
  local t = {}
  for k, v in pairs(value) do t[k] = copy(v) end
  return t
end


---What is wrong with a layer, or nil.
local function fault(layer)
  if layer.name == nil then return "a layer has no name" end
  local title = is_text(layer.name) and layer.name or "?"
  for key, value in pairs(layer) do
    local check = layer_keys[key]
    if check and not check(value) then
      return ("layer '%s': its `%s` is not what it should be"):format(title, key)
    elseif not check and not is_attribute(value) then
      return ("layer '%s': %s is a number, true, false, a word or a list of at most 6 "
        .. "numbers"):format(title, key)
    end
  end
  return nil
end


---One layer in the form { name =, kind =, ... }; nil and what is wrong.
local function read_layer(spec)
  if type(spec) ~= "table" then
    return nil, ("a layer is a table { name, kind, ... }, got %s"):format(type(spec))
  end
  local layer, positions = {}, { "name", "kind" }
  for key, value in pairs(spec) do
    key = positions[key] or key
    if type(key) == "string" then layer[key] = copy(value) end
  end
  local wrong = fault(layer)
  if wrong then return nil, wrong end
  if layer.aliases and #layer.aliases == 0 then layer.aliases = nil end
  return layer
end


local function read_layers(list)
  if type(list) ~= "table" then return nil, "it has no list of layers" end
  if #list > MOST_LAYERS then
    return nil, ("it has %d layers, at most %d"):format(#list, MOST_LAYERS)
  end
  local layers = {}
  for i, spec in ipairs(list) do
    local layer, message = read_layer(spec)
    if not layer then return nil, message end
    layers[i] = layer
  end
  return layers
end


local function read_input(input)
  local ok, size = is_list(input, 5, types.is_count), 1
  for _, d in ipairs(ok and input or {}) do size = size * d end
  if not ok or #input == 0 or size > MOST_INPUT then return nil end
  return copy(input)
end


---The table that lu.net takes, in one form: layers as { name =, kind =, ... }, and
---nothing that is no data. A copy: changing it changes no network.
---@param arch table
---@return table? graph, string? message
function M.read(arch)
  local layers, message = read_layers(arch.layers)
  if not layers then return nil, message end
  local graph = { name = arch.name or "network", layers = layers,
                  input = read_input(arch.input), outputs = copy(arch.outputs),
                  labels = copy(arch.labels), preprocessing = copy(arch.preprocessing) }
  if not is_text(graph.name) then return nil, "its name is no text" end
  if not graph.input then
    return nil, "`input` is {C,H,W}, or 1 to 5 whole numbers, not too large"
  end
  if graph.outputs and not is_list(graph.outputs, MOST_INPUTS, is_text) then
    return nil, "`outputs` is a list of layers' names"
  end
  return graph
end


---JSON of a graph without what weights files keep apart: labels and preprocessing.
---@param graph table
---@return string
function M.encode(graph)
  return json.encode { name = graph.name, input = graph.input, layers = graph.layers,
                       outputs = graph.outputs }
end


---Earlier versions wrote a clamp without bounds, which changes nothing; today nobody
---can make one. Such a file still loads.
local function mend(graph)
  for _, layer in ipairs(graph.layers) do
    if layer.kind == "clamp" and layer.min == nil and layer.max == nil then
      layer.kind = "identity"
    end
  end
  return graph
end


---The graph of a JSON text.
---@param text string
---@return table? graph, string? message
function M.decode(text)
  local arch, message = json.decode(text)
  if type(arch) ~= "table" then return nil, message or "it is no object" end
  local graph
  graph, message = M.read(arch)
  return graph and mend(graph), message
end

return M
