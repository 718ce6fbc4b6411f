---What was meant by a name that is not there: `lu.salency`, `net.conv11`, `x:shpae()`.
---Nothing of the user's is called.
local foreign = require "lunette.base.foreign"
local looked = require "lunette.repl.known"
local suggest = require "lunette.base.suggest"
local values = require "lunette.repl.values"
local wrong = require "lunette.repl.wrong"

local M = {}

---Code that stands in no file, by the name of its chunk: "=(code)".
---@type table<string, string>
M.sources = {}


---How a value is spoken of; one without a name by its class.
local function called(chain, owner)
  local meta = debug.getmetatable(owner)
  local class = type(meta) == "table" and rawget(meta, "__name")
  local kind = class and class:match "^lunette%.(%w+)$"
  if not kind and type(owner) == "string" then kind = "text" end
  if not kind then return chain or "it" end
  kind = "a " .. kind:lower()
  return chain and ("%s (%s)"):format(chain, kind) or kind
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


---The layer that a name means, or the part of it before the last dot.
local function layer_of(net, name)
  for _, part in ipairs { name, name:match "^(.*)%.[%a_]*$" } do
    if net:has(part) then return net:layer(part), part == name end
  end
  return nil
end


---What a network's `params` have instead: parameters have a layer's name before theirs,
---and layers go by more names than one.
local function about_parameter(owner, name, hint)
  local net = values.net_of(owner)
  if not net then return hint end
  if next(owner) == nil then
    return "; it is empty: lu.load and net:init() give a network its parameters"
  end
  local layer, whole = layer_of(net, name)
  if not layer or hint ~= "" and not whole or #layer.params == 0 then return hint end
  local list = {}
  for i, q in ipairs(layer.params) do list[i] = ('net.params["%s"]'):format(q.name) end
  return ("; there is %s, the same as net.%s"):format(table.concat(list, ", "),
                                                      layer.params[1].name)
end


---Where the entries of a list have what was asked of the list.
local function about_entries(owner, name)
  local first, path = owner, ""
  for _ = 1, 2 do
    first, path = type(first) == "table" and rawget(first, 1), path .. "[1]"
    if type(first) == "table" and values.names_in(first)[name] then
      return ("; it is a list, whose entries have it: %s.%s"):format(path, name)
    end
  end
  return nil
end


---What there is instead where no name is near: another class's method, or all of them.
local function about_strange(owner, name, list)
  local own = values.methods_of(owner) or {}
  local layered = looked.is_net(owner) or looked.is_run(owner)
  local class = (layered or #own > 8) and values.class_with(name)
  if class then return ("; %s has it"):format(class) end
  if layered then return "; net:names() lists the layers" end
  if #list == 0 and not debug.getmetatable(owner) then return " (it is empty)" end
  if #own == 0 then return "" end
  return #own <= 20 and ("; there is %s"):format(table.concat(own, ", ")) or ""
end


---What a word of another library, or of another language, is here.
local function foreign_word(owner, name)
  local is_library = rawequal(owner, package.loaded.lunette)
  local ours = foreign.name(name, is_library) or is_library and part_with(owner, name)
  if not ours and is_library and values.class_with(name) then
    ours = "x:" .. name .. ", a method of tensors"
  end
  local plain = type(owner) == "string" or not debug.getmetatable(owner)
  return ours or plain and foreign.plain(name, true)
end


---What has all the words of a name of the library's, or of one of its objects': a
---canvas's add_row, lu.load_images.
local function worded(owner, name)
  local lu = package.loaded.lunette
  local own = type(owner) ~= "string" and debug.getmetatable(owner)
  if not lu or not (rawequal(owner, lu) or own) then return nil end
  local list = {}
  for _, y in ipairs(require("lunette.repl.exports").list()) do
    if not y.name:find "^core" then list[#list + 1] = y.name end
  end
  return suggest.by_words(name, list)
end


---A name without the verb that others put before it: add_row is row, get_layer layer.
local function without_verb(name)
  local verb, rest = name:match "^(%l+)_(%w+)$"
  local known = { add = 1, get = 1, set = 1, make = 1, create = 1, compute = 1,
                  draw = 1, plot = 1, calc = 1, calculate = 1, to = 1, is = 1 }
  return known[verb or ""] and rest or name
end


---The values of a layer that a run does not have: why not.
local function about_dropped(owner, name)
  if not looked.is_run(owner) or rawget(owner, name) ~= nil then return nil end
  local ok, value, message = pcall(owner.activation, owner, name)
  return ok and not value and message or nil
end


---What is nearest to a name among those that an owner has.
local function near_name(name, list)
  local hint = suggest.after(name, list)
  return hint ~= "" and hint or suggest.after(without_verb(name), list)
end


---The sentence about a member that an owner does not have, or nil where it has it.
local function about_owner(chain, owner, name)
  local list = names_of(owner)
  for _, known in ipairs(list) do
    if known == name then return about_dropped(owner, name) end
  end
  local ours = foreign_word(owner, name) or worded(owner, name)
  local hint = ours and "; here it is " .. ours or near_name(name, list)
  local layered = looked.is_net(owner) or looked.is_run(owner)
  if layered and not ours and values.class_with(name) then hint = "" end
  hint = about_parameter(owner, name, hint)
  if hint == "" then
    hint = about_entries(owner, name) or about_strange(owner, name, list)
  end
  return ("%s has no '%s'%s"):format(called(chain, owner), name, hint)
end


---The same of what a chain stands for.
local function about_member(chain, name, lookup)
  local owner = values.evaluate(chain, lookup)
  return owner ~= nil and about_owner(chain, owner, name) or nil
end


---The name of the library's that is nearest to one without "lu.".
local function of_library(name)
  local lu = package.loaded.lunette
  local near = suggest.nearest(name, lu and lu.names() or {}, 1)[1]
  return near and ("did you mean 'lu.%s'?"):format(near) or nil
end


local function about_global(name)
  local names, lu = {}, package.loaded.lunette
  if foreign.libraries[name] then
    return ("%s is no part of Lunette; docs/tensors.md and docs/coming_from.md say "
            .. "what its words are here"):format(name)
  end
  local plain = foreign.plain(name, false)
  for key in next, _G do
    if type(key) == "string" then names[#names + 1] = key end
  end
  for _, key in ipairs(lu and lu.names() or {}) do
    if key == name then return ("did you mean 'lu.%s'?"):format(name) end
  end
  if plain then return "here it is " .. plain end
  table.sort(names)
  local hint = suggest(name, names)
  return hint ~= "" and hint or of_library(name)
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


---What a call's answer has, where a field of it is nil: `run:top(1).name`.
local function about_answer(name, line, lookup)
  local chain = line:match("([%a_][%w_%.:]*)%b()%f[%[%.][%[%]%d]*[.:]" .. name
                           .. "%f[^%w_]")
  local f = chain and values.evaluate(chain, lookup)
  local entry = type(f) == "function" and require("lunette.repl.docs").of_function(f)
  local gives = entry and entry.returns[1]
  if not gives then return nil end
  local ours = foreign.name(name, false)
  if ours then
    return ("%s(...) has no '%s'; here it is %s"):format(chain, name, ours)
  end
  return ("%s(...) has no '%s'; it gives %s  %s"):format(chain, name,
    gives.type:gsub("lunette%.", ""), gives.text)
end


---What a function gives, by its doc comment; one in C is a method of tensors.
local function returns_of(chain, lookup)
  local f, docs = values.evaluate(chain, lookup), require "lunette.repl.docs"
  local entry = type(f) == "function" and docs.of_function(f)
  local method = chain:match ":([%w_]+)$"
  for _, e in ipairs(not entry and method and docs.all().list or {}) do
    if e.name == "Tensor:" .. method then entry = e end
  end
  return entry and entry.returns or {}
end


---What a call gives where less of it was there than was asked for: `h, w = t:shape()`.
local function about_several(at, several, name, lookup)
  local chain = several.code:match "^([%a_][%w_%.:]*)%s*[%({\"']"
  local returns = chain and returns_of(chain, lookup)
  if not returns or several.place <= math.max(1, #returns) then return nil end
  local is_list = returns[1] and returns[1].type:find "%[%]"
  local gives = is_list and "one list" or #returns > 1 and #returns .. " values"
    or "one value"
  return ("%s gives %s, so that '%s' is nil (line %d)%s"):format(chain, gives, name, at,
    is_list and "; table.unpack(list) gives its values" or "")
end


---Why a variable is nil, or a function that nobody called, by the code of its line `at`
---that gave it a value: a name that means nothing, a call, fewer values than names.
local function about_made(at, code, name, lookup, several)
  local fewer = several and about_several(at, several, name, lookup)
  if fewer then return fewer end
  local chain, field = (code or ""):match "^([%a_][%w_%.%[%]\"']*)%.([%a_][%w_]*)%s*$"
  local found = chain and about_member(chain, field, lookup)
  field = (code or ""):match "^[%a_][%w_%.:]*%b()%.([%a_][%w_]*)%s*$"
  found = found or field and about_answer(field, code, lookup)
  if found then return ("line %d: %s"):format(at, found) end
  if code and not code:find "[%({\"']" then return nil end
  return ("assert(...) around the call that made '%s' says why it is nil (line %d)"
    ):format(name, at)
end


---The sentence about a value that is nil because what should have made it failed, or
---because nothing was ever put there.
local function about_failed(message, kind, name, look)
  if not name then
    return message:find "index a nil"
      and "the call before it gave nil; assert(...) says why" or nil
  end
  if name == "lu" then return 'a script begins with: local lu = require "lunette"' end
  local at, code, several = look.made(name)
  local told = at and about_made(at, code, name, look.lookup, several)
  if told then return told end
  local never = kind == "global" and "no value was given to that name, or " or ""
  if not at and kind == "local" then
    return ("'%s' is a parameter, or a loop's: it was given nil"):format(name)
  end
  return ("%sassert(...) around the call that made '%s' says why it is nil"):format(
    never, name)
end


---What a field that is nil, given to a call, may have meant: `show(run.blok3)`.
local function about_field(line, lookup)
  for chain, name, after in line:gmatch "([%a_][%w_%.]*)%.([%a_][%w_]*)(.?)" do
    if not after:find "[%({\"':]" then
      local found = about_member(chain, name, lookup)
      if found then return found end
    end
  end
  return nil
end


---The variable, or the field, that is nil where a call was given one.
local function about_argument(message, line, look)
  local lookup = look.lookup
  if not message:find "%f[%w]nil%f[^%w]" or message:find "is nil in Lua" then
    return nil
  end
  local names = {}
  for key in next, _G do
    if type(key) == "string" then names[#names + 1] = key end
  end
  for key in next, lookup or {} do names[#names + 1] = key end
  table.sort(names)
  return about_field(line, lookup) or wrong.nil_argument(line, function(name)
    return values.evaluate(name, lookup)
  end, function(name)
    local at, code, several = look.made(name)
    local told = at and about_made(at, code, name, lookup, several)
    return told and "; " .. told or suggest.after(name, names)
  end)
end


---What a value that has no name does not have: the method of what a call gave.
local function about_nameless(name, objects)
  for i = #(objects or {}), 1, -1 do
    local found = about_owner(nil, objects[i], name)
    if found then return found end
  end
  return nil
end


---What a name on the line, which stands for nil there, may have meant.
local function about_name(message, line, look, objects)
  local lookup = look.lookup
  local kind, name = message:match
    "attempt to [%a ]+ a nil value %((%a+) '([^']*)'%)"
  if line:find "%[0%]" and (name == "?" or name == "integer index") then
    return "lists count from 1"
  end
  if kind == "global" then
    return about_global(name) or about_failed(message, kind, name, look)
  end
  if kind ~= "field" and kind ~= "method" then
    return about_failed(message, kind, name, look)
  end
  for _, chain in ipairs(owners_of(name, line)) do
    local found = about_member(chain, name, lookup)
    if found then return found end
  end
  return kind == "method" and about_nameless(name, objects)
    or about_answer(name, line, lookup)
end


---What to add to an error about a nil value, or another of the wrong kind: nil where
---nothing is known.
---@param message string
---@param line string     of the code that it is about
---@param lookup? table<string, any>   local variables by name, over the globals
---@param objects? any[]   values without a name, one of which was asked for a method
---@param made? fun(name: string): integer?, string?, table?   the line before that
---  gives a variable its value, and the code there; of several { code =, place = }
---@return string?
function M.hint(message, line, lookup, objects, made)
  local look = { lookup = lookup, made = made or function() end }
  local told = wrong.hint(message, line, {
    owner_of = function(name) return owners_of(name, line)[1] end,
    value_of = function(chain) return values.evaluate(chain, lookup) end,
    made = look.made })
  if told then return told end
  if message:find "a nil value" then
    return about_name(message, line, look, objects)
  end
  return about_argument(message, line, look)
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


---A line of a source: of a file, or of code that stands in none; nil where it is not at
---hand.
---@param source string   as debug.getinfo has it
---@param number integer
---@return string?
function M.line(source, number)
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


---For a line of a source: the last line before it that gives a variable its value, and
---the code there; no code where several got theirs.
local function made_before(source, number)
  return function(name)
    for i = number - 1, 1, -1 do
      local line = M.line(source, i) or ""
      local left, code = line:match "^%s*([%a_][%w_,%s]-)%s*=%s*([^=].*)$"
      left = left and left:gsub("^local%s+", "")
      code = code and code:gsub("%s*%-%-.*$", "")
      if left == name then return i, code end
      local place = 0
      for word in (left or ""):gmatch "[%a_][%w_]*" do
        place = place + 1
        if word == name then return i, nil, { code = code, place = place } end
      end
    end
  end
end


---Variables that the function at that level sees, and the values without a name that
---stand behind a nil: of `f(x):shpae()` what f gave stands behind the method, which is
---nil.
local function variables(level, f)
  local found, objects, last, i = {}, {}, nil, 1
  while true do
    local name, value = debug.getupvalue(f, i)
    if not name then break end
    found[name] = value
    i = i + 1
  end
  i = 1
  while true do
    local name, value = debug.getlocal(level + 1, i)
    if not name then return found, objects end
    if name ~= "(temporary)" then
      found[name] = value
    elseif value ~= nil and last == "nil" then
      objects[#objects + 1] = value
    end
    last, i = name == "(temporary)" and type(value), i + 1
  end
end


---Does anything here know more of such a message?
local function is_told(message)
  return message:find "attempt to %a+ a" or message:find "attempt to get"
    or message:find "%f[%w]nil%f[^%w]" or message:find "got lunette%.tensor%)"
    or message:find "%(t%a+ expected, got [tf]"
    or message:find "module '[^']*' not found"
end


---The same at the place of an error, for a handler: where its message says it was.
---@param message string
---@return string?
function M.at_error(message)
  if not is_told(message) then return nil end
  if message:find "^[^\n]-:%d+: .-:%d+: attempt to" then return nil end -- elsewhere
  for level = 2, 60 do
    local info = debug.getinfo(level, "Slf")
    if not info then return nil end
    local place = ("%s:%d:"):format(info.short_src, info.currentline)
    if info.what ~= "C" and message:sub(1, #place) == place then
      local line = M.line(info.source, info.currentline)
      if not line then return nil end
      local found, objects = variables(level, info.func)
      return M.hint(message, line, found, objects,
                    made_before(info.source, info.currentline))
    end
  end
  return nil
end


---A message with what is known of it, for a handler. Where that is a module's name, the
---places where Lua looked for it are left out.
---@param message string
---@return string
function M.told(message)
  local known, hint = pcall(M.at_error, message)
  if not (known and hint) or message:find("; " .. hint, 1, true) then
    return message
  end
  message = message:gsub("(module '[^']*' not found):\n\tno field.*$", "%1")
  return message .. "; " .. hint
end


---The same of a chunk that cannot be read.
---@param message string   of `load`, with the line's number
---@param source? string   name of the chunk, or the text itself
---@return string?
function M.of_syntax(message, source)
  local number = tonumber(message:match "^[^\n]-:(%d+): ")
  local line = number and M.line(source, number)
  return line and require("lunette.repl.syntax").hint(line)
end

return M
