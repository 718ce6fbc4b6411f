---The doc comments of one source file, as entries.
local declared = require "lunette.base.declared"

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


local tags = {}

function tags.param(e, rest)
  local p = declared.param(rest)
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
    local kind, more = declared.cut_type(rest)
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
return function(file, module)
  local entries, e, number = {}, nil, 0
  for line in io.lines(file) do
    number = number + 1
    local comment = line:match "^%s*%-%-%-(.*)$"
    line = line:match "^%s*(.*)$"
    if comment and comment:find "^@class" and e and e.tagged then
      close(entries, e, "", number) -- a class after a class
      e = nil
    end
    if comment and not comment:find "^%-+$" then -- a line of dashes alone ends it
      e = e or new_entry(module, file)
      take_line(e, comment)
    elseif e then
      end_comment(entries, e, line, number)
      e = nil
    end
  end
  return entries
end
