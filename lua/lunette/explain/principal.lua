---The first principal component of values over places: of (N,K,h,w), each image by
---itself, what every place has of the direction in which its K channels vary most.
local core = require "lunette.core"
local matmul = core.ops.matmul

local M = {}


local function normed(v) return v * (1 / math.max(v:stats().l2, 1e-30)) end


---The eigenvector of a symmetric positive matrix (n,n) with the largest eigenvalue, and
---that value. A power of the matrix, made by squaring, separates it from the others;
---a few products with the matrix itself then take the rounding away.
---@param g lunette.Tensor
---@return lunette.Tensor v (n,1), number value
function M.eigenvector(g)
  local n, power = g:dim(1), g
  local largest = g:stats().l2
  if largest == 0 then return core.full(1 / n ^ 0.5, n, 1), 0 end
  for _ = 1, n <= 1200 and 12 or 0 do power = normed(matmul(normed(power), power)) end
  local v = normed(matmul(power, core.normal(1, 0, n, 1)))
  local most = n <= 1200 and 20 or 3000
  for k = 1, most do
    local after = normed(matmul(g, v))
    local change = (after - v):stats().l2
    v = after
    if k > 2 and change < 1e-7 then break end
  end
  return v, (matmul(g, v) * v):sum():item()
end


---Rows of places less the mean of each column: (h*w, K).
local function centred(values)
  local k = values:dim(1)
  local rows = values:reshape { k, values:size() // k }:permute { dims = { 2, 1 } }
  return rows - rows:mean { dims = { 1 }, keepdims = true }
end


---The projection on the first principal component, of one image.
local function project(values)
  local x = centred(values)
  local places, k = x:dim(1), x:dim(2)
  if k <= places then
    return matmul(x, (M.eigenvector(matmul(x, x, { transpose_a = 1 }))))
  end
  local u, square = M.eigenvector(matmul(x, x, { transpose_b = 1 }))
  return u * math.max(square, 0) ^ 0.5
end


---A component's sign is arbitrary: the one with which it goes along with the sum of the
---channels.
---@param values lunette.Tensor   (N,K,h,w)
---@return lunette.Tensor         (N,1,h,w)
function M.first(values)
  local n, h, w = values:dim(1), values:dim(3), values:dim(4)
  local out = core.zeros(n, 1, h, w)
  for i = 1, n do
    local p = project(values[i]):view(h, w)
    local along = (p * values[i]:sum { dims = { 1 } }):sum():item()
    out[i][1] = along < 0 and -p or p
  end
  return out
end


---The first component by the kernel tanh(r r' / K + 1) of rows r (scikit-learn's
---KernelPCA, "sigmoid"): its entry largest in size is positive.
---@param values lunette.Tensor   (N,K,h,w)
---@return lunette.Tensor         (N,1,h,w)
function M.kernel(values)
  local n, k, h, w = table.unpack(values:shape())
  local out = core.zeros(n, 1, h, w)
  for i = 1, n do
    local x = centred(values[i])
    local kernel = (matmul(x, x, { transpose_b = 1 }) / k + 1):tanh()
    local mean = kernel:mean { dims = { 1 }, keepdims = true }
    kernel = kernel - mean - mean:permute { dims = { 2, 1 } } + mean:mean()
    local v, value = M.eigenvector(kernel)
    local s = v:stats()
    local sign = -s.min > s.max and -1 or 1
    out[i][1] = (v * (sign * math.max(value, 0) ^ 0.5)):view(h, w)
  end
  return out
end

return M
