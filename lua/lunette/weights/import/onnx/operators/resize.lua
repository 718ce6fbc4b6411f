---Resizing: linear and cubic as the operator `interpolate` has them, else as products
---with matrices; nearest by chosen rows and columns.
local common = require "lunette.weights.import.onnx.operators.common"
local fold = require "lunette.weights.import.onnx.fold"

local attr = common.attr
local flag = common.flag
local known = common.known
local live = common.live
local pictures = common.pictures
local select_ = common.select_

local M = {}


-- resizing -----------------------------------------------------------------------


---Where a place of the output lies in the input.
local function source_of(b, mode, n, out, scale)
  if mode == "half_pixel" or mode == "pytorch_half_pixel" then
    if mode == "pytorch_half_pixel" and out == 1 then return function() return 0 end end
    return function(o) return (o + 0.5) / scale - 0.5 end
  elseif mode == "asymmetric" then
    return function(o) return o / scale end
  elseif mode == "align_corners" then
    return function(o) return out == 1 and 0 or o * (n - 1) / (out - 1) end
  elseif mode == "tf_half_pixel_for_nn" then
    return function(o) return (o + 0.5) / scale end
  end
  return b:fail("coordinate_transformation_mode %s is not supported", mode)
end


local rounding = {
  round_prefer_floor = function(p) return math.ceil(p - 0.5) end,
  round_prefer_ceil = function(p) return math.floor(p + 0.5) end,
  floor = math.floor, ceil = math.ceil,
}


local function nearest(b, v, axis, out, at, how)
  local index, n = {}, v.shape[axis]
  for o = 0, out - 1 do
    index[o + 1] = math.max(0, math.min(n - 1, math.tointeger(how(at(o))))) + 1
  end
  return select_(b, v, axis, index)
end


---The matrix (out, n) of linear interpolation, times one axis.
local function linear_matrix(n, out, at)
  local data = {}
  for o = 0, out - 1 do
    for i = 0, n - 1 do data[o * n + i + 1] = 0 end
    local p = math.max(0, math.min(n - 1, at(o)))
    local lo = math.floor(p)
    local hi = math.min(n - 1, lo + 1)
    data[o * n + lo + 1] = data[o * n + lo + 1] + 1 - (p - lo)
    data[o * n + hi + 1] = data[o * n + hi + 1] + (p - lo)
  end
  return data
end


---The same of cubic interpolation (Keys 1981) over four neighbours, repeated at edges.
local function cubic_matrix(n, out, at, a)
  local function weight(d)
    d = math.abs(d)
    if d <= 1 then return ((a + 2) * d - (a + 3)) * d * d + 1 end
    return d < 2 and a * (((d - 5) * d + 8) * d - 4) or 0
  end
  local data = {}
  for i = 1, out * n do data[i] = 0 end
  for o = 0, out - 1 do
    local p = at(o)
    for i = math.floor(p) - 1, math.floor(p) + 2 do
      local k = o * n + math.max(0, math.min(n - 1, i)) + 1
      data[k] = data[k] + weight(p - i)
    end
  end
  return data
end


---Rows (axis 3): M x; columns (axis 4): x M'. `data` is the matrix (out, n).
local function product(b, v, axis, out, data)
  local n = v.shape[axis]
  local key = "matrix" .. axis
  local name = b:free(axis == 3 and "rows" or "columns")
  if axis == 3 then
    b.params[#b.params + 1] = { name = name .. "." .. key, shape = { out, n },
                                data = data }
    return b:add(name, "matmul", { { param = key, shape = { out, n }, frozen = true },
                                   v })
  end
  local turned = fold.transpose(fold.make({ out, n }, data), { 2, 1 })
  b.params[#b.params + 1] = { name = name .. "." .. key, shape = { n, out },
                              data = turned.data }
  return b:add(name, "matmul", { v, { param = key, shape = { n, out },
                                      frozen = true } })
end


---One axis, to `out` elements.
local function along(b, v, axis, out, scale, o)
  local n = v.shape[axis]
  if axis < 3 then b:fail("it resizes channels") end
  local at = source_of(b, o.coordinates, n, out, scale)
  if o.mode == "nearest" then
    return nearest(b, v, axis, out, at, rounding[o.nearest])
  elseif o.mode == "linear" then
    return product(b, v, axis, out, linear_matrix(n, out, at))
  elseif o.mode == "cubic" then
    return product(b, v, axis, out, cubic_matrix(n, out, at, o.cubic))
  end
  return b:fail("mode %s is not supported", o.mode)
end


local aligns = { half_pixel = false, pytorch_half_pixel = false, align_corners = true }


---Does `interpolate` look at the places that are asked for?
local function is_operator(v, out, scale, o)
  local named = o.mode == "linear" or o.mode == "cubic" and o.cubic == -0.75
  if not named or aligns[o.coordinates] == nil or out[1] ~= v.shape[1]
     or out[2] ~= v.shape[2] then
    return false
  end
  for a = 3, 4 do
    if o.coordinates == "pytorch_half_pixel" and out[a] == 1
       or not aligns[o.coordinates] and scale[a] * v.shape[a] ~= out[a] then
      return false
    end
  end
  return true
end


---The output's size and the scale of every axis.
local function sizes_of(b, v, scales, sizes)
  local out, scale = {}, {}
  for a = 1, 4 do
    local n = v.shape[a]
    scale[a] = scales and scales[a] or sizes[a] / n
    out[a] = sizes and sizes[a] or math.floor(n * scale[a])
    if scale[a] ~= scale[a] or scale[a] <= 0 then b:fail("scale %g", scale[a]) end
    if out[a] < 1 or out[a] > 2 ^ 16 then
      b:fail("%g pixels: the output is too large", out[a])
    end
    out[a] = math.tointeger(out[a])
  end
  return out, scale
end


local function resized(b, x, scales, sizes, o)
  local v = pictures(b, live(b, x, 1))
  local out, scale = sizes_of(b, v, scales, sizes)
  if is_operator(v, out, scale, o) then
    return b:layer("interpolate", { v }, {
      size = { out[3], out[4] }, align_corners = aligns[o.coordinates],
      mode = o.mode == "linear" and 1 or 2 })
  end
  for a = 1, 4 do
    if out[a] ~= v.shape[a] or scale[a] ~= 1 then
      v = along(b, v, a, out[a], scale[a], o)
    end
  end
  return v
end


---What Resize is told about how; raises for what is not supported.
local function how_of(b)
  local old = b.opset < 11
  local o = { mode = attr(b, "mode", "s", "nearest"),
              coordinates = attr(b, "coordinate_transformation_mode", "s",
                                 old and "asymmetric" or "half_pixel"),
              nearest = attr(b, "nearest_mode", "s",
                             old and "floor" or "round_prefer_floor"),
              cubic = attr(b, "cubic_coeff_a", "f", -0.75) }
  attr(b, "extrapolation_value", "f")
  if flag(b, "antialias") then b:fail("antialias is not supported") end
  if flag(b, "exclude_outside") then b:fail("exclude_outside is not supported") end
  if b.node.attrs.axes then b:fail("axes are not supported") end
  return o
end


function M.Resize(b, x)
  local o = how_of(b)
  if b.opset < 11 then return resized(b, x, known(b, x[2], "scales"), nil, o) end
  local scales = x[3] and #known(b, x[3], "scales") > 0 and x[3].data
  local sizes = x[4] and #known(b, x[4], "sizes") > 0 and x[4].data
  if not scales and not sizes then b:fail("neither scales nor sizes") end
  return resized(b, x, scales or nil, not scales and sizes or nil, o)
end


function M.Upsample(b, x)
  local o = { mode = attr(b, "mode", "s", "nearest"), coordinates = "asymmetric",
              nearest = "floor" }
  local scales = attr(b, "scales", "F") or known(b, x[2], "scales")
  return resized(b, x, scales, nil, o)
end

return M
