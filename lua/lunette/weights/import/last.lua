---The last activation of a network, as the user says it.
local M = {}

local is_last = { softmax = true, sigmoid = true, log_softmax = true }


---Gives a table of layers another last activation; nil and a message where it has
---several outputs.
---@param arch table
---@param last "softmax"|"sigmoid"|"none"
---@return table? arch, string? message
function M.set(arch, last)
  if arch.outputs and #arch.outputs > 1 then
    return nil, "it has several outputs: --last is for one"
  end
  local list, names = arch.layers, {}
  local spec = list[#list]
  if is_last[spec.kind or spec[2]] then list[#list] = nil end
  for _, one in ipairs(list) do names[one.name or one[1]] = true end
  local name = last
  while names[name] do name = name .. "_" end
  if last ~= "none" then
    local from = arch.outputs and arch.outputs[1]
    if from and not names[from] then from = nil end
    list[#list + 1] = { name, last, from = from }
  end
  arch.outputs = nil
  return arch
end

return M
