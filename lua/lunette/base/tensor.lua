---Methods of tensors that are combinations of operators, added to the class once.
local core = require "lunette.core"

local M = core.methods


---Per sample (a - min) / (max - min + eps) over all but the first dimension.
---@param eps? number  1e-7 (Keras' epsilon, as tf-keras-vis)
---@return lunette.Tensor
function M.normalize(t, eps)
  local n, shape = t:dim(1), t:shape()
  local flat = t:reshape { shape = { n, t:size() // n } }
  local lo = flat:min { dims = { 2 }, keepdims = true }
  local hi = flat:max { dims = { 2 }, keepdims = true }
  local scaled = (flat - lo) / (hi - lo + (eps or 1e-7))
  return scaled:reshape { shape = shape }
end


---Bilinear (default), nearest or bicubic resize of (N,C,H,W) or (N,H,W).
---@param h integer
---@param w integer
---@param opts? { mode?: string, align_corners?: boolean }
---@return lunette.Tensor
function M.resize(t, h, w, opts)
  opts = opts or {}
  local modes = { nearest = 0, bilinear = 1, bicubic = 2 }
  local mode = modes[opts.mode or "bilinear"]
  if not mode then error("resize: no mode '" .. tostring(opts.mode) .. "'", 2) end
  local x, flat = t, t:dim() == 3
  if flat then x = t:reshape { shape = { t:dim(1), 1, t:dim(2), t:dim(3) } } end
  local y = x:interpolate { size = { h, w }, mode = mode,
                            align_corners = opts.align_corners and 1 or 0 }
  return flat and y:reshape { shape = { t:dim(1), h, w } } or y
end


---The k largest values and their flat indices from 1.
---@param k? integer   5
---@return number[] values, integer[] indices
function M.top(t, k)
  local index, value = t:argsort()
  local values, indices = {}, {}
  for i = 1, math.min(k or 5, #index) do
    values[i], indices[i] = value[i], math.floor(index[i])
  end
  return values, indices
end


---Relative L2 distance ||a-b|| / ||b|| (b is the reference; 0/0 is 0).
---@param b lunette.Tensor   of the same size
---@return number
function M.distance(a, b)
  local d = (a:view(a:size()) - b:view(b:size())):stats().l2
  local norm = b:stats().l2
  if norm == 0 then return d == 0 and 0 or math.huge end
  return d / norm
end

return M
