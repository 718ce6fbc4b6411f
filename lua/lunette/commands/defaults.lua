---What is explained when nothing is named: an installed VGG16 and the pictures of
---LUNETTE_IMAGES, or else the embedded network and scenes that Lunette draws.
local lfs = require "lfs"
local load = require "lunette.weights.load"

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


---Photographs that the folders of LUNETTE_IMAGES may hold, with their ImageNet ids.
local photographs = {
  { "n01514859_hen.JPEG", 8 }, { "n01608432_kite.JPEG", 21 },
  { "n01664065_loggerhead.JPEG", 33 }, { "n01440764_tench.JPEG", 0 },
}

---Others, with the name of what they show.
local small = { { "panda_1.jpeg", "red panda" }, { "car_1.jpeg", "sport car" } }


---Those of `list` that are here: {path, id or name} each.
local function find(list)
  local found = {}
  for dir in (os.getenv "LUNETTE_IMAGES" or ""):gmatch "[^:]+" do
    for _, p in ipairs(list) do
      local path = dir .. "/" .. p[1]
      if readable(path) then found[#found + 1] = { path, p[2] } end
    end
  end
  return found
end


---Pictures of classes that the network has, with their ids; where we have pictures of
---none of its classes, the photographs, with the class "predicted".
local function known_to(net)
  if net.labels == "imagenet" then return find(photographs) end
  local labels, found = require "lunette.score.labels", {}
  for _, p in ipairs(net.labels and find(small) or {}) do
    local id = labels.find(p[2], net)
    if id then found[#found + 1] = { p[1], id } end
  end
  if #found > 0 then return found end
  found = find(photographs)
  for _, p in ipairs(found) do p[2] = "predicted" end
  return found
end


---Default pictures of a network.
---@param net lunette.Net
---@return any[]? pictures   paths or pictures, as net:images takes them
---@return any classes        ids, one each, or the message
---@return string[]? names
function M.pictures(net)
  if net.meta.examples == "glyphs" then
    local scenes = require("lunette.glyphs").default_images(4)
    return scenes.images, scenes.labels, scenes.names
  end
  local found, paths, classes = known_to(net), {}, {}
  for i, p in ipairs(found) do paths[i], classes[i] = p[1], p[2] end
  if #paths == 0 then
    return nil, ("no pictures named, and none are known for %s"):format(net.name)
  end
  return paths, classes
end

return M
