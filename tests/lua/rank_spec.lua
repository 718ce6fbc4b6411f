-- Rankings: intervals and places against closed forms, values that are taken up again,
-- controls that end where they must, tables and the chart.
local bootstrap = require "lunette.rank.bootstrap"
local core = require "lunette.core"
local lu = require "lunette"
local report = require "lunette.rank.report"
local t = dofile "tests/lua/support.lua"
local values = require "lunette.rank.values"

local folder, done = t.folder()
teardown(done)


---A table of one measure: values by method.
local function table_of(list)
  local names, n = {}, 0
  for name, v in pairs(list) do names[#names + 1], n = name, #v end
  table.sort(names)
  return { methods = names, measures = { "m" }, pictures = n, values = { m = list } }
end


describe("bootstrap", function()
  local normal = core.normal(1, 1, 400):totable()

  it("has the interval of a mean: 1.96 deviations over the root of n", function()
    local draws = bootstrap.draws(400, 1000, 0)
    local one = bootstrap.means(table_of { a = normal }, "m", draws).a
    local mean, square = 0, 0
    for _, v in ipairs(normal) do
      mean, square = mean + v / 400, square + v * v / 400
    end
    local half = 1.96 * math.sqrt(square - mean * mean) / 20
    assert.near(mean, one.mean, 1e-9)
    -- of 1000 draws the ends have a deviation of about 4 % of the half width
    assert.near(mean - half, one.low, 0.15 * half)
    assert.near(mean + half, one.high, 0.15 * half)
  end)

  it("pairs differences: two methods with the same noise are told apart", function()
    local better, same = {}, {}
    for k, v in ipairs(normal) do better[k], same[k] = v + 0.01, v end
    local means = bootstrap.means(table_of { a = normal, b = better, c = same }, "m",
                                  bootstrap.draws(400, 300, 0))
    assert.is_true(bootstrap.differ(means.a, means.b))
    assert.is_false(bootstrap.differ(means.a, means.c))
    assert.is_true(means.a.high > means.b.low) -- though their intervals overlap
    assert.same({ "b", "a", "c" }, bootstrap.rank(means, "higher"))
    assert.same({ 1, 1, 1 }, { means.b.place, means.b.place_low, means.b.place_high })
    assert.same({ 2.5, 2.5 }, { means.a.place, means.c.place }) -- equal ones share
    assert.near(1, means.b.first, 1e-9)
    assert.same({ "a", "c", "b" }, bootstrap.rank(means, "lower"))
  end)

  it("has Kendall's tau of the methods' means", function()
    local draws = bootstrap.draws(5, 10, 0)
    local one, two, three = { 1, 1, 1, 1, 1 }, { 2, 2, 2, 2, 2 }, { 3, 3, 3, 3, 3 }
    local a = bootstrap.means(table_of { x = one, y = two, z = three }, "m", draws)
    local b = bootstrap.means(table_of { x = three, y = two, z = one }, "m", draws)
    assert.same({ -1, -1, -1 }, { bootstrap.agreement(a, b, 1) })
    assert.equal(1, (bootstrap.agreement(a, b, -1))) -- one of them is better low
  end)

  -- That all of n pictures agree happens by chance in 2^-n of cases: 0.06 of four.
  it("is sure of nothing below five pictures, whatever they say", function()
    for n = 1, 6 do
      local low, high = {}, {}
      for k = 1, n do low[k], high[k] = k / 100, 9 + k / 100 end
      local means = bootstrap.means(table_of { a = low, b = high }, "m",
                                    bootstrap.draws(n, 200, 0))
      bootstrap.rank(means, "higher")
      local enough, b = n >= 5, means.b
      assert.equal(n, b.n)
      assert.equal(1, b.place)
      assert.equal(enough, bootstrap.differ(means.a, b), n)
      for _, key in ipairs { "low", "high", "first", "place_low", "place_high" } do
        assert.equal(enough, b[key] ~= nil, key .. " of " .. n)
      end
      local _, least, most = bootstrap.agreement(means, means, 1)
      assert.equal(enough, least ~= nil and most ~= nil)
    end
  end)

  it("counts the pictures that two methods have in common", function()
    local a, b = {}, {}
    for k = 1, 8 do a[k], b[k] = 1 + k / 100, 2 + k / 100 end
    for k = 1, 3 do b[k] = nil end -- five are left
    local draws = bootstrap.draws(8, 200, 0)
    local list = table_of { a = a }
    list.methods, list.values.m.b = { "a", "b" }, b
    local means = bootstrap.means(list, "m", draws)
    assert.is_true(bootstrap.differ(means.a, means.b))
    a[8] = nil -- each has enough, and both have four in common
    means = bootstrap.means(list, "m", draws)
    assert.same({ 7, 5 }, { means.a.n, means.b.n })
    assert.is_false(bootstrap.differ(means.a, means.b))
  end)

  it("draws the same for a seed, and others for another", function()
    assert.same(bootstrap.draws(9, 3, 5), bootstrap.draws(9, 3, 5))
    local a, b = bootstrap.draws(9, 1, 5)[1], bootstrap.draws(9, 1, 6)[1]
    assert.not_equal(table.concat(a), table.concat(b))
  end)
end)


describe("values", function()
  it("are taken up again, without a line that was cut off", function()
    local path = folder .. "/v.csv"
    local one = assert(values.open(path, "this work"))
    one:append("a, b", "gradcam", { { measure = "energy", value = 0.25 } })
    one:append("c", "gradcam", { { measure = "energy", value = 1 / 3 } })
    local f = io.open(path, "a")
    f:write "d,gradcam,ener"
    f:close()
    local two = assert(values.open(path, "this work"))
    assert.equal(2, #two.rows)
    assert.is_true(two:has("a, b", "gradcam") and two:has("c", "gradcam"))
    assert.is_false(two:has("d", "gradcam"))
    assert.near(1 / 3, two.rows[2].value, 1e-9)
    two:append("d", "gradcam", { { measure = "energy", value = 1 } })
    assert.equal(3, #values.open(path, "this work").rows)
    local none, message = values.open(path, "other work")
    assert.is_nil(none)
    assert.matches("holds values of other work:\n.*this work\nthis one is\n"
                   .. ".*other work", message)
  end)
end)


local net = lu.load "glyphs"
if not net then
  describe("rank", function() pending "needs the network 'glyphs'" end)
  return
end

local few = { "energy", "auc_roc", "random_logit", "parameter_randomization", "noise" }


local function rank(opts, count)
  local source = require("lunette.glyphs.cases").source { count = count or 4 }
  opts.measures = opts.measures or few
  return lu.rank(net, source, opts)
end


describe("a ranking", function()
  it("has noise last, and edges and noise fail sanity", function()
    local r = rank({ methods = { "random", "gradcam", "edges", "hirescam" } }, 6)
    local rows = r:rows()
    assert.equal("random", rows[4])
    assert.equal("edges", rows[3])
    assert.same({ "class", "weights" }, r.failed.edges)
    assert.same({ "class", "weights" }, r.failed.random)
    assert.is_nil(r.failed.gradcam)
    assert.is_true(r.means.energy.gradcam.low > r.means.energy.random.high)
    assert.matches("| %*edges%* |.*| class, weights |", r:markdown())
    local guided = rank { methods = { "saliency:guided", "gradcam" } }
    assert.same({ "class" }, guided.failed["saliency:guided"])
    assert.same({ "gradcam", "saliency:guided" }, guided:rows()) -- below the line
  end)

  it("is the same in pieces, by the metrics themselves", function()
    local path, maps = folder .. "/pieces.csv", folder .. "/maps"
    local o = { methods = { "gradcam", "centre" }, measures = { "energy", "auc_roc" } }
    local whole = rank(o)
    o.values, o.maps, o.seconds = path, maps, 1e-6
    local work = select(2, rank(o))
    assert.is_true(work.stopped) -- no time, nothing done
    o.seconds = 0
    local r = rank(o, 2)
    assert.equal(2, r.pictures)
    r = rank(o, 4)
    assert.near(whole.means.energy.gradcam.mean, r.means.energy.gradcam.mean, 1e-8)
    assert.same(whole:rows(), r:rows())
    -- from the maps that it wrote, scene by scene
    local sum, n = 0, 0
    for i = 1, 4 do
      local name = ("%s/scene_%d-gradcam.npy"):format(maps, i)
      local map = t.exists(name) and assert(lu.npy.read(name))
      if map then
        local s = lu.glyphs.scenes { n = 1, first = i, seed = 2000,
                                     objects = 2 - i % 2 }
        sum, n = sum + lu.metrics.energy(map, s.masks[1]), n + 1
      end
    end
    assert.equal(r.pictures, n)
    assert.near(sum / n, r.means.energy.gradcam.mean, 1e-7) -- CSV has nine digits
  end)

  it("says in the first line of its values what decides them, in one order", function()
    local path = folder .. "/told.csv"
    rank({ methods = { "centre" }, values = path,
           measures = { "insertion", "road", "deletion" } }, 1)
    assert.matches("^# lunette rank: glyphs %x+; [^;]+; "
      .. "deletion%(baseline=mean;steps=16%) "
      .. "insertion%(baseline=blur;steps=16%) "
      .. "road%(close=0.01;noise=0;percentiles=80/90%)\n", t.read(path))
  end)

  it("puts methods below the line whose maps are the same everywhere", function()
    local rows = {}
    for i = 1, 4 do
      for method, most in pairs { often = 2, once = 1 } do
        local flat = i <= most and 1 or 0
        rows[#rows + 1] = { picture = "p" .. i, method = method, measure = "flat",
                            value = flat }
        rows[#rows + 1] = { picture = "p" .. i, method = method, measure = "deletion",
                            value = method == "often" and 0 or 1 }
      end
    end
    local r = report.new(rows, {})
    assert.same({ often = { "flat" } }, r.failed)
    assert.same({ "once", "often" }, r:rows())
  end)

  it("takes what a measure cannot say for missing, not for 0", function()
    local path = folder .. "/missing.csv"
    local store = assert(values.open(path, "a test"))
    for i, v in ipairs { 0.5, false, 0.75, 0.5, 0.75, 0.5, 0.75 } do
      local function row(measure) return { measure = measure, value = v or nil } end
      store:append("p" .. i, "some", { row "energy", row "deletion" })
      store:append("p" .. i, "none", { { measure = "energy" },
                                       { measure = "deletion", value = 1 } })
    end
    for _, rows in ipairs { store.rows, assert(values.open(path, "a test")).rows } do
      local r = report.new(rows, {})
      assert.equal(0.625, r.means.energy.some.mean) -- of six
      assert.equal(1, r.means.energy.some.missing)
      assert.equal(0, r.means.deletion.none.missing)
      assert.is_nil(r.means.energy.none)
      assert.same({ "some", "none" }, r:rows())
      assert.matches("| some | 0.62 %[0.5%d, 0.7%d%], 1 missing |", r:markdown())
      assert.matches("some,energy,0.625,[^\n]*,1\n", r:csv())
      assert.equal("| method | energy inside ↑ | deletion ↓ | fails |\n"
        .. "|---|---:|---:|---|\n"
        .. "| `some` | 0.62 ±0.11, 1 missing | 0.62 ±0.11, 1 missing |  |\n"
        .. "| `none` |  | 1.00 ±0.00 |  |", r:brief())
    end
    assert.is_true(values.open(path, "a test"):has("p2", "some"))
  end)

  it("leaves out what takes too long, or cannot be called", function()
    local long = "integrated_gradients"
    local _, work = rank({ methods = { long, "gradcam:guided" }, budget = 0.1,
                           measures = { "energy" } }, 1)
    assert.matches("takes more than 0.1 seconds", work.left_out[long])
    -- also what it had measured before
    local path = folder .. "/part.csv"
    local o = { methods = { long, "gradcam" }, measures = { "energy" }, values = path,
                budget = 60 }
    assert.equal(2, #rank(o, 1).order)
    o.budget = 0.1
    local r = rank(o, 3)
    assert.same({ "gradcam" }, r.order)
    o.methods = { "gradcam" }
    r, work = rank(o, 3) -- not asked for any more: its one picture compares nothing
    assert.same({ "gradcam" }, r.order)
    assert.matches("values of 1 of 3 pictures", work.left_out[long])
    assert.matches("method 'gradcm' not found; did you mean 'gradcam'",
                   t.message(rank, { methods = { "gradcm" } }))
    assert.matches("'energie' is none of", t.message(rank, { measures = { "energie" },
                                                             methods = { "gradcam" } }))
  end)
end)


describe("a choice", function()
  local choose = require "lunette.rank.choose"

  local function choice(opts, count)
    local source = require("lunette.glyphs.cases").source { count = count or 4 }
    return lu.choose(net, source, opts)
  end

  it("finds what a ranking would have first, and says how sure it is", function()
    local c = choice({ measure = "energy", methods = { "random_cam", "gradcam" } }, 6)
    assert.equal("gradcam", c.best.method)
    assert.equal(c.finalists[1].name, c.best.name)
    local all = 0
    for k, f in ipairs(c.finalists) do
      assert.is_true(f.low <= f.mean and f.mean <= f.high)
      if k > 1 then assert.is_true(f.mean <= c.finalists[k - 1].mean) end
      assert.equal(c.pictures, f.n)
      all = all + f.first
    end
    assert.near(1, all, 0.01) -- ties share no draw: hardly any
    assert.equal(c.tried, #require("lunette.rank.candidates").all(net,
      { "random_cam", "gradcam" }))
    local low = choice { measure = "energy_other", methods = { "gradcam" } }
    assert.equal("lower", low.measure.better)
    assert.is_true(low.finalists[1].mean <= low.finalists[#low.finalists].mean)
  end)

  it("is sure of nothing below five pictures, and says so to everybody", function()
    for count = 1, 3, 2 do
      local c = choice({ measure = "energy", methods = { "random_cam", "lrp" } }, count)
      assert.equal(count, c.pictures)
      assert.is_false(c.sure)
      assert.equal(#c.finalists - 1, #c.near) -- all others
      for _, f in ipairs(c.finalists) do
        assert.same({}, { f.low, f.high, f.first })
      end
      local text = tostring(c)
      assert.matches(("\nnot surely: measured on %d pictures?, and of fewer than 5 "
        .. "nothing is sure; give more pictures"):format(count), text)
      assert.is_nil(text:find "first in" or text:find "%[")
    end
  end)

  it("is sure where one is better in each of enough pictures", function()
    local by = { gradcam = 0.9, layercam = 0.1 }
    local list = require "lunette.rank.candidates"
    local entrants = require "lunette.rank.entrants"
    local metric = lu.metrics.energy
    local all, with, value = list.all, entrants.with, metric.value
    finally(function() list.all, entrants.with, metric.value = all, with, value end)
    function list.all()
      return { { name = "layercam", method = "layercam", opts = {} },
               { name = "gradcam", method = "gradcam", opts = {} } }
    end
    function entrants.with(name)
      return function() return core.zeros(1, 224, 224) + by[name] end
    end
    local asked = 0 -- the pictures differ a little
    function metric.value(map)
      asked = asked + 1
      return map:mean():item() + asked / 1000
    end
    local o = { measure = "energy", methods = { "gradcam", "layercam" } }
    local c = choice(o, 6)
    assert.same({ true, 6, "gradcam" }, { c.sure, c.pictures, c.best.name })
    assert.same({}, c.near)
    assert.is_nil(c.doubt)
    assert.matches("gradcam +0.9%d+ %[.* over 6 pictures, first in 100 %%", tostring(c))
    assert.matches("\nsurely better than the other finalists", tostring(c))
    local four = choice(o, 4) -- the same numbers, of fewer pictures
    assert.same({ false, 4, { "layercam" } }, { four.sure, four.pictures, four.near })
    function list.all()
      return { { name = "gradcam", method = "gradcam", opts = {} } }
    end
    local alone = choice(o, 6)
    assert.is_false(alone.sure) -- better than none
    assert.matches("not surely: no other candidate", tostring(alone))
  end)

  -- The round that time ends has been through a part of the list, in its order.
  it("does not count a round that time ends", function()
    local clock, now = core.clock, 0
    finally(function() core.clock = clock end)
    function core.clock()
      now = now + 1
      return now
    end
    local n = #require("lunette.rank.candidates").all(net, { "gradcam", "layercam" })
    -- a candidate asks for the time twice: so one round is through, half of the next
    local c = choice { measure = "energy", methods = { "gradcam", "layercam" },
                       first = 3, seconds = 3 * n, progress = false }
    assert.equal(1, c.pictures)
    assert.equal(math.min(8, n), #c.finalists)
    assert.matches("give more pictures", c.doubt) -- there are but four
  end)

  it("is a call that gives that map", function()
    assert.equal("lu.gradcam(net, x, { layer = \"a\" })",
      choose.call { method = "gradcam", opts = { layer = "a" } })
    assert.equal('lu.saliency(net, x, { modifiers = { "linear", "guided" } })',
      choose.call { method = "saliency", opts = { modifier = "guided" } })
    assert.equal("lu.lrp(net, x)", choose.call { method = "lrp", opts = {} })
  end)

  it("keeps to its time, and says what it cannot do", function()
    local begun = core.clock()
    local c = choice { measure = "energy", seconds = 0.5 }
    assert.is_true(core.clock() - begun < 20) -- a map that was begun is finished
    assert.is_true(c.left > 0)
    assert.matches("does not say which end", t.message(choice, { measure = "noise" }))
    assert.matches("'gradcm' not found; did you mean 'gradcam'",
                   t.message(choice, { methods = { "gradcm" } }))
  end)

  it("is printed on the command line", function()
    local command = "choose --measure energy --methods gradcam -n 2"
    local code, text = t.program(command, folder)
    assert.equal(0, code, text)
    assert.matches("lu.gradcam%(net, x", text)
    assert.matches("\nnot surely: measured on 2 pictures", text)
  end)
end)


describe("lunette rank", function()
  it("writes values, tables and a chart, and goes on", function()
    local command = "rank --methods gradcam,edges --measures energy,deletion --count 2 "
      .. "-o ranked"
    local code, text = t.program(command, folder)
    assert.equal(0, code, text)
    assert.matches("| gradcam | 0%.%d%d |", text)
    assert.matches("\n2 pictures: of fewer than 5 there are no intervals", text)
    local page = t.read(folder .. "/ranked/rank.md")
    assert.matches("# Methods ranked on glyphs", page)
    assert.matches("nothing is sure", page)
    assert.matches("Kendall's tau%-b", page)
    assert.matches("gradcam,energy,0%.", t.read(folder .. "/ranked/summary.csv"))
    assert.equal("\137PNG", t.read(folder .. "/ranked/rank.png"):sub(1, 4))
    local before = t.read(folder .. "/ranked/values.csv")
    assert.equal(0, (t.program(command, folder)))
    assert.equal(before, t.read(folder .. "/ranked/values.csv"))
  end)

  it("takes a folder of pictures, with masks", function()
    local scenes = lu.glyphs.scenes { n = 2, seed = 9 }
    for i = 1, 2 do
      local mask = core.zeros(3, 224, 224)
      for c = 1, 3 do mask[c] = scenes.masks[i] * 255 end
      assert(lu.image.save(("%s/in/p%d.png"):format(folder, i), scenes.images[i]))
      assert(lu.image.save(("%s/masks/p%d.png"):format(folder, i), mask))
    end
    local code, text = t.program("rank in --masks masks --methods gradcam --measures "
      .. "energy,deletion -o of_folder", folder)
    assert.equal(0, code, text)
    assert.matches("energy inside", text)
    code, text = t.program("rank no_such_folder", folder)
    assert.equal(66, code)
    assert.matches("no picture or folder 'no_such_folder'", text)
  end)
end)


describe("a report", function()
  it("of raw rows alone needs no network", function()
    local rows = {}
    for p = 1, 8 do
      for method, base in pairs { good = 0.8, bad = 0.2 } do
        rows[#rows + 1] = { picture = "p" .. p, method = method, measure = "energy",
                            value = base + 0.01 * p }
      end
    end
    local r = report.new(rows, {})
    assert.same({ "good", "bad" }, r:rows())
    assert.matches("| energy inside | good | 1 to 1 |  |", r:leaders())
    assert.is_nil(r:caveat())
    local w, h = r:chart("two"):size()
    assert.is_true(w > 150 and h > 100)
  end)

  it("of few pictures has no intervals, and is sure of nothing", function()
    local rows = {}
    for p = 1, 2 do
      for method, base in pairs { good = 0.8, bad = 0.2 } do
        for _, measure in ipairs { "energy", "deletion" } do
          rows[#rows + 1] = { picture = "p" .. p, method = method, measure = measure,
                              value = base + 0.01 * p }
        end
      end
    end
    local r = report.new(rows, {})
    assert.matches("| good | 0.82 | 0.82 |", r:markdown())
    assert.matches("| `good` | 0.82 | 0.82 |", r:brief())
    assert.matches("| energy inside | good |  | bad |", r:leaders())
    assert.matches("| energy inside | %-1.00 |", r:agreement())
    assert.matches("\ngood,energy,0.815,,,1.0,,,,,0\n", r:csv())
    assert.equal("2 pictures: of fewer than 5 there are no intervals, and nothing is "
                 .. "sure.", r:caveat())
    assert.is_true(r:chart("two"):size() > 150) -- bars without whiskers
  end)
end)
