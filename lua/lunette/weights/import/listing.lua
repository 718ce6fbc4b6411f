---What a model file holds, as lunette-import lists it.
local program = require "lunette.weights.import.program"

local M = {}


local function numbers(text)
  local list = {}
  for n in text:gmatch("%d+") do list[#list + 1] = math.tointeger(tonumber(n)) end
  return list
end


---What the lines of the answer say, by their first word.
local readers = {}


function readers.format(found, f) found.format = f[2] end


function readers.meta(found, f)
  found.meta[program.unescape(f[2] or "")] = program.unescape(f[3] or "")
end


function readers.skipped(found, f) table.insert(found.skipped, f[2] or "") end


function readers.module(found, f) table.insert(found.modules, f[2] or "") end


function readers.tensor(found, f)
  if not f[4] then return end
  table.insert(found.tensors, { index = #found.tensors, type = f[2],
                                shape = numbers(f[3]), name = f[4] })
end


---Classes as they may be read; those of modules are not said twice.
local function unescape(found)
  local is_module = {}
  for i, class in ipairs(found.modules) do
    found.modules[i], is_module[class] = program.unescape(class), true
  end
  for i = #found.skipped, 1, -1 do
    local class = table.remove(found.skipped, i)
    if not is_module[class] then
      table.insert(found.skipped, i, program.unescape(class))
    end
  end
end


---What a file holds, without reading any weights.
---@param file string
---@return { format: string, tensors: lunette.import.Tensor[], meta: table,
---  skipped: string[], modules: string[], lines: string[][] }? listing   skipped:
---  classes of a pickle, whose objects stayed closed; modules: those of a whole model's
---  modules, the model's own first, of which only the tensors are listed
---@return string? message
function M.list(file)
  local lines, message = program.run { "list", file }
  if not lines then return nil, message end
  local found = { tensors = {}, meta = {}, skipped = {}, modules = {}, lines = lines }
  for _, f in ipairs(lines) do
    local read = readers[f[1]]
    if read then read(found, f) end
  end
  unescape(found)
  return found
end

return M
