---Files of other formats, imported on the spot: first into the cache, after one line
---that says so; later the copy is found by the checksum of the file.
local files = require "lunette.base.files"
local paths = require "lunette.base.paths"
local text = require "lunette.base.text"

local M = {}

---Raised when an importer reads the same file as another network.
local VERSION = 2


---Where imported copies are kept: $XDG_CACHE_HOME/lunette or ~/.cache/lunette. Nothing
---but time is lost with it.
---@return string? folder
function M.folder()
  local cache = paths.xdg("XDG_CACHE_HOME", "/.cache")
  return cache and cache .. "/lunette/imported"
end


---The copy's name: the file's, its checksum's beginning, the importer's number; none
---where there is no folder, or a side was asked for.
local function place(path, sum, side)
  local folder = M.folder()
  if not folder or side then return nil end
  local base = path:match "([^/]+)$":gsub("[^%w._-]", "_"):sub(1, 80)
  return ("%s/%s-%s-%d.safetensors"):format(folder, base, sum:sub(1, 24), VERSION)
end


---A copy in our format of a file of any other that can be imported.
---@param path string
---@param side? integer|integer[]   where the file leaves the size open; such a copy is
---  for this time only
---@return string? copy, string? message
---@return boolean? once   the copy is for this time only: remove it
function M.copy_of(path, side)
  local import = require "lunette.weights.import"
  if not files.exists(path) then
    return nil, path .. ": no such file, or unreadable (No such file or directory)"
  end
  local sums, message = import.program.digests(path, { "sha256" })
  if not sums then return nil, ("%s: %s"):format(path, message) end
  local copy, once = place(path, sums.sha256, side), false
  if copy and files.exists(copy) then return copy end
  local found
  found, message = import.list(path)
  if not found then return nil, ("%s: %s"):format(path, message) end
  if copy and not files.mkdir((files.split(copy))) then copy = nil end
  if copy then
    text.complain(("importing %s into the cache (%s)"):format(path, copy))
  else
    copy, once = os.tmpname(), true
    os.remove(copy)
  end
  local out, report = import(path, { out = copy, force = true, side = side,
                                      resized = true })
  if not out then return nil, report end
  return out, nil, once or report.outside
end

return M
