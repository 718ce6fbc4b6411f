---What a picture of `explain` is called: by its photograph, method, class and rules,
---and never like another that is there: two photographs of one name, two layers or two
---networks give two files; the same again replaces the one it made before.
local files = require "lunette.base.files"
local json = require "lunette.base.json"

local M = {}

---Facts of a story that may differ between two runs of one command.
local volatile = { commit = true, version = true, isa = true }


local function alike(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not volatile[key] and not alike(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if not volatile[key] and a[key] == nil then return false end
  end
  return true
end


---Is this the story of the picture at `path`? It is read from the .json beside it.
local function is_of(path, story)
  local text = files.read((path:gsub("%.png$", ".json")))
  local record = text and json.decode(text)
  for _, row in ipairs(type(record) == "table" and record.rows or {}) do
    local own = type(row) == "table" and row.story
    if own and alike(own, story) then return true end
  end
  return false
end


---A word of a file's name.
local function word(s) return (tostring(s):gsub("[^%w._+-]", "_"):sub(1, 60)) end


---@param folder string
---@param names string[]     the photographs
---@param o { method: string, class?: string, modifier: string[] }
---@param story table        of the map
---@return string path
function M.choose(folder, names, o, story)
  local base = (names[1] or "scene"):match "([^/]*)$":gsub("%.%w+$", "")
  if #names > 1 then base = ("%s+%d"):format(base, #names - 1) end
  local parts = { word(base), o.method }
  if o.class then parts[#parts + 1] = "class-" .. word(o.class) end
  for _, rule in ipairs(o.modifier) do parts[#parts + 1] = word(rule) end
  parts[#parts + 1] = o.fit
  local stem = ("%s/%s"):format(folder:gsub("/+$", ""), table.concat(parts, "_"))
  story = json.decode(json.encode(story)) -- as it reads back
  for i = 1, math.maxinteger do
    local path = i == 1 and stem .. ".png" or ("%s-%d.png"):format(stem, i)
    if not files.exists(path) or is_of(path, story) then return path end
  end
end

return M
