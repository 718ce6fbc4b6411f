---Activations that exporters write in pieces. Each is a product around one function e
---of the same x: what the function reads and what comes out are polynomials, and both
---must be the row's.
---
---| row | reads | comes out |
---|---|---|
---| gelu | e = erf(x / sqrt 2) | x/2 + x e/2 |
---| gelu, tanh | e = tanh(sqrt(2/pi) (x + 0.044715 x^3)) | x/2 + x e/2 |
---| silu | e = sigmoid(x) | x e |
---| hard_swish | e = clamp(a x + b, 0, m), a/m = 1/6, b/m = 1/2 | x e/m |
---| hard_sigmoid | the same, of any a and b | e/m |
local polynomial = require "lunette.weights.import.onnx.idioms.polynomial"

local c = math.sqrt(2 / math.pi)


---Where a layer is cut off above and below; nil: it is none that cuts at 0.
local function ceiling(spec)
  if spec.kind == "relu6" then return 6 end
  return spec.min == 0 and spec.max and spec.max > 0 and spec.max or nil
end


---The names of what a function may be of: what it reads, and, before that, what that is
---made of: of several that fit the farthest is meant.
local function candidates(g, name, depth, list)
  if type(name) ~= "string" then return list end
  table.insert(list, 1, name)
  local spec = g.by_name[name]
  if not spec or depth == 0 then return list end
  if spec.kind == "mul" or spec.kind == "div" or spec.kind == "add"
     or spec.kind == "sub" or spec.kind == "pow" or spec.kind == "square" then
    for _, from in ipairs(spec.from) do candidates(g, from, depth - 1, list) end
  end
  return list
end


---@class lunette.onnx.ActivationRow
---@field core table<string, boolean>   kinds of the function e
---@field kind string                   the operator that it becomes
---@field reads fun(arg: table, e: table): table|boolean?   nil: it is not what e reads;
---  attributes of the operator
---@field value fun(e: table): table    what comes out


local function is(want)
  return function(p) return polynomial.same(p, want) and {} or nil end
end


---@type lunette.onnx.ActivationRow[]
local rows = {
  { kind = "gelu", core = { erf = true }, reads = is { ["1,0"] = math.sqrt(0.5) },
    value = function() return { ["1,0"] = 0.5, ["1,1"] = 0.5 } end },
  { kind = "gelu", core = { tanh = true },
    reads = function(p)
      return polynomial.same(p, { ["1,0"] = c, ["3,0"] = 0.044715 * c })
        and { approximate = "tanh" } or nil
    end,
    value = function() return { ["1,0"] = 0.5, ["1,1"] = 0.5 } end },
  { kind = "silu", core = { sigmoid = true }, reads = is { ["1,0"] = 1 },
    value = function() return { ["1,1"] = 1 } end },
  { kind = "hard_swish", core = { clamp = true, relu6 = true },
    reads = function(p, e)
      local m = ceiling(e)
      local usual = m and { ["0,0"] = m / 2, ["1,0"] = m / 6 }
      return usual and polynomial.same(p, usual) and {} or nil
    end,
    value = function(e) return { ["1,1"] = 1 / ceiling(e) } end },
  { kind = "hard_swish", core = { hard_sigmoid = true },
    reads = function(p, e)
      local own = { ["0,0"] = e.beta, ["1,0"] = e.alpha }
      local usual = polynomial.same(own, { ["0,0"] = 0.5, ["1,0"] = 1 / 6 })
      return usual and polynomial.same(p, { ["1,0"] = 1 }) and {} or nil
    end,
    value = function() return { ["1,1"] = 1 } end },
  { kind = "hard_sigmoid", core = { clamp = true, relu6 = true },
    reads = function(p, e)
      local m, a, b = ceiling(e), p["1,0"], p["0,0"]
      local line = m and a and a > 0 and not (a == 1 and (b or 0) == 0)
        and polynomial.same(p, { ["1,0"] = a, ["0,0"] = b })
      return line and { alpha = a / m, beta = (b or 0) / m } or nil
    end,
    value = function(e) return { ["0,1"] = 1 / ceiling(e) } end },
}

local cores = {}
for _, row in ipairs(rows) do
  for kind in pairs(row.core) do cores[kind] = true end
end


---The functions that a layer's value is a polynomial of.
local function functions_in(g, spec, depth, list)
  if cores[spec.kind] then list[#list + 1] = spec end
  if depth == 0 or cores[spec.kind] then return list end
  for _, from in ipairs(spec.from) do
    local source = type(from) == "string" and g.by_name[from]
    if source then functions_in(g, source, depth - 1, list) end
  end
  return list
end


---What a layer is as this row, of the function e and of x; nil: it is not.
local function as_row(g, row, spec, e, x)
  local inner = { [e] = true }
  local arg = polynomial.of(g, e.from[1], { x = x, inner = inner })
  local attrs = arg and row.reads(arg, e)
  if not attrs then return nil end
  local own = { x = x, e = e.name, inner = inner }
  local p
  if spec == e then
    p = { ["0,1"] = 1 }
  else
    p = polynomial.value(g, spec, own, 0)
  end
  if not p or not polynomial.same(p, row.value(e)) then return nil end
  local list = {}
  for one in pairs(inner) do if one ~= spec then list[#list + 1] = one end end
  table.sort(list, function(a, b) return a.name < b.name end)
  return { kind = row.kind, from = { x }, attrs = attrs, inner = list }
end


local tops = { mul = true, div = true, add = true, clamp = true, relu6 = true }

---@param g table      of idioms.graph
---@param spec table   the last layer of what may be one
---@return table? made   what Graph:replace takes
return function(g, spec)
  if not tops[spec.kind] then return nil end
  for _, e in ipairs(functions_in(g, spec, 4, {})) do
    for _, row in ipairs(rows) do
      local list = row.core[e.kind] and candidates(g, e.from[1], 5, {}) or {}
      for _, x in ipairs(list) do
        local made = as_row(g, row, spec, e, x)
        if made and g:alone(made.inner, spec) then return made end
      end
    end
  end
  return nil
end
