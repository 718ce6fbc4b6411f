---The options of a method as flags of a command line: read from its row, so that a new
---method has its flags at once.
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

return M
