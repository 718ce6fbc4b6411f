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
  elseif c.rms_scaling == true then
    e.fail(call, "rms_scaling is not supported")
  end
  local n, place = x.shape[1], 0
  local y = e:add(call, call.name, "layer_norm", { x },
                  { dim = 2, last = 2, eps = number(e, call, c.epsilon, 1e-3) },
                  call.shares)
  for _, slot in ipairs(call.shares and {} or { table.unpack(norm_slots, 1, 2) }) do
    local key, words, flag, missing = table.unpack(slot, 1, 4)
    if c[flag] == false then
      e:fill(y.name, key, n, missing)
    else
      place = place + 1
      e:vector(call, y.name, key, e:find(call, words, place), n)
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
  local gamma = e:find(call, { "gamma", "Variable", "variable" }, 1)
  e:param(call, y.name, "gamma", gamma, { n }, { 1 }, shape)
  return y
end


---A number, or one for every channel, in however many axes of one they are nested.
local function flat(e, call, value, n)
  while type(value) == "table" and #value == 1 do value = value[1] end
  if type(value) ~= "table" then return number(e, call, value) end
  local list = {}
  for i, v in ipairs(value) do
    while type(v) == "table" and #v == 1 do v = v[1] end
    list[i] = number(e, call, v)
  end
  if #list ~= n then
    e.fail(call, "has %d numbers for %d channels", #list, n)
  end
  return list
end


---x * scale + offset with a number, or one for every channel.
local function affine(e, call, x, scale, offset)
  local n, y = x.shape[1], x
  local shape = #x.shape == 3 and { n, 1, 1 } or { n }
  local last = offset ~= 0 and "add" or "mul"
  for _, part in ipairs { { "mul", scale, 1 }, { "add", offset, 0 } } do
    local kind, v, none = table.unpack(part)
    local name = kind == last and call.name or call.name .. "_scale"
    if type(v) == "table" then
      y = e:by_numbers(call, name, kind, y, v, shape)
    elseif v ~= none then
      y = e:add(call, name, kind, { y, v })
    end
  end
  return y
end


function M.Rescaling(e, call, xs, c)
  local x = e:real(call, xs[1])
  local n = x.shape[1]
  local scale = c.scale == nil and 1 or flat(e, call, c.scale, n)
  local offset = c.offset == nil and 0 or flat(e, call, c.offset, n)
  if e.first and (type(scale) == "table" or type(offset) == "table") then
    e.fail(call, "a number for every column is not supported") -- the last axis
  end
  return affine(e, call, x, scale, offset)
end


---What (x - mean) / sqrt(variance) multiplies by and adds.
local function standardised(e, call, c, n)
  local mean, variance = flat(e, call, c.mean, n), flat(e, call, c.variance, n)
  local function at(v, i) return type(v) == "table" and v[i] or v end
  local scale, offset = {}, {}
  for i = 1, n do
    local std = math.max(at(variance, i) ^ 0.5, 1e-7)
    scale[i], offset[i] = 1 / std, -at(mean, i) / std
  end
  return scale, offset
end


---(x - mean) / sqrt(variance): given in the config, or learned from data.
function M.Normalization(e, call, xs, c)
  local x = e:real(call, xs[1])
  if c.invert == true then e.fail(call, "`invert` is not supported") end
  if c.mean ~= nil and c.variance ~= nil then
    return affine(e, call, x, standardised(e, call, c, x.shape[1]))
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
