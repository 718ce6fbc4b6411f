---A matrix without negative entries as the product of two such: V = W H, by the
---multiplicative updates of Lee & Seung (2001), which never make |V - W H| larger.
local core = require "lunette.core"
local matmul = core.ops.matmul

local NEAR = 1e-9


---Rows of H and columns of W by how much of V they carry, W's columns scaled so that
---H's rows have length 1.
local function ordered(W, H)
  local k = W:dim(2)
  local length = (H:square():sum { dims = { 2 } } + NEAR ^ 2):sqrt()
  W, H = W * length:view(1, k), H / length:view(k, 1)
  local carries = W:square():sum { dims = { 1 } }:view(k)
  local order = carries:argsort()
  return W:index_select(order, { dim = 2 }), H:index_select(order, { dim = 1 })
end


---@param V lunette.Tensor   (n,m), nothing below 0
---@param k integer          parts
---@param o { steps: integer, seed: integer }
---@return lunette.Tensor W (n,k), lunette.Tensor H (k,m)   parts that carry most first
---@return number error      |V - W H| / |V|
return function(V, k, o)
  local n, m = V:dim(1), V:dim(2)
  k = math.min(k, n, m)
  local scale = math.sqrt(math.max(V:mean():item(), NEAR) / k)
  local W = core.uniform(o.seed, 0, n, k) * scale + NEAR
  local H = core.uniform(o.seed, 1, k, m) * scale + NEAR
  for _ = 1, o.steps do
    H = H * (matmul(W, V, { transpose_a = 1 })
      / (matmul(matmul(W, W, { transpose_a = 1 }), H) + NEAR))
    W = W * (matmul(V, H, { transpose_b = 1 })
      / (matmul(W, matmul(H, H, { transpose_b = 1 })) + NEAR))
  end
  W, H = ordered(W, H)
  local whole = V:stats().l2
  local off = (V - matmul(W, H)):stats().l2
  return W, H, whole > 0 and off / whole or 0
end
