---What a layer makes of many pictures, a batch at a time.
local blame = require "lunette.base.blame"
local folders = require "lunette.base.folders"
local progress = require "lunette.base.progress"

local M = {}


---Pictures with those of folders instead of the folders.
---@param what string   for messages
---@param pictures string|any[]   a folder, or a list of paths, folders and tensors
---@return any[]
function M.pictures(what, pictures)
  local list, all = type(pictures) == "string" and { pictures } or pictures, {}
  if type(list) ~= "table" or #list == 0 then
    blame(what .. ": expected a folder, or a list of pictures, paths and folders")
  end
  for _, picture in ipairs(list) do
    local found, message = { picture }, nil
    if type(picture) == "string" then found, message = folders.pictures(picture) end
    if not found then blame(("%s: %s"):format(what, message)) end
    table.move(found, 1, #found, #all + 1, all)
  end
  return all
end


---The activated layer of that name; raises where there is none.
---@param what string   for messages
---@param net lunette.Net
---@param name string
---@return lunette.Layer
function M.check(what, net, name)
  local layer, message = net:activated(name)
  if not layer then blame(("%s: %s"):format(what, message)) end
  return layer
end


---Calls f(activation (N,C,...), images) for every batch.
---@param what string   for the progress bar
---@param net lunette.Net
---@param layer lunette.Layer
---@param pictures any[]
---@param o { batch: integer, progress: any }
---@param f fun(activation: lunette.Tensor, images: lunette.Tensor)
function M.run(what, net, layer, pictures, o, f)
  local bar <close> = progress.start(what, #pictures, o.progress)
  for first = 1, #pictures, o.batch do
    local last = math.min(#pictures, first + o.batch - 1)
    local images, message = net:images(table.move(pictures, first, last, 1, {}))
    if not images then blame(("%s: %s"):format(what, message)) end
    local run <close> = net:run(images)
    f(run:activation(layer.name):detach(), images)
    bar:add(images:dim(1))
  end
end

return M
