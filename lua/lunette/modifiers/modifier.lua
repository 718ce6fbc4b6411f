---What a modifier is: a row with a name, the layers it is about, a backward rule or a
---scored layer, and the parameters it takes.
local blame = require "lunette.base.blame"
local options = require "lunette.base.options"
local strict = require "lunette.base.strict"

local M = {}

---@class lunette.Modifier
---@field name string
---@field on? any       which layers (see `lunette.modifiers.on`); none: all
---  whose operator has the rule
---@field rule? string|table|function   an operator's rule, { rule, parameters }, or
---  `function(node, dy, parameters)`, which returns the gradient of the node's input
---@field entries? table[]   of a composite: { on =, rule = }, the first match wins
---@field relevance? boolean   a composite of relevance rules: layers for which it has
---  none, and whose gradient loses relevance, are refused
---@field rewrite? fun(run: lunette.Run, nodes: table[], rules: table, flow?: table):
---  integer   changes the rules of modifiers before it
---@field target? fun(net: lunette.Net, layer: lunette.Layer): lunette.Layer
---@field takes? table[]     parameters: { name, default, type = "string" }
---@field params? table<string, any>   their values
local Modifier = strict.class("modifier", {})
Modifier.__index = Modifier
Modifier.__name = "lunette.Modifier"

function Modifier.__tostring(m) return "modifier " .. m.name end


---The rule as a formula, as it is written into files by lu.bake: it is run once on
---tracing tensors, where a branch on values is refused with its line. x is what a layer
---reads, y what it puts out, dy the gradient (or relevance) of y, W and b its weights;
---[a > b] is 1 where that holds, else 0.
---Example:
---  print(lu.modifiers.guided:trace())
---  print(lu.modifiers.epsilon_plus:trace "conv2d")
---@param kind? string   of layer; nil: of each that the rule is about
---@return string
function Modifier:trace(kind)
  return require("lunette.modifiers.formula").of(self, kind)
end


-- modifiers with parameters can be called: lu.modifiers.rectified { leak = 0.1 }
local Parametric = strict.class("modifier", {
  __index = Modifier, __name = Modifier.__name, __tostring = Modifier.__tostring,
})


---Is that a modifier?
---@param value any
---@return boolean
function M.is(value)
  local meta = getmetatable(value)
  return meta == Modifier or meta == Parametric
end


local function expected(row)
  local list = {}
  for i, p in ipairs(row.takes) do
    list[i] = ("%s = %s"):format(p[1], p.type or "number")
  end
  return ("modifier '%s': expected %s { %s }"):format(row.name, row.name,
         table.concat(list, ", "))
end


---A value of the parameter `p`, as it is kept; nil when it is none.
local function value_of(p, given)
  if p.type == "string" then
    return type(given) == "string" and given ~= "" and given or nil
  end
  local n = tonumber(given)
  return n and n - n == 0 and n or nil -- no NaN, no infinity
end


---What was given, as a table by name: a table may be by name or in order, anything
---else is the first parameter.
local function by_name(row, given)
  if type(given) ~= "table" or options.is_tensor(given) then
    return { [row.takes[1][1]] = given }
  end
  local named, known = {}, {}
  for i, p in ipairs(row.takes) do
    known[p[1]], known[i] = true, true
    named[p[1]] = given[p[1]]
    if named[p[1]] == nil then named[p[1]] = given[i] end
  end
  for key in pairs(given) do
    if not known[key] then
      blame(("%s; it has no '%s'"):format(expected(row), tostring(key)))
    end
  end
  return named
end


---The value of every parameter, and the text that names the given ones: "leak=0.1".
local function parameters(row, given)
  local named, params, text = by_name(row, given), {}, {}
  for _, p in ipairs(row.takes) do
    local key, v = p[1], named[p[1]]
    if v == nil then
      v = p[2]
    else
      v = value_of(p, v)
      text[#text + 1] = p.type == "string" and v
        or v and ("%s=%.14g"):format(key, v) -- as it was typed
    end
    if v == nil then blame(expected(row)) end
    params[key] = v
  end
  return params, table.concat(text, ",")
end


---The rule of an operator with these parameters.
local function with_params(rule, params)
  if type(rule) ~= "string" then return rule end
  local spec = { rule }
  for key, v in pairs(params) do spec[key] = v end
  return spec
end


---The row with parameters of one's own.
---@param row lunette.Modifier
---@param given any   a table by name or in order, or the first parameter
---@return lunette.Modifier
function M.with(row, given)
  local params, text = parameters(row, given)
  local name = text == "" and row.name or ("%s(%s)"):format(row.name, text)
  local fields = row.make and row.make(params)
    or { on = row.on, rule = with_params(row.rule, params) }
  fields.name, fields.params = name, params
  return setmetatable(fields, Modifier)
end


function Parametric.__call(row, given)
  local ok, m = pcall(M.with, row, given)
  if not ok then blame(m) end
  return m
end


---A modifier from its row. With parameters, `make(params)` gives its fields, unless the
---parameters are the rule's own.
---@param row table   { name =, on =, rule =, takes =, target =, make =, doc = }
---@return lunette.Modifier
function M.row(row)
  if not row.takes then return setmetatable(row, Modifier) end
  row.params = {}
  for _, p in ipairs(row.takes) do row.params[p[1]] = p[2] end
  return setmetatable(row, Parametric)
end


---What the parameters look like behind the name: ":leak=NUMBER".
---@param row lunette.Modifier
---@return string
function M.usage(row)
  local list = {}
  for i, p in ipairs(row.takes or {}) do
    list[i] = p.type == "string" and p[1]:upper()
      or ("%s=%s"):format(p[1], p[2] and ("%g"):format(p[2]) or "NUMBER")
  end
  if #list == 0 then return row.name end
  local tail = ":" .. table.concat(list, ",")
  local bare = row.rule or row.entries
  return row.name .. (bare and ("[%s]"):format(tail) or tail)
end


---The modifier that a text stands for: "name", "name:value", "name:key=value,...".
---@param text string
---@param find fun(name: string): lunette.Modifier?
---@return lunette.Modifier?   nil: none of that name, or not with such parameters
function M.parse(text, find)
  local name, argument = text:match "^([%w_]+):?(.*)$"
  local row = name and find(name)
  if not row then return nil end
  if argument == "" then return (row.rule or row.entries or not row.takes) and row end
  if not row.takes then return nil end
  local given = {}
  for part in argument:gmatch "[^,]+" do
    local key, value = part:match "^([%a_][%w_]*)=(.*)$"
    if key then given[key] = value else given[#given + 1] = part end
  end
  local ok, m = pcall(M.with, row, given)
  return ok and m or nil
end

return M
