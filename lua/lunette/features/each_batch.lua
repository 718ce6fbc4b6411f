---What a layer makes of many pictures, a batch at a time.
local blame = require "lunette.base.blame"
local progress = require "lunette.base.progress"

local M = {}


---The activated layer of that name; raises where there is none, or no picture.
---@param what string   for messages
---@param net lunette.Net
---@param name string
---@param pictures any[]   paths, or tensors (3,H,W) of 0..255
---@return lunette.Layer
function M.check(what, net, name, pictures)
  if type(pictures) ~= "table" or #pictures == 0 then
    blame(what .. ": expected a list of pictures or paths")
  end
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
