---The architectures by name. `models.vgg16(opts)` gives the table of layers that
---`lu.net` builds.
local M = {}

local files = { "vgg", "squeezenet", "tiny_vgg", "alexnet", "resnet", "densenet",
                "mobilenet", "efficientnet", "mnasnet" }

---@type string[]
M.names = {}
for _, file in ipairs(files) do
  for name, build in pairs(require("lunette.models." .. file)) do
    M[name] = build
    M.names[#M.names + 1] = name
  end
end
table.sort(M.names)


---The function that gives an architecture's table of layers, or nil.
---@param name string
---@return (fun(opts?: table): table)?
function M.architecture(name)
  for _, known in ipairs(M.names) do
    if known == name then return M[name] end
  end
  return nil
end

return M
