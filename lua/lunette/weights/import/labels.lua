---Names of classes as people keep them: a line each, a JSON list, Keras' class index
---({"0": ["n01440764", "tench"]}) and class_indices ({"cat": 0}), Hugging Face's
---config.json (`id2label`), CSV and YAML with numbers, synset_words.txt.
local files = require "lunette.base.files"
local json = require "lunette.base.json"
local sets = require "lunette.score.sets"

local M = {}


---{0 = x, 1 = y} as a list; nil and a message where a number is missing.
local function by_number(found, first)
  local list, count = {}, 0
  for _ in pairs(found) do count = count + 1 end
  for i = 1, count do
    list[i] = found[i - 1 + first]
    if list[i] == nil then
      return nil, ("%d classes, but none has the number %d"):format(count,
        i - 1 + first)
    end
  end
  return list
end


---{"0": name, ...}, {name: 0, ...}, or one of these among the rest of a config.
local function of_object(object)
  local found = {}
  local inner = object.id2label or object.label2id
  if type(inner) == "table" then object = inner end
  for key, value in pairs(object) do
    local number, name = math.tointeger(tonumber(key)), value
    if math.type(value) == "integer" and not number then number, name = value, key end
    if not number then
      return nil, ("'%s' is neither a class's number nor has one"):format(
        tostring(key):gsub("%c", "?"))
    elseif found[number] ~= nil then
      return nil, ("two classes have the number %d"):format(number)
    end
    found[number] = name
  end
  return by_number(found, 0)
end


---Ways to write a line; all lines of a file are of one way. Each gives the class's
---number, its WordNet id, its name, where it says that.
local ways = {
  function(s) -- {0: 'tench',
    return s:match "^[{%s]*(%d+):%s*(['\"])(.-)%2[,%s}]*$"
  end,
  function(s)
    local number, id, name = s:match "^(%d+)[%s,:]+(n%d%d%d%d%d%d%d%d)[%s,:]+(%S.*)$"
    return number, id, name
  end,
  function(s)
    local number, name = s:match "^%s*(%d+)[%s,;:]+(%S.*)$"
    return number, nil, name
  end,
  function(s)
    local id, name = s:match "^(n%d%d%d%d%d%d%d%d)[%s,:]+(%S.*)$"
    return nil, id, name
  end,
  function(s) return nil, s:match "^n%d%d%d%d%d%d%d%d$", s end,
  function(s) -- a list of YAML: `- tench`
    local mark, name = s:match "^%s*(%-)%s+(%S.*)$"
    return nil, mark, name
  end,
}


---A name without the marks that CSV and YAML put around one.
local function unquoted(name)
  return name:match '^"(.*)"$' or name:match "^'(.*)'$" or name
end


---The lines as { number, id, name } where all are written in this way.
local function read_lines(lines, way)
  local rows = {}
  for i, line in ipairs(lines) do
    local number, id, name = way(line)
    if not (number or id) then return nil end
    if id and not id:find "^n%d" then id = nil end -- a quotation mark, or a list's
    rows[i] = { math.tointeger(tonumber(number)), id, unquoted(name) }
  end
  return rows
end


---{id, name} of rows in the order of their numbers, which begin at 0 or 1; nil where
---they are no numbers of classes ("10 cent", "50 cent").
local function in_order(rows)
  local found = {}
  for i, row in ipairs(rows) do found[row[1] or i] = { row[2] or false, row[3] } end
  local list = by_number(found, found[0] and 0 or 1)
  return list and #list == #rows and list or nil
end


---The names of lines that are all written in one way, or nil.
local function in_one_way(lines)
  for _, way in ipairs(ways) do
    local rows = lines[1] and read_lines(lines, way)
    local list = rows and in_order(rows)
    if list then return list end
  end
  return nil
end


---Lines without a first one that only says what is below: `id,name`, `names:`.
local function below_title(lines)
  if #lines < 2 or not lines[1]:find "[,;\t]" and not lines[1]:find ":%s*$" then
    return nil
  end
  return table.move(lines, 2, #lines, 1, {})
end


local function of_lines(text)
  local lines = {}
  for line in (text:gsub("\r", "") .. "\n"):gmatch "(.-)\n" do
    lines[#lines + 1] = line
  end
  while lines[#lines] and lines[#lines]:find "^[%s}]*$" do lines[#lines] = nil end
  for i, line in ipairs(lines) do
    if line == "" then return nil, ("line %d is empty"):format(i) end
  end
  local list, below = in_one_way(lines), below_title(lines)
  return list or below and in_one_way(below) or lines
end


---Name and WordNet id of an entry: "tench", ["n01440764", "tench"], or a line's row. Of
---a bare id the name is ImageNet's, where it has it.
local function one_of(entry)
  local id, name = false, entry
  if type(entry) == "table" then id, name = entry[#entry - 1], entry[#entry] end
  if type(name) ~= "string" or id and type(id) ~= "string" then return nil end
  id = id or sets.is_wordnet(name) and name or false
  return name == id and sets.wordnet_name(id) or name, id
end


local function split(entries)
  local names, ids = {}, {}
  for i, entry in ipairs(entries) do
    names[i], ids[i] = one_of(entry)
    if not names[i] then
      return nil, ("class %d has no name that is text"):format(i - 1)
    end
  end
  for _, id in ipairs(ids) do
    if not id then return names end
  end
  return names, nil, ids
end


---The names in a file's text.
local function of_text(text)
  text = text:gsub("^\xEF\xBB\xBF", "") -- some editors' mark of UTF-8
  if not text:find "^%s*%[" and not text:find '^%s*{%s*"' then
    return of_lines(text)
  end
  local list, message = json.decode(text)
  if list and not text:find "^%s*%[" then return of_object(list) end
  return list, message
end


---Names of classes: a list, a set that is known ("imagenet"), or a file.
---@param given string|string[]|nil
---@return string|string[]|nil names, string? message
---@return string[]? ids   of WordNet, where all classes have one
function M.read(given)
  if given == nil then return nil end
  if type(given) == "table" then
    local names, message, ids = split(given)
    return names, message and "labels: " .. message, ids
  end
  if not files.exists(given) then
    if sets.of(given) then return given end
    return nil, ("labels: no file '%s'"):format(given)
  end
  local text, message = files.read(given)
  if not text then return nil, message end
  local list, names, ids
  list, message = of_text(text)
  if list then names, message, ids = split(list) end
  if not names then return nil, ("labels: %s: %s"):format(given, message) end
  return names, nil, ids
end


---Are there as many names as the network has classes?
---@param labels string|string[]|nil
---@param net lunette.Net
---@return true? ok, string? message
function M.check(labels, net)
  if labels == nil then return true end
  local names = type(labels) == "table" and labels or assert(sets.of(labels)).names
  local units = net:layer(net.outputs[1]).shape[1]
  if units == #names or units == 1 and #names == 2 then return true end
  return nil, ("%d class names are given, the network has %d outputs"):format(#names,
    units)
end

return M
