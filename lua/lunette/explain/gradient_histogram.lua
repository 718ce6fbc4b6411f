---Histograms of oriented gradients (Dalal and Triggs 2005), as scikit-image has them:
---nine directions from 0 to 180 degrees without interpolation between them, cells of 16
---pixels as Adebayo et al. (2018) compare maps with, blocks of 3 x 3 cells, each
---normalised, cut at 0.2 and normalised again ("L2-Hys").
local core = require "lunette.core"
local ops = core.ops

local M = {}

local DIRECTIONS, CELL, BLOCK = 9, 16, 3
local CUT, EPS = 0.2, 1e-5


---Differences of the neighbours on both sides along a dimension; 0 at the border.
local function differences(map, dim)
  local n = map:dim(dim)
  if n < 3 then return map * 0 end
  local after = map:narrow { dim = dim, start = 3, length = n - 2 }
  local before = map:narrow { dim = dim, start = 1, length = n - 2 }
  local one = dim == 1 and { 1, 0 } or { 0, 1 }
  return (after - before):pad { before = one, after = one }
end


---Every direction's mean size of gradient in every cell: (1,9,h,w). What does not fill
---a cell is left out.
local function cells(map, side)
  local down, right = differences(map, 1), differences(map, 2)
  local size = (down * down + right * right):sqrt()
  local angle = down:atan2(right) * (DIRECTIONS / math.pi) -- -9 .. 9
  angle = angle + angle:lt(0) * DIRECTIONS
  local bin, list = angle:floor(), {}
  local h, w = map:dim(1), map:dim(2)
  for k = 0, DIRECTIONS - 1 do
    -- 180 degrees are 0
    local here = k == 0 and bin:eq(0) + bin:ge(DIRECTIONS) or bin:eq(k)
    list[k + 1] = (size * here):view(1, 1, h, w)
  end
  list[#list + 1] = { dim = 2 }
  return ops.concat(table.unpack(list)):avg_pool2d { kernel = side, stride = side }
end


---Divides by the norm over the directions and cells of a block.
local function normalised(parts)
  local squares
  for _, p in ipairs(parts) do
    local sum = (p * p):sum { dims = { 2 }, keepdims = 1 }
    squares = squares and squares + sum or sum
  end
  local norm = (squares + EPS * EPS):sqrt()
  for i, p in ipairs(parts) do parts[i] = p / norm end
  return parts
end


---The histograms of a map, block by block. Of maps that have not three cells of 16
---pixels a side, cells are smaller.
---@param map lunette.Tensor   (H,W)
---@return lunette.Tensor features   (1,81,h,w), a block each, values 0 .. 1; at least
---  3 x 3 pixels
function M.of(map)
  local h, w = map:dim(1), map:dim(2)
  local all = cells(map, math.max(1, math.min(CELL, h // BLOCK, w // BLOCK)))
  local down = math.max(1, all:dim(3) - BLOCK + 1)
  local right = math.max(1, all:dim(4) - BLOCK + 1)
  local parts = {}
  for y = 1, all:dim(3) - down + 1 do
    for x = 1, all:dim(4) - right + 1 do
      parts[#parts + 1] = all:narrow { dim = 3, start = y, length = down }
        :narrow { dim = 4, start = x, length = right }
    end
  end
  normalised(parts)
  for i, p in ipairs(parts) do parts[i] = p:clamp(0, CUT) end
  parts = normalised(parts)
  parts[#parts + 1] = { dim = 2 }
  return ops.concat(table.unpack(parts))
end

return M
