-- Methods by what must hold for them: axioms, closed forms, slow twins. The shared
-- parts (sampling, baselines, masks, perturbations, quadrature, the optimiser's loop).
local lu = require "lunette"
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"

local net = t.net()
local x = t.input(net, 2)
local run = t.linear_run(net)
local graph = t.graph()
local gx = t.input(graph, 2)
local logit = { modifiers = { "linear" } }


describe("rows", function()
  it("are the methods, by name", function()
    local names = {}
    for name, row in pairs(lu.methods) do
      names[#names + 1] = name
      assert.equal(name, row.name)
      assert.equal(lu[name], row)
    end
    assert.equal(#lu.methods, #names)
    assert.is_nil(lu.methods.nothing)
    assert.is_nil(lu.nothing)
  end)

  it("refuse options and dialects that they have not", function()
    assert.matches("unknown option 'normalize'", t.message(lu.input_x_gradient, run,
                                                            { normalize = true }))
    assert.matches("unknown option 'dialect'", t.message(lu.occlusion, run,
                                                         { dialect = "captum" }))
    assert.matches("'captum' is none of tf%-keras%-vis, pytorch%-grad%-cam",
                   t.message(lu.gradcam_pp, run, { dialect = "captum" }))
    assert.matches("smooth_noise is a number from 0 to 5, got %-1",
                   t.message(lu.saliency, run, { smooth_noise = -1 }))
    assert.matches("smooth_noise is a finite number", t.message(lu.saliency, run,
      { smooth_noise = 0 / 0 }))
    assert.matches("option 'relu' is true or false, got '", t.message(lu.gradcam,
      run, { relu = "yes" }))
    assert.matches("rule: 'riemann' is none of gausslegendre", t.message(
      lu.integrated_gradients, run, { rule = "riemann" }))
    assert.matches("baseline 'blurr' not found; did you mean 'blur'", t.message(
      lu.integrated_gradients, run, { baseline = "blurr" }))
    assert.matches("window is a whole number", t.message(lu.occlusion, run,
                                                         { window = 0.5 }))
  end)

  it("tell what happened, and nothing else", function()
    local story = lu.gradcam(run, { score = 1, raw = true }).story
    assert.is_nil(story.dialect)
    assert.is_nil(story.normalize)
    assert.equal("overlay", story.draws)
    story = lu.activation(run, { layer = "conv1" }).story
    assert.is_nil(story.modifiers)
    assert.is_nil(story.score)
    story = lu.saliency(run, { score = 1 }).story
    assert.is_nil(story.smooth_noise)
    assert.is_nil(story.seed)
    story = lu.gradcam(run, { score = 1, relu = false }).story
    assert.is_false(story.relu)
    story = lu.integrated_gradients(run, { score = 1, baseline = x * 0.5,
                                           steps = 3 }).story
    assert.equal("tensor (2,3,12,12)", story.baseline)
    assert.equal(3, story.steps)
    assert.is_nil(story.batch)
  end)

  it("can be written in a script, in one place", function()
    local mine = lu.method { name = "mine", draws = "map",
      options = { "score", "modifiers", power = lu.opt.count(1, "of x") },
      explain = function(r, o)
        return r.images:pow(o.power) * r:gradient { score = o.score,
                                                    modifiers = o.modifiers }
      end }
    local map = mine(run, { score = 1, power = 2 })
    assert.is_true(map:distance(x * lu.input_x_gradient(run, { score = 1 })) < 1e-6)
    assert.equal(2, map.story.power)
    assert.matches("mine: power is a whole number from 1 on", t.message(mine, run,
                                                                        { power = 0 }))
    assert.matches("method: explain should be function",
                   t.message(lu.method, { name = "x" }))
    assert.matches("draws = ", t.message(lu.method, { name = "x", draws = "art",
                                                      explain = print }))
    assert.matches("no shared option 'sccore'", t.message(lu.method, { name = "x",
      draws = "map", options = { "sccore" }, explain = print }))
  end)

  it("are drawn as they say: signed values of three channels are no photograph",
     function()
    local folder, done = t.folder()
    local map = lu.input_x_gradient(net, x, { score = 1, modifiers = { "linear" } })
    assert.same({ 2, 3, 12, 12 }, map:shape())
    local canvas = lu.canvas { columns = 2 }
    canvas:row("signed", map)
    assert(canvas:save(folder .. "/a.png"))
    local story = require("lunette.base.json").decode(t.read(folder .. "/a.json"))
    assert.equal("map", story.rows[1].kind)
    assert.equal("coolwarm", story.rows[1].colormap)
    lu.show(map, folder .. "/b.png") -- two maps, not two pictures nor channels
    local drawn = require "lunette.picture.drawn"
    assert.equal("map", drawn.kind(map))
    assert.is_true(t.same(map:sum { dims = { 2 } }:view(2, 12, 12),
                          drawn.planes(map):detach()))
    assert.equal("channels", drawn.kind(lu.activation(run, { layer = "conv1" })))
    assert.equal("picture", drawn.kind(core.full(200, 3, 5, 5)))
    done()
  end)
end)


describe("lu.gradient", function()
  it("is the gradient of any function", function()
    local v = core.normal(1, 1, 3, 4)
    local g, value = lu.gradient(function(a) return (a * a * a):sum() end, v)
    assert.is_true(g:distance(v * v * 3) < 1e-6)
    assert.near((v * v * v):sum():item(), value:item(), 1e-6)
    local seed = core.normal(1, 2, 3, 4)
    g = lu.gradient(function(a) return a * 2 end, v, seed)
    assert.is_true(t.same(seed * 2, g))
    assert.matches("returned number", t.message(lu.gradient, function() return 1 end,
                                                v))
  end)
end)


describe("integrated gradients", function()
  it("are complete, on graphs too, and say how far they are from it", function()
    for _, case in ipairs { { net, x }, { graph, gx } } do
      local n, input = case[1], case[2]
      local map = lu.integrated_gradients(n, input, { score = 1, steps = 200,
        baseline = "blur", rule = "riemann_middle", modifiers = { "linear" } })
      local b = require("lunette.explain.baselines").of("blur", n, input)
      local ends = t.score_of(n, input, 1) - t.score_of(n, b, 1)
      for i = 1, 2 do
        local sum, want = map[i]:sum():item(), ends[i][1]
        assert.near(want, sum, 0.01 * math.abs(want) + 1e-3)
        assert.near(sum - want, map.story.delta[i], 1e-4)
      end
    end
  end)

  it("are the sum that their definition says, whatever the batch", function()
    local opts = { score = 2, steps = 5, rule = "riemann_left", baseline = 0.5,
                   modifiers = { "linear" } }
    local want = core.zeros(x:shape())
    for k = 0, 4 do
      local at = (x - 0.5) * (k / 5) + 0.5
      want = want + net:run(at, logit):gradient { score = 2 }
    end
    want = want * (x - 0.5) / 5
    local map = lu.integrated_gradients(run, opts)
    assert.is_true(map:distance(want) < 1e-5)
    for _, batch in ipairs { 1, 2, 5, 64 } do
      opts.batch = batch
      assert.is_true(t.same(map, lu.integrated_gradients(run, opts)))
    end
    assert.is_true(t.same(map, lu.integrated_gradients(net, x, opts)))
    local one = lu.integrated_gradients(net, x:rows(2), opts)
    assert.is_true(t.same(map:rows(2), one))
  end)

  it("of several baselines are the mean, with the delta furthest off", function()
    local opts = { score = 1, steps = 6, baseline = "zero", modifiers = { "linear" } }
    local a = lu.integrated_gradients(net, x, opts)
    opts.baseline = "blur"
    local b = lu.integrated_gradients(net, x, opts)
    opts.baseline = { "zero", "blur" }
    local both = lu.integrated_gradients(net, x, opts)
    assert.is_true(both:distance((a + b) * 0.5) < 1e-6)
    for i = 1, 2 do
      local one, other = a.story.delta[i], b.story.delta[i]
      assert.equal(math.abs(one) > math.abs(other) and one or other,
                   both.story.delta[i])
    end
    assert.same({ "zero", "blur" }, lu.methods.integrated_gradients.options.baseline
      :read "zero,blur")
    opts.baseline = {}
    assert.matches("baseline: the list is empty",
                   t.message(lu.integrated_gradients, net, x, opts))
  end)

  it("of several baselines: so do all that have one, of pictures and of layers",
     function()
    for _, name in ipairs { "guided_ig", "idgi", "layer_integrated_gradients",
                            "conductance", "neuron_conductance",
                            "internal_influence" } do
      local row, seen = lu.methods[name], 0
      local function of(baseline)
        local opts = { score = 1, steps = 4, baseline = baseline,
                       modifiers = { "linear" } }
        opts.progress = function(done, total)
          assert.is_true(done <= total)
          seen = math.max(seen, done / total)
        end
        return row(net, x, opts)
      end
      local _, a, b, both
      _, a = t.warnings(of, "mean")
      _, b = t.warnings(of, "blur")
      seen = 0
      _, both = t.warnings(of, { "mean", "blur" })
      assert.is_true(both:distance((a + b) * 0.5) < 1e-6, name)
      assert.equal(1, seen, name)
      for i = 1, a.story.delta and 2 or 0 do
        local one, other = a.story.delta[i], b.story.delta[i]
        assert.equal(math.abs(one) > math.abs(other) and one or other,
                     both.story.delta[i], name)
      end
    end
  end)

  it("and others take noise of your own, a channel for each or one for all", function()
    local one = core.normal(9, 0, 3, 1, 12, 12)
    local all = one:expand { shape = { 3, 3, 12, 12 } }
    for _, name in ipairs { "gradient_shap", "smoothgrad" } do
      local opts = { score = 1, samples = 3, sigma = 0.3, draws = one }
      local a = lu[name](net, x, opts)
      opts.draws = all
      assert.is_true(t.same(a:detach(), lu[name](net, x, opts):detach()), name)
      opts.draws = core.normal(9, 0, 3, 2, 12, 12)
      assert.matches("draws is a tensor %(samples,C,H,W%) or %(samples,1,H,W%), got "
        .. "one of shape %(3,2,12,12%): C is 3 here", t.message(lu[name], net, x, opts))
    end
  end)

  it("and those from random or blurred baselines say how far their sums are off",
     function()
    local function rise(map, below)
      local above = t.score_of(net, x, 1)
      for i = 1, 2 do
        assert.near(map[i]:sum():item() - (above[i][1] - below[i]), map.story.delta[i],
                    1e-5)
      end
    end
    local opts = { score = 1, samples = 4, baselines = { 0.5, -0.5, 2 },
                   index = core.tensor { 0, 1, 1, 0 }, modifiers = { "linear" } }
    local high, low = t.score_of(net, x * 0 + 0.5, 1), t.score_of(net, x * 0 - 0.5, 1)
    local below = { (high[1][1] + low[1][1]) / 2, (high[2][1] + low[2][1]) / 2 }
    rise(lu.expected_gradients(net, x, opts), below)
    rise(lu.gradient_shap(net, x, opts), below)
    local blurred = t.score_of(net, require "lunette.tensors.blur"(x, 3, "zero"), 1)
    rise(lu.blur_ig(net, x, { score = 1, steps = 4, max_sigma = 3,
                              modifiers = { "linear" } }),
         { blurred[1][1], blurred[2][1] })
  end)

  it("integrate polynomials exactly by Gauss and Legendre's rule", function()
    local paths = require "lunette.explain.paths"
    for n = 1, 40, 3 do
      local a, w = paths.rules.gausslegendre(n)
      for power = 0, 2 * n - 1, math.max(1, n // 3) do
        local sum = 0
        for i = 1, n do sum = sum + w[i] * a[i] ^ power end
        assert.near(1 / (power + 1), sum, 1e-12)
      end
    end
    for _, name in ipairs(paths.names) do -- a line's mean, but for the biased ones
      local a, w = paths.rules[name](9)
      local total = 0
      for i = 1, 9 do total = total + w[i] end
      assert.near(name == "riemann_trapezoid" and 8 / 9 or 1, total, 1e-12)
      assert.equal(9, #a)
    end
  end)
end)


describe("methods of the gradient", function()
  it("agree on a linear network", function()
    local flat = t.linear_net()
    local input = t.input(flat, 2)
    local r = flat:run(input)
    local want = lu.input_x_gradient(r, { score = 1 })
    local ig = lu.integrated_gradients(r, { score = 1, steps = 3 })
    assert.is_true(ig:distance(want) < 1e-5)
    local each = lu.occlusion(r, { score = 1, window = 1, stride = 1,
                                   channelwise = true })
    assert.is_true(each:distance(want) < 1e-3)
  end)

  it("permute with the classes", function()
    local other = t.net()
    local w, b = net.params["out.weight"], net.params["out.bias"]
    local order = core.tensor { 3, 1, 2, 5, 4 }
    other.params["out.weight"] = w:index_select(order, { dim = 1 })
    other.params["out.bias"] = b:index_select(order, { dim = 1 })
    for _, method in ipairs { lu.input_x_gradient, lu.gradcam, lu.layercam } do
      assert.is_true(t.same(method(net, x, { score = 2, modifiers = { "linear" } }),
                            method(other, x, { score = 0, modifiers = { "linear" } })))
    end
  end)
end)


describe("class activation maps", function()
  local A = run:activation "conv2"
  local g = run:gradient { score = 1, wrt = "conv2" }

  local function raw(name, opts)
    opts = opts or {}
    opts.score, opts.layer, opts.raw = 1, "conv2", true
    return lu[name](run, opts)
  end

  it("are their formulas", function()
    local function sum(v) return v:sum { dims = { 2 } } end
    assert.is_true(raw "hirescam":distance(sum(g * A)) < 1e-6)
    assert.is_true(raw "layercam":distance(sum(g:relu() * A)) < 1e-6)
    local over = (g * A):sum { dims = { 3, 4 }, keepdims = true }
    local under = A:sum { dims = { 3, 4 }, keepdims = true } + 1e-7
    assert.is_true(raw "xgradcam":distance(sum(A * (over / under))) < 1e-6)
  end)

  it("finish as Grad-CAM does", function()
    for _, dialect in ipairs { "tf-keras-vis", "pytorch-grad-cam" } do
      local map = lu.layercam(run, { score = 1, dialect = dialect })
      assert.same({ 2, 12, 12 }, map:shape())
      assert.equal(0, map:stats().min)
      assert.near(1, map:stats().max, 1e-5)
    end
  end)

  it("HiResCAM is Grad-CAM before a global average", function()
    local a = lu.gradcam(graph, gx, { score = 1, layer = "sum", raw = true,
                                      modifiers = { "linear" } })
    local b = lu.hirescam(graph, gx, { score = 1, layer = "sum", raw = true,
                                       modifiers = { "linear" } })
    assert.is_true(b:distance(a) < 1e-5)
  end)
end)


describe("occlusion", function()
  it("is what a slow twin says, whatever the batch", function()
    local map = lu.occlusion(run, { score = 1, window = 5, stride = 3,
                                    baseline = 0.25 })
    local clean = t.score_of(net, x, 1)
    local sum, count = core.zeros(2, 12, 12), core.zeros(2, 12, 12)
    for at_y = 0, 9, 3 do -- 7 / 3 rounded up, and one: the last is cut
      for at_x = 0, 9, 3 do
        local h, w = math.min(5, 12 - at_y), math.min(5, 12 - at_x)
        local covered = x:clone()
        for i = 1, 2 do
          for c = 1, 3 do
            covered[i][c]:paste_(core.full(0.25, h, w), at_y + 1, at_x + 1)
          end
        end
        local fall = clean - t.score_of(net, covered, 1)
        for i = 1, 2 do
          local window = core.zeros(12, 12)
          window:paste_(core.ones(h, w), at_y + 1, at_x + 1)
          sum[i]:add_(window * fall[i][1])
          count[i]:add_(window)
        end
      end
    end
    assert.is_true(map:distance(sum / count) < 1e-4)
    for _, batch in ipairs { 1, 3, 100 } do
      local again = lu.occlusion(run, { score = 1, window = 5, stride = 3,
                                        baseline = 0.25, batch = batch })
      assert.is_true(again:distance(map) < 1e-6)
    end
  end)

  it("says when nothing changes", function()
    local warned = t.warnings(lu.occlusion, run, { score = 1, baseline = x,
                                                 window = 4, stride = 4 })
    assert.equal(2, #warned)
    assert.matches("no window changes the score", warned[1])
  end)

  it("of segments is what each brings, or what is left of the score with it alone",
     function()
    local labels = core.zeros(12, 12)
    labels:paste_(core.ones(5, 7), 3, 2)
    labels:paste_(core.full(4, 4, 12), 9, 1)
    local opts = { score = 1, segments = labels, baseline = "mean",
                   modifiers = { "linear" } }
    local map = lu.occlusion(net, x, opts)
    assert.is_true(map:distance(lu.feature_ablation(net, x, opts)) < 1e-6)
    assert.is_nil(map.story.window)
    opts.keep = true
    local kept = lu.occlusion(net, x, opts)
    local base = require("lunette.explain.baselines").of("mean", net, x)
    for _, name in ipairs { 0, 1, 4 } do
      local here = labels:eq(name):view(1, 1, 12, 12)
      local want = t.score_of(net, x * here + base * (1 - here), 1, logit)
      for i = 1, 2 do
        local off = (kept[i]:view(1, 1, 12, 12) - want[i]:item()) * here
        assert.is_true(off:abs():max():item() < 1e-5)
      end
    end
    opts.channelwise = true
    assert.matches("channelwise is of windows", t.message(lu.occlusion, net, x, opts))
  end)

  it("of segments takes labels from a picture's colours, or from an array", function()
    local folder, done = t.folder()
    local labels, colours = core.zeros(12, 12), core.full(90, 3, 12, 12)
    labels:paste_(core.ones(5, 7), 3, 2)
    colours:paste_(core.full(91, 3, 5, 7), 3, 2) -- one level apart
    assert(lu.image.save(folder .. "/organs.png", colours))
    assert(lu.image.save(folder .. "/organs.PNG", colours))
    for _, name in ipairs { "npy", "NPY" } do
      assert(lu.npy.write(folder .. "/organs." .. name, labels))
    end
    local opts = { score = 1, segments = labels, modifiers = { "linear" } }
    local want = lu.occlusion(net, x, opts)
    for _, name in ipairs { "png", "PNG", "NPY", "npy" } do
      opts.segments = folder .. "/organs." .. name
      assert.is_true(lu.occlusion(net, x, opts):same(want), name)
    end
    assert(lu.npy.write(opts.segments, core.zeros(5, 7)))
    assert.matches("labels are %(5,7%), the picture is %(12,12%)",
                   t.message(lu.occlusion, net, x, opts))
    opts.segments = folder .. "/none.png"
    assert.matches("none.png", t.message(lu.occlusion, net, x, opts))
    opts.segments = "organs.gif"
    assert.matches("a .png or .npy file", t.message(lu.occlusion, net, x, opts))
    done()
  end)

  it("of masks: where they overlap, the mean of their falls, or the sum", function()
    local all = core.zeros(3, 12, 12)
    all[1]:paste_(core.ones(6, 6), 2, 2)
    all[2]:paste_(core.ones(6, 6), 5, 4)
    all[3]:paste_(core.ones(2, 12), 10, 1)
    local opts = { score = 1, segments = all, modifiers = { "linear" } }
    local map = lu.occlusion(net, x, opts)
    opts.sum = true
    local sum = lu.occlusion(net, x, opts)
    local clean = t.score_of(net, x, 1, logit)
    for i = 1, 2 do
      local falls, count = core.zeros(12, 12), core.zeros(12, 12)
      for m = 1, 3 do
        local here = all[m]:view(1, 1, 12, 12)
        local hidden = t.score_of(net, x:rows(i) * (1 - here), 1, logit)
        falls:add_(all[m] * (clean[i] - hidden:item()))
        count:add_(all[m])
      end
      assert.is_true((sum[i] - falls):abs():max():item() < 1e-5)
      local mean = falls / count:maximum(core.ones(1))
      assert.is_true((map[i] - mean):abs():max():item() < 1e-5)
    end
    assert.matches("%(3,12,12%), the picture is %(12,12%); masks that may overlap",
                   t.message(lu.lime, net, x, { segments = all }))
    opts.segments = core.zeros(3, 5, 5)
    assert.matches("labels are %(3,5,5%)", t.message(lu.occlusion, net, x, opts))
  end)
end)


describe("masks and perturbations", function()
  local masks = require "lunette.explain.masks"
  local perturb = require "lunette.explain.perturb"

  it("refuse backward rules, which could not matter", function()
    for _, name in ipairs { "occlusion", "rise", "lime", "scorecam",
                            "layer_ablation" } do
      for _, m in ipairs { "guided", "epsilon_plus" } do
        local message = t.message(lu[name], run, { score = 1, modifiers = { m } })
        assert.matches("'" .. m .. "' is about backward", message)
      end
    end
  end)

  it("of windows hide every pixel: a stride beyond the window is refused", function()
    for _, stride in ipairs { 4, { 3, 5 }, 60 } do
      assert.matches("stride of %d+ x %d+ beyond windows of 3 x 4", t.message(
        masks.windows, { height = 7, width = 9, window = { 3, 4 }, stride = stride }))
    end
    assert.matches("the stride is at most the window", t.message(lu.occlusion, t.net(),
      core.normal(1, 0, 1, 3, 12, 12), { window = 3, stride = 6, score = 1 }))
  end)

  it("cover every pixel by windows, and each segment once", function()
    local windows = masks.windows { height = 7, width = 9, window = { 3, 4 },
                                    stride = { 2, 3 } }
    assert.equal(3 * 3, windows.count)
    local all = windows.get(1, windows.count)
    assert.equal(0, all:min { dims = { 1 } }:stats().max)
    local labels = core.tensor { { 5, 5, 2 }, { 2, 5, 9 } }
    local segments, names = masks.segments(labels)
    assert.same({ 2, 5, 9 }, names)
    local m = segments.get(1, 3)
    assert.is_true(t.same(core.full(2, 1, 1, 2, 3), m:sum { dims = { 1 },
                                                          keepdims = true }))
    local c = masks.coalitions(labels, core.tensor { { 1, 0, 1 }, { 0, 0, 0 } })
    assert.is_true(t.same(core.tensor { { 0, 0, 1 }, { 1, 0, 1 } },
                          c.get(1, 2)[1][1]))
    assert.equal(0, c.get(2, 1):stats().max)
  end)

  it("are random by seed, mask by mask", function()
    local o = { height = 20, width = 26, cells = 4, keep = 0.5, count = 7, seed = 3 }
    local all = masks.random(o).get(1, 7)
    assert.is_true(t.same(all[5], masks.random(o).get(5, 1)[1]))
    assert.is_true(all:stats().min >= 0 and all:stats().max <= 1)
    assert.near(0.5, all:mean():item(), 0.15)
  end)

  it("leave the picture's bits where the mask is 1, and no trace of NaN", function()
    local values = perturb.values(run, { masks = core.ones(1, 12, 12), score = 1 })
    assert.is_true(t.same(run:values(1), values:reshape { 2 }))
  end)

  it("run only what follows a layer", function()
    local layer = net:activated "conv2"
    local spec = { masks = masks.channels(8), score = 1, from = layer, batch = 3 }
    local values = perturb.values(run, spec)
    local A = run:activation "conv2"
    for k = 1, 8 do
      local without = A:detach():clone()
      for i = 1, 2 do without[i][k]:fill_(0) end
      local part <close> = net:run_from("conv2", without, logit)
      for i = 1, 2 do assert.near(part.output[i][2], values[i][k], 1e-5) end
    end
  end)
end)


describe("baselines", function()
  local of = require("lunette.explain.baselines").of

  it("are what their names say", function()
    assert.equal(0, of("zero", net, x):stats().l2)
    local mean = of("mean", net, x)
    assert.near(x[2][3]:mean():item(), mean:get(2, 3, 4, 5), 1e-6)
    assert.equal(0.5, of(0.5, net, x):stats().max)
    local colour = core.tensor({ 1, 2, 3 }):view(3, 1, 1)
    assert.equal(2, of(colour, net, x):get(2, 2, 7, 7))
    assert.is_true(t.same(x * 2, of(function(v) return v * 2 end, net, x)))
    assert.is_true(of("blur", net, x):stats().sd == nil
                   or of("blur", net, x):stats().l2 < x:stats().l2)
    assert.same(x:shape(), of("black", net, x):shape())
    assert.matches("does not fit", t.message(of, core.zeros(4, 5), net, x))
    assert.matches("expected a name", t.message(of, true, net, x))
  end)

  it("blur keeps a constant picture, and the sum inside", function()
    local blur = require "lunette.tensors.blur"
    local flat = core.full(3, 1, 2, 9, 8)
    assert.is_true(blur(flat, 2):distance(flat) < 1e-6)
    local dot = core.zeros(1, 1, 41, 41)
    dot:set(1, 1, 21, 21, 1)
    assert.near(1, blur(dot, 3, "zero"):sum():item(), 1e-5)
    assert.is_true(t.same(dot, blur(dot, 0)))
  end)
end)


describe("optimise", function()
  it("climbs", function()
    local optimise = require "lunette.explain.optimise"
    local target = core.normal(1, 1, 5)
    for _, step in ipairs { "adam", "sgd" } do
      local best, trace = optimise { x = core.zeros(5), steps = 300, step = step,
        rate = 0.05, gradient = function(v)
          local g, value = lu.gradient(function(a)
            return -((a - target):square():sum())
          end, v)
          return g, value:item()
        end }
      assert.is_true(best:distance(target) < 1e-2)
      assert.is_true(trace[300] > trace[1])
    end
  end)
end)


describe("deletion and insertion", function()
  it("find the pixels that matter in a network that looks at them", function()
    -- the score is the sum of the upper left 2 x 2 pixels
    local look = assert(lu.net { input = { 1, 6, 6 }, layers = { { "f", "flatten" },
      { "out", "linear", units = 2 } } }):init(1)
    look.params["out.weight"]:fill_(0)
    for _, at in ipairs { 1, 2, 7, 8 } do look.params["out.weight"]:set(1, at, 1) end
    local r = look:run(core.ones(1, 1, 6, 6))
    local good = core.zeros(6, 6)
    good:paste_(core.ones(2, 2), 1, 1)
    local o = { score = 0, steps = 9 } -- four pixels a step: all is gone after one
    local area, _, curves = lu.metrics.deletion(good, r, o)
    assert.same({ 4, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, curves[1])
    assert.near(2 / 9, area, 1e-6)
    assert.near(4 * 8.5 / 9, (lu.metrics.insertion(good, r, o)), 1e-5)
    assert.near(4 * 8.5 / 9, (lu.metrics.deletion(-good, r, o)), 1e-5)
    assert.matches("expected a run of 2 images", t.message(lu.metrics.deletion,
      core.zeros(2, 6, 6), r))
  end)
end)


describe("noise", function()
  it("of deviation 0 changes nothing; VarGrad of it is 0", function()
    local plain = lu.saliency(run, { score = 1, raw = true })
    local map = lu.smoothgrad(run, { score = 1, noise = 0, samples = 3 })
    assert.is_true(map:distance(plain) < 1e-6)
    local none = t.warnings(lu.smoothgrad, run, { score = 1, noise = 0, samples = 3,
                                                  how = "variance" })
    assert.equal(2, #none)
    local of = lu.smoothgrad(run, { score = 1, noise = 0, samples = 2,
                                    of = "input_x_gradient" })
    assert.is_true(of:distance(x * plain) < 1e-6)
  end)

  it("is the story of its method and seed, batch or no batch", function()
    local a = lu.smoothgrad(run, { score = 1, samples = 5, seed = 2 })
    assert.is_true(t.same(a, lu.smoothgrad(run, { score = 1, samples = 5, seed = 2,
                                                  batch = 2 })))
    assert.equal("saliency", a.story.of)
    assert.equal(2, a.story.seed)
    assert.matches("of is a method's name", t.message(lu.smoothgrad, run,
                                                      { of = "saliencee" }))
  end)
end)
