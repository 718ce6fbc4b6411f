---Files: whole reads, writes that are never seen half done, folders on the way.
local core = require "lunette.core"
local lfs = require "lfs"
local text = require "lunette.base.text"

local M = {}

local MOST_STREAM = 64 << 20


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


---Whether a path names something that can be opened: a file, a device, a FIFO.
---@param path string?
---@return boolean
function M.exists(path)
  local kind = path and lfs.attributes(path, "mode")
  return kind ~= nil and kind ~= "directory"
end


---Whether a message says that something could not be written, whatever was asked for.
---@param message string
---@return boolean
function M.refused(message)
  return message:find("cannot write '", 1, true) ~= nil
    or message:find("cannot make folder '", 1, true) ~= nil
end


---What to add to the message about a path that names nothing: addresses are not
---fetched, and `~` is the shell's.
---@param path string
---@return string hint   maybe ""
function M.hint(path)
  if path:find "^%a[%w+.-]*://" then
    return "; it is an address: download the file, and name that"
  end
  if path:find "^~" then
    return "; ~ is the shell's: write it out, or os.getenv \"HOME\" .. \"/...\""
  end
  return ""
end


---Bytes of a file.
---@param path string
---@return integer? size   nil: there is no such file
function M.size(path)
  local a = lfs.attributes(path)
  return a and a.mode == "file" and a.size or nil
end


---Are two paths one file, by whatever names and links?
---@param a string
---@param b string
---@return boolean   false where one is not there
function M.same(a, b)
  local x, y = lfs.attributes(a), lfs.attributes(b)
  return x ~= nil and y ~= nil and x.dev == y.dev and x.ino == y.ino
end


---Is the path a device, FIFO or socket: neither a file nor a folder?
---@param path string
---@return boolean
function M.is_special(path)
  local kind = lfs.attributes(path, "mode")
  return kind ~= nil and kind ~= "directory" and kind ~= "file"
end


---Writes a set of files: all of them whole, or none. Old files stay until the new ones
---are on the disk, missing folders are made, links are followed, and what is no regular
---file (/dev/null, /dev/stdout, a FIFO) is written to as it is.
---@param list { [1]: string, [2]: string|any[] }[]   path and bytes of each, or a list
---  of parts (core.write_files)
---@return true? ok, string? message
function M.write_set(list)
  for _, entry in ipairs(list) do
    local ok, message = M.mkdir((M.split(entry[1])))
    if not ok then return nil, message end
  end
  io.stdout:flush() -- one of them may be the same descriptor
  return core.write_files(list)
end


---Writes one file, whole or not at all: see write_set.
---@param path string
---@param bytes string|any[]   or a list of parts
---@return string? path, string? message
function M.write(path, bytes)
  local ok, message = M.write_set { { path, bytes } }
  if not ok then return nil, message end
  return path
end


---What a device or a pipe gives, which may have no end: at most MOST_STREAM bytes.
local function read_stream(f)
  local parts, size = {}, 0
  while true do
    local part, message = f:read(1 << 16)
    if not part then
      if message then return nil, message end
      return table.concat(parts)
    end
    parts[#parts + 1], size = part, size + #part
    if size > MOST_STREAM then
      return nil, ("it is no file, and gives more than %d MB"):format(MOST_STREAM >> 20)
    end
  end
end


---@param path string
---@return string? bytes, string? message
function M.read(path)
  local f, message = io.open(path, "rb")
  if not f then return nil, text.escape(message) end
  local bytes
  if lfs.attributes(path, "mode") == "file" then
    bytes, message = f:read "a"
  else
    bytes, message = read_stream(f)
  end
  f:close()
  if not bytes then
    return nil, ("cannot read '%s': %s"):format(text.escape(path), message)
  end
  return bytes
end

return M
