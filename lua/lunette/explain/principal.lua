---The first principal component of values over places: of (N,K,h,w), each image by
---itself, what every place has of the direction in which its K channels vary most.
local core = require "lunette.core"
local matmul = core.ops.matmul

local M = {}


local function normed(v) return v * (1 / math.max(v:stats().l2, 1e-30)) end


local EXACT = 1200 -- rows up to which LAPACK takes no longer than the iteration

---The largest eigenvalue of a symmetric matrix (n,n) and its eigenvector: LAPACK's; of
---a large matrix by power iteration, which wants it to be the largest in size too.
---@param g lunette.Tensor
---@return lunette.Tensor v (n,1), number value
function M.eigenvector(g)
  local n, stats = g:dim(1), g:stats()
  if not stats.finite then return core.full(0 / 0, n, 1), 0 / 0 end
  if n <= EXACT then
    local values, vectors = g:eigh()
    return vectors:narrow(2, n, 1), values[n]
  end
  if stats.l2 == 0 then return core.full(1 / n ^ 0.5, n, 1), 0 end
  local v = normed(core.normal(1, 0, n, 1))
  for k = 1, 3000 do
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


---A map (h,w) of every image's values (K,h,w): f(values, h, w). (N,1,h,w)
local function of_each(values, f)
  local h, w, maps = values:dim(3), values:dim(4), {}
  for i = 1, values:dim(1) do maps[i] = f(values[i], h, w) end
  local out = core.zeros(#maps, 1, h, w)
  for i, map in ipairs(maps) do out[i][1] = map end
  return out
end


---A component's sign is arbitrary: the one with which it goes along with the sum of the
---channels.
---@param values lunette.Tensor   (N,K,h,w)
---@return lunette.Tensor         (N,1,h,w)
function M.first(values)
  return of_each(values, function(A, h, w)
    local p = project(A):view(h, w)
    local along = (p * A:sum { dims = { 1 } }):sum():item()
    return along < 0 and -p or p
  end)
end


---The first component by the kernel tanh(r r' / K + 1) of rows r (scikit-learn's
---KernelPCA, "sigmoid"): its entry largest in size is positive.
---@param values lunette.Tensor   (N,K,h,w)
---@return lunette.Tensor         (N,1,h,w)
function M.kernel(values)
  return of_each(values, function(A, h, w)
    local x = centred(A)
    local kernel = (matmul(x, x, { transpose_b = 1 }) / A:dim(1) + 1):tanh()
    local mean = kernel:mean { dims = { 1 }, keepdims = true }
    kernel = kernel - mean - mean:permute { dims = { 2, 1 } } + mean:mean()
    local v, value = M.eigenvector(kernel)
    local s = v:stats()
    local sign = -s.min > s.max and -1 or 1
    return (v * (sign * math.max(value, 0) ^ 0.5)):view(h, w)
  end)
end

return M
