---The architectures by name. `models.vgg16(opts)` gives the table of layers that
---`lu.net` builds. Names are torchvision's, of networks that only Keras has Keras';
---however they are written, they are found: "ResNet-50", "MobileNetV2", "ViT-B/16".
local M = {}

local files = { "vgg", "squeezenet", "tiny_vgg", "alexnet", "resnet", "resnet_keras",
                "densenet", "densenet_keras",
                "mobilenet", "mobilenet_v1", "efficientnet", "mnasnet", "googlenet",
                "inception", "shufflenet", "regnet", "convnext", "vit" }


---A name without case and what parts it, but for two numbers: "ViT-B/16" and "vit_b_16"
---are "vitb16", "RegNet Y 1.6GF" and "regnet_y_1_6gf" are "regnety1|6gf".
local function bare(name)
  name = name:lower():gsub("(%d)[%s_./-]%f[%d]", "%1|")
  return (name:gsub("[%s_./-]", ""))
end

local by_bare = {}

---@type string[]
M.names = {}
for _, file in ipairs(files) do
  for name, build in pairs(require("lunette.models." .. file)) do
    M[name] = build
    M.names[#M.names + 1] = name
    by_bare[bare(name)] = name
  end
end
table.sort(M.names)


---The name of an architecture, however it is written: "ResNet-50" is "resnet50".
---@param name string
---@return string?   nil: there is none
function M.resolve(name) return by_bare[bare(name)] end


---The function that gives an architecture's table of layers, or nil.
---@param name string
---@return (fun(opts?: table): table)?
function M.architecture(name)
  local known = M.resolve(name)
  return known and rawget(M, known)
end


local firsts = {}


---Names of the first layer with weights of an architecture, its aliases included.
---@param name string   of `names`
---@return string[]
function M.first_names(name)
  if not firsts[name] then
    local layer = require("lunette.models.blocks").first(M[name]) or {}
    firsts[name] = { layer[1], table.unpack(layer.aliases or {}) }
  end
  return firsts[name]
end


return setmetatable(M, { __index = function(_, name)
  return type(name) == "string" and M.architecture(name) or nil
end })
