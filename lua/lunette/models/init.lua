---The architectures by name. `models.vgg16(opts)` gives the table of layers that
---`lu.net` builds; `models.detect` finds which one a weights file holds.
local M = {}

local files = { "vgg", "squeezenet", "tiny_vgg", "alexnet", "resnet" }

---@type string[]
M.names = {}
for _, file in ipairs(files) do
  for name, build in pairs(require("lunette.models." .. file)) do
    if name ~= "detect" then
      M[name] = build
      M.names[#M.names + 1] = name
    end
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


---Finds the architecture whose names and shapes these are.
---@param shape fun(name: string): integer[]|nil   shape of a parameter, by our name
---@return string? name, table? opts   what to call, and with which options
function M.detect(shape)
  for _, file in ipairs(files) do
    local name, opts = require("lunette.models." .. file).detect(shape)
    if name then return name, opts end
  end
  return nil
end

return M
