---Operators of `keras.ops` among the layers of a functional model (Keras 3): what
---`x / 255`, `ops.relu(x)` or `ops.mean(x, [1, 2])` become in its config. Axes count
---the batch as 0.
local rows = require "lunette.weights.import.keras.rows"

local M = {}


-- of every number ------------------------------------------------------------------


for _, class in ipairs { "Add", "Subtract", "Multiply", "Divide", "TrueDivide",
                         "Maximum", "Minimum", "Power", "Concatenate", "Threshold" } do
  M[class] = rows[class]
end


local function one(kind)
  return function(e, call, xs)
    return e:add(call, call.name, kind, { e:real(call, xs[1]) })
  end
end

for class, kind in pairs {
  Negative = "neg", Absolute = "abs", Abs = "abs", Sqrt = "sqrt", Square = "square",
  Exp = "exp", Log = "log",
} do
  M[class] = one(kind)
end


---An activation by its name, with nothing of its own.
local function activation(name)
  return function(e, call, xs, c)
    return rows.Activation(e, call, xs, {
      activation = { class_name = name, config = c } })
  end
end

for class, name in pairs {
  Relu = "relu", Relu6 = "relu6", Sigmoid = "sigmoid", Tanh = "tanh", Silu = "silu",
  Softplus = "softplus", Softsign = "softsign", Selu = "selu", Elu = "elu",
  HardSigmoid = "hard_sigmoid", HardSilu = "hard_silu", HardTanh = "hard_tanh",
  LogSigmoid = "log_sigmoid", Mish = "mish", LogSoftmax = "log_softmax",
} do
  M[class] = activation(name)
end

M.Softmax = rows.Softmax


---By tanh, where it says nothing.
function M.Gelu(e, call, xs, c)
  return activation "gelu"(e, call, xs, { approximate = c.approximate ~= false })
end


function M.LeakyRelu(e, call, xs, c)
  return rows.LeakyReLU(e, call, xs, { negative_slope = c.negative_slope or 0.2 })
end


function M.Clip(e, call, xs, c)
  local low, high = c.x_min, c.x_max
  if type(low) ~= "number" or type(high) ~= "number" then
    e.fail(call, "clips to what is no number")
  end
  return e:add(call, call.name, "clamp", { e:real(call, xs[1]) },
               { min = low, max = high })
end


-- of axes --------------------------------------------------------------------------


---Which of Keras' axes are meant, without the batch: a set, and how many.
local function axes_of(e, call, x, axis)
  local list, set = type(axis) == "table" and axis or { axis }, {}
  for _, k in ipairs(list) do
    k = math.tointeger(k) or 0
    if k < 0 then k = k + #x.shape + 1 end
    if k < 1 or k > #x.shape then
      e.fail(call, "its axis is none of (%s), or the batch",
             table.concat(x.shape, ", "))
    end
    set[k] = true
  end
  if #list == 0 then e.fail(call, "it takes the batch together") end
  return set, #list
end


---Our dimensions, the batch with them, of Keras' axes.
local function dims_of(x, set)
  local dims, last_first = {}, #x.shape == 3 and not x.first
  for k in pairs(set) do
    dims[#dims + 1] = last_first and k % 3 + 2 or k + 1
  end
  table.sort(dims)
  return dims
end


---What is left of three axes is in Keras' order where it is one, or height and width.
local function reduction(kind)
  return function(e, call, xs, c)
    local x = e:real(call, xs[1])
    local set, n = axes_of(e, call, x, c.axis)
    local keeps = c.keepdims == true
    if #x.shape == 3 and n == 1 and not keeps and not set[3] then
      x = e:laid_out(call, x, true)
    end
    local y = e:add(call, call.name, kind, { x }, { dims = dims_of(x, set),
                                                    keepdims = keeps })
    if #y.shape == 3 then y.first = x.first end
    return y
  end
end

M.Mean, M.Sum = reduction "mean", reduction "sum"
M.Max, M.Min = reduction "max", reduction "min"


---The list without its first, which must be the batch.
local function without_batch(e, call, list, batch)
  if type(list) ~= "table" or list[1] ~= batch or #list < 2 then
    e.fail(call, "it mixes the pictures of a batch")
  end
  return table.move(list, 2, #list, 1, {})
end


function M.Reshape(e, call, xs, c)
  local shape = without_batch(e, call, c.newshape, c.newshape and c.newshape[1])
  if c.newshape[1] ~= -1 and c.newshape[1] ~= false then
    e.fail(call, "it mixes the pictures of a batch")
  end
  return rows.Reshape(e, call, xs, { target_shape = shape })
end


function M.Transpose(e, call, xs, c)
  return rows.Permute(e, call, xs, { dims = without_batch(e, call, c.axes, 0) })
end

return M
