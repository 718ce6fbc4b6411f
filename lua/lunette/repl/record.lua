---What was typed in this session and went well, and the script that it comes to.
local M = {}

---@class lunette.Typed_input
---@field code string
---@field results? integer   of an expression; nil: statements
---@field from? string       the file that it was read from
---@field tables? boolean    one of the results is a plain table

local list = {}


---@param code string
---@param results? integer   values of an expression; nil: it was statements
---@param from? string       a file that was run
---@param tables? boolean     is one of the results a plain table?
function M.add(code, results, from, tables)
  list[#list + 1] = { code = code, results = results, from = from, tables = tables }
end


---Commands of a session that mean nothing in a script.
local only_here = { help = true, apropos = true, save = true, traceback = true }


local function is_only_here(code)
  return only_here[code:match "^%s*([%a_]+)%s*[%(\"'%[]" or ""] ~= nil
end


---`_`, `_1` .. `_9`: is an earlier result spoken of?
local function speaks_of_results(code)
  for word in code:gmatch "%f[%w_][%w_]+" do
    if word:find "^_%d?$" then return true end
  end
  return false
end


local function bare(code)
  return (code:gsub("^%s*=", "", 1):gsub(";%s*$", ""):gsub("%s+$", ""))
end


---One input as lines of a script.
local function line_of(entry, out)
  local code = entry.code
  if not entry.results then return code end
  local inside = bare(code)
  local silent = code:find ";%s*$" or entry.results == 0
  if not silent then return ("%s(%s)"):format(out, inside) end
  if out == "print" and load(inside) then return inside end
  return out == "print" and ("local _ = %s"):format(inside)
    or ("keep(%s)"):format(inside)
end


local results = [[
local function keep(...) -- the session's results: _ and _1 (the last) to _9
  for i = 9, 2, -1 do _G["_" .. i] = _G["_" .. i - 1] end
  _G._, _G._1 = ..., ...
  return ...
end
local function out(...) print(keep(...)) end
]]


local shows_tables = [[
print = require("lunette.repl.print").print -- tables as the session shows them
]]


---The inputs that a script can hold; whether one speaks of earlier results, whether one
---prints a table.
local function inputs()
  local mine, spoken, tables = {}, false, false
  for _, entry in ipairs(list) do
    if entry.from or not is_only_here(entry.code) then
      mine[#mine + 1] = entry
      spoken = spoken or speaks_of_results(entry.code)
      tables = tables or entry.tables
    end
  end
  return mine, spoken, tables
end


---The session as a script: bare expressions are printed, `show` writes files beside it.
---@param name string   of the pictures: "exp" for exp-1.png
---@return string? text, string? message
function M.script(name)
  local mine, spoken, tables = inputs()
  local lines = {}
  if #mine == 0 then return nil, "nothing was typed yet that a script could hold" end
  for _, entry in ipairs(mine) do
    if entry.from then lines[#lines + 1] = ("-- %s"):format(entry.from) end
    lines[#lines + 1] = line_of(entry, spoken and "out" or "print")
  end
  return table.concat({
    ("-- A session of Lunette, saved %s."):format(os.date "!%Y-%m-%d %H:%M UTC"),
    'lu = require "lunette"',
    ("show = lu.show_into %q -- writes %s-1.png, %s-2.png ..."):format(name,
      name:match "[^/]*$", name:match "[^/]*$"),
    (tables and shows_tables or "") .. (spoken and "\n" .. results or ""),
    table.concat(lines, "\n"), "",
  }, "\n")
end

return M
