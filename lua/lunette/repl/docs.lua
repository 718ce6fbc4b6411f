---The doc comments of the library, read from its sources: what help, completion
---and the reference are made of. A comment is `---` lines before a function or a
---value; tags are LuaCATS (`---@param name type  text`). Two words begin
---paragraphs of their own: `Caveat:` what the reader must know before trusting
---the result, and `Example:` code that runs (the lines after it, indented by two).
local lfs = require "lfs"
local read = require "lunette.repl.comments"
local strict = require "lunette.base.strict"

local M = {}


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
    if name:find "%.meta%.lua$" then
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
    local entries = read(pair[1], pair[2])
    all.modules[pair[2]] = entries.header
    for _, e in ipairs(entries) do
      table.insert(all.list, e)
      all.by_place[e.file .. ":" .. e.line] = e
      local again = all.classes[e.name] and #e.fields == 0 -- a class in several files
      if e.kind == "class" and not again then all.classes[e.name] = e end
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
  return strict.behind(get and get() or f)
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
