---The gradient of every operator, written in operators: f(node, dy, i), with the node {
---inputs =, attrs =, output = }, the gradient dy of its output and the number i of the
---input whose gradient is wanted; nil: it has none. The results equal those of the
---engine's true gradients (engine/ops/), on tensors and on tracing tensors.
local core = require "lunette.core"
local trace = require "lunette.trace"

local M = {}

for _, file in ipairs { "activation", "binary", "weighted", "shape", "pooling" } do
  for op, f in pairs(require("lunette.trace.back." .. file)) do
    if core.ops[op] then M[op] = f end -- the rest are helpers
  end
end


---dy goes to the first maximum of every window. No operator gives its index, so this is
---a special node, which the format of the file resolves (ONNX: MaxPool's second
---output).
function M.max_pool2d(n, dy)
  local x = n.inputs[1]
  return trace.special("backward", { dy, x, n.output }, { op = "max_pool2d",
    attrs = n.attrs }, x:shape())
end

return M
