---The options of a method as flags of a command line: read from its row, so that a new
---method has its flags at once.
local methods = require "lunette.methods"

local M = {}

---Options with flags of their own, whatever the method: score is --class ...
local apart = { score = true, modifiers = true, dialect = true, raw = true,
                progress = true }


---The flag of an option: smooth_samples of saliency is --samples.
local function flag_of(row, key)
  local short = row.flags and row.flags[key] or key:gsub("_", "-")
  if row.options[key].type == "flag" and row.options[key].default then
    short = "no-" .. short
  end
  return short
end


---@class lunette.MethodFlag
---@field name string             "samples"
---@field key string              the option's name in the method's row
---@field option lunette.Option

---The flags of a method, sorted by name.
---@param row lunette.Method
---@return lunette.MethodFlag[]
function M.of(row)
  local list = {}
  for key, option in pairs(row.options) do
    if not apart[key] then
      list[#list + 1] = { name = flag_of(row, key), key = key, option = option }
    end
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end


---"a", "a and b", "a, b and c"
---@param words string[]
---@return string
function M.enumerate(words)
  if #words < 2 then return words[1] or "none" end
  return table.concat(words, ", ", 1, #words - 1) .. " and " .. words[#words]
end


---Methods for which `test` holds.
---@param test fun(row: lunette.Method): any
---@return string[]
function M.having(test)
  local list = {}
  for name, row in pairs(methods) do
    if test(row) then list[#list + 1] = name end
  end
  return list
end


---The dialects that methods have, each once, in the order in which they come.
---@return string[]
function M.dialects()
  local list, seen = {}, {}
  for _, row in pairs(methods) do
    for _, name in ipairs(row.dialects) do
      if not seen[name] then
        seen[name], list[#list + 1] = true, name
      end
    end
  end
  return list
end


---Methods that have a flag.
---@param name string   without dashes
---@return string[]
function M.whose(name)
  return M.having(function(row)
    for _, flag in ipairs(M.of(row)) do
      if flag.name == name then return true end
    end
    return false
  end)
end


local function meaning(option)
  if option.type ~= "flag" then
    local default = option:default_text()
    return option.text .. (default and " (default " .. default .. ")" or "")
  end
  return (option.default and "not: " or "") .. option.text
end


---Adds the flags of a method to a parser: what was given stands under the flag's name.
---@param parser any    of argparse
---@param row lunette.Method
function M.add(parser, row)
  local made = {}
  for i, flag in ipairs(M.of(row)) do
    local names = "--" .. flag.name
    if flag.name == "layer" then names = "-l " .. names end
    local is_flag = flag.option.type == "flag"
    made[i] = (is_flag and parser:flag(names) or parser:option(names))
      :description(meaning(flag.option)):target("flag_" .. flag.name)
  end
  parser:group("Options of " .. row.name, table.unpack(made))
end


---What was given, as options of the method.
---@param args table   parsed
---@param row lunette.Method
---@return table
function M.read(args, row)
  local opts = {}
  for _, flag in ipairs(M.of(row)) do
    local given, option = args["flag_" .. flag.name], flag.option
    if given ~= nil and option.type == "flag" then
      opts[flag.key] = not option.default
    elseif given ~= nil then
      opts[flag.key] = option:read(given)
    end
  end
  return opts
end

return M
