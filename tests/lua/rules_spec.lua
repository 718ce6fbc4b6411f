-- Nodes as rules see them: their operators over values of one's own; and values of
-- runs, which nobody can spoil.
local lu = require "lunette"
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"


describe("node:forward", function()
  local run = t.linear_run(t.net())

  it("gives the node's own output when nothing is given", function()
    for _, node in ipairs(t.nodes(run)) do
      local n = run:node(node.layer.name)
      assert.is_true(t.same(n.output, n:forward()))
      assert.is_true(t.same(n.output, n:forward {}))
    end
  end)

  it("is linear in input and weight, and leaves the bias out", function()
    for _, name in ipairs { "conv1", "conv2", "fc", "out" } do
      local n = run:node(name)
      local bare = n:forward { bias = false }
      local zero = n:forward { weight = n.weight * 0 } -- the bias alone
      assert.is_true(t.off(bare + zero, n.output) < 1e-5)
      local twice = n:forward { input = n.input * 2, bias = false }
      assert.is_true(twice:distance(bare * 2) < 1e-6)
      local half = n:forward { weight = n.weight * 0.5, bias = n.bias * 0 }
      assert.is_true(half:distance(bare * 0.5) < 1e-6)
      -- z = z+ + z-: the positive and the negative weights
      local plus = n:forward { weight = n.weight:relu(), bias = false }
      local minus = n:forward { weight = -(-n.weight):relu(), bias = false }
      assert.is_true((plus + minus):distance(bare) < 1e-5)
    end
  end)

  it("takes any number of rows, every kind of node", function()
    for _, node in ipairs(t.nodes(run)) do
      local n = run:node(node.layer.name)
      local shape = n.input_shape
      shape[1] = 5
      local out = n:forward { input = core.normal(7, 1, table.unpack(shape)) }
      local want = n.shape
      want[1] = 5
      assert.same(want, out:shape())
      assert.is_nil(out:node())
    end
  end)

  it("names the layer and both shapes when one is wrong", function()
    local n = run:node "conv2"
    local function fails(values) return t.message(n.forward, n, values) end
    local message = fails { weight = lu.zeros(8, 6, 3, 2) }
    assert.matches("the weight at conv2d 'conv2' has shape %(8, 6, 3, 2%), the layer's "
                   .. "is %(8, 6, 3, 3%)", message)
    assert.matches("input at conv2d 'conv2' has shape %(2, 6, 6, 5%), the layer's is "
                   .. "%(2, 6, 6, 6%)",
                   fails { input = lu.zeros(2, 6, 6, 5) })
    assert.matches("bias at conv2d .* has shape %(9%)", fails { bias = lu.zeros(9) })
    assert.matches("weight: a tensor expected, got number", fails { weight = 3 })
    assert.matches("weight cannot be left out", fails { weight = false })
    local relu = run:node "relu1"
    assert.matches("relu 'relu1' has no weight",
                   t.message(relu.forward, relu, { weight = lu.zeros(1) }))
  end)
end)


describe("node:backward with values of one's own", function()
  local run = t.linear_run(t.net())

  it("is the transpose of forward", function()
    -- <dy, W x> = <W' dy, x> for other weights, other inputs
    for _, name in ipairs { "conv1", "conv2", "fc", "out" } do
      local n = run:node(name)
      local w = n.weight * n.weight
      local x = core.normal(3, 1, table.unpack(n.input_shape))
      local dy = core.normal(4, 1, table.unpack(n.shape))
      local y = n:forward { input = x, weight = w, bias = false }
      local dx = n:backward(dy, { weight = w })
      assert.near(1, (dy * y):sum():item() / (dx * x):sum():item(), 1e-4)
    end
  end)

  it("reads the input that is given, and the output it makes", function()
    local n = run:node "relu2"
    local x = core.normal(3, 1, table.unpack(n.input_shape))
    local dy = core.normal(4, 1, table.unpack(n.shape))
    assert.equal(0, t.off(dy * x:gt(0), n:backward(dy, { input = x })))
    assert.equal(0, t.off(dy * n.output:gt(0), n:backward(dy)))
    local smooth = n:backward(dy, { input = x, rule = "beta_smooth", beta = 3 })
    assert.is_true(smooth:distance(dy * (x * 3):sigmoid()) < 1e-6)
    local pool = run:node "pool1"
    local px = core.normal(5, 1, table.unpack(pool.input_shape))
    local pdy = core.normal(6, 1, table.unpack(pool.shape))
    local dx = pool:backward(pdy, { input = px })
    -- to the maxima of these values: <dx, px> = <dy, pool(px)>
    assert.near(1, (dx * px):sum():item()
                   / (pdy * pool:forward { input = px }):sum():item(), 1e-4)
  end)

  it("takes rules by name, with parameters by name or in order", function()
    local n = run:node "relu1"
    local dy = core.normal(4, 1, table.unpack(n.shape))
    local want = dy * (n.input:gt(0) * 0.75 + 0.25)
    for _, how in ipairs { { rule = "leak", leak = 0.25 },
                           { rule = { "leak", 0.25 } },
                           { rule = { "leak", leak = 0.25 } } } do
      assert.is_true(n:backward(dy, how):distance(want) < 1e-6)
    end
    local function fails(how) return t.message(n.backward, n, dy, how) end
    assert.matches("rule 'leak' has no parameter 'leek' %(it has: leak%)",
                   fails { rule = "leak", leek = 1 })
    assert.matches("rule 'plain' has no parameter 'leak' %(it has: none%)",
                   fails { leak = 1 })
    assert.matches("rule 'leak': 'leak' wants a number, got string",
                   fails { rule = "leak", leak = "x" })
    assert.matches("rule 'guided' takes fewer", fails { rule = { "guided", 1 } })
    assert.matches("op 'relu' has no rule 'gudied'", fails "gudied")
    assert.matches("a rule is a name", fails { rule = 3 })
  end)

  it("takes several copies of the gradient", function()
    for _, name in ipairs { "conv2", "relu2", "pool1", "fc" } do
      local n = run:node(name)
      local shape = n.shape
      local one = core.normal(4, 1, table.unpack(shape))
      shape[1] = shape[1] * 3
      local many = lu.zeros(table.unpack(shape))
      for k = 0, 2 do
        many:rows(2 * k + 1, 2 * k + 2):copy_(one * (k + 1))
      end
      local dx = n:backward(many)
      for k = 0, 2 do
        local part = dx:rows(2 * k + 1, 2 * k + 2)
        assert.is_true(part:distance(n:backward(one) * (k + 1)) < 1e-6)
      end
    end
  end)

  it("names the layer and both shapes when the gradient is wrong", function()
    local n = run:node "conv2"
    local function fails(...)
      return t.message(n.backward, n, lu.zeros(...))
    end
    assert.matches("gradient at conv2d 'conv2' has shape %(3, 8, 4, 4%), the layer's "
                   .. "is %(2, 8, 4, 4%) %(one or more copies", fails(3, 8, 4, 4))
    assert.matches("%(2, 8, 4, 5%)", fails(2, 8, 4, 5))
    assert.matches("%(2, 8, 16%)", fails(2, 8, 16)) -- the size is right
    assert.matches("%(8, 2, 4, 4%)", fails(8, 2, 4, 4))
    assert.matches("%(0, 8, 4, 4%)", fails(0, 8, 4, 4))
    assert.matches("weight at conv2d 'conv2' has shape",
                   t.message(n.backward, n, n.output, { weight = lu.zeros(8, 6, 9) }))
  end)
end)


describe("z+ written in Lua", function()
  -- the rule of Montavon et al. 2017 keeps what it hands on, where weights and
  -- inputs are not negative
  it("conserves relevance and needs no tape of its own", function()
    local net = t.net()
    local run = t.linear_run(net)
    local zplus = lu.modifier { name = "z_plus", on = { "conv2", "fc", "out" },
      backward = function(node, r)
        local w = node.weight:relu()
        local z = node:forward { weight = w, bias = false }
        return node.input * node:backward(r / (z + 1e-9), { weight = w })
      end }
    local pass = lu.modifier { name = "pass", on = "relu",
                               backward = function(_, r) return r end }
    local score = lu.score.unit("out", 2)
    for _, s in ipairs { score, 1 } do
      local r = run:gradient { score = s, wrt = "relu1", modifiers = { zplus, pass } }
      assert.is_true(r:stats().min >= 0)
      for i = 1, 2 do assert.near(1, r[i]:sum():item(), 1e-4) end
    end
  end)
end)


-- what every in-place operation does to values of that shape
local writes = {
  fill_ = function(x) x:fill_(3) end,
  mul_ = function(x) x:mul_(0) end,
  add_ = function(x) x:add_(x:clone()) end,
  copy_ = function(x) x:copy_(x:clone() * 0) end,
  set = function(x)
    local at = {}
    for i = 1, x:dim() do at[i] = 1 end
    at[#at + 1] = 7
    x:set(table.unpack(at))
  end,
  ["t[i] = number"] = function(x) x[1] = 5 end,
  ["t[i] = tensor"] = function(x) x[1] = x[1]:clone() * 2 end,
  ["t[i]:fill_"] = function(x) x[1]:fill_(1) end,
  ["rows():mul_"] = function(x) x:rows(1, 1):mul_(2) end,
  ["view():fill_"] = function(x) x:view(x:size()):fill_(1) end,
  ["detach():add_"] = function(x) x:detach():add_(x:clone()) end,
  paste_ = function(x) x:paste_(x:clone() * 0, 1, 1) end,
  adam_ = function(x)
    local like = function() return core.zeros(x:shape()) end
    x:adam_(core.ones(x:shape()), like(), like(), { rate = 1, step = 1 })
  end,
  sgd_ = function(x)
    x:sgd_(core.ones(x:shape()), core.zeros(x:shape()), { rate = 1 })
  end,
}


describe("values of a run", function()
  local net = t.net()
  local run = t.linear_run(net)
  local before = run:gradient { score = 1 }
  local values = { "conv2", "relu1", "pool1", "fc", "flatten", "out" }

  it("every operation that changes in place is tried here", function()
    local count = 0
    for name in pairs(getmetatable(run.images).methods) do
      if name:find "_$" then
        assert.is_function(writes[name], name)
        count = count + 1
      end
    end
    assert.is_true(count >= 7)
  end)

  for what, write in pairs(writes) do
    it("refuse " .. what .. " with layer, line and remedy", function()
      for _, name in ipairs(values) do
        local x = run:activation(name)
        if x:dim() >= 2 then
          local message = t.message(write, x)
          assert.matches("rules_spec.lua:%d+: these values belong to layer '[%w_]+' of "
                         .. "a run and are read%-only; change a copy: clone%(%)",
                         message)
        end
      end
      assert.is_true(t.same(before, (run:gradient { score = 1 })))
    end)

    it("refuse " .. what .. " inside a rule", function()
      for _, key in ipairs { "output", "input", "dy" } do
        local mine = lu.modifier { name = "mine", on = { "relu2", "conv2" },
          backward = function(node, dy)
            write(key == "dy" and dy or node[key])
            return node:backward(dy)
          end }
        local message = t.message(run.gradient, run, { score = 1,
                                                       modifiers = { mine } })
        assert.matches("modifier 'mine' at layer '[%w_]+'", message)
        assert.matches("rules_spec.lua:%d+: these values belong to", message)
        assert.matches("clone%(%)", message)
        assert.is_true(t.same(before, (run:gradient { score = 1 })))
      end
    end)

    it("tell " .. what .. " on the input, with the line", function()
      local x = t.input(net, 2)
      local other = net:run(x, { modifiers = { "linear" } })
      local g = other:gradient { score = 1 }
      assert.is_true(t.same(before, g))
      write(x)
      local message = t.message(other.gradient, other, { score = 1 })
      local line = message:match("conv1: its input or its parameters have been changed "
        .. "since the run, at .*rules_spec.lua:(%d+); run again")
      local own = debug.getinfo(write, "S")
      assert.is_true(tonumber(line) >= own.linedefined
                     and tonumber(line) <= own.lastlinedefined, message)
      -- what does not read the input is what it was
      assert.is_true(t.same(run:gradient { score = 1, wrt = "relu1" },
                            (other:gradient { score = 1, wrt = "relu1" })))
    end)
  end

  it("tell changed parameters", function()
    local own = t.net()
    local r = t.linear_run(own)
    local g = r:gradient { score = 1, wrt = "relu2" }
    own.params["conv2.weight"]:mul_(2)
    local line = debug.getinfo(1, "l").currentline - 1
    assert.is_true(t.same(g, (r:gradient { score = 1, wrt = "relu2" })))
    assert.matches(("conv2: .*changed since the run, at .*rules_spec.lua:%d; run again")
                     :format(line), t.message(r.gradient, r, { score = 1 }))
    -- another parameter, changed before a run that it is said of, is not named
    own.params["conv2.bias"]:mul_(2)
    local second = t.linear_run(own)
    own.params["conv2.weight"]:mul_(2)
    line = debug.getinfo(1, "l").currentline - 1
    assert.matches(("conv2: .*changed since the run, at .*rules_spec.lua:%d; run again")
                     :format(line), t.message(second.gradient, second, { score = 1 }))
    local rule = lu.modifier { on = "conv2", backward = function(node, dy)
      return node:backward(dy)
    end }
    assert.matches("conv2: .*changed since",
                   t.message(r.gradient, r, { score = 1, modifiers = { rule } }))
    local again = t.linear_run(own) -- a new run reads the new ones
    assert.is_true(again:gradient { score = 1 }:distance(before) > 1e-3)
  end)

  it("may be changed as copies, and gradients are one's own", function()
    local x = run:activation "relu1":clone()
    x:mul_(0)
    local g = run:gradient { score = 1, wrt = { "relu1", "input" } }
    g:mul_(0)
    local own = lu.modifier { on = "relu", backward = function(node, dy)
      return node:backward(dy):mul_(2)
    end }
    local h = run:gradient { score = 1, modifiers = { own } }
    assert.near(8, h:stats().l2 / before:stats().l2, 1e-4)
    h:mul_(0)
    local same = lu.modifier { on = "conv1", backward = function(_, dy)
      return dy
    end }
    local wide = assert(lu.net { input = { 6, 4, 4 }, layers = {
      { "conv1", "conv2d", filters = 6, kernel = 1 }, { "relu1", "relu" },
      { "flatten", "flatten" }, { "out", "linear", units = 3 } } }):init(1)
    local r = wide:run(t.input(wide, 2))
    local dx = r:gradient { score = 1, modifiers = { same } }
    dx:mul_(2) -- the rule handed its dy on: it is the caller's now
    assert.is_true(t.same(before, (run:gradient { score = 1 })))
  end)

  it("leave a gradient alone that two nodes share", function()
    local graph = t.linear_run(t.graph())
    local function at_sum(layer) return layer.name == "sum" end -- sum is a kind, too
    local split = lu.modifier { on = at_sum, backward = function(_, dy)
      return { dy, dy }
    end }
    local spoil = lu.modifier { on = { "norm", "join" },
      backward = function(node, dy)
        pcall(dy.mul_, dy, 0)
        return node.kind == "batch_norm" and node:backward(dy)
          or { node.inputs[1] * 0, node.inputs[2] * 0 }
      end }
    local clean = lu.modifier { on = { "norm", "join" },
      backward = function(node, dy)
        return node.kind == "batch_norm" and node:backward(dy)
          or { node.inputs[1] * 0, node.inputs[2] * 0 }
      end }
    assert.is_true(t.same(graph:gradient { score = 1, modifiers = { split, clean } },
                          (graph:gradient { score = 1, modifiers = { split, spoil } })))
  end)
end)
