---A traced value in the form in which a Lua backward rule gets its node (run:node).
local core = require "lunette.core"
local rules = require "lunette.trace.rules"

local M = {}

local Node = { __name = "lunette.TracedNode" }

---Inputs that a rule may replace, by name.
local place = { input = 1, weight = 2, bias = 3 }

local methods = {}


local function own_inputs(t, opts)
  local list, changed = { table.unpack(t.inputs) }, false
  for key, i in pairs(place) do
    local value = opts[key]
    if value ~= nil and value ~= true then
      list[i], changed = value, true
    end
  end
  while list[#list] == false do list[#list] = nil end
  return list, changed
end


---The operator over these inputs.
local function apply(t, inputs)
  local list = {}
  for i, x in ipairs(inputs) do list[i] = x or nil end
  list[#inputs + 1] = t.attrs
  return core.ops[t.op](table.unpack(list, 1, #inputs + 1))
end


---The operator's output for other values: { input =, weight =, bias = }.
function methods.forward(node, opts)
  local t = node.traced
  local inputs, changed = own_inputs(t, opts or {})
  return changed and apply(t, inputs) or t
end


---The rule that options name, with its parameters: { "leak", leak = 0.1 }.
local function rule_of(opts)
  local spec, all = opts.rule or "plain", {}
  for key, v in pairs(type(spec) == "table" and spec or { spec }) do all[key] = v end
  for key, v in pairs(opts) do
    local parameter = not place[key] or key == "bias" and type(v) == "number"
    if parameter and key ~= "rule" and key ~= "flow" then all[key] = v end
  end
  return all
end


---The gradient of the first input by one of the operator's rules.
function methods.backward(node, dy, rule)
  local t, opts = node.traced, type(rule) == "table" and rule or { rule = rule }
  local inputs, changed = own_inputs(t, opts)
  local n = { op = t.op, inputs = inputs, attrs = t.attrs, output = t }
  if changed then -- most ways back need no output
    n.output = nil
    setmetatable(n, { __index = function(_, key)
      return key == "output" and apply(t, inputs) or nil
    end })
  end
  return rules.apply(rule_of(opts), n, dy, { 1 })[1]
end


local fields = {
  name = function(t) return t.label end,
  kind = function(t) return t.op end,
  id = function(t) return t.id end,
  copies = function() return 1 end,
  joined = function() return false end,
  input = function(t) return t.inputs[1] end,
  output = function(t) return t end,
  inputs = function(t) return t.inputs end,
  weight = function(t) return t.inputs[2] or nil end,
  bias = function(t) return t.inputs[3] or nil end,
  attrs = function(t) return t.attrs end,
  shape = function(t) return t:shape() end,
  input_shape = function(t) return t.inputs[1]:shape() end,
}

function Node.__index(node, key)
  if methods[key] then return methods[key] end
  return fields[key] and fields[key](rawget(node, "traced")) or nil
end

function Node.__tostring(node)
  local t = rawget(node, "traced")
  return ("node: %s '%s' (traced)"):format(t.op, t.label or "")
end


---@param t lunette.Traced
---@return table node
function M.new(t) return setmetatable({ traced = t }, Node) end

return M
