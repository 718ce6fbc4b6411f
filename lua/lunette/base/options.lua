---Option tables: every function that takes one names its keys and defaults here,
---and an unknown key is an error with the nearest one.
local suggest = require "lunette.base.suggest"

local M = {}


---Where the default is a number, nothing but a number will do.
local function check_type(what, key, value, default, level)
  if type(default) == "number" and type(value) ~= "number" then
    error(("%s: option '%s' is a number, got %s"):format(what, key, type(value)),
          level > 0 and level + 1 or 0)
  end
end


---Copies `opts` over `defaults`. A default of `false` means "not given".
---@param what string       the function, for the message
---@param opts? table
---@param defaults table
---@param level? integer    whom to blame (3: the caller's caller)
---@return table
function M.check(what, opts, defaults, level)
  level = level or 3
  if opts ~= nil and type(opts) ~= "table" then
    error(("%s: options are a table, got %s"):format(what, type(opts)), level)
  end
  local full = {}
  for key, value in pairs(defaults) do full[key] = value end
  for key, value in pairs(opts or {}) do
    if defaults[key] == nil then
      local known = {}
      for k in pairs(defaults) do known[#known + 1] = tostring(k) end
      table.sort(known)
      local hint = suggest.after(tostring(key), known)
      error(("%s: unknown option '%s'%s (options: %s)"):format(what, tostring(key),
            hint, table.concat(known, ", ")), level)
    end
    check_type(what, key, value, defaults[key], level)
    full[key] = value
  end
  return full
end


---@return boolean
function M.is_tensor(value)
  return type(value) == "userdata"
    and (getmetatable(value) or {}).__name == "lunette.tensor"
end


---Checks that `value` is a whole number of at least `least`.
---@return integer value
function M.whole(what, value, least, level)
  local n = math.tointeger(value)
  if n and n >= least then return n end
  error(("%s is a whole number from %d on, got %s"):format(what, least,
        tostring(value)), level or 3)
end


---Checks that `value` is one of `choices`.
---@return any value
function M.choice(what, value, choices, level)
  for _, c in ipairs(choices) do
    if c == value then return value end
  end
  error(("%s: '%s' is none of %s%s"):format(what, tostring(value),
        table.concat(choices, ", "), suggest.after(tostring(value), choices)),
        level or 3)
end

return M
