-- Masks that are found, segments that come together, pictures that differ in a
-- rectangle: each against its formula written out, or a closed form.
local lu = require "lunette"
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"

local logit = { "linear" }


---A network without bias that is linear in the picture: (channels,h,w) to 2 values.
local function linear_net(channels, h, w)
  local net = assert(lu.net { name = "flat", input = { channels, h, w }, layers = {
    { "f", "flatten" }, { "out", "linear", units = 2 } } }):init(4)
  net.params["out.bias"]:fill_(0)
  return net
end


describe("a window as large as the picture", function()
  it("is said to be why an occlusion map is flat", function()
    local net = linear_net(3, 6, 5)
    local x = core.uniform(1, 0, 1, 3, 6, 5)
    for window, why in pairs { [6] = "one window covers the whole picture %(6 x 5%)",
                               [3] = "" } do
      local said = t.warnings(lu.occlusion, net, x, { score = 1, window = window,
                                                      stride = 3 })
      assert.equal(why == "" and 0 or 1, #said)
      assert.matches(why, said[1] or "")
    end
  end)
end)


describe("Partition SHAP", function()
  local net, x = t.net(), core.normal(3, 0, 2, 3, 12, 12)

  ---The score with the segments of `kept` (a set of labels) beside zeros.
  local function value_of(picture, labels, kept)
    local mask = core.zeros(12, 12)
    for name in pairs(kept) do mask:add_(labels:eq(name)) end
    local run <close> = net:run(picture * mask, { modifiers = logit })
    return run.output:get(1, 3)
  end

  ---The orders of four quarters in which each half comes as a whole.
  local function orders()
    local list = {}
    for _, halves in ipairs { { { 0, 1 }, { 2, 3 } }, { { 2, 3 }, { 0, 1 } } } do
      for bits = 0, 3 do
        local order = {}
        for h, half in ipairs(halves) do
          local turned = bits >> (h - 1) & 1
          order[#order + 1] = half[1 + turned]
          order[#order + 1] = half[2 - turned]
        end
        list[#list + 1] = order
      end
    end
    return list
  end

  it("is the mean over the orders in which each half comes as a whole", function()
    local labels = core.zeros(12, 12)
    labels:paste_(core.full(1, 6, 6), 1, 7)
    labels:paste_(core.full(2, 6, 6), 7, 1)
    labels:paste_(core.full(3, 6, 6), 7, 7)
    local map = lu.partition_shap(net, x, { score = 2, modifiers = logit, segments = 2,
                                            baseline = "zero", evals = 12 })
    for i = 1, 2 do
      local found = { [0] = 0, 0, 0, 0 }
      for _, order in ipairs(orders()) do
        local kept, before = {}, value_of(x:rows(i), labels, {})
        for _, name in ipairs(order) do
          kept[name] = true
          local after = value_of(x:rows(i), labels, kept)
          found[name], before = found[name] + (after - before) / 8, after
        end
      end
      for name = 0, 3 do
        local y, c = name // 2 * 6 + 1, name % 2 * 6 + 1
        assert.is_true(math.abs(map:get(i, y, c) * 36 - found[name]) < 1e-5)
      end
    end
    assert.equal(12, map.story.asked[1])
  end)

  it("sums to the score's rise, however few pictures were looked at", function()
    for _, evals in ipairs { 2, 3, 10, 57 } do
      local map = lu.partition_shap(net, x, { score = 2, modifiers = logit,
                                              evals = evals })
      local blurred = require "lunette.explain.baselines".of("blur", net, x)
      for i = 1, 2 do
        local a <close> = net:run(x:rows(i), { modifiers = logit })
        local b <close> = net:run(blurred:rows(i), { modifiers = logit })
        local rise = a.output:get(1, 3) - b.output:get(1, 3)
        assert.is_true(math.abs(map[i]:sum():item() - rise) < 1e-5)
        assert.is_true(map.story.asked[i] <= evals)
      end
    end
  end)

  it("of what is linear is picture times weight, pixel by pixel", function()
    local flat = linear_net(1, 4, 3)
    local y = core.normal(1, 0, 1, 1, 4, 3)
    local map = lu.partition_shap(flat, y, { score = 1, baseline = "zero",
                                             evals = 1000 })
    local want = lu.input_x_gradient(flat, y, { score = 1 })
    assert.is_true(map:distance(want:view(1, 4, 3)) < 1e-5)
  end)

  it("divides unequal segments of one's own down to single ones", function()
    local labels = core.uniform(5, 0, 12, 12) * 5
    labels = labels:floor()
    local map = lu.partition_shap(net, x:rows(1), { score = 2, segments = labels,
      baseline = 0.5, modifiers = logit, evals = 400 })
    for name = 0, 4 do -- one value a segment
      local inside = labels:eq(name)
      local share = (map:view(12, 12) * inside)
      local mean = share:sum():item() / inside:sum():item()
      assert.is_true((share - inside * mean):abs():max():item() < 1e-6)
    end
  end)
end)


describe("smooth masks", function()
  it("are soft maxima of cells under a kernel, pixel by pixel", function()
    for _, case in ipairs { { 12, 9, 4, 5 }, { 7, 8, 3, 3 }, { 10, 10, 5, 5 } } do
      local h, w, step, sigma = table.unpack(case)
      local masks = require("lunette.explain.smooth_masks").new(h, w, step, sigma)
      local p = core.uniform(3, 0, 1, 1, masks.rows, masks.columns)
      local mask, whole = masks.generate(p)
      assert.same({ 1, 1, h, w }, mask:shape())
      local radius, sum = 1 + math.ceil(sigma / step), 0
      for y = 1, h do
        for x = 1, w do
          local above, below = 0, 0
          local v, u = y - 1 + sigma, x - 1 + sigma -- with the margin
          local pad = 1 + math.ceil(2 * sigma / step)
          for ky = 0, 2 * radius do
            for kx = 0, 2 * radius do
              local i, j = v // step + ky - pad, u // step + kx - pad
              local inside = i >= 0 and j >= 0 and i < masks.rows and j < masks.columns
              local cell = inside and p:get(1, 1, i + 1, j + 1) or 0
              local d = math.sqrt((v - sigma - step * i) ^ 2
                                  + (u - sigma - step * j) ^ 2)
              local value = cell * math.exp(-2 * math.max(d / sigma - 0.5, 0) ^ 2)
              above = above + value * math.exp(20 * value)
              below = below + math.exp(20 * value)
            end
          end
          sum = sum + math.abs(above / below - mask:get(1, 1, y, x))
        end
      end
      assert.is_true(sum / (h * w) < 1e-6, sum)
      assert.is_true(whole:dim(3) > h and whole:dim(4) > w)
    end
  end)

  it("choose between steps of blur, linear from one to the next", function()
    local pyramids = require "lunette.explain.pyramid"
    local x = core.normal(1, 0, 1, 2, 6, 5)
    for _, how in ipairs { "blur", "fade" } do
      local steps = pyramids.of(x, how, 4, 2)
      local m = core.uniform(2, 0, 3, 1, 6, 5)
      m:set(1, 1, 1, 1, 0)
      m:set(1, 1, 1, 2, 1)
      local seen = pyramids.seen(steps, m)
      for k = 1, 3 do
        for y = 1, 6 do
          local z = m:get(k, 1, y, 2) * 3
          local at = math.floor(z)
          local a = steps:get(1, at + 1, 2, y, 2)
          local b = steps:get(1, math.min(at + 1, 3) + 1, 2, y, 2)
          assert.is_true(math.abs(seen:get(k, 2, y, 2) - (a + (b - a) * (z - at)))
                         < 1e-6)
        end
      end
      assert.equal(x:get(1, 2, 1, 2), seen:get(1, 2, 1, 2)) -- the picture itself
      assert.is_true(steps[1][4]:distance(x[1]) == 0)
    end
  end)
end)


describe("extremal perturbations", function()
  local net = assert(lu.net { name = "smooth", input = { 3, 12, 12 }, layers = {
    { "c", "conv2d", filters = 5, kernel = 3 }, { "t", "tanh" }, { "f", "flatten" },
    { "out", "linear", units = 4 }, { "p", "softmax" } } }):init(2)
  local x = core.normal(3, 0, 1, 3, 12, 12)
  local extremal = require "lunette.explain.extremal"
  local pyramids = require "lunette.explain.pyramid"

  ---reward - weight * mean((sorted - wanted)^2), of one mask, from its definition.
  local function energy(variant, masks, steps, area, p, step)
    local mask, whole = masks.generate(p)
    local function of(m)
      local seen = pyramids.seen(steps, m)
      if step % 2 == 1 then seen = seen:flip { dims = { 4 } } end
      local run <close> = net:run(seen, { modifiers = logit })
      return run.output:get(1, 3)
    end
    local reward = 0
    if variant ~= "delete" then reward = of(mask) end
    if variant ~= "preserve" then reward = reward - of(1 - mask) end
    local list = whole:reshape { whole:size() }:totable()
    table.sort(list)
    local sum, zeros = 0, math.floor(#list * (1 - area))
    for n, v in ipairs(list) do sum = sum + (v - (n > zeros and 1 or 0)) ^ 2 end
    return reward - 300 * 1.0035 ^ (step - 1) * sum / #list
  end

  it("climb their objective: its gradient is the differences'", function()
    local masks = require("lunette.explain.smooth_masks").new(12, 12, 4, 4)
    local score = lu.score.categorical(2)
    local run = net:run(x)
    for step, variant in ipairs { "preserve", "delete", "dual" } do
      local o = { area = 0.3, variant = variant, how = "blur", levels = 4, blur = 3,
                  flip = true,
                  modifiers = require("lunette.modifiers.named").list(logit) }
      local climb = extremal.objective(run, 1, o, score, masks, {})
      local p = core.uniform(step, 0, 1, 1, masks.rows, masks.columns) * 0.8 + 0.1
      local g = climb(p, step)
      local steps, h = pyramids.of(x, "blur", 4, 3), 2e-4
      for n = 1, p:size() do
        local up, down = p:clone(), p:clone()
        up:view(p:size())[n] = up:view(p:size())[n] + h
        down:view(p:size())[n] = down:view(p:size())[n] - h
        local slope = (energy(variant, masks, steps, 0.3, up, step)
          - energy(variant, masks, steps, 0.3, down, step)) / (2 * h)
        local got = g:view(p:size())[n]
        -- a pixel's place in the order, or its step of blur, may turn in between
        assert.is_true(math.abs(slope - got) < 0.05 * math.max(1, math.abs(slope)),
                       ("%s %d: %g, %g"):format(variant, n, slope, got))
      end
    end
  end)

  it("find where the evidence is, at the size that was asked for", function()
    local flat = linear_net(1, 24, 24)
    local w = core.zeros(24, 24)
    w:paste_(core.full(0.2, 12, 12), 1, 13)
    flat.params["out.weight"]:fill_(0)
    flat.params["out.weight"][1] = w:view(576)
    local picture = core.ones(1, 1, 24, 24)
    local map = lu.extremal_perturbation(flat, picture, { score = 0, how = "fade",
      area = 0.2, step = 4, sigma = 5, steps = 150, rate = 0.1, flip = false,
      progress = false })
    local inside = (map:view(24, 24) * w:gt(0)):sum():item() / map:sum():item()
    assert.is_true(inside > 0.8, inside)
    assert.is_true(math.abs(map.story.areas[1][1] - 0.2) < 0.08, map.story.areas[1][1])
    assert.is_true(map.story.rewards[1][1] > 0.2 * 90, map.story.rewards[1][1])
  end)

  it("of segments: their gradient, too, is the differences', at their own pace",
     function()
    local labels = core.uniform(9, 0, 1, 1, 4, 4):resize(12, 12):view(12, 12)
    labels = (labels * 6):floor() -- some parts, of different sizes
    local masks = require("lunette.explain.segment_masks").new(labels, 3)
    local areas = { 0.3, 0.6 }
    local o = { area = areas, variant = "preserve", how = "blur", levels = 4, blur = 3,
                flip = false,
                modifiers = require("lunette.modifiers.named").list(logit) }
    local run = net:run(x)
    local climb = extremal.objective(run, 1, o, lu.score.categorical(2), masks, {})
    local p = core.uniform(4, 0, 2, 1, 1, masks.columns) * 0.8 + 0.1
    local g = climb(p, 1)
    local steps, want = pyramids.of(x, "blur", 4, 3), masks.wanted(p, areas)
    local function energy_of(at, k)
      local mask = masks.generate(at)
      local part <close> = net:run(pyramids.seen(steps, mask), { modifiers = logit })
      local off = (mask - want):rows(k):square():mean():item()
      return part.output:get(k, 3) - 300 * off
    end
    local h = 2e-4
    for k = 1, 2 do
      for n = 1, masks.columns do
        local up, down = p:clone(), p:clone()
        up:set(k, 1, 1, n, p:get(k, 1, 1, n) + h)
        down:set(k, 1, 1, n, p:get(k, 1, 1, n) - h)
        local slope = (energy_of(up, k) - energy_of(down, k)) / (2 * h)
        local pixels = masks.pace:get(1, 1, 1, n)
        assert.near(slope * pixels, g:get(k, 1, 1, n),
                    0.02 * pixels * math.max(1, math.abs(slope)))
      end
    end
  end)

  it("of segments: what is wanted are the largest, equal ones sharing what is left",
     function()
    local labels = core.zeros(4, 4) -- rows 1 to 4, of 4 pixels each
    for r = 2, 4 do labels[r] = core.full(r, 4) end
    local masks = require("lunette.explain.segment_masks").new(labels, 2)
    local p = core.tensor { 0.2, 0.9, 0.5, 0.5 }:view(1, 1, 1, 4)
    local function rows(area)
      local list = {}
      for r = 1, 4 do list[r] = masks.wanted(p, { area }):get(1, 1, r, 3) end
      return list
    end
    assert.same({ 0, 1, 0, 0 }, rows(0.25))
    assert.same({ 0, 1, 0.25, 0.25 }, rows(0.375))
    assert.same({ 0.5, 1, 1, 1 }, rows(0.875))
  end)

  it("of segments: finds the one with the evidence", function()
    local flat = linear_net(1, 24, 24)
    local w = core.zeros(24, 24)
    w:paste_(core.full(0.2, 8, 8), 9, 17)
    flat.params["out.weight"]:fill_(0)
    flat.params["out.weight"][1] = w:view(576)
    local map = lu.extremal_perturbation(flat, core.ones(1, 1, 24, 24), { score = 0,
      how = "fade", area = 1 / 9, segments = 3, steps = 400, flip = false,
      progress = false })
    assert.is_true((map:view(24, 24) - w * 5):abs():max():item() < 0.1)
    assert.near(1 / 9, map.story.areas[1][1], 0.02)
    assert.is_nil(map.story.sigma)
  end)

  it("want kernels no narrower than the cells", function()
    assert.matches("cells of 7 pixels need a sigma of at least as many, not 2",
      t.message(lu.extremal_perturbation, net, x, { score = 1, step = 7, sigma = 2 }))
  end)

  it("take several areas in one climb, each as if alone", function()
    local opts = { score = 2, step = 4, sigma = 4, blur = 3, steps = 3,
                   modifiers = logit, progress = false }
    local sum
    for _, area in ipairs { 0.1, 0.4 } do
      opts.area = area
      local one = lu.extremal_perturbation(net, x, opts)
      sum = sum and sum + one or one
    end
    opts.area = { 0.1, 0.4 }
    assert.is_true(lu.extremal_perturbation(net, x, opts):distance(sum) < 1e-6)
    opts.area = 1.5
    assert.matches("area is a share between 0 and 1", t.message(
      lu.extremal_perturbation, net, x, opts))
  end)
end)


describe("meaningful perturbation", function()
  ---A picture of ones, and a probability that reads one corner of it.
  local function corner()
    local net = assert(lu.net { name = "corner", input = { 1, 24, 24 }, layers = {
      { "f", "flatten" }, { "out", "linear", units = 2 },
      { "p", "softmax" } } }):init(1)
    local w = core.zeros(24, 24)
    w:paste_(core.full(0.1, 12, 12), 1, 13)
    net.params["out.weight"]:fill_(0)
    net.params["out.weight"][1] = w:view(576)
    net.params["out.bias"]:fill_(0)
    net.params["out.bias"][1] = -10
    return net, core.ones(1, 1, 24, 24), w:gt(0)
  end

  it("blots out what the class was seen by, and little else", function()
    local net, x, where = corner()
    local opts = { score = 0, baseline = "zero", cell = 4, sigma = 0.25, steps = 100,
                   jitter = 1, l1 = 0.005, tv = 0.001, progress = false }
    local map = lu.meaningful_perturbation(net, x, opts)
    assert.is_true(map.story.values[1] < 0.05, map.story.values[1])
    assert.is_true(net:run(x).output:get(1, 1) > 0.98)
    local inside = (map:view(24, 24) * where):sum():item() / map:sum():item()
    assert.is_true(inside > 0.7, inside)
    opts.start = "ones"
    local other = lu.meaningful_perturbation(net, x, opts)
    assert.is_true(other.story.values[1] < 0.05, other.story.values[1])
  end)

  it("blots out whole segments, too: the one that the class was seen by", function()
    local net, x, where = corner()
    local labels = core.zeros(24, 24) -- 5 parts, of different sizes
    labels:paste_(core.full(3, 12, 24), 13, 1)
    labels:paste_(core.full(7, 12, 6), 13, 5)
    labels:paste_(core.full(1, 12, 12), 1, 13) -- what is read
    labels:paste_(core.full(9, 4, 5), 20, 20)
    local map = lu.meaningful_perturbation(net, x, { score = 0, baseline = "zero",
      cell = 4, segments = labels, steps = 60, l1 = 0.005, jitter = 1,
      progress = false })
    assert.is_true(map.story.values[1] < 0.05, map.story.values[1])
    local flat = map:view(24, 24)
    for name, least in pairs { [0] = 0, [1] = 0.4, [3] = 0, [7] = 0, [9] = 0 } do
      local here = labels:eq(name)
      local mean = (flat * here):sum():item() / here:sum():item()
      assert.is_true(((flat - mean) * here):abs():max():item() < 1e-6)
      assert.is_true(least > 0 and mean > least or least == 0 and mean < 0.05,
                     ("%d: %g"):format(name, mean))
    end
    assert.equal(1, where:sum():item() / labels:eq(1):sum():item())
    assert.is_nil(map.story.sigma)
  end)

  it("counts the area of segments in cells, and begins with their part of the disk",
     function()
    local coarse = require "lunette.explain.coarse_masks"
    local labels = core.zeros(8, 8)
    labels:paste_(core.full(2, 8, 4), 1, 5)
    labels:paste_(core.full(5, 2, 2), 1, 1)
    local masks = coarse.segments(labels, 2)
    local m = core.tensor { { 0.25, 1, 0 } } -- of 28, 32 and 4 pixels
    assert.near(28 / 4 * 0.75 + 4 / 4, masks.hidden(m):item(), 1e-6)
    local large = masks.enlarged(m)
    for name, v in pairs { [0] = 0.25, [2] = 1, [5] = 0 } do
      local off = (large:view(8, 8) - v) * labels:eq(name)
      assert.near(0, off:abs():max():item(), 1e-7)
    end
    assert.is_true(masks.near(large):distance(m) < 1e-6)
    local half = core.zeros(1, 1, 8, 8)
    half:paste_(core.ones(1, 1, 8, 6), 1, 3)
    assert.is_true(masks.near(half):distance(core.tensor { { 16 / 28, 1, 0 } }) < 1e-6)
  end)

  it("leaves the picture alone where blotting costs more than the class", function()
    local net, x = corner()
    local _, map = t.warnings(lu.meaningful_perturbation, net, x, { score = 0,
      baseline = "zero", cell = 4, sigma = 0.25, steps = 40, l1 = 10, start = "ones",
      progress = false })
    assert.is_true(map:abs():max():item() < 1e-5)
  end)

  it("begins outside the smallest disk that hides the class", function()
    local net, x = corner()
    local map = lu.meaningful_perturbation(net, x, { score = 0, baseline = "zero",
      cell = 4, sigma = 0, steps = 1, rate = 0, progress = false })
    -- the corner's pixels that a disk must hide are those near the middle
    assert.is_true(map:get(1, 12, 12) > 0.9 and map:get(1, 1, 1) < 0.5)
    assert.is_true(map.story.values[1] < 0.1)
  end)
end)


describe("pictures that differ in a rectangle", function()
  local partial = require "lunette.explain.partial"

  ---Poolings of odd sizes, strides, a shortcut, a fire module, groups, batch norm: and
  ---what cannot be computed in part comes last.
  local function branched(side)
    return assert(lu.net { name = "branched", input = { 3, side, side - 3 }, layers = {
      { "c1", "conv2d", filters = 8, kernel = 3, padding = 1 }, { "r1", "relu" },
      { "p1", "max_pool2d", kernel = 3, stride = 2 },
      { "squeeze", "conv2d", filters = 6, kernel = 1 }, { "sr", "relu" },
      { "e1", "conv2d", filters = 8, kernel = 1 }, { "e1r", "relu" },
      { "e3", "conv2d", filters = 8, kernel = 3, padding = 1, from = "sr" },
      { "e3r", "relu" },
      { "join", "concat", from = { "e1r", "e3r" } },
      { "c2", "conv2d", filters = 16, kernel = 3, padding = 1, groups = 2 },
      { "bn", "batch_norm" }, { "sum", "add", from = { "bn", "join" } },
      { "r2", "relu" },
      { "p2", "avg_pool2d", kernel = 2, stride = 2 },
      { "c3", "conv2d", filters = 40, kernel = 3, padding = 1 }, { "r3", "relu" },
      { "c5", "conv2d", filters = 6, kernel = 5, stride = 2, padding = 2 },
      { "pool", "global_avg_pool" }, { "f", "flatten" },
      { "out", "linear", units = 4 }, { "softmax", "softmax" } } }):init(3)
  end

  local nets = { branched(40), branched(33), t.net(2),
                 assert(lu.net(lu.models.tiny_vgg { side = 32 })):init(3) }

  it("have the bits of a whole pass at the layer where the parts are joined", function()
    for _, net in ipairs(nets) do
      local x = core.normal(1, 0, 1, table.unpack(net.input))
      local run = net:run(x)
      local h, w = net.input[2], net.input[3]
      for _, size in ipairs { { 3, 3 }, { 5, 2 }, { 1, 6 } } do
        local plan, boxes = partial.plan(run, { h = size[1], w = size[2] }, 1), {}
        if not plan then break end -- all of it changes
        for y = 1, h - size[1] + 1, 3 do
          for c = 1, w - size[2] + 1, 5 do
            boxes[#boxes + 1] = { y = y, x = c, h = size[1], w = size[2] }
          end
        end
        boxes[#boxes + 1] = { y = h - 1, x = w - 1, h = 2, w = 2 }
        local function part(n)
          return core.full(n / 10, 1, 3, boxes[n].h, boxes[n].w)
        end
        local values = partial.values(plan, run, boxes, part)
        for n, b in ipairs(boxes) do
          local other = x:clone()
          other[1]:paste_(part(n)[1], b.y, b.x)
          local whole <close> = net:run(other)
          assert.is_true(t.same(values:rows(n):clone(),
            whole:preactivation(plan.join.name):detach():clone()),
            ("%s, box %d, %s"):format(net.name, n, plan.join.name))
        end
      end
    end
  end)

  it("make occlusion the same map, bit for bit, with fewer products", function()
    local plain, plans = partial.plan, 0
    finally(function() partial.plan = plain end)
    for _, net in ipairs { nets[1], nets[4] } do
      local x = core.normal(2, 0, 2, table.unpack(net.input))
      for _, opts in ipairs { { window = 6, stride = 5 },
                              { window = { 4, 7 }, stride = 3, baseline = "blur",
                                batch = 5 },
                              { window = 5, stride = 4, channelwise = true } } do
        opts.score, opts.modifiers, opts.progress = { 1, 2 }, { "linear" }, false
        partial.plan = function(run, box)
          local plan = plain(run, box)
          if plan then plans = plans + 1 end
          return plan
        end
        local parts = lu.occlusion(net, x, opts)
        partial.plan = function() return nil end
        local whole = lu.occlusion(net, x, opts)
        assert.is_true(t.same(parts:detach(), whole:detach()), net.name)
      end
    end
    assert.is_true(plans >= 3, plans)
  end)

  it("are run whole where parts are dear, or the score looks elsewhere", function()
    local run = nets[1]:run(core.normal(1, 0, 1, 3, 40, 37))
    assert.is_nil(partial.plan(run, { h = 36, w = 30 }))
    assert.is_truthy(partial.plan(run, { h = 3, w = 3 }))
    local x = core.normal(1, 0, 1, 3, 40, 37)
    local opts = { score = lu.score.unit("c1", 2), window = 6, stride = 6,
                   progress = false }
    local map = lu.occlusion(nets[1], x, opts)
    assert.is_true(map:abs():max():item() > 0)
  end)
end)


describe("coarse masks", function()
  local coarse = require("lunette.explain.coarse_masks").cells

  it("count what they hide, on both sides of 1, and no edge in a single row", function()
    local cells = coarse(8, 8, 4, 1)
    local m = core.tensor { { 0, 1 }, { 1.5, 0.25 } }:view(1, 1, 2, 2)
    assert.near(1 + 0 + 0.5 + 0.75, cells.hidden(m):item(), 1e-6)
    local row = core.tensor { 0, 1, 0 }
    assert.equal(0, cells.edges(row:view(1, 1, 1, 3), 2):item())
    -- the one corner with a right and a lower neighbour
    assert.near(1 + 1.5 ^ 2, cells.edges(m, 2):item(), 1e-5)
  end)
end)
