---How alike two maps are, by one of several measures: what sanity checks ask. SSIM is
---taken of block means, scaled to 0 .. 1: single pixels of a gradient are noise.
local core = require "lunette.core"
local asking = require "lunette.explain.asking"
local blame = require "lunette.base.blame"
local drawn = require "lunette.picture.drawn"
local gradient_histogram = require "lunette.explain.gradient_histogram"
local rank_correlation = require "lunette.tensors.rank_correlation"
local structure = require "lunette.explain.structure"

local M = {}

local BLOCK, WINDOW, CLIP = 4, 7, 0.99


---One plane (H,W) of a map: channels are summed.
---@param map lunette.Tensor   (H,W) or (C,H,W)
---@return lunette.Tensor
function M.plane(map)
  if map:dim() == 2 then return map end
  return drawn.planes(map:view(1, table.unpack(map:shape())))[1]
end


---Means over blocks of 4 x 4; of small maps, over less.
---@param map lunette.Tensor   (H,W)
---@return lunette.Tensor
function M.blocks(map)
  local h, w = map:dim(1), map:dim(2)
  local side = math.min(BLOCK, h // WINDOW, w // WINDOW)
  if side < 2 then return map end
  return map:view(1, 1, h, w):avg_pool2d { kernel = side, stride = side }[1][1]
end


---From 0 to 1, the largest hundredth cut off.
local function scaled(map)
  local s = map:stats()
  if s.max == s.min then return map * 0 end
  local most = core.image.percentile(map - s.min, 100 * CLIP)
  if most <= 0 then most = s.max - s.min end
  return ((map - s.min) / most):clamp(0, 1)
end


local function flat(map)
  local s = map:stats()
  return s.min == s.max
end


---SSIM of block means; of a map that is the same everywhere 1 with such a one, else 0.
local function ssim(a, b)
  a, b = M.blocks(M.plane(a)), M.blocks(M.plane(b))
  if flat(a) or flat(b) then return flat(a) == flat(b) and 1 or 0 end
  local window = math.min(WINDOW, a:dim(1), a:dim(2))
  return (structure.ssim(scaled(a), scaled(b),
                         { window = window, kernel = "uniform", range = 1 }))
end


local function pearson(a, b)
  return asking.correlation(a:view(a:size()):totable(), b:view(b:size()):totable())
end


---The correlation of histograms of oriented gradients: what outlines have in common,
---whatever their strength. Of a map that is the same everywhere 1 with such a one, else
---0.
local function hog(a, b)
  a, b = M.plane(a), M.plane(b)
  local h, w = a:dim(1), a:dim(2)
  if h < 3 or w < 3 then
    blame(("hog: maps of %d x %d have no gradient; 3 x 3 are needed"):format(h, w))
  end
  if flat(a) or flat(b) then return flat(a) == flat(b) and 1 or 0 end
  return pearson(gradient_histogram.of(scaled(a)), gradient_histogram.of(scaled(b)))
end


---The measures, by name. All are 1 for equal maps.
M.measures = {
  ssim = ssim,
  spearman = rank_correlation,
  pearson = pearson,
  hog = hog,
}

M.names = { "ssim", "spearman", "pearson", "hog" }


---@param measure string
---@param a lunette.Tensor
---@param b lunette.Tensor
---@return number
function M.of(measure, a, b) return M.measures[measure](a, b) end


---The share of the k largest values of a that are among the k largest of b.
---@param a lunette.Tensor
---@param b lunette.Tensor   of the same size
---@param k integer
---@return number
function M.overlap(a, b, k)
  local function first(t)
    local set, order = {}, t:view(t:size()):argsort()
    for n = 1, k do set[order[n]] = true end
    return set
  end
  local mine, count = first(a), 0
  for at in pairs(first(b)) do count = count + (mine[at] and 1 or 0) end
  return count / k
end

return M
