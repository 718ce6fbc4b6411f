---Maps that a script has made, as entries of a page.
local blame = require "lunette.base.blame"
local options = require "lunette.base.options"

local M = {}


---The classes of the pictures of a map: by the run that was given, or by one more run
---of what made the map.
local function ranking_of(map, run)
  local origin = map.origin
  if not run and not origin then return {} end
  local made <close> = not run and origin.net:run(origin.images,
    { modifiers = origin.run_modifiers }) or nil
  run = run or made
  local ok, list = pcall(run.top, run, math.maxinteger)
  return ok and list or {}
end


---The pictures of a map, and their names.
local function pictures_of(map, run)
  local images = run and run.images or map.origin and map.origin.images
  return images and images.pictures or {}, images and images.names or {}
end


local function class_of(map, ranking, at, name)
  local id = (map.story.classes or {})[at]
  for _, c in ipairs(id and ranking or {}) do
    if c.class == id then return c end
  end
  return id and { class = id, name = name } or nil
end


---Entry i of a map of several pictures and classes.
local function entry_of(map, at, n, rankings, pictures, names)
  local i = (at - 1) % n + 1
  local ranking, story = rankings[i] or {}, map.story
  local name = names[i] or "picture " .. i
  local is_file = require("lunette.base.files").exists(name)
  return { path = is_file and name or nil, name = name:match "([^/]*)$",
           image = pictures[i], story = story, model = story.model or "?",
           class = class_of(map, ranking, at, (story.class_names or {})[at]),
           top = { table.unpack(ranking, 1, 5) }, trust = (story.trust or {})[i],
           values = function() return map:dim() == 2 and map or map[at] end }
end


---Adds the maps of one tensor.
local function add(list, map, run)
  if not options.is_tensor(map) or not map.story then
    blame("report: maps are what a method returns (a tensor with a story)")
  end
  local rankings = ranking_of(map, run)
  local pictures, names = pictures_of(map, run)
  local count = map:dim() == 2 and 1 or map:dim(1)
  local n = count // (map.story.maps or 1)
  for at = 1, count do
    list[#list + 1] = function()
      return entry_of(map, at, n, rankings, pictures, names)
    end
  end
end


---The entries of maps.
---@param maps lunette.Tensor|lunette.Tensor[]
---@param run? lunette.Run   of their pictures
---@return lunette.ReportSource
function M.read(maps, run)
  local source = { entries = {}, errors = {} }
  for _, map in ipairs(options.is_tensor(maps) and { maps } or maps) do
    add(source.entries, map, run)
  end
  return source
end

return M
