-- Scores: their gradients with respect to the output are known in closed form.
local lu = require "lunette"
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
                lu.score.classes(lu.score.categorical "predicted", run))
  end)

  it("refuses others by name", function()
    assert.matches("class 5 is outside 0 .. 4 of small", complaint(5))
    assert.matches("class %-1 is outside", complaint(-1))
    assert.matches("class 99 is outside", complaint { 0, 99, 1 })
    assert.matches("2 classes for 3 images", complaint { 0, 1 })
    assert.matches("no class is given", complaint {})
    assert.matches("no class is given", t.message(lu.score.categorical))
    assert.matches("class 'birc' not found; did you mean 'birch'", complaint "birc")
    assert.matches("got 1.5", complaint(1.5))
    assert.matches("got %-?nan", complaint(0 / 0))
    assert.matches("got table", complaint { 0, {}, 1 })
    assert.matches("got boolean", complaint(true))
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
    assert.matches("expected a layer", t.message(lu.score.unit, 3, 1))
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
