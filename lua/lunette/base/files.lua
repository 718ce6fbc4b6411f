---Files: whole reads, writes that are never seen half done, folders on the way.
local lfs = require "lfs"

local M = {}


---The folder part of a path ("." when it has none) and the rest.
---@param path string
---@return string folder, string name
function M.split(path)
  local folder, name = path:match "^(.*)/([^/]*)$"
  if not folder then return ".", path end
  return folder == "" and "/" or folder, name
end


---Makes a folder and those above it.
---@param path string
---@return true? ok, string? message
function M.mkdir(path)
  if lfs.attributes(path, "mode") == "directory" then return true end
  local above = M.split(path)
  if above ~= path and above ~= "." then
    local ok, message = M.mkdir(above)
    if not ok then return nil, message end
  end
  local ok, message = lfs.mkdir(path)
  if ok or lfs.attributes(path, "mode") == "directory" then return true end
  return nil, ("cannot make folder '%s': %s"):format(path, message)
end


---A name beside `path` that no other process uses: the address of a new table
---differs from run to run, and math.random stays the user's own.
local function beside(path)
  local unique = tostring({}):gsub("%W", "") .. os.time()
  return ("%s.%s.part"):format(path, unique)
end


---Writes a file so that readers see the old one or the whole new one: into a
---temporary file in the same folder, then renamed. Missing folders are made.
---@param path string
---@param bytes string
---@return string? path, string? message
function M.write(path, bytes)
  local ok, message = M.mkdir((M.split(path)))
  if not ok then return nil, message end
  local part = beside(path)
  local f
  f, message = io.open(part, "wb")
  if not f then return nil, ("cannot write '%s': %s"):format(path, message) end
  ok, message = f:write(bytes)
  local closed, why = f:close() -- a full disk may show only here
  if ok and closed then ok, message = os.rename(part, path) end
  if not (ok and closed) then
    os.remove(part)
    return nil, ("cannot write '%s': %s"):format(path, tostring(message or why))
  end
  return path
end


---@param path string
---@return string? bytes, string? message
function M.read(path)
  local f, message = io.open(path, "rb")
  if not f then return nil, message end
  local bytes
  bytes, message = f:read "a"
  f:close()
  if not bytes then return nil, ("cannot read '%s': %s"):format(path, message) end
  return bytes
end

return M
