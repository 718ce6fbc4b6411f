---Where Lunette's own files are: in a checkout beside lua/, installed under
---share/lunette.
local files = require "lunette.base.files"

local M = {}


---The folder of this library: .../lua/lunette, or .../share/lua/5.4/lunette.
local function here()
  return debug.getinfo(1, "S").source:match "^@(.*)/base/[^/]*$" or "."
end


---The first of the candidates that holds `probe`.
local function first(candidates, probe)
  for _, path in ipairs(candidates) do
    if path and files.exists(path .. "/" .. probe) then return path end
  end
  return candidates[#candidates]
end


---The folder with the embedded network and data files.
---@return string
function M.weights()
  local dir = here()
  return first({ os.getenv "LUNETTE_WEIGHTS" or false,
                 dir .. "/../../../lunette/weights", dir .. "/../../weights" },
               "imagenet_labels.txt")
end


---The folder with the experiment scripts.
---@return string
function M.scripts()
  local dir = here()
  return first({ dir .. "/../../../lunette/scripts", dir .. "/../../scripts" },
               "saliency.lua")
end

return M
