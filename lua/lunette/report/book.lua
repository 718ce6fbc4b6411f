---The content of a page of maps: an index of all maps, for its table, and a block of
---data for every map and picture. Blocks and the rows of the index are written as they
---come, so that only one is in memory. Blocks lie in the page, or in files beside it.
local core = require "lunette.core"
local html = require "lunette.report.html"
local file = require "lunette.picture.file"
local json = require "lunette.base.json"
local russian = require "lunette.report.told"

local M = {}

---@class lunette.Book
---@field put fun(kind: string, id: integer, bytes: string): boolean?, string?
---@field pictures lunette.Spool
---@field tops lunette.Spool
---@field maps lunette.Spool
---@field jobs table[]
---@field areas number[][]   of the maps of each job
---@field errors string[][]  {path, message}
---@field groups integer     pictures, however they were prepared
---@field lost { count: integer, first?: string }   pictures whose file cannot be read,
---  and why the first cannot
local Book = {}
Book.__index = Book


---@param put function      what takes a block
---@param spool fun(): lunette.Spool?, string?
---@param lang? string
---@return lunette.Book? book, string? message
function M.new(put, spool, lang)
  local book = setmetatable({ put = put, lang = lang, places = {}, errors = {},
    jobs = json.array {}, areas = {}, groups = 0, lost = { count = 0 } }, Book)
  for _, key in ipairs { "pictures", "tops", "maps" } do
    local message
    book[key], message = spool()
    if not book[key] then return nil, message end
  end
  return book
end


-- what is said once ------------------------------------------------------------------


local LONG = 40 -- bytes, from which on a checksum stands for a key


---The number of a thing, by a text that tells it from others of its kind. `add` is
---called for one that is new, and says its number.
---@param kind string
---@param key string
---@param add fun(): integer?, string?
---@return integer? number, string? message
function Book:number(kind, key, add)
  key = kind .. "\0" .. key
  if #key > LONG then key = core.sha256(key):sub(1, 32) end
  if not self.places[key] then
    local number, message = add()
    if not number then return nil, message end
    self.places[key] = number
  end
  return self.places[key]
end


---The options of a story that distinguish jobs: those of the method's row that are not
---at their default and stand in no column of their own.
local function options_of(story)
  local row = require("lunette.methods")[story.method]
  local list = {}
  local apart = { layer = true, normalize = true, dialect = true }
  for key, option in pairs(row and row.options or {}) do
    local value = story[key]
    local plain = type(value) == "string" or type(value) == "number"
      or type(value) == "boolean"
    if not apart[key] and option.type ~= "score" and plain and value ~= option.default
    then
      list[#list + 1] = ("%s=%s"):format(key, value)
    end
  end
  table.sort(list)
  return table.concat(list, " ")
end


---Method, layer, network and rules of a map.
function Book:job(entry)
  local story, rules = entry.story, {}
  for _, name in ipairs(type(story.modifiers) == "table" and story.modifiers or {}) do
    if name ~= "linear" then rules[#rules + 1] = html.plain(name) end
  end
  local layer = type(story.layer) == "string" and html.plain(story.layer) or ""
  local job = { method = html.plain(story.method or "?"), layer = layer,
    model = html.plain(entry.model), rules = table.concat(rules, " "),
    options = html.plain(options_of(story)), draws = html.plain(story.draws or "map") }
  return self:number("job", json.encode(job), function()
    self.jobs[#self.jobs + 1] = job
    return #self.jobs
  end)
end


local function class_text(c) return c.name and html.plain(c.name) or "?" end


local function value(x)
  if type(x) ~= "number" or x ~= x or math.abs(x) == math.huge then return json.null end
  return x
end


---The most probable classes: {name, id, probability or score} each.
function Book:top(entry)
  local list = json.array {}
  for i, c in ipairs(entry.top) do
    list[i] = { class_text(c), value(c.class), value(c.probability or c.score) }
  end
  return self:number("top", json.encode(list), function()
    return self.tops:add(list)
  end)
end


-- pictures ---------------------------------------------------------------------------


---The file of a picture, or what stands for it.
local function file_of(entry)
  return entry.path or entry.key or tostring(entry.image)
end


---What tells pictures apart: the file and how it was prepared.
local function picture_key(entry)
  local s = entry.story
  return table.concat({ file_of(entry), tostring(s.fit),
    tostring(s.filter), tostring(s.side), tostring(s.crop_pct),
    tostring(s.oriented) }, "\0")
end


---The picture as the network saw it; nil and why it cannot be had.
local function picture_of(entry)
  if entry.image then return require("lunette.picture.image").to_image(entry.image) end
  if not entry.path then return nil, "no photograph" end
  return file.again(entry.path, entry.story)
end


function Book:add_picture(entry)
  local image, why = picture_of(entry)
  local id, lost = self.pictures.count + 1, self.lost
  if entry.path and not image then
    lost.count, lost.first = lost.count + 1, lost.first or why
  end
  local group = self:number("group", file_of(entry), function()
    self.groups = self.groups + 1
    return self.groups
  end)
  local told = { name = html.plain(entry.name), group = group,
                 path = html.plain(entry.path or ""), why = why and html.plain(why) }
  if image then
    told.width, told.height = image:size()
    local ok, message = self.put("p", id, image:encode "jpg")
    image:release()
    if not ok then return nil, message end
  end
  return self.pictures:add(told)
end


function Book:picture(entry)
  return self:number("picture", picture_key(entry), function()
    return self:add_picture(entry)
  end)
end


-- maps -------------------------------------------------------------------------------


---The values as a plane (H,W): channels are summed.
local function plane_of(t)
  if t:dim() == 2 then return t end
  if t:dim() == 3 and t:dim(1) == 1 then return t[1], nil end
  if t:dim() ~= 3 then
    return nil, ("a map of shape (%s) is no plane"):format(table.concat(t:shape(), ","))
  end
  return t:sum { dims = { 1 } }
end


---The share of a map that is at least half of its greatest absolute value.
local function area_of(plane, lo, hi)
  local half = math.max(math.abs(lo), math.abs(hi)) / 2
  if half == 0 then return 0 end
  return 1 - (plane:abs() - half):relu():stats().zeros
end


local verdicts = { fail = 1, weak = 2, pass = 3, unjudged = 4 }


---How many checks failed, are in doubt, passed, were not judged; and what they say.
local function trust_of(entry, lang)
  local counts, list = { 0, 0, 0, 0 }, {}
  for _, check in ipairs(entry.trust or {}) do
    local at = type(check) == "table" and verdicts[check.verdict]
    if at then
      counts[at] = counts[at] + 1
      local text = html.plain(check.text or "")
      list[#list + 1] = { name = html.plain(check.name or "?"), verdict = check.verdict,
                          text = lang == "ru" and russian.sentence(text) or text }
    end
  end
  if #list == 0 then return json.null, nil end
  return json.array(counts), list
end


---A story as the page shows it: every text harmless.
local function told_story(what, depth)
  if type(what) == "table" and depth < 8 then
    local list = #what > 0 or next(what) == nil
    local copy = list and json.array {} or {}
    for key, v in pairs(what) do
      copy[list and key or html.plain(key)] = told_story(v, depth + 1)
    end
    return copy
  end
  if type(what) == "string" then return html.plain(what) end
  if type(what) == "number" then return value(what) end
  return type(what) == "boolean" and what or tostring(what)
end


local function listed(list)
  if not list or #list == 0 then return nil end
  local out = {}
  for i, s in ipairs(list) do out[i] = html.plain(s) end
  return out
end


---Adds one map. What is wrong with it alone is listed among the errors.
---@param entry lunette.ReportEntry
---@return true? ok, string? message   nil: nothing can be written
function Book:add(entry)
  local t, message = entry.values()
  local plane = nil
  if t then plane, message = plane_of(t) end
  if not plane then return self:fail(entry.path or entry.name, message) end
  local lo, hi, bad = core.image.range(plane)
  if bad > 0 then
    return self:fail(entry.path or entry.name, entry.file
      and entry.file .. ": holds NaN or infinity" or "the map holds NaN or infinity")
  end
  local picture
  picture, message = self:picture(entry)
  if not picture then return nil, message end
  return self:put_map(entry, plane, lo, hi, picture)
end


---The row of the table and the block of a map.
function Book:put_map(entry, plane, lo, hi, picture)
  local id, c = self.maps.count + 1, entry.class or {}
  local counts, checks = trust_of(entry, self.lang)
  local top, message = self:top(entry)
  if not top then return nil, message end
  local job, area = self:job(entry), area_of(plane, lo, hi)
  local added, wrong = self.maps:add { picture - 1, job - 1, top - 1, value(c.class),
    c.name and html.plain(c.name) or "", value(c.probability), value(c.score), lo, hi,
    area, plane:dim(1), plane:dim(2), counts }
  if not added then return nil, wrong end
  self.areas[job] = self.areas[job] or {}
  table.insert(self.areas[job], area)
  local command = require("lunette.report.command").of(entry)
  local story = told_story(entry.story, 0)
  story.trust = nil -- the checks of all pictures; this one's stand beside the story
  return self.put("m", id, html.json {
    png = core.base64(core.image.grey16(plane, lo, hi)),
    story = story, command = command and html.plain(command),
    checks = checks, warnings = listed(entry.warnings) })
end


---Notes what could not be shown.
---@param path string
---@param message string
---@return true
function Book:fail(path, message)
  table.insert(self.errors, { html.plain(path), html.plain(message or "?") })
  return true
end

return M
