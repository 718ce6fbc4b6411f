-- What is computed in the pass of the convolution before it (batch norm, a sum, an
-- activation) against the same operators one after the other: values, every value in
-- between, gradients of what goes in and of parameters, guided gradients.
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"

local ops = core.ops
local seed = 0

local function normal(...)
  seed = seed + 1
  return core.normal(seed, 7, { ... })
end

-- Each way in which a convolution is computed.
local convolutions = {
  ["3x3"] = { { 20, 20, 3, 3 }, { padding = 1 } },
  ["3x3 of few channels"] = { { 3, 20, 3, 3 }, { padding = 1 } },
  ["1x1"] = { { 21, 20, 1, 1 }, {} },
  ["strided 1x1"] = { { 21, 20, 1, 1 }, { stride = 2 } },
  ["depthwise"] = { { 20, 1, 3, 3 }, { padding = 1, groups = 20 } },
  ["strided depthwise"] = { { 20, 1, 5, 5 },
                            { padding = 2, groups = 20, stride = 2 } },
  ["strided 3x3"] = { { 18, 20, 3, 3 }, { padding = 1, stride = 2 } },
}
local activations = { "relu", "relu6", "silu", "hard_swish" }

---Largest difference, of the largest value.
local function off(a, b)
  local s = b:stats()
  return t.off(a, b) / math.max(-s.min, s.max)
end

local function options(name, base, more)
  local opts = { name = name }
  for k, v in pairs(base) do opts[k] = v end
  for k, v in pairs(more) do opts[k] = v end
  return opts
end

---The chain conv -> norm -> sum -> activation, of the parts that are asked for.
local function chain(case, parts, more)
  local tape = core.tape()
  local x, w = tape:watch(case.x), tape:watch(case.w)
  local beta, other = tape:watch(case.beta), tape:watch(case.other)
  local c = ops.conv2d(x, w, case.b, options("conv", case.attrs, more))
  local list, y = { c }, c
  if parts.norm then
    y = ops.batch_norm(y, case.mean, case.var, case.gamma, beta,
                       options("norm", {}, more))
    list[#list + 1] = y
  end
  if parts.add then
    local a, b = y, other
    if parts.add == 2 then a, b = b, a end
    y = ops.add(a, b, options("sum", {}, more))
    list[#list + 1] = y
  end
  more.defer = nil
  if parts.activation then
    y = ops[parts.activation](y, options("activation", {}, more))
    list[#list + 1] = y
  end
  return { tape = tape, list = list, y = y, x = x, w = w, beta = beta,
           other = other }
end

local function new_case(kind)
  local shape, attrs = table.unpack(convolutions[kind])
  local case = { attrs = attrs, w = normal(table.unpack(shape)), b = normal(shape[1]) }
  case.x = normal(2, shape[2] * (attrs.groups or 1), 11, 13)
  local out = ops.conv2d(case.x, case.w, case.b, attrs):shape()
  case.other = normal(table.unpack(out))
  case.mean, case.gamma = normal(shape[1]), normal(shape[1])
  case.beta = normal(shape[1])
  case.var = normal(shape[1]):abs() + 0.5
  case.dy = normal(table.unpack(out))
  return case
end

local function gradients(net, case, parts, rule)
  local leaves = { net.x:node(), net.w:node() }
  if parts.norm then leaves[#leaves + 1] = net.beta:node() end
  if parts.add then leaves[#leaves + 1] = net.other:node() end
  local rules = rule and { [net.y:node()] = rule } or nil
  return core.backward(net.y, case.dy, leaves, rules)
end

local function check(kind, parts)
  local case = new_case(kind)
  local apart, joined = chain(case, parts, {}), chain(case, parts, { defer = true })
  local alone = chain(case, parts, { defer = true, forward_only = true })
  assert(off(joined.y, apart.y) < 2e-6, kind)
  assert(off(alone.y, apart.y) < 2e-6, kind)
  for _, rule in ipairs { false, parts.activation and "guided" or nil } do
    local a = gradients(apart, case, parts, rule)
    for i, g in ipairs(gradients(joined, case, parts, rule)) do
      assert(off(g, a[i]) < 5e-6, ("%s: gradient %d is off"):format(kind, i))
    end
  end
  for i, v in ipairs(apart.list) do -- and nothing in between is lost
    assert(off(joined.list[i], v) < 2e-6, ("%s: value %d is off"):format(kind, i))
  end
end

describe("the pass of a", function()
  for kind in pairs(convolutions) do
    describe(kind .. " convolution", function()
      for _, activation in ipairs(activations) do
        it("has a " .. activation, function()
          check(kind, { activation = activation })
        end)
        it("has a batch norm and a " .. activation, function()
          check(kind, { norm = true, activation = activation })
        end)
        it("has a batch norm, a sum and a " .. activation, function()
          check(kind, { norm = true, add = 1, activation = activation })
        end)
      end
      it("has a sum, either way round", function()
        check(kind, { add = 1 })
        check(kind, { add = 2, activation = "relu" })
      end)
      it("has a batch norm", function() check(kind, { norm = true }) end)
    end)
  end

  it("batch norm has a relu, the same bits, and its own values after that", function()
    local case = new_case "3x3"
    local function pair(more)
      local tape = core.tape()
      local x, beta = tape:watch(case.dy), tape:watch(case.beta)
      local y = ops.batch_norm(x, case.mean, case.var, case.gamma, beta,
                               options("norm", {}, more))
      return { tape = tape, norm = y, y = ops.relu(y), x = x, beta = beta }
    end
    local apart, joined = pair {}, pair { defer = true }
    assert(off(joined.y, apart.y) == 0)
    for _, rule in ipairs { false, "guided" } do
      local function back(net)
        local rules = rule and { [net.y:node()] = rule } or nil
        local leaves = { net.x:node(), net.beta:node() }
        return core.backward(net.y, case.other, leaves, rules)
      end
      local a = back(apart)
      for i, g in ipairs(back(joined)) do assert(off(g, a[i]) == 0) end
    end
    assert(off(joined.norm, apart.norm) == 0)
  end)

  it("convolution is not joined with what repeats its other summand", function()
    local case = new_case "1x1"
    case.other = normal(1, 21, 1, 1)
    local apart = chain(case, { add = 1, activation = "relu" }, {})
    local joined = chain(case, { add = 1, activation = "relu" }, { defer = true })
    assert(off(joined.y, apart.y) == 0)
  end)
end)
