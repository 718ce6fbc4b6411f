---Softmax in pieces: exp(x) / sum(exp(x)), or with the largest x subtracted first.

---The one dimension that a sum or maximum runs over, and keeps; nil: another kind.
local function dim_of(spec, kind)
  if not spec or spec.kind ~= kind or not spec.keepdims then return nil end
  return spec.dims and #spec.dims == 1 and spec.dims[1] or nil
end


---What exp is taken of, without the maximum that is subtracted from it; the layers that
---subtract it.
local function exponent(g, exp, dim)
  local sub = g:source(exp)
  local largest = sub and sub.kind == "sub" and g:source(sub, 2)
  if dim_of(largest, "max") == dim and largest.from[1] == sub.from[1] then
    return sub.from[1], { sub, largest }
  end
  return exp.from[1], {}
end


---@param g table      of idioms.graph
---@param spec table   the last layer of what may be one
---@return table? made   what Graph:replace takes
return function(g, spec)
  local exp = #spec.from == 2 and g:source(spec, 1)
  if not exp or exp.kind ~= "exp" then return nil end
  local sum, between = g:divisor(spec)
  local dim = dim_of(sum, "sum")
  if not dim or sum.from[1] ~= exp.name then return nil end
  local x, inner = exponent(g, exp, dim)
  table.move({ exp, sum, between[1] }, 1, 3, #inner + 1, inner)
  return g:alone(inner, spec)
    and { kind = "softmax", from = { x }, attrs = { dim = dim }, inner = inner } or nil
end
