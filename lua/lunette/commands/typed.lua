---What was typed on a script's command line, and the errors that are about it.
local bare = require("lunette.base.blame").bare

local M = {}


---What the last lu.cli was given: an option's or a positional's name -> its words.
---@type table<string, string[]>?
local typed = nil


---Remembers a command line.
---@param parsed table      as argparse gives it
---@param names string[]    of all options
function M.remember(parsed, names)
  typed = {}
  for _, name in ipairs(names) do typed[name] = {} end
  for name, value in pairs(parsed) do
    local words = {}
    for _, one in ipairs(type(value) == "table" and value or { tostring(value) }) do
      words[#words + 1] = one
      for word in one:gmatch "[^,]+" do words[#words + 1] = word end
    end
    typed[name] = words
  end
end


---Does a message name that word? A number or a letter may stand in it by chance, unless
---it is in quotes or what was "got".
local function says(message, word)
  if message:find("'" .. word .. "'", 1, true) then return true end
  local pattern = word:gsub("%W", "%%%0")
  return message:find("got " .. pattern .. "$") ~= nil
    or #word > 2 and not tonumber(word)
       and message:find("%f[%w_]" .. pattern .. "%f[^%w_]") ~= nil
end


local inputs = { model = true, image = true }
local everyday = { model = true, image = true, out = true } -- names often said


---Does a message name an option, or a word that was typed for it?
local function is_about(message, name, words)
  if message:find("%-%-" .. name .. "%f[^%w_-]") then return true end
  for _, word in ipairs(words) do
    if says(message, word) then return true end
  end
  return #words > 0 and not everyday[name] and says(message, name)
end


---The exit code of a script's error that is about what was typed: 66 for a network or a
---picture, else 64; nil where it is about something else.
---@param message any
---@return integer?
function M.code_of(message)
  if type(message) ~= "string" or not typed then return nil end
  message = bare(message)
  local found
  for name, words in pairs(typed) do
    if is_about(message, name, words) then
      if inputs[name] then return 66 end
      found = 64
    end
  end
  return found
end

return M
