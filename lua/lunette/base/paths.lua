---Where Lunette's own files are: in a checkout beside lua/, installed under
---share/lunette, of a rock in share/ of the library's own folder.
local files = require "lunette.base.files"

local M = {}


---The folder of this library: .../lua/lunette, or .../share/lua/5.4/lunette.
local function here()
  return debug.getinfo(1, "S").source:match "^@(.*)/base/[^/]*$" or "."
end


---A path as a person writes it, without "a/.." and ".", where that names the same file:
---behind a link it may not.
---@param path string
---@return string
function M.plain(path)
  local parts = {}
  for part in path:gmatch "[^/]+" do
    local last = parts[#parts]
    if part == ".." and last and last ~= ".." then
      parts[#parts] = nil
    elseif part ~= "." then
      parts[#parts + 1] = part
    end
  end
  local short = (path:find "^/" and "/" or "") .. table.concat(parts, "/")
  return files.same(path, short) and short or path
end


---The first of the candidates that holds `probe`.
local function first(candidates, probe)
  for _, path in ipairs(candidates) do
    if path and files.exists(path .. "/" .. probe) then return M.plain(path) end
  end
  return candidates[#candidates]
end


---The folder with the embedded network and data files.
---@return string
function M.weights()
  local dir = here()
  return first({ os.getenv "LUNETTE_WEIGHTS" or false,
                 dir .. "/../../weights", -- of a checkout, wherever another one lies
                 dir .. "/../../../lunette/weights", dir .. "/share/weights" },
               "imagenet_labels.txt")
end


---The folder with the experiment scripts.
---@return string
function M.scripts()
  local dir = here()
  return first({ dir .. "/../../scripts", dir .. "/../../../lunette/scripts",
                 dir .. "/share/scripts" }, "saliency.lua")
end

---The folder of an XDG variable, or the one below HOME that stands for it. Folders
---that are not absolute count for nothing: none of ours is in the working folder.
---@param variable string    "XDG_DATA_HOME" ...
---@param below string       "/.local/share" ...
---@return string? folder    nil: neither the variable nor HOME names one
function M.xdg(variable, below)
  local dir, home = os.getenv(variable), os.getenv "HOME"
  if dir and dir:find "^/" then return dir end
  return home and home:find "^/" and home .. below or nil
end


---A program of the system: the first of PATH's folders that has it. Folders that are
---not absolute are left out, as the shell would not.
---@param name string
---@return string? path
function M.program(name)
  for dir in (os.getenv "PATH" or ""):gmatch "[^:]+" do
    local f = dir:find "^/" and io.open(dir .. "/" .. name, "rb")
    if f then
      f:close()
      return dir .. "/" .. name
    end
  end
  return nil
end

return M
