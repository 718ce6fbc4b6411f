---What the session's variables hold, looked at without calling anybody's code.
local M = {}


---The loaded class of that name, or nil: nothing can be an instance of a class
---that nobody has loaded.
local function class(module, name)
  local m = package.loaded[module]
  return m and m[name]
end


---@return boolean
function M.is_net(v)
  return type(v) == "table" and getmetatable(v) ~= nil
    and getmetatable(v) == class("lunette.net", "Net")
end


---@return boolean
function M.is_run(v)
  return type(v) == "table" and getmetatable(v) ~= nil
    and getmetatable(v) == class("lunette.net.run", "Run")
end


---@return boolean
function M.is_layer(v)
  return type(v) == "table" and getmetatable(v) ~= nil
    and getmetatable(v) == class("lunette.net", "Layer")
end


---Names of the rows of `lu.methods`, `lu.metrics`; none of anything else.
---@return string[]
function M.row_names(v)
  local meta = type(v) == "table" and getmetatable(v)
  return type(meta) == "table" and rawget(meta, "__name") == "lunette.Rows"
    and rawget(meta, "names") or {}
end


M.is_tensor = require("lunette.base.types").is_tensor


---Networks among the globals, and those of runs among them: each once.
---@return lunette.Net[]
function M.nets()
  local found, seen = {}, {}
  local function add(net)
    if net and not seen[net] then
      seen[net] = true
      found[#found + 1] = net
    end
  end
  local names = {}
  for key in next, _G do
    if type(key) == "string" then names[#names + 1] = key end
  end
  table.sort(names)
  for _, key in ipairs(names) do
    local v = rawget(_G, key)
    if M.is_net(v) then add(v) end
    if M.is_run(v) then add(rawget(v, "net")) end
  end
  return found
end

return M
