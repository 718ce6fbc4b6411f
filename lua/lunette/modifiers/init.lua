---Modifiers: what is different in this explanation. A forward modifier chooses
---which layer is scored (`linear`, `extract`); a backward modifier gives nodes
---another backward rule; a composite is a list of rules. All are arguments of a call:
---nothing is cloned and nothing stays behind. Each counts the nodes it changed; zero
---is an error.
local blame = require "lunette.base.blame"
local modifier = require "lunette.modifiers.modifier"
local named = require "lunette.modifiers.named"
local types = require "lunette.base.types"
local suggest = require "lunette.base.suggest"
local on_layers = require "lunette.modifiers.on"

local M = { first = on_layers.first, last = on_layers.last, names = named.names,
            of = named.of }
for name, value in pairs(named.fields) do M[name] = value end


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
  local row = named.find(rule)
  return { on = e.on, rule = row and row.rule or rule }
end


---The entries of a composite, checked.
local function entries_of(spec)
  local list = {}
  for i, e in ipairs(spec) do
    list[i] = type(e) == "table" and entry_of(e) or blame(("modifier '%s': entry %d: "
      .. "expected { on = layers, rule = rule }"):format(spec.name or "?", i))
  end
  return list
end


local keys = { "name", "on", "backward", "rule", "takes", "relevance" }


---Raises where a table of a modifier has a key that means nothing there.
local function check_keys(given)
  for key in next, given do
    local known = false
    for _, name in ipairs(keys) do known = known or name == key end
    if not known and type(key) == "string" then
      blame(("modifier: there is no '%s'%s (it takes %s)"):format(key,
            suggest.after(key, keys), table.concat(keys, ", ")))
    end
  end
  if given.takes ~= nil and (type(given.takes) ~= "table"
     or #given.takes == 0 and next(given.takes) ~= nil) then
    blame('modifier: takes is a list of names with defaults, { { "by", 0.5 } }')
  end
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
---@param spec table   { name =, on =, backward = }, or { name =, { on =, rule = } ... }
---@return lunette.Modifier
function M.new(spec)
  local given = type(spec) == "table" and spec or {}
  local name = given.name or "modifier"
  if #given > 0 then
    return modifier.row { name = name, entries = entries_of(given),
                          relevance = given.relevance }
  end
  check_keys(given)
  local rule = given.backward or given.rule
  local found = given.on == nil and is_named(rule) or on_layers.is(given.on)
  if not found or not is_rule[type(rule)] then
    blame(("modifier: %s; expected { name =, on = kind or layer, backward = function }"
          ):format(found and "backward should be a function or a rule's name, got "
          .. types.told(rule) or "on should be a kind or a layer, got "
          .. types.told(given.on)))
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
    blame(('each: expected "mean", "max", "min" or "sum", got %s'):format(
          tostring(how)))
  end
  local shape, n = { t:dim(1) }, t:dim(1)
  for d = 2, t:dim() do shape[d] = 1 end
  local flat = t:reshape { n, t:size() // n }
  return flat[how](flat, { dims = { 2 } }):reshape(shape)
end


---A name that means nothing would be nil in a list of modifiers, and none at all there:
---the true gradient, without a word.
return setmetatable(M, { __index = function(_, name)
  if type(name) ~= "string" then return nil end
  local names = {}
  for key in next, M do names[#names + 1] = key end
  table.sort(names)
  blame(("lu.modifiers has no '%s'%s"):format(name, suggest.after(name, names)))
end })
