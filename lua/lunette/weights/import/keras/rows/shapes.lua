---Layers of Keras that move values: flattening, padding, resizing, axes.
local common = require "lunette.weights.import.keras.rows.common"

local M = {}
local pair, number, image = common.pair, common.number, common.image


---Where it says `channels_first`, Keras brings the first axis to the end and flattens
---then; else values go as they lie.
function M.Flatten(e, call, xs, c)
  local x = xs[1]
  if #x.shape == 2 then
    if c.data_format == "channels_first" then
      x = e:permuted(call, call.name .. "_order", x, { 1, 3, 2 })
    end
    return e:add(call, call.name, "flatten", { x })
  end
  if #x.shape ~= 3 then return x end
  local first = c.data_format == "channels_first"
  if first then x = e:laid_out(call, x, true) end
  local n = x.shape[1] * x.shape[2] * x.shape[3]
  return { flat = x, flat_name = call.name, shape = { n },
           planes = x.first and not first }
end


---Two lists of two for the ends of height and width.
local function ends(e, call, value, default)
  if value == nil then value = default end
  if type(value) == "number" then return { value, value }, { value, value } end
  if type(value) ~= "table" or #value ~= 2 then e.fail(call, "padding is a pair") end
  local before, after = {}, {}
  for i, one in ipairs(value) do
    local p = pair(one)
    before[i], after[i] = p[1], p[2]
  end
  return before, after
end


function M.ZeroPadding2D(e, call, xs, c)
  local before, after = ends(e, call, c.padding, 1)
  return e:add(call, call.name, "pad", { image(e, call, e:real(call, xs[1]), c) },
               { before = { 0, 0, before[1], before[2] },
                 after = { 0, 0, after[1], after[2] } })
end


function M.Cropping2D(e, call, xs, c)
  local before, after = ends(e, call, c.cropping, 0)
  local x = image(e, call, e:real(call, xs[1]), c)
  local y = e:add(call, call.name .. "_rows", "narrow", { x }, { dim = 3,
    start = before[1] + 1, length = x.shape[2] - before[1] - after[1] })
  return e:add(call, call.name, "narrow", { y }, { dim = 4, start = before[2] + 1,
    length = x.shape[3] - before[2] - after[2] })
end


function M.UpSampling2D(e, call, xs, c)
  local x, size = image(e, call, e:real(call, xs[1]), c), pair(c.size, 2)
  local modes = { nearest = 0, bilinear = 1 }
  local mode = modes[c.interpolation or "nearest"]
  if not mode then
    e.fail(call, "interpolation '%s' is not supported", tostring(c.interpolation))
  end
  return e:add(call, call.name, "interpolate", { x }, { mode = mode,
    size = { x.shape[2] * size[1], x.shape[3] * size[2] } })
end


---Our value with its axes in Keras' order.
local function to_keras(e, call, x)
  if x.first or #x.shape ~= 3 then return x end
  return e:permuted(call, call.name .. "_order", x, { 1, 3, 4, 2 }, true)
end


---The target shape with its -1 filled in.
local function target_shape(e, call, x, target)
  local n, known, open = 1, 1, nil
  for _, d in ipairs(x.shape) do n = n * d end
  local shape = {}
  for i, d in ipairs(type(target) == "table" and target or { target }) do
    if d == -1 then open = i else known = known * number(e, call, d) end
    shape[i] = d
  end
  if open and known > 0 then shape[open] = n // known end
  return shape
end


function M.Reshape(e, call, xs, c)
  local x = e:real(call, xs[1])
  local shape = target_shape(e, call, x, c.target_shape)
  if #shape < 1 or #shape > 5 then
    e.fail(call, "reshapes to %d axes, expected 1 to 5", #shape)
  end
  local small = #x.shape == 1 or #x.shape == 3 and x.shape[2] * x.shape[3] == 1
  if small and #shape == 3 and shape[1] * shape[2] == 1 then
    return e:add(call, call.name, "reshape", { x }, { shape = { shape[3], 1, 1 } })
  elseif small and #shape == 1 then
    return e:add(call, call.name, "flatten", { x })
  elseif #shape ~= 3 then
    return e:add(call, call.name, "reshape", { to_keras(e, call, x) },
                 { shape = shape })
  end
  local y = e:add(call, call.name .. "_shape", "reshape", { to_keras(e, call, x) },
                  { shape = shape })
  y.first = true
  return e:permuted(call, call.name, y, { 1, 4, 2, 3 }, false)
end


---Of three axes: which of Keras' each of ours is.
local function axes_of(first) return first and { 1, 2, 3 } or { 3, 1, 2 } end


---Which of Keras' axes go where, each once.
local function permutation(e, call, dims, n)
  local list, seen = {}, {}
  for i, d in ipairs(type(dims) == "table" and dims or {}) do
    list[i] = math.tointeger(number(e, call, d))
    seen[list[i] or 0] = true
  end
  for i = 1, math.max(n, #list) do
    if not seen[i] or i > n then
      e.fail(call, "its `dims` are no order of %d axes", n)
    end
  end
  return list
end


---Our axes in the order that gives Keras' permuted ones, taken as `first` says.
local function order_for(x, dims, first)
  local have, order = axes_of(x.first), {}
  for i, k in ipairs(axes_of(first)) do
    for j, axis in ipairs(have) do
      if axis == dims[k] then order[i] = j end
    end
  end
  return order
end


---Where Keras permutes (H,W,C) into (C,H,W) our values stay as they are: what comes out
---counts its channels first, or last.
function M.Permute(e, call, xs, c)
  local x = e:real(call, xs[1])
  local dims = permutation(e, call, c.dims, #x.shape)
  if #x.shape == 1 then return x end
  if #x.shape ~= 3 then -- as Keras has them
    local order = { 1 }
    for i, d in ipairs(dims) do order[i + 1] = d + 1 end
    return e:permuted(call, call.name, x, order)
  end
  for _, first in ipairs { false, true } do
    local order = order_for(x, dims, first)
    if order[1] == 1 and order[2] == 2 then
      local y = e:add(call, call.name, "identity", { x })
      y.first = first
      return y
    end
  end
  local order = order_for(x, dims, false)
  return e:permuted(call, call.name, x, { 1, order[1] + 1, order[2] + 1, order[3] + 1 },
                    false)
end

return M
