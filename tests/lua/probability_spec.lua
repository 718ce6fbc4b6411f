-- What an output means: the network's own last activation decides.
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local logits = { { 2, -1, 0.5 }, { -3, 0.25, 1 } }


---A network that hands on its input to `units` outputs under `last`.
local function head(last, units, labels, behind)
  local list = { { "out", "linear", units = units } }
  if last then list[2] = { last, last } end
  list[#list + 1] = behind
  local net = assert(lu.net { name = "head", input = { units }, layers = list,
                              labels = labels })
  local eye = lu.zeros(units, units)
  for i = 1, units do eye:set(i, i, 1) end
  net.params["out.weight"], net.params["out.bias"] = eye, lu.zeros(units)
  local rows = {}
  for i, row in ipairs(logits) do rows[i] = table.move(row, 1, units, 1, {}) end
  return net, lu.tensor(rows)
end


local function sigmoid(v) return 1 / (1 + math.exp(-v)) end

local linear = { modifiers = { "linear" } }


describe("an output", function()
  it("is of the kind that its last activation says", function()
    for _, case in ipairs {
      { "softmax", 3, "softmax" }, { "softmax", 1, "softmax" },
      { "log_softmax", 3, "softmax" }, { "sigmoid", 3, "sigmoid" },
      { "sigmoid", 1, "binary" }, { nil, 3, "values" }, { nil, 1, "values" },
      { "tanh", 1, "values" }, { "relu", 3, "values" },
    } do
      local net, x = head(case[1], case[2])
      assert.equal(case[3], net:run(x):kind())
      -- what hands on numbers changes nothing
      net = head(case[1], case[2], nil, { "drop", "dropout" })
      assert.equal(case[3], net:run(x):kind())
      if case[3] ~= "values" then
        net = head(case[1], case[2])
        assert.equal("values", net:run(x, linear):kind())
      end
    end
  end)

  it("of one unit under a sigmoid is p, and 1 - p", function()
    local net, x = head("sigmoid", 1)
    for _, opts in ipairs { {}, linear } do
      local run = net:run(x, opts)
      local p = run:probabilities()
      assert.same({ 2, 2 }, p:shape())
      for i, row in ipairs(logits) do
        assert.near(sigmoid(row[1]), p:get(i, 2), 1e-6)
        assert.near(1 - sigmoid(row[1]), p:get(i, 1), 1e-6)
        local top = run:top()[i]
        assert.equal(2, #top)
        assert.equal(row[1] > 0 and 1 or 0, top[1].class)
        assert.near(sigmoid(math.abs(row[1])), top[1].probability, 1e-6)
      end
    end
    local top = net:run(x, linear):top()
    assert.equal(2, top[1][1].score)
    assert.equal(3, top[2][1].score)
    assert.near(sigmoid(3), net:run(x):top()[2][1].score, 1e-6)
    assert.equal("class 1", top[1][1].name)
    local dog, y = head("sigmoid", 1, { "dog" })
    assert.equal("dog", dog:run(y):top()[1][1].name)
    assert.equal("not dog", dog:run(y):top()[2][1].name)
    assert.equal("m", head("sigmoid", 1, { "f", "m" }):run(y):top()[1][1].name)
  end)

  it("of one unit has two classes to explain", function()
    local net, x = head("sigmoid", 1)
    for i, row in ipairs(logits) do
      local run = net:run(x:rows(i))
      local p = sigmoid(row[1])
      local slope = p * (1 - p)
      assert.near(slope, run:gradient({ score = 1 })[1][1], 1e-6)
      assert.near(-slope, run:gradient({ score = 0 })[1][1], 1e-6)
      local want = row[1] > 0 and slope or -slope
      assert.near(want, run:gradient({})[1][1], 1e-6)
      assert.near(want, run:gradient({ score = lu.score.binary(row[1] > 0) })[1][1],
                  1e-6)
      assert.near(1 - p, run:values(0)[1], 1e-6)
      local before = net:run(x:rows(i), linear)
      assert.equal(-1, before:gradient({ score = 0 })[1][1])
      assert.equal(-row[1], before:values(0)[1])
      assert.equal(row[1], before:values(1)[1])
      assert.same({ row[1] > 0 and 1 or 0 }, lu.saliency(run).story.classes)
    end
    assert.matches("outside 0 .. 1", t.message(function()
      net:run(x):gradient { score = 2 }
    end))
    -- but one value is one value
    local plain = head(nil, 1):run(x)
    assert.matches("outside 0 .. 0", t.message(plain.gradient, plain, { score = 1 }))
  end)

  it("of one unit leads towards its class, or away from it", function()
    local net, x = head("sigmoid", 1)
    local lead = require("lunette.attack.margin").lead { 1, 0 }
    local run <close> = net:run(x, linear)
    assert.same({ 2, 3 }, run:values(lead):view(2):totable())
  end)

  it("of several sigmoids has labels that do not exclude each other", function()
    local net, x = head("sigmoid", 3)
    for _, opts in ipairs { {}, linear } do
      local p = net:run(x, opts):probabilities()
      for i, row in ipairs(logits) do
        for k, v in ipairs(row) do assert.near(sigmoid(v), p:get(i, k), 1e-6) end
      end
    end
  end)

  it("of a softmax has the network's probabilities, before it too", function()
    for _, last in ipairs { "softmax", "log_softmax" } do
      local net, x = head(last, 3)
      local a, b = net:run(x):probabilities(), net:run(x, linear):probabilities()
      assert.is_true(a:distance(b) < 1e-6)
      local sum = math.exp(2) + math.exp(-1) + math.exp(0.5)
      assert.near(math.exp(2) / sum, a:get(1, 1), 1e-6)
    end
  end)

  it("that two layers read has no probabilities, whichever ends in some", function()
    local probability = require "lunette.score.probability"
    local alone = head("softmax", 3)
    assert.equal("softmax", probability.layer(alone, alone:layer "out").name)
    for _, order in ipairs { { "relu", "softmax" }, { "softmax", "relu" } } do
      local net = assert(lu.net { name = "two", input = { 3 }, outputs = order,
        layers = { { "out", "linear", units = 3 }, { order[1], order[1] },
                   { order[2], order[2], from = "out" } } })
      assert.is_nil(probability.layer(net, net:layer "out"))
    end
  end)

  it("without such an end has values, and no per cent", function()
    local net, x = head(nil, 3)
    local run = net:run(x)
    local p, message = run:probabilities()
    assert.is_nil(p)
    assert.matches("head: the output 'out' has no probabilities", message)
    local top = run:top(2)
    assert.same({ class = 0, name = "class 0", score = 2 }, top[1][1])
    assert.same({ class = 2, name = "class 2", score = 0.5 }, top[1][2])
    assert.same({ 0, 2 }, lu.saliency(run).story.classes) -- the largest values
    local deep = t.net()
    local y = t.input(deep)
    for _, r in ipairs { run, net:run(x, {}), deep:run(y, linear),
                         deep:run(y, { modifiers = { lu.extract "fc" } }) } do
      assert.is_nil(tostring(r):find "%%")
      assert.matches(("%%d%%.?%%d* +%d  %s"):format(r:top(1)[1][1].class,
                     r:top(1)[1][1].name), tostring(r))
    end
    assert.is_nil(deep:run(y, { modifiers = { lu.extract "fc" } }):probabilities())
    assert.matches("%%", tostring(deep:run(y)))
    assert.is_nil(tostring(run:compare(net:run(x * 2))):find "%%")
    assert.matches("%%", tostring(deep:run(y):compare(deep:run(y * 2))))
  end)

  it("of maps has no classes to rank", function()
    local net = assert(lu.net(lu.models.vgg11 { width = 1 / 32, top = false,
                                                side = 64 })):init(1)
    local run = net:run(t.input(net))
    assert.matches("vgg11 has no classes: its output 'block5_pool' is %(16,2,2%)",
                   t.message(run.top, run))
    assert.matches("^Run of vgg11", tostring(run))
  end)

  it("has names only for its own classes", function()
    local net = t.net()
    local run = net:run(t.input(net), { modifiers = { lu.extract "fc" } })
    assert.matches("^class %d$", run:top(1)[1][1].name)
  end)
end)
