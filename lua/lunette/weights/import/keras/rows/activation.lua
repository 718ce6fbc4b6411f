---Activations of Keras that are layers.
local activations = require "lunette.weights.import.keras.activations"
local common = require "lunette.weights.import.keras.rows.common"

local M = {}
local number, over_axis = common.number, common.over_axis


function M.Activation(e, call, xs, c)
  return activations.apply(e, call, call.name, e:real(call, xs[1]), c.activation)
end


---min(x, most) from the threshold on, slope (x - threshold) below it.
local function relu_from(e, call, x, slope, threshold, most)
  local name = call.name
  local high = e:add(call, name .. "_from", "ge", { x, threshold })
  local value = most and e:add(call, name .. "_most", "minimum", { x, most }) or x
  if slope == 0 then return e:add(call, name, "mul", { high, value }) end
  high = e:add(call, name .. "_high", "mul", { high, value })
  local low = e:add(call, name .. "_less", "sub", { x, threshold })
  low = e:add(call, name .. "_low", "minimum", { low, 0 })
  low = e:add(call, name .. "_slope", "mul", { low, slope })
  return e:add(call, name, "add", { high, low })
end


function M.ReLU(e, call, xs, c)
  local x, name = e:real(call, xs[1]), call.name
  local slope = number(e, call, c.negative_slope, 0)
  local threshold = number(e, call, c.threshold, 0)
  local most = c.max_value ~= false and number(e, call, c.max_value, nil) or nil
  if threshold ~= 0 then return relu_from(e, call, x, slope, threshold, most) end
  if slope ~= 0 then
    if most then x = e:add(call, name .. "_most", "minimum", { x, most }) end
    return e:add(call, name, "leaky_relu", { x }, { slope = slope })
  end
  if not most then return e:add(call, name, "relu", { x }) end
  if most == 6 then return e:add(call, name, "relu6", { x }) end
  return e:add(call, name, "clamp", { x }, { min = 0, max = most })
end


---x where it is above the threshold, else a value: an operator among the layers, which
---alone says both numbers.
function M.Threshold(e, call, xs, c)
  local x, name = e:real(call, xs[1]), call.name
  local threshold = number(e, call, c.threshold, nil)
  local other = number(e, call, c.default_value, nil)
  if not (threshold and other) then
    e.fail(call, "the config does not say its threshold and what is below")
  end
  local above = e:add(call, name .. "_above", "gt", { x, threshold })
  if other == 0 then return e:add(call, name, "mul", { above, x }) end
  local over = e:add(call, name .. "_over", "sub", { x, other })
  over = e:add(call, name .. "_kept", "mul", { above, over })
  return e:add(call, name, "add", { over, other })
end


function M.LeakyReLU(e, call, xs, c)
  local slope = number(e, call, c.negative_slope, nil) or number(e, call, c.alpha, 0.3)
  return e:add(call, call.name, "leaky_relu", { e:real(call, xs[1]) },
               { slope = slope })
end


function M.ELU(e, call, xs, c)
  return e:add(call, call.name, "elu", { e:real(call, xs[1]) },
               { alpha = number(e, call, c.alpha, 1) })
end


function M.Softmax(e, call, xs, c)
  local x = e:real(call, xs[1])
  local y = over_axis(e, call, x, c.axis)
  if not y then e.fail(call, "a softmax over an axis that is no channel's") end
  return e:add(call, call.name, "softmax", { y })
end


---max(x,0) + alpha min(x,0): alpha (H,W,C), with 1 where it is shared.
function M.PReLU(e, call, xs)
  local x, name = e:real(call, xs[1]), call.name
  local alpha = e:find(call, { "alpha" }, 1)
  local s = alpha.shape
  local shape, view, perm = s, s, { 1 }
  if #s == 3 and not x.first then
    shape, perm = { s[3], s[1], s[2] }, { 3, 1, 2 }
  elseif #s ~= 1 then
    perm = { 1, 2, 3 }
  end
  local high = e:add(call, name .. "_high", "relu", { x })
  local low = e:add(call, name .. "_low", "minimum", { x, 0 })
  low = e:add(call, name .. "_slope", "mul", { low, { param = "alpha",
                                                      shape = shape } })
  e:param(call, low.name, "alpha", alpha, view, perm, shape)
  return e:add(call, name, "add", { high, low })
end

return M
