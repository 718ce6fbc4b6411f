---What lies in a folder that `lunette explain --save npy,json` or `lunette sweep`
---filled: its maps one after the other, with all that is written down of them.
local files = require "lunette.base.files"
local folders = require "lunette.base.folders"
local json = require "lunette.base.json"
local lfs = require "lfs"
local npy = require "lunette.picture.npy"

local M = {}

---@class lunette.ReportEntry
---@field path? string        of the photograph
---@field name string         what the picture is called
---@field image? userdata     the picture, where it is no file
---@field net? lunette.Net    that made the map, where it is at hand
---@field key? string         what tells this picture from others, where it is no file
---@field story table
---@field model string
---@field class? table        {class, name, probability, score} that the map explains
---@field top table[]         the most probable classes
---@field warnings? string[]
---@field values fun(): lunette.Tensor?, string?   the map, (H,W) or (C,H,W)
---@field file? string        where the values come from

---@class lunette.ReportSource
---@field entries (fun(): lunette.ReportEntry?, string?)[]   read when they are called
---@field errors { path: string, message: string }[]


-- where entries stand ----------------------------------------------------------------


---A list of functions, made when they are asked for: of each of thousands of maps no
---more is kept than a path that is shared and a number.
local Entries = {}

function Entries.__len(list) return #list.numbers end

function Entries.__index(list, i)
  local number = list.numbers[i]
  if not number then return nil end
  local read, path = list.reads[i], list.paths[i]
  return function() return read(path, number) end
end


local function entries() -- raw fields: no integer is among them
  return setmetatable({ numbers = {}, reads = {}, paths = {} }, Entries)
end


---@param list table
---@param read fun(path: string, number: integer): lunette.ReportEntry?, string?
---@param path string
---@param number integer
local function put(list, read, path, number)
  local i = #list + 1
  list.numbers[i], list.reads[i], list.paths[i] = number, read, path
end


local MOST <const> = (1 << 21) - 1 -- more than any option counts to


---Numbers up to MOST as one, and back.
local function packed(a, b, c) return a << 42 | b << 21 | c end

local function unpacked(n) return n >> 42, n >> 21 & MOST, n & MOST end


---Are there more maps than have a number? Then that is told of the file.
local function too_many(source, path, count)
  if count <= MOST then return false end
  table.insert(source.errors, { path = path,
    message = ("it speaks of %d maps; %d are the most that are read"):format(count,
                                                                            MOST) })
  return true
end


-- what is in them --------------------------------------------------------------------


local function decoded(path)
  local text, message = files.read(path)
  if not text then return nil, message end
  local value
  value, message = json.decode(text)
  if type(value) ~= "table" then
    return nil, ("%s: %s"):format(path, message or "is no JSON object")
  end
  return value
end


local function table_of(value) return type(value) == "table" and value or {} end


local function text_of(value)
  return type(value) == "string" and value or type(value) == "number"
    and tostring(value) or nil
end


---A number, or one that JSON lacks and that stands as text.
local function number_of(value) return tonumber(value) end


---A class as it is written down, with nothing but what may be in it.
local function class_of(value)
  if type(value) ~= "table" then return nil end
  return { class = number_of(value.class), name = text_of(value.name),
           probability = number_of(value.probability),
           score = number_of(value.score) }
end


local function classes_of(list)
  local out = {}
  for _, value in ipairs(table_of(list)) do out[#out + 1] = class_of(value) end
  return out
end


local function strings_of(list)
  local out = {}
  for _, value in ipairs(table_of(list)) do out[#out + 1] = text_of(value) end
  return #out > 0 and out or nil
end


local function last_part(path) return path:match "([^/]*)/*$" end


-- explain ----------------------------------------------------------------------------


---Map i of a .npy that holds (N,H,W) or (N,C,H,W), or is one map.
local function reader(path, i, count)
  return function()
    local t, message = npy.read(path)
    if not t then return nil, message end
    if count == 1 and t:dim() == 2 then return t end
    if t:dim() < 3 or i > t:dim(1) then
      return nil, ("%s: shape (%s) has no map %d"):format(path,
        table.concat(t:shape(), ","), i)
    end
    return t[i]
  end
end


---Where the values of map i of a row stand.
local function place_of(folder, row, i, count)
  local names = strings_of(row.npy) or {}
  local own = #names == count and count > 1
  local name = names[own and i or 1]
  if not name or name:find "/" then return nil end
  return folder .. "/" .. name, own and 1 or i, own and 1 or count
end


---The class of map i: what was written down of the picture, or the story's.
local function class_at(record, story, i, k, n)
  local own = classes_of(table_of(table_of(record.pictures)[i]).explained)[k]
  if own then return own end
  local at = (k - 1) * n + i
  local id, name = table_of(story.classes)[at], table_of(story.class_names)[at]
  return id and { class = number_of(id), name = text_of(name) } or nil
end


---One of the scenes that Lunette draws itself, by its name; nil: it is none.
local function scene(name)
  if not name:find "^scene %d" then return nil end
  local scenes = require("lunette.glyphs").default_images(4)
  for i, known in ipairs(scenes.names) do
    if known == name then return scenes.images[i] end
  end
  return nil
end


---Map i of a row of a canvas; k: which of the classes that are explained.
local function entry_of(path, record, row, i, k)
  local story, names = table_of(row.story), strings_of(table_of(row.story).images) or {}
  local n = #table_of(row.ranges)
  local file, at, count = place_of(files.split(path), row, i, n)
  if not file then return nil, path .. ": the values (.npy) are not beside it" end
  local name = names[i] or ("picture %d"):format(i)
  local drawn = scene(name)
  return { path = not drawn and name or nil, name = last_part(name), image = drawn,
           key = name, story = story, file = file, model = text_of(story.model) or "?",
           class = class_at(record, story, i, k, n),
           top = classes_of(table_of(table_of(record.pictures)[i]).top),
           trust = table_of(table_of(story.trust)[i]),
           values = reader(file, at, count) }
end


---Map i of row r of a .json; it is the map of number `which` there.
local function entry_at(path, number)
  local r, i, which = unpacked(number)
  local record, message = decoded(path)
  if not record then return nil, message end
  return entry_of(path, record, table_of(table_of(record.rows)[r]), i, which)
end


---Adds the maps of the .json beside a canvas; other files are none of ours.
local function add_canvas(source, path)
  local record = decoded(path)
  if not record or type(record.rows) ~= "table" or not record.lunette then return end
  if too_many(source, path, #record.rows) then return end
  local k = 0
  for r, row in ipairs(record.rows) do
    local maps = table_of(row).kind == "map"
    k = k + (maps and 1 or 0)
    local count = maps and #table_of(row.ranges) or 0
    if too_many(source, path, count) then return end
    for i = 1, count do
      put(source.entries, entry_at, path, packed(r, i, k))
    end
  end
end


---Lines of errors.jsonl: {"picture" or "path":, "error":}.
local function add_errors(source, path)
  for line in (files.read(path) or ""):gmatch "[^\n]+" do
    local entry = table_of(json.decode(line))
    local what = text_of(entry.picture) or text_of(entry.path)
    if what then
      table.insert(source.errors, { path = what,
        message = text_of(entry.error) or "?" })
    end
  end
end


---Adds the canvases of a folder and of those below it.
local function walk(source, folder)
  local names, message = folders.names(folder)
  if not names then return nil, message end
  for _, name in ipairs(names) do
    local path = folder .. "/" .. name
    if lfs.symlinkattributes(path, "mode") == "directory" then
      if not name:find "^%." then walk(source, path) end
    elseif name == "errors.jsonl" then
      add_errors(source, path)
    elseif name:find "%.json$" then
      add_canvas(source, path)
    end
  end
  return true
end


-- sweep ------------------------------------------------------------------------------


---How many maps a result of a job holds: one for each of several classes.
local function maps_of(job)
  local o = table_of(table_of(job).options)
  if type(o.classes) == "table" then return #o.classes end
  if type(o.classes) == "string" then return select(2, o.classes:gsub("[^,]+", "")) end
  return math.max(1, math.tointeger(number_of(o.top)) or 1)
end


---The class of map k: what was explained, or what the story names.
local function class_of_result(record, story, k)
  if k == 1 then return class_of(record.explained) end
  return class_at({}, story, 1, k, 1)
end


---Map k of a result of `count`: base is its path without a suffix.
local function result(base, number)
  local _, k, count = unpacked(number)
  local record, message = decoded(base .. ".json")
  if not record then return nil, message end
  local path = text_of(record.path) or base
  local story = table_of(record.story)
  return { path = path, name = last_part(path), story = story,
           model = text_of(record.model) or "?", trust = {},
           class = class_of_result(record, story, k),
           top = classes_of(record.top), warnings = strings_of(record.warnings),
           file = base .. ".npy", values = reader(base .. ".npy", k, count) }
end


---The jobs of a sweep's plan.
local function jobs_of(folder)
  return table_of(table_of(decoded(folder .. "/sweep.json")).jobs)
end


local function sweep(source, folder)
  local seen, jobs = {}, jobs_of(folder)
  return require("lunette.sweep.manifest").each(folder, function(entry)
    local name = text_of(entry.name)
    local base = name and folder .. "/" .. name
    if base and not seen[base] then
      seen[base] = true
      local count = maps_of(jobs[entry.job])
      for k = 1, too_many(source, base .. ".json", count) and 0 or count do
        put(source.entries, result, base, packed(0, k, count))
      end
    elseif entry.error then
      table.insert(source.errors, { path = tostring(entry.path),
        message = tostring(entry.error) })
    end
  end)
end


---The maps of folders: of each either a sweep's, or all canvases with values and story.
---@param list string[]
---@return lunette.ReportSource? source, string? message
function M.read(list)
  local source = { entries = entries(), errors = {} }
  for _, folder in ipairs(list) do
    folder = folder:gsub("(.)/+$", "%1")
    if lfs.attributes(folder, "mode") ~= "directory" then
      return nil, ("'%s' is no folder"):format(folder)
    end
    local read = files.exists(folder .. "/sweep.json") and sweep or walk
    local ok, message = read(source, folder)
    if not ok then return nil, message end
  end
  if #source.entries + #source.errors == 0 then
    return nil, ("no maps in '%s': `lunette explain PICTURES --save npy,json -o %s` or "
      .. "`lunette sweep` makes them"):format(table.concat(list, "', '"), list[1])
  end
  return source
end

return M
