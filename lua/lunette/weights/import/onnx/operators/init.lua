---What every ONNX operator becomes: functions of the graph that is built
---(lunette.weights.import.onnx.build) and the node's inputs, which return the values of
---its outputs. An attribute that none of them asked for is an error.
local M = {}

local parts = { "values", "layers", "pooling", "shapes", "indices", "resize" }

for _, part in ipairs(parts) do
  for op, f in pairs(require("lunette.weights.import.onnx.operators." .. part)) do
    M[op] = f
  end
end

return M
