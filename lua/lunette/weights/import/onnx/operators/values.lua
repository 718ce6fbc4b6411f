---Operators on values: one by one, or of several inputs that broadcast.
local common = require "lunette.weights.import.onnx.operators.common"
local fold = require "lunette.weights.import.onnx.fold"

local attr = common.attr
local known = common.known
local live = common.live
local together = common.together

local M = {}


-- values one by one --------------------------------------------------------------


local function unary(kind, attrs)
  return function(b, x)
    local o = attrs and attrs(b) or nil
    local v = live(b, x, 1)
    return b:layer(kind, { v }, o, v.order)
  end
end

for op, kind in pairs { Relu = "relu", Sigmoid = "sigmoid", Tanh = "tanh", Exp = "exp",
                        Log = "log", Sqrt = "sqrt", Abs = "abs", Neg = "neg",
                        Erf = "erf",
                        Reciprocal = "reciprocal", Sin = "sin", Cos = "cos",
                        Floor = "floor", Round = "round", Sign = "sign",
                        Softplus = "softplus" } do
  M[op] = unary(kind)
end

M.LeakyRelu = unary("leaky_relu", function(b)
  return { slope = attr(b, "alpha", "f", 0.01) }
end)
M.Elu = unary("elu", function(b) return { alpha = attr(b, "alpha", "f", 1) } end)


function M.Gelu(b, x)
  local how = attr(b, "approximate", "s", "none")
  if how ~= "none" and how ~= "tanh" then b:fail("approximate %s is not known", how) end
  local v = live(b, x, 1)
  return b:layer("gelu", { v }, how ~= "none" and { approximate = how } or nil, v.order)
end


M.HardSigmoid = unary("hard_sigmoid", function(b)
  return { alpha = attr(b, "alpha", "f", 0.2), beta = attr(b, "beta", "f", 0.5) }
end)
M.HardSwish = unary "hard_swish"


function M.Selu(b, x)
  local v = live(b, x, 1)
  local alpha = attr(b, "alpha", "f", 1.67326319217681884765625)
  local gamma = attr(b, "gamma", "f", 1.05070102214813232421875)
  local y = b:step("elu", "elu", { v }, { alpha = alpha }, v.order)
  return b:layer("mul", { y, gamma }, nil, v.order)
end


function M.Celu(b, x)
  local v, alpha = live(b, x, 1), attr(b, "alpha", "f", 1)
  local y = b:step("scaled", "mul", { v, 1 / alpha }, nil, v.order)
  y = b:step("elu", "elu", { y }, nil, v.order)
  return b:layer("mul", { y, alpha }, nil, v.order)
end


function M.Softsign(b, x)
  local v = live(b, x, 1)
  local y = b:step("abs", "abs", { v }, nil, v.order)
  y = b:step("plus1", "add", { y, 1 }, nil, v.order)
  return b:layer("div", { v, y }, nil, v.order)
end


function M.Mish(b, x)
  local v = live(b, x, 1)
  local y = b:step("softplus", "softplus", { v }, nil, v.order)
  y = b:step("tanh", "tanh", { y }, nil, v.order)
  return b:layer("mul", { v, y }, nil, v.order)
end


function M.ThresholdedRelu(b, x)
  local v, alpha = live(b, x, 1), attr(b, "alpha", "f", 1)
  local open = b:step("open", "gt", { v, alpha }, nil, v.order)
  return b:layer("mul", { v, open }, nil, v.order)
end


---The bounds of Clip, by attributes before opset 11; nil: none on that side.
local function bounds(b, x)
  local lo, hi = attr(b, "min", "f"), attr(b, "max", "f")
  if x[2] then lo = known(b, x[2], "minimum")[1] end
  if x[3] then hi = known(b, x[3], "maximum")[1] end
  if lo and lo < -3e38 then lo = nil end
  if hi and hi > 3e38 then hi = nil end
  return lo, hi
end


function M.Clip(b, x)
  local lo, hi = bounds(b, x)
  local v = live(b, x, 1)
  if lo == 0 and hi == 6 then return b:layer("relu6", { v }, nil, v.order) end
  if lo == 0 and not hi then return b:layer("relu", { v }, nil, v.order) end
  if not lo and not hi then return v end
  return b:layer("clamp", { v }, { min = lo, max = hi }, v.order)
end


function M.PRelu(b, x)
  local v, slope = live(b, x, 1), x[2]
  if not slope or not slope.const then b:fail("its slope depends on the picture") end
  if b.opset < 7 and #slope.shape == 1 then
    slope = b:reshaped(slope, { slope.shape[1], 1, 1 })
  end
  local up = b:step("above", "clamp", { v }, { min = 0 }, v.order)
  local down = b:step("below", "clamp", { v }, { max = 0 }, v.order)
  local leak = b:inside("leak", function()
    local by = b:operand(slope, "slope", #v.shape, v.order)
    return b:layer("mul", { down, by }, nil, v.order)
  end)
  return b:layer("add", { up, leak }, nil, v.order)
end


---Values that lead nowhere else: as they are, under another name.
local function same_value(_, x) return x[1] end

M.Identity = same_value


function M.Dropout(b, x)
  attr(b, "ratio", "f")
  attr(b, "seed", "i")
  attr(b, "is_test", "i")
  local trains = x[3] and known(b, x[3], "training_mode")[1] ~= 0
  local ratio = x[2] and known(b, x[2], "ratio")[1] or 0.5
  if trains and ratio ~= 0 then
    b:fail("it drops values as in training")
  end
  return x[1]
end


---Truth is 1 and 0.
function M.Cast(b, x)
  local to = attr(b, "to", "i")
  if to == 9 then return b:layer("ne", { live(b, x, 1), 0.0 }, nil, x[1].order) end
  if to ~= 1 and to ~= 10 and to ~= 11 and to ~= 16 then
    b:fail("values of pictures become integers")
  end
  return x[1]
end


-- several inputs -----------------------------------------------------------------


local function joined(kind)
  return function(b, x)
    if #x == 1 then return x[1] end
    local list, order = together(b, x)
    return b:layer(kind, list, nil, order)
  end
end

for op, kind in pairs { Add = "add", Sub = "sub", Mul = "mul", Div = "div", Pow = "pow",
                        Sum = "add", Max = "maximum", Min = "minimum" } do
  M[op] = joined(kind)
end


---Constants that change nothing are no layers: x + 0, x * 1.
local function unless(op, neutral)
  local f = M[op]
  M[op] = function(b, x)
    if b.opset < 7 and (b.node.attrs.broadcast or b.node.attrs.axis) then
      b:fail("broadcasting as before opset 7 is not supported")
    end
    local c = x[2] and x[2].const and x[2].data
    if c and fold.product(x[2].shape) == 1 and #x[2].shape <= #x[1].shape
       and c[1] == neutral and not x[1].const then
      return x[1]
    end
    return f(b, x)
  end
end

unless("Add", 0)
unless("Sub", 0)
unless("Mul", 1)
unless("Div", 1)


---The square is an operator of its own: a power's gradient is one of logarithms.
local power = M.Pow
function M.Pow(b, x)
  local e = x[2] and x[2].data
  if e and fold.product(x[2].shape) == 1 and not x[1].const then
    if e[1] == 2 then return b:layer("square", { x[1] }, nil, x[1].order) end
    if e[1] == 0.5 then return b:layer("sqrt", { x[1] }, nil, x[1].order) end
    if e[1] == 1 then return x[1] end
  end
  return power(b, x)
end


function M.Mean(b, x)
  if #x == 1 then return x[1] end
  local sum = b:inside("sum", function()
    local list, order = together(b, x)
    return b:layer("add", list, nil, order)
  end)
  return b:layer("mul", { sum, 1 / #x }, nil, sum.order)
end


---The place of the largest along an axis, as a number from 0: of the places that hold
---it the first is the one for which n - i is largest.
local function place_of(kind)
  return function(b, x)
    local v = live(b, x, 1)
    local axis = common.axis_of(b, attr(b, "axis", "i", 0), #v.shape)
    local keep = attr(b, "keepdims", "i", 1) ~= 0
    local last = common.flag(b, "select_last_index")
    local n, d, weights = v.shape[axis], v.order[axis], {}
    if d == 1 then b:fail("it mixes the pictures of a batch") end
    for i = 1, n do weights[i] = last and i - 1.0 or n - i + 1.0 end
    local shape = { n }
    for _ = axis + 1, #v.shape do shape[#shape + 1] = 1 end
    local along = { dims = { d }, keepdims = true }
    local best = b:step("best", kind, { v }, along, v.order)
    local y = b:step("is_best", "eq", { v, best }, nil, v.order)
    local c = fold.make(shape, weights)
    y = b:inside("places", function()
      local by = b:operand(c, "weights", #v.shape, v.order)
      return b:layer("mul", { y, by }, nil, v.order)
    end)
    y = b:step("place", "max", { y }, along, v.order)
    if not last then
      y = b:step("negative", "mul", { y, -1.0 }, nil, v.order)
      y = b:step("first", "add", { y, n + 0.0 }, nil, v.order)
    end
    return keep and y or b:squeeze(y, { axis }, true)
  end
end

M.ArgMax = place_of "max"
M.ArgMin = place_of "min"


local function comparison(kind)
  return function(b, x)
    local list, order = together(b, x)
    return b:layer(kind, list, nil, order)
  end
end

for op, kind in pairs { Equal = "eq", Greater = "gt", Less = "lt",
                        GreaterOrEqual = "ge", LessOrEqual = "le",
                        And = "mul", Or = "maximum", Xor = "ne" } do -- of 1 and 0
  M[op] = comparison(kind)
end


function M.Not(b, x)
  local v = live(b, x, 1)
  return b:layer("eq", { v, 0.0 }, nil, v.order)
end


function M.Where(b, x)
  local list, order = together(b, x)
  for i, v in ipairs(list) do
    if type(v) == "number" then list[i] = { param = "value" .. i, shape = { 1 } } end
    if type(v) == "number" then
      b.params[#b.params + 1] = { name = b.own .. ".value" .. i, shape = { 1 },
                                  data = { v } }
    end
  end
  return b:layer("where", list, nil, order)
end

return M
