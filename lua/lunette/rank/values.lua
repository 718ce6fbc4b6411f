---The raw values of a ranking: a CSV with a line for each picture, method and measure,
---appended while the ranking runs, so that an interrupted one continues. The first line
---says what determines the numbers; a file of another ranking is refused.
local files = require "lunette.base.files"

local M = {}

local HEAD = "picture,method,measure,value"
local NOTHING = "nan" -- as a value: none

---@class lunette.RankValues
---@field path string
---@field rows { picture: string, method: string, measure: string, value: number? }[]
---  value nil: the measure says nothing of that map
---@field known table<string, boolean>   "picture,method" that is done
local Values = {}
Values.__index = Values


---Names of pictures in a CSV: no commas, quotes or line ends.
---@param name string
---@return string
function M.word(name) return (tostring(name):gsub('[,"%c]', "_")) end


local function add(self, picture, method, measure, value)
  local row = { picture = picture, method = method, measure = measure, value = value }
  self.rows[#self.rows + 1] = row
  self.known[picture .. "," .. method] = true
end


---Reads an existing file without a last line that was cut off.
local function take_up(self, text)
  local first = text:match "^([^\n]*)\n"
  if first ~= self.first then
    return nil, ("%s holds values of other work:\n  %s\nthis one is\n  %s\nremove the "
      .. "file to begin anew, or name another folder"):format(self.path,
      tostring(first), self.first)
  end
  for line in text:gmatch "([^\n]*)\n" do
    local p, m, s, v = line:match "^([^,#]+),([^,]+),([^,]+),([^,]+)$"
    if tonumber(v) or v == NOTHING then add(self, p, m, s, tonumber(v)) end
  end
  return self
end


---Opens the file of this work, or begins it.
---@param path string
---@param identity string   one line: what decides the numbers
---@return lunette.RankValues? values, string? message
function M.open(path, identity)
  local self = setmetatable({ path = path, rows = {}, known = {},
                              first = "# lunette rank: " .. identity }, Values)
  local f = io.open(path, "r")
  local text = f and f:read "a" or nil
  if f then f:close() end
  if text and text ~= "" then
    local ok, message = take_up(self, text)
    if not ok then return nil, message end
    local whole = text:match "^(.*\n)" or ""
    if whole ~= text then assert(files.write(path, whole)) end
    return self
  end
  local ok, message = files.write(path, self.first .. "\n" .. HEAD .. "\n")
  if not ok then return nil, message end
  return self
end


---Values without a file.
---@return lunette.RankValues
function M.in_memory()
  return setmetatable({ path = "", rows = {}, known = {} }, Values)
end


---Has the method's map of that picture been measured?
---@param picture string
---@param method string
---@return boolean
function Values:has(picture, method)
  return self.known[M.word(picture) .. "," .. method] or false
end


---Appends one map's numbers in one write, so that a map has all of them or none.
---@param picture string
---@param method string
---@param numbers { measure: string, value: number? }[]
function Values:append(picture, method, numbers)
  local lines, name = {}, M.word(picture)
  for k, n in ipairs(numbers) do
    lines[k] = ("%s,%s,%s,%s\n"):format(name, method, n.measure,
      n.value and ("%.9g"):format(n.value) or NOTHING)
  end
  if self.path ~= "" then
    local f = assert(io.open(self.path, "a"))
    assert(f:write(table.concat(lines)))
    assert(f:close())
  end
  for _, n in ipairs(numbers) do add(self, name, method, n.measure, n.value) end
end

return M
