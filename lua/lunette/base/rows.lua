---A folder whose files are the rows of a table: a new file is a new row, and nothing
---lists their names. `return rows.folder(...)` in the folder's init.lua.
local lfs = require "lfs"
local types = require "lunette.base.types"

local M = {}


---Names of the Lua files of a folder, sorted.
local function names_of(dir)
  local list = {}
  for file in lfs.dir(dir) do
    local name = file:match "^([%a_][%w_]*)%.lua$"
    if name and name ~= "init" then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end


---@class lunette.Rows
---@field [string] any   by name; loaded when first asked for

---The table of a folder's rows: t.name loads that file, pairs(t) all of them in the
---order of their names, #t counts them.
---@param module string   "lunette.methods", the first of init.lua's `...`
---@param path string     the file that says so, the second
---@return lunette.Rows
function M.folder(module, path)
  local dir, known = path:match "^(.*)/[^/]*$", {}
  local list = names_of(dir)
  for _, name in ipairs(list) do known[name] = true end
  local rows = {}
  local function get(t, key)
    if not known[key] then return nil end
    local row = require(module .. "." .. key)
    row.file = ("%s/%s.lua"):format(dir, key)
    rawset(t, key, row)
    return row
  end
  return setmetatable(rows, {
    __name = "lunette.Rows",
    __index = get,
    __len = function() return #list end,
    __pairs = function(t)
      local i = 0
      return function()
        i = i + 1
        if list[i] then return list[i], t[list[i]] end
      end
    end,
    names = list,
  })
end


---What a row that a user writes lacks, or nil: it has a name and a function.
---@param spec any
---@param key string    of its function, "explain"
---@param call string   "function(run, o)"
---@return string?
function M.lacking(spec, key, call)
  if type(spec) ~= "table" then
    return "one table is wanted, got " .. types.told(spec)
  end
  if type(spec.name) ~= "string" then
    return "name should be a text, got " .. types.told(spec.name)
  end
  if type(spec[key]) == "function" then return nil end
  return ("%s should be %s, got %s"):format(key, call, types.told(spec[key]))
end


---The names of a table of rows, sorted; no row is loaded.
---@param rows lunette.Rows
---@return string[]
function M.names(rows) return { table.unpack(getmetatable(rows).names) } end

return M
