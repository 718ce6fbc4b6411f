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

return M
