---Class names: ids as the data set counts them (from 0), and back from names.
---
---  labels.find("hen")        --> 8
---  labels.name(33)           --> "loggerhead"
---  labels.find("turtle")     --> nil, "class 'turtle' is ambiguous: ..."
local suggest = require "lunette.base.suggest"

local M = {}

local sets = {} -- name -> list, read once


-- weights/NAME_labels.txt: lines of id, tab, name; `#` begins a comment.
local function read(set)
  local path = ("%s/%s_labels.txt"):format(require("lunette.base.paths").weights(), set)
  local f, message = io.open(path, "r")
  if not f then return nil, "labels: " .. message end
  local list = {}
  for line in f:lines() do
    local id, name = line:match("^(%d+)\t(.+)$")
    if id then list[math.tointeger(tonumber(id)) + 1] = name end
  end
  f:close()
  return list
end


---The names of a set, or of a network's classes, as a list: class id c is at c + 1.
---@param what? string|lunette.Net   "imagenet" (default), or a network
---@return string[]? names, string? message   nil where the network has no names
function M.of(what)
  local set = what == nil and "imagenet" or what
  if type(set) ~= "string" then
    local net = set
    set = net.labels
    if not set then
      return nil, ("network '%s' has no class names; give the class by its number")
        :format(tostring(net.name))
    end
  end
  if type(set) == "table" then return set end
  if not sets[set] then
    local list, message = read(set)
    if not list then return nil, message end
    sets[set] = list
  end
  return sets[set]
end


---The name of a class.
---@param id integer                  from 0
---@param what? string|lunette.Net
---@return string? name, string? message
function M.name(id, what)
  local names, message = M.of(what)
  if not names then return nil, message end
  if names[id + 1] then return names[id + 1] end
  return nil, ("class %d is outside 0 .. %d"):format(id, #names - 1)
end


-- How names are compared: case, underscores and hyphens do not matter.
local function plain(name)
  return (name:lower():gsub("[_%-%s]+", " "):gsub("^ ", ""):gsub(" $", ""))
end


-- Ids of the names that are `typed`, and of those that have it among their words.
-- A name in the very same letters wins: ImageNet has Cardigans and cardigans.
local function matches(names, typed)
  local same, inside = {}, {}
  local want = plain(typed)
  for i, name in ipairs(names) do
    local text = plain(name)
    if name == typed then return { i - 1 }, inside end
    if text == want then
      same[#same + 1] = i - 1
    elseif want ~= "" and (" " .. text .. " "):find(" " .. want .. " ", 1, true) then
      inside[#inside + 1] = i - 1
    end
  end
  return same, inside
end


local function listed(names, ids)
  local out = {}
  for i, id in ipairs(ids) do
    if i > 5 then
      out[i] = ("and %d more"):format(#ids - 5)
      break
    end
    out[i] = ("'%s' (%d)"):format(names[id + 1], id)
  end
  return table.concat(out, ", ")
end


local function not_found(names, typed)
  local ids = {}
  for i, name in ipairs(suggest.nearest(plain(typed), names)) do
    for id, other in ipairs(names) do
      if other == name then ids[i] = id - 1 end
    end
  end
  return nil, ("class '%s' not found%s"):format(typed,
    #ids > 0 and "; did you mean " .. listed(names, ids) .. "?" or "")
end


---The id of a class by its name, by one word that only this class has, or by its
---number. Case, hyphens and underscores do not matter.
---@param name string|integer
---@param what? string|lunette.Net    whose classes; default ImageNet's
---@return integer? id                from 0
---@return string? message            unknown: the nearest names; ambiguous: all
function M.find(name, what)
  if type(name) ~= "string" and math.type(name) ~= "integer" then
    error(("labels.find: expected a name or a number, got %s"):format(type(name)), 2)
  end
  local names, message = M.of(what)
  if not names then return nil, message end
  local id = math.tointeger(tonumber(name))
  if id then
    if names[id + 1] then return id end
    return nil, ("class %d is outside 0 .. %d"):format(id, #names - 1)
  end
  local same, inside = matches(names, name)
  local found = #same > 0 and same or inside
  if #found == 1 then return found[1] end
  if #found == 0 then return not_found(names, name) end
  return nil, ("class '%s' is ambiguous: %s"):format(name, listed(names, found))
end

return M
