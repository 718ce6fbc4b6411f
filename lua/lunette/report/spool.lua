---What a page of thousands of maps says of each, on the disk instead of in memory:
---JSON values as the elements of a list, and texts one after the other.
local core = require "lunette.core"
local files = require "lunette.base.files"
local html = require "lunette.report.html"

local M = {}

---@class lunette.Spool
---@field file file*        that holds it, for files.write_set
---@field count integer     of values
local Spool = {}
Spool.__index = Spool


---The folder of a page that is not written yet; of a device, as /dev/stdout, that of
---temporary files.
local function folder_of(path)
  if files.is_special(path) then return os.getenv "TMPDIR" or "/tmp" end
  local folder = files.split(path)
  local ok, message = files.mkdir(folder)
  return ok and folder, message
end


---@param path string   of the page: the spool lies on the same disk
---@return lunette.Spool? spool, string? message
function M.new(path)
  local folder, message = folder_of(path)
  if not folder then return nil, message end
  local file
  file, message = core.spool(folder)
  if not file then return nil, message end
  return setmetatable({ file = file, count = 0 }, Spool)
end


---@param text string
---@return true? ok, string? message
function Spool:text(text)
  local ok, message = self.file:write(text)
  return ok and true, message and "cannot write the page's parts: " .. message
end


---Adds a value to the list.
---@param value any
---@return integer? count, string? message
function Spool:add(value)
  local ok, message = self:text((self.count > 0 and "," or "") .. html.json(value))
  if not ok then return nil, message end
  self.count = self.count + 1
  return self.count
end

return M
