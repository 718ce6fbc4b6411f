---How each operator is written in ONNX (its column): f(e, t, x), with the emitter e
---(lunette.onnx.emit), the traced value t and the names x of its inputs, adds nodes and
---returns the value's name. `back_NAME` is the gradient of an operator for which
---trace/back has no formula.
local M = {}

for _, part in ipairs { "values", "layers", "pooling", "shapes", "fourier" } do
  for op, f in pairs(require("lunette.onnx.operators." .. part)) do M[op] = f end
end

return M
