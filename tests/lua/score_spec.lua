-- Scores: their gradients with respect to the output are known in closed form.
local lu = require "lunette"
local classes = require "lunette.score.classes"
local t = dofile "tests/lua/support.lua"

local net = t.net()
local run = net:run(t.input(net, 3), { modifiers = { "linear" } })


---d score / d output
local function slope(score, r)
  return (r or run):gradient { score = score, wrt = "out" }
end


local function one_hot(...)
  local rows = {}
  for i, id in ipairs { ... } do
    rows[i] = { 0, 0, 0, 0, 0 }
    rows[i][id + 1] = 1
  end
  return rows
end


---What a score complains about, the place in the code left out.
local function complaint(score, r)
  return t.message(function() slope(score, r) end)
end


it("an id of WordNet is n and eight digits, no more", function()
  local is = require("lunette.score.sets").is_wordnet
  assert.is_true(is "n02123045")
  for _, other in ipairs { "n0212304", "n021230456", "m02123045", "n02123045 ",
                           "xn02123045", "n0212304a", 2123045 } do
    assert.is_false(is(other), tostring(other))
  end
end)


it("a set of names is read once", function()
  local sets = require "lunette.score.sets"
  local set, open = assert(sets.of "imagenet"), io.open
  finally(function() io.open = open end) -- luacheck: ignore 122
  function io.open() error "read again" end -- luacheck: ignore 122
  assert.equal(set, sets.of "imagenet")
end)


describe("categorical", function()
  it("takes one class for all, or one each", function()
    assert.same(one_hot(3, 3, 3), slope(3):totable())
    assert.same(one_hot(0, 4, 2), slope({ 0, 4, 2 }):totable())
    assert.same(one_hot(0, 4, 2), slope(lu.score.categorical { 0, 4, 2 }):totable())
    assert.same(one_hot(0, 4, 2), slope("0,4,2"):totable())
    assert.same(one_hot(1, 1, 1), slope(1.0):totable())
  end)

  it("takes names, numerals and the predicted class", function()
    assert.same(one_hot(2, 2, 2), slope("cedar"):totable())
    assert.same(one_hot(2, 2, 2), slope("CEDAR"):totable())
    assert.same(one_hot(4, 0, 1), slope("fir, ash, 1"):totable())
    local top = run:top(1)
    assert.same(one_hot(top[1][1].class, top[2][1].class, top[3][1].class),
                slope("predicted"):totable())
    assert.same(slope("predicted"):totable(), slope(nil):totable())
    assert.same({ top[1][1].class, top[2][1].class, top[3][1].class },
                classes.of(lu.score.categorical "predicted", run))
  end)

  it("refuses others by name", function()
    assert.matches("class 5 is outside 0 .. 4 of small", complaint(5))
    assert.matches("class %-1 is outside", complaint(-1))
    assert.matches("class 99 is outside", complaint { 0, 99, 1 })
    assert.matches("2 classes for 3 images", complaint { 0, 1 })
    assert.matches("no class is given", complaint {})
    assert.matches("what should be .*got nil", t.message(lu.score.categorical))
    assert.matches("class 'birc' not found; did you mean 'birch'", complaint "birc")
    assert.matches("got 1.5", complaint(1.5))
    assert.matches("got %-?nan", complaint(0 / 0))
    assert.matches("got a table", complaint { 0, {}, 1 })
    assert.matches("got true", complaint(true))
  end)

  it("counts the mean over pixels, as tf-keras-vis", function()
    local conv = net:run(run.images, { modifiers = { lu.extract "relu2" } })
    local g = conv:gradient { score = { 0, 7, 3 }, wrt = "relu2" }
    assert.near(1 / 16, g:get(2, 8, 1, 1), 1e-7)
    assert.equal(0, g:get(2, 7, 1, 1))
    assert.near(3, g:sum():item(), 1e-5)
    -- the class of a map is that of its mean
    local id = conv.output:detach():mean({ dims = { 3, 4 } })[1]:argmax() - 1
    assert.is_true(g:size() > 0 and id >= 0)
    assert.equal(8, conv.output:dim(2))
  end)
end)


describe("resolved scores", function()
  local top = run:top(1)
  local first = {}
  for i, row in ipairs(top) do first[i] = row[1].class end
  local resolve = lu.score.resolve

  it("have ids instead of names and predicted, whatever kind they are", function()
    assert.same(first, resolve("predicted", run).classes)
    assert.same({ 2 }, resolve("cedar", run).classes)
    assert.same({ 4, first[2], 1 }, resolve({ "fir", "predicted", 1 }, run).classes)
    assert.same("categorical(predicted)", resolve("predicted", run).name)
    local other = net:run(run.images * -1, { modifiers = { "linear" } })
    for _, score in ipairs {
      lu.score.categorical "predicted", lu.score.contrast("predicted", "elm"),
      lu.score.contrast(3, "predicted"), lu.score.categorical { 0, "fir", "predicted" },
    } do -- of this run, in any other
      local ids = resolve(score, run)
      assert.same(slope(score):totable(), slope(ids):totable())
      assert.same(slope(score):totable(), slope(ids, other):totable())
      assert.same(slope(ids):totable(), slope(resolve(ids, other), other):totable())
      assert.is_true(classes.predicts(score))
      assert.is_false(classes.predicts(ids))
    end
    assert.is_true(t.off(slope("predicted"), slope("predicted", other)) > 0)
    local unit = lu.score.unit("fc", 2)
    assert.equal("fc", resolve(unit, run).layer)
    assert.matches("class 'birc' not found", t.message(resolve, "birc", run))
    assert.matches("2 classes for 3", t.message(resolve, { 0, 1 }, run))
  end)

  it("are those of one sample", function()
    local maps = net:run(run.images, { modifiers = { lu.extract "relu2" } })
    local masks = lu.core.uniform(4, 1, { 3, 4, 4 })
    local single = assert(lu.net { input = { 4 }, layers = {
      { "out", "linear", units = 1 } } }):init(1)
    single = single:run(t.input(single, 3))
    local function mean(output) return output:mean { dims = { 2 } } end
    for _, case in ipairs {
      { run, lu.score.categorical { 0, "fir", "predicted" } }, { run, "predicted" },
      { run, 3 }, { run, lu.score.contrast("predicted", 1) }, { run, mean },
      { run, lu.score.contrast("0,1,2", 4) }, { run, lu.score.unit("fc", 2) },
      { maps, lu.score.segment(masks, 5) }, { maps, lu.score.segment(masks[1], 5) },
      { maps, lu.score.segment(masks, "0,1,7") }, { run, lu.score.inactive() },
      { single, lu.score.binary { true, false, true } },
      { single, lu.score.binary(false) },
    } do
      local r, score = case[1], resolve(case[2], case[1])
      local values, mods = r:values(score), { modifiers = r.modifiers }
      for i = 1, 3 do
        local x = r.images:rows(i)
        local shape = x:shape()
        shape[1] = 2
        local pair = r.net:run(lu.zeros(shape) + x, mods) -- more or fewer samples
        local want = values[i]
        assert.same({ want, want }, pair:values(score:take(i)):totable(), score.name)
        assert.same({ want }, r.net:run(x, mods):values(score:take(i)):totable())
      end
    end
    assert.matches("classes of 3 samples, none of 4",
                   t.message(resolve({ 0, 1, 2 }, run).take, resolve({ 0, 1, 2 }, run),
                             4))
  end)

  it("have values, one a sample", function()
    local y = run.output:detach()
    assert.same({ y:get(1, 1), y:get(2, 5), y:get(3, 3) },
                run:values({ 0, 4, "cedar" }):totable())
    assert.same({ y:get(1, 2), y:get(2, 2), y:get(3, 2) }, run:values(1):totable())
    local best = {}
    for i, row in ipairs(top) do best[i] = row[1].score end
    assert.same(best, run:values():totable())
    local d = run:values(lu.score.contrast(1, 3))
    assert.near(y:get(2, 2) - y:get(2, 4), d[2], 1e-6)
    assert.near(run.fc[3][2], run:values(lu.score.unit("fc", 2))[3], 1e-6)
    -- several numbers a sample count by their mean, as in the gradient
    local all = run:values(function(output) return output end)
    assert.near(y[2]:mean():item(), all[2], 1e-6)
    -- K scores: (K,N)
    local many = run:values { scores = { 1, "predicted", lu.score.contrast(1, 3) } }
    assert.same({ 3, 3 }, many:shape())
    assert.same(best, many[2]:totable())
    assert.same(d:totable(), many[3]:totable())
    assert.same({ 1, 3 }, run:values({ lu.score.inactive() }):shape())
    -- of another layer, as the gradient's modifiers say
    local m = run:values(3, { modifiers = { lu.extract "fc" } })
    assert.same({ 0 + run.fc[1][4], run.fc[2][4], run.fc[3][4] }, m:totable())
    assert.matches("outside 0 .. 4", t.message(run.values, run, 5))
    assert.matches("unknown option", t.message(run.values, run, 5, { modifer = {} }))
  end)

  it("name the user's line", function()
    local here = debug.getinfo(1, "S").short_src .. ":%d+: score"
    assert.matches(here, t.message(function() local _ = run:values(77) end))
    assert.matches(here, t.message(function() lu.gradcam(run, { score = 77 }) end))
    assert.matches(here, t.message(function()
      lu.gradcam(run, { score = lu.score })
    end))
    assert.matches("lu.score.unit makes a score; call it", t.message(function()
      lu.gradcam(run, { score = lu.score.unit })
    end))
    assert.matches("got a tensor; give ids as a list", complaint(lu.tensor { 0, 1, 2 }))
  end)
end)


describe("other scores", function()
  it("binary is plus or minus the output", function()
    local single = assert(lu.net { input = { 4 }, layers = {
      { "out", "linear", units = 1 } } }):init(1)
    local r = single:run(t.input(single, 3))
    assert.same({ { 1 }, { 1 }, { 1 } }, slope(lu.score.binary(true), r):totable())
    assert.same({ { -1 }, { -1 }, { -1 } }, slope(lu.score.binary(false), r):totable())
    assert.same({ { 1 }, { -1 }, { 1 } },
                slope(lu.score.binary { true, false, true }, r):totable())
    assert.matches("2 values for 3 samples",
                   complaint(lu.score.binary { true, true }, r))
    assert.matches("5 values a sample", complaint(lu.score.binary(true)))
    for _, wrong in ipairs { { 0 }, { "yes" }, { { 0, 1 } }, { {} }, {} } do
      assert.matches("true or false", t.message(lu.score.binary, wrong[1]))
    end
  end)

  it("inactive is zero", function()
    assert.equal(0, slope(lu.score.inactive()):stats().l2)
  end)

  it("contrast is a difference", function()
    local want = { { 0, 1, 0, -1, 0 }, { 0, 1, 0, -1, 0 }, { 0, 1, 0, -1, 0 } }
    assert.same(want, slope(lu.score.contrast(1, 3)):totable())
    assert.same(want, slope(lu.score.contrast("birch", "elm")):totable())
    assert.matches("outside", complaint(lu.score.contrast(1, 9)))
  end)

  it("unit is one channel of a layer", function()
    local g = run:gradient { score = lu.score.unit("conv2", 3), wrt = "conv2" }
    assert.near(1 / 16, g:get(1, 3, 2, 2), 1e-7)
    assert.equal(0, g:get(1, 2, 2, 2))
    g = run:gradient { score = lu.score.unit("fc", 2), wrt = "fc" }
    assert.same({ 0, 1, 0, 0, 0, 0, 0 }, g[1]:totable())
    assert.matches("channels 1 .. 8, not 9", complaint(lu.score.unit("conv2", 9)))
    assert.matches("not found", complaint(lu.score.unit("conv9", 1)))
    assert.matches("layer should be string, got 3", t.message(lu.score.unit, 3, 1))
    assert.matches("expected a layer", t.message(lu.score.unit, "fc", 1.5))
    assert.matches("calls of their own", t.message(run.gradient, run, {
      scores = { 1, lu.score.unit("fc", 2) } }))
  end)

  it("segment is a class under a mask", function()
    local conv = net:run(run.images, { modifiers = { lu.extract "relu2" } })
    local mask = lu.zeros(4, 4)
    mask:set(2, 3, 1)
    local g = conv:gradient { score = lu.score.segment(mask, 5), wrt = "relu2" }
    assert.near(1, g:get(1, 6, 2, 3), 1e-6)
    assert.near(3, g:sum():item(), 1e-5)
    assert.matches("mask is %(3,3%), the output %(4,4%)",
                   complaint(lu.score.segment(lu.zeros(3, 3), 5), conv))
    assert.matches("no height", complaint(lu.score.segment(mask, 1)))
    assert.matches("2 masks for 3 samples; give one for all or one each",
                   complaint(lu.score.segment(lu.zeros(2, 4, 4), 5), conv))
    assert.matches("expected a mask", t.message(lu.score.segment, lu.zeros(4), 5))
    assert.matches("mask should be .*m.png", t.message(lu.score.segment, "m.png", 5))
  end)

  it("a function is a score", function()
    local g = slope(function(output) return (output * output):sum { dims = { 2 } } end)
    assert.near(0, t.off(g, run.output:detach() * 2), 1e-6)
    -- several values a sample count by their mean
    g = slope(function(output) return output end)
    assert.near(0, t.off(g, lu.full(0.2, 3, 5)), 1e-7)
    -- it sees the run
    g = slope(function(output, r) return output * r:count() end)
    assert.near(0.6, g:get(1, 1), 1e-6)
  end)

  it("a function must return what depends on the output", function()
    assert.matches("returned number", complaint(function() return 1 end))
    assert.matches("returned nil", complaint(function() end))
    assert.matches("returned userdata", complaint(function() return lu.zeros(3) end))
    assert.matches("2 values for 3 samples", complaint(function(output)
      return output:narrow { dim = 1, start = 1, length = 2 }:sum { dims = { 2 } }
    end))
    assert.matches("something else than its argument", complaint(function(_, r)
      return r.output:sum { dims = { 2 } }
    end))
    assert.matches("my own words", complaint(function() error "my own words" end))
  end)

  it("leave the run as it was, whatever they do", function()
    local before = run:gradient { score = 1 }
    pcall(slope, function() error "x" end)
    pcall(slope, function(output) return output:sum() * 0 / 0 end)
    slope(lu.score.inactive())
    assert.is_true(t.same(before, (run:gradient { score = 1 })))
  end)
end)
