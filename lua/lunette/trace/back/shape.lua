---Gradients of operators that move values: views, parts, padding, resizing.
local common = require "lunette.trace.back.common"
local core = require "lunette.core"
local makers = require "lunette.tensors.makers"

local M = {}


local function reshaped(n, dy) return dy:reshape { shape = n.inputs[1]:shape() } end

M.reshape, M.flatten = reshaped, reshaped

local function unchanged(_, dy) return dy end

M.identity, M.dropout = unchanged, unchanged


function M.permute(n, dy)
  local back, nd = {}, dy:dim()
  for i, d in ipairs(n.attrs.dims) do
    back[common.axis(d, nd)] = i
  end
  return dy:permute { dims = back }
end


function M.expand(n, dy) return common.unbroadcast(dy, n.inputs[1]) end


function M.concat(n, dy, i)
  local d, start = common.axis(n.attrs.dim, dy:dim()), 1
  for k = 1, i - 1 do start = start + n.inputs[k]:dim(d) end
  return dy:narrow { dim = d, start = start, length = n.inputs[i]:dim(d) }
end


function M.narrow(n, dy)
  local x, before, after = n.inputs[1], {}, {}
  local d = common.axis(n.attrs.dim, dy:dim())
  for k = 1, dy:dim() do before[k], after[k] = 0, 0 end
  local start = math.tointeger(n.attrs.start)
  before[d] = (start < 0 and start + x:dim(d) + 1 or start) - 1
  after[d] = x:dim(d) - before[d] - dy:dim(d)
  return dy:pad { before = before, after = after }
end


---Constant padding: the part of dy without the border. A border that repeats or mirrors
---values adds its gradients to those of the values: a product with a matrix of 0 and 1
---along each dimension.
function M.pad(n, dy)
  local x, mode = n.inputs[1], n.attrs.mode
  for d = 1, x:dim() do
    local before, after = n.attrs.before[d] or 0, n.attrs.after[d] or 0
    if before + after > 0 and mode == 0 then
      dy = dy:narrow { dim = d, start = before + 1, length = x:dim(d) }
    elseif before + after > 0 then
      dy = common.along(dy, d, makers.eye(x:dim(d)):pad { before = { 0, before },
        after = { 0, after }, mode = mode })
    end
  end
  return dy
end


function M.roll(n, dy)
  local back = {}
  for i, s in ipairs(n.attrs.shift) do back[i] = -s end
  return dy:roll { shift = back }
end


function M.flip(n, dy) return dy:flip { dims = n.attrs.dims } end


---Where the index is a permutation, the inverse permutation; else gradients of an
---element that was selected several times are summed.
function M.index_select(n, dy, i)
  if i > 1 then return nil end
  local x, index = n.inputs[1], n.inputs[2]:totable()
  local d, back = common.axis(n.attrs.dim, dy:dim()), {}
  for at, from in ipairs(index) do back[math.tointeger(from)] = at end
  if #back == x:dim(d) and #index == #back then
    return dy:index_select(core.tensor(back), { dim = d })
  end
  return common.along(dy, d, makers.eye(x:dim(d)):index_select(core.tensor(index),
                                                              { dim = 2 }))
end


function M.gather(n, dy, i)
  if i > 1 then return nil end
  return (n.inputs[1] * 0):scatter_add(n.inputs[2], dy, { dim = n.attrs.dim })
end


function M.scatter_add(n, dy, i)
  if i == 2 then return nil end
  return i == 1 and dy or dy:gather(n.inputs[2], { dim = n.attrs.dim })
end


-- resizing: a matrix for each axis ----------------------------------------------------


---Interpolation along one axis as a matrix (from,to): row i is the result for an input
---that is 1 at i and 0 elsewhere.
---@param from integer
---@param to integer
---@param attrs table   mode, align_corners
---@return lunette.Tensor
function M.axis_matrix(from, to, attrs)
  local one = makers.eye(from):reshape { shape = { from, 1, 1, from } }
  return one:interpolate { size = { 1, to }, mode = attrs.mode,
                           align_corners = attrs.align_corners }
    :reshape { shape = { from, to } }
end


function M.interpolate(n, dy)
  local x = n.inputs[1]
  for d = 3, 4 do
    if x:dim(d) ~= dy:dim(d) then
      dy = common.along(dy, d, M.axis_matrix(x:dim(d), dy:dim(d), n.attrs))
    end
  end
  return dy
end


---`affine` with 0 for places outside of the picture; linear in x.
---@param x lunette.Tensor   (N,C,h,w)
---@param attrs table        of affine
---@return lunette.Tensor
function M.warped(x, attrs)
  local linear = {}
  for key, v in pairs(attrs) do linear[key] = v end
  linear.value = 0
  return x:affine(linear)
end


---`affine` of a plane as a matrix (h w, h w), as in axis_matrix.
---@param h integer
---@param w integer
---@param attrs table   of affine
---@return lunette.Tensor
function M.plane_matrix(h, w, attrs)
  local one = makers.eye(h * w):reshape { shape = { h * w, 1, h, w } }
  return M.warped(one, attrs):reshape { shape = { h * w, h * w } }
end


function M.affine(n, dy)
  local x = n.inputs[1]
  local h, w = x:dim(3), x:dim(4)
  local flat = dy:reshape { shape = { x:dim(1), x:dim(2), h * w } }
  return common.along(flat, 3, M.plane_matrix(h, w, n.attrs))
    :reshape { shape = x:shape() }
end


---How often each column of a half spectrum occurs in the full one: (W//2+1).
---@param w integer
---@return lunette.Tensor
local function counts(w)
  local half = w // 2 + 1
  local t = core.full(2, half)
  t:set(1, 1)
  if w % 2 == 0 then t:set(half, 1) end
  return t
end


-- rfft2 and irfft2 are transposes of each other but for factors: irfft2 weighs a column
-- by its count in the full spectrum over h w.
function M.rfft2(n, dy)
  local x = n.inputs[1]
  local h, w = x:dim(x:dim() - 1), x:dim(x:dim())
  return (dy * (h * w / counts(w))):irfft2 { width = w }
end


function M.irfft2(_, dy)
  local h, w = dy:dim(dy:dim() - 1), dy:dim(dy:dim())
  return dy:rfft2() * (counts(w) / (h * w))
end

return M
