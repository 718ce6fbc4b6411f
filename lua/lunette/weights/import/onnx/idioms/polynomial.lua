---What layers compute, as a polynomial: whether pieces are one activation is whether
---two polynomials are the same, however the exporter orders its factors.
---
---A polynomial in x and e is a table of coefficients by "i,j", for x^i e^j.
local M = {}

local MOST_DEPTH, MOST_POWER = 8, 4


local function constant(c) return { ["0,0"] = c } end


local function add(p, q, sign)
  local out = {}
  for key, c in pairs(p) do out[key] = c end
  for key, c in pairs(q) do out[key] = (out[key] or 0) + sign * c end
  return out
end


local function multiply(p, q)
  local out = {}
  for a, c in pairs(p) do
    local i, j = a:match "(%d+),(%d+)"
    for b, d in pairs(q) do
      local k, l = b:match "(%d+),(%d+)"
      i, j, k, l = tonumber(i), tonumber(j), tonumber(k), tonumber(l)
      if i + k > MOST_POWER or j + l > MOST_POWER then return nil end
      local key = ("%d,%d"):format(i + k, j + l)
      out[key] = (out[key] or 0) + c * d
    end
  end
  return out
end


---A constant polynomial's number, or nil.
local function number_of(p)
  local c = p["0,0"] or 0
  for key, v in pairs(p) do if key ~= "0,0" and v ~= 0 then return nil end end
  return c
end


local combine = {
  add = function(p, q) return add(p, q, 1) end,
  sub = function(p, q) return add(p, q, -1) end,
  mul = multiply,
  div = function(p, q)
    local c = number_of(q)
    return c and c ~= 0 and multiply(p, constant(1 / c)) or nil
  end,
  pow = function(p, q)
    local n, out = number_of(q), constant(1)
    if not n or n ~= math.floor(n) or n < 0 or n > MOST_POWER then return nil end
    for _ = 1, n do out = out and multiply(out, p) end
    return out
  end,
}


---The value of layer `name` in terms of the layers `x` and `e`.
---@param g table         the graph
---@param name string|number|table   what is read
---@param at { x: string, e?: string, inner: table<table, boolean> }   inner: collects
---  the layers in between
---@return table? p   nil: it is no polynomial of theirs
function M.of(g, name, at, depth)
  depth = depth or 0
  if type(name) == "number" then return constant(name) end
  if name == at.e then return { ["0,1"] = 1 } end
  if name == at.x then return { ["1,0"] = 1 } end
  local spec = type(name) == "string" and g.by_name[name]
  if not spec or depth > MOST_DEPTH then return nil end
  local p = M.value(g, spec, at, depth)
  if p then at.inner[spec] = true end
  return p
end


---The same of a layer that has to be computed.
function M.value(g, spec, at, depth)
  if spec.kind == "neg" or spec.kind == "square" then
    local p = M.of(g, spec.from[1], at, depth + 1)
    if not p then return nil end
    return spec.kind == "neg" and multiply(p, constant(-1)) or multiply(p, p)
  end
  local f = combine[spec.kind]
  if not f or #spec.from ~= 2 then return nil end
  local p = M.of(g, spec.from[1], at, depth + 1)
  local q = p and M.of(g, spec.from[2], at, depth + 1)
  return q and f(p, q) or nil
end


---Are they the same within what float32 constants are rounded by?
---@param p table
---@param want table   coefficients by "i,j"
function M.same(p, want)
  for key, c in pairs(want) do
    if math.abs((p[key] or 0) - c) > 5e-7 * math.abs(c) then return false end
  end
  for key, c in pairs(p) do
    if not want[key] and math.abs(c) > 1e-12 then return false end
  end
  return true
end

return M
