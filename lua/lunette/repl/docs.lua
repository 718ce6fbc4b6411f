---The doc comments of the library, read from its sources: what help, completion
---and the reference are made of. A comment is `---` lines before a function or a
---value; tags are LuaCATS (`---@param name type  text`). Two words begin
---paragraphs of their own: `Caveat:` what the reader must know before trusting
---the result, and `Example:` code that runs (the lines after it, indented by two).
local lfs = require "lfs"

local M = {}

---@class lunette.DocEntry
---@field kind "function"|"value"|"class"|"module"
---@field name string       as written: "M.find", "Net:run", "gradcam", "lunette.Run"
---@field short string      its last part: "find", "run"
---@field module string     "lunette.net"
---@field file string
---@field line integer      of the definition
---@field args? string      "(net, x, opts)"
---@field text string       prose, without caveat and example
---@field caveat? string
---@field example? string   Lua code
---@field params table[]    {name =, type =, text =, optional =}
---@field returns table[]   {type =, text =}
---@field fields table[]    of a class, as params
---@field parent? string    of a class
---@field public? boolean   seen from outside its file
---@field options? table[]  of a row: {name =, type =, text =, optional =}


-- lines of a comment -----------------------------------------------------------


---The type at the start of `s` and the rest: a type may hold brackets with spaces.
local function cut_type(s)
  local depth, i, n = 0, 1, #s
  while i <= n do
    local c = s:sub(i, i)
    if c:find "[%(%{<%[]" then depth = depth + 1 end
    if c:find "[%)%}>%]]" then depth = depth - 1 end
    if c:find "%s" and depth == 0 then
      local before, after = s:sub(1, i - 1), s:match("^%s*(.*)", i)
      -- "fun(x): T" and "a, b" go on after the space
      if not (before:find "[:,|]$" or after:find "^[|:]") then break end
    end
    i = i + 1
  end
  return s:sub(1, i - 1), s:match("^%s*(.*)", i)
end


local tags = {}

function tags.param(e, rest)
  local name, more = rest:match "^(%S+)%s+(.*)$"
  if not name then name, more = rest, "any" end
  local kind, text = cut_type(more)
  local p = { name = name:gsub("%?$", ""), optional = name:sub(-1) == "?" or nil,
              type = kind, text = text }
  table.insert(e.params, p)
  return p
end


function tags.field(e, rest)
  local p = tags.param({ params = e.fields }, rest)
  return p
end


tags["return"] = function(e, rest)
  local list = {}
  while rest ~= "" do -- "lunette.Net? net, string? message"
    local kind, more = cut_type(rest)
    local name, after = more:match "^([%a_][%w_]*)%s*(,?)"
    local p = { type = kind:gsub(",$", ""), text = more }
    list[#list + 1] = p
    table.insert(e.returns, p)
    if not name or after ~= "," then break end
    p.text = name
    rest = more:match "^[%w_]+%s*,%s*(.*)$"
  end
  return list[#list]
end


function tags.class(e, rest)
  e.class, e.parent = rest:match "^([%w_.]+)%s*:?%s*([%w_.]*)"
  if e.parent == "" then e.parent = nil end
  return nil
end


function tags.type(e, rest)
  e.type = rest
  return nil
end


local function new_entry(module, file)
  return { module = module, file = file, params = {}, returns = {}, fields = {},
           prose = {} }
end


---Takes one line of a comment, without its dashes.
local function take_line(e, line)
  local tag, rest = line:match "^%s*@(%S+)%s*(.*)$"
  if tag then
    e.last = tags[tag] and tags[tag](e, rest) or nil
    e.tagged = true
  elseif e.last then
    e.last.text = e.last.text .. " " .. line:match "^%s*(.*)$"
  elseif not e.tagged or e.class then
    table.insert(e.prose, line)
  end
end


---Sorts the prose into text, caveat and example.
local function settle(e)
  local text, example, into = {}, {}, nil
  for _, line in ipairs(e.prose) do
    local caveat = line:match "^%s?Caveat:%s*(.*)$"
    if caveat then
      e.caveat, into = caveat, "caveat"
    elseif line:find "^%s?Example:%s*$" then
      into = "example"
    elseif into == "example" and (line:find "^  " or line == "") then
      example[#example + 1] = line:gsub("^  ", "")
    elseif into == "caveat" and line ~= "" then
      e.caveat = e.caveat .. " " .. line:match "^%s*(.*)$"
    else
      into = nil
      text[#text + 1] = line
    end
  end
  e.text = table.concat(text, "\n")
  if #example > 0 then e.example = table.concat(example, "\n") end
  e.prose, e.last, e.tagged = nil, nil, nil
  return e
end


-- definitions ------------------------------------------------------------------


-- Lines that define something: name and arguments, and whether it may be seen from
-- outside its file.
local definitions = {
  { "^local%s+function%s+([%w_]+)%s*(%b())", false },
  { "^function%s+([%w_.:]+)%s*(%b())", true },
  { "^([%w_.]+%[[%w_]+%])%s*=%s*function%s*(%b())", false },
  { "^(return%s+function)%s*(%b())", false },
  { "^([%a_][%w_.]*)%s*=%s*function%s*(%b())", true },
  { "^([%a_][%w_.]*%[%b\"\"%])%s*=%s*function%s*(%b())", true },
  { "^([%a_][%w_.]*)%s*=", true },
  { "^local%s+([%w_]+)", false },
}


---A file that is a row of a table: `return method { ... }`.
local function define_row(e)
  e.kind, e.public, e.line = "function", true, "row"
  e.short = e.module:match "[%w_]+$"
  e.name = e.short
  return e
end


---What the line after a comment defines.
local function define(e, line, number)
  if line:find "^return%s+[%w_.]+%s*{" then return define_row(e) end
  for _, d in ipairs(definitions) do
    local name, args = line:match(d[1])
    if name then
      e.kind = args and "function" or "value"
      e.name, e.args, e.line = name, args, number
      e.public = d[2] and name:find "[.:%[]" ~= nil
      e.short = name:match "([%w_]+)%W*$" or name
      return e
    end
  end
  return nil
end


---A class of its own, besides what the comment defines.
local function class_entry(e, number)
  return { kind = "class", name = e.class, short = e.class:match "[%w_]+$",
           module = e.module, file = e.file, line = number, text = e.text,
           caveat = e.caveat, example = e.example, params = {}, returns = {},
           fields = e.fields, parent = e.parent, public = true }
end


---What one comment says, once its definition is known.
local function close(entries, e, line, number)
  settle(e)
  if e.class then entries[#entries + 1] = class_entry(e, number) end
  local found = (not e.class or line:find "function") and define(e, line, number)
  if found then
    entries[#entries + 1] = found
  elseif number and not e.class and e.text ~= "" and not entries.header then
    entries.header = e
  end
end


---Whether a comment that ends here is the file's own: the first one, with a blank
---line or something that is no function after it.
local function is_header(entries, e, line)
  return not entries.header and #entries == 0 and not e.class and not e.tagged
    and not line:find "^function" and not line:find "^local function"
    and not line:find "^return"
end


local function end_comment(entries, e, line, number)
  if not is_header(entries, e, line) then return close(entries, e, line, number) end
  entries.header = settle(e)
  entries.header.kind, entries.header.name, entries.header.line = "module", e.module, 1
end


---The entries of one source file. The first comment is the module's own.
---@param file string
---@param module string
---@return lunette.DocEntry[] entries   with .header, the module's comment
function M.read(file, module)
  local entries, e, number = {}, nil, 0
  for line in io.lines(file) do
    number = number + 1
    local comment = line:match "^%s*%-%-%-(.*)$"
    line = line:match "^%s*(.*)$"
    if comment and comment:find "^@class" and e and e.tagged then
      close(entries, e, "", number) -- a class after a class
      e = nil
    end
    if comment and not comment:find "^%-" then
      e = e or new_entry(module, file)
      take_line(e, comment)
    elseif e then
      end_comment(entries, e, line, number)
      e = nil
    end
  end
  return entries
end


-- the library ------------------------------------------------------------------


local function root()
  return debug.getinfo(1, "S").source:match "^@(.*)/repl/[^/]*$"
end


local function walk(dir, module, found)
  local names = {}
  for name in lfs.dir(dir) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local path, base = dir .. "/" .. name, name:match "^([%w_]+)%.lua$"
    if name == "core.meta.lua" then
      found[#found + 1] = { path, "lunette.core" }
    elseif base == "init" then
      found[#found + 1] = { path, module }
    elseif base then
      found[#found + 1] = { path, module .. "." .. base }
    elseif not name:find "^%." and lfs.attributes(path, "mode") == "directory" then
      walk(path, module .. "." .. name, found)
    end
  end
  return found
end


local all -- read once


---Every entry of the library: a list, with indexes by place, name and class.
---@return { list: lunette.DocEntry[], by_place: table, classes: table, modules: table }
function M.all()
  if all then return all end
  all = { list = {}, by_place = {}, classes = {}, modules = {} }
  for _, pair in ipairs(walk(root(), "lunette", {})) do
    local entries = M.read(pair[1], pair[2])
    all.modules[pair[2]] = entries.header
    for _, e in ipairs(entries) do
      table.insert(all.list, e)
      all.by_place[e.file .. ":" .. e.line] = e
      if e.kind == "class" then all.classes[e.name] = e end
    end
  end
  return all
end


---The header of the module of that name, in whichever folder: "layers".
---@param name string
---@return table?
function M.module(name)
  for module, header in pairs(M.all().modules) do
    if module:match "[^.]*$" == name then return header end
  end
  return nil
end


---Functions that only stand for another one, which they load when they are called.
---@type table<function, fun(): function>
M.stands_for = {}


---The function itself, or the one it stands for.
---@param f any
---@return any
function M.real(f)
  local get = type(f) == "function" and M.stands_for[f]
  return get and get() or f
end


---A row of the library (a method, a metric): a table that is called.
---@return boolean
function M.is_row(v)
  local meta = type(v) == "table" and getmetatable(v)
  return type(meta) == "table" and rawget(meta, "signature") ~= nil
end


---The options of a row as fields.
local function fields_of_row(row)
  local list = {}
  for name, option in pairs(row.options) do
    local text, default = option.text, option:default_text()
    if default then text = ("%s (%s)"):format(text, default) end
    list[#list + 1] = { name = name, type = option:kind(), text = text,
                        optional = true }
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end


---The entry of a row: the comment before it, with the options that it says it has.
---@param row table
---@return lunette.DocEntry
function M.of_row(row)
  local e = M.all().by_place[tostring(row.file) .. ":row"]
    or { kind = "function", name = row.name, short = row.name, text = row.paper or "",
         fields = {}, module = "", file = row.file, line = 1, public = true }
  local signature = getmetatable(row).signature
  e.args, e.params, e.returns = signature.args, signature.params, signature.returns
  e.options = e.options or fields_of_row(row)
  return e
end


---The entry of a Lua function, by where it was defined, or of a row.
---@param f function|table
---@return lunette.DocEntry?
function M.of_function(f)
  if M.is_row(f) then return M.of_row(f) end
  f = M.real(f)
  local info = debug.getinfo(f, "S")
  local file = info.source:match "^@(.*)$"
  return file and M.all().by_place[file .. ":" .. info.linedefined]
end


---The fields of a class and of those it extends, nearest first.
---@param name string   "lunette.GradcamOptions"
---@return table[] fields
function M.fields_of(name)
  local found, seen, classes = {}, {}, M.all().classes
  while classes[name] and not seen[name] do
    seen[name] = true
    for _, f in ipairs(classes[name].fields) do
      if not seen["." .. f.name] then
        seen["." .. f.name] = true
        found[#found + 1] = f
      end
    end
    name = classes[name].parent
  end
  return found
end


---The keys of a table type written in place: "{ all?: boolean, n: integer }".
local function inline_fields(kind)
  local found = {}
  for name, mark, rest in kind:gmatch "([%w_]+)(%??):%s*([^,}]+)" do
    found[#found + 1] = { name = name, optional = mark == "?" or nil, type = rest,
                          text = "" }
  end
  return found
end


---The options of the function that an entry is about: of its row, or of the last
---parameter that is a table of them.
---@param e lunette.DocEntry
---@return table[] fields, string? name   of the parameter
function M.options_for(e)
  if e.options then return e.options, "opts" end
  for i = #e.params, 1, -1 do
    local found = M.options_of(e.params[i].type)
    if #found > 0 then return found, e.params[i].name end
  end
  return {}
end


---What a parameter's table may hold.
---@param kind string   a type: "lunette.RunOptions", "{ all?: boolean }"
---@return table[] fields
function M.options_of(kind)
  for part in kind:gmatch "[^|]+" do
    local found = part:find "{" and inline_fields(kind)
      or M.fields_of((part:gsub("[%?%[%]]", "")))
    if #found > 0 and (part:find "{" or part:find "Options" or part:find "Spec"
       or part:find "Settings") then
      return found
    end
  end
  return {}
end

return M
