---What was meant by a name that is not there: `lu.salency`, `net.conv11`, `x:shpae()`.
---Nothing of the user's is called.
local foreign = require "lunette.base.foreign"
local looked = require "lunette.repl.known"
local suggest = require "lunette.base.suggest"
local values = require "lunette.repl.values"

local M = {}

---Code that stands in no file, by the name of its chunk: "=(code)".
---@type table<string, string>
M.sources = {}


---How a value is spoken of.
local function called(chain, owner)
  local meta = debug.getmetatable(owner)
  local class = type(meta) == "table" and rawget(meta, "__name")
  local kind = class and class:match "^lunette%.(%w+)$"
  return kind and ("%s (a %s)"):format(chain, kind:lower()) or chain
end


---Keys of a table that are no words, as those of net.params.
local function odd_keys(t)
  local list = {}
  for key in next, t do
    if type(key) == "string" and not key:find "^[%a_][%w_]*$" then
      list[#list + 1] = key
    end
  end
  table.sort(list)
  return list
end


---Names besides those that come after a dot: of a network and its runs aliases and
---groups.
local function more_names(owner)
  local net = looked.is_net(owner) and owner
    or looked.is_run(owner) and rawget(owner, "net")
  if net then return require("lunette.net.build").known(net) end
  return type(owner) == "table" and not debug.getmetatable(owner) and odd_keys(owner)
    or {}
end


---What a value has, by name.
local function names_of(owner)
  local list = {}
  for name in pairs(values.names_in(owner)) do list[#list + 1] = name end
  table.sort(list)
  local more = more_names(owner)
  return table.move(more, 1, #more, #list + 1, list)
end


---"lu.models.vgg16" for vgg16: what one of the library's parts has under that name.
local function part_with(lu, name)
  for _, part in ipairs { "models", "metrics", "score", "modifiers", "features",
                          "attack", "train", "image" } do
    if values.names_in(lu[part])[name] then return ("lu.%s.%s"):format(part, name) end
  end
  return nil
end


---The sentence about a member that an owner does not have, or nil where it has it.
local function about_member(chain, name, lookup)
  local owner = values.evaluate(chain, lookup)
  if owner == nil then return nil end
  local list = names_of(owner)
  for _, known in ipairs(list) do
    if known == name then return nil end
  end
  local is_library = rawequal(owner, package.loaded.lunette)
  local ours = foreign.name(name, is_library) or is_library and part_with(owner, name)
  return ("%s has no '%s'%s"):format(called(chain, owner), name,
    ours and ("; here it is " .. ours) or suggest.after(name, list))
end


local function about_global(name)
  local names, lu = {}, package.loaded.lunette
  for key in next, _G do
    if type(key) == "string" then names[#names + 1] = key end
  end
  for _, key in ipairs(lu and lu.names() or {}) do
    if key == name then return ("did you mean 'lu.%s'?"):format(name) end
    names[#names + 1] = "lu." .. key
  end
  table.sort(names)
  local hint = suggest(name, names)
  if hint == "" then hint = suggest("lu." .. name, names) end
  return hint ~= "" and hint or nil
end


---The chains of a line before `.name` or `:name`, or `["name"]`.
local function owners_of(name, line)
  local list = {}
  local plain = name:gsub("%p", "%%%0")
  for chain in line:gmatch("([%a_][%w_%.]*)%[[\"']" .. plain .. "[\"']%]") do
    list[#list + 1] = chain
  end
  if not name:find "^[%a_][%w_]*$" then return list end
  for at in line:gmatch("()[.:]" .. name .. "%f[^%w_]") do
    local before = line:sub(1, at - 1):gsub("%(%)", "\1") -- a call without arguments
    local chain = before:match "[%a_][%w_%.:%[%]\1\"']*$"
    if chain then list[#list + 1] = chain:gsub("\1", "()") end
  end
  return list
end


---The sentence about a value that is nil because what should have made it failed.
local function about_failed(message, name)
  if not message:find "attempt to index a nil value" then return nil end
  if not name then return "the call before it gave nil; assert(...) says why" end
  return ("assert(...) around the call that made '%s' says why it is nil"):format(name)
end


---The sentence about a method that was not called, x.shape[1], or a network that was.
local function about_function(message, line)
  local name = message:match "attempt to [%a ]+ a function value %(%a+ '([^']*)'%)"
  if name then
    local chain = owners_of(name, line)[1]
    return chain and ("it is a method: %s:%s()"):format(chain, name) or nil
  end
  return message:find "attempt to call a lunette.Net value"
    and ("here it is " .. foreign.name("__call", false)) or nil
end


---What to add to an error about a nil value, or another of the wrong kind: nil where
---nothing is known.
---@param message string
---@param line string     of the code that it is about
---@param lookup? table<string, any>   local variables by name, over the globals
---@return string?
function M.hint(message, line, lookup)
  if not message:find "a nil value" then return about_function(message, line) end
  local kind, name = message:match
    "attempt to [%a ]+ a nil value %((%a+) '([^']*)'%)"
  if line:find "%[0%]" and (name == "?" or name == "integer index") then
    return "lists count from 1"
  end
  if kind == "global" then return about_global(name) or about_failed(message, name) end
  if kind ~= "field" and kind ~= "method" then return about_failed(message, name) end
  for _, chain in ipairs(owners_of(name, line)) do
    local found = about_member(chain, name, lookup)
    if found then return found end
  end
  return nil
end


---The sentence about an expression that is nil because its last name means nothing.
---@param code string   "net.conv11"
---@return string?
function M.of_nil(code)
  local chain, name = code:match "^%s*([%a_][%w_%.%[%]\"']*)%.([%a_][%w_]*)%s*;?%s*$"
  if chain then return about_member(chain, name) end
  name = code:match "^%s*([%a_][%w_]*)%s*;?%s*$"
  return name and rawget(_G, name) == nil and about_global(name) or nil
end


-- in scripts --------------------------------------------------------------------


local function line_of(source, number)
  local text = M.sources[source]
  if not text and source:sub(1, 1) == "@" then
    text = require("lunette.base.files").read(source:sub(2))
  end
  local i = 0
  for line in ((text or "") .. "\n"):gmatch "(.-)\n" do
    i = i + 1
    if i == number then return line end
  end
  return nil
end


---Variables that the function at that level sees.
local function variables(level, f)
  local found, i = {}, 1
  while true do
    local name, value = debug.getupvalue(f, i)
    if not name then break end
    found[name] = value
    i = i + 1
  end
  i = 1
  while true do
    local name, value = debug.getlocal(level + 1, i)
    if not name then return found end
    found[name] = value
    i = i + 1
  end
end


---The same at the place of an error, for a handler: where its message says it was.
---@param message string
---@return string?
function M.at_error(message)
  if not message:find "attempt to %a+ a" and not message:find "attempt to get" then
    return nil
  end
  for level = 2, 60 do
    local info = debug.getinfo(level, "Slf")
    if not info then return nil end
    local place = ("%s:%d:"):format(info.short_src, info.currentline)
    if info.what ~= "C" and message:sub(1, #place) == place then
      local line = line_of(info.source, info.currentline)
      return line and M.hint(message, line, variables(level, info.func))
    end
  end
  return nil
end

return M
