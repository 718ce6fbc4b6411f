-- Feature visualisation: what pictures are made of, how they are moved, what they pay;
-- scores made of scores; activation maximisation, patches, inversion.
local core = require "lunette.core"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local features = lu.features


---Largest difference between a gradient and central differences of f's sum.
local function gradient_error(f, x)
  local g, worst = lu.gradient(f, x), 0
  local flat, size = g:reshape { g:size() }, x:size()
  local dice = core.uniform(3, 0, 24):totable()
  for _, d in ipairs(dice) do
    local i = 1 + math.floor(d * size)
    local function at(h)
      local y = x:clone()
      local line = y:view(size)
      line[i] = line[i] + h
      return f(y):sum():item()
    end
    worst = math.max(worst, math.abs((at(0.02) - at(-0.02)) / 0.04 - flat[i]))
  end
  return worst
end


describe("penalties", function()
  local x = core.normal(1, 0, 2, 3, 6, 7)

  for name, make in pairs(features.regularizers) do
    it(name .. " has the gradient that differences give", function()
      local p = name == "norm_per_value" and make(10, 6) or make(0.7, 2)
      local at = name == "diversity" and core.normal(1, 0, 2, 3, 12, 9) or x
      assert.is_true(gradient_error(p, at) < 2e-3)
      assert.same({ 2 }, p(at):reshape { 2 }:shape())
    end)
  end

  it("are what their formulas say", function()
    local r = features.regularizers
    local one = core.tensor { { { { 0, 3 }, { -1, 0 } } } }
    -- |dy| = 1 + 3, |dx| = 3 + 1, over four values
    assert.near(8 / 4, r.total_variation(1)(one):item(), 1e-6)
    assert.near((1 + 9) / 4, r.smoothness(1)(one):item(), 1e-6)
    assert.near(4 / 4, r.norm(1, 1)(one):item(), 1e-6)
    assert.near((10 / 4) ^ 0.5, r.norm(1, 2)(one):item(), 1e-5)
  end)
end)


---Bilinear sampling of one plane, value by value.
local function naive_affine(x, degrees, scale, outside)
  local h, w = x:dim(1), x:dim(2)
  local c, s = math.cos(math.rad(degrees)), math.sin(math.rad(degrees))
  local y = core.zeros(h, w)
  local function at(i, j)
    if outside then
      return i >= 0 and i < h and j >= 0 and j < w and x:get(i + 1, j + 1) or outside
    end
    i, j = i % (2 * h), j % (2 * w)
    return x:get(math.min(i, 2 * h - 1 - i) + 1, math.min(j, 2 * w - 1 - j) + 1)
  end
  for i = 0, h - 1 do
    for j = 0, w - 1 do
      local p, q = (i - (h - 1) / 2) / scale, (j - (w - 1) / 2) / scale
      local r, k = c * p + s * q + (h - 1) / 2, -s * p + c * q + (w - 1) / 2
      local a, b = math.floor(r), math.floor(k)
      local u, v = r - a, k - b
      y:set(i + 1, j + 1, (1 - u) * ((1 - v) * at(a, b) + v * at(a, b + 1))
        + u * ((1 - v) * at(a + 1, b) + v * at(a + 1, b + 1)))
    end
  end
  return y
end


describe("moves", function()
  local x = core.normal(1, 0, 1, 1, 9, 12)
  local affine = features.transforms.affine

  for _, c in ipairs { { 0, 1 }, { 17, 1 }, { -40, 1.3 }, { 90, 0.6 } } do
    it(("rotate by %g and enlarge by %g"):format(c[1], c[2]), function()
      for _, outside in ipairs { false, 0.5 } do
        local o = { degrees = c[1], scale = c[2], outside = outside or nil }
        local want = naive_affine(x[1][1], c[1], c[2], outside)
        -- positions are rounded to float32: 12 rows, slopes of a few units
        assert.is_true(affine(x, o)[1][1]:distance(want) < 2e-5)
      end
    end)
  end

  -- Every move is linear in the picture: the squares' differences are exact but for
  -- float32's rounding of sums of 60 values of about 1, over 0.04.
  local moves = features.transforms
  for name, f in pairs {
    pad = moves.pad(3, 2), jitter = moves.jitter(2), scale = moves.scale { 0.8, 1.3 },
    rotate = moves.rotate { -7, 12 }, crop = moves.crop(0.8, 0.3, 0.1),
    roll = moves.roll(4), turn = moves.turn(15), zoom = moves.zoom(0.7, 1.4),
    together = moves.together { first = 3, scales = { 0.9, 1.1 }, angles = { -8, 5 },
                                last = 2 },
    centre = function(v) return moves.centre(v, 7, 4) end,
    affine = function(v) return affine(v, { degrees = 20, scale = 1.1 }) end,
  } do
    it(name .. " has the gradient that differences give", function()
      local small = core.normal(2, 0, 1, 2, 9, 8)
      for draw = 1, 3 do
        local error_ = gradient_error(function(v)
          local y = f(v, moves.random(draw, 1), 2, { steps = 4 })
          return y * core.normal(5, 0, y:shape()) + y:square()
        end, small)
        assert.is_true(error_ < 2e-3, error_)
      end
    end)
  end

  it("are all of them in the test above", function()
    local tested = { pad = 1, together = 1, jitter = 1, scale = 1, rotate = 1,
                     crop = 1, roll = 1,
                     turn = 1, zoom = 1, centre = 1, affine = 1,
                     random = 1, standard = 1 } -- no moves themselves
    for name in pairs(moves) do assert.truthy(tested[name], name) end
  end)

  it("together are what they are one after the other, on a smooth picture", function()
    local rows = core.range(0, 63):view(1, 1, 64, 1) * 0.11
    local columns = core.range(0, 47):view(1, 1, 1, 48) * 0.09
    local wave = rows:sin() * columns:cos()
    local scales, angles = { 0.92, 1.06 }, { -9, 0, 7 }
    local one = moves.together { first = 4, scales = scales, angles = angles, last = 2 }
    local list = { moves.pad(6, 4), moves.scale(scales), moves.rotate(angles),
                   moves.jitter(2) }
    for draw = 1, 6 do
      local random, y = moves.random(draw, 1), wave
      for _, f in ipairs(list) do y = f(y, random) end
      y = moves.centre(y, 64, 48)
      local z = one(wave, moves.random(draw, 1))
      local function middle(v) return v[{ 1, 1, { 15, 50 }, { 15, 34 } }] end
      -- whole pixels there: up to half a pixel of slopes 0.11 and 0.09 either way
      assert.is_true(t.off(middle(y):clone(), middle(z):clone()) < 0.08)
    end
  end)

  it("end at the network's size", function()
    for _, size in ipairs { { 3, 20 }, { 20, 3 }, { 9, 12 } } do
      local y = features.transforms.centre(x, size[1], size[2])
      assert.same({ 1, 1, size[1], size[2] }, y:shape())
    end
    assert.is_true(t.same(x, features.transforms.centre(x, 9, 12)))
  end)

  it("lay what is outside on grey, of 0.5 or as asked", function()
    local white = core.ones(1, 1, 6, 6)
    local random = moves.random(1, 1)
    -- the least value and how many there are of it
    local function ground(y)
      local least = y:stats().min
      return { least, y:le(least + 1e-6):sum():item() }
    end
    assert.same({ 0.5, 100 - 36 }, ground(moves.pad(2)(white, random)))
    assert.same({ 0, 100 - 36 }, ground(moves.pad(2, 0, 0)(white, random)))
    assert.same({ 0.5, 81 - 36 }, ground(moves.centre(white, 9, 9)))
    assert.near(0.5, moves.rotate { 45 } (white, random):stats().min, 1e-6)
    local small = moves.together { first = 1, scales = { 0.5 }, angles = { 0 },
                                   last = 1 }
    assert.near(0.5, small(white, random):stats().min, 1e-6)
  end)

  it("reach every place that they may, down and right alike", function()
    local numbers = core.range(1, 36):reshape { 1, 1, 6, 6 }
    -- where 200 draws put the pixel (4,4), as row and column
    local function seen(f)
      local all, list = {}, {}
      for draw = 1, 200 do
        local y = f(numbers, moves.random(draw, 1))
        local at = y:eq(22):view(y:size()):argmax() - 1
        all[("%d,%d"):format(at // y:dim(4) + 1, at % y:dim(4) + 1)] = true
      end
      for place in pairs(all) do list[#list + 1] = place end
      table.sort(list)
      return list
    end
    local function square(from, to)
      local list = {}
      for y = from, to do
        for z = from, to do list[#list + 1] = ("%d,%d"):format(y, z) end
      end
      return list
    end
    assert.same(square(2, 4), seen(moves.jitter(2)))
    assert.same(square(4, 6), seen(moves.pad(2, 2)))
    assert.same(square(5, 6), seen(moves.pad(2, 1)))
    assert.same(square(6, 6), seen(moves.pad(2)))
  end)

  it("of tf-keras-vis keep the size; a roll only moves", function()
    local random = features.transforms.random(5, 1)
    local y = features.transforms.roll(4)(x, random)
    assert.near(x:sum():item(), y:sum():item(), 1e-4)
    assert.same(x:shape(), features.transforms.turn(3)(x, random):shape())
    assert.same(x:shape(), features.transforms.zoom(0.9, 1.1)(x, random):shape())
  end)
end)


describe("spectra", function()
  -- steps of 2, 3, 4, 5, 7 and of a larger prime; more columns than stand side by side
  for _, size in ipairs { { 6, 8 }, { 5, 7 }, { 22, 35 } } do
    it(("of %d x %d become pictures"):format(size[1], size[2]), function()
      local h, w = size[1], size[2]
      local half = w // 2 + 1
      local s = core.normal(1, 0, 1, 1, 2 * h, half)
      local got = s:irfft2 { width = w }
      for y = 0, h - 1 do
        for x = 0, w - 1 do
          local sum = 0
          for j = 0, h - 1 do
            for k = 0, half - 1 do
              local twice = (k == 0 or 2 * k == w) and 1 or 2
              local a = 2 * math.pi * (j * y / h + k * x / w)
              sum = sum + twice * (s:get(1, 1, j + 1, k + 1) * math.cos(a)
                - s:get(1, 1, h + j + 1, k + 1) * math.sin(a))
            end
          end
          assert.near(sum / (h * w), got:get(1, 1, y + 1, x + 1), 1e-5)
        end
      end
    end)
  end

  it("and back", function()
    for _, size in ipairs { { 1, 1 }, { 2, 1 }, { 1, 9 }, { 33, 34 }, { 60, 37 },
                            { 49, 121 } } do
      local x = core.normal(2, 0, 2, 1, size[1], size[2])
      local back = x:rfft2():irfft2 { width = size[2] }
      assert.near(0, (back - x):abs():stats().max, 3e-6)
    end
    local ok, message = pcall(function() return core.zeros(3, 4):irfft2() end)
    assert.is_false(ok)
    assert.matches("an even number, not 3", message)
  end)

  it("have the magnitude of a wave", function()
    local w = 16
    local x = (core.range(0, w - 1) * (2 * math.pi * 3 / w)):cos():view(1, 1, 1, w)
    x = x:expand { 1, 1, 8, w }:clone()
    local m = features.parameters.magnitude(x)
    assert.near(8 * w / 2, m:get(1, 1, 4), 1e-3)
    assert.near(8 * w / 2, m:sum():item(), 1e-2)
  end)

  it("give pictures of 0 .. 1, of one channel too", function()
    for _, make in pairs { features.parameters.fourier, features.parameters.pixels,
                           features.parameters.phases } do
      for _, c in ipairs { 1, 3 } do
        local p = make(c, 10, 12)
        local x = p.decode(p.start(1, 0))
        assert.same({ 1, c, 10, 12 }, x:shape())
        local s = x:stats()
        assert.is_true(s.min >= 0 and s.max <= 1 and s.min < s.max)
      end
    end
  end)
end)


local net = assert(lu.net { name = "small", input = { 3, 20, 24 }, layers = {
  { "conv1", "conv2d", filters = 6, kernel = 3, padding = 1 }, { "relu1", "relu" },
  { "pool1", "max_pool2d", kernel = 2 },
  { "conv2", "conv2d", filters = 8, kernel = 3, stride = 2 }, { "relu2", "relu" },
  { "flatten", "flatten" }, { "out", "linear", units = 5 } } }):init(2)
net.params["conv2.bias"]:fill_(0.3)
local x = core.normal(7, 0, 2, 3, 20, 24)
local run = net:run(x)


describe("scores of scores", function()
  local a, b = lu.score.of(2), lu.score.unit("conv1", 3)
  local c = lu.score.of(4)

  it("add, subtract and scale on one layer", function()
    local want = run:values(a) - run:values(c) * 0.5
    assert.is_true(run:values(a - 0.5 * c):distance(want) < 1e-6)
    local g = run:gradient { score = a - 0.5 * c }
    local parts = run:gradient { score = a } - run:gradient { score = c } * 0.5
    assert.is_true(g:distance(parts) < 1e-6)
    local g2 = run:gradient { score = -a }
    assert.equal(0, g2:distance(-run:gradient { score = a }))
  end)

  it("add over several layers", function()
    local want = run:values(a) + run:values(b) * 3
    assert.is_true(run:values(a + b * 3):distance(want) < 1e-6)
    local g = run:gradient { score = a + b * 3 }
    local parts = run:gradient { score = a } + run:gradient { score = b } * 3
    assert.is_true(g:distance(parts) < 1e-6)
    local to_conv1 = run:gradient { score = a + c, wrt = "conv1" }
    assert.same({ 2, 6, 20, 24 }, to_conv1:shape())
  end)

  it("are one each", function()
    local each = lu.score.each { a, b + c }
    assert.near(run:values(a)[1], run:values(each)[1], 1e-6)
    assert.near((run:values(b) + run:values(c))[2], run:values(each)[2], 1e-5)
    local g = run:gradient { score = each }
    assert.is_true(g[1]:distance(run:gradient { score = a }[1]) < 1e-6)
    assert.is_true(g[2]:distance((run:gradient { score = b }
      + run:gradient { score = c })[2]) < 1e-6)
  end)

  it("say what they want", function()
    assert.matches("multiplied by a number", t.message(function() return a * c end))
    assert.matches("both sides are scores", t.message(function() return a + 1 end))
    assert.matches("name the classes", t.message(lu.score.each, { "predicted" }))
    assert.matches("3 scores for 2 samples", t.message(function()
      return run:values(lu.score.each { 1, 2, 3 })
    end))
  end)

  it("look at a neuron, a direction, a layer, a likeness", function()
    local act = run:activation "conv1"
    local function value(i, ...) return run:values(lu.score.neuron("conv1", ...))[i] end
    assert.equal(act:get(1, 2, 3, 4), value(1, 2, 3, 4))
    assert.equal(act:get(2, 2, 11, 13), value(2, 2))
    local v = core.normal(1, 0, 6)
    local along = (act * v:view(1, 6, 1, 1)):sum { dims = { 2 } }
      :mean { dims = { 2, 3 } }
    assert.is_true(run:values(lu.score.direction("conv1", v)):distance(along) < 1e-5)
    assert.near(act[1]:square():mean():item(), run:values(lu.score.energy "conv1")[1],
                1e-6)
    local match = lu.score.match("conv1", act:rows(1):clone())
    assert.near(0, run:values(match)[1], 0)
    local far = (act[2] - act[1]):square():sum():item() / act[1]:square():sum():item()
    assert.near(-far, run:values(match)[2], 1e-5)
    assert.matches("none at", t.message(function()
      return run:values(lu.score.neuron("conv1", 9, 1, 1))
    end))
    for _, place in ipairs { { 5, 10 }, { 5, nil, 10 }, { 5.5 }, { 5, 1, 2.5 } } do
      assert.matches("features_spec.lua:%d+: neuron: expected a channel",
        t.message(function()
          local one = lu.score.neuron("conv1", place[1], place[2], place[3])
          return one
        end))
    end
    -- the last place of all is one, those behind it are none
    local last = act:shape()
    assert.equal(act:get(1, last[2], last[3], last[4]),
                 value(1, last[2], last[3], last[4]))
    for k = 2, 4 do
      for _, at in ipairs { 0, last[k] + 1 } do
        local s = { 1, 1, 1 }
        s[k - 1] = at
        local want = ("neuron: layer 'conv1' has (%d,%d,%d) values, none at (%d,%d,%d)")
          :format(last[2], last[3], last[4], s[1], s[2], s[3])
        assert.truthy(t.message(value, 1, s[1], s[2], s[3]):find(want, 1, true))
      end
    end
    local fc = run.output:detach() -- values without height and width
    assert.equal(fc:get(2, 3), run:values(lu.score.neuron(run.output_layer.name, 3))[2])
    local w = core.normal(2, 0, fc:dim(2))
    assert.is_true(run:values(lu.score.direction(run.output_layer.name, w))
      :distance((fc * w):sum { dims = { 2 } }) < 1e-5)
    -- with a power: times the cosine, of at least 0.1, to that power
    local flat, sum = act[1]:reshape { 6, last[3] * last[4] }, 0
    local norm = v:square():sum():item() ^ 0.5
    for i = 1, last[3] * last[4] do
      local dot, square = 0, 0
      for k = 1, 6 do
        local one = flat:get(k, i)
        dot, square = dot + one * v:get(k), square + one * one
      end
      sum = sum + dot * math.max(0.1, dot / (square ^ 0.5 * norm)) ^ 2
    end
    assert.near(sum / (last[3] * last[4]),
                run:values(lu.score.direction("conv1", v, 2))[1], 1e-4)
    assert.matches("4 numbers for the 6 channels", t.message(function()
      return run:values(lu.score.direction("conv1", core.ones(4)))
    end))
  end)
end)


describe("activation maximisation", function()
  local units = { lu.score.unit("conv2", 5), lu.score.unit("conv1", 2), 3 }
  local function climb(o)
    o.steps, o.progress = o.steps or 6, false
    return lu.activation_maximization(net, o)
  end

  for _, dialect in ipairs { "lucid", "maco", "tf-keras-vis", "keras-vis" } do
    it(dialect .. " climbs", function()
      local rate = dialect == "maco" and 0.1 or nil -- its crops are 1 to 12 pixels here
      local p = climb { score = units, dialect = dialect, steps = 48, rate = rate }
      local first = climb { score = units, dialect = dialect, steps = 1, rate = rate }
      assert.same({ 3, 3, 20, 24 }, p:shape())
      local s = p:stats()
      assert.is_true(s.min >= 0 and s.max <= 255 and s.finite)
      for i = 1, 3 do
        assert.is_true(p.story.values[i] > first.story.values[i], dialect .. " " .. i)
      end
    end)
  end

  it("a picture alone is as in a batch, bit for bit; threads do not matter", function()
    local all = climb { score = units }
    for i, unit in ipairs(units) do
      assert.is_true(t.same(all:rows(i), climb { score = unit }))
    end
    local before = core.threads()
    core.threads(1)
    local one = climb { score = units }
    core.threads(before)
    assert.is_true(t.same(all, one))
    assert.is_false(t.same(all, climb { score = units, seed = 1 }))
  end)

  it("starts of one score differ, more with diversity", function()
    local function likeness(diversity)
      local p = climb { score = units[1], starts = 2, steps = 30,
                        diversity = diversity }
      local a, b = p[1] - p[1]:mean():item(), p[2] - p[2]:mean():item()
      return (a * b):sum():item() / math.sqrt(a:square():sum():item()
                                             * b:square():sum():item())
    end
    assert.is_true(likeness(50) < likeness(0))
  end)

  it("keeps what an interruption leaves", function()
    local ok, message = pcall(climb, { score = units[1], steps = 50,
      dialect = "keras-vis", watch = function(_, step)
        if step == 5 then core.interrupt() end
      end })
    core.interrupt(false)
    assert.is_false(ok)
    assert.matches("interrupted", message)
    assert.equal(5, features.last.step)
    assert.same({ 1, 3, 20, 24 }, features.last.pictures():shape())
  end)

  for _, dialect in ipairs { "lucid", "tf-keras-vis" } do
    it(dialect .. " goes on from a checkpoint, to the same bits", function()
      local folder, done = t.folder()
      finally(done)
      local path = folder .. "/climb.safetensors"
      local function call(watch, seed, rules)
        return climb { score = units, steps = 70, dialect = dialect, seed = seed or 0,
                       modifiers = rules, checkpoint = path, watch = watch }
      end
      local whole = climb { score = units, steps = 70, dialect = dialect }
      assert.is_false(pcall(call, function(_, step)
        if step == 40 then error "the machine went down" end
      end))
      local seen = {}
      local rest = call(function(_, step) seen[#seen + 1] = step end)
      assert.equal(33, seen[1])
      assert.is_true(t.same(whole, rest))
      assert.matches("another checkpoint", t.message(call, nil, 5))
      assert.matches("another checkpoint", t.message(call, nil, 0, { "guided" }))
    end)
  end

  it("says so where nothing can be climbed", function()
    local dead = assert(lu.net(net.graph)):init(2)
    dead.params["conv2.bias"]:fill_(-1000)
    local o = { score = units[1], steps = 2, progress = false, dialect = "keras-vis" }
    local said = t.warnings(lu.activation_maximization, dead, o)
    assert.matches("picture 1 gets no gradient", said[1])
  end)

  it("opens a relu that is closed on a grey picture", function()
    local shut = assert(lu.net { input = { 1, 12, 12 }, layers = {
      { "conv", "conv2d", filters = 1, kernel = 3 }, { "relu", "relu" } } }):init(1)
    shut.params["conv.weight"]:fill_(1)
    shut.params["conv.bias"]:fill_(-9 * 0.6) -- open where it is brighter than 0.6
    local grey = core.full(0.5, 1, 1, 12, 12)
    local unit = lu.score.unit("conv", 1)
    assert.equal(0, shut:run(grey):values(unit)[1])
    local p = lu.activation_maximization(shut, { score = unit, steps = 64,
                                                 progress = false })
    assert.is_true(p.story.values[1] > 1)
  end)

  it("opens some closed relus of a batch as it does each alone", function()
    local half = assert(lu.net { input = { 1, 12, 12 }, layers = {
      { "conv", "conv2d", filters = 5, kernel = 3 }, { "relu", "relu" } } }):init(1)
    half.params["conv.weight"]:fill_(1)
    for i = 1, 5 do half.params["conv.bias"]:set(i, i % 2 == 1 and -9 * 0.6 or 0) end
    local list = {}
    for i = 1, 5 do list[i] = lu.score.unit("conv", i) end
    local o = { steps = 12, progress = false }
    o.score = list
    local all = lu.activation_maximization(half, o)
    for i, unit in ipairs(list) do
      o.score = unit
      assert.is_true(t.same(all:rows(i), lu.activation_maximization(half, o)), i)
    end
  end)

  it("of many units needs little more memory than of two", function()
    local wide = assert(lu.net { input = { 3, 64, 64 }, layers = {
      { "conv", "conv2d", filters = 64, kernel = 3 }, { "relu", "relu" } } }):init(1)
    local function peak(n)
      local list = {}
      for i = 1, n do list[i] = lu.score.unit("conv", i) end
      collectgarbage()
      core.reset_peak()
      local before = core.memory().live
      lu.activation_maximization(wide, { score = list, steps = 2, progress = false })
      return core.memory().peak - before
    end
    peak(2)
    -- six pictures more: 1.4 MB each of spectra, moments and decoded pictures; the
    -- layer's values and what else a pass makes are 8 MB a picture
    local two, eight = peak(2), peak(8)
    assert.is_true(eight - two < 16 << 20, eight - two)
  end)

  it("the gates of guided rules see the score's sign, or the loss's", function()
    local o = { score = 3, modifiers = { "guided" }, dialect = "tf-keras-vis" }
    local by_score = climb(o)
    o.gate = "loss"
    assert.is_false(t.same(by_score, climb(o)))
  end)

  it("names what is missing or wrong", function()
    assert.matches("no score", t.message(climb, {}))
    assert.matches("name the classes", t.message(climb, { score = { "predicted", 1 } }))
    assert.matches("optimizer", t.message(climb, { score = 1, optimizer = "adamm" }))
    assert.matches("dialect", t.message(climb, { score = 1, dialect = "deep" }))
  end)
end)


describe("receptive fields", function()
  it("behind a pool are as far apart as its window is wide, where it says no stride",
    function()
      local chain = assert(lu.net { input = { 3, 12, 15 }, layers = {
        { "a", "conv2d", filters = 2, kernel = 3, padding = 1, stride = { 1, 1 } },
        { "p", "max_pool2d", kernel = { 2, 3 } },
        { "b", "conv2d", filters = 2, kernel = 2 },
        { "m", "avg_pool2d", kernel = 2, stride = 1 } } }):init(1)
      local function said(name)
        local f = features.receptive_field(chain, name)
        return { f.height, f.width, f.down, f.right }
      end
      assert.same({ 3, 3, 1, 1 }, said "a")
      assert.same({ 4, 5, 2, 3 }, said "p")
      assert.same({ 6, 8, 2, 3 }, said "b")
      assert.same({ 8, 11, 2, 3 }, said "m")
    end)

  it("are where the gradient of one value is not 0", function()
    for _, name in ipairs { "conv1", "pool1", "conv2", "relu2" } do
      local shape = net:layer(name).shape
      local y, z = shape[2] // 2 + 1, shape[3] // 2
      local plane = core.ones(1, 3, 20, 24)
      local one = assert(lu.net(net.graph)):init(2)
      for _, p in ipairs { "conv1", "conv2" } do
        one.params[p .. ".weight"]:fill_(1)
        one.params[p .. ".bias"]:fill_(1)
      end
      -- an average, so that no winner hides the others
      local r = one:run(plane)
      local spread = lu.modifier { name = "spread", { on = "max_pool2d",
        rule = function(_, dy)
          return dy:interpolate { size = { 20, 24 }, mode = 0 }
        end } }
      local g = r:gradient { score = lu.score.neuron(name, 1, y, z),
        modifiers = name ~= "conv1" and { spread } or {} }:abs():sum { dims = { 1, 2 } }
      local top, bottom, left, right = 99, 0, 99, 0
      for i = 1, 20 do
        for j = 1, 24 do
          if g:get(i, j) > 0 then
            top, bottom = math.min(top, i), math.max(bottom, i)
            left, right = math.min(left, j), math.max(right, j)
          end
        end
      end
      local box = features.receptive_field(net, name).box(y, z)
      assert.same({ top, left, bottom - top + 1, right - left + 1 },
                  { box.top, box.left, box.height, box.width }, name)
    end
  end)

  it("are the whole picture behind a dense layer", function()
    local f = features.receptive_field(net, "out")
    assert.is_true(f.whole)
    assert.same({ 20, 24 }, { f.height, f.width })
  end)
end)


describe("patches", function()
  local pictures = {}
  for i = 1, 5 do pictures[i] = core.uniform(i, 0, 3, 20, 24) * (40 * i) end

  it("are where the unit is most active, best first", function()
    local finds = features.patches(net, "conv2", pictures, { units = { 4 }, count = 3,
                                                             batch = 2 })
    local r = net:run(assert(net:images(pictures)))
    local most = r:activation("conv2"):max { dims = { 3, 4 } }
    local want = {}
    for i = 1, 5 do want[i] = most:get(i, 4) end
    table.sort(want, function(a, b) return a > b end)
    for i = 1, 3 do assert.near(want[i], finds[1][i].value, 1e-4) end
    local find = finds[1][1]
    local box = features.receptive_field(net, "conv2").box(find.y, find.x)
    assert.same({ 3, box.height, box.width }, find.patch:shape())
  end)

  it("may be a folder's", function()
    local folder, done = t.folder()
    for i, picture in ipairs(pictures) do
      assert(lu.image.save(("%s/%d.png"):format(folder, i), picture:round()))
    end
    local found = features.patches(net, "conv2", folder, { units = { 4 } })[1][1]
    local listed = features.patches(net, "conv2", { folder .. "/5.png", folder },
                                    { units = { 4 } })[1]
    assert.equal(found.value, listed[1].value)
    assert.equal(listed[1].value, listed[2].value) -- it is there twice
    done()
    assert.matches("patches: no picture or folder", t.message(features.patches, net,
                                                              "conv2", folder))
  end)

  it("are not shown of a unit that they do not excite", function()
    local own = assert(lu.net(net.graph)):init(2) -- runs of `net` know its weights
    own.params["conv2.bias"]:fill_(0.3):set(3, -1000)
    local canvas = features.gallery(own, "conv2", { units = { 1, 3 }, steps = 1,
      pictures = pictures, count = 2, progress = false })
    local captions = canvas.rows[1].captions
    assert.matches("^%d", captions[2])
    assert.same({ "unit 3", "silent", "" }, table.move(captions, 4, 6, 1, {}))
  end)

  it("stand beside pictures in a gallery", function()
    local canvas = features.gallery(net, "conv2", { units = { 1, 2, 3 }, steps = 2,
      pictures = pictures, count = 2, columns = 2, progress = false })
    local w, h = assert(canvas:render()):size()
    assert.is_true(w > h and h > 200)
    assert.matches("beside it what excites them", canvas.title)
    assert.matches("channels 1 .. 8, not 9", t.message(features.patches, net, "conv2",
                                                       pictures, { units = { 9 } }))
  end)
end)


describe("a picture to begin with", function()
  it("is decoded to itself", function()
    for _, size in ipairs { { 3, 10, 12 }, { 3, 9, 7 }, { 1, 8, 8 } } do
      local p = features.parameters.fourier(table.unpack(size))
      local picture = core.uniform(3, 0, 2, table.unpack(size)) * 0.9 + 0.05
      assert.is_true(p.decode(p.encode(picture)):distance(picture) < 1e-4)
    end
  end)

  it("is where the climb starts", function()
    local p = lu.activation_maximization(net, { score = lu.score.energy "conv1",
      from = core.uniform(1, 0, 1, 3, 20, 24) * 200 + 20, steps = 3, rate = 0.001,
      progress = false })
    assert.is_true(p:distance(core.uniform(1, 0, 1, 3, 20, 24) * 200 + 20) < 0.05)
    assert.matches("from is", t.message(lu.activation_maximization, net, { score = 1,
      from = core.zeros(1, 3, 4, 4) }))
  end)
end)


describe("inversion", function()
  it("comes near a layer's values", function()
    local images = assert(net:images { core.uniform(1, 0, 3, 20, 24) * 255 })
    local p, distance = features.invert(net, images, "conv1", { steps = 80,
                                                                progress = false })
    local again = net:run(assert(net:images(p)))
    local a, b = again:activation "conv1", net:run(images):activation "conv1"
    local far = (a - b):square():sum():item() / b:square():sum():item()
    assert.is_true(distance[1] < 0.1)
    assert.near(distance[1], far, 0.02) -- net:images rounds to bytes
  end)
end)


describe("a climb in a session", function()
  local terminal = dofile "tests/lua/terminal.lua"
  if not terminal.available() then
    pending "needs tmux"
    return
  end

  it("shows the picture while it runs; Ctrl-C keeps the best so far", function()
    local home, remove = terminal.folder()
    local term = terminal.open { HOME = home, XDG_STATE_HOME = home, XDG_CONFIG_HOME =
                                 home, TERM = "screen-256color" }
    finally(function()
      term:close()
      remove()
    end)
    term:wait ">$"
    term:enter "net = lu.load 'glyphs'; unit = lu.score.unit('block2_conv2', 3)"
    term:wait ">$"
    term:enter "o = { score = unit, show = 2, steps = 9999 }"
    term:enter "lu.activation_maximization(net, o)"
    local screen = term:wait("step [4-9] of 9999", 30)
    local _, pictures = screen:gsub("step %d+ of", "") -- each over the one before
    assert.equal(1, pictures)
    term:key "C-c" -- it may come while a picture is drawn anew
    term:wait("interrupted", 10)
    term:run("b = lu.features.last; print(b.steps, #b.pictures():shape())", "9999%s+4",
             10)
  end)
end)
