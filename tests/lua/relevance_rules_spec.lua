-- Every relevance rule on every operator that has it, against its formula in doubles
-- over the operator's dense matrix; what is refused; canonisation.
local between = require "lunette.modifiers.between"
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"


-- dense matrices -------------------------------------------------------------------


local function list(x)
  local flat, n = x:reshape { x:size() }, {}
  for i = 1, flat:size() do n[i] = flat:get(i) end
  return n
end


---M[i][o] of an operator that is linear in x (one sample of that shape), and f(0).
local function matrix(f, shape)
  local n, m = 1, {}
  for _, d in ipairs(shape) do n = n * d end
  local at_zero = list(f(core.zeros(1, table.unpack(shape))))
  for i = 1, n do
    local x = core.zeros(n)
    x:set(i, 1)
    m[i] = list(f(x:reshape { 1, table.unpack(shape) }))
    for o = 1, #at_zero do m[i][o] = m[i][o] - at_zero[o] end
  end
  return m, at_zero
end


local function stab(z, e, p)
  if p and p.clip then return z < 0 and math.min(z, -e) or math.max(z, e) end
  return z < 0 and z - e or z + e
end


local function pos(v) return math.max(v, 0) end
local function neg(v) return math.min(v, 0) end


---R_in[i] = sum_o a(i,o) R_o / stab(sum_i a(i,o) + b_o).
local function share(m, r, a, b, e, p)
  local back = {}
  for i = 1, #m do back[i] = 0 end
  for o = 1, #r do
    local z = b and b[o] or 0
    for i = 1, #m do z = z + a(i, o) end
    local s = r[o] / stab(z, e, p)
    for i = 1, #m do back[i] = back[i] + a(i, o) * s end
  end
  return back
end


local function map(v, f)
  local all = {}
  for i, x in ipairs(v) do all[i] = f(x) end
  return all
end


local function both(a, b, f)
  local all = {}
  for i = 1, #a do all[i] = f(a[i], b[i]) end
  return all
end


-- so large that no sum near 0 is divided by: 0/0 differs in any float32
local E = 0.05

local formula = {}

function formula.epsilon(m, x, b, r, p)
  return share(m, r, function(i, o) return m[i][o] * x[i] end, b, p.epsilon or E, p)
end


local function z_part(f, g)
  return function(m, x, b, r)
    return share(m, r, function(i, o)
      return f(m[i][o]) * pos(x[i]) + g(m[i][o]) * neg(x[i])
    end, b and map(b, f), E)
  end
end

formula.z_plus = z_part(pos, neg)

function formula.w_plus(m, x, b, r)
  return share(m, r, function(i, o) return pos(m[i][o]) * x[i] end, b, E)
end

function formula.alpha_beta(m, x, b, r)
  return both(z_part(pos, neg)(m, x, b, r), z_part(neg, pos)(m, x, b, r),
              function(p, n) return 2 * p - n end)
end

function formula.gamma(m, x, b, r)
  local z, g = {}, 0.25
  for o = 1, #r do
    z[o] = b and b[o] or 0
    for i = 1, #m do z[o] = z[o] + m[i][o] * x[i] end
  end
  local function half(sign, f, h)
    local part = both(r, z, function(v, zo) return zo * sign > 0 and v or 0 end)
    return share(m, part, function(i, o)
      local w = m[i][o]
      return (w + g * f(w)) * pos(x[i]) + (w + g * h(w)) * neg(x[i])
    end, b and map(b, function(v) return v + g * f(v) end), E)
  end
  return both(half(1, pos, neg), half(-1, neg, pos), function(p, n) return p + n end)
end

function formula.gamma_captum(m, x, b, r)
  return share(m, r, function(i, o)
    return (m[i][o] + 0.25 * pos(m[i][o])) * x[i]
  end, b, E)
end

function formula.z_box(m, x, _, r, p)
  return share(m, r, function(i, o)
    local w = m[i][o]
    return w * x[i] - p.low * pos(w) - p.high * neg(w)
  end, nil, E)
end

function formula.w_square(m, _, b, r)
  return share(m, r, function(i, o) return m[i][o] ^ 2 end,
               b and map(b, function(v) return v * v end), E)
end

function formula.flat(m, _, _, r)
  return share(m, r, function(i, o) return m[i][o] ~= 0 and 1 or 0 end, nil, E)
end


-- operators ------------------------------------------------------------------------


local function normal(seed, ...) return core.normal(seed, 7, { ... }) end


local asked = {} -- "operator rule" -> true: what has met its formula


local function asks(tape, y, rule)
  local name = type(rule) == "table" and rule[1] or rule
  asked[tape:node(y:node()).kind .. " " .. name] = true
end


---R at the input of f(x) by the engine.
local function engine(f, x, r, rule)
  local tape = core.tape()
  local leaf = tape:watch(x)
  local y = f(leaf)
  asks(tape, y, rule)
  return core.backward(y, r, { leaf:node() }, { [y:node()] = rule })[1]
end


local function conv(filters, groups, kh, kw, opts)
  local w = normal(3, filters, 4 // groups, kh, kw)
  local b = normal(4, filters)
  opts.groups = groups
  return function(bias)
    return function(x) return core.ops.conv2d(x, w, bias and b or nil, opts) end
  end, { 4, 4, 5 }
end


local function transposed(groups, opts)
  local w, b = normal(3, 4, 6 // groups, 3, 3), normal(4, 6)
  opts.groups = groups
  return function(bias)
    return function(x)
      return core.ops.conv_transpose2d(x, w, bias and b or nil, opts)
    end
  end, { 4, 3, 3 }
end


local function linear(layout)
  local w = layout == "in_out" and normal(5, 9, 4) or normal(5, 4, 9)
  local b = normal(6, 4)
  return function(bias)
    return function(x)
      return core.ops.linear(x, w, bias and b or nil, { weight_layout = layout })
    end
  end, { 9 }
end


local weighted = {
  ["3x3"] = { conv(3, 1, 3, 3, { padding = 1 }) },
  ["strided"] = { conv(3, 1, 3, 3, { padding = 1, stride = 2 }) },
  ["uneven padding"] = { conv(2, 1, 2, 3, { padding = { 0, 2 }, padding_end = { 1, 0 },
                                            stride = { 2, 1 } }) },
  ["dilated"] = { conv(3, 1, 3, 2, { padding = 2, dilation = 2 }) },
  ["grouped"] = { conv(6, 2, 3, 3, { padding = 1 }) },
  ["depthwise"] = { conv(4, 4, 3, 3, { padding = 1 }) },
  ["depthwise, twice"] = { conv(8, 4, 3, 3, { stride = 2 }) },
  ["1x1"] = { conv(5, 1, 1, 1, {}) },
  ["of a row"] = { conv(3, 1, 1, 4, { stride = { 1, 3 }, padding = { 0, 2 } }) },
  ["as large as the picture"] = { conv(3, 1, 4, 5, {}) },
  ["transposed"] = { transposed(1, { stride = 2, padding = 1 }) },
  ["transposed, grouped"] = { transposed(2, { stride = 2 }) },
  ["transposed, dilated"] = { transposed(1, { stride = { 2, 3 }, dilation = 2,
                                              padding = 1, output_padding = 1 }) },
  ["dense, a row a token"] = { (linear "out_in"), { 2, 9 } },
  ["dense, a row a place"] = { (linear "in_out"), { 2, 2, 9 } },
  ["dense"] = { linear "out_in" },
  ["dense, in_out"] = { linear "in_out" },
  ["matrix"] = { function()
    local w = normal(8, 5, 4)
    return function(x) return core.ops.matmul(x, w) end
  end, { 3, 5 } },
}

local parameters = {
  z_box = { low = -2, high = 3 },
}


local function rule_with(name, params)
  local rule = { name, epsilon = E }
  for key, v in pairs(params or {}) do rule[key] = v end
  return rule
end


local known = setmetatable({}, { __mode = "k" }) -- operator -> its matrix, f(0)


---Several seeds at once: R of two copies, against the twin of each.
local function check(f, shape, rule, twin, label)
  local x = normal(11, 1, table.unpack(shape))
  known[f] = known[f] or { matrix(f, shape) }
  local m, b = known[f][1], known[f][2]
  local y = f(x)
  local size = y:shape()
  size[1] = 2
  local r = core.normal(13, 3, size)
  local got = engine(f, x, r, rule)
  for copy = 1, 2 do
    local want = twin(m, list(x), b, list(r:rows(copy)))
    want = core.tensor(want):reshape { #want }
    local off = got:rows(copy):reshape { want:size() }:distance(want)
    -- float32 sums of up to 40 products
    assert.is_true(off < 1e-4, ("%s: %g"):format(label, off))
  end
end


describe("weighted operators", function()
  for kind, row in pairs(weighted) do
    local shape = row[#row] -- the last word on it
    local with, without = row[1](true), row[1](false)
    for name, twin in pairs(formula) do
      it(kind .. ": " .. name, function()
        for _, f in ipairs { with, without } do
          local params = parameters[name] or {}
          check(f, shape, rule_with(name, params), function(m, x, b, r)
            return twin(m, x, b, r, params)
          end, name)
        end
      end)
    end
    it(kind .. ": without its bias, zero_params", function()
      local f, params = with, { clip = 1, epsilon = 0.1, bias = 0 }
      if kind == "matrix" then return end
      check(f, shape, rule_with("epsilon", params), function(m, x, _, r)
        return formula.epsilon(m, x, nil, r, params)
      end, "clip")
      for _, name in ipairs { "z_plus", "w_plus", "alpha_beta", "gamma_captum",
                              "w_square" } do
        check(f, shape, rule_with(name, { bias = 0 }), function(m, x, _, r)
          return formula[name](m, x, nil, r, {})
        end, name)
      end
    end)
  end

  it("are refused where both matrices are computed", function()
    local tape = core.tape()
    local a, b = tape:watch(normal(1, 3, 4)), tape:watch(normal(2, 4, 3))
    local y = core.ops.matmul(a, b)
    assert.matches("rule 'z_plus' wants weights .* may have 'uniform'",
      t.message(core.backward, y, normal(3, 3, 3), { a:node() },
                { [y:node()] = "z_plus" }))
  end)
end)


-- operators without weights ----------------------------------------------------------


local function pooled(name, opts)
  return function(x) return core.ops[name](x, opts) end
end

local sums = {
  ["average pooling"] = pooled("avg_pool2d", { kernel = 3, stride = 2 }),
  ["average pooling, padded"] = pooled("avg_pool2d", { kernel = 3, stride = 1,
                                                       padding = 1 }),
  ["global average"] = pooled("global_avg_pool", {}),
  ["mean of channels"] = pooled("mean", { dims = { 2 } }),
  ["sum of rows"] = pooled("sum", { dims = { 3 } }),
  ["resizing"] = pooled("interpolate", { size = { 8, 9 }, mode = 1 }),
  ["resizing, corners aligned"] = pooled("interpolate", { size = { 3, 9 }, mode = 1,
                                                          align_corners = 1 }),
  ["resizing, nearest"] = pooled("interpolate", { size = { 10, 3 }, mode = 0 }),
  ["resizing, cubic"] = pooled("interpolate", { size = { 7, 11 }, mode = 2 }),
  ["mean of all"] = pooled("mean", { dims = { 2, 3, 4 } }),
  ["average pooling, the border not counted"] = pooled("avg_pool2d", { kernel = 3,
    stride = 2, padding = 1, count_include_pad = 0 }),
  ["a Fourier transform"] = pooled("rfft2", {}),
  ["turning"] = pooled("affine", { matrix = { 0.8, 0.3, -0.4, 1.1 } }),
  ["a sum with a constant"] = function(x) return x + normal(2, 4, 5, 6) end,
  ["a difference"] = function(x) return x - normal(2, 1, 5, 6) end,
}


describe("operators without weights", function()
  for kind, f in pairs(sums) do
    it(kind .. ": norm", function()
      check(f, { 4, 5, 6 }, { "norm", epsilon = 1e-3 }, function(m, x, b, r)
        return formula.epsilon(m, x, b, r, { epsilon = 1e-3 })
      end, kind)
    end)
  end

  it("batch norm: epsilon, identity", function()
    local p = { normal(1, 4), normal(2, 4):abs(), normal(3, 4), normal(4, 4) }
    local function f(x) return core.ops.batch_norm(x, p[1], p[2], p[3], p[4]) end
    check(f, { 4, 5, 6 }, { "epsilon", epsilon = E }, function(m, x, b, r)
      return formula.epsilon(m, x, b, r, {})
    end, "batch norm")
    local r = normal(5, 1, 4, 5, 6)
    assert.is_true(engine(f, normal(6, 1, 4, 5, 6), r, "identity"):same(r))
  end)

  it("layer norm: epsilon, its deviation held fixed", function()
    local cases = { { { 2, 3, 8 }, 3, { 1, 1, 8 } },
                    { { 2, 5, 3, 4 }, 2, { 1, 5, 1, 1 }, { dim = 2, last = 2 } } }
    for _, c in ipairs(cases) do
      local shape, dim, wide = c[1], c[2], c[3]
      local over = { dims = { dim }, keepdims = true }
      local x, gamma, beta = normal(1, table.unpack(shape)), normal(2, shape[dim]),
                             normal(3, shape[dim])
      local centred = x - x:mean(over)
      local inverse = (centred:square():mean(over) + 1e-5):sqrt():reciprocal()
      local y = centred * inverse * gamma:reshape(wide) + beta:reshape(wide)
      local r = normal(5, 4, table.unpack(shape, 2)) -- two seeds a sample
      local got = engine(function(v)
        return core.ops.layer_norm(v, gamma, beta, c[4] or {})
      end, x, r, { "epsilon", epsilon = E })
      for copy = 0, 1 do
        local one = r:narrow { dim = 1, start = 2 * copy + 1, length = 2 }
        local q = one / (y + (y:ge(0) * 2 - 1) * E)
        local g = q * gamma:reshape(wide)
        local want = x * inverse * (g - g:mean(over))
        local own = got:narrow { dim = 1, start = 2 * copy + 1, length = 2 }
        assert.is_true(own:distance(want) < 1e-5)
      end
    end
  end)

  it("maximum poolings: all goes to the winner", function()
    for _, f in ipairs { pooled("max_pool2d", { kernel = 2 }),
                         pooled("max_pool2d", { kernel = 3, stride = 1, padding = 1 }),
                         pooled("max_pool2d", { kernel = 2, dilation = 2, stride = 1 }),
                         pooled("global_max_pool", {}),
                         pooled("max", { dims = { 2 } }) } do
      local x = normal(11, 1, 4, 5, 6)
      local y = f(x)
      local r = core.normal(13, 3, y:shape())
      local want, values, rs = core.zeros(x:size()), list(y), list(r)
      local where = {}
      for i, v in ipairs(list(x)) do where[v] = i end
      for o, v in ipairs(values) do
        want:set(where[v], want:get(where[v]) + rs[o])
      end
      local got = engine(f, x, r, "plain"):reshape { x:size() }
      assert.is_true(got:distance(want) < 1e-6)
    end
  end)

  it("maximum poolings by norm: the winner's share of R / stab(y)", function()
    for _, f in ipairs { pooled("max_pool2d", { kernel = 2 }),
                         pooled("max_pool2d", { kernel = 3, stride = 1, padding = 1 }),
                         pooled("global_max_pool", {}) } do
      local x = normal(11, 1, 4, 5, 6)
      local y = f(x)
      local r = core.normal(13, 3, y:shape())
      local part = r * y / (y + (y:ge(0) * 2 - 1) * E)
      local rule = { "norm", epsilon = E }
      local want = engine(f, x, part, "plain")
      assert.is_true(engine(f, x, r, rule):distance(want) < 1e-6)
    end
  end)

  it("sums and differences of two: each its term", function()
    local a, b = normal(1, 2, 3, 4), normal(2, 3, 1)
    for op, sign in pairs { add = 1, sub = -1 } do
      local tape = core.tape()
      local u, v = tape:watch(a), tape:watch(b)
      local y = core.ops[op](u, v)
      asks(tape, y, "norm")
      local r = normal(3, 4, 3, 4) -- two seeds a sample
      local got = core.backward(y, r, { u:node(), v:node() },
                                { [y:node()] = { "norm", epsilon = E } })
      local z = y:detach()
      for copy = 0, 1 do
        local s = r:rows(2 * copy + 1, 2 * copy + 2) / (z + (z:ge(0) * 2 - 1) * E)
        assert.is_true(got[1]:rows(2 * copy + 1, 2 * copy + 2):distance(a * s) < 1e-6)
        local own = (b * sign * s):sum { dims = { 1, 3 } }:reshape { 3, 1 }
        local of = got[2]:reshape { 2, 3, 1 }[copy + 1]
        assert.is_true(of:distance(own) < 1e-5, op)
      end
    end
  end)

  it("a Fourier transform back: norm", function()
    check(function(x) return core.ops.irfft2(x, { width = 6 }) end, { 3, 6, 4 },
          { "norm", epsilon = E }, function(m, x, b, r)
      return formula.epsilon(m, x, b, r, {})
    end, "irfft2")
  end)

  it("functions of one value hand on what they get, and what normalises", function()
    local x, r = normal(1, 2, 7), normal(2, 2, 7)
    local planes, back = normal(1, 2, 4, 3, 5), normal(2, 4, 4, 3, 5)
    local one = normal(3, 5)
    local of = {
      batch_norm = function(v)
        return core.ops.batch_norm(v, core.ones(4), core.ones(4), core.ones(4),
                                   core.ones(4))
      end,
      layer_norm = function(v) return core.ops.layer_norm(v, one, one) end,
      lrn = core.ops.lrn, softmax = core.ops.softmax,
    }
    for name in pairs(core.ops) do
      for _, rule in ipairs(between.rules_of(name)) do
        local f = rule == "identity" and core.ops[name]
        if name == "clamp" and f then
          f = function(v) return v:clamp(-9, 9) end -- one without bounds is a mistake
        end
        if of[name] and f then
          assert.is_true(engine(of[name], planes, back, rule):same(back), name)
        elseif f then
          assert.is_true(engine(f, x, r, rule):same(r), name)
        end
      end
    end
  end)

  it("products: each operand its share, whatever the shapes", function()
    local tape = core.tape()
    local a, b = tape:watch(normal(1, 2, 3, 4)), tape:watch(normal(2, 3, 1))
    for _, op in ipairs { "mul", "div", "pow" } do
      local y = core.ops[op](a, b)
      local r = normal(3, 2, 3, 4)
      asks(tape, y, "uniform")
      local function shares(rule)
        return core.backward(y, r, { a:node(), b:node() }, { [y:node()] = rule })
      end
      local half = shares "uniform"
      assert.is_true(half[1]:distance(r * 0.5) < 1e-6)
      assert.is_true(half[2]:distance(r:sum { dims = { 1, 3 } }:reshape { 3, 1 } * 0.5)
                     < 1e-6)
      local all = shares { "uniform", first = 1 }
      assert.is_true(all[1]:same(r))
      assert.equal(0, all[2]:abs():sum():item())
    end
    local constant = a * normal(2, 3, 1) -- all to the one that is computed
    local r = normal(3, 2, 3, 4)
    local got = core.backward(constant, r, { a:node() },
                              { [constant:node()] = "uniform" })[1]
    assert.is_true(got:same(r))
  end)

  it("products of matrices: half each, by what was summed", function()
    local tape = core.tape()
    local a, b = tape:watch(normal(1, 2, 3, 5)), tape:watch(normal(2, 2, 5, 4))
    local y = core.ops.matmul(a, b)
    asks(tape, y, "uniform")
    local r = normal(3, 2, 3, 4)
    local got = core.backward(y, r, { a:node(), b:node() }, { [y:node()] = "uniform" })
    local want = { core.zeros(2, 3, 5), core.zeros(2, 5, 4) }
    local s = r / (y:detach() + (y:detach():ge(0) * 2 - 1) * 1e-6)
    for n = 1, 2 do
      for j = 1, 3 do
        for p = 1, 4 do
          for i = 1, 5 do
            local v = 0.5 * a:get(n, j, i) * b:get(n, i, p) * s:get(n, j, p)
            want[1]:set(n, j, i, want[1]:get(n, j, i) + v)
            want[2]:set(n, i, p, want[2]:get(n, i, p) + v)
          end
        end
      end
    end
    for k = 1, 2 do assert.is_true(got[k]:distance(want[k]) < 1e-5) end
    assert.near(r:sum():item(), got[1]:sum():item() + got[2]:sum():item(), 1e-2)
  end)

  it("softmax: Taylor's first terms", function()
    local x, r = normal(1, 2, 6), normal(2, 4, 6) -- two seeds a sample
    local got = engine(function(v) return core.ops.softmax(v) end, x, r, "taylor")
    local y = x:softmax()
    for n = 1, 4 do
      local own = (n - 1) % 2 + 1
      local sum = r[n]:sum():item()
      local want = x[own] * (r[n] - y[own] * sum)
      assert.is_true(got[n]:distance(want) < 1e-5)
    end
  end)
end)


-- After all tests, in whatever order they ran.
teardown(function()
  for name in pairs(core.ops) do
    for _, rule in ipairs(between.rules_of(name)) do
      assert.is_true(asked[name .. " " .. rule], name .. " " .. rule)
    end
  end
end)
