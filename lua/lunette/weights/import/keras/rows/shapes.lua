---Layers of Keras that move values: flattening, padding, resizing, axes.
local common = require "lunette.weights.import.keras.rows.common"

local M = {}
local pair, number, image = common.pair, common.number, common.image


---Counting (C,H,W), Keras flattens in the order (H,W,C) where the layer itself says
---`channels_first`, and as the values lie where it does not.
function M.Flatten(e, call, xs, c)
  local x = xs[1]
  if #x.shape ~= 3 then return x end
  if c.data_format == "channels_first" and not e.first then
    e.fail(call, "says channels_first, the other layers channels_last")
  end
  local n = x.shape[1] * x.shape[2] * x.shape[3]
  return { flat = x, flat_name = call.name, shape = { n },
           planes = e.first and c.data_format ~= "channels_first" }
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
  return e:add(call, call.name, "pad", { image(e, call, e:real(call, xs[1])) },
               { before = { 0, 0, before[1], before[2] },
                 after = { 0, 0, after[1], after[2] } })
end


function M.Cropping2D(e, call, xs, c)
  local before, after = ends(e, call, c.cropping, 0)
  local x = image(e, call, e:real(call, xs[1]))
  local y = e:add(call, call.name .. "_rows", "narrow", { x }, { dim = 3,
    start = before[1] + 1, length = x.shape[2] - before[1] - after[1] })
  return e:add(call, call.name, "narrow", { y }, { dim = 4, start = before[2] + 1,
    length = x.shape[3] - before[2] - after[2] })
end


function M.UpSampling2D(e, call, xs, c)
  local x, size = image(e, call, e:real(call, xs[1])), pair(c.size, 2)
  local modes = { nearest = 0, bilinear = 1 }
  local mode = modes[c.interpolation or "nearest"]
  if not mode then
    e.fail(call, "interpolation '%s' is not supported", tostring(c.interpolation))
  end
  return e:add(call, call.name, "interpolate", { x }, { mode = mode,
    size = { x.shape[2] * size[1], x.shape[3] * size[2] } })
end


---Our value with its axes in Keras' order, and back.
local function to_keras(e, call, x)
  if e.first or #x.shape ~= 3 then return x end
  return e:add(call, call.name .. "_order", "permute", { x }, { dims = { 1, 3, 4, 2 } })
end


local function from_keras(e, call, x)
  if e.first or #x.shape ~= 3 then return x end
  return e:add(call, call.name, "permute", { x }, { dims = { 1, 4, 2, 3 } })
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
  if #shape ~= 1 and #shape ~= 3 then
    e.fail(call, "reshapes to %d axes, expected 1 or 3", #shape)
  end
  local small = #x.shape == 1 or x.shape[2] * x.shape[3] == 1
  if small and #shape == 3 and shape[1] * shape[2] == 1 and not e.first then
    return e:add(call, call.name, "reshape", { x }, { shape = { shape[3], 1, 1 } })
  elseif small and #shape == 1 then
    return e:add(call, call.name, "flatten", { x })
  end
  local y = e:add(call, call.name .. "_shape", "reshape", { to_keras(e, call, x) },
                  { shape = shape })
  return from_keras(e, call, y)
end


function M.Permute(e, call, xs, c)
  local x, dims = e:real(call, xs[1]), { 1 }
  for i, d in ipairs(type(c.dims) == "table" and c.dims or {}) do
    dims[i + 1] = number(e, call, d) + 1
  end
  local y = e:add(call, call.name .. "_axes", "permute", { to_keras(e, call, x) },
                  { dims = dims })
  return from_keras(e, call, y)
end

return M
