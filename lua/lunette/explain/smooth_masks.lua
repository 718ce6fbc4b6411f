---Smooth masks (Fong et al. 2019): a coarse grid of numbers becomes a mask whose edges
---are never steeper than a kernel: every pixel has the largest of the cells around it,
---each times exp(-2 max(d / sigma - 1/2, 0)^2) at distance d, the largest made
---differentiable by weights softmax(20 values). Sizes and constants are TorchRay's.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local ops = core.ops

local M = {}

local COLDNESS = 20

---@class lunette.SmoothMasks
---@field rows integer      of the grid
---@field columns integer
---@field generate fun(p: lunette.Tensor): lunette.Tensor, lunette.Tensor   of grids
---  (K,1,rows,columns) from 0 to 1: masks of the picture (K,1,H,W), and those with a
---  margin of sigma, over which areas are counted (K,1,H+..,W+..)
---@field wanted? fun(p: lunette.Tensor, areas: number[]): lunette.Tensor   the masks of
---  those areas that are nearest to those of grids p; nil: the largest pixels
---@field pace? lunette.Tensor   of each number of a grid: by what its steps are longer


---One dimension: how many cells, windows of cells, and pixels with margin there are.
local function sizes(pixels, step, pad, radius)
  local cells = -(-pixels // step)
  local windows = cells + 2 * pad - 2 * radius
  return { cells = cells, windows = windows, out = step * windows - step + 1 }
end


---Squared distance of pixel u from the k-th cell of its window, one dimension:
---(2 radius + 1, pixels).
local function squares(size, step, sigma, pad, radius)
  local rows = {}
  for k = 0, 2 * radius do
    local row = {}
    for u = 0, size.out - 1 do
      local d = u - (sigma + step * (u // step + k - pad))
      row[u + 1] = d * d
    end
    rows[k + 1] = row
  end
  return core.tensor(rows)
end


---The kernel of every cell of a window at every pixel: (1, (2 radius + 1)^2, H, W).
local function weights_of(high, wide, step, sigma, pad, radius)
  local n = 2 * radius + 1
  local dy = squares(high, step, sigma, pad, radius):view(n, 1, high.out, 1)
  local dx = squares(wide, step, sigma, pad, radius):view(1, n, 1, wide.out)
  local z = (((dy + dx):sqrt() / sigma) - 0.5):relu()
  return (z:square() * -2):exp():reshape { 1, n * n, high.out, wide.out }
end


---Every value as a square of step x step, the last row and column of them cut off.
local function enlarged(t, step)
  local k, c, h, w = table.unpack(t:shape())
  local large = t:reshape { k, c, h, 1, w, 1 }
    :expand { shape = { k, c, h, step, w, step } }
    :reshape { k, c, h * step, w * step }
  return large:narrow { dim = 3, start = 1, length = h * step - step + 1 }
    :narrow { dim = 4, start = 1, length = w * step - step + 1 }
end


---@param h integer      of the picture
---@param w integer
---@param step integer   pixels a cell
---@param sigma integer  pixels: how smooth
---@return lunette.SmoothMasks
function M.new(h, w, step, sigma)
  if step > math.max(h, w) or sigma > math.max(h, w) then
    blame(("step and sigma are pixels of a picture of %d x %d, not %d and %d"):format(h,
          w, step, sigma))
  end
  local pad, radius = 1 + -(-2 * sigma // step), 1 + -(-sigma // step)
  local high, wide = sizes(h, step, pad, radius), sizes(w, step, pad, radius)
  if high.out < h + sigma or wide.out < w + sigma then
    blame(("masks of cells of %d pixels need a sigma of at least as many, not %d"
      ):format(step, sigma))
  end
  local n = 2 * radius + 1
  local kernel = weights_of(high, wide, step, sigma, pad, radius)
  -- one channel a cell of the window: a convolution that picks that cell
  local pick = core.zeros(n * n, n * n)
  for k = 1, n * n do pick:set(k, k, 1) end
  pick = pick:reshape { n * n, 1, n, n }
  local around = { 0, 0, pad, pad }
  return { rows = high.cells, columns = wide.cells, generate = function(p)
    local cells = ops.conv2d(p:pad { before = around, after = around }, pick)
    local values = enlarged(cells, step) * kernel
    local whole = (values * (values * COLDNESS):softmax(2))
      :sum { dims = { 2 }, keepdims = true }:clamp(0, 1)
    local mask = whole:narrow { dim = 3, start = sigma + 1, length = h }
      :narrow { dim = 4, start = sigma + 1, length = w }
    return mask, whole
  end }
end

return M
