---Values for completion, looked at without running anybody's code: variables with
---rawget, and only classes of this library answer for their instances.
local known = require "lunette.repl.known"

local M = {}


---A stand-in for a value that would have to be computed: only its class is known.
local function some(class) return setmetatable({}, { some = class }) end

local function class_of(v)
  local meta = type(v) == "table" and getmetatable(v)
  if type(meta) == "table" and rawget(meta, "some") then return rawget(meta, "some") end
  if known.is_net(v) then return "net" end
  if known.is_run(v) then return "run" end
  if known.is_tensor(v) then return "tensor" end
  if known.is_layer(v) then return "layer" end
  if rawequal(v, package.loaded["lunette"]) then return "lunette" end
  return nil
end


local function core() return require "lunette.core" end

local methods = {
  net = function() return require("lunette.net").Net end,
  run = function() return require("lunette.net.run").Run end,
  tensor = function() return require("lunette.tensors").all() end,
  layer = function() return {} end,
  canvas = function()
    return getmetatable(require "lunette.picture.canvas" {}).__index
  end,
}


---The table that a metatable's __index names, however deep; never a function.
local function parents(v)
  local list = {}
  local meta = debug.getmetatable(v)
  while type(meta) == "table" and #list < 8 do
    local index = rawget(meta, "__index")
    if type(index) ~= "table" then break end
    list[#list + 1] = index
    meta = getmetatable(index)
  end
  return list
end


local function raw_field(v, key)
  if type(v) == "table" then
    local x = rawget(v, key)
    if x ~= nil then return x end
  end
  for _, t in ipairs(parents(v)) do
    local x = rawget(t, key)
    if x ~= nil then return x end
  end
  return nil
end


local function net_field(v, key)
  if getmetatable(v).some then return nil end
  return rawget(v, key) or v:layer(key) or nil
end


local function run_field(v, key)
  local own = not getmetatable(v).some and rawget(v, key) or nil
  if own ~= nil then return own end
  return some "tensor" -- a layer's activation
end


---What the user hung on a tensor: story, pictures.
local function own_fields(v, class)
  local own = class == "tensor" and type(v) == "userdata" and debug.getuservalue(v, 1)
  return type(own) == "table" and own or {}
end


local field_of = {
  net = net_field, run = run_field,
  tensor = function(v, key)
    if math.type(key) == "integer" then return some "tensor" end
    return own_fields(v, "tensor")[key]
  end,
  lunette = function(v, key)
    local ok, x = pcall(function() return v[key] end)
    return ok and x or nil
  end,
}


---The field of a value, without running anybody's code.
local function field(v, key)
  if v == nil then return nil end
  local class = class_of(v)
  local method = methods[class] and methods[class]()[key]
  if method ~= nil then return method end
  local get = field_of[class] or raw_field
  return get(v, key)
end


---The class that a function's documentation says it returns.
local function result_of(f)
  local docs = require "lunette.repl.docs"
  if docs.is_row(f) then return some "tensor" end
  if type(f) ~= "function" then return nil end
  local e = docs.of_function(f)
  local kind = e and e.returns[1] and e.returns[1].type:lower() or ""
  for _, op in next, core().ops do
    if op == f then return some "tensor" end
  end
  local class = kind:match "^lunette%.(%w+)"
  return (methods[class] or class == "tensor") and some(class) or nil
end


---`[3]` after a value.
local function indexed(v, rest)
  local more = rest:match "^%b[](.*)$"
  if class_of(v) == "tensor" then return some "tensor", more end
  local n = math.tointeger(tonumber(rest:match "^%[(%d+)%]" or ""))
  return n and field(v, n), more
end


---One step along a chain: the value after `.name`, `["name"]`, `[3]` or `()`.
local function step(v, rest)
  local key, more = rest:match "^[.:]([%a_][%w_]*)(.*)$"
  if not key then key, more = rest:match "^%[[\"']([^\"']*)[\"']%](.*)$" end
  if key then return field(v, key), more end
  if rest:find "^%[" then return indexed(v, rest) end
  if rest:find "^%(%)" then return result_of(v), rest:sub(3) end
  return nil, ""
end


---The value of a chain such as `run.block1_conv1[3]`, or nil.
---@param chain string
---@param lookup? table<string, any>   local variables, over the globals
---@return any
function M.evaluate(chain, lookup)
  local first, rest = chain:match "^([%a_][%w_]*)(.*)$"
  local v = lookup and first and lookup[first]
  if v == nil and first then v = rawget(_G, first) end
  while v ~= nil and rest and rest ~= "" do v, rest = step(v, rest) end
  return v
end


local function add_keys(t, into)
  for key, value in next, t do
    if type(key) == "string" and key:find "^[%a_][%w_]*$" then
      into[key] = into[key] or type(value)
    end
  end
end


local function add_layers(v, class, into)
  if class ~= "net" and class ~= "run" or getmetatable(v).some then return end
  local net = class == "net" and v or rawget(v, "net")
  for _, name in ipairs(net:names()) do into[name] = "layer" end
end


---Names after `v.` (or `v:`).
---@param v any
---@return table<string, string> names   name -> type, "layer"
function M.names_in(v)
  local found, class = {}, class_of(v)
  if class == "lunette" then
    for _, name in ipairs(v.names()) do found[name] = "value" end
  end
  if methods[class] then add_keys(methods[class](), found) end
  add_layers(v, class, found)
  if type(v) == "table" then add_keys(v, found) end
  if class == "layer" and not getmetatable(v).some then
    for _, q in ipairs(rawget(v, "params")) do found[q.key] = "userdata" end
  end
  add_keys(own_fields(v, class), found)
  for _, t in ipairs(class == nil and parents(v) or {}) do add_keys(t, found) end
  for _, name in ipairs(known.row_names(v)) do found[name] = "value" end
  return found
end


---How to get an object of each class, for the message about a method of another class.
local had = { run = "a run (net:run(x))", net = "a network", tensor = "a tensor",
              canvas = "a canvas (lu.canvas())" }


---Which class has a method of that name: "a run (net:run(x))"; nil where none has.
---@param name string
---@return string?
function M.class_with(name)
  for _, class in ipairs { "run", "net", "canvas", "tensor" } do
    local f = methods[class]()[name]
    if f ~= nil and not name:find "^_" then return had[class] end
  end
  return nil
end


---The methods of an object of this library, by name; the fields of a table or a text;
---nil of anything else.
---@param v any
---@return string[]?
function M.methods_of(v)
  local class, found, meta = class_of(v), {}, debug.getmetatable(v)
  if methods[class] then
    add_keys(methods[class](), found)
  elseif not meta or type(v) == "string" or rawget(meta, "__name") then
    if not meta then add_keys(v, found) end
    for _, t in ipairs(parents(v)) do add_keys(t, found) end
  end
  local list = {}
  for name in pairs(found) do
    if not name:find "^_" then list[#list + 1] = name end
  end
  table.sort(list)
  return #list > 0 and list or nil
end


---The network whose parameters a table holds.
---@param params any
---@return lunette.Net?
function M.net_of(params)
  local build = package.loaded["lunette.net.build"]
  return build and type(params) == "table" and build.with_params(params) or nil
end


M.add_keys = add_keys

return M
