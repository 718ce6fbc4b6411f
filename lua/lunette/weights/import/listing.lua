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
---  skipped: string[], lines: string[][] }? listing   skipped: classes of a pickle,
---  whose objects stayed closed
---@return string? message
function M.list(file)
  local lines, message = program.run { "list", file }
  if not lines then return nil, message end
  local found = { tensors = {}, meta = {}, skipped = {}, lines = lines }
  for _, f in ipairs(lines) do
    if f[1] == "format" then
      found.format = f[2]
    elseif f[1] == "meta" then
      found.meta[program.unescape(f[2] or "")] = program.unescape(f[3] or "")
    elseif f[1] == "skipped" then
      found.skipped[#found.skipped + 1] = program.unescape(f[2] or "")
    elseif f[1] == "tensor" and f[4] then
      found.tensors[#found.tensors + 1] = {
        index = #found.tensors, type = f[2], shape = numbers(f[3]), name = f[4],
      }
    end
  end
  return found
end

return M
