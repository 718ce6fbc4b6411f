---What is explained when nothing is named: an installed VGG16 and the pictures of
---LUNETTE_IMAGES, or else the embedded network and scenes that Lunette draws.
local lfs = require "lfs"
local load = require "lunette.load"

local M = {}


local function readable(path) return lfs.attributes(path, "mode") == "file" end


---The model to use when a script's own default is not on this machine.
---@param wanted string   the script's default, "vgg16"
---@return string name, string? note   the note says what was done instead
function M.model(wanted)
  if wanted:find "[/.]" or load.find(wanted) then return wanted end
  if load.find "glyphs" then
    return "glyphs", ("no weights of %s here: using the embedded network 'glyphs' and "
      .. "generated scenes (`lunette models get %s` or `lunette import FILE` brings %s)"
      ):format(wanted, wanted, wanted)
  end
  return wanted
end


---Photographs in the folders of LUNETTE_IMAGES whose ImageNet id is known.
local photographs = {
  { "n01514859_hen", 8 }, { "n01608432_kite", 21 }, { "n01664065_loggerhead", 33 },
  { "n01440764_tench", 0 },
}


local function find_photographs()
  local found = {}
  for dir in (os.getenv "LUNETTE_IMAGES" or ""):gmatch "[^:]+" do
    for _, p in ipairs(photographs) do
      local path = dir .. "/" .. p[1] .. ".JPEG"
      if readable(path) then found[#found + 1] = { path, p[2] } end
    end
  end
  return found
end


---Default pictures of a network.
---@param net lunette.Net
---@return any? pictures, any message_or_classes   what net:images takes; class ids
function M.pictures(net)
  if net.meta.data == "glyphs" or net.name == "glyphs" or net.meta.name == "glyphs" then
    local scenes = require("lunette.glyphs").default_images(4)
    return scenes.images, scenes.labels, scenes.names
  end
  local found, paths, classes = find_photographs(), {}, {}
  for i, p in ipairs(found) do paths[i], classes[i] = p[1], p[2] end
  if #paths == 0 then
    return nil, ("no pictures named, and none are known for %s"):format(net.name)
  end
  return paths, classes
end

return M
