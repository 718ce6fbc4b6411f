---Which layers a rule is about: what `on` may be.
---
---  "relu"              a kind of layer
---  "weighted"          what a kind is: activation, pooling ... (`layers.is`)
---  "fc1"               a layer's name or alias, where it is neither of these
---  "^block5_conv"      a Lua pattern (anything with ^ $ % * + ? [) over names
---  function(layer)     a predicate; layers have name, kind, params, attrs ...
---  first "conv2d"      the first layer of a backward pass that is meant by the rest;
---  last "linear"       the last one
---  { a, b, ... }       any of these
---  nothing             every layer whose operator has the rule
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local suggest = require "lunette.base.suggest"
local types = require "lunette.base.types"

local M = {}

---@class lunette.Pick
local Pick = { __name = "lunette.Pick" }
function Pick.__tostring(p) return ("%s %s"):format(p.which, tostring(p.on)) end


local function pick(which, on)
  if not M.is(on) then
    blame(("%s: on should be a kind, a layer's name, a pattern, a function or a list, "
          .. "got %s"):format(which, types.told(on)))
  end
  return setmetatable({ which = which, on = on }, Pick)
end


---The first of the layers that `on` means, in the order of the network.
---Example:
---  local first = lu.modifiers.first "conv2d"
---  local quiet = lu.modifier { name = "quiet", on = first,
---    backward = function(node, dy) return node:backward(dy) * 0 end }
---@param on any   a kind, a name, a pattern, a predicate, a list
---@return table   what `on` may be
function M.first(on) return pick("first", on) end


---The last of the layers that `on` means.
---@param on any   a kind, a name, a pattern, a predicate, a list
---@return table   what `on` may be
function M.last(on) return pick("last", on) end


local has = {} -- kind -> set of rules


---Has the operator of that kind of layer this rule?
---@param kind string
---@param rule string
---@return boolean
function M.has_rule(kind, rule)
  if not has[kind] then
    has[kind] = {}
    local info = core.op_info(kind)
    for _, name in ipairs(info and info.rules or {}) do has[kind][name] = true end
  end
  return has[kind][rule] or false
end


---@return boolean
function M.is(on)
  return type(on) == "string" or type(on) == "function" or getmetatable(on) == Pick
    or type(on) == "table" and #on > 0
end


---The name of a rule: "leak", or that of { "leak", leak = 0.1 }.
local function name_of(rule)
  return type(rule) == "table" and rule[1] or rule
end


local function is_pattern(text) return text:find "[%^%$%%%*%+%?%[]" ~= nil end


---`on` a text: layers of that kind (a file may call any layer "mean"), else of that
---name, or those whose name matches it.
local function by_text(on, run)
  local layers = require "lunette.layers"
  if layers.is_kind(on) then
    return function(node) return node.layer.kind == on or layers.is(node.layer, on) end
  end
  local layer = run.net:has(on) and run.net:layer(on)
  if layer then return function(node) return node.layer == layer end end
  return function(node) return is_pattern(on) and node.layer.name:find(on) ~= nil end
end


---The nodes that are meant, in order.
---@param on any
---@param nodes table[]   { layer =, id = }
---@param run lunette.Run
---@param rule any        a rule's name, where `on` is nothing
---@return table[]
function M.nodes(on, nodes, run, rule)
  local test
  if on == nil then
    local name = name_of(rule)
    test = function(node) return M.has_rule(node.layer.kind, name) end
  elseif type(on) == "string" then
    test = by_text(on, run)
  elseif type(on) == "function" then
    test = function(node) return on(node.layer, run.net) end
  elseif getmetatable(on) == Pick then
    local list = M.nodes(on.on, nodes, run)
    return { list[on.which == "first" and 1 or #list] }
  else
    local set = {}
    for _, part in ipairs(on) do
      for _, node in ipairs(M.nodes(part, nodes, run)) do set[node.id] = true end
    end
    test = function(node) return set[node.id] end
  end
  local found = {}
  for _, node in ipairs(nodes) do
    if test(node) then found[#found + 1] = node end
  end
  return found
end


---Why `on` means no node of this backward pass.
---@return string
function M.explain_nothing(on, run, rule)
  if on == nil then
    return ("no layer of this backward pass has the rule '%s'"):format(name_of(rule))
  end
  if type(on) ~= "string" then
    return ("'%s' means no layer of this backward pass"):format(tostring(on))
  end
  local layers, known, there = require "lunette.layers", {}, run.net:has(on)
  local is_kind = layers.is_kind(on)
  for _, l in ipairs(run.net:layers()) do
    if l.kind == on or layers.is(l, on) then is_kind, there = false, true end
    known[#known + 1], known[#known + 2] = l.name, l.kind
  end
  if is_kind and there then
    return ("no layer is of the kind '%s', which that word means; the layer of that "
            .. "name is meant by function(layer) return layer.name == \"%s\" end")
      :format(on, run.net:layer(on).name)
  elseif there then
    return ("layer '%s' is not part of this backward pass"):format(on)
  end
  return ("there is no layer or kind '%s' in %s%s"):format(on, run.net.name,
         suggest.after(on, known))
end

return M
