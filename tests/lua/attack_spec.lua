-- Attacks: on a linear network against closed forms, in levels, within their ball; the
-- curve falls; an explanation is moved further than by noise.
local core = require "lunette.core"
local lu = require "lunette"
local space = require "lunette.attack.space"
local t = dofile "tests/lua/support.lua"


---z = W x + b of 3 x 4 x 4 values and three classes; about the middle of all levels.
local function linear(preprocessing)
  local net = assert(lu.net { name = "linear", input = { 3, 4, 4 },
    preprocessing = preprocessing or { mean = { 0.5, 0.4, 0.3 },
      std = { 0.25, 0.5, 1 }, order = "rgb", scale = 1 / 255 },
    layers = { { "flatten", "flatten" }, { "out", "linear", units = 3 } } }):init(3)
  return net
end

local net = linear()
local levels = core.uniform(4, 1, 4, 3, 4, 4) * 60 + 100
local x = space.of(net):input(levels)


---The predicted class, and of every other one: its lead, and the weights' difference in
---levels.
local function leads(i)
  local run = net:run(x:rows(i))
  local z, w = run.output:detach()[1], net.params["out.weight"]
  local own, list = z:argmax(), {}
  for k = 1, 3 do
    if k ~= own then
      local d = (w[own] - w[k]):view(1, 3, 4, 4) * space.of(net).slope
      list[#list + 1] = { lead = z[own] - z[k], l1 = d:abs():sum():item(),
                          l2 = d:stats().l2 }
    end
  end
  return list
end


---The smallest eps that changes the label of picture i.
local function threshold(i, norm)
  local least = math.huge
  for _, one in ipairs(leads(i)) do
    least = math.min(least, one.lead / one[norm])
  end
  return least
end


describe("levels", function()
  it("are those of the file, whatever the preprocessing", function()
    for _, p in ipairs { "caffe", "torch", "tf" } do
      local other = linear(p)
      local picture = (core.uniform(1, 1, 3, 4, 4) * 255):round()
      local input = lu.image.preprocess({ picture }, p, { 4, 4 })
      local s = space.of(other)
      local mine = s:levels(input)
      if p == "caffe" then -- blue first, as the network has it
        mine = mine:flip { dims = { 2 } }
      end
      assert.is_true((mine[1] - picture):abs():stats().max < 1e-3, p)
      assert.is_true(s:input(s:levels(input)):distance(input) < 1e-6)
    end
  end)
end)


describe("on a linear network", function()
  it("PGD succeeds beyond the distance to the next boundary, not before", function()
    for i = 1, 4 do
      for norm, key in pairs { linf = "l1", l2 = "l2" } do
        local eps = threshold(i, key)
        local o = { norm = norm, start = false, steps = 40 }
        o.eps = 1.02 * eps
        assert.equal(1, lu.attack.pgd(net, x:rows(i), o).share, norm)
        o.eps = 0.98 * eps
        local a = lu.attack.pgd(net, x:rows(i), o)
        assert.equal(0, a.share, norm)
        assert.is_true(a[norm][1] <= o.eps * 1.0001)
        assert.is_true(a.lead[1] > 0)
      end
    end
  end)

  it("FGSM is PGD of one step from the picture", function()
    local a = lu.attack.fgsm(net, x, { eps = 3 })
    local b = lu.attack.pgd(net, x, { eps = 3, steps = 1, step = 3, start = false })
    assert.is_true(a.levels:same(b.levels))
    assert.is_true((a.levels - levels):abs():stats().max <= 3.001)
  end)

  it("DeepFool goes to the nearest boundary, and no further", function()
    local a = lu.attack.deepfool(net, x, { steps = 1 }) -- linear: one step is enough
    assert.equal(1, a.share)
    for i = 1, 4 do
      assert.near(1.02 * threshold(i, "l2"), a.l2[i], 1e-3 * a.l2[i]) -- float32
    end
    local short = lu.attack.deepfool(net, x, { steps = 1, overshoot = 0 })
    for i = 1, 4 do
      assert.near(threshold(i, "l2"), short.l2[i], 1e-3 * short.l2[i])
      assert.near(0, short.lead[i], 1e-3)
    end
  end)

  it("DeepFool asks no boundary but the target's, nor that of a far class", function()
    for i = 1, 4 do
      local z = net:run(x:rows(i)).output:detach()[1]
      local own, order = z:argmax(), z:argsort():totable()
      for place = 2, 3 do
        local rival, w = math.tointeger(order[place]), net.params["out.weight"]
        local d = (w[own] - w[rival]):view(1, 3, 4, 4) * space.of(net).slope
        local far = (z[own] - z[rival]) / d:stats().l2
        local a = lu.attack.deepfool(net, x:rows(i), { target = rival - 1, steps = 1,
                                                       overshoot = 0 })
        assert.near(far, a.l2[1], 1e-3 * far)
        if place == 2 then
          local b = lu.attack.deepfool(net, x:rows(i), { rivals = 1, steps = 1,
                                                         overshoot = 0 })
          assert.near(far, b.l2[1], 1e-3 * far)
        end
      end
    end
  end)

  it("DeepFool changes the label of a network that is not linear", function()
    local small = t.net()
    small.preprocessing = { scale = 1 / 255 }
    local shape = { table.unpack(small.input) }
    local some = core.uniform(7, 1, 3, table.unpack(shape)) * 0.5 + 0.25
    local a = lu.attack.deepfool(small, some)
    assert.equal(1, a.share)
    for i = 1, 3 do
      assert.is_true(a.lead[i] < 0)
      local noise = core.normal(3, i, 1, table.unpack(shape))
      local as_far = lu.attack.laid(small, some:rows(i),
                                    noise * (a.l2[i] / noise:stats().l2))
      assert.equal(0, as_far.share) -- chance does not do it
    end
    local alone = lu.attack.deepfool(small, some:rows(2))
    assert.near(a.l2[2], alone.l2[1], 1e-3 * a.l2[2])
  end)

  ---In double precision: b + V tanh(a + U y / 255) of levels y, and the tanh.
  local function curved64(p, y)
    local h, z = {}, {}
    for j, row in ipairs(p.u) do
      h[j] = p.a[j]
      for i, v in ipairs(y) do h[j] = h[j] + row[i] * v / 255 end
      local e = math.exp(2 * h[j])
      h[j] = (e - 1) / (e + 1)
    end
    for k, row in ipairs(p.v) do
      z[k] = p.b[k]
      for j, v in ipairs(h) do z[k] = z[k] + row[j] * v end
    end
    return z, h
  end

  ---The slope of z[k] - z[own] by the levels, and its square.
  local function slope64(p, h, k, own)
    local w, square = {}, 0
    for i = 1, #p.u[1] do
      w[i] = 0
      for j, v in ipairs(h) do
        w[i] = w[i] + (p.v[k][j] - p.v[own][j]) * (1 - v * v) * p.u[j][i] / 255
      end
      square = square + w[i] * w[i]
    end
    return w, square
  end

  local function largest(z)
    local top = 1
    for k = 2, #z do top = z[k] > z[top] and k or top end
    return top
  end

  ---The step to the nearest boundary of the network taken for linear.
  local function step64(p, z, h, own)
    local step, least = nil, math.huge
    for k = 1, #z do
      local w, square = slope64(p, h, k, own)
      local lead = math.abs(z[k] - z[own])
      if k ~= own and lead / square ^ 0.5 < least then
        least = lead / square ^ 0.5
        for i, v in ipairs(w) do w[i] = v * lead / square end
        step = w
      end
    end
    return step
  end

  ---DeepFool (algorithm 2 of the paper, the overshoot as its authors have it): levels,
  ---and how many steps it took.
  local function deepfool64(p, from, o)
    local moved, y, own = {}, {}, nil
    for i = 1, #from do moved[i] = 0 end
    for steps = 0, o.steps do
      for i, v in ipairs(from) do
        y[i] = math.min(math.max(v + moved[i] * (1 + o.overshoot), 0), 255)
      end
      local z, h = curved64(p, y)
      own = own or largest(z)
      if largest(z) ~= own then return y, steps end
      for i, v in ipairs(step64(p, z, h, own)) do moved[i] = moved[i] + v end
    end
    return y, o.steps
  end

  it("DeepFool takes the steps of its paper, in double precision", function()
    local curved = assert(lu.net { name = "curved", input = { 3, 4, 4 }, layers = {
      { "flat", "flatten" }, { "u", "linear", units = 9 }, { "h", "tanh" },
      { "v", "linear", units = 4 } } }):init(3)
    curved.preprocessing = { scale = 1 / 255 }
    local weights = curved.params
    for key, gain in pairs { ["u.weight"] = 3, ["v.weight"] = 2 } do
      weights[key] = weights[key] * gain -- bends within a step
    end
    local p = { u = weights["u.weight"]:totable(), a = weights["u.bias"]:totable(),
                v = weights["v.weight"]:totable(), b = weights["v.bias"]:totable() }
    local some = core.uniform(11, 1, 6, 3, 4, 4) * 0.8 + 0.1
    local most = 0
    for i = 1, 6 do
      local from = (some[i] * 255):reshape { 48 }:totable()
      for _, overshoot in ipairs { 0.02, 0.3 } do
        local want, steps = deepfool64(p, from, { steps = 20, overshoot = overshoot })
        local got = lu.attack.deepfool(curved, some:rows(i), { steps = 20,
                                                               overshoot = overshoot })
        most = math.max(most, steps)
        local off = got.levels:reshape { 48 } - core.tensor(want)
        assert.is_true(off:abs():max():item() < 2e-3) -- of 255: float32
      end
    end
    assert.is_true(most > 2, most) -- one step would be the linear case
  end)

  it("nothing moves without eps, and wrong pictures do not count", function()
    local a = lu.attack.pgd(net, x, { eps = 0 })
    assert.equal(0, a.share)
    assert.is_true((a.levels - levels):abs():stats().max < 1e-3)
    local run, wrong = net:run(x), {}
    for i = 1, 4 do wrong[i] = (run.output:detach()[i]:argmax() - 1 + 1) % 3 end
    local b = lu.attack.pgd(net, x, { eps = 50, classes = wrong })
    assert.equal(0, b.share)
    assert.is_nil(next(b.success))
  end)

  it("goes to a target", function()
    local now = net:run(x:rows(1)).output:detach()[1]:argmax() - 1
    for target = 0, 2 do
      if target ~= now then
        local a = lu.attack.pgd(net, x:rows(1), { eps = 200, target = target })
        assert.equal(target, net:run(a.input).output:detach()[1]:argmax() - 1)
        assert.equal(1, a.share)
      end
    end
  end)

  it("stays in 0 .. 255, and tells what whole levels keep", function()
    local a = lu.attack.pgd(net, x, { eps = 300 })
    local s = a.levels:stats()
    assert.is_true(s.min >= 0 and s.max <= 255)
    assert.equal(1, a.rounded)
    local eps = threshold(1, "l1") -- too little for whole levels
    local b = lu.attack.pgd(net, x:rows(1), { eps = math.min(0.4, 1.02 * eps),
                                              start = false })
    local whole = space.of(net):input(b.levels:round())
    local label = net:run(whole).output:detach()[1]:argmax()
    local own = net:run(x:rows(1)).output:detach()[1]:argmax()
    assert.equal(label ~= own and 1 or 0, b.rounded)
  end)

  it("a picture alone is attacked as in a batch", function()
    local o = { eps = 4, start = false, steps = 5 }
    local all = lu.attack.pgd(net, x, o)
    for i = 1, 4 do
      assert.is_true(all.levels[i]:same(lu.attack.pgd(net, x:rows(i), o).levels[1]))
    end
  end)

  it("one perturbation serves many pictures, and is asked of others", function()
    local many = space.of(net):input(core.uniform(5, 1, 16, 3, 4, 4) * 60 + 100)
    local a = lu.attack.universal(net, many, { eps = 60, target = 1 })
    assert.is_true(a.share > 0.9, tostring(a.share))
    assert.is_true(a.v:abs():stats().max <= 60)
    assert.is_true(lu.attack.laid(net, x, a.v, { target = 1 }).share > 0.9)
    assert.equal(0, lu.attack.laid(net, x, a.v * 0).share)
  end)

  it("a few pixels of any colour may do", function()
    local o = { pixels = 8, population = 20, generations = 20 }
    local a = lu.attack.pixels(net, x:rows(1), o)
    local moved = (a.levels - levels:rows(1)):abs():max { dims = { 2 } }:gt(1e-3)
    assert.is_true(moved:sum():item() <= 8)
    assert.is_true(a.lead[1] < lu.attack.pgd(net, x:rows(1), { eps = 0 }).lead[1])
  end)

  it("pixels evolve by half the difference of two others", function()
    local o = { pixels = 1, population = 5, generations = 3, seed = 4 }
    local one, width, h, w = levels:rows(1), 5, levels:dim(3), levels:dim(4)
    local top = net:run(x:rows(1)):top(1)[1][1].class
    local function painted(who)
      local p = one:clone()
      for k = 0, o.pixels - 1 do
        local y, z = who[k * width + 1], who[k * width + 2]
        for c = 1, 3 do
          p:set(1, c, math.min(h, math.floor(y * h) + 1),
                math.min(w, math.floor(z * w) + 1),
                math.floor(who[k * width + 2 + c] * 255 + 0.5))
        end
      end
      return p
    end
    local function lead(who)
      local y = net:run(space.of(net):input(painted(who))).output:detach()[1]:totable()
      local own = table.remove(y, top + 1)
      return own - math.max(table.unpack(y))
    end
    local all, u = {}, core.uniform(o.seed, 1 << 30, o.population, o.pixels * width)
    for n = 1, o.population do all[n] = u[n]:totable() end
    for g = 1, o.generations do
      local picks, new = core.uniform(o.seed, g, o.population, 3), {}
      for n = 1, o.population do
        local function other(k)
          return all[1 + math.floor(picks:get(n, k) * o.population)]
        end
        local child = {}
        for i, a in ipairs(other(1)) do
          child[i] = math.max(0, math.min(1, a + (other(2)[i] - other(3)[i]) / 2))
        end
        new[n] = lead(child) < lead(all[n]) and child or all[n]
      end
      all = new
    end
    table.sort(all, function(a, b) return lead(a) < lead(b) end)
    local a = lu.attack.pixels(net, x:rows(1), o)
    assert.is_true(a.lead[1] > 0, a.lead[1]) -- else the evolution had stopped
    assert.is_true((a.levels - painted(all[1])):abs():stats().max < 1e-3)
  end)
end)


describe("the curve", function()
  it("never rises, begins at all, and noise is weaker", function()
    local small = t.net()
    local pictures = space.of(small):input(core.uniform(3, 1, 6, 3, 12, 12) * 255)
    local rows = lu.attack.curve(small, pictures, { 0, 1, 4, 32 }, { steps = 6 })
    assert.equal(1, rows[1].robust)
    for k = 2, #rows do
      assert.is_true(rows[k].robust <= rows[k - 1].robust)
      assert.is_true(rows[k].robust <= rows[k].noise)
    end
    assert.is_true(rows[4].robust < 1)
  end)
end)


describe("misuse", function()
  it("is told", function()
    assert.matches("class 7 is none of linear's 3",
                   t.message(lu.attack.pgd, net, x, { target = 7 }))
    assert.matches("2 classes for 4 pictures",
                   t.message(lu.attack.fgsm, net, x, { classes = { 1, 2 } }))
    assert.matches("unknown option 'epsilon'",
                   t.message(lu.attack.fgsm, net, x, { epsilon = 2 }))
    assert.matches("a side of 24 in pictures of 4 x 4",
                   t.message(lu.attack.patch, net, x))
    local maps = assert(lu.net { input = { 3, 4, 4 }, layers = {
      { "conv", "conv2d", filters = 2, kernel = 1 } } }):init(1)
    assert.matches("no list of classes", t.message(lu.attack.fgsm, maps, x))
  end)
end)


local glyphs = lu.load "glyphs"
if not glyphs then
  describe("scenes", function() pending "needs the network 'glyphs'" end)
  return
end

describe("scenes", function()
  local scenes = lu.glyphs.scenes { n = 4, seed = 321 }
  local input = lu.glyphs.input(scenes.images)

  it("fall to PGD where noise of the same size does nothing", function()
    local o = { classes = scenes.labels, eps = 8, steps = 8 }
    local a = lu.attack.pgd(glyphs, input, o)
    local n = lu.attack.noise(glyphs, input, { classes = scenes.labels, eps = 8 })
    assert.is_true(a.share > 0.7 and n.share < 0.3, ("%g, %g"):format(a.share, n.share))
    assert.is_true(a.linf[1] <= 8.001)
  end)

  it("a patch works where it was not trained", function()
    local a = lu.attack.patch(glyphs, input, { classes = scenes.labels, side = 64,
                                               steps = 20, rate = 20, batch = 4 })
    assert.same({ 3, 64, 64 }, a.patch:shape())
    assert.is_true(a.share > 0, "no picture fell")
  end)

  it("maps move further than by noise while the label stays", function()
    local one = input:rows(1)
    local asked = {}
    local function explain(run, o)
      asked[tostring(o.score)] = true
      return lu.saliency(run, { score = o.score, modifiers = { "linear" } })
    end
    local a = lu.attack.explanation(glyphs, one, explain, { eps = 8, steps = 25 })
    assert.same({ [tostring(a.class)] = true }, asked) -- of one class, each time
    assert.is_true(a.likeness < a.noise, ("%g, noise %g"):format(a.likeness, a.noise))
    local d = (a.levels - space.of(glyphs):levels(one)):abs():stats().max
    assert.is_true(d <= 8.001)
    local label = glyphs:run(space.of(glyphs):input(a.levels)).output:detach()[1]
      :argmax() - 1
    assert.equal(a.class, label)
  end)
end)
