-- Tensors in Lua: making, reading, views, errors; closed forms and literals.
local lu = require "lunette"
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"


describe("a tensor", function()
  it("is made from nested lists", function()
    local x = lu.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
    assert.same({ 2, 3 }, x:shape())
    assert.equal(6, x:size())
    assert.equal(2, #x)
    assert.equal(2, x:dim())
    assert.equal(3, x:dim(2))
    assert.equal(5, x:get(2, 2))
    assert.equal(5, x[2][2])
    assert.same({ { 1, 2, 3 }, { 4, 5, 6 } }, x:totable())
    assert.same({ 0 }, lu.tensor({}):shape())
  end)

  it("refuses ragged and foreign lists", function()
    assert.matches("ragged", t.message(lu.tensor, { { 1, 2 }, { 3 } }))
    assert.matches("numbers, got string", t.message(lu.tensor, { "a" }))
    assert.matches("numbers, got table", t.message(lu.tensor, { 1, { 2 } }))
    assert.matches("at most 6", t.message(lu.tensor, { { { { { { { 1 } } } } } } }))
    assert.matches("should be a list of numbers", t.message(lu.tensor, 1))
  end)

  it("refuses impossible shapes", function()
    assert.matches("impossible", t.message(lu.zeros, -1))
    assert.matches("impossible", t.message(lu.zeros, 2 ^ 40 // 1 | 0, 2 ^ 40 // 1 | 0))
    assert.matches("1 to 6", t.message(lu.zeros))
    assert.matches("1 to 6", t.message(lu.zeros, 1, 1, 1, 1, 1, 1, 1))
    assert.matches("a whole number, as shapes are", t.message(lu.zeros, 1.5))
    assert.matches("a whole number, as shapes are", t.message(lu.zeros, { 2, "x" }))
    assert.same({ 2, 3 }, lu.zeros(2.0, 3):shape())
    assert.matches("no memory", t.message(lu.zeros, 1 << 42))
  end)

  it("are gone when they are released, though something has looked at them", function()
    local tape, before = core.tape(), nil
    collectgarbage()
    collectgarbage "stop"
    for _ = 1, 2 do -- the first time tables grow
      before = core.memory().live
      local x = lu.normal { 2, 64, 64 }
      for _, v in ipairs { x[1], x:rows(2), x:view(128, 64), x:detach(),
                           tape:watch(x) } do
        v:release()
      end
      x:stats()
      x:argsort()
      x:release()
      tape:release()
      tape = core.tape()
    end
    local left = core.memory().live - before
    collectgarbage "restart"
    assert.is_true(left < 4 * 64 * 64 * 2 * 2 + 4096, left) -- the two of argsort
  end)

  it("counts ranges", function()
    assert.same({ 1, 2, 3 }, lu.range(1, 3):totable())
    assert.same({ 0, 0.25, 0.5 }, lu.range(0, 0.5, 0.25):totable())
    assert.same({ 3, 1 }, lu.range(3, 0, -2):totable())
    assert.same({}, lu.range(3, 1):totable())
    assert.matches("step", t.message(lu.range, 0, 1, 0))
    assert.matches("million", t.message(lu.range, 0, 1e300, 1e-300))
    assert.matches("million", t.message(lu.range, 0, 0 / 0))
  end)

  it("reads bytes", function()
    local s = string.pack("<ff", 1.5, -2)
    local x = core.from_bytes(s, "f32", 2)
    assert.same({ 1.5, -2 }, x:totable())
    assert.equal(s, x:bytes())
    assert.same({ 0, 255 }, core.from_bytes("\0\255", "u8", 2):totable())
    assert.matches("3 bytes", t.message(core.from_bytes, "abc", "f32", 1))
    assert.has_error(function() core.from_bytes("abcd", "f64", 1) end)
  end)

  it("makes numbers of a counter: SplitMix64, and Box and Muller's pairs", function()
    local function mix(n)
      n = n + 0x9E3779B97F4A7C15
      n = (n ~ (n >> 30)) * 0xBF58476D1CE4E5B9
      n = (n ~ (n >> 27)) * 0x94D049BB133111EB
      return n ~ (n >> 31)
    end
    local key = mix(mix(11) ~ (5 * 0xD1342543DE82EF95 + 1))
    local function bits(i, n) return mix(key + i * 0x9E3779B97F4A7C15) >> (64 - n) end
    local u, z = lu.core.uniform(11, 5, 7), lu.core.normal(11, 5, 7)
    for i = 0, 6 do
      assert.equal(bits(i, 24) / 2 ^ 24, u[i + 1])
      local first = i - i % 2
      local r = (-2 * math.log(1 - bits(first, 53) / 2 ^ 53)) ^ 0.5
      local a = 2 * math.pi * bits(first + 1, 53) / 2 ^ 53
      local want = r * (i == first and math.cos or math.sin)(a)
      assert.is_true(math.abs(z[i + 1] - want) < 1e-6, i)
    end
  end)

  it("keeps random numbers by seed and stream, whatever the shape", function()
    local a, b = lu.core.normal(1, 2, 10), lu.core.normal(1, 2, 5, 2)
    assert.equal(a:bytes(), b:bytes())
    assert.not_equal(a:bytes(), lu.core.normal(1, 3, 10):bytes())
    assert.not_equal(a:bytes(), lu.core.normal(2, 2, 10):bytes())
    local s = lu.core.uniform(1, 1, 10000):stats()
    assert.is_true(s.min >= 0 and s.max < 1)
    assert.near(0.5, s.mean, 0.015) -- 5 deviations of the mean: 5 / sqrt(12e4)
  end)

  it("shares storage with views", function()
    local x = lu.zeros(3, 4)
    local row, flat = x[2], x:view(12)
    row[3] = 7
    assert.equal(7, flat[7])
    x:rows(1, 2)[1] = 5
    assert.same({ 5, 5, 5, 5 }, x[1]:totable())
    local own = x:clone()
    own:fill_(0)
    assert.equal(7, x:get(2, 3))
    x:release()
    assert.equal(7, flat[7])
  end)

  it("is written in place", function()
    local x = lu.tensor { 1, 2, 3 }
    assert.same({ 2, 4, 6 }, x:add_(lu.tensor { 1, 2, 3 }):totable())
    assert.same({ 1, 2, 3 }, x:mul_(0.5):totable())
    assert.same({ 3, 5, 7 }, x:add_(x, 1):add_(lu.ones(3)):totable())
    assert.same({ 9, 9, 9 }, x:fill_(9):totable())
    assert.same({ 1, 1, 1 }, x:copy_(lu.ones(3)):totable())
    x:set(2, 4)
    assert.same({ 1, 4, 1 }, x:totable())
    assert.matches("the tensor is %(3%), this one %(2%)",
                   t.message(x.add_, x, lu.ones(2)))
    assert.matches("the tensor is %(3%), this one %(4%)",
                   t.message(x.copy_, x, lu.ones(4)))
    local m = lu.zeros(2, 2)
    m[2] = lu.tensor { 3, 4 }
    m[1] = 6
    assert.same({ { 6, 6 }, { 3, 4 } }, m:totable())
    assert.matches("row of 2", t.message(function() m[1] = lu.ones(3) end))
  end)

  it("refuses places outside", function()
    local x = lu.zeros(2, 3)
    assert.matches("outside 1 .. 2", t.message(function() return x[0] end))
    assert.matches("outside 1 .. 2", t.message(function() return x[3] end))
    assert.matches("outside 1 .. 2", t.message(function() x[3] = 1 end))
    assert.matches("dimension 2", t.message(x.get, x, 1, 4))
    assert.matches("outside", t.message(x.rows, x, 2, 3))
    assert.matches("outside", t.message(x.rows, x, 0))
    assert.matches("there is no dimension 3, there are 1 to 2", t.message(x.dim, x, 3))
    assert.matches("do not fit", t.message(x.view, x, 5))
    assert.matches("one element", t.message(x.item, x))
    assert.has_error(function() return lu.zeros(2) + lu.zeros(3) end)
  end)

  it("says so after it was released", function()
    local x = lu.zeros(2)
    x:release()
    x:release()
    assert.matches("released", tostring(x))
    assert.matches("released", t.message(x.size, x))
    assert.matches("released", t.message(function() return x[1] end))
    assert.matches("released", t.message(function() return x + 1 end))
    local y
    do
      local z <close> = lu.zeros(2)
      y = z
    end
    assert.matches("released", t.message(y.size, y))
  end)

  it("carries fields of one's own", function()
    local x = lu.zeros(2)
    assert.is_nil(x.story)
    x.story = { a = 1 }
    assert.equal(1, x.story.a)
    assert.is_nil(x:clone().story)
  end)

  it("prints its shape and range", function()
    assert.equal("Tensor (1, 3) min -1 max 2\n[[ 2. -1.  0.]]",
                 tostring(lu.tensor { { 2, -1, 0 } }))
    assert.equal("Tensor (0) empty", tostring(lu.zeros(0)))
    assert.matches("^Tensor %(3%) all NaN\n", tostring(lu.full(0 / 0, 3)))
    assert.matches("^Tensor %(2%) min 1 max 1\n", tostring(lu.tensor { 0 / 0, 1 }))
  end)
end)


describe("statistics", function()
  it("are those of the definition", function()
    local s = lu.tensor({ 3, -4, 0, 0 }):stats()
    assert.equal(-4, s.min)
    assert.equal(3, s.max)
    assert.equal(-0.25, s.mean)
    assert.equal(5, s.l2)
    assert.equal(0.5, s.zeros)
    assert.is_true(s.finite)
    assert.is_false(lu.tensor({ 1, 0 / 0 }):stats().finite)
    assert.is_false(lu.tensor({ 1, 1 / 0 }):stats().finite)
  end)

  it("sort, ties in order, NaN last", function()
    local i, v = lu.tensor({ 2, 5, 2, 0 / 0, 7 }):argsort()
    assert.same({ 5, 2, 1, 3, 4 }, i:totable())
    assert.same({ 7, 5, 2, 2 }, { v[1], v[2], v[3], v[4] })
    assert.same({ 5, 7 }, { lu.tensor({ 2, 5, 2, 0 / 0, 7 }):argmax() })
    assert.same({ { 7, 5 }, { 5, 2 } }, { lu.tensor({ 2, 5, 2, 0, 7 }):top(2) })
  end)

  it("sorts many NaNs without harm", function()
    local x = lu.core.uniform(1, 1, 5000)
    for i = 1, 5000, 3 do x[i] = 0 / 0 end
    local i, v = x:argsort()
    local seen = {}
    for k = 1, 5000 do seen[i[k]] = true end
    for k = 1, 5000 do assert.is_true(seen[k]) end
    assert.is_true(v[1] >= v[2] and v[3333] == v[3333] and v[3334] ~= v[3334])
  end)
end)


describe("operators", function()
  it("compute", function()
    local x = lu.tensor { { 1, -2 }, { 3, 4 } }
    assert.same({ { 2, -1 }, { 4, 5 } }, (x + 1):totable())
    assert.same({ { 0, 3 }, { -2, -3 } }, (1 - x):totable())
    assert.same({ { -1, 2 }, { -3, -4 } }, (-x):totable())
    assert.same({ { 1, 4 }, { 9, 16 } }, (x ^ 2):totable())
    assert.same({ { 1, 0 }, { 3, 4 } }, x:relu():totable())
    assert.same({ { 1, 0 }, { 2, 2 } }, x:clamp(0, 2):totable())
    assert.same({ -1, 7 }, x:sum({ dims = { 2 } }):totable())
    assert.same({ { 1 }, { 4 } }, x:max({ dims = { 2 }, keepdims = true }):totable())
    local m = lu.tensor { { 1, 2 }, { 3, 4 } }
    assert.same({ { 7, 10 }, { 15, 22 } }, m:matmul(m):totable())
  end)

  it("name what they do not understand", function()
    local x = lu.zeros(1, 1, 3, 3)
    assert.matches("unknown attribute 'stide'", t.message(core.ops.conv2d, x, x, nil,
                                                          { stide = 2 }))
    assert.matches("should be a tensor", t.message(core.ops.relu))
    assert.matches("should be a tensor, got 'x'", t.message(core.ops.relu, "x"))
    assert.matches("'name' is a string", t.message(core.ops.relu, x, { name = 5 }))
    assert.has_error(function() core.ops.relu(x, x) end)
  end)

  it("normalise and resize", function()
    local x = lu.tensor { { { 2, 4 }, { 6, 10 } } }
    local want = lu.tensor { { { 0, 0.25 }, { 0.5, 1 } } }
    assert.near(0, t.off(x:normalize(), want), 1e-6)
    assert.same({ { { 5, 5 }, { 5, 5 } } }, lu.full(5, 1, 1, 1):resize(2, 2):totable())
    -- corners meet corners: 2, 3, 4 along the top
    local y = x:resize(3, 3, { align_corners = true })
    assert.near(0, t.off(y[1][1], lu.tensor { 2, 3, 4 }), 1e-6)
    assert.matches("no mode", t.message(x.resize, x, 2, 2, { mode = "cubic" }))
  end)

  it("measure distances", function()
    assert.near(0.5, lu.tensor({ 3, 6 }):distance(lu.tensor { 3, 6 } * (2 / 3)), 1e-6)
    assert.equal(0, lu.zeros(2):distance(lu.zeros(2)))
    assert.equal(math.huge, lu.ones(2):distance(lu.zeros(2)))
  end)
end)


describe("weights of a file", function()
  it("are read-only", function()
    local folder, done = t.folder()
    finally(done)
    local path = folder .. "/w.safetensors"
    assert(core.write_weights(path, { { "w", lu.tensor { 1, 2 } } }, "f32"))
    local x = assert(assert(core.weights(path)):tensor(1))
    assert.matches("read%-only", t.message(x.fill_, x, 0))
    assert.matches("read%-only", t.message(function() x[1] = 0 end))
    assert.matches("read%-only", t.message(function() x:view(2):mul_(2) end))
    assert.same({ 0, 0 }, x:clone():fill_(0):totable())
  end)

  it("report what cannot be written", function()
    local one = lu.ones(1)
    local ok, message = core.write_weights("/nonexistent/x", { { "a", one } })
    assert.is_nil(ok)
    assert.matches("/nonexistent/x.*No such file", message)
    ok, message = core.write_weights("/tmp/x", { { "a", one }, { "a", one } })
    assert.is_nil(ok)
    assert.matches("'a'", message)
    assert.has_error(function() core.write_weights("/tmp/x", { "a" }) end)
    assert.has_error(function() core.write_weights("/tmp/x", { { "a", 1 } }) end)
    assert.has_error(function()
      core.write_weights("/tmp/x", { { "a", one } }, "f32", { 1, 2 })
    end)
  end)
end)

describe("random tensors", function()
  it("have the shape first, the seed as an option", function()
    assert.same({ 4, 3, 2 }, lu.normal(4, 3, 2):shape())
    assert.same({ 4, 3, 2 }, lu.uniform({ 4, 3, 2 }, { seed = 1 }):shape())
    assert.is_true(lu.normal({ 5 }, { seed = 1 }):same(lu.normal({ 5 }, { seed = 1 })))
    assert.is_false(lu.normal({ 5 }, { seed = 1 }):same(lu.normal({ 5 }, { seed = 2 })))
    assert.is_false(lu.normal(5):same(lu.normal(5)))
    assert.same({ 2, 3 }, lu.normal_like(lu.zeros(2, 3)):shape())
    assert.same({ 2, 3 }, lu.uniform_like(lu.zeros(2, 3), { seed = 3 }):shape())
  end)

  it("have the range and spread asked for", function()
    local u = lu.uniform({ 20000 }, { seed = 1, from = -3, to = 5 }):stats()
    assert.is_true(u.min >= -3 and u.min < -2.98 and u.max < 5 and u.max > 4.98)
    local n = lu.normal({ 40000 }, { seed = 2, mean = 10, deviation = 3 })
    assert.near(10, n:mean():item(), 5 * 3 / 200)     -- five standard errors
    assert.near(3, (n - n:mean()):pow(2):mean():item() ^ 0.5, 0.06)
  end)

  it("refuse the old form, by the caller's line", function()
    for _, f in ipairs {
      function() local _ = lu.normal(7, 0, 3) end,
      function() local _ = lu.uniform(4, 1, { 3, 4 }) end,
      function() local _ = lu.uniform() end,
      function() local _ = lu.normal(2.5) end,
      function() local _ = lu.normal({ 2 }, { sed = 1 }) end,
    } do
      local ok, message = pcall(f)
      assert.is_false(ok)
      assert.matches("tensor_spec.lua:%d+: ", message)
    end
    assert.matches("the shape comes first", select(2, pcall(lu.normal, 7, 0, 3)))
  end)
end)
