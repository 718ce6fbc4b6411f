---Errors that name the user's line: misuse is found deep inside the library, and
---the line that helps is the script's.
local here = debug.getinfo(1, "S").source:match "^(.*)base/blame%.lua$"

local M = {}


---Is the caller of the function that asks a part of the library?
---@return boolean
function M.is_inner()
  local level, info = 3, debug.getinfo(3, "S")
  while info and info.what == "C" do -- pcall
    level = level + 1
    info = debug.getinfo(level, "S")
  end
  return info ~= nil and info.source:sub(1, #here) == here
end


---Raises `message` with the place of the innermost caller outside the library, unless
---it has that already; where there is no such caller (the program's own
---commands), without a place. What a terminal acts on stands in it as \xHH, whoever
---wrote it.
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
    if info.what ~= "C" and info.source:sub(1, #here) ~= here then
      local place = ("%s:%d: "):format(info.short_src, info.currentline)
      if message:sub(1, #place) == place then error(message, 0) end
      error(message, level)
    end
    level = level + 1
  end
end


---Raises an error that was caught: at the user's line, where its place is in the
---library. A fault of the library keeps its place.
---@param what string      who was called
---@param message any
---@return nothing
function M.again(what, message)
  local file, rest = tostring(message):match "^([^\n]-%.lua):%d+: (.*)$"
  local ours = file and ("@" .. file):sub(1, #here) == here
  if not ours or rest:find "^attempt to" then error(message, 0) end
  M.raise(rest:find(what, 1, true) and rest or what .. ": " .. rest)
end


---A message without the place at its beginning.
---@param message any
---@return string
function M.bare(message)
  return (tostring(message):gsub("^[^\n]-:%d+: ", "", 1))
end


---Calls a function of the core for the caller outside the library, whose line is named
---where it fails.
---@param f function
---@return any
function M.call(f, ...)
  local list = table.pack(pcall(f, ...))
  if list[1] then return table.unpack(list, 2, list.n) end
  if tostring(list[2]):find "interrupted$" then error(list[2], 0) end
  M.raise(M.bare(list[2]))
end


return setmetatable(M, { __call = function(_, message) return M.raise(message) end })
