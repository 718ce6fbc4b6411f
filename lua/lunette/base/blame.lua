---Errors that name the user's line: misuse is found deep inside the library, and
---the line that helps is the script's.
local core = require "lunette.core"

local here = debug.getinfo(1, "S").source:match "^(.*)base/blame%.lua$"

local M = {}


---Is `source` a file of the library? The scripts that come along do not count; in a
---checkout their path is this folder's followed by "../../scripts".
local function is_inside(source)
  return source:sub(1, #here) == here and source:sub(#here + 1, #here + 3) ~= "../"
end


---Is the caller of the function that asks this a part of the library? main.lua does not
---count: after a tail call such as `return lu.load(5)` the script has left the stack,
---and main.lua is what is found in its place.
---@type fun(): boolean
M.is_inner = core.asks_inner(here, here .. "main.lua")


---Raises `message` with the place of the innermost caller outside the library, unless
---it has a place already; in the program's own commands, where there is no such caller,
---without one. Control characters in it are written as \xHH.
---@param message string
---@return nothing
function M.raise(message)
  local level = 2
  if message:find "[%c\x80-\xff]" then
    message = require("lunette.base.text").escape(message, "\n\t")
  end
  while true do
    local info = debug.getinfo(level, "Sl")
    if not info then error(message, 0) end
    if info.what ~= "C" and not is_inside(info.source) then
      local place = ("%s:%d: "):format(info.short_src, info.currentline)
      if message:sub(1, #place) == place then error(message, 0) end
      error(message, level)
    end
    level = level + 1
  end
end


---Does a file's short name, as messages have it, belong to the library? Of a long path
---only the end is told: "...e/lua/5.4/lunette/net/run.lua".
local function is_ours(file)
  local cut = file:match "^%.%.%.(.*)$"
  if not cut then return is_inside("@" .. file) end
  for n = #"lunette/", #here do
    if cut:sub(1, n) == here:sub(-n) then return true end
  end
  return false
end


---Is what raises an error part of the library? Asked in its handler.
local function raised_inside()
  local level, info = 4, debug.getinfo(4, "S")
  while info and info.what == "C" do -- error, an operator
    level = level + 1
    info = debug.getinfo(level, "S")
  end
  return info ~= nil and is_inside(info.source)
end


---The line outside the library that is nearest to an error, for its handler.
local function user_place()
  for level = 3, math.huge do
    local info = debug.getinfo(level, "Sl")
    if not info then return nil end
    if info.what ~= "C" and not is_inside(info.source) then
      return ("%s:%d: "):format(info.short_src, info.currentline)
    end
  end
end


---What an error says that leaves the library, for a handler: where its place is in the
---library, or it has none, the caller's line and who was called. A fault of the library
---keeps its own place too; what a function of the caller's raised stays as it is.
---@param what string      who was called
---@param message any
---@return any message
function M.passed(what, message)
  if type(message) ~= "string" or message:find "interrupted$" then return message end
  local file, line, rest = message:match "^([^\n]-):(%d+): (.*)$"
  local inside
  if file then inside = is_ours(file) else inside = raised_inside() end
  local place = inside and user_place()
  if not place then return message end
  rest = rest or message
  if rest:find "^attempt to" then
    return ("%s%s: a fault inside the library, %s:%s: %s"):format(place, what, file,
                                                                 line, rest)
  end
  return place .. (rest:find(what, 1, true) and rest or what .. ": " .. rest)
end


---An error that one of Lua's own functions met in C, as ipairs of a function does, has
---no place: with the line of the caller, for a handler.
---@param message string
---@return string
function M.placed(message)
  if not message:find "^attempt to" then return message end
  return (user_place() or "") .. message
end


---A message without the place at its beginning.
---@param message any
---@return string
function M.bare(message)
  return (tostring(message):gsub("^[^\n]-:%d+: ", "", 1))
end


return setmetatable(M, { __call = function(_, message) return M.raise(message) end })
