---Modifiers: what is different in this explanation. A forward modifier chooses
---which layer is scored (`linear`, `extract`); a backward modifier gives nodes
---another backward rule; a composite is a list of rules. All are arguments of a call:
---nothing is cloned and nothing stays behind. Each counts the nodes it changed; zero
---is an error.
local apply = require "lunette.modifiers.apply"
local between = require "lunette.modifiers.between"
local core = require "lunette.core"
local modifier = require "lunette.modifiers.modifier"
local on_layers = require "lunette.modifiers.on"
local suggest = require "lunette.base.suggest"

local M = { first = on_layers.first, last = on_layers.last, is = modifier.is,
            rules_of = between.rules_of }
local rows, by_name = {}, {}


local function add(row)
  rows[#rows + 1], by_name[row.name] = row, row
end


-- rows that Lua has; `fields` are also lu.modifiers.NAME
for _, file in ipairs { "forward", "relu", "relevance" } do
  local part = require("lunette.modifiers." .. file)
  for name, value in pairs(part.fields) do M[name] = value end
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
      if M[name] == nil then M[name] = row end
    end
  end
end


---What a backward rule may be: a name of the operator's, { name, parameters }, Lua, or
---another modifier.
local is_rule = { string = true, table = true, ["function"] = true }


---Does the rule say by its name which layers have it?
local function is_named(rule)
  return type(rule) == "string" or type(rule) == "table" and type(rule[1]) == "string"
end


---An entry of a composite, or nil.
local function entry_of(e)
  local rule = e.rule or e.backward or e[1]
  local on_ok = on_layers.is(e.on) or e.on == nil and is_named(rule)
  if not is_rule[type(rule)] or not on_ok then return nil end
  return { on = e.on, rule = by_name[rule] and by_name[rule].rule or rule }
end


---The entries of a composite, checked.
local function entries_of(spec)
  local list = {}
  for i, e in ipairs(spec) do
    list[i] = type(e) == "table" and entry_of(e) or error(("modifier '%s': entry %d: "
      .. "expected { on = layers, rule = rule }"):format(spec.name or "?", i), 3)
  end
  return list
end


---A modifier of one's own. `backward(node, dy)` gets the node (name, kind, input,
---output, weight, bias, attrs, input_shape, node:forward{...}, node:backward(dy, ...))
---and the gradient of its output, and returns the gradient of its input. Instead of a
---function: a rule of the operator, "guided" or { "leak", leak = 0.1 }. `on` is a kind,
---a name, a Lua pattern, a predicate, `lu.modifiers.first "conv2d"`, or a list.
---A list of { on =, rule = } makes a composite, whose first match wins.
---Caveat: such a rule is no gradient; check it as docs/modifiers.md does.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  local squash = lu.modifier { name = "squash", on = "relu",
---    backward = function(node, dy) return dy:clamp(0, 1e-3) * node.output:gt(0) end }
---  show(lu.saliency(run, { modifiers = { squash } }))
---@param spec { name: string, on: any, backward: function|string }
---@return lunette.Modifier
function M.new(spec)
  local given = type(spec) == "table" and spec or {}
  local name = given.name or "modifier"
  if #given > 0 then
    return modifier.row { name = name, entries = entries_of(given),
                          relevance = given.relevance }
  end
  local rule = given.backward or given.rule
  local found = given.on == nil and is_named(rule) or on_layers.is(given.on)
  if not found or not is_rule[type(rule)] then
    error("modifier: expected { name =, on = kind or layer, backward = function }", 2)
  end
  return modifier.row { name = name, on = given.on, rule = rule, takes = given.takes }
end


---What a rule may compare values with: the mean, maximum, minimum or sum of each sample
---by itself, (N,1,...,1), so that what comes of a picture does not depend on the others
---in its batch, as `dy:mean()` would.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(2).images))
---  local calm = lu.modifier { name = "calm", on = "relu",
---    backward = function(_, dy) return dy:minimum(lu.modifiers.each(dy, "mean")) end }
---  show(lu.saliency(run, { modifiers = { calm } }))
---@param t lunette.Tensor   (N,...)
---@param how "mean"|"max"|"min"|"sum"
---@return lunette.Tensor
function M.each(t, how)
  local known = { mean = true, max = true, min = true, sum = true }
  if not known[how] then
    error(('each: expected "mean", "max", "min" or "sum", got %s'):format(
          tostring(how)), 2)
  end
  local shape, n = { t:dim(1) }, t:dim(1)
  for d = 2, t:dim() do shape[d] = 1 end
  local flat = t:reshape { n, t:size() // n }
  return flat[how](flat, { dims = { 2 } }):reshape(shape)
end


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


---What there is, for help and completion.
---@return { name: string, usage: string, doc: string, forward: boolean }[]
function M.rows()
  local list = {}
  for i, row in ipairs(rows) do
    list[i] = { name = row.name, usage = modifier.usage(row), doc = row.doc or "",
                forward = row.target ~= nil or row.name == "extract" }
  end
  return list
end


---The modifier that a name stands for: "guided", "rectified:leak=0.1", "extract:fc1".
---@param what string|lunette.Modifier
---@return lunette.Modifier
function M.of(what)
  if modifier.is(what) then return what end
  if type(what) ~= "string" then
    error(("modifier: expected a name or a modifier, got %s"):format(type(what)), 0)
  end
  local m = modifier.parse(what, function(name) return by_name[name] end)
  if m then return m end
  error(("modifier '%s' not found%s (there are: %s)"):format(what,
        suggest.after(what:match "^[%w_]+" or what, M.names()),
        table.concat(M.usage(), ", ")), 0)
end


---A list of modifiers from what scripts write: a list, or a single one.
---@param what string|lunette.Modifier|(string|lunette.Modifier)[]
---@return lunette.Modifier[]
function M.list(what)
  if type(what) ~= "table" or modifier.is(what) then what = { what } end
  local list = {}
  for i, m in ipairs(what) do list[i] = M.of(m) end
  if #list == 0 and next(what) ~= nil then
    error("modifiers are a list: { \"linear\", \"guided\" }", 0)
  end
  return list
end


---Where the scored layer ends up under the forward modifiers in `list`.
---@param net lunette.Net
---@param layer lunette.Layer   the last layer
---@param list any[]
---@param run? lunette.Run      a run already made: its own modifiers are in `layer`
---@return lunette.Layer layer, table<string, integer> changed
function M.target(net, layer, list, run)
  return apply.target(net, layer, M.list(list), run)
end


---The rule of every node that the backward modifiers in `list` change.
---@param run lunette.Run
---@param list any[]
---@param last? integer   id of the scored node: backward passes no later ones
---@param first? integer  id of the node whose gradient is wanted: nor this and earlier
---@param flow? table<string, table>   gets what biases take, of rules in Lua
---@return table<integer, any> rules, table<string, integer> changed
function M.rules(run, list, last, first, flow)
  return apply.rules(run, M.list(list), last, first, flow)
end

return M
