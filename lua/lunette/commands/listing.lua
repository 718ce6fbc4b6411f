---What `lunette methods` and `lunette metrics` share: rows in the order of their
---families, as text and as JSON.
local flags = require "lunette.commands.method_flags"
local json = require "lunette.base.json"
local rows = require "lunette.base.rows"
local text = require "lunette.base.text"

local M = {}


---Rows by family, then by name, and those of no family last.
local function in_order(table_, families, names)
  local rank, list = {}, { table.unpack(names) }
  for i, family in ipairs(families) do rank[family] = i end
  table.sort(list, function(a, b)
    local x, y = rank[table_[a].family] or 99, rank[table_[b].family] or 99
    if x ~= y then return x < y end
    return a < b
  end)
  return list
end


---The names asked for, or all in order; nil and what is wrong.
---@param table_ lunette.Rows
---@param what string         "method", for the message
---@param families string[]
---@param asked string[]
---@return string[]? names, string? message
function M.names(table_, what, families, asked)
  local all = rows.names(table_)
  for _, name in ipairs(asked) do
    if not table_[name] then
      return nil, ("%s '%s' not found%s (there are: %s)"):format(what, name,
        require("lunette.base.suggest").after(name, all), flags.enumerate(all))
    end
  end
  return #asked > 0 and asked or in_order(table_, families, all)
end


---Prints words in lines of 88 columns, each after four blanks.
---@param words string
function M.say_wrapped(words)
  local line = "   "
  for word in words:gmatch "%S+" do
    if #line + #word > 87 then
      text.say(line)
      line = "   "
    end
    line = line .. " " .. word
  end
  text.say(line)
end


local function option_record(option)
  local default = option.default
  if type(default) == "table" or type(default) == "function" then default = nil end
  return { type = option.type, default = default, text = option.text,
           choices = option.list and json.array { table.unpack(option.list) } or nil,
           least = option.least ~= math.mininteger and option.least or nil,
           most = option.most }
end


---The options of a row as JSON has them.
---@param row { options: table<string, lunette.Option> }
---@return table
function M.option_records(row)
  local all = {}
  for key, option in pairs(row.options) do all[key] = option_record(option) end
  return all
end

return M
