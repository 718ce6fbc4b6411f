---What every operator is in ONNX: functions of the emitter (lunette.onnx.emit), the
---traced value and the names of its inputs, which write nodes and return the name of
---the value. `back_NAME` is the way back of an operator for which trace/back has no
---formula.
local M = {}

for _, part in ipairs { "values", "layers", "pooling", "shapes", "fourier" } do
  for op, f in pairs(require("lunette.onnx.operators." .. part)) do M[op] = f end
end

return M
