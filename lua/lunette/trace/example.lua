---A rule as a formula: it is run once on a node of tracing tensors.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local formula = require "lunette.trace.formula"
local nodes = require "lunette.trace.node"
local rules = require "lunette.trace.rules"
local trace = require "lunette.trace"

local M = {}

local N = trace.BATCH

---What a layer of a kind reads besides x, which is (N,4,8,8) where nothing else stands.
local examples = {
  conv2d = { weight = { 6, 4, 3, 3 }, bias = { 6 } },
  conv_transpose2d = { weight = { 4, 6, 3, 3 }, bias = { 6 } },
  linear = { x = { N, 4 }, weight = { 6, 4 }, bias = { 6 } },
  matmul = { x = { N, 5, 4 }, other = { N, 4, 5 } },
  layer_norm = { x = { N, 5, 4 }, weight = { 4 }, bias = { 4 } },
  softmax = { x = { N, 4 } }, log_softmax = { x = { N, 4 } },
  max_pool2d = { attrs = { kernel = 2 } }, avg_pool2d = { attrs = { kernel = 2 } },
  mean = { attrs = { dims = { 3, 4 } } }, sum = { attrs = { dims = { 3, 4 } } },
  interpolate = { attrs = { size = { 16, 16 } } }, clamp = { attrs = { min = 0 } },
  affine = { attrs = { matrix = { 1, 0, 0, 1 } } },
  batch_norm = { mean = { 4 }, var = { 4 }, weight = { 4 }, bias = { 4 } },
}

---Names of what operators read, in order.
local order = { "mean", "var", "weight", "bias", "other" }


---A node of that kind, and what its values are called.
local function example(kind)
  local info = core.op_info(kind)
  local row = examples[kind] or {}
  local x = trace.leaf("x", row.x or { N, 4, 8, 8 })
  local inputs = { x }
  for _, key in ipairs(order) do
    if row[key] then
      local short = key == "weight" and "W" or key == "bias" and "b" or key
      inputs[#inputs + 1] = trace.leaf(short, row[key])
    end
  end
  while #inputs < info.inputs[1] do
    inputs[#inputs + 1] = trace.leaf("x" .. #inputs + 1, x.dims)
  end
  inputs[#inputs + 1] = row.attrs or {}
  local ok, y = pcall(core.ops[kind], table.unpack(inputs))
  if not ok then blame(("no example of %s: %s"):format(kind, y)) end
  return y
end


---What a rule does at a layer of that kind: "dx = dy * [y > 0]".
---@param kind string         an operator
---@param rule string|table|fun(node: table, dy: lunette.Traced): lunette.Traced
---@return string
function M.formula(kind, rule)
  local y = example(kind)
  local dy = trace.leaf("dy", y.dims)
  local dx
  if type(rule) == "function" then
    dx = rule(nodes.new(y), dy)
  else
    dx = rules.apply(rule, trace.node(y), dy, { 1 })
  end
  if not trace.is(dx) then dx = dx[1] end
  return formula(dx, { [y] = "y" }, "dx")
end

return M
