---Text that comes from outside: file names, metadata, labels, messages.
local M = {}


---The same text in valid UTF-8: each byte that belongs to no character becomes
---U+FFFD.
---@param text string
---@return string
function M.utf8(text)
  local parts, at = {}, 1
  while true do
    local count, bad = utf8.len(text, at)
    parts[#parts + 1] = text:sub(at, count and #text or bad - 1)
    if count then return table.concat(parts) end
    parts[#parts + 1] = "\u{FFFD}"
    at = bad + 1
  end
end

return M
