-- Modifiers: formulas, layers by name and kind, composites, errors by name. Rules that
-- are written in Lua: own_rule_spec.lua.
local lu = require "lunette"
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"

---The backward pass step by step: conv and dense layers by their true gradient, every
---relu by `rule(dy, x)`.
local function by_hand(run, class, rule)
  local nodes = t.nodes(run)
  local g = lu.zeros(run:node(nodes[#nodes].layer.name).shape)
  for i = 1, #g do g:set(i, class + 1, 1) end
  for i = #nodes, 1, -1 do
    local node = run:node(nodes[i].layer.name)
    g = node.kind == "relu" and rule(g, node.input) or node:backward(g)
  end
  return g
end


local formulas = {
  vanilla = function(dy, x) return dy * x:gt(0) end,
  guided = function(dy, x) return dy:relu() * x:gt(0) end,
  rectified = function(dy) return dy:relu() end,
  deconvnet = function(dy) return dy:relu() end,
  ["rectified:leak=0.25"] = function(dy, x)
    return dy * (x:gt(0) * 0.75 + 0.25)
  end,
  ["beta_smooth:3"] = function(dy, x) return dy * (x * 3):sigmoid() end,
}


describe("backward modifiers", function()
  for name, rule in pairs(formulas) do
    it(name .. " follows its formula", function()
      local run = t.linear_run(t.net())
      local g = run:gradient { score = 2, modifiers = { name } }
      -- the same sums in another order: a rounding or two a layer
      assert.is_true(g:distance(by_hand(run, 2, rule)) < 1e-6)
      assert.is_true(g:stats().l2 > 0)
    end)

    it(name .. " equals its Lua twin", function()
      local run = t.linear_run(t.graph())
      local twin = lu.modifier { name = "twin", on = "relu",
        backward = function(node, dy) return rule(dy, node.input) end }
      local g = run:gradient { score = 2, modifiers = { name } }
      local h = run:gradient { score = 2, modifiers = { twin } }
      assert.is_true(g:distance(h) < 1e-6)
      -- several seeds at once: node.input lines up with dy
      local many = run:gradient { scores = { 0, 2 }, modifiers = { twin } }
      assert.is_true(t.same(h, many:rows(3, 4)))
    end)
  end

  it("work for every unit of the relu family", function()
    for _, kind in ipairs { "relu", "leaky_relu", "relu6", "elu", "silu", "gelu",
                            "hard_swish", "softplus" } do
      local net = assert(lu.net { input = { 6 }, layers = {
        { "a", "linear", units = 8 }, { "act", kind }, { "b", "linear", units = 3 } } })
      local run = net:init(4):run(t.input(net, 2))
      for _, name in ipairs { "guided", "rectified", "deconvnet" } do
        local opts = { score = 1, wrt = "a", modifiers = { name } }
        -- from the score to what the activation puts out there is none of it
        assert.matches("changed no node", t.message(run.gradient, run, opts))
        opts.exact = true
        local g = run:gradient(opts)
        assert.same({ 2, 8 }, g:shape())
        assert.is_true(g:stats().finite)
        local h = run:gradient { score = 1, wrt = "input", modifiers = { name } }
        assert.is_true(h:stats().l2 > 0)
      end
    end
  end)

  it("combine: the last one for a node counts", function()
    local run = t.linear_run(t.net())
    local last = lu.modifier { on = "relu1", backward = "rectified" }
    local g = run:gradient { score = 1, modifiers = { "guided", last } }
    local nodes = { relu1 = formulas.rectified }
    local h
    do -- by hand: guided everywhere but at relu1
      local layers = t.nodes(run)
      h = lu.zeros(2, 5)
      h:set(1, 2, 1)
      h:set(2, 2, 1)
      for i = #layers, 1, -1 do
        local node = run:node(layers[i].layer.name)
        local rule = nodes[node.name] or formulas.guided
        h = node.kind == "relu" and rule(h, node.input) or node:backward(h)
      end
    end
    assert.is_true(g:distance(h) < 1e-6)
  end)

  it("may be given alone, without a list", function()
    local run = t.linear_run(t.net())
    local g = run:gradient { score = 1, modifiers = { "guided" } }
    assert.is_true(t.same(g, (run:gradient { score = 1, modifiers = "guided" })))
    assert.is_true(t.same(g, (run:gradient { score = 1,
                                             modifiers = lu.modifiers.guided })))
    assert.matches("are a list", t.message(run.gradient, run,
                                           { modifiers = { a = 1 } }))
    assert.matches("got 3", t.message(run.gradient, run, { modifiers = 3 }))
  end)

  it("report how many nodes they changed", function()
    local net = t.net()
    local run = t.linear_run(net)
    local map = lu.saliency(run, { score = 1, modifiers = { "guided" } })
    assert.same({ linear = 1, guided = 3 }, map.story.changed_nodes)
    assert.same({ "guided" }, map.story.modifiers)
    local mine = lu.modifier { name = "two", on = { "relu1", "relu2" },
                               backward = "guided" }
    map = lu.saliency(run, { score = 1, modifiers = { mine } })
    assert.equal(2, map.story.changed_nodes.two)
  end)
end)


describe("modifiers that change nothing", function()
  local run = t.linear_run(t.net())

  it("are errors", function()
    local none = lu.modifier { name = "sig", on = "sigmoid", backward = "plain" }
    assert.matches("'sig' changed no node: there is no layer or kind 'sigmoid'",
                   t.message(run.gradient, run, { modifiers = { none } }))
    local typo = lu.modifier { name = "typo", on = "rleu1", backward = "plain" }
    assert.matches("did you mean 'relu1'",
                   t.message(run.gradient, run, { modifiers = { typo } }))
    local late = lu.modifier { name = "late", on = "softmax", backward = "plain" }
    assert.matches("'softmax' is not part of this backward pass",
                   t.message(run.gradient, run, { modifiers = { late } }))
    local after = lu.modifier { name = "after", on = "fc", backward = "plain" }
    assert.matches("'fc' is not part of this backward pass",
                   t.message(run.gradient, run, { score = lu.score.unit("conv1", 1),
                                                  modifiers = { after } }))
    local both = lu.modifier { name = "both", on = { "relu1", "reul2" },
                               backward = "guided" }
    assert.matches("changed no node", t.message(run.gradient, run,
                                                { modifiers = { both } }))
    local bare = assert(lu.net { input = { 4 }, layers = {
      { "out", "linear", units = 3 } } }):init(1)
    local r = bare:run(t.input(bare))
    assert.matches("'guided' changed no node",
                   t.message(r.gradient, r, { modifiers = { "guided" } }))
    assert.matches("'linear' changed nothing: the output 'out' of network is linear",
                   t.message(bare.run, bare, t.input(bare), { modifiers = "linear" }))
  end)

  it("mean a kind by its word, whatever a file calls its layers", function()
    local net = assert(lu.net { input = { 3, 8, 8 }, layers = {
      { "activation", "conv2d", filters = 4, kernel = 3 }, { "r", "relu" },
      { "sum", "global_avg_pool" }, { "mean", "flatten" },
      { "out", "linear", units = 3 } } }):init(1)
    local other = assert(lu.net { input = { 3, 8, 8 }, layers = {
      { "c", "conv2d", filters = 4, kernel = 3 }, { "r", "relu" },
      { "g", "global_avg_pool" }, { "f", "flatten" },
      { "out", "linear", units = 3 } } }):init(1)
    local x = t.input(net)
    local of, want = net:run(x), other:run(x)
    assert.is_true(lu.lrp(of):same(lu.lrp(want)))
    local mine = lu.modifier { name = "mine", on = "mean", backward = "plain" }
    assert.matches("no layer is of the kind 'mean'.*layer.name == \"mean\"",
                   t.message(of.gradient, of, { modifiers = { mine } }))
  end)

  it("are found by name, with suggestions", function()
    local function of(what) return t.message(lu.modifiers.of, what) end
    -- the nearest, or where none is near all of them
    assert.matches("'gudied' not found; did you mean 'guided'%?$", of "gudied")
    assert.matches("'frobnicate' not found %(there are: linear, .*z_plus[^ ]*%)$",
                   of "frobnicate")
    assert.matches("'' not found", of "")
    assert.matches("'extract' is written extract:LAYER", of "extract")
    assert.matches("'guided:x': 'guided' is written guided$", of "guided:x")
    assert.matches("rectified%[:leak=NUMBER%]", of "rectified:leak=x")
    assert.matches("got a function", of(print))
    assert.equal("rectified(leak=0.1)", lu.modifiers.of("rectified:leak=0.1").name)
    assert.equal("extract(fc)", lu.modifiers.of("extract:fc").name)
    assert.matches("leak = number", t.message(lu.modifiers.rectified, {}))
    assert.matches("attempt to call", t.message(lu.modifiers.guided, { leak = 1 }))
    assert.matches("expected { name", t.message(lu.modifier, { name = "x" }))
    assert.matches("be table: { name.*got 'guided'", t.message(lu.modifier, "guided"))
    assert.matches("expected { name", t.message(lu.modifier, { on = {},
                                                               backward = "plain" }))
    assert.matches("expected { name", t.message(lu.modifier, { on = "relu",
                                                               backward = 3 }))
    assert.matches("name should be string: a layer.*got nil", t.message(lu.extract))
  end)

  it("belong to forward or to backward", function()
    local apply = require "lunette.modifiers.apply"
    local named = require "lunette.modifiers.named"
    local back = apply.backward(named.list { "linear", "guided", "rectified:leak=0.1" })
    assert.same({ "guided", "rectified(leak=0.1)" }, { back[1].name, back[2].name })
    assert.equal(2, #back)
    local net = t.net()
    assert.matches("'guided' is about backward",
                   t.message(net.run, net, t.input(net), { modifiers = { "guided" } }))
  end)
end)


describe("layers that a rule is about", function()
  local run = t.linear_run(t.net())
  local plain = run:gradient { score = 1 }
  local twice = function(node, dy) return node:backward(dy) * 2 end

  local function factor(on)
    local m = lu.modifier { name = "m", on = on, backward = twice }
    local g = run:gradient { score = 1, modifiers = { m } }
    local changed = t.changed(run, { m })
    return g:stats().l2 / plain:stats().l2, changed.m
  end

  it("are a kind, a name, a pattern, a predicate, a place, or a list", function()
    local first, last = lu.modifiers.first, lu.modifiers.last
    local rows = {
      { "conv2d", 2 }, { "conv1", 1 }, { "features.0", 1 }, { "^conv", 2 },
      { "relu%d", 2 }, { "^relu%d$", 2 }, { "relu", 3 }, { "weighted", 4 },
      { "activation", 3 }, { "pooling", 1 }, { first "conv2d", 1 },
      { last "weighted", 1 }, { last(first "relu"), 1 },
      { function(l) return l.name:find "c" ~= nil end, 4 }, -- conv1 conv2 fc fc_relu
      { { "conv1", "fc" }, 2 }, { { first "weighted", "flatten" }, 2 },
    }
    for _, row in ipairs(rows) do
      local f, n = factor(row[1])
      assert.equal(row[2], n, tostring(row[1]))
      assert.near(2 ^ row[2], f, 1e-3, tostring(row[1]))
    end
    assert.equal("first conv2d", tostring(first "conv2d"))
  end)

  it("must be there", function()
    for what, on in pairs {
      ["no layer or kind '%^convv'"] = "^convv",
      ["'first sigmoid' means no layer"] = lu.modifiers.first "sigmoid",
      ["means no layer of this backward pass"] = function() return false end,
      ["not part of this backward pass"] = "probability",
    } do
      local m = lu.modifier { name = "m", on = on, backward = twice }
      assert.matches("'m' changed no node: .*" .. what,
                     t.message(run.gradient, run, { modifiers = { m } }))
    end
    -- a name with a dot or a dash is no pattern
    local m = lu.modifier { name = "m", on = "conv.1", backward = twice }
    assert.matches("no layer or kind 'conv.1'",
                   t.message(run.gradient, run, { modifiers = { m } }))
  end)

  it("are those that have the rule, where none are named", function()
    local net = assert(lu.net { input = { 6 }, layers = {
      { "a", "linear", units = 8 }, { "act", "gelu" }, { "b", "linear", units = 8 },
      { "gate", "sigmoid" }, { "c", "linear", units = 8 }, { "last", "relu6" },
      { "d", "linear", units = 3 } } }):init(4)
    local r = net:run(t.input(net, 2))
    local function count(m)
      local changed = t.changed(r, { m })
      return changed[lu.modifiers.of(m).name]
    end
    assert.equal(2, count "guided") -- no sigmoid
    assert.equal(2, count "rectified:leak=0.5")
    assert.matches("no layer of this backward pass has the rule 'beta_smooth'",
                   t.message(count, "beta_smooth:3"))
    assert.equal(2, count(lu.modifier { name = "mine", backward = "deconvnet" }))
    assert.equal(2, count(lu.modifier { name = "mine",
                                        backward = { "leak", leak = 0.1 } }))
    local exact = lu.modifier { name = "mine", on = "gelu", backward = "guided" }
    assert.equal(1, count(exact))
  end)
end)


describe("run:changes", function()
  it("says how many layers each modifier is about, before anything fails", function()
    local run = t.linear_run(t.net())
    assert.same({ guided = 3 }, run:changes "guided")
    assert.same({ guided = 1 }, run:changes("guided", "relu2"))
    assert.same({ guided = 0 }, run:changes("guided", "fc"))
    assert.same({ vanilla = nil, epsilon_plus = 0 },
                run:changes({ "vanilla", "epsilon_plus" }, "out"))
    -- a composite's entries overlap: a layer counts once
    local all = lu.modifier { name = "all", { on = "relu", "guided" },
                              { on = "activation", "guided" } }
    assert.equal(3, run:changes(all).all)
    for _, at in ipairs { "input", "relu2", "fc" } do
      local ok = pcall(run.gradient, run, { score = 1, wrt = at,
                                            modifiers = { "guided" } })
      assert.equal(ok, run:changes("guided", at).guided > 0, at)
    end
    -- a rule on two layers is refused where one of them is not on the way
    local two = lu.modifier { name = "two", on = { "relu1", "relu2" }, rule = "guided" }
    assert.equal(2, run:changes(two).two)
    assert.equal(0, run:changes(two, "relu1").two)
    assert.is_false(pcall(run.gradient, run, { score = 1, wrt = "relu1",
                                               modifiers = { two } }))
    assert.matches("not found", t.message(run.changes, run, "guidde"))
    assert.matches("nowhere", t.message(run.changes, run, "guided", "nowhere"))
  end)
end)


describe("the engine's rules", function()
  it("are modifiers by themselves, with their parameters", function()
    local names = {}
    for _, name in ipairs(lu.modifiers.names()) do names[name] = true end
    for op in pairs(core.ops) do
      for _, rule in ipairs(core.op_info(op).rules) do
        assert.is_true(rule == "plain" or names[rule], rule)
      end
    end
    local run = t.linear_run(t.net())
    assert.is_true(t.same(
      run:gradient { score = 1, modifiers = { "leak:leak=0.25" } },
      (run:gradient { score = 1, modifiers = { "rectified:leak=0.25" } })))
    local through = run:gradient { score = 1, modifiers = { "identity" } }
    assert.is_true(through:distance(by_hand(run, 1, function(dy) return dy end)) < 1e-6)
  end)

  it("are in help, completion and messages", function()
    local usage = table.concat(require("lunette.modifiers.named").usage(), " ")
    for _, text in ipairs { "linear", "guided", "rectified%[:leak=NUMBER%]", "identity",
                            "leak%[:leak=0.01%]", "beta_smooth%[:beta=10%]",
                            "extract:LAYER" } do
      assert.matches(text, usage)
      assert.matches(text, t.message(lu.modifiers.of, "nonsense"))
    end
    local help = require "lunette.repl.help"
    assert.matches("nearly blind to the class", help.text "guided")
    assert.matches("Dombrowski", help.text "beta_smooth")
  end)

  it("take parameters by name, in order, in text", function()
    local M = lu.modifiers
    assert.equal("beta_smooth(beta=3)", M.of("beta_smooth:3").name)
    assert.equal("beta_smooth(beta=3)", M.of("beta_smooth:beta=3").name)
    assert.equal("beta_smooth(beta=3)", M.beta_smooth(3).name)
    assert.equal("beta_smooth(beta=3)", M.beta_smooth { beta = 3 }.name)
    assert.equal("beta_smooth", M.of("beta_smooth").name)
    assert.equal(10, M.beta_smooth.params.beta)
    for _, text in ipairs { "beta_smooth:x", "beta_smooth:beta=", "beta_smooth:gamma=3",
                            "beta_smooth:3,4", "beta_smooth:nan", "beta_smooth:inf",
                            "rectified:", "guided:leak=1", "extract:" } do
      if text ~= "rectified:" then
        assert.matches("is written", t.message(M.of, text), text)
      end
    end
    assert.matches("beta = number }; it has no 'gamma'",
                   t.message(M.beta_smooth, { gamma = 1 }))
    assert.matches("expected beta_smooth", t.message(M.beta_smooth, 0 / 0))
  end)
end)


describe("a composite", function()
  local run = t.linear_run(t.net())
  local g = run:gradient { score = 1 }
  local function times(k)
    return function(node, dy) return node:backward(dy) * k end
  end
  local function ratio(...)
    local h = run:gradient { score = 1, modifiers = { ... } }
    return h:stats().l2 / g:stats().l2
  end

  it("gives every node its first match", function()
    local mixed = lu.modifier { name = "mixed",
      { on = lu.modifiers.first "conv2d", times(2) },
      { on = "conv2d", rule = times(3) },
      { on = "linear", backward = times(5) },
      { on = "weighted", times(100) }, -- nothing is left
      { on = "sigmoid", times(7) },    -- there is none
    }
    assert.near(2 * 3 * 25, ratio(mixed), 0.05)
    local changed = t.changed(run, { mixed })
    assert.equal(4, changed.mixed)
  end)

  it("may leave nodes as they are, and name other rules", function()
    local mixed = lu.modifier { name = "mixed",
      { on = "relu1", "plain" }, { on = "relu", "guided" } }
    local only = lu.modifier { name = "only", on = { "relu2", "fc_relu" },
                               backward = "guided" }
    assert.is_true(t.same(run:gradient { score = 1, modifiers = { mixed } },
                          (run:gradient { score = 1, modifiers = { only } })))
    local leaky = lu.modifier { name = "leaky",
                                { on = "relu", { "leak", leak = 0.25 } } }
    assert.is_true(t.same(run:gradient { score = 1, modifiers = { leaky } },
      (run:gradient { score = 1, modifiers = { "rectified:leak=0.25" } })))
    local all = lu.modifier { name = "all", lu.modifiers.guided }
    assert.is_true(t.same(run:gradient { score = 1, modifiers = { all } },
                          (run:gradient { score = 1, modifiers = { "guided" } })))
    local with = lu.modifier { name = "with",
      { on = "relu", lu.modifiers.rectified { leak = 0.25 } } }
    assert.is_true(t.same(run:gradient { score = 1, modifiers = { with } },
                          (run:gradient { score = 1, modifiers = { leaky } })))
  end)

  it("is a modifier like others: it combines, and is overridden", function()
    local mixed = lu.modifier { name = "mixed", { on = "conv2d", times(3) } }
    local late = lu.modifier { name = "late", on = "conv1", backward = times(5) }
    assert.near(15, ratio(mixed, late), 0.01)
    assert.near(9, ratio(late, mixed), 0.01)
    assert.near(9, ratio "vanilla" * ratio(mixed), 0.01)
    local map = lu.saliency(run, { score = 1, modifiers = { mixed } })
    assert.same({ "mixed" }, map.story.modifiers)
    assert.equal(2, map.story.changed_nodes.mixed)
  end)

  it("that is wrong is told at once", function()
    for _, entry in ipairs { { on = "relu" }, { "guided", on = 3 }, { times(2) }, 7,
                             { on = {}, "guided" } } do
      assert.matches("modifier 'wrong': entry 2: expected { on = layers, rule = rule }",
                     t.message(lu.modifier, { name = "wrong", { on = "relu", "guided" },
                                              entry }))
    end
    local none = lu.modifier { name = "none", { on = "sigmoid", "plain" } }
    assert.matches("'none' changed no node: none of its 1 entries",
                   t.message(run.gradient, run, { modifiers = { none } }))
    local bad = lu.modifier { name = "bad", { on = "conv2d", "gudied" } }
    assert.matches("op 'conv2d' has no rule 'gudied'",
                   t.message(run.gradient, run, { modifiers = { bad } }))
    local broken = lu.modifier { name = "broken", { on = "conv1",
                                                    function() error "late" end } }
    assert.matches("modifier 'broken' at layer 'conv1' %(conv2d%): .*late",
                   t.message(run.gradient, run, { modifiers = { broken } }))
    assert.matches("'mixed' is about backward", t.message(run.net.run, run.net,
      run.images, { modifiers = { lu.modifier { name = "mixed",
                                                { on = "relu", "guided" } } } }))
  end)
end)


describe("forward modifiers", function()
  it("linear scores what the softmax reads", function()
    local net = t.net()
    local x = t.input(net, 2)
    local with, without = net:run(x, { modifiers = { "linear" } }), net:run(x)
    assert.equal("out", with.output_layer.name)
    assert.equal("softmax", without.output_layer.name)
    -- on a run that has its softmax, the same bits
    local g = without:gradient { score = 1, modifiers = { "linear" } }
    assert.is_true(t.same(g, (with:gradient { score = 1 })))
    -- once more over a linear run changes nothing and is no error
    assert.is_true(t.same(g, (with:gradient { score = 1, modifiers = { "linear" } })))
    -- d p_k / d z = p_k (e_k - p)
    local p = without.output:detach()
    local gz = without:gradient { score = 1, wrt = "out" }
    local want = p * -1
    for i = 1, 2 do want:set(i, 2, 1 + want:get(i, 2)) end
    want = want * p:narrow { dim = 2, start = 2, length = 1 }
    assert.near(0, t.off(gz, want), 1e-6)
  end)

  it("extract scores a layer", function()
    local net = t.net()
    local x = t.input(net, 2)
    local whole = net:run(x)
    local a = whole:gradient { score = 3, modifiers = { lu.extract "relu2" } }
    local b = net:run(x, { modifiers = { "extract:conv2" } }):gradient { score = 3 }
    local c = lu.saliency(net, x, { score = 3, modifiers = { lu.extract "conv2" },
                                    raw = true })
    assert.is_true(t.same(a, b))
    assert.is_true(t.same(a, c))
    assert.matches("not found", t.message(whole.gradient, whole, {
      modifiers = { lu.extract "conv9" } }))
    assert.matches("not found", t.message(net.run, net, x, {
      modifiers = { lu.extract "conv9" } }))
  end)
end)
