-- Methods about a layer, its channels and its neurons: what they sum to, what they
-- rank, factors of activations, likeness of two pictures.
local lu = require "lunette"
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"

local net = t.net()
local x = t.input(net, 2)
local linear = t.linear_run(net)
local graph = t.graph()
local gx = t.input(graph, 2)
local logit = { modifiers = { "linear" } }


describe("layers", function()
  it("share out the score: integrated gradients and conductance", function()
    local ends = t.score_of(graph, gx, 1) - t.score_of(graph, gx * 0, 1)
    for _, method in ipairs { lu.layer_integrated_gradients, lu.conductance } do
      local map = method(graph, gx, { score = 1, layer = "sum_relu", steps = 200,
                                      modifiers = { "linear" } })
      assert.same({ 2, 8, 7, 6 }, map:shape())
      for i = 1, 2 do
        local sum = map[i]:sum():item()
        assert.near(ends[i][1], sum, 0.02 * math.abs(ends[i][1]) + 1e-3)
        assert.near(sum - ends[i][1], map.story.delta[i], 1e-4)
      end
    end
  end)

  it("say what a channel's loss costs", function()
    local falls = lu.layer_ablation(linear, { score = 1, layer = "conv2" })
    assert.same({ 2, 8 }, falls:shape())
    local A = linear:activation("conv2"):detach():clone()
    for i = 1, 2 do A[i][3]:fill_(0) end
    local part <close> = net:run_from("conv2", A, logit)
    for i = 1, 2 do
      assert.near(linear.output[i][2] - part.output[i][2], falls[i][3], 1e-5)
    end
    local g = lu.gradient_x_activation(linear, { score = 1, layer = "conv1" })
    assert.is_true(g:distance(linear:activation "conv1"
      * linear:gradient { score = 1, wrt = "conv1" }) < 1e-6)
  end)
end)


describe("a layer that is one branch of several", function()
  it("is ablated beside the others", function()
    local r = graph:run(gx, logit)
    local falls = lu.layer_ablation(r, { score = 1, layer = "left_relu" })
    assert.same({ 2, 3 }, falls:shape())
    -- a twin without that channel's weights
    local twin = t.graph()
    for k = 1, 3 do
      local w, b = twin.params["left.weight"], twin.params["left.bias"]
      twin.params["left.weight"], twin.params["left.bias"] = w:clone(), b:clone()
      twin.params["left.weight"][k]:fill_(0)
      twin.params["left.bias"][k] = 0
      local without = twin:run(gx, logit).output
      for i = 1, 2 do
        assert.near(r.output[i][2] - without[i][2], falls[i][k], 1e-4)
      end
      twin.params["left.weight"], twin.params["left.bias"] = w, b
    end
    local map = lu.ablationcam(graph, gx, { score = 1, layer = "left_relu" })
    assert.same({ 2, 13, 11 }, map:shape())
  end)

  it("shares out what it changes beside the others' values", function()
    local map = lu.layer_integrated_gradients(graph, gx, { score = 1, steps = 200,
      layer = "left_relu", modifiers = { "linear" } })
    for i = 1, 2 do
      local r <close> = graph:run(gx:rows(i), logit)
      local zero <close> = graph:run(gx:rows(i) * 0, logit)
      local without <close> = graph:run_from("left_relu", zero:activation "left_relu",
        { modifiers = { "linear" }, beside = r })
      local change = r.output[1][2] - without.output[1][2]
      assert.near(change, map[i]:sum():item(), 0.02 * math.abs(change) + 1e-3)
    end
  end)
end)


describe("deep feature factorisation", function()
  local factorise = require "lunette.explain.factorise"
  local matmul = core.ops.matmul

  it("finds factors of what is a product, and never gets worse", function()
    local W, H = core.uniform(1, 0, 30, 3), core.uniform(2, 0, 3, 20)
    local V = matmul(W, H)
    local before = math.huge
    for _, steps in ipairs { 1, 5, 25, 125, 1000 } do
      local w, h, off = factorise(V, 3, { steps = steps, seed = 0 })
      assert.is_true(off <= before + 1e-6)
      assert.is_true(w:stats().min >= 0 and h:stats().min >= 0)
      assert.is_true(math.abs((V - matmul(w, h)):stats().l2 / V:stats().l2 - off)
                     < 1e-5)
      for k = 1, 3 do assert.is_true(math.abs(h[k]:stats().l2 - 1) < 1e-5) end
      local size = w:square():sum { dims = { 1 } }:view(3)
      assert.is_true(size[1] >= size[2] and size[2] >= size[3])
      before = off
    end
    assert.is_true(before < 0.01, before)
  end)

  it("makes the steps of Lee and Seung", function()
    local V = core.uniform(5, 0, 6, 4)
    local scale = math.sqrt(V:mean():item() / 2)
    local W, H = core.uniform(7, 0, 6, 2) * scale, core.uniform(7, 1, 2, 4) * scale
    local function product(a, b) -- as a table, in doubles
      local out = {}
      for i = 1, #a do
        out[i] = {}
        for j = 1, #b[1] do
          local sum = 0
          for k = 1, #b do sum = sum + a[i][k] * b[k][j] end
          out[i][j] = sum
        end
      end
      return out
    end
    local function turned(a)
      local out = {}
      for j = 1, #a[1] do
        out[j] = {}
        for i = 1, #a do out[j][i] = a[i][j] end
      end
      return out
    end
    local v, w, h = V:totable(), W:totable(), H:totable()
    for _ = 1, 3 do
      local a, b = product(turned(w), v), product(product(turned(w), w), h)
      for i = 1, 2 do for j = 1, 4 do h[i][j] = h[i][j] * a[i][j] / b[i][j] end end
      a, b = product(v, turned(h)), product(w, product(h, turned(h)))
      for i = 1, 6 do for j = 1, 2 do w[i][j] = w[i][j] * a[i][j] / b[i][j] end end
    end
    local gotw, goth = factorise(V, 2, { steps = 3, seed = 7 })
    assert.is_true(matmul(gotw, goth):distance(core.tensor(product(w, h))) < 1e-5)
  end)

  it("maps a picture's parts, and says what the network sees in each", function()
    local map = lu.deep_feature_factorization(net, x, { layer = "relu2", concepts = 3 })
    assert.same({ 2, 3, 12, 12 }, map:shape())
    local s = map:stats()
    assert.is_true(s.min >= 0 and s.max <= 1)
    assert.equal(3, #map.story.labels[1])
    assert.is_true(map.story.error[2] > 0 and map.story.error[2] < 1)
    local raw = lu.deep_feature_factorization(net, x, { layer = "relu2", concepts = 3,
                                                        raw = true })
    assert.same({ 2, 3, 4, 4 }, raw:shape())
    local one = lu.deep_feature_factorization(net, x, { layer = "relu2", concepts = 99,
                                                        steps = 400 })
    assert.equal(8, one:dim(2)) -- no more than there are channels
    assert.is_true(one.story.error[1] < map.story.error[1])
  end)
end)


describe("channels", function()
  local run = net:run(x)
  local value = run:activation("relu2"):detach()

  it("are ranked by mean, maximum, or what they add to the score", function()
    local gxa = lu.gradient_x_activation(run, { layer = "relu2", score = 1 })
    local want = { mean = value:mean { dims = { 3, 4 } },
                   max = value:max { dims = { 3, 4 } },
                   gradient_x_activation = gxa:sum { dims = { 3, 4 } } }
    for by, all in pairs(want) do
      local top = lu.channels.top(run, "relu2", { count = 8, by = by, score = 1 })
      for i = 1, 2 do
        local before = math.huge
        assert.equal(8, #top[i])
        for _, c in ipairs(top[i]) do
          assert.is_true(math.abs(c.value - all[i]:view(8)[c.channel]) < 1e-6)
          assert.is_true(c.value <= before)
          before = c.value
        end
      end
    end
    local first = lu.channels.top(run, "relu2", { by = "max", count = 1 })[1][1]
    assert.equal(first.value, value:get(1, first.channel, first.y, first.x))
    assert.is_true(first.box.height <= 10 and first.box.top >= 1)
  end)

  it("show which pixels they answer to, by any method", function()
    local unit = lu.score.unit("relu2", 3)
    local map = lu.channels.pixels(run, "relu2", { channel = 3 })
    assert.is_true(t.same(map:detach(), lu.input_x_gradient(run, { score = unit })
                                          :detach()))
    local neuron = lu.channels.pixels(run, "conv2", { channel = 3, at = { 2, 4 },
                                                      method = "saliency" })
    local want = lu.saliency(run, { score = lu.score.neuron("conv2", 3, 2, 4) })
    assert.is_true(t.same(neuron:detach(), want:detach()))
    -- outside of what the neuron sees nothing matters
    local box = lu.features.receptive_field(net, "relu2").box(2, 4)
    local outside = core.ones(12, 12)
    outside:paste_(core.zeros(box.height, box.width), box.top, box.left)
    assert.equal(0, (neuron:rows(1):view(12, 12) * outside):abs():max():item())
  end)

  it("say what is wrong", function()
    assert.matches("layer 'relu2' has channels 1 .. 8, not 9", t.message(
      lu.channels.pixels, run, "relu2", { channel = 9 }))
    assert.matches("method is the name of one with a score, got activation", t.message(
      lu.channels.pixels, run, "relu2", { channel = 1, method = "activation" }))
    assert.matches("channels.top: .*relu9", t.message(lu.channels.top, run, "relu9"))
  end)

  it("are drawn with what they see", function()
    local net_of_glyphs = lu.load "glyphs"
    local pictures = net_of_glyphs:images(lu.glyphs.default_images(1).images)
    local of_glyphs = net_of_glyphs:run(pictures)
    local top = lu.channels.top(of_glyphs, "block2_conv2", { count = 2 })
    assert.matches("Canvas", tostring(lu.channels.draw(of_glyphs, top)))
  end)
end)


describe("a neuron or a channel instead of a class", function()
  it("is explained by every layer method, and the parts sum to its rise", function()
    local picture = x:rows(1)
    local zero = core.zeros(picture:shape())
    for _, score in ipairs { lu.score.neuron("conv2", 2, 2, 3),
                             lu.score.unit("conv2", 5) } do
      local rise = net:run(picture):values(score)[1] - net:run(zero):values(score)[1]
      local function check(name, tolerance, opts)
        opts = opts or {}
        opts.score, opts.layer = score, "relu1"
        local map = lu.methods[name](net, picture, opts)
        assert.same({ 1, 6, 12, 12 }, map:shape())
        assert.is_true(math.abs(map:sum():item() - rise)
                       < tolerance * math.max(0.1, math.abs(rise)), name)
      end
      check("layer_deeplift", 1e-4)
      check("layer_integrated_gradients", 2e-2, { steps = 200 })
      check("conductance", 5e-2, { steps = 200 })
      local here = { score = score, layer = "relu1" }
      local influence = lu.internal_influence(net, picture, here)
      assert.is_true(influence:abs():max():item() > 0)
      local g = net:run(picture):gradient { score = score, wrt = "relu1" }
      local gxa = lu.gradient_x_activation(net, picture, here)
      local a = net:run(picture):activation("relu1")
      assert.is_true(t.same(gxa:detach(), (g * a:detach()):detach()))
    end
  end)
end)


describe("similarity of two pictures", function()
  local run = net:run(x)
  local a = run:activation("relu2"):detach()

  it("is the cosine of what a layer says of them", function()
    local other = net:run(x:rows(2))
    local got = run:values(lu.score.similarity("relu2", other))
    local dot = (a[1] * a[2]):sum():item()
    local want = dot / (a[1]:stats().l2 * a[2]:stats().l2)
    assert.is_true(math.abs(got[1] - want) < 1e-6)
    assert.is_true(math.abs(got[2] - 1) < 1e-6)
    local each = run:values(lu.score.similarity("relu2", a)) -- each with itself
    assert.is_true(math.abs(each[1] - 1) < 1e-6 and math.abs(each[2] - 1) < 1e-6)
  end)

  it("is explained by any method", function()
    local score = lu.score.similarity("relu2", net:run(x:rows(2)))
    local g = net:run(x:rows(1)):gradient { score = score }
    local h, at = 1e-2, { { 1, 3, 4 }, { 2, 7, 7 }, { 3, 5, 10 } }
    for _, p in ipairs(at) do
      local up, down = x:rows(1):clone(), x:rows(1):clone()
      up:set(1, p[1], p[2], p[3], up:get(1, p[1], p[2], p[3]) + h)
      down:set(1, p[1], p[2], p[3], down:get(1, p[1], p[2], p[3]) - h)
      local slope = (net:run(up):values(score)[1] - net:run(down):values(score)[1])
        / (2 * h)
      assert.is_true(math.abs(slope - g:get(1, p[1], p[2], p[3])) < 1e-3)
    end
    -- copies of a picture are compared with that picture's own
    local both = lu.score.similarity("relu2", a)
    local all = lu.rise(net, x, { score = both, count = 5, progress = false })
    local one = lu.rise(net, x:rows(2), { score = lu.score.similarity("relu2",
      net:run(x:rows(2))), count = 5, progress = false })
    assert.is_true(t.same(all:rows(2):detach(), one:detach()))
  end)

  it("wants a picture to compare with", function()
    assert.matches("a run of the other picture.*got 3", t.message(
      lu.score.similarity, "relu2", 3))
    assert.matches("has 128 values of 2 samples, the other picture's has 3 of 1",
      t.message(run.values, run, lu.score.similarity("relu2", core.ones(1, 3))))
  end)
end)


describe("a principal component's sign", function()
  local principal = require "lunette.explain.principal"
  local values = core.normal(5, 0, 2, 6, 4, 5)

  it("is that of the channels' sum; a kernel's largest entry is positive", function()
    for _, A in ipairs { values, -values, values + 1 } do
      local first, kernel = principal.first(A), principal.kernel(A)
      for i = 1, 2 do
        assert.is_true((first[i][1] * A[i]:sum { dims = { 1 } }):sum():item() > 0)
        local s = kernel[i]:stats()
        assert.is_true(s.max > -s.min)
      end
    end
  end)
end)
