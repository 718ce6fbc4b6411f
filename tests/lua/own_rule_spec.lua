-- Backward rules that a script writes in Lua: what they see, what they may do, and what
-- is left of a run when one of them fails.
local lu = require "lunette"
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"


describe("one's own rule", function()
  it("sees the node", function()
    local net = t.net()
    local run, seen = t.linear_run(net), {}
    local function backward(node, dy)
      seen[#seen + 1] = { node.name, node.kind, table.concat(node.input:shape(), ","),
        table.concat(node.output:shape(), ","), table.concat(node.weight:shape(), ","),
        table.concat(node.bias:shape(), ","), node.attrs.stride[1] or node.attrs.stride,
        table.concat(dy:shape(), ","), table.concat(node.input_shape, ","),
        node.copies, t.same(node.weight, net.params["conv2.weight"]) }
      return node:backward(dy)
    end
    local look = lu.modifier { name = "look", on = "conv2", backward = backward }
    local g = run:gradient { score = 1, modifiers = { look } }
    assert.same({ { "conv2", "conv2d", "2,6,6,6", "2,8,4,4", "8,6,3,3", "8", 1,
                    "2,8,4,4", "2,6,6,6", 1, true } }, seen)
    assert.is_true(g:distance((run:gradient { score = 1 })) < 1e-6)
    run:gradient { scores = { 0, 1, 2 }, modifiers = { look } }
    assert.equal("6,8,4,4", seen[2][8])
    assert.equal("6,8,4,4", seen[2][4]) -- once per seed
    assert.equal(3, seen[2][10])
    assert.matches("^node %d+: conv2d 'conv2'$", tostring(run:node "conv2"))
  end)

  it("may use the operator's own rules", function()
    local run = t.linear_run(t.net())
    local mine = lu.modifier { on = "relu", backward = function(node, dy)
      return node:backward(dy, { rule = "leak", leak = 0.25 })
    end }
    assert.is_true(t.same(run:gradient { score = 1, modifiers = { mine } },
      (run:gradient { score = 1, modifiers = {
        lu.modifier { on = "relu", backward = { "leak", 0.25 } } } })))
    local wrong = lu.modifier { on = "relu", backward = function(node, dy)
      return node:backward(dy, "gudied")
    end }
    assert.matches("op 'relu' has no rule 'gudied'",
                   t.message(run.gradient, run, { modifiers = { wrong } }))
    wrong = lu.modifier { on = "relu", backward = "gudied" }
    assert.matches("has no rule 'gudied'; it has plain",
                   t.message(run.gradient, run, { modifiers = { wrong } }))
  end)

  it("goes by kind, by name and by alias", function()
    local run = t.linear_run(t.net())
    local function double(on)
      return lu.modifier { on = on, backward = function(node, dy)
        return node:backward(dy) * 2
      end }
    end
    local g = run:gradient { score = 1 }
    local function ratio(on)
      local h = run:gradient { score = 1, modifiers = { double(on) } }
      return h:stats().l2 / g:stats().l2
    end
    assert.near(8, ratio "relu", 1e-4)
    assert.near(4, ratio "conv2d", 1e-4)
    assert.near(2, ratio "conv1", 1e-4)
    assert.near(2, ratio "features.1", 1e-4)
    assert.near(4, ratio { "relu1", "fc" }, 1e-4)
    assert.near(2, ratio "flatten", 1e-4)
    assert.near(2, ratio "max_pool2d", 1e-4)
  end)

  it("answers for layers of several inputs", function()
    local function at_sum(layer) return layer.name == "sum" end -- sum is a kind, too
    local run = t.linear_run(t.graph())
    local g = run:gradient { score = 1 }
    local split = lu.modifier { on = at_sum, backward = function(_, dy)
      return { dy, dy }
    end }
    local s = run:gradient { score = 1, modifiers = { split } }
    assert.is_true(g:distance(s) < 1e-6)
    local only = lu.modifier { on = at_sum, backward = function(_, dy) return dy end }
    local h = run:gradient { score = 1, modifiers = { only } }
    assert.is_true(h:distance(g) > 1e-3) -- nothing goes through the shortcut
    local short = lu.modifier { on = at_sum, backward = function(_, dy)
      return { dy }
    end }
    assert.matches("returned table", t.message(run.gradient, run,
                                               { modifiers = { short } }))
    local odd = lu.modifier { on = at_sum, backward = function(_, dy)
      return { dy, lu.zeros(1) }
    end }
    assert.matches("sum.*%(1%)", t.message(run.gradient, run, { modifiers = { odd } }))
  end)
end)


describe("a rule that fails", function()
  local net = t.net()
  local run = t.linear_run(net)
  local before = run:gradient { score = 1 }
  local guided = run:gradient { score = 1, modifiers = { "guided" } }

  local wrong = {
    ["returned nil"] = function() end,
    ["returned number"] = function() return 1 end,
    ["returned table"] = function() return {} end,
    ["returned string"] = function() return "dy" end,
    ["gradient of shape %(2, 6, 12, 11%), the input is %(2, 6, 12, 12%)"] =
      function() return lu.zeros(2, 6, 12, 11) end,
    ["gradient of shape %(2, 864%), the input is %(2, 6, 12, 12%)"] =
      function(_, dy) return dy:view(2, 864) end,
    ["gradient of shape %(6, 2, 12, 12%)"] =
      function(_, dy) return dy:view(6, 2, 12, 12) end,
    ["my own words"] = function() error "my own words" end,
    ["a table"] = function() error(setmetatable({}, { __tostring = function()
      return "a table"
    end })) end,
    ["attempt to call a nil value"] = function(node) return node.nonsense() end,
    ["released"] = function(_, dy) dy:release() return dy end,
    ["outside 1"] = function(_, dy) return dy[99] end,
    ["no memory"] = function(_, dy)
      return dy + lu.zeros(1 << 20, 1 << 22)
    end,
  }
  for what, backward in pairs(wrong) do
    it("is named: " .. what, function()
      local mine = lu.modifier { name = "broken", on = "relu1", backward = backward }
      local message = t.message(run.gradient, run, { score = 1, modifiers = { mine } })
      assert.matches("modifier 'broken' at layer 'relu1' %(relu%): ", message)
      assert.matches(what, message)
      -- and the run is what it was
      assert.is_true(t.same(before, (run:gradient { score = 1 })))
      assert.is_true(t.same(guided, (run:gradient { score = 1,
                                                    modifiers = { "guided" } })))
    end)
  end

  it("keeps no memory, wherever it fails", function()
    local function live()
      collectgarbage()
      collectgarbage()
      return core.memory().blocks
    end
    local broken = lu.modifier { name = "broken", on = "conv1",
                                 backward = function() error "late" end }
    pcall(run.gradient, run, { score = 1, modifiers = { broken } })
    local base = live()
    for _ = 1, 20 do
      pcall(run.gradient, run, { scores = { 0, 1, 2 },
                                 modifiers = { "guided", broken } })
    end
    assert.equal(base, live())
  end)

  it("may fail inside a coroutine, or yield", function()
    local mine = lu.modifier { name = "yields", on = "relu1", backward = function(_, dy)
      coroutine.yield(dy)
      return dy
    end }
    local co = coroutine.wrap(function()
      return pcall(run.gradient, run, { score = 1, modifiers = { mine } })
    end)
    local ok, message = co()
    assert.is_false(ok)
    assert.matches("yield", message)
    assert.is_true(t.same(before, (run:gradient { score = 1 })))
  end)

  it("may run the network and other gradients itself", function()
    local mine = lu.modifier { name = "deep", on = "relu1", backward = function(_, dy)
      local inner = run:gradient { score = 2, wrt = "relu1", modifiers = { "guided" } }
      net:run(run.images):release()
      return dy * 0 + inner
    end }
    local g = run:gradient { score = 1, modifiers = { mine } }
    local want = run:node("conv1"):backward(
      run:gradient { score = 2, wrt = "relu1", modifiers = { "guided" } })
    assert.is_true(g:distance(want) < 1e-6)
  end)

  it("may release the run it runs in", function()
    local mine_run = t.linear_run(net)
    local mine = lu.modifier { on = "relu1", backward = function(_, dy)
      mine_run:release()
      collectgarbage()
      return dy
    end }
    local ok = pcall(mine_run.gradient, mine_run, { score = 1, modifiers = { mine } })
    assert.is_boolean(ok) -- either way without a crash
    assert.matches("released", tostring(mine_run))
  end)

  it("does not corrupt the run by keeping what it saw", function()
    local kept = {}
    local mine = lu.modifier { on = "relu", backward = function(node, dy)
      kept[#kept + 1] = { node, dy, node.output, node.input }
      return dy * node.output:gt(0)
    end }
    local r = t.linear_run(net)
    r:gradient { score = 1, modifiers = { mine } }
    r:release()
    r = nil -- luacheck: ignore
    collectgarbage()
    for _, k in ipairs(kept) do
      assert.equal(k[2]:size(), k[3]:size())
      assert.is_true(k[3]:stats().finite and k[4]:stats().finite)
      pcall(function() return k[1].output end) -- gone with the run, and says so
    end
  end)
end)


describe("a rule in Lua", function()
  it("may have parameters of its own", function()
    local run = t.linear_run(t.net())
    local scale = lu.modifier { name = "scale", on = "relu", takes = { { "by", 2 } },
      backward = function(node, dy, p) return node:backward(dy) * p.by end }
    local g = run:gradient { score = 1 }
    local function ratio(m)
      return run:gradient { score = 1, modifiers = { m } }:stats().l2 / g:stats().l2
    end
    assert.near(8, ratio(scale), 1e-3)
    assert.near(27, ratio(scale { by = 3 }), 1e-3)
    assert.near(0.125, ratio(scale(0.5)), 1e-3)
    assert.equal("scale(by=3)", scale(3).name)
  end)
end)
