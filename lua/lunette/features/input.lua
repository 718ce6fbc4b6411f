---Between pictures of 0..1 and what a network is given, by its own preprocessing, on
---a tape.
local core = require "lunette.core"
local preprocessing = require "lunette.picture.preprocessing"

local M = {}


local function planes(list, c)
  local t = core.zeros(1, c, 1, 1)
  for i = 1, c do t:set(1, i, 1, 1, list[i] or list[1]) end
  return t
end


---@param x lunette.Tensor
local function swapped(x, spec)
  if not spec.bgr or x:dim(2) ~= 3 then return x end
  return x:index_select(core.tensor { 3, 2, 1 }, { dim = 2 })
end


---(K,C,H,W) of 0..1, red first, as the network wants it.
---@param net lunette.Net
---@param x lunette.Tensor
---@return lunette.Tensor
function M.of(net, x)
  local spec, c = preprocessing.spec(net.preprocessing), x:dim(2)
  local mean, scale = planes(spec.mean, c), planes({ 1, 1, 1 }, c) / planes(spec.std, c)
  return (swapped(x, spec) * (255 * spec.scale) - mean) * scale
end


---The way back: bytes 0..255, red first.
---@param net lunette.Net
---@param x lunette.Tensor   (K,C,H,W)
---@return lunette.Tensor
function M.pictures(net, x)
  local spec, c = preprocessing.spec(net.preprocessing), x:dim(2)
  local bytes = (x * planes(spec.std, c) + planes(spec.mean, c)) * (1 / spec.scale)
  return swapped(bytes, spec):clamp(0, 255)
end

return M
