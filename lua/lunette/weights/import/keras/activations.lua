---Activations by the names that Keras has for them, in our operators.
local M = {}


local function one(kind, attrs)
  return function(e, call, name, x) return e:add(call, name, kind, { x }, attrs) end
end


---clamp(x/6 + 1/2, 0, 1); of Keras 2, clamp(x/5 + 1/2, 0, 1)
local function hard_sigmoid(e, call, name, x)
  return e:add(call, name, "hard_sigmoid", { x }, { alpha = e.keras3 and 1 / 6 or 0.2 })
end


---x Phi(x), or its approximation by tanh
local function gelu(e, call, name, x, config)
  local how = config.approximate or false
  if type(how) ~= "boolean" then
    e.fail(call, "its activation 'gelu' with approximate = %s is not supported",
           tostring(how))
  end
  return e:add(call, name, "gelu", { x }, { approximate = how and "tanh" or "none" })
end


---scale * elu(x, alpha), Klambauer et al. 2017
local function selu(e, call, name, x)
  local y = e:add(call, name .. "_elu", "elu", { x },
                  { alpha = 1.6732632423543772 })
  return e:add(call, name, "mul", { y, 1.0507009873554805 })
end


---x / (1 + |x|)
local function softsign(e, call, name, x)
  local y = e:add(call, name .. "_abs", "abs", { x })
  y = e:add(call, name .. "_more", "add", { y, 1 })
  return e:add(call, name, "div", { x, y })
end


---x tanh(softplus(x))
local function mish(e, call, name, x)
  local y = e:add(call, name .. "_softplus", "softplus", { x })
  y = e:add(call, name .. "_tanh", "tanh", { y })
  return e:add(call, name, "mul", { x, y })
end


---(x + sqrt(x^2 + 4)) / 2
local function squareplus(e, call, name, x)
  local y = e:add(call, name .. "_square", "square", { x })
  y = e:add(call, name .. "_more", "add", { y, 4 })
  y = e:add(call, name .. "_root", "sqrt", { y })
  y = e:add(call, name .. "_sum", "add", { x, y })
  return e:add(call, name, "mul", { y, 0.5 })
end


---x - clamp(x, -1/2, 1/2)
local function soft_shrink(e, call, name, x)
  local y = e:add(call, name .. "_cut", "clamp", { x }, { min = -0.5, max = 0.5 })
  return e:add(call, name, "sub", { x, y })
end


---x where |x| > 1/2, else 0
local function hard_shrink(e, call, name, x)
  local y = e:add(call, name .. "_abs", "abs", { x })
  y = e:add(call, name .. "_large", "gt", { y, 0.5 })
  return e:add(call, name, "mul", { x, y })
end


local function tanh_shrink(e, call, name, x)
  return e:add(call, name, "sub", { x, e:add(call, name .. "_tanh", "tanh", { x }) })
end


---0 to -1, (x + 1)^2 / 4 to 1, then x
local function sparse_plus(e, call, name, x)
  local y = e:add(call, name .. "_cut", "clamp", { x }, { min = -1, max = 1 })
  y = e:add(call, name .. "_shift", "add", { y, 1 })
  y = e:add(call, name .. "_half", "mul", { y, 0.5 })
  y = e:add(call, name .. "_square", "square", { y })
  local high = e:add(call, name .. "_above", "sub", { x, 1 })
  high = e:add(call, name .. "_relu", "relu", { high })
  return e:add(call, name, "add", { y, high })
end


---log(sigmoid(x)) = -softplus(-x)
local function log_sigmoid(e, call, name, x)
  local y = e:add(call, name .. "_minus", "neg", { x })
  y = e:add(call, name .. "_softplus", "softplus", { y })
  return e:add(call, name, "neg", { y })
end


---a sigmoid(b) of the two halves of the last axis
local function glu(e, call, name, x)
  x = e:laid_out(call, x, false)
  local dim = #x.shape == 3 and 2 or #x.shape + 1
  local n = x.shape[dim - 1] // 2
  if 2 * n ~= x.shape[dim - 1] then
    e.fail(call, "glu halves its %d channels, an odd number", x.shape[dim - 1])
  end
  local a = e:add(call, name .. "_value", "narrow", { x },
                  { dim = dim, start = 1, length = n })
  local b = e:add(call, name .. "_gate", "narrow", { x },
                  { dim = dim, start = n + 1, length = n })
  b = e:add(call, name .. "_sigmoid", "sigmoid", { b })
  return e:add(call, name, "mul", { a, b })
end


---Keras' last axis among ours, without the batch: the first of maps (C,H,W).
local function last_axis(x) return #x.shape == 3 and 1 or #x.shape end


---A shape with an axis of 1 before its d-th.
local function with_one(shape, d)
  local list = { table.unpack(shape) }
  table.insert(list, d, 1)
  return list
end


---max(x - t, 0) that sums to 1 over the last axis (Martins & Astudillo 2016): x_i is
---among the values that are left where the sum of max(x_j - x_i, 0) is less than 1.
local function sparsemax(e, call, name, x)
  x = e:laid_out(call, x, false)
  local d, step = last_axis(x), 0
  local function add(kind, from, attrs)
    step = step + 1
    return e:add(call, name .. "_" .. step, kind, from, attrs)
  end
  local own = add("reshape", { x }, { shape = with_one(x.shape, d + 1) })
  local others = add("reshape", { x }, { shape = with_one(x.shape, d) })
  local over = add("relu", { add("sub", { others, own }) })
  local left = add("lt", { add("sum", { over }, { dims = { d + 2 } }), 1 })
  local count = add("sum", { left }, { dims = { d + 1 }, keepdims = true })
  local sum = add("sum", { add("mul", { left, x }) },
                  { dims = { d + 1 }, keepdims = true })
  local t = add("div", { add("sub", { sum, 1 }), count })
  return e:add(call, name, "relu", { add("sub", { x, t }) })
end


local function same(_, _, _, x) return x end


local names = {
  linear = same, relu = one "relu", relu6 = one "relu6", sigmoid = one "sigmoid",
  tanh = one "tanh", softplus = one "softplus", elu = one("elu", { alpha = 1 }),
  silu = one "silu", swish = one "silu", gelu = gelu, selu = selu,
  softsign = softsign, mish = mish, exponential = one "exp",
  hard_silu = one "hard_swish", hard_swish = one "hard_swish",
  leaky_relu = one("leaky_relu", { slope = 0.2 }),
  softmax = one "softmax", log_softmax = one "log_softmax",
  celu = one("elu", { alpha = 1 }), hard_tanh = one("clamp", { min = -1, max = 1 }),
  squareplus = squareplus, soft_shrink = soft_shrink, hard_shrink = hard_shrink,
  tanh_shrink = tanh_shrink, sparse_plus = sparse_plus, log_sigmoid = log_sigmoid,
  sparse_sigmoid = one("hard_sigmoid", { alpha = 0.5 }), hard_sigmoid = hard_sigmoid,
  glu = glu, sparsemax = sparsemax,
}


---What a config says of the activation besides its name.
local function config_of(what)
  local config = type(what) == "table" and what.config
  return type(config) == "table" and config or {}
end


---The name in what a config says: "relu", or { class_name =, config = }.
local function name_of(what)
  if type(what) ~= "table" then return what end
  local config = config_of(what)
  local name = what.class_name == "function" and what.config or config.name
    or what.class_name
  if what.class_name and not names[name] then
    name = what.class_name
  end
  return type(name) == "string" and require("lunette.weights.import.keras.config")
    .snake(name):gsub("^re_lu$", "relu") or nil
end


---Parameters of an activation that is written as a layer, and what they are where they
---change nothing.
local usual = { alpha = 1, negative_slope = 0, threshold = 0, axis = -1,
                max_value = false }


---Why an activation with parameters, or of somebody's own, is another than its name
---says; nil where it is that.
local function other_than(what)
  if type(what) ~= "table" then return nil end
  local foreign = require("lunette.weights.import.keras.config").foreign(what)
  if foreign then return "is of somebody's own (" .. foreign .. ")" end
  for key, value in pairs(config_of(what)) do
    if usual[key] ~= nil and value ~= usual[key] then
      return ("with %s = %s is not supported"):format(key, tostring(value))
    end
  end
  return nil
end


---Layers that are written where the name of an activation is expected.
local is_layer = { ReLU = true, LeakyReLU = true, ELU = true, Softmax = true }


---The row of such a layer, and what its config says; nil where it is none of Keras'.
local function layer_of(e, what)
  local class = type(what) == "table" and what.class_name
  if not is_layer[class] or type(what.config) ~= "table"
     or require("lunette.weights.import.keras.config").foreign(what) then
    return nil
  end
  return e.rows[class], what.config
end


---Applies an activation; `linear` and none are no layer.
---@param e table          see emit.lua
---@param call lunette.keras.Call
---@param name string      of the layer
---@param x table          value
---@param what any         as the config has it
---@return table value
function M.apply(e, call, name, x, what)
  if what == nil then return x end
  local row, config = layer_of(e, what)
  if row then
    return row(e, { name = name, class = call.class }, { x }, config)
  end
  local key, other = name_of(what), other_than(what)
  if other then
    e.fail(call, "its activation '%s' %s", tostring(key):gsub("%c", "?"),
           (other:gsub("%c", "?")))
  end
  local f = names[key]
  if not f then
    e.fail(call, "its activation '%s' is not supported",
           tostring(key or "?"):gsub("%c", "?"))
  end
  if key == "softmax" or key == "log_softmax" then -- over the last axis
    return e:add(call, name, key, { e:laid_out(call, x, false) },
                 #x.shape ~= 3 and { dim = #x.shape + 1 } or nil)
  end
  return f(e, call, name, x, config_of(what))
end

return M
