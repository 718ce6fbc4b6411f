---The space of attacks: levels 0 .. 255 as in the picture's file, in the network's
---order of channels. In it eps means the same for every network; the preprocessing is
---part of the function that is attacked.
local core = require "lunette.core"
local preprocessing = require "lunette.picture.preprocessing"

local M = {}

---@class lunette.LevelSpace
---@field slope lunette.Tensor   (1,C,1,1): input units a level
local Space = {}
Space.__index = Space


---@param net lunette.Net
---@return lunette.LevelSpace
function M.of(net)
  local spec, c = preprocessing.spec(net.preprocessing), net.input[1]
  local slope, offset = core.zeros(1, c, 1, 1), core.zeros(1, c, 1, 1)
  for k = 1, c do
    local std, mean = spec.std[k] or spec.std[1], spec.mean[k] or spec.mean[1]
    slope:set(1, k, 1, 1, spec.scale / std)
    offset:set(1, k, 1, 1, mean / std)
  end
  return setmetatable({ slope = slope, offset = offset }, Space)
end


---Levels of a network's input.
---@param x lunette.Tensor   (N,C,H,W)
---@return lunette.Tensor
function Space:levels(x) return (x + self.offset) / self.slope end


---The network's input of levels.
---@param levels lunette.Tensor   (N,C,H,W), 0 .. 255
---@return lunette.Tensor
function Space:input(levels) return levels * self.slope - self.offset end


---A gradient by the input as one by levels.
---@param g lunette.Tensor
---@return lunette.Tensor
function Space:gradient(g) return g * self.slope end

return M
