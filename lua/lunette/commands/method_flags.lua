---The options of a method on a command line: which flags there are, what they mean, and
---what was given.
local methods = require "lunette.methods"

local M = {}

---The flags of a method, sorted by name.
M.of = require("lunette.explain.flags").of


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


local function add(parser, flag)
  local names = "--" .. flag.name
  if flag.name == "layer" then names = "-l " .. names end
  local is_flag = flag.option.type == "flag"
  return (is_flag and parser:flag(names) or parser:option(names))
    :description(meaning(flag.option)):target("flag_" .. flag.name)
end


---Adds the flags of methods to a parser: what was given stands under the flag's name.
---One that several have is added once.
---@param parser any    of argparse
---@param list lunette.Method[]
---@param without? string[]   names of options that are no use here
function M.add(parser, list, without)
  local there = {}
  for _, key in ipairs(without or {}) do there[key] = true end
  for _, row in ipairs(list) do
    local made = {}
    for _, flag in ipairs(M.of(row)) do
      if not there[flag.key] and not there["--" .. flag.name] then
        there["--" .. flag.name] = true
        made[#made + 1] = add(parser, flag)
      end
    end
    if #made > 0 then parser:group("Options of " .. row.name, table.unpack(made)) end
  end
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
