---Normalisations and rescalings of Keras.
local common = require "lunette.weights.import.keras.rows.common"

local M = {}
local number, over_axis = common.number, common.over_axis


local norm_slots = {
  { "weight", { "gamma" }, "scale", 1 }, { "bias", { "beta" }, "center", 0 },
  { "running_mean", { "moving_mean" }, nil, 0 },
  { "running_var", { "moving_variance" }, nil, 1 },
}


function M.BatchNormalization(e, call, xs, c)
  local x = over_axis(e, call, e:real(call, xs[1]), c.axis)
  if not x then e.fail(call, "normalises another axis than the channels") end
  local n = x.shape[1]
  local y = e:add(call, call.name, "batch_norm", { x },
                  { eps = number(e, call, c.epsilon, 1e-3) }, call.shares)
  local place = 0
  for _, slot in ipairs(call.shares and {} or norm_slots) do
    local key, words, flag, missing = table.unpack(slot, 1, 4)
    if flag and c[flag] == false then
      e:fill(call, y.name, key, { n }, missing)
    else
      place = place + 1
      e:vector(call, y.name, key, e:find(call, words, place), n)
    end
  end
  return y
end


---Does a config name all axes of a value?
local function over_all(axis, n)
  if type(axis) ~= "table" or #axis ~= n then return false end
  local seen = {}
  for _, a in ipairs(axis) do
    seen[type(a) == "number" and a % (n + 1) or 0] = true -- -1 is n
  end
  for i = 1, n do
    if not seen[i] then return false end
  end
  return true
end


---What a layer norm reads, the dimensions that it normalises, ours, and how its numbers
---lie in the file: axes, and their order.
local function normalised(e, call, x, axis)
  if #x.shape == 3 and over_all(axis, 3) then
    local c, h, w = table.unpack(x.shape)
    if x.first then return x, 2, 4, x.shape, { 1, 2, 3 } end
    return x, 2, 4, { h, w, c }, { 3, 1, 2 }
  end
  local one = type(axis) == "table" and #axis == 1 and axis[1] or axis
  if #x.shape == 2 and (one == nil or one == -1 or one == 2) then
    return x, 3, 3, { x.shape[2] }, { 1 }
  end
  x = over_axis(e, call, x, axis)
  if not x then
    e.fail(call, "normalises other axes than the channels, or all")
  end
  return x, 2, 2, { x.shape[1] }, { 1 }
end


---(x - mean) / sqrt(var + eps) over the channels of each place, or over all axes; gamma
---and beta.
function M.LayerNormalization(e, call, xs, c)
  if c.rms_scaling == true then e.fail(call, "rms_scaling is not supported") end
  local x, from, to, view, perm = normalised(e, call, e:real(call, xs[1]), c.axis)
  local shape, place = {}, 0
  for i, p in ipairs(perm) do shape[i] = view[p] end
  local y = e:add(call, call.name, "layer_norm", { x },
                  { dim = from, last = to, eps = number(e, call, c.epsilon, 1e-3) },
                  call.shares)
  for _, slot in ipairs(call.shares and {} or { table.unpack(norm_slots, 1, 2) }) do
    local key, words, flag, missing = table.unpack(slot, 1, 4)
    if c[flag] == false then
      e:fill(call, y.name, key, shape, missing)
    else
      place = place + 1
      e:param(call, y.name, key, e:find(call, words, place), view, perm, shape)
    end
  end
  return y
end


---x * gamma, a number a channel (ConvNeXt).
function M.LayerScale(e, call, xs)
  local x = e:laid_out(call, e:real(call, xs[1]), false)
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


---x * v or x + v: a number, a number for every channel, or nothing where it is `none`.
local function by(e, call, name, kind, x, v, none)
  if type(v) ~= "table" then
    return v == none and x or e:add(call, name, kind, { x, v })
  end
  local n = x.shape[1]
  return e:by_numbers(call, name, kind, x, v, #x.shape == 3 and { n, 1, 1 } or { n })
end


---The value with the axis as channels along which numbers differ ([a, b, c] are of the
---last one, [[[a]], [[b]], [[c]]] of the first), and the numbers.
local function along(e, call, x, numbers)
  local lengths, longer, one = {}, nil, numbers
  while type(one) == "table" do
    lengths[#lengths + 1] = #one
    one = one[1]
  end
  for i, n in ipairs(lengths) do
    if n > 1 and longer then e.fail(call, "has numbers for several axes") end
    if n > 1 then longer = i - #lengths - 1 end -- from the last one on
  end
  if longer then
    x = over_axis(e, call, x, longer)
      or e.fail(call, "has numbers for an axis that is no channel's")
  end
  return x, flat(e, call, numbers, x.shape[1])
end


function M.Rescaling(e, call, xs, c)
  local shifts = c.offset ~= nil and c.offset ~= 0
  local x, v = along(e, call, e:real(call, xs[1]), c.scale == nil and 1 or c.scale)
  x = by(e, call, shifts and call.name .. "_scale" or call.name, "mul", x, v, 1)
  x, v = along(e, call, x, shifts and c.offset or 0)
  return by(e, call, call.name, "add", x, v, 0)
end


---What (x - mean) / sqrt(variance) multiplies by and adds.
local function standardised(e, call, c, n)
  e.check_count(call, n)
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
  local x = over_axis(e, call, e:real(call, xs[1]), c.axis)
  if c.invert == true then e.fail(call, "`invert` is not supported") end
  if not x then e.fail(call, "normalises another axis than the channels") end
  if c.mean ~= nil and c.variance ~= nil then
    local scale, offset = standardised(e, call, c, x.shape[1])
    x = by(e, call, call.name .. "_scale", "mul", x, scale, 1)
    return by(e, call, call.name, "add", x, offset, 0)
  end
  local n = x.shape[1]
  local y = e:add(call, call.name, "batch_norm", { x }, { eps = 1e-14 }, call.shares)
  if call.shares then return y end
  e:fill(call, y.name, "weight", { n }, 1)
  e:fill(call, y.name, "bias", { n }, 0)
  e:vector(call, y.name, "running_mean", e:find(call, { "mean" }, 1), n)
  e:vector(call, y.name, "running_var", e:find(call, { "variance" }, 2), n)
  return y
end

return M
