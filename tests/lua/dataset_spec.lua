-- What is asked of a data set: clusters of maps, and concepts, where the answers are
-- known.
local core = require "lunette.core"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"


---Maps with a blob at one of three places, noise around it.
local function blobs(n, seed)
  local maps, truth = core.uniform(seed, 1, n, 28, 28) * 0.1, {}
  local places = { { 3, 3 }, { 20, 20 }, { 3, 20 } }
  for i = 1, n do
    truth[i] = (i * 7 + seed) % 3 + 1
    local at = places[truth[i]]
    maps[i]:paste_(core.ones(6, 6), at[1], at[2])
  end
  return maps, truth
end


describe("spray", function()
  it("finds as many ways as there are, and who goes which", function()
    for seed = 1, 3 do
      local maps, truth = blobs(30, seed)
      local found = lu.spray(maps)
      assert.equal(3, #found.clusters)
      local count = 0
      for c, list in ipairs(found.clusters) do
        for _, i in ipairs(list) do assert.equal(truth[list[1]], truth[i]) end
        count = count + #list
        local mean = maps[list[1]] * 0
        for _, i in ipairs(list) do mean = mean + maps[i] end
        assert.is_true(found.means[c]:distance(mean / #list) < 1e-6)
      end
      assert.equal(30, count)
      -- three parts of a graph: three eigenvalues are 0 (of float32)
      for k = 1, 3 do assert.near(0, found.eigenvalues[k], 1e-5) end
      assert.is_true(found.eigenvalues[4] > 0.05)
    end
  end)

  it("is asked for a number, and is the same for a seed", function()
    local maps = blobs(20, 4)
    local two = lu.spray(maps, { clusters = 2, seed = 3 })
    assert.equal(2, #two.clusters)
    assert.same(two.clusters, lu.spray(maps, { clusters = 2, seed = 3 }).clusters)
    assert.is_true(#two.clusters[1] >= #two.clusters[2])
    assert.equal(1, #lu.spray(core.ones(5, 14, 14), { clusters = 1 }).clusters)
    assert.matches("at least four maps", t.message(lu.spray, maps:rows(1, 3)))
  end)
end)


---A network whose layer is its input, and whose class 1 goes up with channel 1 and down
---with channel 2; the others say nothing.
local function known_net()
  local net = assert(lu.net { input = { 6, 2, 2 }, layers = {
    { "values", "identity" }, { "flatten", "flatten" }, { "out", "linear", units = 2 },
  } }):init(1)
  local w = core.zeros(2, 24)
  for place = 1, 4 do
    w:set(2, place, 1)      -- channel 1
    w:set(2, 4 + place, -1) -- channel 2
  end
  net.params["out.weight"] = w
  return net
end


---Pictures of noise, one channel raised.
local function raised(channel, n, seed)
  local x = core.normal(seed, 1, n, 6, 2, 2)
  for i = 1, channel and n or 0 do x[i][channel]:add_(core.ones(2, 2), 3) end
  return x
end


describe("tcav", function()
  local net = known_net()
  local random, pictures = raised(nil, 60, 1), raised(nil, 10, 2)

  local function ask(channel, class)
    return lu.tcav(net, { concept = raised(channel, 30, 3), random = random,
                          pictures = pictures },
                   { layer = "values", class = class or 1, runs = 8 })
  end

  it("tells what speaks for a class, what against it", function()
    local with, against = ask(1), ask(2)
    assert.equal(1, with.share)
    assert.equal(0, against.share)
    assert.is_true(with.accuracy > 0.9) -- three deviations apart, at four places
    assert.equal(8, #with.shares)
    assert.equal(8, #with.random)
  end)

  it("is chance where no concept is shown", function()
    local none = ask(nil)
    assert.is_true(none.accuracy < 0.75, tostring(none.accuracy))
    assert.is_true(none.p > 0.1)
    assert.same(none, ask(nil)) -- seeded
  end)

  it("says what it lacks", function()
    assert.matches("concept are at least four pictures",
      t.message(lu.tcav, net, { random = random, pictures = pictures }, {}))
    assert.matches("layer 'valus' not found in network; did you mean 'values'",
      t.message(lu.tcav, net, { concept = random, random = random,
                                pictures = pictures }, { layer = "valus" }))
  end)
end)
