---Functions of one value and of several, comparisons, reductions.
local core = require "lunette.core"
local emit = require "lunette.onnx.emit"
local reduced = require("lunette.trace.back.common").reduced

local FLOAT, INT64, BOOL = 1, 7, 9

local M = {}


-- one value --------------------------------------------------------------------------


for op, name in pairs { relu = "Relu", sigmoid = "Sigmoid", tanh = "Tanh", neg = "Neg",
                        abs = "Abs", exp = "Exp", log = "Log", sqrt = "Sqrt",
                        sin = "Sin", cos = "Cos", erf = "Erf", floor = "Floor",
                        ceil = "Ceil", round = "Round",
                        reciprocal = "Reciprocal", identity = "Identity",
                        dropout = "Identity" } do
  M[op] = function(e, _, x) return e:out(name, x) end
end


function M.sign(e, t, x) return e:decides(t, e:out("Sign", x), FLOAT) end

function M.leaky_relu(e, t, x)
  return e:out("LeakyRelu", x, { alpha = t.attrs.slope + 0.0 })
end

function M.elu(e, t, x) return e:out("Elu", x, { alpha = t.attrs.alpha + 0.0 }) end

function M.relu6(e, _, x)
  return e:out("Clip", { x[1], e:number(0, true), e:number(6, true) })
end

function M.clamp(e, t, x)
  local lo, hi = t.attrs.min, t.attrs.max
  return e:out("Clip", { x[1], lo and e:number(lo, true) or false,
                         hi and e:number(hi, true) or nil })
end

function M.square(e, _, x) return e:out("Pow", { x[1], e:number(2, true) }) end

function M.softplus(e, t, x)
  local beta = t.attrs.beta
  if beta == 1 then return e:out("Softplus", x) end
  local y = e:step("Softplus", { e:step("Mul", { x[1], e:number(beta) }) })
  return e:out("Div", { y, e:number(beta) })
end

function M.silu(e, _, x) return e:out("Mul", { x[1], e:step("Sigmoid", x) }) end

function M.hard_sigmoid(e, t, x)
  return e:out("HardSigmoid", x, { alpha = t.attrs.alpha + 0.0,
                                   beta = t.attrs.beta + 0.0 })
end

function M.hard_swish(e, _, x)
  if e.graph.opset >= 14 then return e:out("HardSwish", x) end
  return e:out("Mul", { x[1], e:step("HardSigmoid", x, { alpha = 1 / 6, beta = 0.5 }) })
end


---x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
local function gelu_tanh(e, x)
  local cube = e:step("Pow", { x, e:number(3, true) })
  local y = e:step("Mul", { cube, e:number(0.044715) })
  y = e:step("Mul", { e:step("Add", { x, y }), e:number((2 / math.pi) ^ 0.5) })
  y = e:step("Add", { e:step("Tanh", { y }), e:number(1) })
  return e:out("Mul", { e:step("Mul", { x, e:number(0.5) }), y })
end


-- x (1 + erf(x / sqrt 2)) / 2, as torch writes it
function M.gelu(e, t, x)
  if t.attrs.approximate == "tanh" then return gelu_tanh(e, x[1]) end
  local y = e:step("Erf", { e:step("Div", { x[1], e:number(2 ^ 0.5) }) })
  y = e:step("Mul", { x[1], e:step("Add", { y, e:number(1) }) })
  return e:out("Mul", { y, e:number(0.5) })
end

function M.log1p(e, _, x)
  return e:out("Log", { e:step("Add", { x[1], e:number(1) }) })
end

function M.expm1(e, _, x)
  return e:out("Sub", { e:step("Exp", x), e:number(1) })
end


-- two values -------------------------------------------------------------------------


for op, name in pairs { add = "Add", sub = "Sub", div = "Div", pow = "Pow",
                        maximum = "Max", minimum = "Min" } do
  M[op] = function(e, _, x) return e:out(name, x) end
end


---Booleans as numbers, 1 or 0.
local function numbers(e, truth) return e:out("Cast", { truth }, { to = FLOAT }) end

for op, name in pairs(emit.comparisons) do
  M[op] = function(e, t, x)
    return numbers(e, e:decides(t, e:step(name, x), BOOL))
  end
end

function M.ne(e, t, x)
  return numbers(e, e:decides(t, e:step("Not", { e:step("Equal", x) }), BOOL))
end


---A comparison as truth, without the numbers 1 and 0.
local function compared(e, c)
  return e:decides(c, e:step(emit.comparisons[c.op], { e.names[c.inputs[1]],
                                                       e.names[c.inputs[2]] }), BOOL)
end


---A product with a comparison is a Where.
function M.mul(e, t, x)
  local mask, truth = emit.mask_of(t), nil
  if not mask then return e:out("Mul", x) end
  for _, c in ipairs(mask) do
    local one = compared(e, c)
    truth = truth and e:step("And", { truth, one }) or one
  end
  return e:out("Where", { truth, x[1], e:number(0) })
end


---What is not 0 is true.
function M.where(e, t, x)
  local c = t.inputs[1]
  local truth = emit.is_comparison(c) and compared(e, c)
    or e:step("Cast", { x[1] }, { to = BOOL })
  return e:out("Where", { truth, x[2], x[3] })
end


-- the angle of (x = b, y = a): atan(a / b), and half a turn where b < 0
function M.atan2(e, _, x)
  local a, b, zero, pi = x[1], x[2], e:number(0), e:number(math.pi)
  local angle = e:step("Atan", { e:step("Div", { a, b }) })
  local left = e:step("Less", { b, zero })
  local down = e:step("Less", { a, zero })
  local turned = e:step("Where", { down, e:step("Sub", { angle, pi }),
                                   e:step("Add", { angle, pi }) })
  local both = e:step("And", { e:step("Equal", { a, zero }),
                               e:step("Equal", { b, zero }) })
  return e:out("Where", { both, zero, e:step("Where", { left, turned, angle }) })
end


-- reductions -------------------------------------------------------------------------


---Axes counted from 0, and whether the result has no dimensions in ONNX, where ours has
---one of size 1.
local function axes_of(t)
  local set, axes, n = reduced { inputs = { t.inputs[1] }, attrs = t.attrs }, {}, 0
  for d = 1, t.inputs[1]:dim() do
    if set[d] then axes[#axes + 1] = d - 1 end
    n = d
  end
  return axes, t.attrs.keepdims == 0 and #axes == n
end


local function reduction(name, by_input)
  return function(e, t, x)
    local axes, all = axes_of(t)
    local make = all and e.step or e.out
    local attrs, inputs = { keepdims = math.tointeger(t.attrs.keepdims) }, { x[1] }
    if by_input then inputs[2] = e:ints(axes) else attrs.axes = axes end
    local y = make(e, name, inputs, attrs)
    return all and e:out("Reshape", { y, e:ints { 1 } }) or y
  end
end

M.sum = reduction("ReduceSum", true)
M.mean, M.max = reduction "ReduceMean", reduction "ReduceMax"
M.min = reduction "ReduceMin"


-- classes: indices (N), and one-hot vectors (N,K) ------------------------------------


function M.argmax(e, t, x)
  return e:decides(t, e:out("ArgMax", x, { axis = 1, keepdims = 0 }), INT64)
end

function M.one_hot(e, t, x)
  local values = e:tensor(core.range(0, 1), "values")
  return e:out("OneHot", { x[1], e:ints { t:dim(2) }, values }, { axis = -1 })
end

return M
