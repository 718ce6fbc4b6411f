---Straight paths from a baseline to a picture: points on them and weights, for
---integrals of gradients.
local M = {}


---Nodes and weights of Gauss and Legendre's rule with n points, for [0,1]: the roots of
---the Legendre polynomial P_n by Newton's method.
local function gauss_legendre(n)
  local alphas, weights = {}, {}
  for i = 1, n do
    local t, slope = math.cos(math.pi * (i - 0.25) / (n + 0.5)), nil
    for _ = 1, 100 do
      local p, before = 1, 0
      for k = 1, n do p, before = ((2 * k - 1) * t * p - (k - 1) * before) / k, p end
      slope = n * (t * p - before) / (t * t - 1)
      local step = p / slope
      t = t - step
      if math.abs(step) < 1e-15 then break end
    end
    alphas[n + 1 - i] = (1 + t) / 2
    weights[n + 1 - i] = 1 / ((1 - t * t) * slope * slope)
  end
  return alphas, weights
end


---n points, each of weight 1/n.
local function even(n, alpha)
  local alphas, weights = {}, {}
  for i = 0, n - 1 do alphas[i + 1], weights[i + 1] = alpha(i), 1 / n end
  return alphas, weights
end


---Rules by name: n points in [0,1], and their weights.
M.rules = {
  gausslegendre = gauss_legendre,
  riemann_left = function(n) return even(n, function(i) return i / n end) end,
  riemann_right = function(n) return even(n, function(i) return (i + 1) / n end) end,
  riemann_middle = function(n) return even(n, function(i) return (i + 0.5) / n end) end,
  trapezoid = function(n) -- of weight 1: both ends count half
    local alphas, weights = even(n, function(i) return n > 1 and i / (n - 1) or 0.5 end)
    for i = 1, n do weights[i] = n > 1 and 1 / (n - 1) or 1 end
    if n > 1 then weights[1], weights[n] = weights[1] / 2, weights[n] / 2 end
    return alphas, weights
  end,
  riemann_trapezoid = function(n) -- captum's: 1/n, so that the weights miss 1/n
    local alphas, weights = even(n, function(i) return n > 1 and i / (n - 1) or 0 end)
    weights[1], weights[n] = weights[1] / 2, weights[n] / 2
    return alphas, weights
  end,
  linspace = function(n) -- PAIR's: both ends, all alike
    return even(n, function(i) return n > 1 and i / (n - 1) or 0 end)
  end,
}

---Points of straight paths: b + alphas[s] (x - b) of image i.
---@param x lunette.Tensor   (N,...)
---@param b lunette.Tensor   x's shape
---@param alphas number[]
---@return fun(i: integer, s: integer): lunette.Tensor
function M.points(x, b, alphas)
  local off = x - b
  return function(i, s) return (off[i] * alphas[s]):add_(b[i]) end
end


---Their names.
M.names = {}
for name in pairs(M.rules) do M.names[#M.names + 1] = name end
table.sort(M.names)

return M
