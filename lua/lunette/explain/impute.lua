---Noisy linear imputation (Rong et al. 2022, "ROAD"): removed pixels get the values of
---which each is the weighted mean of its neighbours (1/6 beside and above, 1/12 at the
---corners, those inside the picture): a smooth surface over the kept ones, so that
---where pixels are missing cannot be read from the picture. Solved by conjugate
---gradients, all pictures and channels at once.
local core = require "lunette.core"
local ops = core.ops

local M = {}

local MOST = 2000 -- rounds

local kernel = core.tensor { { 1 / 12, 1 / 6, 1 / 12 }, { 1 / 6, 0, 1 / 6 },
                             { 1 / 12, 1 / 6, 1 / 12 } }:view(1, 1, 3, 3)


---The weighted sum of the eight neighbours inside.
local function around(t) return ops.conv2d(t, kernel, { padding = 1 }) end


---A sum a plane, (M,1,1,1).
local function each(t) return t:sum { dims = { 2, 3, 4 }, keepdims = 1 } end


---Solves A v = b, where A v = (degree v - around(v)) on removed pixels, from v on,
---until the residual is `close` of b.
local function solve(v, b, gone, degree, close)
  local function apply(t) return (degree * t - around(t)) * gone end
  local tiny = core.full(1e-30, 1)
  local r = b - apply(v)
  local z = r / degree
  local p, rho = z, each(r * z)
  local goal = each(b * b / degree):maximum(tiny) * (close * close)
  for _ = 1, MOST do
    if rho:le(goal):min():item() > 0 then break end
    local q = apply(p)
    local alpha = rho / each(p * q):maximum(tiny)
    v = v + p * alpha
    r = r - q * alpha
    z = r / degree
    local after = each(r * z)
    p = z + p * (after / rho:maximum(tiny))
    rho = after
  end
  return v
end


---A first guess: what is missing is taken from the picture at half the size, and what
---is missing there from a quarter (pull and push, Gortler et al. 1996).
---@param values lunette.Tensor   (M,1,H,W), 0 where nothing is known
---@param known lunette.Tensor    0 and 1
local function guess(values, known)
  local h, w = values:dim(3), values:dim(4)
  if h < 2 or w < 2 or known:min():item() > 0 then return values end
  local even = { after = { 0, 0, h % 2, w % 2 } }
  local half = { kernel = 2, stride = 2 }
  local weight = known:pad(even):avg_pool2d(half)
  local some = weight:gt(0)
  local mean = values:pad(even):avg_pool2d(half) / (weight + (1 - some))
  local filled = guess(mean, some):resize(h + h % 2, w + w % 2)
  local inside = filled:narrow { dim = 3, start = 1, length = h }
    :narrow { dim = 4, start = 1, length = w }
  return values + inside * (1 - known)
end


---Pictures whose removed pixels are filled in.
---@param x lunette.Tensor       (k,C,H,W), or (1,C,H,W) for all masks
---@param removed lunette.Tensor (k,1,H,W): 1 where a pixel is removed, not everywhere
---@param o? { noise?: number, seed?: integer, close?: number }   deviation of normal
---  noise that filled pixels get (0); relative residual at which the sum is solved
---  (1e-6)
---@return lunette.Tensor        (k,C,H,W)
function M.linear(x, removed, o)
  o = o or {}
  local k, c, h, w = removed:dim(1), x:dim(2), x:dim(3), x:dim(4)
  local shape = { k, c, h, w }
  local all = x:expand { shape = shape }:reshape { k * c, 1, h, w }
  local gone = removed:expand { shape = shape }:reshape { k * c, 1, h, w }
  local degree = around(core.ones(1, 1, h, w))
  local kept = all * (1 - gone)
  -- the surface's differences from the kept pixels' mean: b is small where that is near
  local count = each(1 - gone):maximum(core.ones(1))
  local mean = each(kept) / count
  local off = (all - mean) * (1 - gone)
  local first = guess(off, 1 - gone) * gone
  local filled = solve(first, around(off) * gone, gone, degree, o.close or 1e-6) + mean
  if (o.noise or 0) > 0 then
    filled = filled + core.normal(o.seed or 0, 0, k * c, 1, h, w) * o.noise
  end
  return (kept + filled * gone):reshape(shape)
end

return M
