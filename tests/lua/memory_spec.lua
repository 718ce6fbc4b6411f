-- Memory: long loops stay flat, with and without explicit release; refused
-- allocations and interruptions leave everything as it was.
local lu = require "lunette"
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"

local sanitized = t.sanitized


---Resident memory of this process in bytes.
local function resident()
  local pages = t.read("/proc/self/statm"):match "^%d+ (%d+)"
  return tonumber(pages) * 4096
end


local function settle()
  collectgarbage()
  collectgarbage()
end


---A tiny VGG: the values of a run are 160 KB, so a thousand that stay would be seen.
local function tiny()
  return assert(lu.net(lu.models.tiny_vgg { side = 32 })):init(1)
end


describe("a loop of 1,000 saliency runs", function()
  local function loop(count, body)
    local net = tiny()
    local x = t.input(net, 1)
    if sanitized then count = count // 5 end -- there for what it reads, not its size
    for i = 1, count // 5 do body(net, x, i) end -- pools and caches are full
    settle()
    local live, blocks, before = core.memory().live, core.memory().blocks, resident()
    core.reset_peak()
    for i = 1, count do body(net, x, i) end
    local peak = core.memory().peak
    settle()
    assert.equal(live, core.memory().live)
    assert.equal(blocks, core.memory().blocks)
    assert.is_true(peak < live + (320 << 20), "peak " .. peak)
    if not sanitized then -- which keeps freed memory for a while
      local grown = resident() - before
      assert.is_true(grown < 16 << 20, ("grew by %.1f MB"):format(grown / 2 ^ 20))
    end
  end

  it("stays flat with explicit release", function()
    loop(1000, function(net, x)
      local run <close> = net:run(x, { modifiers = { "linear" } })
      local map <close> = lu.saliency(run, { score = 1, modifiers = { "guided" } })
      assert.equal(1, #map)
    end)
  end)

  it("stays flat without", function()
    loop(1000, function(net, x)
      lu.saliency(net, x, { score = 1, modifiers = { "linear", "guided" } })
    end)
  end)

  it("stays flat with rules in Lua, and with errors in them", function()
    local mine = lu.modifier { name = "mine", on = "relu", backward = function(node, dy)
      return dy * node.output:gt(0)
    end }
    loop(300, function(net, x, i)
      local map = lu.saliency(net, x, { score = 1, modifiers = { "linear", mine } })
      assert.is_true(map:size() > 0)
      pcall(lu.saliency, net, x, { score = 1, modifiers = { "linear",
        lu.modifier { name = "bad", on = "relu_1_1", backward = function()
          if i % 2 == 0 then error "no" end
          return nil
        end } } })
    end)
  end)

  it("keeps the garbage below a limit", function()
    local before = core.memory_limit()
    finally(function() core.memory_limit(before) end)
    settle()
    local base = core.memory().live
    core.memory_limit(base + (8 << 20))
    core.reset_peak()
    local net = t.net()
    local x = t.input(net, 8)
    for _ = 1, 500 do net:run(x) end
    -- the limit grows by 40 % where a collection does not help; garbage of this
    -- loop would be 500 * 0.3 MB
    assert.is_true(core.memory().peak < base + (24 << 20), core.memory().peak - base)
  end)
end)


-- a test that fails half-way spoils no other
after_each(function()
  core.fail_at(0)
  core.interrupt(false)
end)


describe("a refused allocation", function()
  it("is an error wherever it happens, and leaves no trace", function()
    local net = t.net()
    local x = t.input(net, 2)
    local want = lu.saliency(net, x, { score = 1, modifiers = { "linear", "guided" } })
    local run = net:run(x, { modifiers = { "linear" } })
    local function explain()
      local map = lu.saliency(net, x, { score = 1, modifiers = { "linear", "guided" } })
      local cam = lu.gradcam(run, { score = 1 })
      return map, cam
    end
    explain()
    settle()
    local base, refused, reached = core.memory().blocks, 0, 0
    for n = 1, 2000 do
      core.fail_at(n)
      local ok, map = pcall(explain)
      -- (how many allocations there are depends on what garbage is still held)
      if core.fail_at(0) == 0 then reached = n elseif n > 2 * reached then break end
      if not ok then
        refused = refused + 1
        assert.matches("no .*memory", map)
      elseif n % 16 == 1 then -- a second attempt after a collection succeeded
        assert.is_true(t.same(want, map))
      end
      map = nil -- luacheck: ignore
      if n % 16 == 0 then
        settle()
        assert.equal(base, core.memory().blocks)
      end
    end
    settle()
    assert.equal(base, core.memory().blocks)
    assert.is_true(refused > 50, refused .. " refusals")
    assert.is_true(t.same(want, (explain())))
  end)
end)


describe("an interruption", function()
  it("stops the work and leaves the run usable", function()
    local net = t.net()
    local x = t.input(net, 2)
    local run = net:run(x, { modifiers = { "linear" } })
    local want = run:gradient { score = 1 }
    for _, f in ipairs {
      function() net:run(x) end,
      function() run:gradient { score = 1 } end,
      function() run:gradient { score = 1, modifiers = { "guided" } } end,
      function() lu.saliency(run, { score = 1, smooth_samples = 3 }) end,
      function() lu.gradcam(run, { score = 1 }) end,
    } do
      core.interrupt()
      local message = t.message(f)
      assert.matches("interrupted", message)
      core.interrupt(false)
      assert.is_true(t.same(want, (run:gradient { score = 1 })))
    end
  end)

  it("inside a rule in Lua stays an interruption", function()
    local net = t.net()
    local run = net:run(t.input(net), { modifiers = { "linear" } })
    local mine = lu.modifier { name = "mine", on = "relu1", backward = function(_, dy)
      core.interrupt()
      return dy * 2
    end }
    local message = t.message(run.gradient, run, { score = 1, modifiers = { mine } })
    core.interrupt(false)
    assert.matches("interrupted$", message)
    assert.is_nil(message:find "modifier")
  end)
end)


describe("a method", function()
  ---Bytes a step that a call leaves to the collector, in pictures.
  local function left(row, key, opts)
    local net = lu.load "glyphs"
    local x = net:images(lu.glyphs.default_images(1).images)
    local function held(n)
      opts[key] = n
      collectgarbage()
      collectgarbage "stop"
      local before = core.memory().live
      local map = row(net, x, opts)
      local bytes = core.memory().live - before
      collectgarbage "restart"
      return bytes, map
    end
    return (held(10) - held(5)) / 5 / (4 * x:size())
  end

  it("gives back what a step made, without the collector", function()
    local lin = { "linear" }
    for _, case in ipairs {
      { lu.guided_ig, "steps", {} }, { lu.smoothgrad, "samples", {} },
      { lu.smoothgrad, "samples", { of = "input_x_gradient" } },
      { lu.saliency, "smooth_samples", {} },
      { lu.integrated_gradients, "steps", {} }, { lu.idgi, "steps", {} },
    } do
      local row, key, opts = table.unpack(case)
      opts.modifiers, opts.score, opts.progress = lin, 3, false
      assert.is_true(left(row, key, opts) < 0.3, row.name)
    end
  end)
end)
