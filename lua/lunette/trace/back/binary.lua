---Gradients of functions of two values, of comparisons and of reductions; `i` is the
---operand whose gradient is wanted.
local common = require "lunette.trace.back.common"

local unbroadcast = common.unbroadcast

local M = {}


---The gradients of both operands, as functions of (dy, a, b, y).
local function both(of_a, of_b)
  return function(n, dy, i)
    local a, b = n.inputs[1], n.inputs[2]
    local g = (i == 1 and of_a or of_b)(dy, a, b, n.output)
    return unbroadcast(g, n.inputs[i])
  end
end


local function unchanged(dy) return dy end

M.add = both(unchanged, unchanged)
M.sub = both(unchanged, function(dy) return -dy end)
M.mul = both(function(dy, _, b) return dy * b end, function(dy, a) return dy * a end)
M.div = both(function(dy, _, b) return dy / b end,
             function(dy, a, b) return -(dy * a) / b:square() end)
M.pow = both(function(dy, a, b) return dy * b * a ^ (b - 1) end,
             function(dy, a, _, y) return dy * y * a:log() end)
M.atan2 = both(function(dy, a, b) return dy * b / (a:square() + b:square()) end,
               function(dy, a, b) return -(dy * a) / (a:square() + b:square()) end)


---1 where a is the larger one, 1/2 at ties: each operand gets half of dy there.
local function larger(a, b) return a:gt(b) + a:eq(b) * 0.5 end

M.maximum = both(function(dy, a, b) return dy * larger(a, b) end,
                 function(dy, a, b) return dy * larger(b, a) end)
M.minimum = both(function(dy, a, b) return dy * larger(b, a) end,
                 function(dy, a, b) return dy * larger(a, b) end)


function M.where(n, dy, i)
  if i == 1 then return nil end
  local c = n.inputs[1]
  return unbroadcast(dy * (i == 2 and c:ne(0) or c:eq(0)), n.inputs[i])
end


-- comparisons have no gradient
for _, op in ipairs { "gt", "lt", "ge", "le", "eq", "ne" } do
  M[op] = function() return nil end
end


-- reductions -------------------------------------------------------------------------


function M.sum(n, dy) return common.spread(n, dy) end


function M.mean(n, dy)
  local count, x = 1, n.inputs[1]
  for d in pairs(common.reduced(n)) do count = count * x:dim(d) end
  return common.spread(n, dy * (1 / count))
end


---dy goes to the first value that equals the extreme.
local function extreme(n, dy)
  local x, dims = n.inputs[1], {}
  for d in pairs(common.reduced(n)) do dims[#dims + 1] = d end
  table.sort(dims)
  return common.first_of(x, common.kept(n, n.output), dims) * common.kept(n, dy)
end

M.max, M.min = extreme, extreme

return M
