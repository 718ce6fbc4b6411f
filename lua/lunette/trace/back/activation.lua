---Gradients of activations and of other functions of one value.
local M = {}

-- Activations: from the output where it suffices, so that the input need not be kept.

function M.relu(n, dy) return dy * n.output:gt(0) end

function M.leaky_relu(n, dy)
  local slope = n.attrs.slope
  return dy * (n.inputs[1]:gt(0) * (1 - slope) + slope)
end

function M.relu6(n, dy) return dy * (n.output:gt(0) * n.output:lt(6)) end

function M.sigmoid(n, dy) return dy * (n.output * (1 - n.output)) end

function M.tanh(n, dy) return dy * (1 - n.output:square()) end

function M.softplus(n, dy) return dy * (n.inputs[1] * n.attrs.beta):sigmoid() end

-- alpha exp(x) = y + alpha below 0
function M.elu(n, dy)
  local open = n.inputs[1]:gt(0)
  return dy * (open + (1 - open) * (n.output + n.attrs.alpha))
end

-- (x s)' = s (1 + x (1 - s))
function M.silu(n, dy)
  local x = n.inputs[1]
  local s = x:sigmoid()
  return dy * (s * (1 + x * (1 - s)))
end

---(1 + t) / 2 + x (1 - t^2) c (1 + 3 k x^2) / 2 with t = tanh(c (x + k x^3))
local function gelu_tanh(x)
  local c, k = 0.79788456080287, 0.044715
  local t = ((x + x * x:square() * k) * c):tanh()
  return (t + 1) * 0.5 + x * (1 - t:square()) * (x:square() * (3 * k) + 1) * (0.5 * c)
end


-- (x Phi)' = Phi + x phi
function M.gelu(n, dy)
  local x = n.inputs[1]
  if n.attrs.approximate == "tanh" then return dy * gelu_tanh(x) end
  local cdf = ((x * 0.70710678118655):erf() + 1) * 0.5
  return dy * (cdf + x * 0.39894228040143 * (x:square() * -0.5):exp())
end

function M.hard_sigmoid(n, dy)
  return dy * (n.output:gt(0) * n.output:lt(1)) * n.attrs.alpha
end

-- x / 3 + 1/2 between -3 and 3
function M.hard_swish(n, dy)
  local x = n.inputs[1]
  return dy * (x:ge(3) + x:gt(-3) * x:lt(3) * (x * (1 / 3) + 0.5))
end

-- functions of one value

function M.neg(_, dy) return -dy end
function M.abs(n, dy) return dy * n.inputs[1]:sign() end
function M.exp(n, dy) return dy * n.output end
function M.log(n, dy) return dy / n.inputs[1] end
function M.sqrt(n, dy) return dy * 0.5 / n.output end
function M.square(n, dy) return dy * 2 * n.inputs[1] end
function M.sin(n, dy) return dy * n.inputs[1]:cos() end
function M.cos(n, dy) return -(dy * n.inputs[1]:sin()) end
function M.log1p(n, dy) return dy / (n.inputs[1] + 1) end
function M.expm1(n, dy) return dy * n.inputs[1]:exp() end
function M.reciprocal(n, dy) return -(dy * n.output:square()) end

function M.erf(n, dy)
  return dy * 1.1283791670955 * (-n.inputs[1]:square()):exp()
end

-- At `max` itself the gradient is 0 (the engine has 1 there): so the output suffices.
function M.clamp(n, dy)
  local lo, hi = n.attrs.min, n.attrs.max
  if lo then dy = dy * n.inputs[1]:ge(lo) end
  if hi then dy = dy * n.output:lt(hi) end
  return dy
end

-- steps: the gradient is 0 almost everywhere
for _, op in ipairs { "floor", "ceil", "round", "sign" } do
  M[op] = function(_, dy) return dy * 0 end
end

return M
