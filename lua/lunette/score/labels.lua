---Class names: ids as the data set counts them (from 0), and back from names.
---
---  labels.find("hen")        --> 8
---  labels.name(33)           --> "loggerhead"
---  labels.find("turtle")     --> nil, "class 'turtle' is ambiguous: ..."
local blame = require "lunette.base.blame"
local sets = require "lunette.score.sets"
local suggest = require "lunette.base.suggest"

local M = {}


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
  local known, message = sets.of(set)
  return known and known.names, message
end


---The name of a class.
---@param id integer                  from 0
---@param what? string|lunette.Net
---@return string? name, string? message
function M.name(id, what)
  local names, message = M.of(what)
  if not names then return nil, message end
  if not math.tointeger(id) then
    blame(("labels.name: a class id is a whole number from 0 to %d, got %s"):format(
          #names - 1, require("lunette.base.types").told(id)))
  end
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
    local words = (" " .. text .. " "):gsub(",", " ")
    if name == typed then return { i - 1 }, inside end
    if text == want then
      same[#same + 1] = i - 1
    elseif want ~= "" and words:find(" " .. want .. " ", 1, true) then
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
  local hint = "; did you mean " .. listed(names, ids) .. "?"
  if #ids == 0 then
    local few = #names <= 20 and ": " .. table.concat(names, ", ") or ""
    hint = ("; there are %d, ids 0 to %d%s"):format(#names, #names - 1, few)
  end
  return nil, ("class '%s' not found%s"):format(typed, hint)
end


---WordNet ids of a network's classes: those of its set, or those that came with its
---own names and still belong to them.
local function synsets_of(what)
  local set = what == nil and "imagenet" or what
  if type(set) ~= "string" and type(set.labels) == "string" then set = set.labels end
  if type(set) == "string" then
    local known = sets.of(set)
    return known and known.synsets
  end
  local meta = set.meta or {}
  if not meta.label_ids or require("lunette.base.json").encode(set.labels)
     ~= meta.labels then
    return nil
  end
  return require("lunette.base.json").decode(meta.label_ids)
end


---The class that is this synset: by the ids that are known, else by the name that
---ImageNet has for it; nil where it may still be a name.
local function by_wordnet(synset, names, what)
  local known = synsets_of(what)
  local at = sets.place_of(known, synset)
  if at then return at - 1 end
  local name = not known and sets.wordnet_name(synset)
  at = name and sets.place_of(names, name)
  return at and at - 1
end


---The id of a class by its name, by one word that only this class has, by its WordNet
---id ("n01514859"), or by its number. Case, hyphens and underscores do not matter.
---@param name string|integer
---@param what? string|lunette.Net    whose classes; default ImageNet's
---@return integer? id                from 0
---@return string? message            unknown: the nearest names; ambiguous: all
function M.find(name, what)
  if type(name) ~= "string" and math.type(name) ~= "integer" then
    blame(("labels.find: expected a name or a number, got %s"):format(type(name)))
  end
  local names, message = M.of(what)
  if not names then return nil, message end
  local id = math.tointeger(tonumber(name))
  if id then
    if names[id + 1] then return id end
    return nil, ("class %d is outside 0 .. %d"):format(id, #names - 1)
  end
  id = sets.is_wordnet(name) and by_wordnet(name, names, what)
  if id then return id end
  local same, inside = matches(names, name)
  local found = #same > 0 and same or inside
  if #found == 1 then return found[1] end
  if #found == 0 then return not_found(names, name) end
  return nil, ("class '%s' is ambiguous: %s"):format(name, listed(names, found))
end

return M
