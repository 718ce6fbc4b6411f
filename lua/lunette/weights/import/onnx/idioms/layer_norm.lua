---Layer normalisation in pieces: (x - mean) / sqrt(mean (x - mean)^2 + eps), then a
---scale and a shift, one layer after the other.
local shapes = require "lunette.base.shapes"

---The dimensions of a mean that keeps them, in order; nil: they are no neighbours.
local function span(spec)
  if spec.kind ~= "mean" or not spec.keepdims or not spec.dims then return nil end
  local dims = { table.unpack(spec.dims) }
  table.sort(dims)
  for i = 2, #dims do if dims[i] ~= dims[i - 1] + 1 then return nil end end
  return dims[1] and dims[1] > 1 and dims or nil
end


---x - mean(x): x, and the dimensions.
local function centred(g, spec)
  local mean = spec and spec.kind == "sub" and #spec.from == 2 and g:source(spec, 2)
  local dims = mean and span(mean)
  if not dims or mean.from[1] ~= spec.from[1] then return nil end
  return { x = spec.from[1], dims = dims, inner = { spec, mean } }
end


---Is it the square of c - mean? The layers that make it.
local function square_of(g, spec, x)
  if not spec then return nil end
  local twice = spec.kind == "mul" and #spec.from == 2 and spec.from[1] == spec.from[2]
  if spec.kind ~= "square" and not twice then return nil end
  local c = centred(g, g:source(spec))
  if not c or c.x ~= x then return nil end
  table.insert(c.inner, spec)
  return c
end


---sqrt(mean(square) + eps): eps and the layers.
local function deviation(g, spec, c)
  if not spec or spec.kind ~= "sqrt" then return nil end
  local sum = g:source(spec)
  local variance, eps = nil, nil
  if sum and sum.kind == "add" then variance, eps = g:split(sum) end
  local mean = type(eps) == "number" and eps >= 0 and g.by_name[variance]
  local dims = mean and span(mean)
  if not dims or not shapes.same(dims, c.dims) then return nil end
  local square = square_of(g, g:source(mean), c.x)
  if not square or not shapes.same(square.dims, c.dims) then return nil end
  return eps, { spec, sum, mean, table.unpack(square.inner) }
end


---Each once, without `last`.
local function joined(last, ...)
  local seen, all = { [last] = true }, {}
  for _, list in ipairs { ... } do
    for _, one in ipairs(list) do
      if not seen[one] then all[#all + 1], seen[one] = one, true end
    end
  end
  return all
end


---(x - mean) / deviation, or times its reciprocal.
local function standard(g, spec)
  local c = #spec.from == 2 and centred(g, g:source(spec, 1))
  if not c then return nil end
  local by, between = g:divisor(spec)
  local eps, more = deviation(g, by, c)
  if not eps then return nil end
  local rank, attrs = #g:shape(c.x) + 1, { eps = eps, affine = false }
  if c.dims[1] ~= rank then attrs.dim = c.dims[1] end
  if c.dims[#c.dims] ~= rank then attrs.last = c.dims[#c.dims] end
  return { kind = "layer_norm", from = { c.x }, attrs = attrs,
           inner = joined(spec, between, c.inner, more) }
end


---Does a parameter have a number for every value that is normalised together, and is
---it the same for all others?
local function fits(g, norm, spec, shape)
  local whole = g:shape(spec.name)
  local rank, wanted = #whole + 1, {}
  local first, last = norm.dim or rank, norm.last or rank
  if #shape > #whole then return nil end
  for d = 2, rank do
    local size = shape[#shape - (rank - d)] or 1
    local inside = d >= first and d <= last
    if size ~= (inside and whole[d - 1] or 1) then return nil end
    if inside then wanted[#wanted + 1] = whole[d - 1] end
  end
  return wanted
end


---A scale, or a shift, behind a layer norm that has none yet.
local function affine(g, spec)
  local name, other = g:split(spec)
  local norm = type(other) == "table" and g.by_name[name]
  if not norm or norm.kind ~= "layer_norm" or not g:read_once(norm) then return nil end
  local shape = fits(g, norm, spec, other.shape)
  local c = shape and g:constant(spec, other.param)
  if not c then return nil end
  local own = g:moved(c, shape)
  local attrs = { eps = norm.eps, dim = norm.dim, last = norm.last }
  local params
  if spec.kind == "mul" and norm.affine == false then
    attrs.bias, params = false, { weight = own }
  elseif spec.kind == "add" and norm.affine == nil and norm.bias == false then
    params = { weight = g:constant(norm, "weight"), bias = own }
  else
    return nil
  end
  return { kind = "layer_norm", from = norm.from, attrs = attrs, params = params,
           inner = { norm } }
end


---@param g table      of idioms.graph
---@param spec table   the last layer of what may be one
---@return table? made   what Graph:replace takes
return function(g, spec)
  local made = (spec.kind == "div" or spec.kind == "mul") and standard(g, spec)
  made = made or (spec.kind == "mul" or spec.kind == "add") and affine(g, spec)
  return made and g:alone(made.inner, spec) and made or nil
end
