---What Lunette offers, by the names that people type: `lu.gradcam`, `net:run`,
---`tensor:stats`. Help, `apropos` and the reference walk this list.
local behind = require("lunette.base.strict").behind
local core = require "lunette.core"

local M = {}

---@class lunette.Export
---@field name string    "lu.score.unit", "net:run", "core.ops.relu"
---@field short string   "unit"
---@field value any


---Classes whose methods people call: name in the list, how to get the table.
local classes = {
  { "net", function() return require("lunette.net").Net end },
  { "run", function() return require("lunette.net.run").Run end },
  { "score", function() return require("lunette.score.score").class end },
  { "canvas", function()
    return getmetatable(require "lunette.picture.canvas" {}).__index
  end },
  { "tensor", function() return core.methods end },
}

local hidden = { _NAME = true, core = true, methods = true, load_file = true }


local function add(list, name, value)
  list[#list + 1] = { name = name, short = name:match "[%w_]+$", value = value }
end


local function sorted(t)
  local keys = {}
  for key in pairs(t) do
    if type(key) == "string" and not key:find "^_" then keys[#keys + 1] = key end
  end
  table.sort(keys)
  return keys
end


---Functions of a module table, and the callable things in it.
local function add_module(list, name, module)
  for _, key in ipairs(sorted(module)) do
    local v = module[key]
    if type(v) == "function" or type(v) == "table" and getmetatable(v) then
      add(list, name .. "." .. key, v)
    end
  end
end


local function add_library(list)
  local lu = require "lunette"
  for _, key in ipairs(lu.names()) do
    local ok, v = pcall(function() return lu[key] end)
    if ok and v ~= nil and not hidden[key] then
      add(list, "lu." .. key, v)
      local is_row = require("lunette.repl.docs").is_row(v)
      if type(v) == "table" and not is_row then add_module(list, "lu." .. key, v) end
    end
  end
  for _, key in ipairs { "names" } do add(list, "lu." .. key, lu[key]) end
end


local function add_core(list)
  for _, key in ipairs(sorted(core)) do
    if type(core[key]) == "function" then add(list, "core." .. key, core[key]) end
  end
  for _, part in ipairs { "ops", "image", "json" } do
    for _, key in ipairs(sorted(core[part])) do
      add(list, ("core.%s.%s"):format(part, key), core[part][key])
    end
  end
end


local cached, commands = nil, {}


---Adds the commands of a session, which are there without `lu`.
---@param list table<string, function>   by name
function M.add_commands(list)
  for name, f in pairs(list) do commands[name] = f end
  cached = nil
end


---@return lunette.Export[]
function M.list()
  if cached then return cached end
  local list = {}
  add_library(list)
  for _, class in ipairs(classes) do
    local ok, methods = pcall(class[2])
    for _, key in ipairs(ok and sorted(methods) or {}) do
      if type(methods[key]) == "function" then
        add(list, class[1] .. ":" .. key, methods[key])
      end
    end
  end
  for _, key in ipairs(sorted(commands)) do add(list, key, commands[key]) end
  add_core(list)
  cached = list
  return list
end


---The exports whose name is `what`, whole or in its last part; those of the core where
---nothing else is called so.
---@param what string   "gradcam", "net:run", "unit"
---@return lunette.Export[]
function M.named(what)
  local whole, part, inner = {}, {}, {}
  local tail = "[.:]" .. what:gsub("[%.%-:]", "%%%0") .. "$"
  for _, x in ipairs(M.list()) do
    if x.name == what then whole[#whole + 1] = x end
    if x.name:find(tail) then
      local list = x.name:find "^core" and inner or part
      list[#list + 1] = x
    end
  end
  return #whole > 0 and whole or #part > 0 and part or inner
end


---The public name of a value, if it has one.
---@return string?
function M.name_of(value)
  local best
  value = behind(value)
  for _, x in ipairs(M.list()) do
    local same = rawequal(behind(x.value), value)
    if same and (not best or #x.name < #best) then best = x.name end
  end
  return best
end

return M
