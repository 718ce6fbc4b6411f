-- Losses, optimisers, schedules, and a training that is killed half way.
local core = require "lunette.core"
local lu = require "lunette"
local train = require "lunette.train"


local function small_net(seed)
  return assert(lu.net {
    name = "small", input = { 2, 8, 8 }, layers = {
      { "conv1", "conv2d", filters = 4, kernel = 3, padding = 1 }, { "relu1", "relu" },
      { "pool1", "max_pool2d", kernel = 2, stride = 2 },
      { "conv2", "conv2d", filters = 5, kernel = 3, padding = 1 }, { "relu2", "relu" },
      { "flatten", "flatten" }, { "fc", "linear", units = 3 }, { "softmax", "softmax" },
    },
  }):init(seed)
end


local function batch(step)
  local x = core.normal(9, step, 6, 2, 8, 8)
  local labels = {}
  for i = 1, 6 do labels[i] = (step + i) % 3 end
  return x, labels
end


describe("cross_entropy", function()
  local z = core.tensor { { 1, 2, 3 }, { 0, 0, 0 } }
  local function logsum(a, b, c)
    return math.log(math.exp(a) + math.exp(b) + math.exp(c))
  end

  it("is the closed form", function()
    local want = (logsum(1, 2, 3) - 2 + logsum(0, 0, 0) - 0) / 2
    assert.near(want, train.cross_entropy(z, { 1, 0 }):item(), 1e-6)
  end)

  it("takes weights of classes", function()
    local q = core.tensor { { 0.5, 0, 0.5 }, { 0, 1, 0 } }
    local want = (logsum(1, 2, 3) - 0.5 * 1 - 0.5 * 3 + logsum(0, 0, 0)) / 2
    assert.near(want, train.cross_entropy(z, q):item(), 1e-6)
  end)

  it("has the gradient (softmax - q) / N", function()
    local tape = core.tape()
    local leaf = tape:watch(z)
    local loss = train.cross_entropy(leaf, { 1, 0 })
    local g = core.backward(loss, core.ones(1), { leaf:node() })[1]
    local q = core.tensor { { 0, 1, 0 }, { 1, 0, 0 } }
    assert.is_true(g:distance((z:softmax(2) - q) / 2) < 1e-6)
  end)

  it("refuses classes that are none, and counts that differ", function()
    assert.error_matches(function() train.cross_entropy(z, { 1, 3 }) end,
                         "outside 0 .. 2")
    assert.error_matches(function() train.cross_entropy(z, { 1 }) end,
                         "1 classes for 2")
  end)
end)


-- Central differences along the gradient: the slope there is its norm. Float32
-- arithmetic and a relu now and then leave 2 per cent.
describe("parameter gradients", function()
  it("of every kind agree with finite differences", function()
    local net = small_net(4)
    local x, labels = batch(1)
    local function loss()
      local run = net:run(x, { modifiers = { "linear" } })
      return train.cross_entropy(run.output, labels):item()
    end
    local run = net:run(x, { modifiers = { "linear" }, watch = "parameters" })
    local gradients = run:parameter_gradients(train.cross_entropy(run.output, labels))
    local count = 0
    for name, p in pairs(net.params) do
      local g, old = gradients[name], p:clone()
      local norm, e = g:stats().l2, 5e-4
      p:add_(g, e / norm)
      local up = loss()
      p:copy_(old):add_(g, -e / norm)
      local down = loss()
      p:copy_(old)
      assert.near(norm, (up - down) / (2 * e), 0.02 * norm + 1e-3, name)
      count = count + 1
    end
    assert.equal(6, count)
  end)
end)


describe("adam", function()
  it("takes the steps of algorithm 1", function()
    local p = { w = core.tensor { 1, -2, 3 } }
    local opt = train.adam(p, { rate = 0.1, beta1 = 0.8, beta2 = 0.9, eps = 1e-3 })
    local w, m, v = { 1, -2, 3 }, { 0, 0, 0 }, { 0, 0, 0 }
    for t = 1, 5 do
      local g = { 0.5 * t, -1, 2 - t }
      opt:step { w = core.tensor(g) }
      for i = 1, 3 do
        m[i] = 0.8 * m[i] + 0.2 * g[i]
        v[i] = 0.9 * v[i] + 0.1 * g[i] ^ 2
        w[i] = w[i] - 0.1 * (m[i] / (1 - 0.8 ^ t))
          / ((v[i] / (1 - 0.9 ^ t)) ^ 0.5 + 1e-3)
      end
    end
    for i = 1, 3 do assert.near(w[i], p.w[i], 1e-5) end
  end)

  it("shrinks by rate times decay apart from the gradient", function()
    local p = { w = core.tensor { 2 } }
    train.adam(p, { rate = 0.1, decay = 0.5 }):step { w = core.tensor { 0 } }
    assert.near(2 * (1 - 0.05), p.w[1], 1e-6)
  end)

  it("leaves alone what has no gradient", function()
    local p = { a = core.tensor { 1 }, b = core.tensor { 1 } }
    train.adam(p):step { a = core.tensor { 1 } }
    assert.near(1 - 1e-3, p.a[1], 1e-6)
    assert.equal(1, p.b[1])
  end)
end)


describe("sgd", function()
  it("with a constant gradient moves by a geometric series", function()
    local p = { w = core.tensor { 0 } }
    local opt = train.sgd(p, { rate = 0.1, momentum = 0.5 })
    for _ = 1, 4 do opt:step { w = core.tensor { 1 } } end
    -- velocities 1, 1.5, 1.75, 1.875
    assert.near(-0.1 * (1 + 1.5 + 1.75 + 1.875), p.w[1], 1e-6)
  end)

  it("adds decay to the gradient, and takes another rate for a step", function()
    local p = { w = core.tensor { 2 } }
    local opt = train.sgd(p, { rate = 9, momentum = 0, decay = 0.25 })
    opt:step({ w = core.tensor { 1 } }, { rate = 0.1, scale = 2 })
    assert.near(2 - 0.1 * (2 * 1 + 0.25 * 2), p.w[1], 1e-6)
  end)
end)


describe("clip", function()
  it("brings the common norm down and never up", function()
    local g = { a = core.tensor { 3 }, b = core.tensor { 0, 4 } }
    local scale, norm = train.clip(g, 1)
    assert.near(5, norm, 1e-6)
    assert.near(0.2, scale, 1e-6)
    assert.equal(1, (train.clip(g, 10)))
  end)

  -- in doubles 1e16 + 1 is 1e16: ones behind it are lost, before it they count
  it("adds in the order of the names: the sum has the same bits", function()
    local g = { a = core.tensor { 1e8 } }
    for i = 1, 20 do g[("b%d"):format(i)] = core.ones(1) end
    assert.equal(1e8, (select(2, train.clip(g, 1))))
    g.a, g.c = core.ones(1), core.tensor { 1e8 }
    assert.is_true(select(2, train.clip(g, 1)) > 1e8)
  end)
end)


describe("schedule", function()
  it("warms up in a line and falls by half a cosine", function()
    local rate = train.schedule { steps = 110, rate = 1, warmup = 10, last = 0.1 }
    assert.near(0.1, rate(1), 1e-12)
    assert.near(1, rate(10), 1e-12)
    assert.near(0.55, rate(60), 1e-12)
    assert.near(0.1, rate(110), 1e-12)
    assert.near(0.1, rate(500), 1e-12)
  end)
end)


describe("paste_", function()
  it("overwrites a rectangle of every plane", function()
    local t = core.zeros(2, 3, 4):paste_(core.tensor {
      { { 1, 2 }, { 3, 4 } }, { { 5, 6 }, { 7, 8 } } }, 2, 3)
    assert.same({ { 0, 0, 0, 0 }, { 0, 0, 1, 2 }, { 0, 0, 3, 4 } }, t[1]:totable())
    assert.same({ { 0, 0, 0, 0 }, { 0, 0, 5, 6 }, { 0, 0, 7, 8 } }, t[2]:totable())
  end)

  it("stays inside", function()
    local t = core.zeros(3, 4)
    local far = math.maxinteger
    for _, at in ipairs { { 0, 1 }, { 1, 0 }, { 3, 1 }, { 1, 4 }, { far, 1 } } do
      assert.error_matches(function() t:paste_(core.ones(2, 2), at[1], at[2]) end,
                           "outside dimension")
    end
    assert.error_matches(function() t:paste_(core.ones(1, 2, 2), 1, 1) end,
                         "3 dimensions into 2")
    assert.error_matches(function()
      core.zeros(2, 3, 4):paste_(core.ones(1, 2, 2), 1, 1)
    end, "dimension 1 is 1, not 2")
    assert.equal(0, t:stats().l2)
  end)
end)


describe("calibrate", function()
  it("gives every unit mean 0 and deviation 1 before its activation", function()
    local net = small_net(2)
    local x = batch(1)
    train.calibrate(net, x, { last = 2 })
    local run = net:run(x, { modifiers = { "linear" } })
    for name, want in pairs { conv1 = 1, conv2 = 1, fc = 2 } do
      local y = run:preactivation(name)
      local dims = y:dim() == 4 and { 1, 3, 4 } or { 1 }
      local mean = y:mean { dims = dims, keepdims = true }
      local deviation = (y - mean):square():mean { dims = dims }:sqrt()
      assert.is_true(mean:abs():max():item() < 1e-4, name)
      assert.near(want, deviation:min():item(), 1e-3, name)
      assert.near(want, deviation:max():item(), 1e-3, name)
    end
  end)
end)


describe("a training", function()
  local path = os.tmpname()
  after_each(function() os.remove(path) end)

  local function fit(net, steps, stop)
    local opt = train.adam(net.params, { decay = 0.01 })
    local ok, message = pcall(train.fit, net, opt, {
      steps = steps, checkpoint = path, every = 3, clip = 1,
      rate = train.schedule { steps = 9, rate = 0.01, warmup = 2 },
      batch = function(step)
        if step == stop then error("killed", 0) end
        return batch(step)
      end })
    return ok, message, opt
  end

  it("that is killed and resumed ends with the bits of one that was not", function()
    local straight = small_net(1)
    os.remove(path)
    assert.is_true((fit(straight, 9)))
    os.remove(path)
    local first, second = small_net(1), small_net(8) -- the start is overwritten
    local ok, message = fit(first, 9, 6) -- killed in step 6, checkpoint of step 3
    assert.is_false(ok)
    assert.equal("killed", message)
    local _, _, opt = fit(second, 9)
    assert.equal(9, opt.steps)
    for name, p in pairs(straight.params) do
      assert.is_true(p:same(second.params[name]), name)
    end
  end)

  it("refuses the checkpoint of another network", function()
    os.remove(path)
    assert.is_true((fit(small_net(1), 1)))
    local other = assert(lu.net { input = { 2, 8, 8 }, layers = {
      { "flatten", "flatten" }, { "fc", "linear", units = 3 } } }):init(1)
    local meta, message = train.resume(path, train.adam(other.params))
    assert.is_nil(meta)
    assert.matches("does not fit", message)
  end)

  it("leaves frozen layers as they are and moves the others alike", function()
    local whole, part = small_net(5), small_net(5)
    local x, labels = batch(1)
    train.step(whole, train.sgd(whole.params), x, labels)
    train.step(part, train.sgd(part.params), x, labels, { frozen = "pool1" })
    local start = small_net(5)
    for name, p in pairs(part.params) do
      local same = name:find "^conv1" and start or whole
      assert.is_true(p:distance(same.params[name]) < 1e-6, name)
    end
  end)

  it("lets a function change the gradients before they are used", function()
    local net, start = small_net(5), small_net(5)
    local x, labels = batch(1)
    train.fit(net, train.sgd(net.params), { steps = 2,
      batch = function() return x, labels end,
      gradients = function(g) g["fc.weight"]:fill_(0) end })
    assert.is_true(net.params["fc.weight"]:same(start.params["fc.weight"]))
    assert.is_false(net.params["fc.bias"]:same(start.params["fc.bias"]))
  end)

  it("learns what can be learnt", function()
    local net = small_net(3)
    local opt = train.adam(net.params, { rate = 0.01 })
    local x, labels = batch(1)
    local first = train.step(net, opt, x, labels)
    local last
    for _ = 1, 60 do last = train.step(net, opt, x, labels) end
    assert.is_true(last < 0.05 * first)
  end)
end)


describe("an optimiser", function()
  ---A step in doubles, as the rows' comments have it: what x loses, of rate 1.
  local function rms(rho, inside)
    return function(g, s)
      s.v = rho * (s.v or 0) + (1 - rho) * g * g
      return g / (inside and math.sqrt(s.v + 1e-7) or math.sqrt(s.v) + 1e-7)
    end
  end
  local function moments(g, s)
    s.m = 0.9 * (s.m or 0) + 0.1 * g
    s.v = 0.999 * (s.v or 0) + 0.001 * g * g
  end
  local formulas = {
    sgd = function(g) return g end,
    momentum = function(g, s)
      s.v = s.v and 0.9 * s.v + 0.1 * g or g
      return s.v
    end,
    rmsprop = rms(0.999, true), rmsprop_outside = rms(0.999, false),
    rmsprop_95 = rms(0.95, true),
    adam = function(g, s, t)
      moments(g, s)
      return s.m / (1 - 0.9 ^ t) / (math.sqrt(s.v / (1 - 0.999 ^ t)) + 1e-8)
    end,
    adam_keras = function(g, s, t)
      moments(g, s)
      return math.sqrt(1 - 0.999 ^ t) / (1 - 0.9 ^ t) * s.m / (math.sqrt(s.v) + 1e-7)
    end,
    nadam = function(g, s, t)
      moments(g, s)
      local ahead = 0.9 * s.m / (1 - 0.9 ^ (t + 1)) + 0.1 * g / (1 - 0.9 ^ t)
      return ahead / (math.sqrt(s.v / (1 - 0.999 ^ t)) + 1e-7)
    end,
  }
  local optimisers = require "lunette.base.optimisers"

  for name, row in pairs(optimisers.rows) do
    it("steps by its formula: " .. name, function()
      local step = assert(formulas[name], "no formula of " .. name .. " in this test")
      -- the last two are small enough for every epsilon to show
      local gradients = { { 0.5, -2, 1e-4, 1e-6 }, { 1, 0.25, -3e-4, 2e-6 },
                          { -0.1, 4, 2e-4, -1e-6 } }
      local x = lu.zeros(4)
      local kept, states = optimisers.state(name, x), {}
      for t, list in ipairs(gradients) do
        row.take(x, lu.tensor(list), kept, { rate = 0.125, step = t })
        for i, g in ipairs(list) do
          local s = states[i] or { x = 0, way = 0 }
          local d = 0.125 * step(g, s, t)
          states[i], s.x, s.way = s, s.x - d, s.way + math.abs(d)
          -- float32: some ten roundings of what was moved so far
          assert.near(s.x, x[i], 1e-6 * s.way + 1e-30)
        end
      end
    end)
  end
end)
