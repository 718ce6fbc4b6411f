-- Attention as exporters write it: timm's (one projection, parts by Split), separate
-- query, key and value (BERT's way), and nn.MultiheadAttention of torch 2, which
-- multiplies the batch into the heads. All three compute the same, against sums in
-- double precision here; attention's methods and AttnLRP find what they need.
local core = require "lunette.core"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"
local writer = dofile "tests/lua/onnx_writer.lua"

local folder, done = t.folder()
teardown(function() done() end)

local HEADS, DEEP, TOKENS = 2, 3, 4
local WIDTH = HEADS * DEEP
local SIDE = 4 -- of the picture; 2x2 patches make 4 tokens


local function numbers(count, seed)
  local list = {}
  for i = 1, count do list[i] = math.sin(i * 2.3 + seed) * 0.7 end
  return list
end


local constants = {
  patch = { { WIDTH, 3, 2, 2 }, numbers(WIDTH * 12, 1) },
  qkv = { { WIDTH, 3 * WIDTH }, numbers(3 * WIDTH * WIDTH, 2) },
  qkv_bias = { { 3 * WIDTH }, numbers(3 * WIDTH, 3) },
  out = { { WIDTH, WIDTH }, numbers(WIDTH * WIDTH, 4) },
  out_bias = { { WIDTH }, numbers(WIDTH, 5) },
  head = { { WIDTH, 3 }, numbers(WIDTH * 3, 6) },
  tokens = { { 3 }, { 1, WIDTH, -1 } },
  split = { { 5 }, { 1, TOKENS, 3, HEADS, DEEP } },
  parts = { { 5 }, { TOKENS, 1, 1, 3, WIDTH } },
  merged = { { 3 }, { TOKENS, HEADS, DEEP } },
  apart = { { 4 }, { 1, HEADS, TOKENS, DEEP } },
  heads = { { 4 }, { 1, TOKENS, HEADS, DEEP } },
  rows = { { 2 }, { TOKENS, WIDTH } },
  back = { { 3 }, { TOKENS, 1, WIDTH } },
  joined = { { 3 }, { 1, TOKENS, WIDTH } },
  scale = { {}, { DEEP ^ -0.5 } }, root = { {}, { DEEP ^ 0.5 } },
  quarter = { {}, { DEEP ^ -0.25 } },
  zero = { {}, { 0 } }, one = { {}, { 1 } }, two = { {}, { 2 } },
}
---Weights of query, key and value: columns of qkv.
local function part_of_qkv(i, name)
  local w, b = {}, {}
  for r = 0, WIDTH - 1 do
    for c = 1, WIDTH do
      w[#w + 1] = constants.qkv[2][r * 3 * WIDTH + (i - 1) * WIDTH + c]
    end
  end
  table.move(constants.qkv_bias[2], (i - 1) * WIDTH + 1, i * WIDTH, 1, b)
  constants["w" .. name], constants["b" .. name] = { { WIDTH, WIDTH }, w },
                                                   { { WIDTH }, b }
end

local function append(list, nodes)
  for _, node in ipairs(nodes) do list[#list + 1] = node end
end

local embed = {
  { "Conv", { "x", "patch" }, "e1", { strides = { 2, 2 } }, name = "/embed/Conv" },
  { "Reshape", { "e1", "tokens" }, "e2", { allowzero = 0 } },
  { "Transpose", { "e2" }, "t", { perm = { 0, 2, 1 } } },
}

---What follows attention's sum of values (1,tokens,width).
local classify = {
  { "MatMul", { "a", "out" }, "o1" }, { "Add", { "o1", "out_bias" }, "o2" },
  { "Add", { "t", "o2" }, "block" },
  { "ReduceMean", { "block" }, "m", { axes = { 1 }, keepdims = 0 } },
  { "MatMul", { "m", "head" }, "y" },
}


---timm: (1,T,3,H,D) by one transpose, three parts, scores times a scale.
local timm = {
  { "MatMul", { "t", "qkv" }, "p1" }, { "Add", { "p1", "qkv_bias" }, "p2" },
  { "Reshape", { "p2", "split" }, "p3" },
  { "Transpose", { "p3" }, "p4", { perm = { 2, 0, 3, 1, 4 } } },
  { "Gather", { "p4", "zero" }, "q", { axis = 0 } },
  { "Gather", { "p4", "one" }, "k", { axis = 0 } },
  { "Gather", { "p4", "two" }, "v", { axis = 0 } },
  { "Transpose", { "k" }, "kt", { perm = { 0, 1, 3, 2 } } },
  { "MatMul", { "q", "kt" }, "s1" }, { "Mul", { "s1", "scale" }, "s2" },
  { "Softmax", { "s2" }, "w", { axis = -1 } }, { "MatMul", { "w", "v" }, "c1" },
  { "Transpose", { "c1" }, "c2", { perm = { 0, 2, 1, 3 } } },
  { "Reshape", { "c2", "joined" }, "a" },
}


---A dense layer each, heads by a reshape and a transpose; scores divided by the root.
local separate = {}
for i, n in ipairs { "q", "k", "v" } do
  part_of_qkv(i, n)
  append(separate, {
    { "MatMul", { "t", "w" .. n }, n .. "1" },
    { "Add", { "b" .. n, n .. "1" }, n .. "2" },
    { "Reshape", { n .. "2", "heads" }, n .. "3" },
    { "Transpose", { n .. "3" }, n, { perm = n == "k" and { 0, 2, 3, 1 }
                                      or { 0, 2, 1, 3 } } } })
end
append(separate, {
  { "MatMul", { "q", "k" }, "s1" }, { "Div", { "s1", "root" }, "s2" },
  { "Softmax", { "s2" }, "w", { axis = 3 } }, { "MatMul", { "w", "v" }, "c1" },
  { "Transpose", { "c1" }, "c2", { perm = { 0, 2, 1, 3 } } },
  { "Reshape", { "c2", "joined" }, "a" } })


---torch 2: tokens first, the batch multiplied into heads and back.
local merged = {
  { "Transpose", { "t" }, "tb", { perm = { 1, 0, 2 } } },
  { "MatMul", { "tb", "qkv" }, "p1" }, { "Add", { "qkv_bias", "p1" }, "p2" },
  { "Reshape", { "p2", "parts" }, "p3" }, -- (T,1,1,3,E): unflatten, unsqueeze
  { "Transpose", { "p3" }, "p4", { perm = { 3, 0, 1, 2, 4 } } },
}
for i, n in ipairs { "q", "k", "v" } do
  append(merged, {
    { "Gather", { "p4", ({ "zero", "one", "two" })[i] }, n .. "1", { axis = 0 } },
    { "Reshape", { n .. "1", "merged" }, n .. "2" },
    { "Transpose", { n .. "2" }, n .. "3", { perm = { 1, 0, 2 } } },
    { "Reshape", { n .. "3", "apart" }, n } })
end
append(merged, {
  { "Transpose", { "k" }, "kt", { perm = { 0, 1, 3, 2 } } },
  { "Mul", { "q", "quarter" }, "qs" }, { "Mul", { "kt", "quarter" }, "ks" },
  { "MatMul", { "qs", "ks" }, "s2" }, { "Softmax", { "s2" }, "w", { axis = -1 } },
  { "MatMul", { "w", "v" }, "c1" },
  { "Transpose", { "c1" }, "c2", { perm = { 2, 0, 1, 3 } } },
  { "Reshape", { "c2", "rows" }, "c3" },
  { "Gemm", { "c3", "out", "out_bias" }, "o1" }, { "Reshape", { "o1", "back" }, "o3" },
  { "Transpose", { "o3" }, "o2", { perm = { 1, 0, 2 } } } })


local function net_of(middle, last)
  local nodes, path = {}, folder .. "/attention.onnx"
  for _, list in ipairs { embed, middle, last } do append(nodes, list) end
  writer.write(path, { input = { "x", { 1, 3, SIDE, SIDE } }, nodes = nodes,
                       constants = constants, outputs = { "y" } })
  return (writer.net(writer.lines(path)))
end


local nets = { timm = { timm, classify }, separate = { separate, classify },
               merged = { merged, { table.unpack(classify, 3) } } }


-- in double precision -------------------------------------------------------------


local function product(a, w, rows, inner, columns)
  local out = {}
  for r = 0, rows - 1 do
    for c = 1, columns do
      local sum = 0
      for i = 1, inner do sum = sum + a[r * inner + i] * w[(i - 1) * columns + c] end
      out[r * columns + c] = sum
    end
  end
  return out
end


local function plus(a, b)
  for i = 1, #a do a[i] = a[i] + b[(i - 1) % #b + 1] end
  return a
end


---Attention of tokens (T,E), one head's columns at a time.
local function attended(q, k, v)
  local out = {}
  for h = 0, HEADS - 1 do
    for r = 0, TOKENS - 1 do
      local e, total = {}, 0
      for c = 0, TOKENS - 1 do
        local s = 0
        for d = 1, DEEP do
          s = s + q[r * WIDTH + h * DEEP + d] * k[c * WIDTH + h * DEEP + d]
        end
        e[c] = math.exp(s / DEEP ^ 0.5)
        total = total + e[c]
      end
      for d = 1, DEEP do
        local at, sum = h * DEEP + d, 0
        for c = 0, TOKENS - 1 do sum = sum + e[c] / total * v[c * WIDTH + at] end
        out[r * WIDTH + at] = sum
      end
    end
  end
  return out
end


local function expected(tokens)
  local function dense(a, w, b)
    return plus(product(a, constants[w][2], TOKENS, WIDTH, WIDTH), constants[b][2])
  end
  local a = attended(dense(tokens, "wq", "bq"), dense(tokens, "wk", "bk"),
                     dense(tokens, "wv", "bv"))
  local block, mean = plus(dense(a, "out", "out_bias"), tokens), {}
  for c = 1, WIDTH do
    mean[c] = 0
    for r = 0, TOKENS - 1 do mean[c] = mean[c] + block[r * WIDTH + c] / TOKENS end
  end
  return product(mean, constants.head[2], 1, WIDTH, 3)
end


for name, parts in pairs(nets) do
  describe("attention as in " .. name, function()
    local net = net_of(table.unpack(parts))
    local x = core.normal(7, 0, { 2, 3, SIDE, SIDE })

    it("computes what the formula says, for every picture of a batch", function()
      local run = net:run(x)
      for n = 1, 2 do
        local tokens, value = {}, run:preactivation "t"
        for r = 1, TOKENS do
          for c = 1, WIDTH do tokens[#tokens + 1] = value:get(n, r, c) end
        end
        -- float32 sums of 24 products about 1 in size
        for i, want in ipairs(expected(tokens)) do
          assert.near(want, run.output:get(n, i), 2e-6)
        end
      end
    end)

    it("has what attention's methods look for", function()
      for _, method in ipairs { "attention", "attention_rollout", "gradient_rollout",
                                "legrad" } do
        local map = lu[method](net, x, method ~= "attention_rollout"
          and method ~= "attention" and { score = 1 } or {})
        assert.is_true(map:stats().finite, method)
      end
      local rows = net:run(x):preactivation "w":sum { dims = { 4 } }
      assert.near(1, rows:stats().min, 1e-6)
    end)
  end)
end


describe("all three", function()
  it("have the same relevance by AttnLRP", function()
    local x, first = core.normal(7, 0, { 2, 3, SIDE, SIDE }), nil
    for _, name in ipairs { "timm", "separate", "merged" } do
      local run = net_of(table.unpack(nets[name])):run(x)
      local r = run:gradient { score = 1, modifiers = { "attn_lrp" } }
      assert.is_true(r:stats().l2 > 0)
      first = first or r
      -- relevance divides by what products come to: a few digits are lost
      assert.is_true(r:distance(first) < 1e-4, name)
    end
  end)
end)


describe("no attention", function()
  it("is a softmax over the channels of maps", function()
    local path = folder .. "/none.onnx"
    writer.write(path, { input = { "x", { 1, 3, 4, 4 } }, outputs = { "y" },
      nodes = { { "Softmax", { "x" }, "y", { axis = 1 } } } })
    local net = writer.net(writer.lines(path))
    assert.matches("has no attention", t.message(lu.attention, net, t.input(net)))
  end)
end)
