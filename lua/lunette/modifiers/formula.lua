---modifier:trace(): a backward rule as a formula. It is run once on a layer of tracing
---tensors (lunette.trace), of every kind that it is about.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local example = require "lunette.trace.example"
local layers = require "lunette.layers"
local on_layers = require "lunette.modifiers.on"

local M = {}

---Kinds that stand for what others are; the first that a predicate takes is shown.
local typical = { "relu", "conv2d", "linear", "add", "avg_pool2d", "batch_norm",
                  "softmax", "matmul", "mul", "layer_norm" }


---Is an operator's rule of that name there?
local function has(kind, rule)
  local name = type(rule) == "table" and rule[1] or rule
  return type(name) ~= "string" or on_layers.has_rule(kind, name)
end


local kinds_of


---The kinds that one text means: a kind, or what a kind is. A layer's name is of the
---kind that rules are mostly about.
local function of_text(on, rule)
  if core.ops[on] then return { on } end
  for _, kind in ipairs(typical) do
    if layers.is(kind, on) and has(kind, rule) then return { kind } end
  end
  return { "relu" }
end


local function of_predicate(on)
  for _, kind in ipairs(typical) do
    local layer = { name = kind, kind = kind, from = { "x" }, params = {},
                    shape = { 4 } }
    local ok, yes = pcall(on, layer, {})
    if ok and yes then return { kind } end
  end
  return {}
end


---@param on any    see lunette.modifiers.on
---@param rule any
---@return string[]
kinds_of = function(on, rule)
  if on == nil then
    for _, kind in ipairs(typical) do if has(kind, rule) then return { kind } end end
  elseif type(on) == "string" then
    return of_text(on, rule)
  elseif type(on) == "function" then
    return of_predicate(on)
  elseif on.which then
    return kinds_of(on.on, rule)
  end
  local list = {}
  for _, part in ipairs(on or {}) do
    for _, kind in ipairs(kinds_of(part, rule)) do list[#list + 1] = kind end
  end
  return list
end


---The rule as the engine or a script has it, with the modifier's parameters.
local function rule_of(m, rule)
  if type(rule) == "table" and (rule.rule or rule.entries) then
    return rule_of(rule, rule.rule)
  end
  if type(rule) ~= "function" then return rule end
  return function(node, dy) return rule(node, dy, m.params or {}) end
end


---The formula of every kind that a modifier is about: { kind, text } in order.
local function formulas(m, kind)
  local list, seen = {}, {}
  for _, e in ipairs(m.entries or m.rule and { m } or {}) do
    for _, k in ipairs(kinds_of(e.on, e.rule)) do
      if not seen[k] and (not kind or k == kind) and has(k, e.rule) then
        seen[k] = true
        list[#list + 1] = { k, example.formula(k, rule_of(m, e.rule)) }
      end
    end
  end
  return list
end


---@param m lunette.Modifier
---@param kind? string   of layer; nil: all that the rule is about
---@return string   kinds of one formula stand together
function M.of(m, kind)
  local lines, place = {}, {}
  for _, f in ipairs(formulas(m, kind)) do
    local k, text = f[1], f[2]
    if place[text] then
      table.insert(place[text], k)
    else
      place[text] = { k }
      lines[#lines + 1] = { place[text], text }
    end
  end
  if #lines == 0 then
    blame(("modifier '%s' has no backward rule%s"):format(m.name,
          kind and " of " .. kind or ""))
  end
  for i, line in ipairs(lines) do
    lines[i] = ("%s:\n  %s"):format(table.concat(line[1], ", "),
                                   (line[2]:gsub("\n", "\n  ")))
  end
  return table.concat(lines, "\n")
end

return M
