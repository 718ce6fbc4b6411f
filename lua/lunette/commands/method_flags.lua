---The options of all methods as flags of a command line: read from the rows, so that
---a new method has its flags at once.
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
---@field option lunette.Option   of the first method that has it
---@field keys table<string, string>   method -> its option
---@field methods string[]

---Every flag, sorted by name.
---@return lunette.MethodFlag[]
function M.list()
  local list, by_name = {}, {}
  for method, row in pairs(methods) do
    for key, option in pairs(row.options) do
      if not apart[key] then
        local name = flag_of(row, key)
        local flag = by_name[name]
        if not flag then
          flag = { name = name, option = option, keys = {}, methods = {} }
          by_name[name], list[#list + 1] = flag, flag
        end
        flag.keys[method] = key
        flag.methods[#flag.methods + 1] = method
      end
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


local function meaning(flag)
  local text = flag.option.text
  local default = flag.option.type ~= "flag" and flag.option:default_text()
  if #flag.methods == #methods then return text end
  local whose = #flag.methods <= 3 and M.enumerate(flag.methods)
    or ("%s ... %d methods"):format(table.concat(flag.methods, ", ", 1, 2),
                                    #flag.methods)
  if flag.option.type == "flag" and flag.option.default then text = "not: " .. text end
  return ("%s (%s%s)"):format(text, default and "default " .. default .. "; " or "",
                              "for " .. whose)
end


---Adds the flags to a parser: what was given stands under the flag's name.
---@param parser any    of argparse
function M.add(parser)
  local made = {}
  for i, flag in ipairs(M.list()) do
    local names = "--" .. flag.name
    if flag.name == "layer" then names = "-l " .. names end
    local is_flag = flag.option.type == "flag"
    made[i] = (is_flag and parser:flag(names) or parser:option(names))
      :description(meaning(flag)):target("flag_" .. flag.name)
  end
  parser:group("Options of methods", table.unpack(made))
end


---What was given, as options of the method; or a message about a flag that it has no
---use for.
---@param args table   parsed
---@param method string
---@return table? options, string? message
function M.read(args, method)
  local opts, row = {}, methods[method]
  for _, flag in ipairs(M.list()) do
    local given, key = args["flag_" .. flag.name], flag.keys[method]
    if given ~= nil and not key then
      return nil, ("--%s is for %s"):format(flag.name, M.enumerate(flag.methods))
    elseif given ~= nil then
      local option = row.options[key]
      opts[key] = option.type == "flag" and not option.default
      if option.type ~= "flag" then opts[key] = option:read(given) end
    end
  end
  return opts
end

return M
