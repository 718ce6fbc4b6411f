---The architectures by name, however it is written, and what their first layers are
---called.
local files = { "vgg", "squeezenet", "tiny_vgg", "alexnet", "resnet", "resnet_keras",
                "densenet", "densenet_keras",
                "mobilenet", "mobilenet_v1", "efficientnet", "mnasnet", "googlenet",
                "inception", "shufflenet", "regnet", "convnext", "vit" }

local M = {}

---@type table<string, fun(opts?: table): table>
M.builders = {}

local by_bare = {}


---A name in small letters without separators, except between two numbers: "ViT-B/16"
---and "vit_b_16" are "vitb16", "RegNet Y 1.6GF" and "regnet_y_1_6gf" are
---"regnety1|6gf".
local function bare(name)
  name = name:lower():gsub("(%d)[%s_./-]%f[%d]", "%1|")
  return (name:gsub("[%s_./-]", ""))
end


for _, file in ipairs(files) do
  for name, build in pairs(require("lunette.models." .. file)) do
    M.builders[name], by_bare[bare(name)] = build, name
  end
end


---The name of an architecture, however it is written: "ResNet-50" is "resnet50".
---@param name string
---@return string?   nil: there is none
function M.resolve(name) return by_bare[bare(name)] end


local firsts = {}


---Names of the first layer with weights of an architecture, its aliases included.
---@param name string   as `resolve` gives it
---@return string[]
function M.first_names(name)
  if not firsts[name] then
    local layer = require("lunette.models.blocks").first(M.builders[name]) or {}
    firsts[name] = { layer[1], table.unpack(layer.aliases or {}) }
  end
  return firsts[name]
end

return M
