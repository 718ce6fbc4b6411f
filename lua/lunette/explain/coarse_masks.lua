---Coarse masks of a picture, of few numbers from 0 to 1 that a climb may change: cells
---that are enlarged and smoothed, or segments. What a mask costs counts in cells, so
---that weights mean the same for both.
local blur = require "lunette.tensors.blur"
local core = require "lunette.core"
local masking = require "lunette.explain.masks"

local M = {}

local NEAR = 1e-12 -- under roots and powers, whose slope at 0 has none

---@class lunette.CoarseMasks
---@field ones fun(): lunette.Tensor   that hide nothing
---@field near fun(mask: lunette.Tensor): lunette.Tensor   those nearest to (1,1,H,W)
---@field enlarged fun(m: lunette.Tensor): lunette.Tensor   (1,1,H,W)
---@field hidden fun(m: lunette.Tensor): lunette.Tensor   sum |1 - m|, in cells: (1)
---@field edges fun(m: lunette.Tensor, beta: number): lunette.Tensor   (1)


---sum ((m - its right neighbour)^2 + (m - its lower neighbour)^2)^(beta / 2)
local function variation(m, beta)
  local h, w = m:dim(3), m:dim(4)
  local function part(y, x)
    return m:narrow { dim = 3, start = y, length = h - 1 }
      :narrow { dim = 4, start = x, length = w - 1 }
  end
  if h < 2 or w < 2 then return (m * 0):sum() end
  local here = part(1, 1)
  local square = (here - part(1, 2)):square() + (here - part(2, 1)):square()
  return (square + NEAR):pow(beta / 2):sum()
end


---Cells of `cell` pixels a side, (1,1,rows,columns), blurred when they are enlarged.
---@param h integer       of the picture
---@param w integer
---@param cell integer
---@param sigma number    of the blur, in cells
---@return lunette.CoarseMasks
function M.cells(h, w, cell, sigma)
  local rows, columns = -(-h // cell), -(-w // cell)
  return {
    ones = function() return core.ones(1, 1, rows, columns) end,
    near = function(mask) return mask:resize(rows, columns):clamp(0, 1) end,
    enlarged = function(m) return blur(m:resize(h, w), sigma * cell) end,
    hidden = function(m) return (1 - m):abs():sum() end,
    edges = variation,
  }
end


---A number a segment, (1,M), lowest label first. Their edges cost nothing: they are the
---picture's own.
---@param labels lunette.Tensor   (H,W)
---@param cell integer            pixels a side
---@return lunette.CoarseMasks
function M.segments(labels, cell)
  local members = masking.members(labels) -- (M,H*W)
  local h, w, count = labels:dim(1), labels:dim(2), members:dim(1)
  local pixels = members:sum { dims = { 2 } }:view(1, count)
  return {
    ones = function() return core.ones(1, count) end,
    near = function(mask)
      local each = members * mask:view(1, h * w)
      return (each:sum { dims = { 2 } }:view(1, count) / pixels):clamp(0, 1)
    end,
    enlarged = function(m)
      return core.ops.matmul(m, members):reshape { 1, 1, h, w }
    end,
    hidden = function(m) return ((1 - m):abs() * pixels):sum() * (1 / cell ^ 2) end,
    edges = function(m) return (m * 0):sum() end,
  }
end

return M
