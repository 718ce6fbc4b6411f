---Relevance through layers without weights: functions of one value pass it on, sums
---divide it in proportion to their terms, products divide it between their operands. A
---kind of layer without a rule, whose gradient would lose relevance, is refused by
---name.
local core = require "lunette.core"
local pieces = require "lunette.modifiers.pieces"

local M = {}


-- products -----------------------------------------------------------------------


---Is layer `name` computed from layer `source`?
local function computed_from(net, name, source)
  local goal, seen, work = net:layer(source), {}, { name }
  while #work > 0 do
    local layer = net:layer(table.remove(work))
    if layer and not seen[layer.name] and layer.index >= goal.index then
      if layer == goal then return true end
      seen[layer.name] = true
      for _, from in ipairs(layer.from) do
        if from ~= "input" then work[#work + 1] = from end
      end
    end
  end
  return false
end


---The layer behind multiplications and divisions by constants: x for x * 0.5.
local function multiple_of(net, name)
  local layer = net:layer(name)
  while layer and #layer.from == 1 and (layer.kind == "mul" or layer.kind == "div") do
    if layer.from[1] == "input" then return "input" end
    name, layer = layer.from[1], net:layer(layer.from[1])
  end
  return name
end


---Is operand `name` the gate of `signal`: x * sigmoid(f(x)), squeeze and excite, gelu?
local function gates(net, name, signal)
  signal = multiple_of(net, signal)
  if name == "input" or signal == name then return false end
  return signal == "input" or computed_from(net, name, signal)
end


local function size_of(net, name)
  local layer = name ~= "input" and net:layer(name)
  return require("lunette.layers").product(layer and layer.shape or net.input)
end


---Which operand of a product or quotient is the signal, the other one being its gate or
---scale: x of x * f(x), the one of the larger shape, the numerator. Nil: neither.
local function signal(layer, net)
  local a, b = layer.from[1], layer.from[2]
  if #layer.from ~= 2 or layer.operands then return nil end
  if layer.kind ~= "mul" then return 1 end
  local first, second = gates(net, b, a), gates(net, a, b)
  if first ~= second then return first and 1 or 2 end
  local m, n = size_of(net, a), size_of(net, b)
  return m > n and 1 or n > m and 2 or nil
end


local products = { mul = true, div = true, pow = true }

local function with_signal(which)
  return function(layer, net)
    return products[layer.kind] and signal(layer, net) == which
  end
end


---Is layer `name` made by a softmax, whole or in pieces, or a view of one?
local function is_attention(net, name)
  local layers = require "lunette.layers"
  while name ~= "input" do
    local layer = net:layer(name)
    if layer.kind == "softmax" or pieces.softmax(layer, net) then return true end
    if not layers.is(layer, "view") and not layers.is(layer, "dropout")
       and layer.kind ~= "permute" then
      return false
    end
    name = layer.from[1]
  end
  return false
end


---The product of attention weights, operand `which`, with values.
function M.attention(which)
  return function(layer, net)
    return layer.kind == "matmul" and #layer.from == 2 and not layer.operands
      and is_attention(net, layer.from[which])
  end
end


---Is a matmul a dense layer: a computed value times a matrix of weights?
function M.is_dense(layer)
  if layer.kind == "linear" then return true end
  local right = layer.kind == "matmul" and layer.operands and layer.operands[2]
  return right and right.param ~= nil or false
end


-- entries ------------------------------------------------------------------------


---Sums and means share relevance by what was summed.
M.sums = { on = { "avg_pool2d", "global_avg_pool", "mean", "sum", "add", "sub",
                  "interpolate", "affine" }, rule = "norm" }


---Entries of a composite for what lies between the weighted layers.
M.entries = {
  pieces.entries[1], pieces.entries[2], pieces.entries[3],
  { on = "activation", rule = "identity" },
  { on = { "batch_norm", "lrn", "clamp", "neg", "abs", "exp", "log", "sqrt", "square",
           "sin", "cos", "erf", "log1p", "expm1", "floor", "ceil", "round", "sign",
           "reciprocal" },
    rule = "identity" },
  { on = "layer_norm", rule = "epsilon" },
  M.sums,
  { on = with_signal(1), rule = { "uniform", first = 1 } },
  { on = with_signal(2), rule = { "uniform", first = 0 } },
  { on = { "mul", "div", "pow" }, rule = "uniform" },
  { on = M.is_dense, rule = "epsilon" },
  { on = "matmul", rule = "uniform" },
  { on = "softmax", rule = "taylor" },
}


---Kinds whose gradient hands relevance on as it is: every output's goes to one input,
---or is spread by shares that sum to 1.
local by_gradient = { relu = true, concat = true, mean = true, max = true, min = true,
                      maximum = true, minimum = true, where = true }

local function hands_on(kind)
  if by_gradient[kind] then return true end
  local layers = require "lunette.layers"
  for _, word in ipairs { "view", "selection", "padding", "dropout", "pooling" } do
    if layers.is(kind, word) then return true end
  end
  return false
end


---Rules that are about gradients, not relevance.
local of_gradients = { plain = true, guided = true, rectified = true, deconvnet = true,
                       leak = true, beta_smooth = true }


---Names of the relevance rules that a kind of layer has.
---@param kind string
---@return string[]
function M.rules_of(kind)
  local list = {}
  for _, rule in ipairs(core.op_info(kind).rules) do
    if not of_gradients[rule] then list[#list + 1] = rule end
  end
  return list
end


---A rule that refuses a layer; nil where its gradient does for one.
---@param layer lunette.Layer
---@param name string   the composite's
---@return function?
function M.refusal(layer, name)
  if hands_on(layer.kind) then return nil end
  local may = M.rules_of(layer.kind)
  local remedy = #may > 0 and ("it may have " .. table.concat(may, ", "))
    or "none is known for it: write one in Lua (docs/modifiers.md)"
  local message = ("composite '%s' has no rule for it; %s"):format(name, remedy)
  return function() error(message, 0) end
end

return M
