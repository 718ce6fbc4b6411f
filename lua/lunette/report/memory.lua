---Maps that a script has made, as entries of a page.
local blame = require "lunette.base.blame"
local options = require "lunette.base.options"
local stories = require "lunette.explain.story"

local M = {}


---The ranked classes of a run's pictures, of the output that a map explains.
local function classes_of(run, map)
  local output = map.story.output
  output = type(output) == "string" and run.outputs[output] and output or nil
  local ok, list = pcall(run.top, run, math.maxinteger, output)
  return ok and list or {}
end


---Were two maps made of the same network, pictures and modifiers, for one output?
local function same_origin(a, b, output)
  local one, other = a.run_modifiers or {}, b.run_modifiers or {}
  if a.output ~= output then return false end
  if a.net ~= b.net or a.images ~= b.images or #one ~= #other then return false end
  for i, modifier in ipairs(one) do
    if modifier ~= other[i] then return false end
  end
  return true
end


---The ranked classes of a map's pictures, from the given run, or from one more run of
---the network, which is shared by all maps of the same origin.
---@param known table[]   of those runs
local function ranking_of(map, run, known)
  local origin = map.origin
  if run then
    local output = map.story.output or ""
    known.given = known.given or {}
    known.given[output] = known.given[output] or classes_of(run, map)
    return known.given[output]
  end
  if not origin then return {} end
  for _, k in ipairs(known) do
    if same_origin(k.origin, origin, map.story.output) then return k.classes end
  end
  local made <close> = origin.net:run(origin.images,
    { modifiers = origin.run_modifiers })
  local key = { net = origin.net, images = origin.images,
                run_modifiers = origin.run_modifiers, output = map.story.output }
  known[#known + 1] = { origin = key, classes = classes_of(made, map) }
  return known[#known].classes
end


---The pictures of a map, and their names.
local function pictures_of(map, run)
  local images = run and run.images or map.origin and map.origin.images
  return images and images.pictures or {}, images and images.names or {}
end


---Entry i of a map of several pictures and classes.
local function entry_of(map, at, n, rankings, pictures, names, net)
  local i = (at - 1) % n + 1
  local ranking, story = rankings[i] or {}, map.story
  local name = names[i] or "picture " .. i
  local is_file = require("lunette.base.files").exists(name)
  return { path = is_file and name or nil, name = name:match "([^/]*)$", net = net,
           image = pictures[i], story = story, model = story.model or "?",
           class = stories.class_of(story, ranking, at, (story.class_names or {})[at]),
           top = { table.unpack(ranking, 1, 5) }, trust = (story.trust or {})[i],
           values = function() return map:dim() == 2 and map or map[at] end }
end


---Adds the maps of one tensor.
local function add(list, map, run, known)
  if not options.is_tensor(map) or not map.story then
    blame("report: maps are what a method returns (a tensor with a story)")
  end
  local rankings = ranking_of(map, run, known)
  local net = run and run.net or map.origin and map.origin.net
  local pictures, names = pictures_of(map, run)
  local count = map:dim() == 2 and 1 or map:dim(1)
  local n = count // (map.story.maps or 1)
  for at = 1, count do
    list[#list + 1] = function()
      return entry_of(map, at, n, rankings, pictures, names, net)
    end
  end
end


---The entries of maps.
---@param maps lunette.Tensor|lunette.Tensor[]
---@param run? lunette.Run   of their pictures
---@return lunette.ReportSource
function M.read(maps, run)
  local source, known = { entries = {}, errors = {} }, {}
  for _, map in ipairs(options.is_tensor(maps) and { maps } or maps) do
    add(source.entries, map, run, known)
  end
  return source
end

return M
