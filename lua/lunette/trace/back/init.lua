---The way back of every operator, in operators: functions of the node, { inputs =,
---attrs =, output = }, the gradient dy of its output, and the number of the input whose
---gradient is wanted. They say the same as the engine's first rules (engine/ops/), on
---tensors and on tracing tensors; `nil`: none goes there.
local core = require "lunette.core"
local trace = require "lunette.trace"

local M = {}

for _, file in ipairs { "activation", "binary", "weighted", "shape", "pooling" } do
  for op, f in pairs(require("lunette.trace.back." .. file)) do
    if core.ops[op] then M[op] = f end -- others are parts
  end
end


---To the first maximum of every window. Where that lies no operator says: what runs the
---graph knows (of ONNX, MaxPool).
function M.max_pool2d(n, dy)
  local x = n.inputs[1]
  return trace.special("backward", { dy, x, n.output }, { op = "max_pool2d",
    attrs = n.attrs }, x:shape())
end

return M
