---What a model file holds, as lunette-import lists it.
local program = require "lunette.weights.import.program"

local M = {}


local function numbers(text)
  local list = {}
  for n in text:gmatch("%d+") do list[#list + 1] = math.tointeger(tonumber(n)) end
  return list
end


---What a file holds, without reading any weights.
---@param file string
---@return { format: string, tensors: lunette.import.Tensor[], meta: table,
---  skipped: string[], modules: string[], lines: string[][] }? listing   skipped: classes
---  of a pickle, whose objects stayed closed; modules: those of a whole model's modules,
---  the model's own first, of which only the tensors are listed
---@return string? message
function M.list(file)
  local lines, message = program.run { "list", file }
  if not lines then return nil, message end
  local found = { tensors = {}, meta = {}, skipped = {}, modules = {}, lines = lines }
  local is_module = {}
  for _, f in ipairs(lines) do
    if f[1] == "format" then
      found.format = f[2]
    elseif f[1] == "meta" then
      found.meta[program.unescape(f[2] or "")] = program.unescape(f[3] or "")
    elseif f[1] == "skipped" then
      found.skipped[#found.skipped + 1] = program.unescape(f[2] or "")
    elseif f[1] == "module" then
      found.modules[#found.modules + 1] = program.unescape(f[2] or "")
      is_module[f[2]] = true
    elseif f[1] == "tensor" and f[4] then
      found.tensors[#found.tensors + 1] = {
        index = #found.tensors, type = f[2], shape = numbers(f[3]), name = f[4],
      }
    end
  end
  for i = #found.skipped, 1, -1 do
    if is_module[found.skipped[i]] then table.remove(found.skipped, i) end
  end
  return found
end

return M
