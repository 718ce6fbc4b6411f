---Errors that name the user's line: misuse is found deep inside the library, and
---the line that helps is the script's.
local here = debug.getinfo(1, "S").source:match "^(.*)base/blame%.lua$"


---Raises `message` with the place of the innermost caller outside the library; where
---there is none (the program's own commands), without a place.
---@param message string
---@return nothing
local function blame(message)
  local level = 2
  while true do
    local info = debug.getinfo(level, "S")
    if not info then error(message, 0) end
    if info.what ~= "C" and info.source:sub(1, #here) ~= here then
      error(message, level)
    end
    level = level + 1
  end
end

return blame
