-- Relevance of graphs that no golden file has, against rules written again in float64
-- (tests/torch/relevance.py): residual sums, depthwise and grouped convolutions,
-- squeeze and excite, channel shuffles, joins. Parts of transformers in pieces.
local lu = require "lunette"
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"


---Layers as lu.net takes them, each convolution with its batch norm and activation.
local function builder()
  local b = { layers = {} }
  function b.add(layer)
    b.layers[#b.layers + 1] = layer
    b.last = layer[1]
    return layer[1]
  end
  function b.conv(name, k, size, o)
    o = o or {}
    b.add { name, "conv2d", filters = k, kernel = size, padding = size // 2,
            stride = o.stride, groups = o.groups, from = o.from }
    if o.norm then b.add { name .. "_bn", "batch_norm" } end
    return o.act and b.add { name .. "_act", o.act } or b.last
  end
  function b.head()
    b.add { "pooled", "global_avg_pool" }
    b.add { "flat", "flatten" }
    b.add { "o", "linear", units = 5 }
    return b.layers
  end
  return b
end


local graphs = {}


function graphs.residual()
  local b = builder()
  local x = b.conv("a", 8, 3, { norm = true, stride = 2, act = "relu" })
  b.conv("b1", 8, 3, { norm = true, act = "relu" })
  b.add { "b_sum", "add", from = { b.conv("b2", 8, 3, { norm = true }), x } }
  x = b.add { "b_act", "relu" }
  b.conv("c1", 12, 3, { norm = true, stride = 2, act = "relu" })
  local y = b.conv("c2", 12, 3, { norm = true })
  local short = b.conv("cs", 12, 1, { norm = true, stride = 2, from = x })
  b.add { "c_sum", "add", from = { y, short } }
  b.add { "c_act", "relu" }
  return b.head()
end


function graphs.mobile()
  local b = builder()
  b.conv("a", 8, 3, { norm = true, stride = 2, act = "hard_swish" })
  local x = b.conv("d", 8, 3, { norm = true, groups = 8, act = "relu6" })
  b.add { "squeezed", "mean", dims = { 3, 4 }, keepdims = 1 }
  b.conv("s1", 4, 1, { act = "relu" })
  local gate = b.conv("s2", 8, 1, { act = "hard_sigmoid" })
  b.add { "excited", "mul", from = { x, gate } }
  b.conv("p", 12, 1, { norm = true })
  return b.head()
end


function graphs.shuffled()
  local b = builder()
  b.conv("a", 8, 3, { norm = true, stride = 2, act = "relu" })
  b.conv("g1", 8, 1, { norm = true, groups = 2, act = "relu" })
  b.add { "halves", "reshape", shape = { 2, 4, 8, 8 } }
  b.add { "shuffle", "permute", dims = { 1, 3, 2, 4, 5 } }
  b.add { "whole", "reshape", shape = { 8, 8, 8 } }
  local x = b.conv("g2", 8, 3, { norm = true, groups = 2, act = "relu" })
  local one = b.conv("j1", 4, 1, { act = "relu" })
  b.add { "means", "avg_pool2d", kernel = 3, stride = 1, padding = 1,
          count_include_pad = 1, from = x }
  local two = b.conv("j2", 4, 3, { act = "relu" })
  b.add { "most", "max_pool2d", kernel = 3, stride = 1, padding = 1, from = x }
  b.add { "joined", "concat", from = { one, two, "most" } }
  b.conv("k", 10, 3, { norm = true, stride = 2, act = "relu" })
  return b.head()
end


local composites = {
  "epsilon_plus", "epsilon_plus_flat", "epsilon_alpha2_beta1",
  "epsilon_alpha2_beta1_flat", "excitation_backprop",
  lrp_0 = { { on = "weighted", rule = "epsilon" } },
  epsilon_gamma_box = lu.modifiers.epsilon_gamma_box { low = -2, high = 2.5 },
}

-- Float32 against float64, relative L2: 2e-7 to 7e-6 here, where quotients by sums near
-- 0 lose some digits.
local tolerance = 2e-5


describe("relevance of a graph, in float64:", function()
  local python = "/usr/bin/python3"
  local folder = t.kept("relevance", "tests/torch/relevance.py", "python3-torch",
    function(to)
      if t.other(python .. " -c 'import torch'") ~= 0 then return false end
      local command = ("%s tests/torch/relevance.py '%s'"):format(python, to)
      local code, list = t.other(command)
      assert(code == 0, list)
    end)
  if not folder then return pending "python3 with torch" end

  for graph, layers in pairs(graphs) do
    local base = folder .. "/" .. graph
    local net = assert(lu.net { name = graph, input = { 3, 16, 16 },
                                layers = layers() }):init(1)
    for name in pairs(net.params) do net.params[name] = t.beside(base, name) end
    local run = net:run(t.beside(base, "x"))

    it(graph .. ", its outputs", function()
      assert.near(0, run.output:detach():distance(t.beside(base, "y")), 1e-6)
    end)
    for key, composite in pairs(composites) do
      local name = type(key) == "string" and key or composite
      if t.exists(("%s.%s.npy"):format(base, name)) then
        it(("%s, %s"):format(graph, name), function()
          local got = lu.relevance.at(run, { score = 3, composite = composite })
          local off = got:distance(t.beside(base, name))
          assert.is_true(off < tolerance, ("%g"):format(off))
        end)
      end
    end
  end
end)


-- transformers' parts in pieces ----------------------------------------------------


---Pieces of a layer norm over x, `form` by `form`.
local function norm_pieces(b, x, form)
  b.add { "ln.mean", "mean", dims = { 3 }, keepdims = 1, from = x }
  b.add { "ln.sub", "sub", from = { x, "ln.mean" } }
  b.add(({ { "ln.sq", "mul", from = { "ln.sub", "ln.sub" } }, { "ln.sq", "square" },
           { "ln.sq", "pow", from = { "ln.sub", 2 } } })[form])
  b.add { "ln.var", "mean", dims = { 3 }, keepdims = 1 }
  b.add { "ln.eps", "add", from = { "ln.var", 1e-5 } }
  b.add { "ln.sqrt", "sqrt" }
  if form == 3 then b.add { "ln.reciprocal", "reciprocal" } end
  b.add { "ln.div", form == 3 and "mul" or "div", from = { "ln.sub", b.last } }
  local weight = { param = "weight", shape = { 1, 1, 8 } }
  local bias = { param = "bias", shape = { 1, 1, 8 } }
  b.add { "ln.mul", "mul", from = { "ln.div", weight } }
  b.add { "ln", "add", from = { "ln.mul", bias } }
end


---x Phi(x) by erf, three ways to multiply, or by tanh.
local function gelu_pieces(b, x, form)
  if form == 4 then
    b.add { "g.cube", "pow", from = { x, 3 } }
    b.add { "g.small", "mul", from = { "g.cube", 0.044715 } }
    b.add { "g.sum", "add", from = { x, "g.small" } }
    b.add { "g.in", "mul", from = { "g.sum", math.sqrt(2 / math.pi) } }
    b.add { "g.f", "tanh" }
  else
    b.add { "g.in", "div", from = { x, math.sqrt(2) } }
    b.add { "g.f", "erf" }
  end
  b.add { "g.one", "add", from = { "g.f", 1 } }
  local first, second = x, "g.one"
  if form == 1 or form == 4 then
    first = b.add { "g.half", "mul", from = { x, 0.5 } }
  end
  if form == 3 then second = b.add { "g.half", "mul", from = { "g.one", 0.5 } } end
  b.add { "g", "mul", from = { first, second } }
  if form == 2 then b.add { "g.whole", "mul", from = { "g", 0.5 } } end
end


---A block of tokens, its layer norm and gelu whole (form nil) or in pieces.
local function token_block(form, tanh)
  local b = builder()
  b.add { "patches", "conv2d", filters = 8, kernel = 4, stride = 4 }
  b.add { "rows", "reshape", shape = { 8, 16 } }
  local x = b.add { "tokens", "permute", dims = { 1, 3, 2 } }
  if form then norm_pieces(b, x, math.min(form, 3)) else
    b.add { "ln", "layer_norm", eps = 1e-5 }
  end
  b.add { "up", "linear", units = 16 }
  if form then gelu_pieces(b, "up", form) else
    b.add { "g", "gelu", approximate = tanh and "tanh" or "none" }
  end
  b.add { "down", "linear", units = 8 }
  b.add { "sum", "add", from = { "tokens", "down" } }
  b.add { "flat", "flatten" }
  b.add { "o", "linear", units = 3 }
  return assert(lu.net { name = "tokens", input = { 3, 16, 16 }, layers = b.layers })
end


---A softmax of rows: whole, or in pieces with or without the maximum.
local function softmax_pieces(b, x, form)
  if not form then return b.add { "s", "softmax", dim = 4, from = x } end
  if form > 1 then
    b.add { "s.max", "max", dims = { 4 }, keepdims = 1, from = x }
    x = b.add { "s.sub", "sub", from = { x, "s.max" } }
  end
  b.add { "s.exp", "exp", from = x }
  b.add { "s.sum", "sum", dims = { 4 }, keepdims = 1 }
  if form == 3 then b.add { "s.all", "expand", shape = { 2, 16, 16 } } end
  b.add { "s", "div", from = { "s.exp", b.last } }
end


---Attention of two heads over 16 tokens.
local function attention_block(form)
  local b = builder()
  local heads = {}
  b.add { "patches", "conv2d", filters = 24, kernel = 4, stride = 4 }
  b.add { "parts", "reshape", shape = { 3, 2, 4, 16 } }
  for k, name in ipairs { "q", "k", "v" } do
    b.add { name .. ".one", "narrow", dim = 2, start = k, length = 1, from = "parts" }
    b.add { name .. ".heads", "reshape", shape = { 2, 4, 16 } }
    heads[name] = name == "k" and b.last
      or b.add { name, "permute", dims = { 1, 2, 4, 3 } }
  end
  b.add { "weights", "matmul", from = { heads.q, heads.k } }
  softmax_pieces(b, "weights", form)
  b.add { "seen", "matmul", from = { "s", heads.v } }
  b.add { "flat", "flatten" }
  b.add { "o", "linear", units = 3 }
  return assert(lu.net { name = "attention", input = { 3, 16, 16 }, layers = b.layers })
end


describe("softmax in pieces", function()
  local whole = attention_block():init(3)
  local x = lu.normal({ 2, 3, 16, 16 }, { seed = 4 })
  local a = whole:run(x)
  for form = 1, 3 do
    it(("has the rules of the whole one, form %d"):format(form), function()
      local parts = attention_block(form):init(3)
      for name, p in pairs(whole.params) do parts.params[name] = p end
      local b = parts:run(x)
      assert.near(0, a.output:detach():distance(b.output:detach()), 1e-6)
      for _, composite in ipairs { "attn_lrp", "cp_lrp", "epsilon_plus" } do
        for _, o in ipairs { { score = 1 }, { classes = { 0, 2 } } } do
          o.composite = composite
          local r, s = lu.lrp(a, o), lu.lrp(b, o)
          assert.is_true(r:abs():max():item() > 0)
          assert.near(0, r:distance(s), 2e-5) -- sums near 0 divide
        end
      end
    end)
  end

  it("is one only where an exponential is divided by its own sum", function()
    local layers = { { "c", "conv2d", filters = 2, kernel = 3 },
                     { "e", "exp", from = "c" }, { "other", "exp", from = "c" },
                     { "sum", "sum", dims = { 2 }, keepdims = 1, from = "other" },
                     { "s", "div", from = { "e", "sum" } }, { "flat", "flatten" },
                     { "o", "linear", units = 3 } }
    local net = assert(lu.net { name = "other", input = { 3, 4, 4 },
                                layers = layers }):init(1)
    local run = net:run(lu.normal({ 1, 3, 4, 4 }, { seed = 4 }))
    local r = lu.relevance.at(run, { score = 1, composite = "attn_lrp", at = "s" })
    local passed = lu.relevance.at(run, { score = 1, composite = "attn_lrp", at = "e" })
    assert.is_true(passed:same(r)) -- all of it to the numerator
  end)
end)


describe("layer norm and gelu in pieces", function()
  for form = 1, 4 do
    it(("have the rules of the whole ones, form %d"):format(form), function()
      local whole = token_block(nil, form == 4):init(3)
      local parts = token_block(form):init(1)
      for name, p in pairs(whole.params) do
        local noise = lu.normal(p:shape(), { seed = #name }) * 0.5
        if name == "ln.weight" then p:copy_(noise + 1) end
        if name:find "bias" then p:copy_(noise) end
      end
      for name, p in pairs(parts.params) do
        local key = name
        if name:find "^ln" then
          key = name:find "weight" and "ln.weight" or "ln.bias"
        end
        parts.params[name] = whole.params[key]:reshape(p:shape())
      end
      local x = lu.normal({ 2, 3, 16, 16 }, { seed = 4 })
      local a, b = whole:run(x), parts:run(x)
      assert.near(0, a.output:detach():distance(b.output:detach()), 1e-6)
      for _, composite in ipairs { "attn_lrp", "cp_lrp", "epsilon_plus" } do
        local r = lu.relevance.at(a, { score = 1, composite = composite })
        local s = lu.relevance.at(b, { score = 1, composite = composite })
        assert.near(0, r:distance(s), 2e-5) -- 4e-6: sums near 0 divide
      end
    end)
  end
end)


describe("batch norms that stand before the convolutions they feed", function()
  ---Joined layers, each batch norm, relu and convolution of all before it, as in a
  ---DenseNet: no batch norm but those between two convolutions can be folded.
  local function dense_block(seed, shifts)
    local layers = { { "c0", "conv2d", filters = 6, kernel = 3, padding = 1,
                       bias = false } }
    local last = "c0"
    for k = 1, 3 do
      local function add(layer)
        layer[1] = layer[1] .. k
        layers[#layers + 1] = layer
      end
      add { "na", "batch_norm", from = last }
      add { "ra", "relu" }
      add { "ca", "conv2d", filters = 8, kernel = 1, bias = false }
      add { "nb", "batch_norm" }
      add { "rb", "relu" }
      add { "cb", "conv2d", filters = 4, kernel = 3, padding = 1, bias = false }
      add { "all", "concat", dim = 2, from = { last, "cb" .. k } }
      last = "all" .. k
    end
    for _, layer in ipairs { { "n", "batch_norm" }, { "r", "relu" },
                             { "mean", "global_avg_pool" }, { "flat", "flatten" },
                             { "out", "linear", units = 4, bias = false } } do
      layers[#layers + 1] = layer
    end
    local net = assert(lu.net { name = "dense", input = { 3, 10, 10 },
                                layers = layers }):init(seed)
    local names = {}
    for name in pairs(net.params) do names[#names + 1] = name end
    table.sort(names)
    for n, name in ipairs(names) do
      local p, of = net.params[name], net:layer(name:match "^[^.]+")
      local drawn = core.normal(seed, n, p:size()):reshape(p:shape())
      if of.kind == "batch_norm" then
        if name:find "weight$" then p:copy_(drawn * 0.3 + 1) end
        if name:find "var$" then p:copy_(drawn:abs() + 0.5) end
        if name:find "bias$" or name:find "mean$" then
          p:copy_(drawn * (shifts and 0.4 or 0))
        end
      end
    end
    return net, core.normal(seed, 50, 2, 3, 10, 10)
  end

  it("get shares of what they add to: epsilon brings x times the gradient", function()
    for seed = 1, 4 do
      local net, x = dense_block(seed, true)
      local run = net:run(x)
      local want = run:gradient { score = 1 } * x
      -- stabilisers of 1e-9 and 1e-6 beside sums that may come near 0 in float32
      for name, limit in pairs { lrp_captum = 1e-4, attn_lrp = 2e-2, cp_lrp = 2e-2 } do
        for _, canonise in ipairs { true, false } do
          local map
          t.warnings(function()
            map = lu.lrp(run, { score = 1, composite = name, from = "logit",
                                canonise = canonise })
          end)
          local off = map:distance(want)
          assert.is_true(off < limit, ("%d %s: %.1e"):format(seed, name, off))
        end
      end
    end
  end)

  it("take with their shifts what is lost, and nothing without them", function()
    local net, x = dense_block(5, true)
    local flow = lu.relevance.flow(net:run(x), { score = 1, composite = "lrp_captum" })
    local lost, norms = 0, 0
    for _, row in ipairs(flow) do
      lost = lost + row.relevance - row.handed_on
      local off = math.abs(row.relevance - row.handed_on)
      if row.kind == "batch_norm" and off > 0.01 then
        norms = norms + 1
        assert.equal("bias", flow:why(row), row.layer)
      end
    end
    assert.is_true(norms > 0)
    assert.near(flow.start - flow.reached, lost, 1e-3)
    net, x = dense_block(5, false)
    local plain = net:run(x)
    local map = lu.lrp(plain, { score = 1, composite = "lrp_captum", from = "logit" })
    for i = 1, 2 do
      assert.near(plain.output:get(i, 2), map[i]:sum():item(), 1e-4)
    end
  end)
end)
