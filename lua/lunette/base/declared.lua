---What doc comments say of a function's parameters, and whether a value is of such a
---type. A comment is read when it is first asked for: `---@param name? type  text`.
local types = require "lunette.base.types"

local M = {}


---@class lunette.Param
---@field name string
---@field optional? boolean
---@field type string
---@field text string
---@field file? string       whose comment says so, where its types are looked up
---@field tests? (fun(value: any): boolean)[]   of its type: one is passed; made when a
---  value is there to be looked at


local opens = { ["("] = true, ["{"] = true, ["<"] = true, ["["] = true }
local closes = { [")"] = true, ["}"] = true, [">"] = true, ["]"] = true }


---The type at the start of `s` and the rest: a type may hold brackets with spaces.
---@param s string
---@return string kind, string rest
function M.cut_type(s)
  local plain, rest = s:match "^([%w_%.%?]+)%s+([^|:].*)$" -- most are
  if plain then return plain, rest end
  local depth = 0
  for i, c in s:gmatch "()([%(%){}<>%[%]%s])" do
    if opens[c] then
      depth = depth + 1
    elseif closes[c] then
      depth = depth - 1
    elseif depth == 0 then
      local before, after = s:sub(i - 1, i - 1), s:match("^%s*(.?)", i)
      -- "fun(x): T" and "a, b" go on after the space
      if not (before:find "[:,|]" or after:find "[|:]") then
        return s:sub(1, i - 1), s:match("^%s*(.*)", i)
      end
    end
  end
  return s, ""
end


---What follows `@param`: "opts? table   by name".
---@param text string
---@return lunette.Param
function M.param(text)
  local name, more = text:match "^(%S+)%s+(.*)$"
  if not name then name, more = text, "any" end
  local kind, rest = M.cut_type(more)
  return { name = (name:gsub("%?$", "")), optional = name:sub(-1) == "?" or nil,
           type = kind, text = rest }
end


local sources = {} -- file -> its text, and where every line begins


local function source_of(file)
  if sources[file] then return sources[file] end
  local f <close> = assert(io.open(file))
  local text, starts, n, find = f:read "a", { 1 }, 1, string.find
  local at = find(text, "\n", 1, true)
  while at do
    n, starts[n + 1] = n + 1, at + 1
    at = find(text, "\n", at + 1, true)
  end
  sources[file] = { text = text, starts = starts }
  return sources[file]
end


---The parameters that the comment before line `line` of a file declares, by name.
local function read(file, line)
  local source, found = source_of(file), {}
  local text, starts, more = source.text, source.starts, "" -- more: of the tag above
  for i = line - 1, 1, -1 do
    local from, stop = text:find("^%s*%-%-%-%s*", starts[i])
    if not from then break end
    more = text:sub(stop + 1, starts[i + 1] - 2) .. (more ~= "" and " " or "") .. more
    local tag, rest = more:match "^@(%w+)%s+(.*)$"
    if tag == "param" then
      local p = M.param(rest)
      found[p.name] = p
    end
    if tag then more = "" end
  end
  return found
end


-- types --------------------------------------------------------------------------


local function of_type(kind)
  return function(value) return type(value) == kind end
end


local function any() return true end

local function is_table(value)
  return type(value) == "table" and not types.class_of(value)
end

local function is_object(value)
  return type(value) == "table" or type(value) == "userdata"
end


local function callable(value)
  return type(value) == "function" or (getmetatable(value) or {}).__call ~= nil
end


---Classes whose objects say in their metatable what they are.
local classes = { ["lunette.Net"] = true, ["lunette.Run"] = true,
                  ["lunette.Score"] = true, ["lunette.Canvas"] = true,
                  ["lunette.Layer"] = true, ["lunette.Flow"] = true }


---A tensor, or what stands for one: one that traces, a batch of pictures.
local function tensor(value)
  if types.is_tensor(value) then return true end
  return type(value) == "table" and getmetatable(value) ~= nil
    and not classes[types.class_of(value) or ""]
end


local simple = { integer = of_type "number", ["true"] = of_type "boolean",
                 ["false"] = of_type "boolean", ["lunette.Tensor"] = tensor,
                 ["function"] = callable }
for _, kind in ipairs { "string", "number", "boolean", "table", "userdata", "nil" } do
  simple[kind] = of_type(kind)
end


local test_of, passes


---A type as messages have it.
local function plain(kind)
  return (kind:gsub("^any%[%]$", "a list"):gsub("lunette%.%w+Options",
          "a table of options"):gsub("lunette%.", ""))
end


---The test of a list or a map by one of its entries, the one that `pick` returns.
local function each(kind, pick, where, file)
  local element = { type = kind, file = file }
  return function(value)
    if type(value) ~= "table" or types.class_of(value) then return false end
    local _, one = pick(value)
    if one == nil or passes(element, one) then return true end
    return false, ("should be %s in %s, got %s"):format(plain(kind), where,
                                                        types.told(one))
  end
end


local function first(list) return 1, list[1] end


---An object, but none of another class; of those that say what they are no plain table.
local function of_class(kind)
  return function(value)
    if not is_object(value) then return false end
    local name = types.class_of(value)
    if classes[kind] then
      return name == kind or name == nil and debug.getmetatable(value) ~= nil
    end
    return name == kind or not classes[name or ""] and not types.is_tensor(value)
  end
end


---Pieces of `text` between separators that stand in no brackets.
local function split(text, separator)
  local list, depth, from = {}, 0, 1
  for at, c in text:gmatch "()([%(%)%{%}<>|,])" do
    if c:find "[%(%{<]" then depth = depth + 1 end
    if c:find "[%)%}>]" then depth = depth - 1 end
    if c == separator and depth == 0 then
      list[#list + 1] = text:sub(from, at - 1):match "^%s*(.-)%s*$"
      from = at + 1
    end
  end
  list[#list + 1] = text:sub(from):match "^%s*(.-)%s*$"
  return list
end


---The fields that "{ all?: boolean, side: integer }" names; nil where that is no list
---of names.
local function fields_of(kind, file)
  local fields, names = {}, {}
  for _, part in ipairs(split(kind:match "^{(.*)}$" or "", ",")) do
    local name, mark, rest = part:match "^([%a_][%w_]*)(%??):%s*(.+)$"
    if not name then return nil end
    fields[name] = { type = rest, optional = mark == "?" or nil, file = file }
    names[#names + 1] = name
  end
  return fields, names
end


---Tests the fields that a table has. Which fields it must have is checked by the
---function itself; unknown fields are errors unless the table is `open` (options). In
---an option, false means "not given".
local function test_of_fields(fields, names, open)
  return function(value)
    if type(value) ~= "table" then return false end
    for key in next, value do
      if not fields[key] and not open then
        key = tostring(key)
        local hint = require("lunette.base.suggest").option(key, names)
        return false, ("unknown option '%s'%s (options: %s)"):format(key, hint,
                      table.concat(names, ", "))
      end
    end
    for _, name in ipairs(names) do
      local v, ok, why = value[name], true, nil
      if open and v == false and fields[name].optional then v = nil end
      if v ~= nil then ok, why = passes(fields[name], v) end
      if not ok then
        why = why or ("should be %s, got %s"):format(plain(fields[name].type),
                                                     types.told(v))
        return false, ("option '%s' %s"):format(name, why)
      end
    end
    return true
  end
end


---The fields of a class of options that a file defines; nil where it does not.
local function class_of(kind, file)
  local known, source = pcall(source_of, file)
  local head = ("---@class %s\n"):format(kind)
  local _, at = (known and source.text or ""):find(head, 1, true)
  if not at then return nil end
  local fields, names, more = {}, {}, ""
  local function field()
    local text = more:match "^@field%s+(.*)$"
    local p = text and M.param(text)
    if not p then return end
    p.file = file
    fields[p.name], names[#names + 1] = p, p.name
  end
  for line in source.text:sub(at + 1):gmatch "(.-)\n" do
    local text = line:match "^%-%-%-%s*(.*)$"
    if not text or text:find "^@" then field() end
    if not text then break end
    more = text:find "^@" and text or more .. " " .. text
  end
  return fields, names
end


---The test of a kind of table, or nil: "{ all?: boolean }", "table<string, number>",
---"string[]".
local function test_of_table(kind, file)
  if kind:find "^{.*}$" then
    local fields, names = fields_of(kind, file)
    return fields and test_of_fields(fields, names) or is_table
  end
  local value_kind = kind:match "^table<[^,]+,%s*(.+)>$"
  if value_kind then return each(value_kind, next, "a table", file) end
  local part = kind:match "^%(?(.-)%)?%[%]$"
  if part then return each(part, first, "a list", file) end
  if kind:find "Options$" then
    local fields, names = class_of(kind, file)
    if fields then return test_of_fields(fields, names, true) end
  end
  return kind:find "^[{%[]" and is_table or nil
end


---The test of a type that no `|` parts. One that is not known here is passed by all.
function test_of(kind, file)
  if simple[kind] then return simple[kind] end
  if kind:find '^"' then return simple.string end
  if kind:find "^fun%(" then return callable end
  if classes[kind] then return of_class(kind) end
  return test_of_table(kind, file) or kind:find "^lunette%." and of_class(kind) or any
end


---The tests of a parameter's type; a value that passes one will do.
local function tests_of(p)
  local list = { p.optional and simple["nil"] or nil }
  for _, part in ipairs(split(p.type, "|")) do
    if part:find "%?$" then list[#list + 1] = simple["nil"] end
    list[#list + 1] = test_of((part:gsub("%?$", "")), p.file)
  end
  return list
end


---Is the value what a parameter, or a field, should be? If not, what its type's last
---test said.
function passes(p, value)
  if value == nil and p.optional then return true end
  p.tests = p.tests or tests_of(p)
  local why
  for i = 1, #p.tests do
    local ok, said = p.tests[i](value)
    if ok then return true end
    why = said or why
  end
  return false, why
end


---The declared parameters of a function of the library, in order; false where its
---comment does not name one. Nothing is known of a function whose source is gone.
---@param f function
---@return (lunette.Param|false)[]
function M.of(f)
  local info = debug.getinfo(f, "Su")
  local file, list = info.source:match "^@(.*)$", {}
  local known, found = pcall(read, file, info.linedefined)
  for i = 1, info.nparams do
    local p = known and found[debug.getlocal(f, i)] or false
    if p then p.file = file end
    list[i] = p
  end
  return list
end


---What to write where options were given otherwise than as a table; nil for others.
local function unwritten(p, value)
  local _, names = nil, nil
  if value ~= nil and p.type:find "Options$" then
    _, names = class_of(p.type, p.file)
  end
  if not names then return nil end
  return ("%s should be a table of options, got %s; write { name = value } (options: "
          .. "%s)"):format(p.name, types.told(value), table.concat(names, ", "))
end


---What a parameter should be, and what was given; `said` is what came beside a nil.
local function message_of(p, value, why, said)
  if why then
    local text = why:find "^should" and p.text ~= "" and (" (%s)"):format(p.text)
    return ("%s: %s%s"):format(p.name, why, text or "")
  end
  local text = p.text ~= "" and (": %s;"):format(p.text) or ","
  said = value == nil and type(said) == "string" and (" (%s)"):format(said) or ""
  return ("%s should be %s%s got %s%s%s"):format(p.name, plain(p.type), text,
    types.told(value), said, types.remedy(p.type, value))
end


---Does the value's kind (its class, or Lua's type) occur in the type of this parameter?
local function is_placed(p, value)
  if not p then return true end
  local kind = types.class_of(value)
  kind = (kind and kind ~= "lunette.Images" and kind or type(value)):lower()
  return p.type:lower():find(kind, 1, true) ~= nil
end


---Does the value itself say what it is: an object, a text?
local function is_of_a_kind(value)
  return types.class_of(value) ~= nil or type(value) == "string"
    or type(value) == "table" and getmetatable(value) ~= nil
end


---The function's parameters in order, for the message about arguments that were
---swapped: `lu.train.step(net, x, labels, opt)`.
local function order_of(list, at, ...)
  local p, names, found = list[at], {}, false
  for i = 1, #list do
    local value = (select(i, ...))
    names[i] = list[i] and list[i].name or "_"
    if i ~= at and is_of_a_kind(value) then
      found = found or passes(p, value) and not is_placed(list[i], value)
    end
  end
  if names[1] == "self" or names[1] == "_" then table.remove(names, 1) end
  return found and ("; the order is (%s)"):format(table.concat(names, ", ")) or ""
end


---What is wrong with the arguments of a call, or nil: "name should be string: a colour
---map; got nil".
---@param list (lunette.Param|false)[]
---@return string?
function M.wrong(list, ...)
  for i = 1, #list do
    local p, value = list[i], (select(i, ...))
    local ok, why = true, nil
    if p then ok, why = passes(p, value) end
    if not ok then
      local text = not why and unwritten(p, value)
        or message_of(p, value, why, (select(i + 1, ...)))
      return text .. order_of(list, i, ...)
    end
  end
  return nil
end

return M
