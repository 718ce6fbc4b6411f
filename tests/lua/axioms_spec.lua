-- What must hold for attributions whatever the network: properties, checked on networks
-- drawn at random (shortcuts and joins among them), and of every method there is.
local lu = require "lunette"
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"


---A network of three blocks, drawn from the seed: a convolution, and with it a shortcut
---that is added or joined, or nothing; activations are drawn, and whether a pool stands
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
        local option = row.options[key]
        local instead = key == "segments" and option and not option.default
        if option and not instead then opts[key] = value end
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

  it("integrates along a path by the rule's own points and weights", function()
    local rules = require("lunette.explain.paths").rules
    -- of n points: the weights' sum, and the integrals of x and x^2 that they give
    local function sums(name, n)
      local alphas, weights = rules[name](n)
      local all, x, square = 0, 0, 0
      assert.equal(n, #alphas)
      for i, a in ipairs(alphas) do
        local w = weights[i]
        all, x, square = all + w, x + w * a, square + w * a * a
      end
      return { all, x, square }
    end
    local function near(want, name, n)
      for k, v in ipairs(sums(name, n)) do
        assert.is_true(math.abs(v - want[k]) < 1e-12,
                       ("%s of %d: %g"):format(name, n, v))
      end
    end
    for _, n in ipairs { 2, 5, 8 } do
      local h = 1 / n
      near({ 1, 1 / 2, 1 / 3 }, "gausslegendre", n)
      near({ 1, (1 - h) / 2, (1 - h) * (2 - h) / 6 }, "riemann_left", n)
      near({ 1, (1 + h) / 2, (1 + h) * (2 + h) / 6 }, "riemann_right", n)
      near({ 1, 1 / 2, 1 / 3 - h * h / 12 }, "riemann_middle", n)
      local step = 1 / (n - 1)
      near({ 1, 1 / 2, 1 / 3 + step * step / 6 }, "trapezoid", n)
      local ends = 1 - h -- 1/n each, the ends half of it
      near({ ends, ends / 2, ends * (1 / 3 + step * step / 6) }, "riemann_trapezoid", n)
      near({ 1, 1 / 2, (2 * n - 1) / (6 * (n - 1)) }, "linspace", n)
    end
    near({ 1, 1 / 2, 1 / 4 }, "trapezoid", 1)
    near({ 1, 1 / 2, 1 / 4 }, "gausslegendre", 1)
  end)

  it("permutes its maps as the classes are permuted", function()
    local run = t.net():run(core.normal(3, 0, 3, 3, 12, 12))
    local a = lu.gradcam(run, { classes = { 1, 3 }, modifiers = { "linear" } })
    local b = lu.gradcam(run, { classes = { 3, 1 }, modifiers = { "linear" } })
    assert.is_true(t.same(a:rows(1, 3):detach(), b:rows(4, 6):detach()))
    assert.is_true(t.same(a:rows(4, 6):detach(), b:rows(1, 3):detach()))
  end)
end)
