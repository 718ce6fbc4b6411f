---From modifiers to the rule of every node of one backward pass.
local blame = require "lunette.base.blame"
local between = require "lunette.modifiers.between"
local core = require "lunette.core"
local layers = require "lunette.layers"
local modifier = require "lunette.modifiers.modifier"
local on_layers = require "lunette.modifiers.on"
local options = require "lunette.base.options"
local preprocessing = require "lunette.picture.preprocessing"
local suggest = require "lunette.base.suggest"
local trace = require "lunette.trace"

local M = {}


---Raises when a rule's answer is no gradient of the input. Layers of several
---inputs may be answered by a list of gradients, whose shapes the engine checks.
local function check_answer(layer, node, dx)
  if type(dx) == "table" and #layer.from > 1 and #dx == #layer.from then return end
  if not options.is_tensor(dx) and not trace.is(dx) then
    error(("returned %s, expected a tensor: the gradient of its input"):format(
          type(dx)), 0)
  end
  local got, want = dx:shape(), node.input_shape
  local a, b = table.concat(got, ", "), table.concat(want, ", ")
  if a ~= b then
    error(("returned a gradient of shape (%s), the input is (%s)"):format(a, b), 0)
  end
end


---Lua rules get their name and layer into errors; an interruption stays one.
local function guarded(m, rule, params, layer)
  return function(node, dy)
    local ok, dx = pcall(function()
      local answer = rule(node, dy, params or {})
      check_answer(layer, node, answer)
      return answer
    end)
    if ok then return dx end
    if tostring(dx):find("interrupted", 1, true) then error(dx, 0) end
    local took = debug.getinfo(rule, "u").nparams -- of (dy) alone, dy is the node
    blame(("modifier '%s' at layer '%s' (%s): %s%s"):format(m.name, layer.name,
          layer.kind, tostring(dx), took == 1 and
          "; a rule is given two values: function(node, dy)" or ""))
  end
end


---Without the constant that zennit's `zero_params = "bias"` leaves out.
local function with_zeros(rule)
  if type(rule) ~= "table" or rule.zero_params == nil then return rule end
  if rule.zero_params ~= "bias" then
    error(("rule '%s': zero_params is \"bias\", got %s"):format(tostring(rule[1]),
          tostring(rule.zero_params)), 0)
  end
  local copy = {}
  for key, v in pairs(rule) do copy[key] = v end
  copy.zero_params, copy.bias = nil, 0
  return copy
end


---The least and largest value of every channel of the network's input: black and
---white, as its preprocessing has them.
local function bounds_of(net)
  local spec, low, high = preprocessing.spec(net.preprocessing), {}, {}
  for i = 1, net.input[1] do
    local mean, std = spec.mean[i] or spec.mean[1], spec.std[i] or spec.std[1]
    low[i], high[i] = -mean / std, (255 * spec.scale - mean) / std
  end
  return low, high
end


---The rule "z_box" with the bounds of the network's pictures, where it has none.
local function with_bounds(rule, net)
  local name = type(rule) == "table" and rule[1] or rule
  if name ~= "z_box" or type(rule) == "table" and (rule.low or rule.high) then
    return rule
  end
  local copy = { "z_box" }
  for key, v in pairs(type(rule) == "table" and rule or {}) do copy[key] = v end
  copy.low, copy.high = bounds_of(net)
  return copy
end


---Raises where the layer's operator has no rule of that name.
local function check_name(m, rule, layer)
  local name = type(rule) == "table" and rule[1] or rule
  local info = type(name) == "string" and core.op_info(layer.kind)
  if not info or on_layers.has_rule(layer.kind, name) then return end
  error(("modifier '%s' at layer '%s': op '%s' has no rule '%s'; it has %s%s"):format(
    m.name, layer.name, layer.kind, name, table.concat(info.rules, ", "),
    suggest.after(name, info.rules)), 0)
end


---Sets the rule of a layer's nodes; the rule may be a modifier, whose rule it then is.
local function assign(rules, node, m, rule, net)
  if modifier.is(rule) then
    m = { name = m.name, params = rule.params }
    rule = rule.rule
  end
  if type(rule) == "function" then rule = guarded(m, rule, m.params, node.layer) end
  check_name(m, rule, node.layer)
  rule = with_bounds(with_zeros(rule), net)
  local first = node.id - layers.applications(node.layer) + 1
  for id = first, node.id do rules[id] = rule end
end


---Refuses the layers that a composite of relevance rules leaves out.
local function refuse_others(m, nodes, run, rules)
  for _, node in ipairs(nodes) do
    local rule = not rules[node.id] and between.refusal(node.layer, m.name)
    if rule then assign(rules, node, m, rule, run.net) end
  end
end


---What a rule is about, in parts: each of a list, or `on` itself.
local function parts_of(m)
  return type(m.on) == "table" and getmetatable(m.on) == nil and m.on or { m.on }
end


---One rule: every part of `on` has to mean something.
local function apply_rule(m, nodes, run, rules)
  local list, count = parts_of(m), 0
  for i = 1, math.max(1, #list) do
    local found = on_layers.nodes(list[i], nodes, run, m.rule)
    if #found == 0 then
      error(("modifier '%s' changed no node: %s"):format(m.name,
            on_layers.explain_nothing(list[i], run, m.rule)), 0)
    end
    for _, node in ipairs(found) do assign(rules, node, m, m.rule, run.net) end
    count = count + #found
  end
  return count
end


---A composite: every node by the first entry that means it, if any does.
local function apply_composite(m, nodes, run, rules)
  local done, count = {}, 0
  for _, e in ipairs(m.entries) do
    for _, node in ipairs(on_layers.nodes(e.on, nodes, run, e.rule)) do
      if not done[node.id] then
        done[node.id] = true
        assign(rules, node, m, e.rule, run.net)
        count = count + 1
      end
    end
  end
  if count > 0 or m.optional then return count end
  error(("modifier '%s' changed no node: none of its %d entries means a layer of this "
         .. "backward pass"):format(m.name, #m.entries), 0)
end


---How many of these nodes a modifier is about; 0 where one part of `on` means none.
local function count_of(m, nodes, run)
  local met, n, entries = {}, 0, m.entries
  if not entries then
    entries = {}
    local list = parts_of(m)
    for i = 1, math.max(1, #list) do entries[i] = { on = list[i], rule = m.rule } end
  end
  for _, e in ipairs(entries) do
    local found = on_layers.nodes(e.on, nodes, run, e.rule)
    if #found == 0 and not m.entries then return 0 end
    for _, node in ipairs(found) do
      if not met[node.id] then met[node.id], n = true, n + 1 end
    end
  end
  return n
end


---How many of these nodes each backward modifier of the list is about, by name: 0 where
---it would be an error to ask for it.
---@param run lunette.Run
---@param nodes { layer: lunette.Layer, id: integer }[]
---@param list lunette.Modifier[]
---@return table<string, integer>
function M.count(run, nodes, list)
  local counts = {}
  for _, m in ipairs(list) do
    if m.entries or m.rule then counts[m.name] = count_of(m, nodes, run) end
  end
  return counts
end


---The rule of every node that the backward modifiers in `list` change; a later
---modifier overrides an earlier one.
---@param run lunette.Run
---@param nodes { layer: lunette.Layer, id: integer }[]   those that the pass visits: of
---  the scored layer and before it, after the layer whose gradient is wanted
---@param list lunette.Modifier[]
---@param flow? table<string, table>   gets what biases take, of rules in Lua
---@return table<integer, any> rules, table<string, integer> changed
function M.rules(run, nodes, list, flow)
  local rules, changed = {}, {}
  for _, m in ipairs(list) do
    local apply = m.entries and apply_composite or m.rule and apply_rule
    if apply then changed[m.name] = apply(m, nodes, run, rules) end
    if m.rewrite then changed[m.name] = m.rewrite(run, nodes, rules, flow) end
  end
  for _, m in ipairs(list) do
    if m.relevance then refuse_others(m, nodes, run, rules) end
  end
  return rules, changed
end


---The modifiers that choose the scored layer: of a run, if given, and of `list`.
---@param list? lunette.Modifier[]
---@param run? lunette.Run
---@return lunette.Modifier[]
function M.forward(list, run)
  local kept, has = {}, {}
  for _, m in ipairs(run and run.modifiers or {}) do
    kept[#kept + 1], has[m.name] = m, true
  end
  for _, m in ipairs(list or {}) do
    if m.target and not has[m.name] then kept[#kept + 1] = m end
  end
  return kept
end


---The modifiers of `list` that change the backward pass.
---@param list lunette.Modifier[]
---@return lunette.Modifier[]
function M.backward(list)
  local kept = {}
  for _, m in ipairs(list) do
    if not m.target then kept[#kept + 1] = m end
  end
  return kept
end


---Where the scored layer ends up under the forward modifiers in `list`.
---@param net lunette.Net
---@param layer lunette.Layer   the last layer
---@param list lunette.Modifier[]
---@param run? lunette.Run      a run already made: its own modifiers are in `layer`
---@return lunette.Layer layer, table<string, integer> changed
function M.target(net, layer, list, run)
  local changed = {}
  for _, m in ipairs(list) do
    if m.target then
      local found = m.target(net, layer)
      if not found and not (run and run.changed[m.name]) then
        error(("modifier '%s' changed nothing: the output '%s' of %s is %s, "
              .. "no softmax"):format(m.name, layer.name, net.name, layer.kind), 0)
      end
      layer = found or layer
      changed[m.name] = 1
    elseif not run and (m.rule or m.entries or m.rewrite) then
      error(("modifier '%s' is about backward: give it to the method or "
             .. "gradient, not to run"):format(m.name), 0)
    end
  end
  return layer, changed
end

return M
