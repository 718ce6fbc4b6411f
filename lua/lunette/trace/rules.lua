---The engine's backward rules (engine/ops/activation.c, relevance.c), written in
---operators, for tensors and tracing tensors: f(node, dy, p, wanted). The node is { op
---=, inputs =, attrs =, output = }, dy the gradient or relevance of its output, p the
---rule's parameters, `wanted` the numbers of the inputs whose gradients are wanted;
---these are returned by number.
local back = require "lunette.trace.back"
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local group_of = require("lunette.trace.back.pooling").group_of
local common = require "lunette.trace.back.common"
local trace = require "lunette.trace"

local M = {}


---The true gradients of the wanted inputs.
local function plain(n, dy, wanted)
  local list = {}
  for _, i in ipairs(wanted) do
    local way = back[n.op]
    if not way then blame(n.op .. ": it has no gradient formula") end
    list[i] = way(n, dy, i)
  end
  return list
end

M.plain = function(n, dy, _, wanted) return plain(n, dy, wanted) end


-- the relu family --------------------------------------------------------------------


function M.guided(n, dy, _, wanted) return plain(n, dy:relu(), wanted) end
function M.rectified(_, dy) return { dy:relu() } end
function M.deconvnet(_, dy) return { dy:relu() } end
function M.identity(_, dy) return { dy } end

function M.leak(n, dy, p)
  return { dy * (n.output:gt(0) * (1 - p.leak) + p.leak) }
end

function M.beta_smooth(n, dy, p) return { dy * (n.inputs[1] * p.beta):sigmoid() } end


-- relevance ---------------------------------------------------------------------------


---R / (z + sign(z) epsilon), with sign(0) = 1. `sign` is that of z where it is known:
---what a runtime's rounding puts on the other side counts as 0.
local function quotient(dy, z, p, sign)
  local epsilon = p.epsilon
  if (p.norm_scale or 0) ~= 0 then
    local dims = {}
    for d = 2, z:dim() do dims[d - 1] = d end
    epsilon = z:square():mean { dims = dims, keepdims = true }:sqrt() * epsilon
  end
  if (p.clip or 0) ~= 0 then
    return dy / (z:abs():maximum(epsilon) * z:lt(0):where(-1, 1))
  end
  if sign then
    return dy / ((sign > 0 and z:relu() or z:minimum(0)) + epsilon * sign)
  end
  return dy / (z + z:lt(0):where(-epsilon, epsilon))
end


---Operators whose values are never negative, and those that keep that of their inputs.
local at_least_0 = { relu = true, relu6 = true, sigmoid = true, softmax = true,
                     exp = true, square = true, abs = true, softplus = true }
local keeps_sign = { max_pool2d = true, avg_pool2d = true, global_avg_pool = true,
                     global_max_pool = true, reshape = true, flatten = true,
                     permute = true, identity = true, dropout = true, narrow = true,
                     concat = true, mean = true, sum = true, max = true, min = true,
                     expand = true, add = true, mul = true, maximum = true }

local function nonnegative(x)
  if not trace.is(x) then return x:min():item() >= 0 end
  if at_least_0[x.op] then return true end
  if not x.live then return trace.known(x):min():item() >= 0 end
  if not keeps_sign[x.op] then return false end
  for _, input in ipairs(x.inputs) do
    if not nonnegative(input) then return false end
  end
  return true
end


local function positive(t) return t:relu() end
local function negative(t) return t:minimum(0) end
local function raised(by) return function(t) return t:maximum(t * (1 + by)) end end


---The operator applied to other inputs and weights.
local function forward(n, x, w, b)
  if n.op == "matmul" then return core.ops.matmul(x, w, n.attrs) end
  return core.ops[n.op](x, w, b, n.attrs)
end


---The gradient of its input with other weights.
local function input_back(n, q, w)
  return back[n.op]({ op = n.op, inputs = { n.inputs[1], w }, attrs = n.attrs }, q, 1)
end


local function bias_of(n, p) return p.bias ~= 0 and n.inputs[3] or nil end


---The input split by sign, each part with its weights: { { x+, w1 }, { x-, w2 } }.
local function split(n, of_positive, of_negative)
  local x, w = n.inputs[1], n.inputs[2]
  if nonnegative(x) then return { { x, of_positive(w) } } end
  return { { positive(x), of_positive(w) }, { negative(x), of_negative(w) } }
end


local function sum_forward(n, parts, bias)
  local z = forward(n, parts[1][1], parts[1][2], bias)
  return parts[2] and z + forward(n, parts[2][1], parts[2][2]) or z
end


local function sum_back(n, q, parts)
  local r = parts[1][1] * input_back(n, q, parts[1][2])
  return parts[2] and r + parts[2][1] * input_back(n, q, parts[2][2]) or r
end


function M.epsilon(n, dy, p, wanted)
  if n.op == "batch_norm" then return M.norm(n, dy, p, wanted) end
  if n.op == "layer_norm" then return M.of_layer_norm(n, dy, p) end
  local x, w, b = n.inputs[1], n.inputs[2], bias_of(n, p)
  local tokens = b and n.op == "linear" and x:dim() > 2 -- see trace.apart
  local z = tokens and forward(n, x, w) - -b or forward(n, x, w, b)
  return { x * input_back(n, quotient(dy, z, p), w) }
end


---Layer norm with its deviation held fixed, r = 1 / deviation:
---R_in = x r (g - mean g), g = R / stab(y) gamma.
function M.of_layer_norm(n, dy, p)
  local x = trace.apart(n.inputs[1])
  local dims, gamma = group_of(n)
  local function mean(t) return common.mean_apart(t, dims) end
  local deviation = (mean((x - mean(x)):square()) + n.attrs.eps):sqrt()
  local g = quotient(dy, n.output, p)
  if gamma then g = g * gamma end
  return { x / deviation * (g - mean(g)) }
end


function M.z_plus(n, dy, p)
  local parts, b = split(n, positive, negative), bias_of(n, p)
  local z = sum_forward(n, parts, b and positive(b)) -- no term of it is negative
  return { sum_back(n, quotient(dy, z, p, 1), parts) }
end


function M.w_plus(n, dy, p)
  local x, w = n.inputs[1], positive(n.inputs[2])
  local z = forward(n, x, w, bias_of(n, p))
  return { x * input_back(n, quotient(dy, z, p), w) }
end


function M.gamma_captum(n, dy, p)
  local x, w = n.inputs[1], raised(p.gamma)(n.inputs[2])
  local z = forward(n, x, w, bias_of(n, p))
  return { x * input_back(n, quotient(dy, z, p), w) }
end


function M.alpha_beta(n, dy, p)
  local b, total = bias_of(n, p), nil
  local halves = { { positive, negative, p.alpha }, { negative, positive, -p.beta } }
  for k, f in ipairs(halves) do
    local parts = split(n, f[1], f[2])
    local z = sum_forward(n, parts, b and (k == 1 and positive or negative)(b))
    local r = sum_back(n, quotient(dy, z, p, k == 1 and 1 or -1), parts) * f[3]
    total = total and total + r or r
  end
  return { total }
end


---Operators that runtimes fuse with a sum behind them. Reading their output before the
---sum would prevent that, and change the rounding of the forward pass.
local joined = { conv2d = true, batch_norm = true, linear = true,
                 conv_transpose2d = true }

---W x + b, whose sign decides between gamma's two ways, the input that it is of, and
---that input's size: x and |x|; or all of them but |x| with the other sign, where the
---layer's own output should not be read (see `joined`).
local function sum_apart(n)
  local x, w, b = n.inputs[1], n.inputs[2], n.inputs[3]
  local size = nonnegative(x) and x or x:abs()
  if not b or n.op == "linear" and x:dim() == 2 then return n.output, x, size end
  local other = rawequal(size, x) and x:abs() or -x -- |x| is x by another name
  if not rawequal(size, x) then return forward(n, other, w, -b), other, size end
  return forward(n, other, w, b), other, other
end


---R / stab of gamma's two sums, added where they count, and subtracted: z > 0 takes
---(1 + gamma/2) (v + a), z < 0 takes (1 + gamma/2) (v - a). `a` is a function of what
---is added to the bias.
local function gamma_quotients(dy, p, z, v, a)
  local more = 1 + p.gamma / 2
  if (p.norm_scale or 0) == 0 and (p.clip or 0) == 0 and rawequal(v, z) then
    local sign = z:sign() -- |z| + a has no other sign
    local q = dy / (z:abs() + a(p.epsilon / more)) * sign
    return q, q * sign
  end
  a = a(0)
  local up = quotient(dy, (v + a) * more, p) * z:gt(0) * more
  local down = quotient(dy, (v - a) * more, p) * z:lt(0) * more
  return up + down, up - down
end


---With a = (|W| |x| + |b|) / c, c = 1 + 2 / gamma, the positive terms of z = W x + b
---come to (z + c a) / 2, and z + gamma times these to (1 + gamma/2) (z + a): two
---products for both ways and signs of x. Back likewise:
---x W^T s + |x| |W|^T (s sign(z)) / c.
function M.gamma(n, dy, p)
  local w, b, c = n.inputs[2], bias_of(n, p), 1 + 2 / p.gamma
  local z, x, size = sum_apart(n)
  local heavy = (w / c):abs()
  local v = (b or not n.inputs[3]) and z or forward(n, x, w)
  local function a(more)
    if b then return forward(n, size, heavy, (b / c):abs() + more) end
    return forward(n, size, heavy) + more
  end
  local s, by_size = gamma_quotients(dy, p, z, v, a)
  local r, more = input_back(n, s, w), input_back(n, by_size, heavy)
  if rawequal(size, x) then return { x * (r + more) } end
  return { x * r + size * more }
end


---The shape of the layer's input for a batch of one.
local function shape_of_one(n)
  local shape = n.inputs[1]:shape()
  if shape[1] % trace.BATCH == 0 then shape[1] = 1 end
  return shape
end


---A bound of z_box as a tensor (1,C,1,1), and the shape (1,C,H,W) to broadcast it to.
local function bound(n, list)
  local x = n.inputs[1]
  local values, shape, one = {}, shape_of_one(n), {}
  for d = 1, x:dim() do one[d] = d == 2 and x:dim(2) or 1 end
  for c = 1, x:dim(2) do
    values[c] = type(list) == "number" and list or c <= 3 and list[c] or list[1]
  end
  return core.tensor(values):reshape { shape = one }, shape
end


function M.z_box(n, dy, p)
  local x, w, z, r = n.inputs[1], n.inputs[2], nil, nil
  local low, shape = bound(n, p.low)
  local high = bound(n, p.high)
  low, high = trace.of(low):expand(shape), trace.of(high):expand(shape)
  local parts = { { x, w }, { low, positive(w) }, { high, negative(w) } }
  for _, part in ipairs(parts) do
    local zk = forward(n, part[1], part[2])
    z = z and z - zk or zk
  end
  local q = quotient(dy, z, p)
  for _, part in ipairs(parts) do
    local rk = part[1] * input_back(n, q, part[2])
    r = r and r - rk or rk
  end
  return { r }
end


---R_in = V' (R / stab(V 1 + c))
local function without_input(n, dy, p, v, c)
  local z = forward(n, trace.filled(1, shape_of_one(n)), v, c)
  return { input_back(n, quotient(dy, z, p), v) }
end

function M.w_square(n, dy, p)
  local b = bias_of(n, p)
  return without_input(n, dy, p, n.inputs[2]:square(), b and b:square())
end

function M.flat(n, dy, p) return without_input(n, dy, p, n.inputs[2] * 0 + 1) end


local function is_joined(x) return joined[x.op] and x.readers == 1 end


---The inputs of a node. Of a sum a + b whose operand is fused with it (see `joined`)
---that operand is computed as y - b.
local function summands(n)
  local a, b, y = n.inputs[1], n.inputs[2], n.output
  if n.op ~= "add" or not trace.is(y) then return n.inputs end
  if is_joined(a) and common.same_shape(a, y) then return { y - b, b } end
  return { a, is_joined(b) and common.same_shape(b, y) and y - a or b }
end


---A sum over tokens, in copies that nothing is fused with (trace.apart).
local function tokens_apart(n)
  local y = n.output
  if n.op ~= "add" or not trace.is(y) or y:dim() ~= 3 then return n end
  return { op = n.op, attrs = n.attrs, output = trace.apart(y),
           inputs = { trace.apart(n.inputs[1]), trace.apart(n.inputs[2]) } }
end


---x times the true gradient of R / stab(z): shares in proportion to the summands.
function M.norm(n, dy, p, wanted)
  n = tokens_apart(n)
  local list, inputs = plain(n, quotient(dy, n.output, p), wanted), summands(n)
  for _, i in ipairs(wanted) do list[i] = list[i] and inputs[i] * list[i] end
  return list
end


---The share of a product's relevance that operand i gets.
local function share(n, p, i)
  local first = p.first
  if not first then
    local a, b = n.inputs[1], n.inputs[2]
    local alone = trace.is(a) and trace.is(b)
    first = alone and not b.live and 1 or alone and not a.live and 0 or 0.5
  end
  return i == 1 and first or 1 - first
end

---An operand whose share is 0 gets no gradient at all: nothing of it is computed.
function M.uniform(n, dy, p, wanted)
  local product = n.op == "matmul"
  local list = product and plain(n, quotient(dy, n.output, p), wanted) or {}
  for _, i in ipairs(wanted) do
    local part = share(n, p, i)
    if part == 0 then
      list[i] = nil
    else
      local r = product and n.inputs[i] * list[i]
        or common.unbroadcast(dy, n.inputs[i])
      list[i] = part == 1 and r or r * part
    end
  end
  return list
end


---Softmax by its first-order Taylor expansion: x (R - y sum R).
function M.taylor(n, dy)
  local along = { dims = { n.attrs.dim }, keepdims = true }
  return { n.inputs[1] * (dy - n.output * dy:sum(along)) }
end


-- by name ----------------------------------------------------------------------------


---A rule's parameters: those given, by name or in order, and defaults.
local function parameters(op, name, given)
  local p = {}
  for i, row in ipairs(core.op_info(op).parameters[name] or {}) do
    local v = given[row[1]]
    if v == nil then v = given[i + 1] end
    p[row[1]] = v == nil and row[2] or v
  end
  return p
end


---The gradients of some inputs by a rule of the engine.
---@param rule string|table   "guided", { "leak", leak = 0.1 }
---@param n table             the node
---@param dy lunette.Traced
---@param wanted integer[]    numbers of inputs
---@return table<integer, lunette.Traced>
function M.apply(rule, n, dy, wanted)
  local given = type(rule) == "table" and rule or { rule }
  local name, has = given[1], false
  for _, known in ipairs(core.op_info(n.op).rules) do has = has or known == name end
  if not has or not M[name] then
    blame(("%s: the rule '%s' cannot be traced"):format(n.op, tostring(name)))
  end
  return M[name](n, dy, parameters(n.op, name, given), wanted)
end

return M
