---Where Lunette's own files are: in a checkout beside lua/, installed under
---share/lunette.
local M = {}


local function here()
  return debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$" or "."
end


---The folder with the embedded network and data files.
---@return string
function M.weights()
  local dir = here() -- .../lua/lunette, or .../share/lua/5.4/lunette
  local candidates = { os.getenv "LUNETTE_WEIGHTS" or false, dir .. "/../../weights",
                       dir .. "/../../../lunette/weights" }
  for _, path in ipairs(candidates) do
    local f = path and io.open(path .. "/README.md", "rb")
    if f then
      f:close()
      return path
    end
  end
  return dir .. "/../../weights"
end

return M
