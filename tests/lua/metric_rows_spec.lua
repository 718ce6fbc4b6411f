-- Every metric of `lu.metrics` with a perfect, a random and an inverted map, on a
-- network whose explanation is known: S(x) = sum of w x, w positive on a square and 0
-- beside it.
local core = require "lunette.core"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local SIDE = 16


---1 on a square of 6 x 6 at (4, 7).
local function square()
  local mask = core.zeros(SIDE, SIDE)
  mask:paste_(core.ones(6, 6), 4, 7)
  return mask
end


---Two classes: the square's weights (0.5 .. 1.5), and those of its mirror image.
local function linear_net()
  local net = assert(lu.net { name = "square", input = { 1, SIDE, SIDE },
    layers = { { "flatten", "flatten" }, { "out", "linear", units = 2 } } }):init(1)
  local w = (core.uniform(1, 1, SIDE, SIDE) + 0.5) * square()
  local rows = core.zeros(2, SIDE * SIDE)
  rows[1] = w:view(SIDE * SIDE)
  rows[2] = w:flip { dims = { 2 } }:reshape { SIDE * SIDE }
  net.params["out.weight"] = rows
  net.params["out.bias"] = core.zeros(2)
  return net, w
end

local net, w = linear_net()
local mask = square()
local x = core.uniform(2, 1, 1, 1, SIDE, SIDE) + 0.5
local run = net:run(x)
local perfect = (x[1][1] * w):clone() -- input times gradient: exact for this network
local random = core.uniform(3, 1, SIDE, SIDE)


---Explainers of a kind: what the network says, its inverse, numbers of no meaning.
local function input_x_gradient(r, o)
  return (r.images * r:gradient { score = o.score }):sum { dims = { 2 } }
end

local calls = 0
local explainers = {
  perfect = input_x_gradient,
  inverted = function(r, o) return -input_x_gradient(r, o) end,
  random = function(r) -- another map at every call
    calls = calls + 1
    return core.uniform(5, calls, r:count(), SIDE, SIDE)
  end,
  edges = function(r) -- of the picture alone
    return lu.control("edges", r)
  end,
}


---What a metric says of a map.
local function value_of(row, map, kind, opts)
  local o = {}
  for key, v in pairs(opts or {}) do o[key] = v end
  if row.options.score then o.score = 0 end
  if row.needs == "method" then o.method = explainers[kind] end
  local others = { mask = mask, map = perfect, run = run, method = run }
  if not row.needs then return (row(map, o)) end
  return (row(map, others[row.needs], o))
end


-- Options that suit 16 x 16 pixels. false: says nothing of these three maps; what it
-- says of others stands below.
local cases = {
  pointing = {}, energy = {}, iou = {}, relevance_mass = {}, relevance_rank = {},
  auc_roc = {}, top_k = { k = 30 }, focus = {},
  deletion = { steps = 32 }, insertion = { steps = 32 },
  pixel_flipping = { features = 8 },
  region_perturbation = { side = 2, regions = 16, baseline = "zero" },
  irof = { labels = core.range(0, 255):view(SIDE, SIDE), baseline = "zero" },
  road = { percentiles = { 80, 90 }, noise = 0 },
  average_drop = {}, increase = false, gain = false, adcc = {}, arcc = {},
  mu_fidelity = { cells = 8, runs = 60 }, infidelity = { samples = 30 },
  faithfulness_correlation = { runs = 60, subset = 40 },
  faithfulness_estimate = { features = 8 },
  monotonicity_correlation = false, monotonicity = false,
  sensitivity_n = { sizes = 4, runs = 12 }, completeness = false,
  ssim = false, spearman = {}, pearson = {}, cosine = {}, kendall = {},
  top_overlap = { k = 30 },
  sparseness = false, complexity = false, effective_complexity = false,
  sensitivity_max = false, sensitivity_avg = false, local_lipschitz = false,
  continuity = false, input_invariance = false, parameter_randomization = false,
  efficient_randomization = false, random_logit = false,
}


describe("every metric", function()
  local families = {}
  for _, name in ipairs(require("lunette.explain.metric").families) do
    families[name] = true
  end

  for name, row in pairs(lu.metrics) do
    it(name .. " says what it is", function()
      assert.equal(name, row.name)
      assert.is_true(families[row.family] or false, name .. " has no family")
      assert.is_true(#(row.paper or "") > 8, name .. " has no paper")
      assert.is_true(type(row.title) == "string", name .. " has no title")
      local way = row.better == "higher" or row.better == "lower"
      assert.equal(row.family ~= "likeness", way, name .. ": which end is good?")
      assert.is_truthy(cases[name] ~= nil, name .. " has no case in this file")
    end)

    if cases[name] then
      it(name .. " puts a perfect map before a random one before an inverted one",
         function()
        local sign = row.better == "lower" and -1 or 1
        local best = sign * value_of(row, perfect, "perfect", cases[name])
        local middle = sign * value_of(row, random, "random", cases[name])
        local inverse = row.needs == "mask" and perfect:max() - perfect or -perfect
        local worst = sign * value_of(row, inverse, "inverted", cases[name])
        assert.is_true(best > middle, ("%s: perfect %g, random %g"):format(name, best,
                                                                            middle))
        -- a map that loses everything loses no more than everything
        assert.is_true(middle >= worst, ("%s: random %g, inverted %g"):format(name,
                                                                     middle, worst))
      end)
    end

    it(name .. " has one answer where all values tie", function()
      if name == "gain" then return end -- of probabilities alone, below
      local flat = core.full(0.5, SIDE, SIDE)
      local opts = type(cases[name]) == "table" and cases[name] or nil
      local steady = { random = "perfect" }
      local a = value_of(row, flat, steady.random, opts)
      assert.equal(a, value_of(row, flat, steady.random, opts))
      assert.is_true(a == a and math.abs(a) < math.huge, name .. " is not finite")
    end)
  end

  it("takes a batch map by map", function()
    local both = core.zeros(2, 1, SIDE, SIDE)
    both[1], both[2] = x[1], x[1] * 0.5
    local two = net:run(both)
    local maps = input_x_gradient(two, { score = 0 })
    for name, row in pairs(lu.metrics) do
      if row.needs == "run" and cases[name] then
        local o = { score = 0 }
        for key, v in pairs(cases[name]) do o[key] = v end
        local mean, each = row(maps, two, o)
        assert.near(mean, (each[1] + each[2]) / 2, 1e-9 + 1e-9 * math.abs(mean))
        local alone = row(maps[1], run, o)
        assert.equal(alone, each[1], name)
      end
    end
  end)
end)


describe("on a linear network", function()
  local function of(row, map, opts)
    return value_of(lu.metrics[row], map, "perfect", opts)
  end

  it("correlations of falls are 1, and errors 0, for input times gradient", function()
    local subsets = { runs = 20, subset = 40 }
    assert.near(1, of("faithfulness_correlation", perfect, subsets), 1e-5)
    assert.near(1, of("faithfulness_estimate", perfect, { features = 8 }), 1e-5)
    assert.near(1, of("sensitivity_n", perfect, { sizes = 3, runs = 8 }), 1e-5)
    assert.near(1, of("mu_fidelity", perfect, { cells = 8, runs = 40 }), 1e-3)
    assert.near(0, of("completeness", perfect), 1e-5)
    assert.near(1, of("completeness", perfect * 2), 1e-5)
  end)

  it("sensitivity-n draws other values for each of its sizes", function()
    local subsets = require "lunette.explain.subsets"
    local draw, drawn = subsets.random, {}
    finally(function() subsets.random = draw end)
    function subsets.random(seed, count, size, n)
      drawn[#drawn + 1] = { seed, count, size }
      return draw(seed, count, size, n)
    end
    of("sensitivity_n", perfect, { sizes = 3, runs = 8, seed = 5, most = 0.75 })
    local all = perfect:size()
    assert.same({ { 6, 8, all // 4 }, { 7, 8, all // 2 }, { 8, 8, all * 3 // 4 } },
                drawn)
    local a, b = draw(6, 1, 9, all)[1], draw(7, 1, 9, all)[1]
    assert.not_equal(table.concat(a, " "), table.concat(b, " "))
  end)

  it("a gradient has no infidelity", function()
    assert.near(0, of("infidelity", w, { samples = 8 }), 1e-6)
    assert.near(0, of("infidelity", w * 3, { samples = 8, normalize = true }), 1e-6)
    assert.is_true(of("infidelity", w * 3, { samples = 8 }) > 0.01)
  end)

  it("the deletion curve is what is left of the sum", function()
    local _, values = perfect:view(256):argsort()
    local left = perfect:sum():item()
    local _, _, curves = lu.metrics.deletion(perfect, run, { score = 0, steps = 16 })
    for k = 0, 16 do
      assert.near(left, curves[1][k + 1], 1e-4)
      for j = 16 * k + 1, math.min(256, 16 * k + 16) do left = left - values[j] end
    end
  end)

  it("the picture's own score is read from its run, with the same bits", function()
    local small = t.net()
    local input = t.input(small, 2)
    local asked, plain = 0, small.run
    finally(function() rawset(small, "run", nil) end)
    rawset(small, "run", function(self, images, o)
      asked = asked + images:dim(1)
      return plain(self, images, o)
    end)
    local map = core.uniform(3, 1, 2, 12, 12)
    for _, name in ipairs { "deletion", "insertion" } do
      for _, modifiers in ipairs { {}, { "linear" } } do
        local o, all = { steps = 5, score = 1, modifiers = modifiers }, {}
        for _, keep in ipairs { true, false } do -- kept nothing: asked again
          local r = plain(small, input, { keep = keep })
          asked = 0
          local known = keep or #modifiers == 0 -- the output itself is always there
          local _, _, curves = lu.metrics[name](map, r, o)
          assert.equal(known and 10 or 12, asked, name)
          all[#all + 1] = curves
        end
        assert.same(all[1], all[2])
        assert.equal(6, #all[1][2])
      end
    end
  end)

  it("monotonicity: each value that is put back helps", function()
    -- whole numbers, so that nothing rounds: 220 pixels of weight 0, then 36 of 1 or -1
    local plain = core.ones(1, 1, SIDE, SIDE)
    for sign, want in pairs { [1] = 1, [-1] = 26 / 31 } do
      net.params["out.weight"][1] = (mask * sign):view(SIDE * SIDE)
      local share, _, whole = lu.metrics.monotonicity(mask, net:run(plain),
                                                      { score = 0, features = 8 })
      net.params["out.weight"][1] = w:view(SIDE * SIDE)
      assert.near(want, share, 1e-12) -- 5 of 31 steps bring pixels of -1
      assert.equal(sign == 1, whole[1])
    end
    -- a group without weight changes nothing but roundings: two groups are compared
    local good = of("monotonicity_correlation", perfect, { features = 36 })
    local bad = of("monotonicity_correlation", random, { features = 36 })
    assert.is_true(good > 0.5 and bad < good, ("%g, %g"):format(good, bad))
  end)

  it("the weights' map is steady, numbers of no meaning are not", function()
    local g = function(r, o) return r:gradient { score = o.score } end
    for _, name in ipairs { "sensitivity_max", "sensitivity_avg", "local_lipschitz",
                            "continuity", "input_invariance" } do
      local row = lu.metrics[name]
      assert.near(0, (row(w, run, { score = 0, method = g })), 1e-6)
      local r = explainers.random
      assert.is_true((row(random, run, { score = 0, method = r })) > 0.02, name)
    end
  end)

  it("a shift of the input moves what is multiplied by it", function()
    local row = lu.metrics.input_invariance
    local got = row(perfect, run, { score = 0, method = input_x_gradient, shift = 2 })
    assert.near((w * 2):stats().l2 / perfect:stats().l2, got, 1e-4)
  end)

  it("sanity: what the network says changes, edges do not", function()
    local edges = explainers.edges(run)[1]
    for _, name in ipairs { "parameter_randomization", "random_logit" } do
      local row = lu.metrics[name]
      local good = row(perfect, run, { score = 0, method = input_x_gradient })
      local bad = row(edges, run, { score = 0, method = explainers.edges })
      assert.near(1, bad, 1e-6, name)
      local options = { score = 0, method = explainers.edges, likeness = "hog" }
      assert.near(1, row(edges, run, options), 1e-6, name)
      options.method = input_x_gradient
      assert.is_true(row(perfect, run, options) < 0.7, name)
      assert.is_true(good < 0.7, name .. ": " .. good)
    end
    local row = lu.metrics.efficient_randomization
    assert.equal(0, (row(edges, run, { score = 0, method = explainers.edges })))
    assert.is_true((row(perfect, run, { score = 0, method = input_x_gradient })) > 0.2)
  end)
end)


describe("histograms of oriented gradients", function()
  local histogram = require "lunette.explain.gradient_histogram"
  local alike = require "lunette.explain.alike"

  ---Written again, pixel by pixel in double precision: each cell's nine directions.
  local function cells_of(rows, side)
    local tall, wide, cells = #rows, #rows[1], {}
    for i = 1, tall // side * side do
      for j = 1, wide // side * side do
        local down = i > 1 and i < tall and rows[i + 1][j] - rows[i - 1][j] or 0
        local right = j > 1 and j < wide and rows[i][j + 1] - rows[i][j - 1] or 0
        local k = math.floor(math.deg(math.atan(down, right)) % 180 / 20) % 9
        local at = ("%d %d %d"):format((i - 1) // side, (j - 1) // side, k)
        cells[at] = (cells[at] or 0) + math.sqrt(down ^ 2 + right ^ 2) / side ^ 2
      end
    end
    return cells
  end

  local function block_of(cells, row)
    local list = {}
    for at = 0, 80 do
      local key = ("%d %d %d"):format(row + at // 27, at // 9 % 3, at % 9)
      list[at + 1] = cells[key] or 0
    end
    for _, most in ipairs { 0.2, 1 } do
      local sum = 1e-10
      for _, v in ipairs(list) do sum = sum + v * v end
      for k, v in ipairs(list) do list[k] = math.min(v / math.sqrt(sum), most) end
    end
    return list
  end

  it("are those of the formula", function()
    local map = core.uniform(5, 1, 70, 50) -- 4 x 3 cells, and a rest
    local features, cells = histogram.of(map), cells_of(map:totable(), 16)
    assert.same({ 1, 81, 2, 1 }, features:shape())
    for row = 1, 2 do
      for k, want in ipairs(block_of(cells, row - 1)) do
        assert.near(want, features:get(1, k, row, 1), 1e-6) -- float32
      end
    end
    local small = core.uniform(5, 2, 14, 14) -- a CAM: cells of 4
    local got = histogram.of(small)
    cells = cells_of(small:totable(), 4)
    for k, want in ipairs(block_of(cells, 0)) do
      assert.near(want, got:get(1, k, 1, 1), 1e-6)
    end
  end)

  it("have one direction for a slope", function()
    -- 1 right, 1 down: 45 degrees, the third of nine; nine equal cells: 1/3 each. In
    -- the middle: at the border there are no differences
    local line = core.range(0, 79)
    for k, slope in pairs { [2] = line:view(80, 1) + line:view(1, 80),
                            [0] = line:view(1, 80):expand { shape = { 80, 80 } },
                            [4] = line:view(80, 1):expand { shape = { 80, 80 } } } do
      local features = histogram.of(slope)
      for i = 1, 81 do
        assert.near((i - 1) % 9 == k and 1 / 3 or 0, features:get(1, i, 2, 2), 1e-5)
      end
    end
  end)

  it("compare outlines, not their strength", function()
    local a, b = core.uniform(5, 1, 48, 48), core.uniform(6, 1, 48, 48)
    assert.near(1, alike.of("hog", a, a), 1e-6)
    assert.near(1, alike.of("hog", a, a * 3 + 1), 1e-6)
    assert.is_true(alike.of("hog", a, b) < 0.5)
    local even = core.ones(48, 48)
    assert.same({ 1, 0 }, { alike.of("hog", even, even), alike.of("hog", a, even) })
    assert.matches("maps of 2 x 9 have no gradient",
                   t.message(alike.of, "hog", core.ones(2, 9), core.ones(2, 9)))
  end)
end)


describe("a picture under its map", function()
  it("gains of what its probability lacks", function()
    local small = t.net()
    local r = small:run(t.input(small, 1))
    local whole = r.output:detach():get(1, 1)
    local map = core.uniform(4, 1, 12, 12)
    local scaled = map:view(1, 144):normalize():view(1, 1, 12, 12)
    local under = small:run(r.images * scaled).output:detach():get(1, 1)
    local o = { score = 0 }
    local gain, drop = lu.metrics.gain(map, r, o), lu.metrics.average_drop(map, r, o)
    assert.near(math.max(0, under - whole) / (1 - whole), gain, 1e-5)
    assert.near(math.max(0, whole - under) / whole, drop, 1e-5)
    assert.equal(under > whole and 1 or 0, (lu.metrics.increase(map, r, o)))
    assert.equal(0, (lu.metrics.gain(core.ones(12, 12), r, o))) -- black, or the picture
    assert.matches("40.%d+ is no probability", t.message(lu.metrics.gain, perfect, run,
                                                         { score = 0 }))
  end)
end)


describe("the order of maps of known size", function()
  it("one bright pixel is the simplest map", function()
    local one = core.zeros(SIDE, SIDE)
    one:set(3, 3, 5)
    local flat = core.full(2, SIDE, SIDE)
    assert.near(1 - 1 / 256, (lu.metrics.sparseness(one)), 1e-4) -- Gini: 1 - 1/n
    assert.near(0, (lu.metrics.sparseness(flat)), 1e-9)
    assert.near(0, (lu.metrics.complexity(one)), 1e-9)
    assert.near(math.log(256), (lu.metrics.complexity(flat)), 1e-6)
    assert.equal(1, (lu.metrics.effective_complexity(one)))
    assert.equal(256, (lu.metrics.effective_complexity(flat)))
    assert.equal(36, (lu.metrics.effective_complexity(mask)))
  end)
end)


-- naive twins -------------------------------------------------------------------------


---Small whole numbers, so that many tie.
local function coarse(stream) return (core.uniform(7, stream, 12, 11) * 6):floor() end


describe("naive twins agree:", function()
  it("ROC AUC, pair by pair", function()
    local map, object = coarse(1), core.uniform(7, 9, 12, 11):gt(0.6)
    local v, m, won, count = map:view(132), object:view(132), 0, 0
    for i = 1, 132 do
      for j = 1, 132 do
        if m[i] > 0 and m[j] == 0 then
          count = count + 1
          won = won + (v[i] > v[j] and 1 or v[i] == v[j] and 0.5 or 0)
        end
      end
    end
    assert.near(won / count, (lu.metrics.auc_roc(map, object)), 1e-12)
  end)

  it("Kendall's tau-b, pair by pair", function()
    local a, b = coarse(2), coarse(3) + coarse(2)
    local u, v, sum, ties_u, ties_v, n = a:view(132), b:view(132), 0, 0, 0, 0
    local function sign(z) return z > 0 and 1 or z < 0 and -1 or 0 end
    for i = 1, 131 do
      for j = i + 1, 132 do
        local p, q = sign(u[i] - u[j]), sign(v[i] - v[j])
        n, sum = n + 1, sum + p * q
        ties_u, ties_v = ties_u + (p == 0 and 1 or 0), ties_v + (q == 0 and 1 or 0)
      end
    end
    local want = sum / math.sqrt((n - ties_u) * (n - ties_v))
    assert.near(want, (lu.metrics.kendall(a, b)), 1e-12)
    assert.equal(1, (lu.metrics.kendall(a, a)))
    assert.equal(-1, (lu.metrics.kendall(a, -a)))
    assert.equal(0, (lu.metrics.kendall(a, a * 0)))
  end)

  it("the Gini index, by its double sum", function()
    local map = core.normal(7, 4, 5, 6)
    local list, sum, double = map:abs():view(30):totable(), 0, 0
    for _, p in ipairs(list) do
      sum = sum + p
      for _, q in ipairs(list) do double = double + math.abs(p - q) end
    end
    assert.near(double / (2 * 30 * sum), (lu.metrics.sparseness(map)), 1e-5)
  end)

  ---Gauss-Seidel until nothing moves: the same system, solved another way.
  it("ROAD's imputation, by relaxation", function()
    local impute = require "lunette.explain.impute"
    local h, wide = 7, 9
    local image = core.uniform(8, 1, 1, 1, h, wide)
    local gone = core.uniform(8, 2, 1, 1, h, wide):lt(0.7)
    local value, hole = image:view(h * wide):totable(), gone:view(h * wide):totable()
    local function update(y, x_)
      local sum, weights = 0, 0
      for dy = -1, 1 do
        for dx = -1, 1 do
          local inside = y + dy >= 0 and y + dy < h and x_ + dx >= 0 and x_ + dx < wide
          if inside and (dy ~= 0 or dx ~= 0) then
            local weight = (dy == 0 or dx == 0) and 1 / 6 or 1 / 12
            sum = sum + weight * value[(y + dy) * wide + x_ + dx + 1]
            weights = weights + weight
          end
        end
      end
      value[y * wide + x_ + 1] = sum / weights
    end
    for _ = 1, 600 do
      for k = 1, h * wide do
        if hole[k] > 0 then update((k - 1) // wide, (k - 1) % wide) end
      end
    end
    local want = core.tensor(value):view(1, 1, h, wide)
    assert.is_true(impute.linear(image, gone):distance(want) < 1e-5) -- float32
    local two = core.zeros(2, 1, h, wide)
    two[1], two[2] = gone[1], 1 - gone[1]
    local filled = impute.linear(image, two)
    assert.is_true(filled[1]:distance(want[1]) < 1e-5)
    assert.is_true((filled[2] * gone[1]):same(image[1] * gone[1])) -- kept, to the bit
  end)

  it("percentiles, as numpy counts", function()
    local road = require "lunette.explain.road"
    -- numpy.percentile(range(10), 25) is 2.25: the values from 3 on go, seven of them
    local map = core.range(0, 9):view(2, 5)
    assert.equal(7, road.removed(map, { 25 }):sum():item())
    assert.equal(5, road.removed(map, { 50 }):sum():item())
    assert.equal(9, road.removed(map, { 0 }):sum():item()) -- one pixel is left
    assert.equal(5, road.removed(map * 0, { 50 }):sum():item())
  end)
end)


describe("a metric that asks the method again", function()
  local small = t.net()
  local pictures = t.input(small, 2)

  it("knows from the map which it was, and for which class", function()
    local map = lu.saliency(small, pictures, { score = 3, modifiers = { "linear" } })
    local r = small:run(pictures)
    local value, list = lu.metrics.sensitivity_max(map, r, { samples = 3 })
    assert.is_true(value > 0 and #list == 2)
    local told = lu.metrics.sensitivity_max(map, r, { samples = 3, score = 3,
      method = "saliency", with = { modifiers = { "linear" } } })
    assert.near(told, value, 1e-6)
    local other = lu.metrics.sensitivity_max(map, r, { samples = 3, score = 2,
      method = "saliency", with = { modifiers = { "linear" } } })
    assert.is_true(math.abs(other - value) > 1e-3) -- another class is asked
  end)

  it("says what it lacks", function()
    local r = small:run(pictures)
    local map = core.uniform(1, 1, 2, 12, 12)
    assert.matches("which method made this map",
      t.message(lu.metrics.continuity, map, r))
    assert.matches("'salience' not found; did you mean 'saliency'",
      t.message(lu.metrics.continuity, map, r, { method = "salience" }))
    assert.matches("is a method or a function",
      t.message(lu.metrics.continuity, map, r, { method = 3 }))
    assert.matches("expected a run of 2 images", t.message(lu.metrics.continuity, map,
      small:run(pictures:rows(1)), { method = "saliency" }))
    assert.matches("sum or choose the channels",
      t.message(lu.metrics.deletion, pictures, r))
    for name, row in pairs(lu.metrics) do
      if row.family == "faithfulness" and not row.any_size then
        local o = row.needs == "method" and { method = "saliency" } or nil
        local small_map = core.ones(2, 3, 3)
        assert.matches(name .. ": the map is %(2,3,3%), the pictures %(2,3,12,12%): "
          .. "give maps of the pictures' size, map:resize%(12, 12%)",
          t.message(row, small_map, r, o))
      end
    end
    assert.matches("infidelity: draws are tensors %(K,3,12,12%), got %(2,3,4,4%)",
      t.message(lu.metrics.infidelity, map, r, { draws = core.ones(2, 3, 4, 4) }))
    assert.matches("draws are tensors", t.message(lu.metrics.sensitivity_max, map, r,
      { method = "saliency", draws = core.ones(2, 3, 4, 4) }))
    assert.matches("indices from 0 to 431, got %-5 to %-5",
      t.message(lu.metrics.faithfulness_correlation, map, r,
                { subsets = core.full(-5, 2, 3) }))
    assert.matches("labels are %(3,3%), the map %(12,12%)",
      t.message(lu.metrics.irof, map, r, { labels = core.ones(3, 3) }))
    assert.matches("no weights to draw anew", t.message(
      lu.metrics.parameter_randomization, map, r, { method = "saliency",
                                                    layers = { "relu1" } }))
  end)

  it("leaves the network as it is", function()
    local before = small.params["out.weight"]:clone()
    local map = lu.saliency(small, pictures, { modifiers = { "linear" } })
    local out = small:run(pictures).output:detach():clone()
    lu.metrics.parameter_randomization(map, small:run(pictures))
    lu.metrics.efficient_randomization(map, small:run(pictures))
    assert.is_true(before:same(small.params["out.weight"]))
    assert.is_true(out:same(small:run(pictures).output:detach()))
  end)
end)


describe("networks that differ in one thing", function()
  local copies = require "lunette.explain.copies"

  it("give the same for pictures that are shifted", function()
    for _, make in ipairs { t.net, t.graph, t.own } do
      local one = make()
      local input = t.input(one, 2)
      local other = copies.shifted(one, 1.5)
      local a = one:run(input).output:detach()
      local b = other:run(input + 1.5).output:detach()
      assert.is_true(a:distance(b) < 1e-5)
    end
  end)

  it("have other weights of the same size, from the output down", function()
    local one = t.net()
    assert.same({ "out", "fc", "conv2", "conv1" }, copies.weighted(one))
    local other = copies.random_top(one, copies.weighted(one), 2, 0)
    assert.is_true(one.params["conv2.weight"]:same(other.params["conv2.weight"]))
    assert.is_false(one.params["fc.weight"]:same(other.params["fc.weight"]))
    local function size(n) return n.params["fc.weight"]:stats().l2 end
    assert.near(1, size(other) / size(one), 0.1) -- of 900 normal numbers, to 2.4 %
  end)
end)


describe("control maps", function()
  it("know nothing of the network, and are what they say", function()
    local maps = {}
    for _, name in ipairs(require("lunette.explain.controls").names) do
      maps[name] = lu.control(name, run)
      assert.same({ 1, SIDE, SIDE }, maps[name]:shape())
      local s = maps[name]:stats()
      assert.near(0, s.min, 1e-6)
      assert.near(1, s.max, 1e-5)
    end
    local middle = maps.centre[1]
    assert.is_true(middle:get(8, 8) > middle:get(1, 1))
    local step = core.zeros(1, 1, SIDE, SIDE)
    step[1][1]:paste_(core.ones(SIDE, 8), 1, 9)
    local edges = lu.control("edges", net:run(step))[1]
    assert.is_true(edges:get(8, 8) > 0.5 and edges:get(8, 2) < 0.1)
    assert.matches("'edge' is none of", t.message(lu.control, "edge", run))
  end)

  it("mosaics have the tiles they name", function()
    local four = {}
    for k = 1, 4 do four[k] = core.full(k * 10, 3, 8, 8) end
    local picture, tiles = lu.mosaic(four, { 2, 3 })
    assert.equal(10, picture:get(1, 1, 1))
    assert.equal(20, picture:get(1, 1, 8))
    assert.equal(40, picture:get(3, 8, 8))
    assert.equal(32, tiles:sum():item())
    assert.equal(1, tiles:get(1, 5))
    assert.equal(1, (lu.metrics.focus(tiles, tiles)))
    assert.equal(0, (lu.metrics.focus(1 - tiles, tiles)))
  end)
end)
