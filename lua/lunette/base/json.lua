---JSON in a fixed form: keys in byte order, numbers that read back as the same bits
---whatever the locale, arrays that stay arrays. jansson writes the scalars and reads.
local core = require "lunette.core"
local before = require("lunette.base.text").before
local utf8_text = require("lunette.base.text").utf8

local M = {}

local MAX_DEPTH = 100 -- as core.json.decode

local Array = { __name = "json.array" }

---What null in a text reads as, and writes null.
M.null = core.json.decode "null"


---Marks a list as an array, so that an empty one is written `[]`; an empty table
---without the mark is `{}`.
---@generic T: table
---@param list? T
---@return T list
function M.array(list) return setmetatable(list or {}, Array) end


---The number of entries of a list without holes, nil when the table is none.
local function list_size(value)
  local n = #value
  if n == 0 and getmetatable(value) ~= Array then return nil end
  for key in next, value do
    if math.type(key) ~= "integer" or key < 1 or key > n then return nil end
  end
  return n
end


---The keys of an object in order; nil and one that is no text.
local function keys_of(value)
  local keys = {}
  for key in next, value do
    if type(key) ~= "string" then return nil, key end
    keys[#keys + 1] = key
  end
  table.sort(keys, before)
  return keys
end


local put


---One bracket with its parts, each on a line of its own where there is an indent.
local function bracket(w, open, close, count, part)
  local line = w.indent and "\n" .. w.indent:rep(#w.path + 1) or ""
  w[#w + 1] = open
  for i = 1, count do
    w[#w + 1] = (i > 1 and "," or "") .. line
    part(i)
  end
  if count > 0 and w.indent then w[#w + 1] = "\n" .. w.indent:rep(#w.path) end
  w[#w + 1] = close
end


local function put_at(w, step, value)
  w.path[#w.path + 1] = step
  if #w.path > MAX_DEPTH then w.fail "is nested too deep, or within itself" end
  put(w, value)
  w.path[#w.path] = nil
end


local function put_table(w, value)
  local n = list_size(value)
  if n then
    return bracket(w, "[", "]", n, function(i)
      put_at(w, ("[%d]"):format(i), value[i])
    end)
  end
  local keys, odd = keys_of(value)
  if not keys then
    w.fail(("is neither a list nor an object (key %s)"):format(tostring(odd)))
  end
  bracket(w, "{", "}", #keys, function(i)
    put(w, keys[i])
    w[#w + 1] = w.indent and ": " or ":"
    put_at(w, "." .. keys[i], value[keys[i]])
  end)
end


function put(w, value)
  local kind = type(value)
  if kind == "table" then return put_table(w, value) end
  if value == M.null or value == nil then
    w[#w + 1] = "null"
  elseif kind == "string" or kind == "number" or kind == "boolean" then
    if kind == "string" then value = utf8_text(value) end
    local text, message = core.json.scalar(value)
    if not text then w.fail(("is %s (%s)"):format(tostring(value), message)) end
    w[#w + 1] = text
  else
    w.fail(("is a %s, which JSON lacks"):format(kind))
  end
end


---JSON text of a value: keys of objects in byte order, floats with the fewest digits
---that give the same bits, bytes that are no UTF-8 as U+FFFD. Raises an error that
---names the place for NaN, infinities, functions, lists with holes.
---Example:
---  local json = require "lunette.base.json"
---  assert(json.encode { b = { 1, 2.5 }, a = json.array {} } == '{"a":[],"b":[1,2.5]}')
---@param value any
---@param opts? { indent?: integer }   spaces for each level; nil: one line
---@return string
function M.encode(value, opts)
  local w = { path = {}, indent = opts and opts.indent and (" "):rep(opts.indent) }
  function w.fail(what)
    local place = table.concat(w.path):gsub("^%.", "")
    error(("json: %s %s"):format(place == "" and "the value" or "'" .. place .. "'",
      what), 0)
  end
  put(w, value)
  return table.concat(w)
end


---The value of a JSON text: at most 4 MiB, 100 levels deep, no key twice in an
---object. null is `json.null`; arrays bear the mark of `json.array`.
---@param text string
---@return any value, string? message   nil, message when it is no such text
function M.decode(text) return core.json.decode(text, Array) end

return M
