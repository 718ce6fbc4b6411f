---What a picture of `explain` is called: by its photograph, method, class and rules,
---and never like another that is there: two photographs of one name, two layers or two
---networks give two files; the same again replaces the one it made before.
local files = require "lunette.base.files"
local json = require "lunette.base.json"
local file_word = require("lunette.base.text").file_word

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
local function word(s) return file_word(tostring(s), 60) end


---The name without a suffix of what explains a photograph: its own name, the method,
---the class and the rules.
local function stem(name, more, o)
  local base = name:match "([^/]*)$":gsub("%.%w+$", "") .. more
  local parts = { word(base), o.method }
  if o.class then parts[#parts + 1] = "class-" .. word(o.class) end
  for _, rule in ipairs(o.modifier) do parts[#parts + 1] = word(rule) end
  parts[#parts + 1] = o.fit
  return table.concat(parts, "_")
end


---@param folder string
---@param names string[]     the photographs
---@param o { method: string, class?: string, modifier: string[] }
---@param story table        of the map
---@return string path
function M.choose(folder, names, o, story)
  local more = #names > 1 and ("+%d"):format(#names - 1) or ""
  local base = ("%s/%s"):format(folder:gsub("/+$", ""),
                                stem(names[1] or "scene", more, o))
  story = json.decode(json.encode(story)) -- as it reads back
  for i = 1, math.maxinteger do
    local path = i == 1 and base .. ".png" or ("%s-%d.png"):format(base, i)
    if not files.exists(path) or is_of(path, story) then return path end
  end
end


---Options that a name says itself, or that change nothing of what is written.
local unsaid = {}
for key in ([[method class modifier fit out image list match json quiet each keep_going
  save beside threads model flag_layer]]):gmatch "%S+" do
  unsaid[key] = true
end


---Network and layer, and a few digits for all other options that were given, so that
---what differs in them does not replace each other; "" where none were.
---@param o table   the command's options
---@param chosen string?   the network, where one was named
local function tail(o, chosen)
  local parts, keys = {}, {}
  if chosen then
    parts[1] = "_" .. word(chosen:match "([^/]*)$":gsub("%.%w+$", ""))
  end
  if o.flag_layer then parts[#parts + 1] = "_" .. word(o.flag_layer) end
  for key, value in pairs(o) do
    local given = type(value) ~= "table" and value and not unsaid[key]
    if given and not (key == "scale" and value == 1) then
      keys[#keys + 1] = key .. "=" .. tostring(value)
    end
  end
  if #keys == 0 then return table.concat(parts) end
  table.sort(keys)
  local sum = 5381
  for c in table.concat(keys, "\n"):gmatch "." do
    sum = (sum * 33 + c:byte()) & 0xFFFFFF
  end
  return table.concat(parts) .. ("_%06x"):format(sum)
end


---A name that is not taken yet: STEM.png, STEM-2.png ...
local function free(base, taken)
  local path, n = base .. ".png", 1
  while taken[path] do
    n = n + 1
    path = ("%s-%d.png"):format(base, n)
  end
  taken[path] = true
  return path
end


---Is a path one of these files, by whatever name?
local function is_one(path, list)
  if not files.exists(path) then return false end
  for _, other in ipairs(list) do
    if files.same(path, other) then return true end
  end
  return false
end


---The file of every picture of many: by its name, in the folders that it has below the
---one that was named; a second one of a name gets -2.
---@param inputs lunette.Input[]
---@param o table          the command's options
---@param chosen? string   the network, where one was named
---@return string[]? paths, string? message   where one would replace a picture
function M.each(inputs, o, chosen)
  local paths, taken, own = {}, {}, {}
  for _, input in ipairs(inputs) do own[#own + 1] = input.path end
  local root, more = o.out:gsub("/+$", ""), tail(o, chosen)
  for i, input in ipairs(inputs) do
    local folder = input.below == "" and root or root .. "/" .. input.below
    local path = free(("%s/%s%s"):format(folder, stem(input.path, "", o), more), taken)
    if is_one(path, own) then
      return nil, ("'%s' would be replaced, and is to be explained: give another --out"
        ):format(path)
    end
    paths[i] = path
  end
  return paths
end

return M
