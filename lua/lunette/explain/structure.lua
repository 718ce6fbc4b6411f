---Structural similarity of two maps (Wang et al. 2004), window by window.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local ops = core.ops

local M = {}


---A window of sum 1: (1,1,side,side).
local function window_of(o)
  if o.kernel == "uniform" then
    return core.full(1 / (o.window * o.window), 1, 1, o.window, o.window)
  end
  local side, line, total = o.window, {}, 0
  for k = 1, side do
    line[k] = math.exp(-((k - (side + 1) / 2) ^ 2) / (2 * o.sigma * o.sigma))
    total = total + line[k]
  end
  local row = core.tensor(line) / total
  return (row:view(side, 1) * row:view(1, side)):view(1, 1, side, side)
end


---Of every window that lies inside: luminance times contrast and structure. A uniform
---window has the covariance of a sample (divided by n - 1), as skimage has it.
local function each_window(a, b, o, range)
  local h, w = a:dim(1), a:dim(2)
  local weight, n = window_of(o), o.window * o.window
  local correct = o.kernel == "uniform" and n / (n - 1) or 1
  local middle = a:stats().mean -- differences of squares keep more digits near 0
  local da, db = a - middle, b - middle
  local function mean(t) return ops.conv2d(t:view(1, 1, h, w), weight) end
  local ma, mb = mean(da), mean(db)
  local va = (mean(da * da) - ma * ma) * correct
  local vb = (mean(db * db) - mb * mb) * correct
  local vab = (mean(da * db) - ma * mb) * correct
  ma, mb = ma + middle, mb + middle
  local c1, c2 = (0.01 * range) ^ 2, (0.03 * range) ^ 2
  local s = (ma * mb * 2 + c1) * (vab * 2 + c2)
    / ((ma * ma + mb * mb + c1) * (va + vb + c2))
  return s:view(s:dim(3), s:dim(4))
end


---The mean over windows, and the values of the windows.
---@param a lunette.Tensor   (H,W)
---@param b lunette.Tensor
---@param o { window: integer, sigma?: number, kernel?: "gaussian"|"uniform",
---  range: number }   range 0: from the smallest to the largest of both
---@return number, lunette.Tensor
function M.ssim(a, b, o)
  if a:dim(1) < o.window or a:dim(2) < o.window then
    blame(("ssim: maps of %d x %d are smaller than a window of %d; give { window = }"
      ):format(a:dim(1), a:dim(2), o.window))
  end
  local sa, sb, range = a:stats(), b:stats(), o.range
  if range == 0 then range = math.max(sa.max, sb.max) - math.min(sa.min, sb.min) end
  if range == 0 then return 1, core.ones(1, 1) end -- equal everywhere
  local each = each_window(a, b, o, range)
  return each:mean():item(), each
end

return M
