---Normalisations and rescalings of Keras.
local common = require "lunette.weights.import.keras.rows.common"

local M = {}
local number, over_channels = common.number, common.over_channels


local norm_slots = {
  { "weight", { "gamma" }, "scale", 1 }, { "bias", { "beta" }, "center", 0 },
  { "running_mean", { "moving_mean" }, nil, 0 },
  { "running_var", { "moving_variance" }, nil, 1 },
}


function M.BatchNormalization(e, call, xs, c)
  local x = e:real(call, xs[1])
  if not over_channels(e, c.axis, x) then
    e.fail(call, "normalises another axis than the channels")
  end
  local n = x.shape[1]
  local y = e:add(call, call.name, "batch_norm", { x },
                  { eps = number(e, call, c.epsilon, 1e-3) }, call.shares)
  local place = 0
  for _, slot in ipairs(call.shares and {} or norm_slots) do
    local key, words, flag, missing = table.unpack(slot, 1, 4)
    if flag and c[flag] == false then
      e:fill(y.name, key, n, missing)
    else
      place = place + 1
      e:vector(call, y.name, key, e:find(call, words, place), n)
    end
  end
  return y
end


---(x - mean) / sqrt(var + eps) over the channels of each place, gamma and beta.
function M.LayerNormalization(e, call, xs, c)
  local x = e:real(call, xs[1])
  if not over_channels(e, c.axis, x) then
    e.fail(call, "normalises other axes than the channels")
  end
  local name, n = call.name, x.shape[1]
  local over = { dims = { 2 }, keepdims = true }
  local mean = e:add(call, name .. "_mean", "mean", { x }, over)
  local d = e:add(call, name .. "_centred", "sub", { x, mean })
  local v = e:add(call, name .. "_square", "square", { d })
  v = e:add(call, name .. "_var", "mean", { v }, over)
  v = e:add(call, name .. "_eps", "add", { v, number(e, call, c.epsilon, 1e-3) })
  v = e:add(call, name .. "_std", "sqrt", { v })
  local y = e:add(call, name .. "_norm", "div", { d, v })
  local shape, place = #x.shape == 3 and { n, 1, 1 } or { n }, 0
  for _, s in ipairs { { "gamma", "scale", "mul" }, { "beta", "center", "add" } } do
    if c[s[2]] ~= false then
      place = place + 1
      local t = e:find(call, { s[1] }, place)
      y = e:add(call, s[2] == "center" and name or name .. "_scaled", s[3],
                { y, { param = s[1], shape = shape } })
      e:param(call, y.name, s[1], t, { n }, { 1 }, shape)
    end
  end
  return y
end


---x * gamma, a number a channel (ConvNeXt).
function M.LayerScale(e, call, xs)
  local x = e:real(call, xs[1])
  local n = x.shape[1]
  local shape = #x.shape == 3 and { n, 1, 1 } or { n }
  local y = e:add(call, call.name, "mul", { x, { param = "gamma", shape = shape } })
  e:param(call, y.name, "gamma", e:find(call, { "gamma", "Variable" }, 1), { n }, { 1 },
          shape)
  return y
end


---x * scale + offset with a number, or one for every channel.
local function affine(e, call, x, scale, offset)
  local name = call.name
  if type(scale) ~= "table" and type(offset) ~= "table" then
    local y = x
    if scale ~= 1 then
      y = e:add(call, offset ~= 0 and name .. "_scale" or name, "mul", { y, scale })
    end
    if offset ~= 0 then y = e:add(call, name, "add", { y, offset }) end
    return y
  end
  local parts = {}
  for i = 1, x.shape[1] do
    local part = e:add(call, name .. "_channel", "narrow", { x },
                       { dim = 2, start = i, length = 1 })
    local a = type(scale) == "table" and scale[i] or scale
    local b = type(offset) == "table" and offset[i] or offset
    part = e:add(call, name .. "_scale", "mul", { part, number(e, call, a, 1) })
    parts[i] = e:add(call, name .. "_offset", "add", { part, number(e, call, b, 0) })
  end
  return e:add(call, name, "concat", parts, { dim = 2 })
end


function M.Rescaling(e, call, xs, c)
  local scale, offset = c.scale or 1, c.offset or 0
  for _, v in ipairs { scale, offset } do
    if type(v) ~= "table" then number(e, call, v) end
  end
  return affine(e, call, e:real(call, xs[1]), scale, offset)
end


---(x - mean) / sqrt(variance): given in the config, or learned from data.
function M.Normalization(e, call, xs, c)
  local x = e:real(call, xs[1])
  if type(c.mean) == "number" then c.mean, c.variance = { c.mean }, { c.variance } end
  if type(c.mean) == "table" and type(c.variance) == "table" then
    local scale, offset = {}, {}
    for i = 1, x.shape[1] do
      local m, v = c.mean[i] or c.mean[1], c.variance[i] or c.variance[1]
      local std = math.max(number(e, call, v, 1) ^ 0.5, 1e-7)
      scale[i], offset[i] = 1 / std, -number(e, call, m, 0) / std
    end
    return affine(e, call, x, scale, offset)
  end
  if not over_channels(e, c.axis, x) then
    e.fail(call, "normalises another axis than the channels")
  end
  local n = x.shape[1]
  local y = e:add(call, call.name, "batch_norm", { x }, { eps = 1e-14 }, call.shares)
  if call.shares then return y end
  e:fill(y.name, "weight", n, 1)
  e:fill(y.name, "bias", n, 0)
  e:vector(call, y.name, "running_mean", e:find(call, { "mean" }, 1), n)
  e:vector(call, y.name, "running_var", e:find(call, { "variance" }, 2), n)
  return y
end

return M
