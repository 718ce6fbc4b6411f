---Feature visualisation: what a unit, a class or a layer wants to see. What pictures
---are made of (`parameters`), how they are moved (`transforms`) and what they pay
---(`regularizers`); `lu.activation_maximization` puts it together.
local maximise = require "lunette.features.activation_maximization"
local patches = require "lunette.features.patches"

local M = {
  parameters = require "lunette.features.parameters",
  transforms = require "lunette.features.transforms",
  regularizers = require "lunette.features.regularizers",
  receptive_field = require("lunette.net.receptive").of,
  dead = require "lunette.features.dead",
  patches = patches.patches,
  gallery = patches.gallery,
}


---The picture that gives a layer the values which another picture gives it (Mahendran &
---Vedaldi 2015): what the layer still knows of that picture.
---Example:
---  local net = lu.load "glyphs"
---  local x = net:images(lu.glyphs.default_images(1).images)
---  local picture, distance = lu.features.invert(net, x, "block2_conv2", { steps = 4 })
---  print(distance[1])
---  show(picture)
---@param net lunette.Net
---@param images lunette.Tensor   (N,C,H,W) of net:images
---@param layer string
---@param opts? table   those of `lu.activation_maximization`, without a score
---@return lunette.Tensor pictures   (N,C,H,W), 0..255
---@return number[] distances        |a - b|^2 / |b|^2 at the layer, one a picture
function M.invert(net, images, layer, opts)
  return require "lunette.features.inversion"(net, images, layer, opts)
end

---Pictures (3,H,W) of one size as one tensor (K,3,H,W).
---@param pictures lunette.Tensor[]
---@return lunette.Tensor
function M.stack(pictures)
  local all
  for _, p in ipairs(pictures) do
    p = p:reshape { 1, table.unpack(p:shape()) }
    all = all and require("lunette.core").ops.concat(all, p, { dim = 1 }) or p
  end
  return all
end


return setmetatable(M, { __index = function(_, key)
  if key == "last" then return maximise.last end
end })
