---Names that have no value: Lua reads them as nil, and an option that is nil is one
---that was not given. A session says which it read; words of other languages that stand
---for a value are errors, in scripts too.
local suggest = require "lunette.base.suggest"

local M = {}

local meant = { True = "true", False = "false", None = "nil", null = "nil",
                NULL = "nil", undefined = "nil", nan = "0/0", NaN = "0/0",
                inf = "math.huge", Inf = "math.huge" }

local read -- names that the command read, where a session watches
local before = {} -- names that were there when it began: Lua's own


---Does the code ask on purpose whether the name has a value: `x = x or 5`?
local function is_question(code, name)
  for _, question in ipairs { "%f[%w_]NAME%s+or%f[^%w_]", "%f[%w_]NAME%s+and%f[^%w_]",
      "%f[%w_]not%s+NAME%f[^%w_]", "%f[%w_]if%s+NAME%s+then%f[^%w_]",
      "%f[%w_]NAME%s*[=~]=%s*nil%f[^%w_]", "%f[%w_]type%s*%(%s*NAME%s*%)",
      "%f[%w_]_G%s*%.%s*NAME%f[^%w_]" } do
    if code:find((question:gsub("NAME", name))) then return true end
  end
  return false
end


---Is that asked where the code reads the name? The next line counts too, where the
---expression may go on, and the one before, where Lua names the line of its end.
local function is_asked(info, name)
  local line, at = require("lunette.repl.unknown").line, info.currentline
  local code = line(info.source, at)
  if code and not code:find("%f[%w_]" .. name .. "%f[^%w_]") then
    code = (line(info.source, at - 1) or "") .. " " .. code
  end
  return code ~= nil and is_question(code .. " " .. (line(info.source, at + 1) or ""),
                                     name)
end


---Watches the globals, unless somebody else does.
---@param typed? string   a pattern of the chunks whose reads are noted: a session's
function M.watch(typed)
  if getmetatable(_G) then return end
  setmetatable(_G, { __index = function(_, name)
    if meant[name] and not is_asked(debug.getinfo(2, "Sl"), name) then
      error(("'%s' is nil in Lua; write %s"):format(name, meant[name]), 2)
    end
    local info = typed and debug.getinfo(2, "S")
    if info and info.source:find(typed) then read[name] = true end
    return nil
  end })
  read = {}
  for name in next, _G do before[name] = true end
end


---Begins a command.
function M.begin() read = {} end


---What to say of the names that a command read in vain.
---@param code string   the command
---@return string[] lines
function M.notes(code)
  local lines, known = {}, {}
  for name in next, _G do
    if type(name) == "string" and not before[name] then known[#known + 1] = name end
  end
  table.sort(known)
  for name in pairs(read or {}) do
    local word = type(name) == "string" and name:find "^[%a_][%w_]*$"
      and not code:find("^%s*" .. name .. "%s*;?%s*$") -- shown: nil
    if word and rawget(_G, name) == nil and not is_question(code, name) then
      lines[#lines + 1] = ("'%s' has no value%s"):format(name,
                                                         suggest.after(name, known))
    end
  end
  table.sort(lines)
  return lines
end

return M
