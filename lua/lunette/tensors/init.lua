---What tensors can do beyond the operators: methods are added to the class once;
---this table is what `lu` has of it.
local M = {}

require "lunette.tensors.order" -- whose methods the others use
require "lunette.tensors.reduce"
require "lunette.tensors.pictures"
for _, name in ipairs { "makers", "shape", "algebra" } do
  for key, f in pairs(require("lunette.tensors." .. name)) do M[key] = f end
end

return M
