---The candidates of a search: every method with its default options, and with one
---option changed: another layer, baseline, backward rule or choice, or half the
---samples.
local methods = require "lunette.methods"
local rows = require "lunette.base.rows"

local M = {}

local BASELINES = { "mean", "blur" }
local RULES = { "guided", "rectified" }
local LAYERS = 3 -- besides the default


---@class lunette.Candidate
---@field name string      "gradcam layer=block4_relu3"
---@field method string
---@field opts table       what differs from the defaults


---The last layers of each resolution before that of the last map.
---@param net lunette.Net
---@return string[]   names, the last ones first
function M.layers(net)
  local last, list = net:last_map(), {}
  if not last then return list end
  local all = net:layers()
  local side = last.shape[2]
  for i = last.index - 1, 1, -1 do
    local s = all[i].shape
    if #s == 3 and s[2] > side and #list < LAYERS then
      list[#list + 1] = assert(net:activated(all[i].name)).name
      side = s[2]
    end
  end
  return list
end


---All choices but the default.
local function other_choices(option)
  local list = {}
  for _, v in ipairs(option.list) do
    if v ~= option.default then list[#list + 1] = v end
  end
  return list
end


---Values to try instead of an option's default.
local function values_of(key, option, net)
  if option.type == "layer" then return M.layers(net) end
  if option.type == "baseline" then return BASELINES end
  if option.type == "choice" and key ~= "dialect" then return other_choices(option) end
  if key ~= "samples" and key ~= "steps" then return {} end
  local half = (math.tointeger(option.default) or 0) // 2
  return half >= math.max(2, option.least) and { half } or {}
end


local function add(list, method, key, value)
  local name = key and ("%s %s=%s"):format(method, key, tostring(value)) or method
  list[#list + 1] = { name = name, method = method, opts = key and { [key] = value }
                                                           or {} }
end


local function add_method(list, name, row, net)
  add(list, name)
  local keys = {}
  for key in pairs(row.options) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do
    for _, value in ipairs(values_of(key, row.options[key], net)) do
      add(list, name, key, value)
    end
  end
  local rules = row.family == "gradient" or name == "gradcam"
  local ruled = row.options.modifiers and rules
  for _, rule in ipairs(ruled and RULES or {}) do
    add(list, name, "modifier", rule)
  end
end


---All candidates for this network.
---@param net lunette.Net
---@param names? string[]   these methods alone
---@return lunette.Candidate[]
function M.all(net, names)
  local list = {}
  for _, name in ipairs(names or rows.names(methods)) do
    local row = methods[name]
    if not row then
      error(("choose: method '%s' not found%s"):format(name,
        require("lunette.base.suggest").after(name, rows.names(methods))), 0)
    end
    local draws = row.draws == "overlay" or row.draws == "map"
    if draws and row.family ~= "attention" or names then
      add_method(list, name, row, net)
    end
  end
  return list
end

return M
