---Sets of classes that come with Lunette: their names and their WordNet ids.
local M = {}

---@class lunette.ClassSet
---@field names string[]     class id c is at c + 1
---@field synsets string[]   "n01440764"; "" where a class has none

---@type table<string, lunette.ClassSet>
local sets = {} -- read once


---The message about a set that is not there.
local function no_set(name, folder)
  local known = {}
  for file in require "lfs".dir(folder) do
    known[#known + 1] = file:match "^(.*)_labels%.txt$"
  end
  table.sort(known)
  return ("labels: there is no set of class names '%s'%s (there are: %s)"):format(name,
    require "lunette.base.suggest".after(name, known), table.concat(known, ", "))
end


---A set, from weights/NAME_labels.txt: lines of id, name, WordNet id with tabs between;
---`#` begins a comment.
---@param name string
---@return lunette.ClassSet? set, string? message
function M.of(name)
  if sets[name] then return sets[name] end
  local folder = require("lunette.base.paths").weights()
  local f = io.open(("%s/%s_labels.txt"):format(folder, name), "r")
  if not f then return nil, no_set(name, folder) end
  local set = { names = {}, synsets = {} }
  for line in f:lines() do
    local id, class, synset = line:match("^(%d+)\t([^\t]+)\t?(.*)$")
    if id then
      local i = math.tointeger(tonumber(id)) + 1
      set.names[i], set.synsets[i] = class, synset
    end
  end
  f:close()
  sets[name] = set
  return set
end


---Is this an id of WordNet's nouns, "n02123045"?
---@param name any
---@return boolean
function M.is_wordnet(name)
  return type(name) == "string" and name:find "^n%d%d%d%d%d%d%d%d$" ~= nil
end


---Place of a value in a list.
---@param list? any[]
---@param value any
---@return integer?
function M.place_of(list, value)
  for i, one in ipairs(list or {}) do
    if one == value then return i end
  end
  return nil
end


---ImageNet's name of a synset.
---@param synset string   "n02123045"
---@return string? name   "tabby"
function M.wordnet_name(synset)
  local set = M.of "imagenet"
  local at = set and M.place_of(set.synsets, synset)
  return at and set.names[at]
end

return M
