---help(x) and apropos "word": what the doc comments say.
local docs = require "lunette.repl.docs"
local exports = require "lunette.repl.exports"
local suggest = require "lunette.base.suggest"
local topics = require "lunette.repl.topics"

local M = {}

local WIDTH = 80


-- laying out -------------------------------------------------------------------


local function indent(text, by)
  return (by .. text:gsub("\n", "\n" .. by))
end


---Breaks one paragraph at WIDTH.
local function wrap(text, first, rest)
  local lines, line = {}, first
  for word in text:gmatch "%S+" do
    if #line + #word + 1 > WIDTH and line:find "%S" then
      lines[#lines + 1] = line
      line = rest
    end
    line = line .. (line:find "%S$" and " " or "") .. word
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end


---Types as they are read aloud: without the library's own name.
local function type_text(kind)
  return ((kind or ""):gsub("lunette%.", ""))
end


local function rows(list, out)
  local name_width, type_width = 0, 0
  for _, p in ipairs(list) do
    name_width = math.max(name_width, #p.name)
    type_width = math.max(type_width, math.min(24, #type_text(p.type)))
  end
  for _, p in ipairs(list) do
    local name = p.name .. (" "):rep(name_width - #p.name)
    local head = ("  %s  %s"):format(name, type_text(p.type))
    local at = 4 + name_width + type_width + 2
    if p.text ~= "" then head = head .. (" "):rep(math.max(2, at - #head)) end
    out[#out + 1] = wrap(p.text or "", head, (" "):rep(at))
  end
end


local function returns_text(e)
  local names = {}
  for i, r in ipairs(e.returns) do
    names[i] = r.text:match "^[%w_]+" or type_text(r.type)
  end
  return #names > 0 and " -> " .. table.concat(names, ", ") or ""
end


---Name and arguments as a person types them.
local function signature(e, name)
  name = name or e.name
  local args = e.args or ""
  if name:find ":" and not e.name:find ":" then -- M.stats(run) as run:stats()
    args = args:gsub("^%([%w_]+,?%s*", "(")
  end
  return name .. args .. returns_text(e)
end


local function add_params(e, out)
  if #e.params > 0 then
    out[#out + 1] = ""
    rows(e.params, out)
  end
  local options, name = docs.options_for(e)
  if not name then return end
  out[#out + 1] = "\n" .. name .. " (a table; what is left out has its default):"
  rows(options, out)
end


local function add_returns(e, out)
  if #e.returns == 0 then return end
  out[#out + 1] = ""
  for _, r in ipairs(e.returns) do
    out[#out + 1] = wrap(type_text(r.type) .. " " .. r.text, "returns  ", "         ")
  end
end


---The whole page of an entry.
---@param e lunette.DocEntry
---@param name? string   public name
---@return string
function M.page(e, name)
  local out = { signature(e, name) }
  if e.text ~= "" then out[#out + 1] = "\n" .. e.text end
  add_params(e, out)
  add_returns(e, out)
  if #e.fields > 0 then
    out[#out + 1] = ""
    rows(docs.fields_of(e.name), out)
  end
  if e.caveat then out[#out + 1] = "\n" .. wrap("Caveat: " .. e.caveat, "", "  ") end
  if e.example then out[#out + 1] = "\nExample:\n" .. indent(e.example, "  ") end
  return table.concat(out, "\n")
end


-- finding ----------------------------------------------------------------------


---The documentation of an operator: the engine's own line.
local function operator_page(name)
  local core = require "lunette.core"
  local info = core.op_info(name)
  if not info then return nil end
  local out = { ("tensor:%s   (operator; also core.ops.%s)"):format(name, name), "",
                info.doc }
  if #info.attrs > 0 then
    out[#out + 1] = "\nattributes: " .. table.concat(info.attrs, ", ")
      .. "   (by position, or by name in a table)"
  end
  out[#out + 1] = "backward rules: " .. table.concat(info.rules, ", ")
  out[#out + 1] = wrap(topics.as_layer(name), "", "  ")
  return table.concat(out, "\n")
end


local homes = { lu = "lunette", net = "lunette.net", run = "lunette.net.run" }

---The module that the fields of "lu.score", "net" or "lu" are written in.
local function module_of(owner)
  local name = owner:match "^lu%.([%w_]+)$"
  return name and require("lunette").module_of(name) or homes[owner]
end


---Whether the stub's entry is about that name of the engine.
local function is_core_entry(e, owner, short, name)
  if e.module ~= "lunette.core" or e.kind ~= "function" then return false end
  return e.name == name or owner == "lu" and e.name == "core." .. short
    or owner == "tensor" and e.name == "Tensor:" .. short
end


---Is the entry written in that module, or in a file of its folder?
local function is_in(e, module)
  return module ~= nil
    and (e.module == module or e.module:sub(1, #module + 1) == module .. ".")
end


---An entry by the name that people type: fields of modules, C functions.
local function entry_named(name)
  local short = name:match "[%w_]+$"
  local owner = name:match "^(.*)[.:][%w_]+$" or ""
  local module, found = module_of(owner), nil
  for _, e in ipairs(docs.all().list) do
    if e.short == short and e.public and e.kind ~= "class" then
      if is_core_entry(e, owner, short, name) then return e end
      found = found or is_in(e, module) and e
    end
  end
  return found or nil
end


---The documentation of an exported value; an operator has its own line.
---@param x lunette.Export
---@return lunette.DocEntry?
function M.entry_of(x)
  local has_place = type(x.value) == "function" or docs.is_row(x.value)
  return has_place and docs.of_function(x.value) or entry_named(x.name)
end


---Is an exported value a part of the library with a header of its own?
local function is_module(x)
  local module = type(x.value) == "table" and module_of(x.name)
  return module and docs.all().modules[module] ~= nil
end


---Page of a function or of another exported value.
local function export_page(x)
  local op = (x.name:find "^tensor:" or x.name:find "^core%.ops")
    and operator_page(x.short)
  if op then return op end
  if is_module(x) then return M.module_page(x.name, x.value) end
  local e = M.entry_of(x)
  if e then return M.page(e, x.name) end
  if type(x.value) == "table" then return M.module_page(x.name, x.value) end
  return nil
end


local function first_sentence(text)
  local flat, at = text:gsub("%s+", " "), 1
  while true do
    local _, stop = flat:find("%.%s", at)
    if not stop then return flat end
    -- "Zhang et al. 2016" goes on
    if not flat:sub(1, stop):find "et al%.%s$" then return flat:sub(1, stop - 1) end
    at = stop + 1
  end
end


---One line about an export.
local function summary_of(x)
  local module = type(x.value) == "table" and module_of(x.name)
  local header = module and docs.all().modules[module]
  local e = header or M.entry_of(x)
  if e then return first_sentence(e.text) end
  local info = x.name:find "^[tc][eo][nr]" and require("lunette.core").op_info(x.short)
  return info and info.doc or ""
end


local function clip(s, n)
  return #s <= n and s or s:sub(1, n - 3) .. "..."
end


local function list_exports(list, out)
  local width = 0
  for _, x in ipairs(list) do width = math.max(width, #x.name) end
  width = math.min(width, 28)
  for _, x in ipairs(list) do
    local name = x.name .. (" "):rep(width - #x.name)
    out[#out + 1] = clip(("  %s  %s"):format(name, summary_of(x)), WIDTH)
  end
end


---A module or class: its header, then what is in it.
---@param name string    "lu.score", "net"
---@param module? table
---@return string?
function M.module_page(name, module)
  local out, list = {}, {}
  local header = docs.all().modules[module_of(name) or name]
  for _, x in ipairs(exports.list()) do
    local owner = x.name:match "^(.*)[.:][%w_]+$"
    if owner == name then list[#list + 1] = x end
  end
  if not header and #list == 0 and not module then return nil end
  out[1] = name
  if header then out[#out + 1] = "\n" .. header.text end
  if #list > 0 then
    out[#out + 1] = ""
    list_exports(list, out)
  end
  return table.concat(out, "\n")
end


-- things -----------------------------------------------------------------------


local function layer_page(layer)
  local out = { tostring(layer) }
  local op = operator_page(layer.kind)
  if op then out[#out + 1] = "\n" .. op end
  out[#out + 1] = ([[

Example:
  run.%s            -- its activation
  show(run.%s[1])   -- drawn, a tile a channel
  lu.activation(run, { layer = "%s" })]]):format(layer.name, layer.name, layer.name)
  return table.concat(out, "\n")
end


---Values that are an instance of something.
local function instance_page(x)
  local meta = getmetatable(x)
  local name = type(meta) == "table" and rawget(meta, "__name")
  if name == "lunette.Layer" then return layer_page(x) end
  if name == "lunette.Net" then return M.module_page "net" end
  if name == "lunette.Run" then return M.module_page "run" end
  if name == "lunette.tensor" then return M.module_page "tensor" end
  if name == "lunette.Canvas" then return M.module_page "canvas" end
  if name == "lunette.Score" then return M.module_page "lu.score" end
  if docs.is_row(x) then return M.page(docs.of_row(x), exports.name_of(x)) end
  if name == "lunette.Modifier" then
    return M.text(x.name:match "^[%w_]+") or M.module_page "lu.modifiers"
  end
  return nil
end


---A layer of that name in one of the session's networks.
local function layer_named(name)
  for _, net in ipairs(require("lunette.repl.known").nets()) do
    local layer = net:layer(name)
    if layer then return layer end
  end
  return nil
end


local function options_page(name)
  local e = docs.all().classes["lunette." .. name] or docs.all().classes[name]
  return e and M.page(e, e.name)
end


local function by_name(name)
  local topic = topics.page(name, M.page)
  if topic then return topic end
  local found = exports.named(name)
  if #found == 0 then
    local layer = layer_named(name)
    if layer then return layer_page(layer) end
    return M.module_page(name) or M.module_page("lu." .. name) or operator_page(name)
      or options_page(name)
      or (docs.module(name) or {}).text
  end
  local pages = {}
  for i, x in ipairs(found) do
    if i > 3 then break end
    pages[#pages + 1] = export_page(x)
  end
  if #pages == 0 then return operator_page(name) end
  return table.concat(pages, "\n\n" .. ("-"):rep(40) .. "\n\n")
end


---What help prints about `x`, or nil and a message.
---@param x any   a name, a function, a layer, a network, a run ...
---@return string? text, string? message
function M.text(x)
  if x == nil then return topics.overview end
  if rawequal(x, package.loaded.lunette) then return M.module_page("lu", x) end
  x = docs.real(x)
  if type(x) == "string" then
    local page = by_name(x)
    if page then return page end
    local known = {}
    for _, y in ipairs(exports.list()) do known[#known + 1] = y.short end
    return nil, ("nothing is called '%s'%s (try apropos \"%s\")"):format(x,
                suggest.after(x, known), x)
  end
  local name = exports.name_of(x)
  local page = instance_page(x)
    or name and export_page(exports.named(name)[1])
  if page then return page end
  local e = type(x) == "function" and docs.of_function(x)
  if e then return M.page(e) end
  return nil, "there is no help about this " .. type(x)
end


---Names and first sentences in which a word occurs.
---@param word string   plain text, case ignored
---@return string? text, string? message
function M.apropos(word)
  local low, list = tostring(word):lower(), {}
  for _, x in ipairs(exports.list()) do
    local is_op = x.name:find "^core%.ops"
    if not is_op and (x.name:lower():find(low, 1, true)
       or summary_of(x):lower():find(low, 1, true)) then
      list[#list + 1] = x
    end
  end
  if #list == 0 then return nil, ("nothing about '%s'"):format(word) end
  local out = {}
  list_exports(list, out)
  return table.concat(out, "\n")
end

return M
