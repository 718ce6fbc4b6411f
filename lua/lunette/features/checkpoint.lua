---A long climb that can be taken up again: what was optimised, the optimiser's moments
---and the best so far, in one file with what decides them.
local core = require "lunette.core"
local json = require "lunette.base.json"
local shapes = require "lunette.base.shapes"

local M = {}


---Writes tensors by name, the step and what decides them.
---@param path string
---@param state table<string, lunette.Tensor>
---@param about { step: integer, values: number[], identity: string }
function M.save(path, state, about)
  local list = {}
  for name, tensor in pairs(state) do list[#list + 1] = { name, tensor } end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  assert(core.write_weights(path, list, "f32", { lunette_climb = json.encode(about) }))
end


---Takes up what `save` wrote, in place. Nothing is taken up where there is no file; a
---file of another climb is an error.
---@param path string
---@param state table<string, lunette.Tensor>
---@param identity string
---@return { step: integer, values: number[] }? about
function M.load(path, state, identity)
  local f = io.open(path, "rb")
  if not f then return nil end
  f:close()
  local file = assert(core.weights(path))
  local about = json.decode(file:meta().lunette_climb or "null")
  if type(about) ~= "table" or about.identity ~= identity then
    error(("%s holds another climb: %s; this one is %s; remove the file to begin anew"
      ):format(path, about and about.identity or "none", identity), 0)
  end
  for i, entry in ipairs(file:list()) do
    local to = state[entry.name]
    if not to or not shapes.same(to, entry.shape) then
      error(("%s: tensor '%s' does not fit; remove the file to begin anew"):format(path,
            entry.name), 0)
    end
    to:copy_(assert(file:tensor(i)))
  end
  file:release()
  return about
end

return M
