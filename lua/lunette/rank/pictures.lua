---A folder of one's own as the pictures of a ranking, with masks where there are any.
local lfs = require "lfs"
local text = require "lunette.base.text"

local M = {}

local suffixes = { "png", "jpg", "jpeg", "bmp" } -- of masks


local function stem(path) return path:match "[^/]*$":gsub("%.%w+$", "") end


---The mask of a picture (1,H,W): the file of its name in the masks' folder, brought to
---the network's size as the picture is; the object is what is brighter than half.
local function mask_of(net, path, masks)
  for _, suffix in ipairs(suffixes) do
    local name = ("%s/%s.%s"):format(masks, stem(path), suffix)
    if lfs.attributes(name, "mode") == "file" then
      local images, message = net:images { image = { name }, filter = "nearest" }
      if not images then return nil, message end
      local levels = images.pictures[1]
      local grey = levels:mean { dims = { 1 } }
      return grey:gt(127.5):view(1, levels:dim(2), levels:dim(3))
    end
  end
  return nil
end


---@param net lunette.Net
---@param paths string[]
---@param masks? string   a folder of pictures of the same names, white on the object
---@return lunette.RankSource
function M.source(net, paths, masks)
  local told = ("%s from %s%s"):format(text.count(#paths, "picture"), paths[1],
    masks and ", masks in " .. masks or "")
  return { count = #paths, name = told, get = function(i)
    local x, message = net:images { paths[i] }
    if not x then error(message, 0) end
    local mask, wrong = nil, nil
    if masks then mask, wrong = mask_of(net, paths[i], masks) end
    if wrong then error(wrong, 0) end
    local some = mask and mask:sum():item() > 0 and mask:mean():item() < 1
    return { name = paths[i], x = x, mask = some and mask or nil }
  end }
end


return M
