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


---Watches the globals, unless somebody else does.
---@param typed? string   a pattern of the chunks whose reads are noted: a session's
function M.watch(typed)
  if getmetatable(_G) then return end
  setmetatable(_G, { __index = function(_, name)
    if meant[name] then
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


---Does the code ask on purpose whether the name has a value: `x = x or 5`?
local function is_question(code, name)
  return code:find("%f[%w_]" .. name .. "%s+or%f[^%w_]")
    or code:find("%f[%w_]not%s+" .. name .. "%f[^%w_]")
    or code:find("%f[%w_]" .. name .. "%s*[=~]=%s*nil%f[^%w_]")
    or code:find("%f[%w_]type%s*%(%s*" .. name .. "%s*%)")
    or code:find("^%s*" .. name .. "%s*;?%s*$")
end


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
    if word and rawget(_G, name) == nil and not is_question(code, name) then
      lines[#lines + 1] = ("'%s' has no value%s"):format(name,
                                                         suggest.after(name, known))
    end
  end
  table.sort(lines)
  return lines
end

return M
