---What is in folders, in one order on every machine.
local before = require("lunette.base.text").before
local lfs = require "lfs"

local M = {}

local pictures = { jpg = true, jpeg = true, png = true, bmp = true }


---Does a file's name end as pictures do?
---@param name string
---@return boolean
function M.is_picture(name)
  return pictures[(name:match "%.(%w+)$" or ""):lower()] or false
end


---The names in a folder, sorted, without "." and "..".
---@param folder string
---@return string[]? names, string? message
function M.names(folder)
  local ok, iterate, handle = pcall(lfs.dir, folder)
  if not ok then return nil, ("cannot read folder '%s'"):format(folder) end
  local names = {}
  for name in iterate, handle do
    if name ~= "." and name ~= ".." then names[#names + 1] = name end
  end
  table.sort(names, before)
  return names
end


---The pictures of a folder, sorted; of a file that file.
---@param path string
---@return string[]? paths, string? message
function M.pictures(path)
  local mode = lfs.attributes(path, "mode")
  if mode == "file" then return { path } end
  if mode ~= "directory" then return nil, ("no picture or folder '%s'"):format(path) end
  local names, message = M.names(path)
  if not names then return nil, message end
  local found = {}
  for _, name in ipairs(names) do
    if M.is_picture(name) then found[#found + 1] = path .. "/" .. name end
  end
  if #found == 0 then
    return nil, ("no pictures (.png, .jpg, .jpeg, .bmp) in folder '%s'"):format(path)
  end
  return found
end

return M
