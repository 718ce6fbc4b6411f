---Pictures (tensors) and the engine's own 8-bit images, each made from the other.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local shapes = require "lunette.base.shapes"
local types = require "lunette.base.types"

local M = {}


---What to do with a tensor that is no picture.
local function remedy(shape)
  local last = shape[#shape]
  if #shape == 4 then return "; x[i] is one of a batch" end
  if #shape ~= 3 then return "" end
  if last == 3 or last == 1 then
    return "; channels come first: x:permute { dims = { 3, 1, 2 } }"
  end
  return "; maps are drawn by lu.show(maps, file) and by canvases"
end


---The 8-bit image of a picture: (3,H,W), or grey as (1,H,W) or (H,W). Values
---are rounded and cut to 0..255.
---@param picture lunette.Tensor
---@return userdata image
function M.to_image(picture)
  if types.is_image(picture) then return picture end
  local shape = picture:shape()
  local c = #shape == 3 and shape[1] or #shape == 2 and 1
  if c == 3 then return core.image.from_planes(picture) end
  if c ~= 1 then
    blame(("a picture is a tensor (3,H,W), this is %s%s"):format(shapes.text(shape),
          remedy(shape)))
  end
  local h, w = shape[#shape - 1], shape[#shape]
  local rgb = core.zeros(3, h, w)
  for i = 1, 3 do rgb[i] = picture end
  return core.image.from_planes(rgb)
end


---The picture of an 8-bit image.
---@param image userdata
---@return lunette.Tensor picture   (3,H,W)
function M.from_image(image) return core.image.to_planes({ image })[1] end


---The input of a network of images of one size: (N,3,H,W), or (N,1,H,W) of the first
---plane.
---@param images userdata[]
---@param spec table   a whole preprocessing
---@param channels? integer
---@return lunette.Tensor
function M.planes(images, spec, channels)
  if #images == 0 then
    blame "images: the list is empty; what could not be loaded is nil in it"
  end
  if channels ~= 1 then return core.image.to_planes(images, spec) end
  local w, h = images[1]:size()
  local x = core.zeros(#images, 1, h, w)
  for i, image in ipairs(images) do
    x[i] = core.image.to_planes({ image }, spec)[1][1]
  end
  return x
end


---The pictures of a list, a batch, or a picture by itself.
---@param what lunette.Tensor|lunette.Tensor[]
---@return lunette.Tensor[]
function M.list_of(what)
  if type(what) == "table" then return what end
  local list = {}
  if #what:shape() == 4 then
    for i = 1, #what do list[i] = what[i] end
  else
    list[1] = what
  end
  return list
end

return M
