---What a picture pays for being no picture: one number for each of (K,C,H,W), made of
---tensor operators. Larger is worse.
local core = require "lunette.core"

local M = {}


local function differences(x)
  local h, w = x:dim(3), x:dim(4)
  local dy = x:narrow { dim = 3, start = 2, length = h - 1 }
    - x:narrow { dim = 3, start = 1, length = h - 1 }
  local dx = x:narrow { dim = 4, start = 2, length = w - 1 }
    - x:narrow { dim = 4, start = 1, length = w - 1 }
  return dy, dx
end


local function total(x)
  return x:reshape { x:dim(1), x:size() // x:dim(1) }:sum { dims = { 2 } }
end


local function per_value(x) return x:size() // x:dim(1) end


---Total variation: sum(|dx| + |dy|) / n, n values a picture (as tf-keras-vis).
---@param weight? number   (1)
---@return fun(x: lunette.Tensor): lunette.Tensor
function M.total_variation(weight)
  return function(x)
    local dy, dx = differences(x)
    return (total(dy:abs()) + total(dx:abs())) * ((weight or 1) / per_value(x))
  end
end


---Squared differences: sum(dx^2 + dy^2) / n over what has both neighbours (keras-vis,
---with beta 2): high frequencies pay most.
---@param weight? number   (1)
function M.smoothness(weight)
  return function(x)
    local dy, dx = differences(x)
    dy = dy:narrow { dim = 4, start = 1, length = x:dim(4) - 1 }
    dx = dx:narrow { dim = 3, start = 1, length = x:dim(3) - 1 }
    return total(dy:square() + dx:square()) * ((weight or 1) / per_value(x))
  end
end


---The p-norm: weight |x|_p / n^(1/p) (tf-keras-vis).
---@param weight? number   (1)
---@param p? number        (2)
function M.norm(weight, p)
  p = p or 2
  return function(x)
    local n = per_value(x)
    if p == 1 then return total(x:abs()) * ((weight or 1) / n) end
    return (total((x:abs() + 1e-12):pow(p)) * (1 / n)):pow(1 / p) * (weight or 1)
  end
end


---The p-norm over the number of values: weight |x|_p / n (keras-vis).
function M.norm_per_value(weight, p)
  return function(x)
    return total((x:abs() + 1e-12):pow(p)):pow(1 / p) * (weight / per_value(x))
  end
end


---Pushes pictures of one score apart: of every `starts` that stand together each pays
---weight times the mean cosine between it and the others, all shrunk to a quarter and
---less their mean.
---@param weight number
---@param starts integer
function M.diversity(weight, starts)
  return function(x)
    local k = x:dim(1)
    local small = x:avg_pool2d { kernel = { 4, 4 }, stride = { 4, 4 } }
    local flat = small:reshape { k // starts, starts, small:size() // k }
    flat = flat - flat:mean { dims = { 3 }, keepdims = true }
    local length = flat:square():sum { dims = { 3 }, keepdims = true }:add(1e-8):sqrt()
    flat = flat / length
    local cosines = core.ops.matmul(flat, flat, { transpose_b = 1 })
    return cosines:sum { dims = { 3 } }:reshape { k } * (weight / starts)
  end
end

return M
