---The last activation of a network, as the user says it.
local M = {}

local is_last = { softmax = true, sigmoid = true, log_softmax = true }


local function name_of(spec) return spec.name or spec[1] end


---Where in the list the output is computed.
local function place_of_output(arch)
  local list, name = arch.layers, arch.outputs and arch.outputs[1]
  for i, spec in ipairs(list) do
    if name_of(spec) == name then return i end
  end
  return #list
end


---Does a layer read what the one at `at` puts out?
local function is_read(list, at)
  local name = name_of(list[at])
  for i, spec in ipairs(list) do
    local from = spec.from
    if from == nil and i == at + 1 or from == name then return true end
    for _, one in ipairs(type(from) == "table" and from or {}) do
      if one == name then return true end
    end
  end
  return false
end


---The layer that the one at `at` reads, by name.
local function read_by(list, at)
  local from = list[at].from
  if type(from) == "table" then from = from[1] end
  return from or list[at - 1] and name_of(list[at - 1]) or "input"
end


---Takes the last activation away; the name of what remains.
local function bare(arch)
  local list, at = arch.layers, place_of_output(arch)
  local spec = list[at]
  if is_last[spec.kind or spec[2]] and not is_read(list, at) then
    local name = read_by(list, at)
    table.remove(list, at)
    return name
  end
  return name_of(spec)
end


---A name that no layer has.
local function free_name(list, name)
  local names = {}
  for _, one in ipairs(list) do names[name_of(one)] = true end
  while names[name] do name = name .. "_" end
  return name
end


---Gives a table of layers another last activation; nil and a message where it has
---several outputs.
---@param arch table
---@param last "softmax"|"sigmoid"|"none"
---@return table? arch, string? message
function M.set(arch, last)
  if arch.outputs and #arch.outputs > 1 then
    return nil, "it has several outputs: --last is for one"
  end
  local list, out = arch.layers, bare(arch)
  local ends = #list > 0 and name_of(list[#list]) == out
  arch.outputs = nil
  if last == "none" then
    if not ends then arch.outputs = { out } end
  else
    list[#list + 1] = { free_name(list, last), last, from = not ends and out or nil }
  end
  return arch
end

return M
