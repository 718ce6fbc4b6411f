-- Methods: saliency, Grad-CAM, layer activation, against formulas put together from
-- gradients and activations; options, dialects, warnings.
local lu = require "lunette"
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"

local net = t.net()
local x = t.input(net, 3)
local run = net:run(x, { modifiers = { "linear" } })


---The map (H,W) as tf-keras-vis makes it, from a gradient (C,H,W).
local function tkv(g)
  local m = g:abs():view(1, table.unpack(g:shape())):max { dims = { 2 } }
  local s = m:stats()
  return ((m - s.min) / (s.max - s.min + 1e-7))[1]
end


describe("saliency", function()
  it("of a network of vectors has a value for every value", function()
    local vectors = assert(lu.net { name = "table", input = { 5 }, layers = {
      { "a", "linear", units = 3 } } }):init(2)
    local slopes = vectors.params["a.weight"][2]:abs():reshape { 1, 5 }
    local rows = core.normal(4, 0, 2, 5)
    local map = lu.saliency(vectors, rows, { score = 1 })
    assert.same({ 2, 5 }, map:shape())
    for i = 1, 2 do -- linear: the same for every row
      local one = map:narrow { dim = 1, start = i, length = 1 }
      assert.is_true(one:distance(slopes:normalize()) < 1e-6)
    end
  end)


  it("is the largest absolute gradient over channels, min-max per image", function()
    local g = run:gradient { score = { 0, 1, 2 } }
    local map = lu.saliency(run, { score = { 0, 1, 2 } })
    assert.same({ 3, 12, 12 }, map:shape())
    for i = 1, 3 do assert.is_true(map[i]:distance(tkv(g[i])) < 1e-6) end
    assert.equal(0, map:stats().min)
    assert.near(1, map:stats().max, 1e-6)
  end)

  it("takes a network and pictures, or a run", function()
    local a = lu.saliency(run, { score = 1 })
    assert.is_true(t.same(a, lu.saliency(net, x, { score = 1,
                                                   modifiers = { "linear" } })))
    assert.is_true(t.same(lu.saliency(net, x), lu.saliency(net:run(x))))
    assert.matches("saliency: expected a network", t.message(lu.saliency, x))
    assert.matches("saliency: expected a network", t.message(lu.saliency))
    assert.matches("wants a tensor", t.message(lu.saliency, net))
    assert.matches("wants a tensor", t.message(lu.saliency, net, "hen.jpg"))
  end)

  it("keeps channels, signs and scale on request", function()
    local g = run:gradient { score = 1 }
    assert.is_true(t.same(g, lu.saliency(run, { score = 1, raw = true })))
    local kept = lu.saliency(run, { score = 1, keepdims = true, normalize = false })
    assert.is_true(t.same(g:abs(), kept))
    local flat = lu.saliency(run, { score = 1, normalize = false })
    assert.is_true(t.same(g:abs():max { dims = { 2 } }, flat))
    local signed = lu.saliency(run, { score = 1, normalize = false, keepdims = true,
                                      gradient_modifier = "none" })
    assert.is_true(t.same(g, signed))
    local squared = lu.saliency(run, { score = 1, normalize = false, keepdims = true,
      gradient_modifier = function(d) return d * d end })
    assert.is_true(t.same(g * g, squared))
    assert.matches("gradient_modifier is", t.message(lu.saliency, run, {
      gradient_modifier = "abc" }))
  end)

  it("has dialects", function()
    local g = run:gradient { score = 1 }
    assert.is_true(t.same(g:abs(), lu.saliency(run, { score = 1, dialect = "captum" })))
    assert.matches("'pytorch%-grad%-cam' is none of tf%-keras%-vis, captum",
                   t.message(lu.saliency, run, { dialect = "pytorch-grad-cam" }))
    assert.matches("'capum' is none of .*; did you mean 'captum'",
                   t.message(lu.saliency, run, { dialect = "capum" }))
  end)

  it("smooths: the mean of |g| over noisy copies, one stream a copy", function()
    local n, noise, seed = 5, 0.3, 11
    local map = lu.saliency(run, { score = 1, smooth_samples = n, smooth_noise = noise,
                                   seed = seed, normalize = false, keepdims = true })
    for i = 1, 3 do
      local s, total = x[i]:stats(), core.zeros(3, 12, 12)
      for k = 1, n do
        local one = x[i] + core.normal(seed, (1 << 32) + k, 3, 12, 12)
          * (noise * (s.max - s.min))
        local r = net:run(one:view(1, 3, 12, 12), { modifiers = { "linear" } })
        total = total + r:gradient({ score = 1 })[1]:abs()
      end
      assert.is_true(map[i]:distance(total / n) < 1e-6)
    end
    assert.equal(seed, map.story.seed)
    assert.equal(n, map.story.smooth_samples)
  end)

  it("has the same bits for any batch of noisy copies", function()
    local function smooth(batch, score, mods)
      return lu.saliency(run, { score = score or 1, smooth_samples = 7, batch = batch,
                                modifiers = mods or {} })
    end
    local a = smooth(1)
    for _, batch in ipairs { 2, 3, 7, 100 } do
      assert.is_true(t.same(a, smooth(batch)), "batch " .. batch)
    end
    assert.is_true(t.same(smooth(1, { 0, 1, 2 }, { "guided" }),
                          smooth(4, { 0, 1, 2 }, { "guided" })))
    assert.is_true(t.same(smooth(2, "predicted"), smooth(5, "predicted")))
    assert.is_false(t.same(a, lu.saliency(run, { score = 1, smooth_samples = 7,
                                                 seed = 1 })))
    -- one image of a batch is the image by itself
    local one = lu.saliency(net:run(x:rows(1), { modifiers = { "linear" } }),
                            { score = 1, smooth_samples = 7 })
    assert.is_true(t.same(a:rows(1), one))
  end)

  it("smooths a network's pictures without a clean pass, to the same bits", function()
    local plain = net:run(x)
    for _, score in ipairs { 1, { 0, 1, 2 }, "predicted", lu.score.contrast(1, 2) } do
      for subject, mods in pairs { [run] = { "linear", "guided" }, [plain] = {} } do
        local opts = { score = score, smooth_samples = 3, modifiers = mods }
        local a, b = lu.saliency(subject, opts), lu.saliency(net, x, opts)
        assert.is_true(t.same(a, b))
        assert.same(a.story, b.story)
      end
    end
    assert.has_error(function()
      lu.saliency(net, x, { score = 5, smooth_samples = 2 })
    end, "score: class 5 is outside 0 .. 4 of " .. net.name)
    local two = { score = { 0, 1 }, smooth_samples = 2 }
    local message = "score: 2 classes for 3 images; give one for all or one each"
    assert.has_error(function() lu.saliency(run, two) end, message)
    assert.has_error(function() lu.saliency(net, x, two) end, message)
    assert.matches("wants a tensor %(N,", t.message(lu.saliency, net,
      x:rows(1):view(x:size() // 3), { score = 1, smooth_samples = 2 }))
  end)


  it("smooths with the run's own forward modifiers", function()
    local plain = net:run(x) -- with softmax
    local a = lu.saliency(plain, { score = 1, smooth_samples = 2 })
    local b = lu.saliency(run, { score = 1, smooth_samples = 2 })
    local c = lu.saliency(plain, { score = 1, smooth_samples = 2,
                                   modifiers = { "linear" } })
    assert.is_true(t.same(b, c))
    assert.is_false(t.same(a, b))
    local layer = net:run(x, { modifiers = { lu.extract "relu2" } })
    assert.is_true(t.same(lu.saliency(layer, { score = 3, smooth_samples = 2 }),
      lu.saliency(plain, { score = 3, smooth_samples = 2,
                           modifiers = { lu.extract "relu2" } })))
    local binary = lu.score.binary { true, false, true }
    local single = assert(lu.net { input = { 4 }, layers = {
      { "a", "linear", units = 5 }, { "r", "relu" }, { "out", "linear", units = 1 } } })
    local r = single:init(1):run(t.input(single, 3))
    assert.same({ 3, 4 }, lu.saliency(r, { score = binary, smooth_samples = 3,
                                           raw = true }):shape())
  end)

  it("explains noisy copies by what the picture was", function()
    local function smooth(r, score)
      return lu.saliency(r, { score = score, smooth_samples = 5, batch = 2,
                              smooth_noise = 2, raw = true })
    end
    local top = run:top(1)
    for k = 0, 4 do
      local one = x:rows(1)
      local r = net:run(one, { modifiers = { "linear" } })
      local want = smooth(r, lu.score.contrast(top[1][1].class, k))
      assert.is_true(t.same(want, smooth(r, lu.score.contrast("predicted", k))))
      assert.equal(k == top[1][1].class, want:stats().l2 == 0)
    end
    -- a mask and a class each
    local mods = { modifiers = { lu.extract "relu2" } }
    local masks = lu.core.uniform(4, 1, { 3, 4, 4 })
    local maps = smooth(net:run(x, mods), lu.score.segment(masks, "1,2,3"))
    local first = smooth(net:run(x:rows(1), mods), lu.score.segment(masks[1], 1))
    assert.is_true(t.same(first, maps:rows(1)) and first:stats().l2 > 0)
    local other = smooth(net:run(x:rows(1), mods), lu.score.segment(masks[2], 1))
    assert.is_false(t.same(first, other))
  end)

  it("refuses options that make no sense", function()
    local function of(opts) return t.message(lu.saliency, run, opts) end
    assert.matches("unknown option 'smooth_sample'; did you mean 'smooth_samples'",
                   of { smooth_sample = 3 })
    assert.matches("'smooth_samples' is a number, got '",
                   of { smooth_samples = "3" })
    assert.matches("smooth_samples is a whole number from 0 on, got %-1",
                   of { smooth_samples = -1 })
    assert.matches("got 2.5", of { smooth_samples = 2.5 })
    assert.matches("batch is a whole number from 1 on", of { batch = 0 })
    assert.matches("options are a table, got 3", t.message(lu.saliency, run, 3))
    assert.matches("class 9 is outside", of { score = 9 })
    assert.matches("modifier 'guide' not found", of { modifiers = { "guide" } })
    assert.matches("expected a class", of { score = true })
  end)

  it("warns where there is nothing to see", function()
    local warned, map = t.warnings(lu.saliency, run, { score = lu.score.inactive() })
    assert.equal(3, #warned)
    assert.matches("saliency: the map of image 2 is 0 everywhere; no gradient reaches",
                   warned[2])
    assert.equal(0, map:stats().l2)
    local y = x:clone()
    y:set(2, 1, 1, 1, 0 / 0)
    warned = t.warnings(lu.saliency, net, y, { modifiers = { "linear" }, score = 1 })
    local text = table.concat(warned, "\n")
    assert.matches("NaN", text)
  end)

  it("tells how it was made", function()
    local map = lu.saliency(run, { score = { 0, 4, 2 }, modifiers = { "guided" } })
    assert.same("saliency", map.story.method)
    assert.same("small", map.story.model)
    assert.same({ 0, 4, 2 }, map.story.classes)
    assert.same("categorical(0,4,2)", map.story.score)
    assert.same({ "guided" }, map.story.modifiers)
    assert.same("tf-keras-vis", map.story.dialect)
    assert.equal(run:top(1)[1][1].class, lu.saliency(run).story.classes[1])
  end)
end)


describe("Grad-CAM", function()
  local function raw_by_hand(layer, mods)
    local g = run:gradient { score = 1, wrt = layer, modifiers = mods }
    local w = g:mean { dims = { 3, 4 }, keepdims = true }
    return (run:activation(layer) * w):sum { dims = { 2 } }
  end

  it("weights activations by mean gradients", function()
    for _, layer in ipairs { "conv1", "pool1", "conv2" } do
      local raw = lu.gradcam(run, { score = 1, layer = layer, raw = true })
      assert.is_true(raw:distance(raw_by_hand(layer)) < 1e-6)
    end
    local guided = lu.gradcam(run, { score = 1, layer = "pool1", raw = true,
                                     modifiers = { "guided" } })
    assert.is_true(guided:distance(raw_by_hand("pool1", { "guided" })) < 1e-6)
    assert.is_true(t.same(lu.gradcam(run, { score = 1 }),
                          lu.gradcam(run, { score = 1, layer = "conv2" })))
    for _, l in ipairs { false, "conv1", "pool1", "conv2" } do
      local opts = { score = 1, layer = l, modifiers = { "linear" } }
      assert.is_true(t.same(lu.gradcam(run, opts), lu.gradcam(net, x, opts)))
    end
    local seen -- a score may look at every layer, before the one that is drawn too
    lu.gradcam(net, x, { score = function(y, r)
      seen = r.conv1
      return y:square():sum { dims = { 2 } }
    end })
    assert.is_true(t.same(seen, run.conv1))
  end)

  it("finishes as each toolkit does", function()
    local raw = raw_by_hand "conv2"
    local keras = lu.gradcam(run, { score = 1, layer = "conv2" })
    assert.same({ 3, 12, 12 }, keras:shape())
    local want = raw:relu():resize(12, 12, { align_corners = true }):normalize()
    assert.is_true(keras:distance(want) < 1e-6)
    local captum = lu.gradcam(run, { score = 1, layer = "conv2", dialect = "captum" })
    assert.is_true(captum:distance(raw) < 1e-6)
    captum = lu.gradcam(run, { score = 1, layer = "conv2", dialect = "captum",
                               relu = true })
    assert.is_true(captum:distance(raw:relu()) < 1e-6)
    local pytorch = lu.gradcam(run, { score = 1, dialect = "pytorch-grad-cam" })
    want = raw:relu():normalize():resize(12, 12):relu():normalize()
    assert.is_true(pytorch:distance(want) < 1e-5)
    local small = lu.gradcam(run, { score = 1, expand = false })
    assert.same({ 3, 4, 4 }, small:shape())
    local signed = lu.gradcam(run, { score = 1, expand = false, relu = false,
                                     normalize = false })
    assert.is_true(signed:distance(raw) < 1e-6)
  end)

  it("wants a layer with height and width", function()
    local function of(opts) return t.message(lu.gradcam, run, opts) end
    assert.matches("layer 'fc_relu' has shape %(7%), no height and width; choose a "
                   .. "convolution, for example 'relu2'", of { layer = "fc" })
    assert.matches("layer 'conv3' not found in small; did you mean 'conv", of {
      layer = "conv3" })
    assert.matches("was not part of this run", t.message(lu.gradcam,
      net:run(x, { modifiers = { lu.extract "relu1" } }), { layer = "conv2" }))
    local dense = assert(lu.net { input = { 4 }, layers = {
      { "out", "linear", units = 2 } } }):init(1)
    assert.matches("no convolution", t.message(lu.gradcam, dense, t.input(dense)))
    local graph = t.graph()
    assert.matches("layer 'mean' has shape %(8,1,1%)", t.message(
      lu.gradcam, graph, t.input(graph), { layer = "mean" }))
  end)

  it("says why a map is flat", function()
    -- a class whose evidence is negative everywhere
    local flat = assert(lu.net { input = { 1, 6, 6 }, layers = {
      { "c", "conv2d", filters = 1, kernel = 1 }, { "r", "relu" },
      { "p", "global_avg_pool" }, { "f", "flatten" },
      { "out", "linear", units = 2 } } }):init(1)
    flat.params["c.weight"]:fill_(1)
    flat.params["out.weight"]:set(1, 1, -2)
    local r = flat:run(lu.core.uniform(1, 1, 1, 1, 6, 6))
    local warned, map = t.warnings(lu.gradcam, r, { score = 0, layer = "c" })
    assert.equal(1, #warned)
    assert.matches("gradcam: the map of image 1 is 0 everywhere; before relu it lies "
                   .. "between %-0%.%d+ and %-0%.%d+; use raw = true", warned[1])
    assert.equal(0, map:stats().l2)
    warned = t.warnings(lu.gradcam, r, { score = 0, layer = "c", raw = true })
    assert.equal(0, #warned)
    warned = t.warnings(lu.gradcam, r, { score = lu.score.inactive(), layer = "c" })
    assert.matches("no gradient reaches r", warned[1])
  end)

  it("tells how it was made", function()
    local map = lu.gradcam(run, { score = 1 })
    assert.equal("relu2", map.story.layer)
    assert.is_number(map.story.raw_min)
    assert.same({ 1, 1, 1 }, map.story.classes)
  end)
end)


describe("layer activation", function()
  it("is what the layer puts out", function()
    assert.is_true(t.same(run.relu1, lu.activation(run, { layer = "conv1" })))
    assert.is_true(t.same(run.relu2, lu.activation(run)))
    assert.is_true(t.same(run.fc, lu.activation(net, x, { layer = "fc" })))
    local two = lu.activation(run, { layer = "conv1", channel = 2 })
    assert.same({ 3, 12, 12 }, two:shape())
    assert.equal(run.relu1:get(3, 2, 5, 6), two:get(3, 5, 6))
    assert.equal("relu1", two.story.layer)
    assert.is_nil(two.story.score)
  end)

  it("is a copy: the run does not change with it", function()
    local before = run.relu1:clone()
    lu.activation(run, { layer = "conv1" }):fill_(0)
    lu.gradcam(run, { score = 1, raw = true }):fill_(0)
    assert.is_true(t.same(before, run.relu1))
  end)

  it("refuses what is not there", function()
    local function of(opts) return t.message(lu.activation, run, opts) end
    assert.matches("layer 'conv7' not found", of { layer = "conv7" })
    assert.matches("not part of this run", of { layer = "softmax" })
    assert.matches("channels 1 .. 6, not 7", of { layer = "conv1", channel = 7 })
    assert.matches("channel is a whole number from 1 on, got 1.5",
                   of { layer = "conv1", channel = 1.5 })
    assert.matches("unknown option 'chanel'", of { chanel = 1 })
  end)

  it("needs no classes", function()
    local top = assert(lu.net(lu.models.vgg11 { width = 1 / 32, top = false,
                                                side = 32 })):init(1)
    local map = lu.activation(top, t.input(top))
    assert.same({ 1, 16, 2, 2 }, map:shape())
    assert.is_true(lu.saliency(top, t.input(top), { score = 3 }):stats().finite)
  end)
end)
