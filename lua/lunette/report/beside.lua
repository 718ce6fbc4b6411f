---Files beside a page, for reports of thousands of maps: pictures as they are, maps as
---scripts, since a page that was opened from a disk may read no other files.
local files = require "lunette.base.files"

local M = {}


---Not synced one by one: the page, which names them, comes last.
local function write(path, bytes)
  local f, message = io.open(path, "wb")
  if not f then return nil, message end
  local ok
  ok, message = f:write(bytes)
  local closed, why = f:close()
  if ok and closed then return true end
  return nil, ("cannot write '%s': %s"):format(path, message or why)
end


---The name of a block: thousands in a folder are slow to list.
---@param kind string   "m" map, "p" picture
---@param id integer
---@return string
function M.name(kind, id)
  return ("%s%03d/%s%d%s"):format(kind, id // 1000, kind, id,
                                  kind == "m" and ".js" or ".jpg")
end


---What takes the blocks of a page.
---@param folder string
---@return fun(kind: string, id: integer, bytes: string): boolean?, string?
function M.writer(folder)
  local made = {}
  return function(kind, id, bytes)
    local path = folder .. "/" .. M.name(kind, id)
    local above = files.split(path)
    if not made[above] then
      local ok, message = files.mkdir(above)
      if not ok then return nil, message end
      made[above] = true
    end
    if kind == "m" then bytes = ("lunetteBlock(%d, %s);\n"):format(id, bytes) end
    return write(path, bytes)
  end
end

return M
