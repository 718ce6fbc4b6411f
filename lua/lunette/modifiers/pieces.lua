---Relevance through a softmax that a network has in pieces, s = exp(x) / sum(exp(x)),
---or of x less its maximum. Every piece has a rule of its own; together they come to
---that of the whole softmax ("taylor", Achtibat et al. 2024), x (R - s sum R):
---
---  s = e / z        R to e, -sum R to z
---  z = sum(e)       shares by the terms (between.lua has it): -s sum R
---  e = exp(x)       times x
---  e = exp(d), d = x - max(x)    handed on by exp; by d times x to x, nothing to the
---                                maximum, whose part is sum(R - s sum R) = 0
local M = {}


---The layer that a layer reads first, or as its k-th; nil: the input, or a constant.
local function source(net, layer, k)
  local from = not layer.operands and layer.from[k or 1]
  return from and from ~= "input" and net:layer(from) or nil
end


---The exponential of which a layer is the quotient by its sum; nil: it is none.
---@param layer lunette.Layer
---@param net lunette.Net
---@return lunette.Layer? exp
function M.softmax(layer, net)
  if layer.kind ~= "div" or #layer.from ~= 2 then return nil end
  local exp, sum = source(net, layer), source(net, layer, 2)
  while sum and require("lunette.layers").is(sum, "view") do sum = source(net, sum) end
  local whole = exp and sum and exp.kind == "exp" and sum.kind == "sum"
    and source(net, sum) == exp
  return whole and exp or nil
end


---Is a layer the exponential of a softmax in pieces?
local function exponential(layer, net)
  if layer.kind ~= "exp" then return false end
  for _, other in ipairs(net:layers()) do
    if M.softmax(other, net) == layer then return true end
  end
  return false
end


---Is a layer x - max(x)?
local function is_difference(layer, net)
  local largest = layer and layer.kind == "sub" and source(net, layer, 2)
  return largest and largest.kind == "max" and largest.from[1] == layer.from[1]
end


---Is a layer the x - max(x) that the exponential of a softmax in pieces reads?
local function difference(layer, net)
  if not is_difference(layer, net) then return false end
  for _, other in ipairs(net:layers()) do
    if other.from[1] == layer.name and exponential(other, net) then return true end
  end
  return false
end


---The numerator gets dy; the denominator gets -dy, summed over the dimensions in which
---it is 1 long. (One of the numerator's size is an expand, whose gradient sums.)
local function divide(node, dy)
  local below, dims = node.inputs[2]:shape(), {}
  for d = 2, #below do
    if below[d] == 1 then dims[#dims + 1] = d end
  end
  return { dy, #dims > 0 and -dy:sum { dims = dims, keepdims = true } or -dy }
end


---The entries of a composite.
M.entries = {
  { on = function(layer, net) return M.softmax(layer, net) ~= nil end, rule = divide },
  { on = difference, rule = function(node, dy)
    return { dy * node.inputs[1], node.inputs[2] * 0 }
  end },
  { on = function(layer, net)
    return exponential(layer, net) and not is_difference(source(net, layer), net)
  end, rule = function(node, dy) return dy * node.input end },
}

return M
