-- What must hold for attributions whatever the network: properties, checked on networks
-- and pictures that are drawn at random; shortcuts, joins, gates and softmaxes among
-- them.
local lu = require "lunette"
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"

local logit = { modifiers = { "linear" } }


---A network with everything that DeepLIFT has a rule for, of random weights.
local function crowded(seed)
  return assert(lu.net { name = "crowded", input = { 3, 12, 12 },
    outputs = { "softmax" }, layers = {
      { "c1", "conv2d", filters = 6, kernel = 3, padding = 1 },
      { "bn", "batch_norm" },
      { "r1", "relu" },
      { "p1", "max_pool2d", kernel = 3, stride = 2, padding = 1 }, -- windows overlap
      { "c2", "conv2d", filters = 6, kernel = 3, padding = 1 },
      { "t2", "tanh" },
      { "sum", "add", from = { "t2", "p1" } },
      { "gate.mean", "mean", dims = { 3, 4 } },
      { "gate.fc", "linear", units = 6 },
      { "gate.sigmoid", "sigmoid" },
      { "gate.map", "reshape", shape = { 6, 1, 1 } },
      { "gated", "mul", from = { "sum", "gate.map" } },
      { "r2", "relu" },
      { "a", "max_pool2d", kernel = 2, stride = 2 },
      { "b", "avg_pool2d", kernel = 2, stride = 2, from = "r2" },
      { "both", "concat", from = { "a", "b" }, dim = 2 },
      { "top", "maximum", from = { "both", 0.1 } },
      { "flat", "flatten" },
      { "out", "linear", units = 4 },
      { "softmax", "softmax" },
    } }):init(seed)
end


describe("DeepLIFT", function()
  it("is complete through sums, joins, gates, overlapping pools and a softmax",
     function()
    for seed = 1, 4 do
      local net = crowded(seed)
      local x = core.normal(seed, 7, 2, 3, 12, 12)
      local base = core.normal(seed, 8, 2, 3, 12, 12) * 0.3
      for _, opts in ipairs { logit, {} } do
        local map = lu.deeplift(net, x, { score = 2, baseline = base,
                                          modifiers = opts.modifiers })
        local rise = t.score_of(net, x, 2, opts) - t.score_of(net, base, 2, opts)
        for i = 1, 2 do
          local got, want = map[i]:sum():item(), rise[i]:item()
          assert.is_true(math.abs(got - want) < 2e-5 * math.max(1, math.abs(want)))
          assert.is_true(math.abs(map.story.delta[i]) < 2e-5)
        end
        for _, layer in ipairs { "r1", "p1", "gated", "out" } do
          local at = lu.layer_deeplift(net, x, { score = 2, baseline = base,
            layer = layer, modifiers = opts.modifiers })
          assert.is_true(math.abs(at.story.delta[1]) < 2e-5, layer)
        end
      end
    end
  end)

  it("is input x gradient of what is linear, and the mean over baselines", function()
    local flat = assert(lu.net { name = "flat", input = { 3, 6, 6 }, layers = {
      { "c", "conv2d", filters = 4, kernel = 3 }, { "f", "flatten" },
      { "out", "linear", units = 3 } } }):init(4)
    local x = core.normal(1, 0, 1, 3, 6, 6)
    local want = lu.input_x_gradient(flat, x, { score = 1 })
    assert.is_true(lu.deeplift(flat, x, { score = 1 }):distance(want) < 1e-6)
    local net = crowded(5)
    local y = core.normal(2, 0, 1, 3, 12, 12)
    local a = lu.deeplift(net, y, { score = 1, baseline = 0.2,
                                    modifiers = { "linear" } })
    local b = lu.deeplift(net, y, { score = 1, baseline = -0.4,
                                    modifiers = { "linear" } })
    local both = lu.deeplift(net, y, { score = 1, baseline = { 0.2, -0.4 },
                                       modifiers = { "linear" } })
    assert.is_true(both:distance((a + b) / 2) < 1e-6)
  end)

  it("refuses rules in the place of its own, and names what it has none for",
     function()
    local net, x = crowded(1), core.normal(1, 0, 1, 3, 12, 12)
    assert.matches("deeplift: modifier 'guided' is a backward rule", t.message(
      lu.deeplift, net, x, { modifiers = { "linear", "guided" } }))
    local odd = assert(lu.net { name = "odd", input = { 4 }, layers = {
      { "fc", "linear", units = 3 }, { "gt", "gt", from = { "fc", 0.1 } } } }):init(1)
    assert.matches("layer 'gt' is of kind gt, which has no rule of DeepLIFT", t.message(
      lu.deeplift, odd, core.ones(1, 4), { score = 1 }))
  end)
end)


describe("neurons", function()
  it("share out integrated gradients: conductances of a layer's channels sum to it",
     function()
    local net, x = t.net(), core.normal(3, 0, 1, 3, 12, 12)
    local opts = { score = 1, steps = 6, modifiers = { "linear" } }
    local whole = lu.integrated_gradients(net, x, opts)
    opts.layer = "relu2"
    local sum
    for k = 1, 8 do
      opts.unit = k
      local one = lu.neuron_conductance(net, x, opts)
      sum = sum and sum + one or one
    end
    assert.is_true(sum:distance(whole) < 1e-5)
    opts.unit = { 9, 1, 1 }
    assert.matches("it has no unit 9,1,1", t.message(lu.neuron_conductance, net, x,
                                                     opts))
  end)
end)


describe("ShapleyCAM", function()
  it("is Grad-CAM for a logit, and g - H A / 2 by differences for a probability",
     function()
    local net, x = t.net(), core.normal(3, 0, 1, 3, 12, 12)
    local run = net:run(x)
    local a = lu.shapley_cam(run, { score = 1, modifiers = { "linear" }, raw = true })
    local b = lu.gradcam(run, { score = 1, modifiers = { "linear" }, raw = true })
    assert.is_true(a:distance(b) < 1e-5)
    -- the twin: gradients at A (1 +- h), of a network whose relus stay open
    local h = 0.01
    local wide = assert(lu.net { name = "wide", input = { 7, 1, 2 }, layers = {
      { "r", "relu" }, { "f", "flatten" }, { "out", "linear", units = 5 },
      { "softmax", "softmax" } } }):init(2)
    local y = core.uniform(1, 0, 1, 7, 1, 2)
    local wrun = wide:run(y)
    local function at(v)
      local part <close> = wide:run(v)
      return part:gradient { score = 1 }
    end
    local H = (at(y * (1 + h)) - at(y * (1 - h))) * (1 / (2 * h))
    local w = (at(y) - H * 0.5):mean { dims = { 3, 4 }, keepdims = true }
    local want = (w * y):sum { dims = { 2 } }
    assert.is_true(lu.shapley_cam(wrun, { score = 1, layer = "r", raw = true })
      :distance(want) < 1e-3)
  end)
end)


describe("superpixels", function()
  local superpixels = require "lunette.explain.superpixels"
  ---Four squares of different colours.
  local function squares()
    local p = core.zeros(3, 32, 32)
    for c, colours in ipairs { { 220, 30, 30, 240 }, { 30, 200, 40, 230 },
                               { 20, 60, 210, 20 } } do
      for q, v in ipairs(colours) do
        p[c]:paste_(core.full(v, 16, 16), (q - 1) // 2 * 16 + 1, (q - 1) % 2 * 16 + 1)
      end
    end
    return p
  end

  it("find the squares of a picture", function()
    local slic, count = superpixels.slic(squares(), 4)
    assert.equal(4, count)
    local graph = superpixels.felzenszwalb(squares(), { 100 }, 0, 20)[1]
    for _, labels in ipairs { slic, graph } do
      assert.equal(3, labels:stats().max)
      local seen = {}
      for q = 0, 3 do
        local part = labels:narrow { dim = 1, start = q // 2 * 16 + 1, length = 16 }
          :narrow { dim = 2, start = q % 2 * 16 + 1, length = 16 }
        local s = part:stats()
        assert.equal(s.min, s.max)
        seen[s.min] = true
      end
      assert.is_true(seen[0] and seen[1] and seen[2] and seen[3])
    end
  end)

  it("are in one piece, none tiny, and about as many as asked", function()
    local blur, noise = require "lunette.tensors.blur", core.uniform(3, 0, 1, 3, 40, 30)
    noise = blur(noise * 255, 3)[1]
    local labels, count = superpixels.slic(noise, 12)
    assert.is_true(count >= 6 and count <= 20)
    local sizes = {}
    for _, l in ipairs(labels:view(1200):totable()) do
      sizes[l] = (sizes[l] or 0) + 1
    end
    for _, n in pairs(sizes) do assert.is_true(n >= 25) end
  end)
end)


describe("XRAI", function()
  it("gives every segment the base's mean where segments do not overlap", function()
    local net, x = t.net(), core.normal(3, 0, 1, 3, 12, 12)
    local base = core.normal(5, 0, 1, 12, 12)
    local labels = core.zeros(12, 12)
    labels:paste_(core.ones(6, 12), 7, 1)
    labels:paste_(core.full(2, 3, 3), 1, 1)
    for _, mode in ipairs { "full", "fast" } do
      local map = lu.xrai(net, x, { score = 1, base = base:view(1, 12, 12), mode = mode,
        labels = labels, dilate = 0, min_diff = 1, modifiers = { "linear" } })
      for l = 0, 2 do
        local here = labels:eq(l)
        local mean = (base * here):sum():item() / here:sum():item()
        assert.is_true(((map[1] - mean) * here):stats().max < 1e-6)
        assert.is_true(((map[1] - mean) * here):stats().min > -1e-6)
      end
      assert.equal(3, map.story.segments[1])
    end
  end)
end)


describe("IDGI", function()
  it("shares out the rise of the score, whatever the number of steps", function()
    local net, x = crowded(6), core.normal(3, 0, 2, 3, 12, 12)
    local base = core.normal(4, 0, 2, 3, 12, 12)
    for _, steps in ipairs { 1, 5 } do
      local map = lu.idgi(net, x, { score = 1, steps = steps, baseline = base,
                                    modifiers = { "linear" } })
      for i = 1, 2 do assert.is_true(math.abs(map.story.delta[i]) < 1e-5) end
    end
  end)

  it("of one step is the rise, shared by the squares of the baseline's gradient",
     function()
    local net, x = t.net(), core.normal(3, 0, 1, 3, 12, 12)
    local base = core.normal(4, 0, 1, 3, 12, 12)
    local map = lu.idgi(net, x, { score = 1, steps = 1, baseline = base,
                                  modifiers = { "linear" } })
    local g = net:run(base, logit):gradient { score = 1 }
    local rise = (t.score_of(net, x, 1) - t.score_of(net, base, 1)):item()
    local want = g:square() * (rise / g:square():sum():item())
    assert.is_true(map:distance(want) < 1e-5)
  end)
end)


describe("FORGrad", function()
  local lowpass = require "lunette.explain.lowpass"
  ---cos of ky periods down and kx across.
  local function wave(h, w, ky, kx)
    local map = core.zeros(h, w)
    for y = 0, h - 1 do
      for x = 0, w - 1 do
        map:set(y + 1, x + 1, math.cos(2 * math.pi * (ky * y / h + kx * x / w) + 0.3))
      end
    end
    return map
  end

  it("keeps waves up to the cutoff as they are, and nothing of faster ones", function()
    for _, size in ipairs { { 16, 24 }, { 15, 9 } } do
      local h, w = table.unpack(size)
      local slow, fast = wave(h, w, 3, 2), wave(h, w, 4, 1)
      local got = lowpass(slow + fast + 2, 3)
      assert.is_true(got:distance(slow + 2) < 1e-5)
      assert.is_true(lowpass(slow, h):distance(slow) < 1e-5)
    end
  end)

  it("filters any method's map", function()
    local net, x = t.net(), core.normal(3, 0, 1, 3, 12, 12)
    local plain = lu.input_x_gradient(net, x, { score = 1, modifiers = { "linear" } })
    local want = lowpass(plain:abs():max { dims = { 2 } }, 2)
    local got = lu.forgrad(net, x, { of = "input_x_gradient", cutoff = 2, score = 1,
                                     modifiers = { "linear" } })
    assert.is_true(t.same(want:detach(), got:detach()))
  end)
end)


describe("Recipro-CAM", function()
  it("is the score with one place of the layer alone", function()
    local net, x = t.net(), core.normal(3, 0, 1, 3, 12, 12)
    local run = net:run(x, logit)
    local map = lu.recipro_cam(run, { score = 1, layer = "relu2", soft = false,
                                      raw = true })
    local A = run:activation("relu2"):detach()
    for _, at in ipairs { { 1, 1 }, { 2, 4 }, { 4, 3 } } do
      local one = core.zeros(A:shape())
      for k = 1, A:dim(2) do
        one:set(1, k, at[1], at[2], A:get(1, k, at[1], at[2]))
      end
      local part <close> = net:run_from("relu2", one, logit)
      local want = part.output:detach():get(1, 2)
      assert.is_true(math.abs(map:get(1, at[1], at[2]) - want) < 1e-5)
    end
  end)
end)


describe("cells of a grid", function()
  ---A score of the mean of one cell of 2 x 2, and what a network has to be for it.
  local function of_cell(f)
    local net = assert(lu.net { name = "cells", input = { 1, 8, 8 }, layers = {
      { "same", "identity" } } })
    return net, lu.score.new("cell", function(v)
      local c = v:narrow { dim = 3, start = 1, length = 4 }
        :narrow { dim = 4, start = 5, length = 4 }:mean { dims = { 2, 3, 4 } }
      return f(c)
    end)
  end

  it("Sobol: the one cell that the score reads has all of the variance", function()
    local net, score = of_cell(function(c) return c:square() end)
    local map = lu.sobol(net, core.ones(1, 1, 8, 8), { score = score, cells = 2,
      designs = 200, smooth = false })
    local values = map.story.values[1]
    assert.is_true(math.abs(values[2] - 1) < 0.2)
    assert.same({ 0, 0, 0 }, { values[1], values[3], values[4] })
    assert.is_true(map:get(1, 2, 6) == map:get(1, 4, 8) and map:get(1, 2, 6) > 0.8)
  end)

  it("HSIC: it depends on the one cell that the score reads", function()
    local net, score = of_cell(function(c) return c:square() end)
    local story = lu.hsic(net, core.ones(1, 1, 8, 8), { score = score, cells = 2,
      designs = 150 }).story
    for k, v in ipairs(story.values[1]) do
      assert.is_true(v >= -1e-6)
      if k ~= 2 then assert.is_true(v < story.values[1][2] / 20) end
    end
  end)

  it("may be segments of one's own: a grid of them is the cells", function()
    local net, x = t.net(), core.normal(3, 0, 2, 3, 12, 12)
    for _, name in ipairs { "sobol", "hsic" } do
      local o = { score = 1, cells = 2, designs = 8, smooth = false,
                  modifiers = { "linear" } }
      local cells = lu[name](net, x, o)
      o.segments = 2
      assert.is_true(t.same(cells:detach(), lu[name](net, x, o):detach()), name)
    end
    local net1, score = of_cell(function(c) return c:square() end)
    local organ = core.zeros(8, 8)
    organ:paste_(core.ones(4, 4), 1, 5) -- what the score reads
    for _, name in ipairs { "sobol", "hsic" } do
      local map = lu[name](net1, core.ones(1, 1, 8, 8), { score = score,
        segments = organ, designs = 60 })
      local rest, own = table.unpack(map.story.values[1])
      assert.is_true(own > 20 * math.abs(rest), name)
      assert.is_true(map:get(1, 1, 8) == map:get(1, 4, 5)
                     and map:get(1, 8, 8) < map:get(1, 1, 8) / 20)
    end
  end)

  it("of RISE, too: score times mask, segments that stay or go", function()
    local net, x = t.net(), core.normal(3, 0, 1, 3, 12, 12)
    local labels = core.zeros(12, 12)
    labels:paste_(core.ones(5, 7), 3, 2)
    labels:paste_(core.full(2, 4, 12), 9, 1)
    local map = lu.rise(net, x, { score = 1, segments = labels, count = 40, keep = 0.4,
                                  seed = 5, modifiers = { "linear" } })
    local rows, want = core.uniform(5, 1, 40, 3):lt(0.4), core.zeros(12, 12)
    for r = 1, 40 do
      local mask = core.zeros(12, 12)
      for l = 0, 2 do mask = mask + labels:eq(l) * rows:get(r, l + 1) end
      want = want + mask * t.score_of(net, x * mask:view(1, 1, 12, 12), 1):item()
    end
    assert.is_true(map[1]:distance(want / (40 * 0.4)) < 1e-5)
  end)

  it("are no more than the picture's pixels", function()
    local net, score = of_cell(function(c) return c end)
    assert.matches("9 cells a side are more than the picture's 8 pixels", t.message(
      lu.sobol, net, core.ones(1, 1, 8, 8), { score = score, cells = 9 }))
  end)
end)


describe("SLIC segments", function()
  it("are features like any others, of one picture at a time", function()
    local net, blur = t.net(), require "lunette.tensors.blur"
    local x = blur(core.uniform(3, 0, 2, 3, 12, 12), 2)
    local opts = { segments = "slic:4", modifiers = { "linear" }, score = 1 }
    local map = lu.feature_ablation(net, x:rows(1), opts)
    assert.same({ 1, 12, 12 }, map:shape())
    assert.matches("every picture has superpixels of its own", t.message(
      lu.feature_ablation, net, x, opts))
    opts.segments = "slick"
    assert.matches("segments is a whole number from 1, \"slic:COUNT\"", t.message(
      lu.feature_ablation, net, x, opts))
  end)
end)


---Few samples, for all methods.
local few = { samples = 3, count = 6, steps = 3, most = 2, segments = 2, max_sigma = 2,
              window = 6, stride = 6, designs = 4, cells = 2, min_diff = 2, dilate = 0,
              smooth_samples = 2, smooth_noise = 0.1, exact = 4, evals = 12,
              cell = 4, step = 4, sigma = 4, blur = 2, levels = 3,
              concepts = 2 }


---A small Vision Transformer, for the methods that ask for attention between tokens.
local function small_vit()
  local arch = lu.models.vit_b_32 { side = 64, depth = 2, width = 24, inner = 48,
                                    heads = 2, classes = 5 }
  arch.labels = { "ash", "birch", "cedar", "elm", "fir" }
  return assert(lu.net(arch)):init(1)
end


---Every method with options that make it quick, on a small network that it can explain
---and three pictures. What is said of maps that are 0 is expected.
local function each_method(visit)
  local net, x = t.net(), core.normal(3, 0, 3, 3, 12, 12)
  local vit, patches = small_vit(), core.normal(3, 0, 3, 3, 64, 64)
  t.warnings(function()
    for name, row in pairs(lu.methods) do
      local opts = {}
      for key, value in pairs(few) do
        local instead = key == "segments" and row.options.cells -- cells are the default
        if row.options[key] and not instead then opts[key] = value end
      end
      if row.options.modifiers and name ~= "lrp" then opts.modifiers = { "linear" } end
      if row.family == "attention" then
        visit(name, row, opts, vit, patches)
      else
        visit(name, row, opts, net, x)
      end
    end
  end)
end


describe("every method", function()
  it("gives a picture the same map alone and in a batch, bit for bit", function()
    each_method(function(name, row, opts, net, x)
      if row.options.score then opts.score = { 1, 2, 3 } end
      local all = row(net, x, opts)
      for i = 1, 3 do
        if row.options.score then opts.score = i end
        local one = row(net, x:rows(i), opts)
        assert.is_true(t.same(all:rows(i):detach(), one:detach()), name)
      end
    end)
  end)

  it("gives several classes what each of them alone gets, from one run", function()
    each_method(function(name, row, opts, net, x)
      if not row.options.score then return end
      local run = net:run(x)
      opts.classes = { 4, "birch" }
      local all = row(run, opts)
      opts.classes = nil
      assert.same(2, all.story.maps, name)
      for k, class in ipairs { 4, 1 } do
        opts.score = class
        local one = row(run, opts)
        assert.is_true(t.same(all:rows(3 * k - 2, 3 * k):detach(), one:detach()), name)
        assert.equal(class, all.story.classes[3 * k - 1])
      end
    end)
  end)

  it("permutes its maps as the classes are permuted", function()
    local run = t.net():run(core.normal(3, 0, 3, 3, 12, 12))
    local a = lu.gradcam(run, { classes = { 1, 3 }, modifiers = { "linear" } })
    local b = lu.gradcam(run, { classes = { 3, 1 }, modifiers = { "linear" } })
    assert.is_true(t.same(a:rows(1, 3):detach(), b:rows(4, 6):detach()))
    assert.is_true(t.same(a:rows(4, 6):detach(), b:rows(1, 3):detach()))
  end)
end)


describe("several maps", function()
  local net, x = t.net(), core.normal(3, 0, 2, 3, 12, 12)
  local run = net:run(x)

  it("take one backward pass, and the run is as it was", function()
    local class, calls = getmetatable(run), 0
    local gradient = class.gradient
    class.gradient = function(...)
      calls = calls + 1
      return gradient(...)
    end
    local ok, map = pcall(lu.gradcam, run, { top = 5, modifiers = { "linear" } })
    class.gradient = gradient
    assert.is_true(ok)
    assert.equal(1, calls)
    assert.same({ 10, 12, 12 }, map:shape())
    assert.is_nil(rawget(run, "gradient"))
    local top = run:top(5)
    for k = 1, 5 do
      assert.equal(top[1][k].class, map.story.classes[2 * k - 1])
      assert.equal(top[2][k].class, map.story.classes[2 * k])
    end
  end)

  it("are of any score", function()
    local function square(p) return p:square():sum { dims = { 2 } } end
    local map = lu.saliency(run, { classes = { lu.score.contrast(1, 2),
      lu.score.unit("relu2", 3), square } })
    assert.same({ 6, 12, 12 }, map:shape())
    local want = lu.saliency(run, { score = lu.score.unit("relu2", 3) })
    assert.is_true(t.same(want:detach(), map:rows(3, 4):detach()))
    assert.equal(false, map.story.classes[1])
  end)

  it("are asked for in one way at a time", function()
    assert.matches("give one of score, classes and top", t.message(lu.gradcam, run,
      { score = 1, top = 2 }))
    assert.matches("give one of score, classes and top", t.message(lu.gradcam, run,
      { classes = { 1 }, top = 2 }))
    assert.matches("classes is a list", t.message(lu.gradcam, run, { classes = {} }))
    assert.matches("unknown option 'top'", t.message(lu.eigencam, run, { top = 2 }))
  end)
end)


describe("rules", function()
  it("compare with each picture's own mean", function()
    local v = core.tensor { { 1, 2, 6 }, { -1, 0, 4 } }
    assert.same({ { 3 }, { 1 } }, lu.modifiers.each(v, "mean"):totable())
    assert.same({ { 6 }, { 4 } }, lu.modifiers.each(v, "max"):totable())
    assert.same({ 2, 1, 1, 1 }, lu.modifiers.each(core.ones(2, 3, 4, 5), "sum"):shape())
    assert.matches("expected \"mean\"", t.message(lu.modifiers.each, v, "median"))
    local net, x = t.net(), core.normal(3, 0, 3, 3, 12, 12)
    local squash = lu.modifier { name = "squash", on = "relu",
      backward = function(node, dy)
        local positive = dy:relu()
        return positive:minimum(lu.modifiers.each(positive, "mean"))
          * node.output:gt(0)
      end }
    local opts = { score = 1, modifiers = { "linear", squash }, raw = true }
    local all = lu.saliency(net, x, opts)
    assert.is_true(t.same(all:rows(2):detach(),
                          lu.saliency(net, x:rows(2), opts):detach()))
  end)
end)


describe("a map", function()
  local net, x = t.net(), core.normal(3, 0, 1, 3, 12, 12)

  it("says how much of it relu threw away", function()
    local run = net:run(x, logit)
    local raw = lu.gradcam(run, { score = 1, raw = true })
    local want = (-raw):relu():sum():item() / raw:abs():sum():item()
    local _, map = t.warnings(lu.gradcam, run, { score = 1 })
    assert.is_true(math.abs(map.story.negative_share - want) < 1e-6)
    assert.is_nil(raw.story.negative_share)
    assert.is_nil(lu.gradcam(run, { score = 1, relu = false }).story.negative_share)
  end)

  it("of zeros names the layer where the gradient died, and the remedy", function()
    local dead = t.net()
    dead.params["fc.bias"]:fill_(-1e4)
    local list = t.warnings(lu.input_x_gradient, dead:run(x, logit), { score = 1 })
    assert.matches("the gradient dies at 'fc_relu' %(relu%): none of its units",
                   list[1])
    assert.matches("rectified:leak=0.1", list[1])
  end)

  it("of a saturated softmax names linear", function()
    local sure = t.net()
    sure.params["out.bias"]:set(2, 1e4)
    local list = t.warnings(lu.input_x_gradient, sure:run(x), { score = 1 })
    assert.matches("the softmax is saturated .* give the modifier \"linear\"", list[1])
    -- a class that is out of the question, though none is certain
    local out = t.net()
    out.params["out.weight"]:fill_(0)
    out.params["out.bias"]:set(2, -200)
    list = t.warnings(lu.input_x_gradient, out:run(x), { score = 1 })
    assert.matches("below 1e%-6 of the logit's", list[1])
  end)

  it("is not made by a rule that cannot matter, and counts the nodes on its way",
     function()
    local run = net:run(x, logit)
    assert.matches("modifier 'guided' changed no node", t.message(run.gradient, run,
      { score = 1, wrt = "fc", modifiers = { "guided" } }))
    local _, map = t.warnings(lu.gradcam, run, { score = 1, layer = "relu2",
                                                 modifiers = { "guided" } })
    assert.equal(1, map.story.changed_nodes.guided)
    _, map = t.warnings(lu.saliency, run, { score = 1, modifiers = { "guided" } })
    assert.equal(3, map.story.changed_nodes.guided)
  end)
end)


-- networks drawn at random -----------------------------------------------------------


-- networks drawn at random ---------------------------------------------------------
---in between; then the mean of the last maps and a dense layer. `linear`: without
---activations, biases and maxima.
local function drawn(seed, linear)
  local dice = core.uniform(seed, 99, 16)
  local rolls, layers, last = 0, {}, "input"
  local function roll(n)
    rolls = rolls + 1
    return math.floor(dice[rolls] * n) + 1
  end
  local function add(layer)
    layers[#layers + 1] = layer
    last = layer[1]
    return last
  end
  local function convolution(name, filters)
    add { name, "conv2d", filters = filters, kernel = 3, padding = 1, bias = not linear,
          from = last }
    if not linear then add { name .. "_act", ({ "relu", "tanh", "relu" })[roll(3)] } end
    return last
  end
  add { "stem", "conv2d", filters = 6, kernel = 3, padding = 1, bias = not linear }
  for block = 1, 3 do
    local before, kind, name = last, roll(3), "b" .. block
    convolution(name .. "a", 6)
    if kind == 2 then
      add { name .. "sum", "add", from = { before, convolution(name .. "b", 6) } }
    elseif kind == 3 then
      local other = last
      last = before
      convolution(name .. "b", 3)
      add { name .. "both", "concat", dim = 2, from = { other, last } }
      add { name .. "less", "conv2d", filters = 6, kernel = 1, bias = not linear }
    end
    if block < 3 and roll(2) == 1 then
      add { name .. "pool", linear and "avg_pool2d" or "max_pool2d", kernel = 2,
            stride = 2 }
    end
  end
  local maps = last
  add { "mean", "global_avg_pool" }
  add { "flat", "flatten" }
  add { "out", "linear", units = 4, bias = not linear }
  local net = assert(lu.net { name = "drawn", input = { 3, 12, 12 }, layers = layers })
  return net:init(seed), maps, core.normal(seed, 5, 2, 3, 12, 12)
end


---Do two maps differ by rounding alone?
local function same_map(a, b, limit, what)
  local off = a:detach():distance(b:detach())
  assert.is_true(off < limit, ("%s: %.1e"):format(what, off))
end


describe("a network drawn at random", function()
  for seed = 1, 8 do
    local net, maps, x = drawn(seed)
    local run = net:run(x)
    local base = core.normal(seed, 6, 2, 3, 12, 12) * 0.2
    local rise = t.score_of(net, x, 1, {}) - t.score_of(net, base, 1, {})

    it(("%d: the sums are the score's rise"):format(seed), function()
      -- of 400 steps 2e-3 is left: relus and maxima change sides between them
      for name, more in pairs { deeplift = 2e-5, integrated_gradients = 1e-2 } do
        local map = lu[name](net, x, { score = 1, baseline = base,
          steps = name ~= "deeplift" and 400 or nil })
        for i = 1, 2 do
          local want = rise[i]:item()
          assert.near(want, map[i]:sum():item(), more * (1 + math.abs(want)), name)
        end
      end
    end)

    it(("%d: HiResCAM is Grad-CAM before the global mean"):format(seed), function()
      local opts = { score = 2, layer = maps, raw = true }
      same_map(lu.gradcam(run, opts), lu.hirescam(run, opts), 1e-5, "raw")
    end)

    it(("%d: SmoothGrad without noise is saliency"):format(seed), function()
      local opts = { score = 2, noise = 0, samples = 3, of = "saliency",
                     with = { raw = true } }
      local plain = lu.saliency(run, { score = 2, raw = true })
      same_map(lu.smoothgrad(run, opts), plain, 1e-6, "smoothgrad")
    end)

    it(("%d: permuted classes permute maps"):format(seed), function()
      local other, order = drawn(seed), core.tensor { 3, 1, 4, 2 }
      for _, key in ipairs { "out.weight", "out.bias" } do
        other.params[key] = net.params[key]:index_select(order, { dim = 1 })
      end
      for _, name in ipairs { "saliency", "gradcam", "deeplift", "occlusion", "lrp" } do
        local opts = { score = 2 }
        if name == "occlusion" then opts.window, opts.stride = 4, 4 end
        local function quiet() return lu[name](net, x, opts) end
        local a
        t.warnings(function() a = quiet() end)
        opts.score = 0
        t.warnings(function()
          assert.is_true(t.same(a:detach(), lu[name](other, x, opts):detach()), name)
        end)
      end
    end)

    it(("%d: Shapley values share out the rise"):format(seed), function()
      local opts = { score = 1, segments = 2, baseline = "zero" }
      local one = x:rows(1)
      local values = lu.shapley(net, one, opts).story.values[1]
      local ends = t.score_of(net, one, 1, {}) - t.score_of(net, one * 0, 1, {})
      local sum = 0
      for _, v in ipairs(values) do sum = sum + v end
      assert.near(ends:item(), sum, 1e-4)
    end)

    it(("%d: without activations all gradient methods agree"):format(seed), function()
      local flat, _, y = drawn(seed, true)
      local r = flat:run(y)
      local g = r:gradient { score = 1 }
      for name, opts in pairs {
        saliency = { raw = true }, smoothgrad = { samples = 2, with = { raw = true } } }
      do
        opts.score = 1
        same_map(lu[name](r, opts), g, 1e-5, name)
      end
      for name, opts in pairs {
        input_x_gradient = {}, integrated_gradients = { steps = 3 }, deeplift = {},
        gradient_shap = { samples = 2, sigma = 0, baselines = core.zeros(1, 3, 1, 1) },
        expected_gradients = { samples = 2, baselines = core.zeros(1, 3, 1, 1) },
        guided_ig = { steps = 5 },
        occlusion = { window = 1, stride = 1, channelwise = true } }
      do
        opts.score = 1
        same_map(lu[name](r, opts), g * y, name == "occlusion" and 1e-3 or 1e-5, name)
      end
      local epsilon = { { on = "weighted", rule = { "epsilon", epsilon = 1e-12 } },
                        { on = { "add", "avg_pool2d", "global_avg_pool" },
                          rule = { "norm", epsilon = 1e-12 } } }
      local relevance
      t.warnings(function()
        relevance = lu.lrp(r, { score = 1, from = "logit", composite = epsilon })
      end)
      same_map(relevance, g * y, 1e-3, "lrp")
    end)
  end
end)
