-- Single methods against a formula of their own or what must hold for them alone.
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


describe("FullGrad", function()
  it("of a unit inside is that of the network up to there", function()
    local net = assert(lu.net(lu.models.tiny_vgg { side = 32 })):init(1)
    local x = core.normal(3, 0, 1, 3, 32, 32)
    local list = {}
    for i, layer in ipairs(lu.models.tiny_vgg { side = 32 }.layers) do
      list[i] = layer
      if layer[1] == "relu_2_1" then break end
    end
    local part = assert(lu.net { input = { 3, 32, 32 }, layers = list }):init(1)
    for name in pairs(part.params) do
      part.params[name] = net.params[name]
    end
    local score = lu.score.unit("conv_2_1", 2)
    local want = lu.fullgrad(part, x, { score = score })
    local got = lu.fullgrad(net, x, { score = score, modifiers = { "linear" } })
    assert.is_true(got:distance(want) < 1e-5)
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
