---The architectures by name. `models.vgg16(opts)` gives the table of layers that
---`lu.net` builds. Names are torchvision's, of networks that only Keras has Keras';
---however they are written, they are found: "ResNet-50", "MobileNetV2", "ViT-B/16".
local named = require "lunette.models.named"

local M = {}

---@type string[]
M.names = {}
for name, build in pairs(named.builders) do
  M[name] = build
  M.names[#M.names + 1] = name
end
table.sort(M.names)


---The function that gives an architecture's table of layers, or nil.
---@param name string
---@return (fun(opts?: table): table)?
function M.architecture(name)
  local known = named.resolve(name)
  return known and rawget(M, known)
end


return setmetatable(M, { __index = function(_, name)
  return type(name) == "string" and M.architecture(name) or nil
end })
