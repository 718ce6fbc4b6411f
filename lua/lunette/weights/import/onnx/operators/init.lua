---What every ONNX operator becomes: functions of the graph that is built
---(lunette.weights.import.onnx.build) and the node's inputs, which return the values of
---its outputs. An attribute that none of them asked for is an error.
local M = {}

for _, part in ipairs { "values", "layers", "pooling", "shapes", "resize" } do
  for op, f in pairs(require("lunette.weights.import.onnx.operators." .. part)) do
    M[op] = f
  end
end

return M
