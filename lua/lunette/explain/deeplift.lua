---DeepLIFT's multipliers by the rescale rule (Shrikumar et al. 2017): a backward pass
---in which what is not linear has, instead of its slope, the difference of its output
---from a reference's divided by that of its input. The differences of everything come
---from a second run, of the baseline. With these rules multipliers times differences
---sum to the score's difference at every layer, whatever stands beside whatever.
local apply = require "lunette.modifiers.apply"
local baselines = require "lunette.explain.baselines"
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local forward = require "lunette.net.forward"
local layers = require "lunette.layers"
local modifiers = require "lunette.modifiers"
local opt = require("lunette.base.options").opt
local paths = require "lunette.explain.paths"
local perturb = require "lunette.explain.perturb"
local scored = require "lunette.net.scored"
local scores = require "lunette.score"
local work = require "lunette.explain.work"
local ops = core.ops

local M = {}

local NEAR = 1e-10 -- as captum: below it the slope itself
local POINTS = 16  -- of the mean slope of what is not one value from one value


---The reference's value repeated along the first dimension, once for each seed of t.
local function like(value, t)
  local times = t:dim(1) // value:dim(1)
  if times == 1 then return value end
  local list = {}
  for k = 1, times do list[k] = value end
  return ops.concat(table.unpack(list), { dim = 1 })
end


---a / b, and what `other()` gives where |b| < NEAR.
local function ratio(a, b, other)
  local near = b:abs():lt(NEAR)
  local share = a / (b + near)
  if near:stats().max == 0 then return share end
  return share * (1 - near) + other() * near
end


---Sums over what was broadcast: the gradient of an input of that shape.
local function reduced(g, shape)
  local extra = g:dim() - #shape
  for _ = 1, extra do g = g:sum { dims = { 1 } } end
  local dims = {}
  for d = 1, #shape do
    if shape[d] == 1 and g:dim(d) > 1 then dims[#dims + 1] = d end
  end
  return #dims > 0 and g:sum { dims = dims, keepdims = true } or g
end


-- rules: multiplier of the input from that of the output -------------------------

local rules = {}

---The rescale rule of functions of one value: (difference of the output) / (difference
---of the input).
function rules.rescale(node, dy, ref)
  local change = node.output - like(ref.output, node.output)
  return dy * ratio(change, node.input - like(ref.input, node.input),
                    function() return node:backward(core.ones(dy:shape())) end)
end


---Breaks ties: takes a slope off the planes of t that is as small as rounding errors,
---so that of equal values in a window the first in row-major order is the largest. (A
---constant baseline has equal values everywhere, and a fast convolution rounds the same
---sum differently at different places.)
local function first_wins(t, kernel)
  if t:dim() ~= 4 then return t end
  local h, w = t:dim(3), t:dim(4)
  local s = t:stats()
  local step = 4e-7 * math.max(math.abs(s.min), math.abs(s.max))
  local a_row = (kernel and kernel[2] or 1) * step
  local rows, columns = core.range(0, h - 1):view(1, 1, h, 1) * a_row,
    core.range(0, w - 1):view(1, 1, 1, w) * step
  return t - rows - columns
end


---The rule of a maximum (or minimum) of several inputs: the part of the difference by
---which the output lies above the reference's is given to the input that wins in the
---picture, the part below it to the input that wins in the reference.
local function winner(beyond)
  return function(node, dy, ref)
    local sign = beyond == "maximum" and 1 or -1
    local out, old = node.output, like(ref.output, node.output)
    local top = ops[beyond](out, old)
    local mine = node:backward(dy * (top - old))
    local first = first_wins(ref.input * sign, node.attrs.kernel) * sign
    local theirs = node:backward(dy * (out - top), { input = like(first, node.input) })
    return ratio(mine + theirs, node.input - like(ref.input, node.input),
                 function() return node:backward(dy) end)
  end
end
rules.largest, rules.smallest = winner "maximum", winner "minimum"


---The gradient averaged along the straight path from the reference (POINTS points). The
---error of that quadrature is divided among the inputs by their squared differences.
function rules.path(node, dy, ref)
  local from = like(ref.input, node.input)
  local by, mean = node.input - from, nil
  local alphas, weights = paths.rules.gausslegendre(POINTS)
  for i, alpha in ipairs(alphas) do
    local slope = node:backward(dy, { input = from + by * alpha }) * weights[i]
    mean = mean and mean:add_(slope) or slope
  end
  local n = by:dim(1)
  local function each(t) return t:reshape { n, t:size() // n }
    :sum { dims = { 2 }, keepdims = true } end
  local missing = each(dy * (node.output - like(ref.output, node.output)))
    - each(mean * by)
  local square = each(by * by)
  local share = missing / (square + square:eq(0))
  return mean + (by:reshape { n, by:size() // n } * share):reshape(by:shape())
end


---captum's way with a softmax: difference by difference, less the mean.
function rules.centred(node, dy, ref)
  local m = rules.rescale(node, dy, ref)
  return m - m:mean { dims = { 2 }, keepdims = true }
end


---a b: each by the mean of the other's two values, which is exact.
function rules.mul(node, dy, ref)
  local a, b = table.unpack(node.inputs)
  local a0, b0 = like(ref.inputs[1], a), like(ref.inputs[2], b)
  return { reduced(dy * (b + b0) * 0.5, a:shape()),
           reduced(dy * (a + a0) * 0.5, b:shape()) }
end


---op(A) op(B), likewise.
function rules.matmul(node, dy, ref)
  local a, b = table.unpack(node.inputs)
  local ta, tb = node.attrs.transpose_a == 1, node.attrs.transpose_b == 1
  local ma, mb = (a + like(ref.inputs[1], a)) * 0.5, (b + like(ref.inputs[2], b)) * 0.5
  local function times(x, y, tx, ty)
    return ops.matmul(x, y, { transpose_a = tx and 1 or 0,
                              transpose_b = ty and 1 or 0 })
  end
  local da = ta and times(mb, dy, tb, true) or times(dy, mb, false, not tb)
  local db = tb and times(dy, ma, true, ta) or times(ma, dy, not ta, false)
  return { reduced(da, a:shape()), reduced(db, b:shape()) }
end


---Any other function of two inputs: each input's share is the mean of what it adds
---alone and what it adds after the other.
function rules.two(node, dy, ref)
  local f = ops[node.kind]
  local a, b = table.unpack(node.inputs)
  local a0, b0 = like(ref.inputs[1], a), like(ref.inputs[2], b)
  local both, none, first, second = node.output, f(a0, b0), f(a, b0), f(a0, b)
  local of_a = reduced(dy * (both - second + first - none) * 0.5, a:shape())
  local of_b = reduced(dy * (both - first + second - none) * 0.5, b:shape())
  local function zero() return 0 end
  return { ratio(of_a, a - a0, zero), ratio(of_b, b - b0, zero) }
end


-- which layer has which ----------------------------------------------------------

---Kinds with a rule of their own.
local by_kind = {
  max_pool2d = "largest", global_max_pool = "largest", max = "largest",
  min = "smallest", softmax = "path", log_softmax = "path", lrn = "path",
  layer_norm = "path",
  mul = "mul", matmul = "matmul", div = "two", pow = "two", maximum = "two",
  minimum = "two", atan2 = "two",
}

---Kinds that are linear in what they read: the true gradient is their multiplier.
local linear = {
  batch_norm = true, avg_pool2d = true, global_avg_pool = true, add = true, sub = true,
  neg = true, sum = true, mean = true, concat = true,
}
local linear_words = { "weighted", "view", "dropout", "padding", "selection",
                       "resizing" }

---The rule of a layer; nil where the gradient will do.
---@return string?
local function rule_of(layer, softmax)
  if layer.kind == "softmax" then return softmax == "mean" and "centred" or "path" end
  if by_kind[layer.kind] then return by_kind[layer.kind] end
  if linear[layer.kind] then return nil end
  for _, word in ipairs(linear_words) do
    if layers.is(layer, word) then return nil end
  end
  if layers.is(layer, "activation") or layers.is(layer, "elementwise") then
    return "rescale"
  end
  blame(("deeplift: layer '%s' is of kind %s, which has no rule of DeepLIFT"):format(
        layer.name, layer.kind))
end


---All rules of one backward pass, from the scored layer to `wrt`, as a modifier; nil
---where all between is linear.
local function modifier(run, ref, o, score, wrt)
  local entries = {}
  local last = run:node(scored.layer(run, score, o.modifiers).name).id
  local first = wrt ~= "input" and run:node(wrt).id or -1
  for _, node in ipairs(forward.nodes(run, first, last)) do
    local layer = node.layer
    local rule = rules[rule_of(layer, o.softmax)]
    if rule then
      entries[#entries + 1] = {
        on = function(l) return l == layer end,
        rule = function(n, dy)
          local dx = rule(n, dy, ref:node(layer.name))
          -- beside a number or a parameter only one of two inputs is asked for
          return type(dx) == "table" and #layer.from == 1 and dx[1] or dx
        end,
      }
    end
  end
  entries.name = "deeplift"
  return #entries > 0 and modifiers.new(entries) or nil
end


---Rules of the caller's would take the place of DeepLIFT's.
local function check_modifiers(list, what)
  for _, m in ipairs(list) do
    if m.rule or m.entries then
      blame(("%s: modifier '%s' is a backward rule, and %s has rules of its own; "
             .. "leave it out"):format(what, m.name, what))
    end
  end
end


---Multipliers of the score at a layer, or at the picture, and the difference of its
---values from the baseline's.
local function multipliers(run, base, o, wrt)
  check_modifiers(o.modifiers, "deeplift")
  local chosen = apply.forward(o.modifiers, run)
  local ref, ours = work.once(run, function()
    return run.net:run(base, { modifiers = chosen })
  end)
  local _ <close> = ours
  local score = scores.resolve(o.score, run)
  local list = { modifier(run, ref, o, score, wrt) }
  for _, m in ipairs(o.modifiers) do list[#list + 1] = m end
  local g = run:gradient { score = score, wrt = wrt, modifiers = list }
  local value, old = run:activation(wrt), ref:activation(wrt)
  return g, value:detach() - old:detach()
end


---Options of the methods, and those of the row.
---@param own? table
function M.options(own)
  local all = {
    "score", "modifiers",
    baseline = baselines.option,
    softmax = opt.choice("path", { "path", "mean" }, "the rule of a softmax: its mean "
      .. "slope, or captum's"),
  }
  for key, value in pairs(own or {}) do all[key] = value end
  return all
end


---Multipliers times differences at a layer, or at the picture: the mean over baselines;
---and how far the sum is from S(x) - S(baseline), the worst of them, for each picture.
---@param run lunette.Run
---@param o table       options of a method: score, modifiers, baseline, softmax
---@param wrt string    "input" or a layer's name
---@return lunette.Tensor map, table facts
function M.explain(run, o, wrt)
  return baselines.mean(run, o, function(base)
    local m, difference = multipliers(run, base, o, wrt)
    local map = m * difference
    return map, perturb.delta(run, o, map, base)
  end)
end

return M
