-- Gradients of several targets in one call, and what may be shared between them on
-- the way back: each must be what a call of its own, or the formula, gives.
local lu = require "lunette"
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"

local linear = { modifiers = { "linear" } }


---relu, flatten and dense layers, in which every second activation is 0. `layer`
---has the attributes that both dense layers get.
local function flat_net(layer)
  local function dense(name, units)
    local l = { name, "linear", units = units }
    for key, value in pairs(layer or {}) do l[key] = value end
    return l
  end
  return assert(lu.net { input = { 3, 6, 6 }, layers = {
    { "conv", "conv2d", filters = 8, kernel = 3, padding = 1 }, { "relu", "relu" },
    { "flatten", "flatten" }, dense("hidden", 12), { "gate", "relu" },
    dense("out", 4), { "softmax", "softmax" } } }):init(3)
end


---The gradient of the input of a dense layer: dy W, by a product written down here.
local function through_dense(net, name, dy)
  local w = net.params[name .. ".weight"]:totable()
  local rows = {}
  for n, row in ipairs(dy:totable()) do
    local sums = {}
    for o, d in ipairs(row) do
      for i, v in ipairs(w[o]) do sums[i] = (sums[i] or 0) + d * v end
    end
    rows[n] = sums
  end
  return lu.tensor(rows)
end


describe("the gradient of a flatten", function()
  -- behind a relu at 0 nothing passes on, but the flatten itself has a gradient there
  for _, together in ipairs { { "flatten" }, { "flatten", "input" },
                              { "input", "flatten" },
                              { "flatten", "conv", "input" } } do
    it("is the dense layer's, asked for with " .. table.concat(together, ", "),
       function()
      local net = flat_net()
      local run = net:run(t.input(net, 2), linear)
      local dy = run:gradient { score = 2, wrt = "hidden", exact = true }
      local want = through_dense(net, "hidden", dy)
      local found = { run:gradient { score = 2, wrt = together } }
      local at0 = 0 -- gradients there are that the relu will stop
      for i, v in ipairs(run.relu:view(run.relu:size()):totable()) do
        if v == 0 then at0 = at0 + math.abs(want:view(want:size())[i]) end
      end
      assert.is_true(at0 > 0.1)
      for i, name in ipairs(together) do
        local alone = run:gradient { score = 2, wrt = name }
        -- one call may fuse what another may not: the same sums in another order
        assert.is_true(found[i]:distance(alone) < 1e-6, name)
        if name == "flatten" then assert.is_true(found[i]:distance(want) < 1e-6) end
      end
    end)
  end

  it("is asked for under every rule", function()
    local net = flat_net()
    local run = net:run(t.input(net, 2), linear)
    for _, rule in ipairs { "guided", "rectified", "deconvnet",
                            lu.modifiers.rectified { leak = 0.2 } } do
      local opts = { score = 1, modifiers = { rule } }
      local flat, x = run:gradient { score = 1, modifiers = { rule },
                                     wrt = { "flatten", "input" } }
      assert.is_true(x:distance((run:gradient(opts))) < 1e-6)
      opts.wrt, opts.exact = "hidden", true
      local want = through_dense(net, "hidden", (run:gradient(opts)))
      assert.is_true(flat:distance(want) < 1e-6, tostring(rule))
    end
  end)
end)


describe("two flattens of one layer", function()
  local function forked()
    return assert(lu.net { input = { 3, 5, 5 }, layers = {
      { "conv", "conv2d", filters = 6, kernel = 3, padding = 1 }, { "relu", "relu" },
      { "flat_a", "flatten", from = "relu" },
      { "a", "linear", units = 5, from = "flat_a" },
      { "flat_b", "flatten", from = "relu" },
      { "b", "linear", units = 5, from = "flat_b" },
      { "sum", "add", from = { "a", "b" } }, { "softmax", "softmax" } } }):init(4)
  end

  it("add up, whatever else is asked for", function()
    local net = forked()
    local run = net:run(t.input(net, 2), linear)
    local one = core.zeros(2, 5)
    one:set(1, 4, 1)
    one:set(2, 4, 1)
    local a, b = through_dense(net, "a", one), through_dense(net, "b", one)
    local both = (a + b):view(2, 6, 5, 5)
    local names = { "flat_a", "flat_b", "relu", "input" }
    local want = { flat_a = a, flat_b = b, relu = both,
                   input = run:node("conv"):backward(both * run.relu:gt(0)) }
    for mask = 1, 15 do
      local wrt = {}
      for i, name in ipairs(names) do
        if mask >> (i - 1) & 1 == 1 then wrt[#wrt + 1] = name end
      end
      local found = { run:gradient { score = 3, wrt = wrt } }
      for i, name in ipairs(wrt) do
        assert.is_true(found[i]:distance(want[name]) < 1e-6,
                       table.concat(wrt, "+") .. ": " .. name)
      end
    end
  end)

  it("each obey a rule of their own", function()
    local net = forked()
    local run = net:run(t.input(net, 2), linear)
    local stop = lu.modifier { name = "stop", on = "flat_b",
      backward = function(node, dy) return node:backward(dy) * 0 end }
    local one = core.zeros(2, 5)
    one:set(1, 4, 1)
    one:set(2, 4, 1)
    local a = through_dense(net, "a", one):view(2, 6, 5, 5)
    local g = run:gradient { score = 3, wrt = "relu", modifiers = { stop } }
    assert.is_true(g:distance(a) < 1e-6)
  end)
end)


describe("a large dense layer, as importing lays it out", function()
  -- over 2^21 numbers: values and gradients skip inputs that are 0
  local net, path, folder, done

  setup(function()
    folder, done = t.folder()
    net = lu.net(lu.models.vgg11 { width = 1 / 16, side = 64, fc = 1500 }):init(1)
    for name, p in pairs(net.params) do -- without biases nothing is 0 by chance
      if name:match "%.bias$" then p:copy_(core.normal(2, #name, p:size()) * 0.1) end
    end
    local plain = folder .. "/plain.safetensors"
    assert(lu.save(net, plain))
    path = assert(require "lunette.weights.import"(plain,
                  { out = folder .. "/large.safetensors",
                    force = true }))
  end)

  teardown(function() done() end)

  it("has the gradients of the plain one, for every set of targets", function()
    local large = assert(lu.load(path))
    local x = t.input(net, 2)
    local plain, run = net:run(x, linear), large:run(x, linear)
    assert.is_true(run.output:distance(plain.output) < 1e-5)
    for _, rule in ipairs { "vanilla", "guided", "rectified", "rectified:leak=0.3" } do
      for _, wrt in ipairs { { "input" }, { "fc1" }, { "fc1", "input" },
                             { "flatten", "input" }, { "block5_pool", "fc2" },
                             { "flatten", "fc1", "input" } } do
        for _, exact in ipairs { false, true } do
          local opts = { score = 1, wrt = wrt, exact = exact, modifiers = { rule } }
          local want = { plain:gradient(opts) }
          for i, g in ipairs { run:gradient(opts) } do
            -- sums of 1500 products in another order
            assert.is_true(g:distance(want[i]) < 1e-5,
                           rule .. " " .. table.concat(wrt, "+") .. " " .. wrt[i])
          end
        end
      end
    end
  end)

  it("shows a rule in Lua the whole gradient", function()
    local large = assert(lu.load(path))
    local x = t.input(net, 2)
    local function seen(n)
      local kept
      local look = lu.modifier { name = "look", on = "fc1_relu",
        backward = function(node, dy)
          kept = dy:clone()
          return node:backward(dy)
        end }
      n:run(x, linear):gradient { score = 1, modifiers = { look } }
      return kept
    end
    assert.is_true(seen(large):distance(seen(net)) < 1e-5)
  end)
end)


describe("a mixture", function()
  it("of values of two runs is refused", function()
    local net = t.net()
    local a, b = net:run(t.input(net, 1, 1)), net:run(t.input(net, 1, 2))
    assert.matches("add: its inputs belong to different runs",
                   t.message(core.ops.add, a.output, b.output))
    assert.matches("different runs", t.message(function()
      return core.ops.concat(a.output, b.output, { dim = 1 })
    end))
    -- one of them off its tape is a constant
    assert.is_true(t.same(core.ops.add(a.output, b.output:detach()):detach(),
                          a.output:detach() + b.output:detach()))
    local odd = function() return b.output:sum { dims = { 2 } } end
    assert.matches("computed from something else than its argument",
                   t.message(a.gradient, a, { score = odd }))
  end)

  it("of nodes of two runs is seen in a rule", function()
    local net = t.net()
    local a, b = net:run(t.input(net, 1, 1)), net:run(t.input(net, 2, 2))
    local wrong = lu.modifier { name = "wrong", on = "relu1",
      backward = function(_, dy) return b:node("relu1"):backward(dy) end }
    assert.matches("relu1", t.message(a.gradient, a, { score = 1,
                                                       modifiers = { wrong } }))
  end)
end)


describe("node:backward", function()
  local net = t.net()
  local run = net:run(t.input(net, 2), linear)

  it("takes the output's shape, or copies of it, and nothing else", function()
    local node = run:node "conv2" -- (2,8,4,4) from (2,6,6,6)
    assert.same({ 2, 6, 6, 6 }, node:backward(core.ones(2, 8, 4, 4)):shape())
    assert.same({ 6, 6, 6, 6 }, node:backward(core.ones(6, 8, 4, 4)):shape())
    for _, shape in ipairs { { 2, 8, 4, 3 }, { 3, 8, 4, 4 }, { 1, 8, 4, 4 }, { 1 },
                             { 2, 8, 4, 4, 2, 2 } } do
      local size = 1
      for _, d in ipairs(shape) do size = size * d end
      if size % (2 * 8 * 4 * 4) ~= 0 then
        assert.matches("gradient.*conv2", t.message(node.backward, node,
                                                    core.ones(shape)))
      end
    end
    assert.matches("gradient.*conv2", t.message(node.backward, node,
                                                core.zeros(0, 8, 4, 4)))
    assert.matches("tensor", t.message(node.backward, node, 3))
    assert.matches("tensor", t.message(node.backward, node))
  end)

  it("of a view checks as well", function()
    local node = run:node "flatten" -- (2,128)
    assert.same({ 2, 8, 4, 4 }, node:backward(core.ones(2, 128)):shape())
    assert.matches("gradient.*flatten", t.message(node.backward, node,
                                                  core.ones(2, 127)))
    assert.matches("gradient.*flatten", t.message(node.backward, node,
                                                  core.ones(1, 128)))
  end)

  it("of a run that was released says so", function()
    local other = net:run(t.input(net, 1), linear)
    local node = other:node "conv2"
    other:release()
    assert.is_false(pcall(node.backward, node, core.ones(1, 8, 4, 4)))
  end)
end)
