---The modifiers by name: rows that Lua has, and the engine's rules; what a text or a
---list stands for.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local modifier = require "lunette.modifiers.modifier"
local suggest = require "lunette.base.suggest"
local told = require("lunette.base.types").told

local M = { fields = {} }
local rows, by_name = {}, {}


local function add(row)
  rows[#rows + 1], by_name[row.name] = row, row
end


-- rows that Lua has; `fields` are also lu.modifiers.NAME
for _, file in ipairs { "forward", "relu", "relevance" } do
  local part = require("lunette.modifiers." .. file)
  for name, value in pairs(part.fields) do M.fields[name] = value end
  for _, row in ipairs(part.rows) do add(row) end
end


---The engine's rules by name: { name =, takes = }, without the true gradient.
local function engine_rules()
  local found, names = {}, {}
  for op in pairs(core.ops) do
    local info = core.op_info(op)
    for _, rule in ipairs(info.rules) do
      if not found[rule] and rule ~= "plain" then
        names[#names + 1], found[rule] = rule, { name = rule, rule = rule }
        local takes = info.parameters[rule]
        if #takes > 0 then found[rule].takes = takes end
      end
    end
  end
  table.sort(names)
  return names, found
end


-- what the engine has besides: a rule added there is a modifier without a line here
do
  local names, found = engine_rules()
  for _, name in ipairs(names) do
    if not by_name[name] then
      local row = modifier.row(found[name])
      add(row)
      M.fields[name] = M.fields[name] or row
    end
  end
end


---The row of that name, if there is one.
---@param name string
---@return lunette.Modifier?
function M.find(name) return by_name[name] end


---The names of all modifiers: forward ones first.
---@return string[]
function M.names()
  local list = {}
  for i, row in ipairs(rows) do list[i] = row.name end
  return list
end


---What may be written for a modifier: "guided", "rectified[:leak=NUMBER]" ...
---@return string[]
function M.usage()
  local list = {}
  for i, row in ipairs(rows) do list[i] = modifier.usage(row) end
  return list
end


---The modifier that a name stands for: "guided", "rectified:leak=0.1", "extract:fc1".
---@param what string|lunette.Modifier
---@return lunette.Modifier
function M.of(what)
  if modifier.is(what) then return what end
  if type(what) ~= "string" then
    blame("modifier: expected a name or a modifier, got " .. told(what))
  end
  local m = modifier.parse(what, function(name) return by_name[name] end)
  if m then return m end
  local name = what:match "^[^:]*"
  local row = by_name[name]
  if row then
    blame(("modifier '%s': '%s' is written %s"):format(what, row.name,
          modifier.usage(row)))
  end
  local hint = suggest.after(name, M.names())
  if hint == "" then
    hint = (" (there are: %s)"):format(table.concat(M.usage(), ", "))
  end
  blame(("modifier '%s' not found%s"):format(what, hint))
end


---A list of modifiers from what scripts write: a list, or a single one.
---@param what string|lunette.Modifier|(string|lunette.Modifier)[]
---@return lunette.Modifier[]
function M.list(what)
  if type(what) ~= "table" or modifier.is(what) then what = { what } end
  local list = {}
  for i, m in ipairs(what) do list[i] = M.of(m) end
  if #list == 0 and next(what) ~= nil then
    blame("modifiers are a list: { \"linear\", \"guided\" }")
  end
  return list
end


return M
