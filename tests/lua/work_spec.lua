-- Long work: one forward for several classes, the same bits for any batch and any
-- number of threads, checkpoints, a ceiling of memory, interruption. What is asked of
-- one method is asked of all that have the option.
local lu = require "lunette"
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"


---Few samples, for all methods.
local few = { samples = 5, count = 21, steps = 5, most = 2, segments = 2, max_sigma = 2,
              window = 5, stride = 3, designs = 4, cells = 2, min_diff = 2, dilate = 0,
              smooth_samples = 4, smooth_noise = 0.1, exact = 4, evals = 12,
              cell = 4, step = 4, sigma = 4, blur = 2, levels = 3,
              concepts = 2 }


---Visits the methods that have an option, by name.
local function each_with(option, visit)
  t.warnings(function()
    for name, row in pairs(lu.methods) do
      -- (this network has no attention)
      if row.options[option] and row.family ~= "attention" then
        local opts = {}
        if row.options.progress then opts.progress = false end
        for key, value in pairs(few) do
          if row.options[key] then opts[key] = value end
        end
        opts.modifiers = { "linear" }
        visit(name, row, opts)
      end
    end
  end)
end


---Counts the pictures and layers' values that a network runs while f is at work.
local function counted(net, f)
  local n = 0
  for _, key in ipairs { "run", "run_from" } do
    local plain = net[key]
    rawset(net, key, function(self, a, b, ...)
      n = n + (key == "run" and a or b):dim(1)
      return plain(self, a, b, ...)
    end)
  end
  local ok, result = pcall(f)
  rawset(net, "run", nil)
  rawset(net, "run_from", nil)
  assert(ok, result)
  return n, result
end


describe("several classes", function()
  -- what is run depends on the class there
  local apart = { guided_ig = true, partition_shap = true,
                  extremal_perturbation = true, meaningful_perturbation = true }

  it("are served by the forwards of one", function()
    local net, x = t.net(), core.normal(3, 0, 2, 3, 12, 12)
    each_with("classes", function(name, row, opts)
      if apart[name] then return end
      local run = net:run(x)
      opts.score = 4
      local one = counted(net, function() return row(run, opts) end)
      opts.score, opts.classes = nil, { 4, 1, 2 }
      local three = counted(net, function() return row(run, opts) end)
      assert.equal(one, three, name)
    end)
  end)
end)


describe("every long method", function()
  local net, x = t.net(), core.normal(3, 0, 2, 3, 12, 12)

  it("has the same bits for any batch", function()
    each_with("batch", function(name, row, opts)
      if row.options.score then opts.score = { 1, 2 } else opts.modifiers = nil end
      local want
      for _, batch in ipairs { 16, 1, 3, 7, 32 } do
        opts.batch = batch
        local map = row(net, x, opts):detach()
        want = want or map
        assert.is_true(t.same(want, map), ("%s, batch %d"):format(name, batch))
      end
    end)
  end)

  it("has the same bits for any number of threads", function()
    each_with("batch", function(name, row, opts)
      if row.options.score then opts.score = { 1, 2 } else opts.modifiers = nil end
      local want
      for _, threads in ipairs { 2, 1, 5 } do
        local before = core.threads(threads)
        local map = row(net, x, opts):detach()
        core.threads(before)
        want = want or map
        assert.is_true(t.same(want, map), ("%s, %d threads"):format(name, threads))
      end
    end)
  end)

  it("goes on from its checkpoint, to the same bits, and runs nothing twice", function()
    local folder, done = t.folder()
    finally(done)
    each_with("checkpoint", function(name, row, opts)
      opts.classes, opts.batch = { 3, 1 }, row.options.batch and 2 or nil
      local whole
      local all = counted(net, function() whole = row(net, x, opts):detach() end)
      opts.checkpoint = ("%s/%s.safetensors"):format(folder, name)
      opts.progress = function(n) if n >= 3 then error "the machine went down" end end
      local first = counted(net, function() pcall(row, net, x, opts) end)
      if not t.exists(opts.checkpoint) then return end -- done before the third copy
      opts.progress = false
      local rest, map = counted(net, function() return row(net, x, opts) end)
      assert.is_true(t.same(whole, map:detach()), name)
      -- at most the clean forwards and the batch that failed are made again
      assert.is_true(first + rest <= all + 12, ("%s: %d and %d of %d"):format(name,
                     first, rest, all))
      assert.is_nil(map.story.checkpoint)
    end)
  end)
end)


describe("an interrupted call", function()
  local net, x = t.net(), core.normal(3, 0, 1, 3, 12, 12)

  it("ends at once, keeps what it had, and goes on from there", function()
    local folder, done = t.folder()
    finally(done)
    for name, opts in pairs { rise = { count = 60 }, kernel_shap = { samples = 60 },
                              smoothgrad = { samples = 60 },
                              integrated_gradients = { steps = 60 } } do
      opts.score, opts.modifiers, opts.batch = 2, { "linear" }, 4
      opts.checkpoint = ("%s/%s.safetensors"):format(folder, name)
      opts.progress = function(n) if n >= 20 then core.interrupt() end end
      local ok, message = pcall(lu[name], net, x, opts)
      core.interrupt(false)
      assert.is_false(ok, name)
      assert.matches("interrupted", message)
      opts.progress = false
      local rest, map = counted(net, function() return lu[name](net, x, opts) end)
      assert.is_true(rest >= 36 and rest <= 44, ("%s: %d"):format(name, rest))
      opts.checkpoint = nil
      assert.is_true(t.same(map:detach(), lu[name](net, x, opts):detach()), name)
    end
  end)
end)


describe("a call that fails anywhere", function()
  local net, x = t.net(), core.normal(3, 0, 1, 3, 12, 12)
  after_each(function() core.fail_at(0) end)

  for name, more in pairs { integrated_gradients = { steps = 5 },
                            conductance = { steps = 4 },
                            smoothgrad = { samples = 5 } } do
    it("goes on from what is whole: " .. name, function()
      local folder, done = t.folder()
      finally(done)
      local opts = { score = 2, modifiers = { "linear" }, batch = 3, progress = false }
      for key, value in pairs(more) do opts[key] = value end
      local whole = lu[name](net, x, opts):detach()
      local failed = 0
      for n = 1, 160, 3 do
        opts.checkpoint = ("%s/%d.safetensors"):format(folder, n)
        core.fail_at(n)
        local ok = pcall(lu[name], net, x, opts)
        core.fail_at(0)
        if not ok then -- (a second attempt after a collection may have succeeded)
          failed = failed + 1
          assert.is_true(whole:same(lu[name](net, x, opts):detach()), name .. " " .. n)
        end
      end
      assert.is_true(failed > 3, failed)
    end)
  end

  it("does not write down half a batch", function()
    local folder, done = t.folder()
    finally(done)
    local path = folder .. "/half.safetensors"
    local opts = { score = 2, modifiers = { "linear" }, batch = 3, samples = 9,
                   checkpoint = path, progress = false }
    local whole = lu.smoothgrad(net, x, { score = 2, modifiers = { "linear" },
                                          samples = 9, progress = false }):detach()
    local sampling, n = require "lunette.explain.sampling", 0
    local plain = sampling.reductions.mean
    finally(function() sampling.reductions.mean = plain; done() end)
    sampling.reductions.mean = function(count)
      local fold, finish = plain(count)
      return function(...)
        n = n + 1
        if n == 5 then error "the second of the second batch" end
        return fold(...)
      end, finish
    end
    assert.is_false((pcall(lu.smoothgrad, net, x, opts)))
    sampling.reductions.mean = plain
    assert.is_true(whole:same(lu.smoothgrad(net, x, opts):detach()))
  end)
end)


describe("a checkpoint", function()
  local net, x = t.net(), core.normal(3, 0, 1, 3, 12, 12)
  local folder, done, opts

  before_each(function()
    folder, done = t.folder()
    opts = { score = 2, count = 20, modifiers = { "linear" }, progress = false,
             checkpoint = folder .. "/rise.safetensors" }
    lu.rise(net, x, opts)
  end)
  after_each(function() done() end)

  it("of the whole call is the map, with no forward but the clean ones", function()
    local n = counted(net, function() lu.rise(net, x, opts) end)
    assert.equal(0, n)
  end)

  it("is refused where anything that decides the map differs", function()
    local function refused(change, n, images)
      local own = { score = 2, count = 20, modifiers = { "linear" }, progress = false,
                    checkpoint = opts.checkpoint }
      for key, value in pairs(change) do own[key] = value end
      assert.matches("holds another checkpoint.*remove the file", t.message(lu.rise,
        n or net, images or x, own))
    end
    refused { score = 3 }
    refused { seed = 1 }
    refused { count = 21 }
    refused { modifiers = {} }
    refused { over = "count" }
    refused({}, t.net(2))
    local other = x:clone()
    other:set(1, 2, 3, 4, other:get(1, 2, 3, 4) + 1e-6)
    refused({}, nil, other)
    opts.batch = 3 -- which decides nothing
    assert.equal(0, (counted(net, function() lu.rise(net, x, opts) end)))
  end)

  it("that is damaged, though it says that it is this call's, is refused", function()
    local json = require "lunette.base.json"
    local file = assert(core.weights(opts.checkpoint))
    local head = json.decode(file:meta().lunette_checkpoint)
    file:release()
    local value = core.ones(2)
    for _, about in ipairs { 7, {}, { numbers = 3 }, { numbers = { ["1/1"] = 2 } },
                             { numbers = { ["/"] = 2 } } } do
      head.about = about
      assert(core.write_weights(opts.checkpoint, { { "1/1/x", value } }, "f32",
                                { lunette_checkpoint = json.encode(head) }))
      assert.matches("no whole checkpoint: remove the file",
                     t.message(lu.rise, net, x, opts))
    end
  end)

  it("that is damaged or cannot be written is an error", function()
    t.spit(opts.checkpoint, "no such thing")
    assert.matches("rise.safetensors", t.message(lu.rise, net, x, opts))
    opts.checkpoint = opts.checkpoint .. "/x.safetensors" -- below a file
    assert.matches("cannot make folder '.*rise.safetensors'",
                   t.message(lu.rise, net, x, opts))
    opts.checkpoint = folder .. "/no/folder/x.safetensors" -- which is made
    assert.truthy(lu.rise(net, x, opts))
    assert.is_true(t.exists(opts.checkpoint))
  end)

  it("is asked of methods that take long, not of others", function()
    assert.matches("unknown option 'checkpoint'", t.message(lu.gradcam, net, x,
                                                            { checkpoint = "x" }))
    assert.matches("checkpoint is a file's name", t.message(lu.rise, net, x,
                                                            { checkpoint = 3 }))
  end)
end)


describe("a ceiling of memory", function()
  local net = assert(lu.net { name = "wide", input = { 3, 64, 64 }, layers = {
    { "c1", "conv2d", filters = 32, kernel = 3, padding = 1 }, { "r1", "relu" },
    { "c2", "conv2d", filters = 32, kernel = 3, padding = 1 }, { "r2", "relu" },
    { "pool", "global_avg_pool" }, { "flatten", "flatten" },
    { "out", "linear", units = 4 }, { "softmax", "softmax" } } }):init(1)
  local x = core.normal(1, 0, 1, 3, 64, 64)

  ---The most that was held while f was at work, beside what was held before.
  local function peak_of(f)
    collectgarbage()
    core.trim()
    core.reset_peak()
    local peak, plain = 0, core.reset_peak
    core.reset_peak = function() -- the ceiling measures by it, too
      peak = math.max(peak, core.memory().peak)
      plain()
    end
    local ok, map = pcall(f)
    core.reset_peak = plain
    assert(ok, map)
    return math.max(peak, core.memory().peak), map:detach()
  end

  for _, name in ipairs { "rise", "smoothgrad", "integrated_gradients", "occlusion",
                          "kernel_shap", "ablationcam", "sobol" } do
    it("is kept by " .. name .. ", to the same bits", function()
      local row = lu.methods[name]
      local opts = { score = 1, batch = 32, progress = false, modifiers = { "linear" } }
      for key, value in pairs { count = 40, samples = 40, steps = 40, window = 16,
                                stride = 8, segments = 4, cells = 2, designs = 8 } do
        local option = row.options[key]
        local instead = key == "segments" and option and not option.default
        if option and not instead then opts[key] = value end
      end
      local run <close> = net:run(x) -- what is kept of it is held before
      local free, want = peak_of(function() return row(run, opts) end)
      collectgarbage()
      local held = core.memory().live
      local ceiling = held + (free - held) * 2 // 5
      opts.memory = ceiling
      local peak, map = peak_of(function() return row(run, opts) end)
      assert.is_true(t.same(want, map))
      assert.is_true(peak <= ceiling, ("%d of %d, free %d"):format(peak, ceiling, free))
      assert.is_nil(core.memory_ceiling())
    end)
  end

  it("that no copy fits below says what would do", function()
    local opts = { score = 1, memory = "100K", progress = false }
    assert.matches('a single copy takes .* the ceiling of 1M; give memory = "%d+M"',
                   t.message(lu.rise, net, x, opts))
    opts.memory = "few"
    assert.matches('memory is a size such as "1G" or "300M", got few',
                   t.message(lu.rise, net, x, opts))
    assert.is_nil(core.memory_ceiling())
  end)

  it("is read as people write it", function()
    local bytes = require("lunette.explain.ceiling").bytes
    assert.equal(1 << 30, bytes "1G")
    assert.equal(3 << 29, bytes "1.5 GiB")
    assert.equal(300 << 20, bytes "300M")
    assert.equal(4096, bytes(4096))
    assert.is_nil(bytes "-1G")
    assert.is_nil(bytes "G")
  end)

  it("holds for the pool of freed blocks, too", function()
    collectgarbage()
    core.trim()
    local ceiling = core.memory().live + (8 << 20)
    assert.is_nil(core.memory_ceiling(ceiling))
    for n = 1, 12 do
      core.zeros(n * 100000):release()
      local m = core.memory()
      assert.is_true(m.live + m.cached <= ceiling)
    end
    core.memory_ceiling()
    core.zeros(5000000):release()
    assert.is_true(core.memory().cached > 16 << 20)
  end)
end)
