---Long work that can be taken up again: its tensors and numbers in one file, which is
---replaced whole, and what decides them (identity): a file of other work is refused.
---
---  local about, message = checkpoint.resume(path, identity, { x = x, m = m })
---  ... steps from about.step on, and now and then:
---  checkpoint.save(path, identity, { x = x, m = m }, { step = 7 })
local core = require "lunette.core"
local files = require "lunette.base.files"
local json = require "lunette.base.json"
local shapes = require "lunette.base.shapes"

local M = {}


---Is there one? A path that is empty or false names none.
---@param path string|false
---@return boolean
function M.exists(path) return path and path ~= "" and files.exists(path) or false end


---Writes tensors by name, numbers, and what decides them.
---@param path string
---@param identity string
---@param tensors table<string, lunette.Tensor>
---@param about? table     what JSON can hold
---@return true? ok, string? message
function M.save(path, identity, tensors, about)
  local list = {}
  for name, tensor in pairs(tensors) do list[#list + 1] = { name, tensor } end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  local meta = { lunette_checkpoint = json.encode { identity = identity,
                                                    about = about or {} } }
  local ok, message = files.mkdir((files.split(path)))
  if not ok then return nil, message end
  return core.write_weights(path, list, "f32", meta)
end


---Opens the file of this work.
local function open(path, identity)
  local file, message = core.weights(path)
  if not file then return nil, message end
  local head = json.decode(file:meta().lunette_checkpoint or "null")
  local other = type(head) == "table" and head.identity or "none of ours"
  if other ~= identity then
    return nil, ("%s holds another checkpoint: %s; this one is %s; remove the file to "
      .. "begin anew"):format(path, tostring(other), identity)
  end
  if type(head.about) ~= "table" then
    return nil, path .. " is no whole checkpoint: remove the file to begin anew"
  end
  return file, head.about
end


---Reads what `save` wrote.
---@param path string
---@param identity string
---@return table<string, lunette.Tensor>? tensors   nil: there is none, or of other work
---@return any about   or a message
function M.load(path, identity)
  local file, about = open(path, identity)
  if not file then return nil, about end
  local tensors = {}
  for i, entry in ipairs(file:list()) do
    local tensor, message = file:tensor(i)
    if not tensor then return nil, message end
    tensors[entry.name] = tensor:clone()
  end
  file:release()
  return tensors, about
end


---Takes up what `save` wrote, in place: all of these tensors, and no others.
---@param path string
---@param identity string
---@param tensors table<string, lunette.Tensor>
---@return table? about, string? message
function M.resume(path, identity, tensors)
  local found, about = M.load(path, identity)
  if not found then return nil, about end
  for name, tensor in pairs(found) do
    if not tensors[name] or not shapes.same(tensors[name], tensor:shape()) then
      return nil, ("%s: tensor '%s' does not fit; remove the file to begin anew"
        ):format(path, name)
    end
  end
  for name, tensor in pairs(tensors) do
    if not found[name] then
      return nil, ("%s: tensor '%s' is missing; remove the file to begin anew"):format(
        path, name)
    end
    tensor:copy_(found[name])
  end
  return about
end

return M
