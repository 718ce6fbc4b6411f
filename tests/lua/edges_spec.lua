-- What stands at an edge: the last piece of a large sum, the pixel behind the last,
-- a size of 1, bytes too many, two things of one name. One test a kind, each of
-- which fails when the check or the special case for it is taken away.
local lu = require "lunette"
local core = require "lunette.core"
local npy = require "lunette.picture.npy"
local t = dofile "tests/lua/support.lua"

local nan, inf = 0 / 0, math.huge


describe("a large reduction", function()
  -- from 2^17 values on it is taken in pieces; an extreme may lie in any of them
  local size = 300007
  local places = { 1, 2, 65536, 65537, 131072, 131073, 200000, size - 1, size }

  local function zeros_with(at, value)
    local x = core.zeros(size)
    x:set(at, value)
    return x
  end

  local function gradient_at(op, x, at)
    local tape = core.tape()
    local leaf = tape:watch(x)
    local y = core.ops[op](leaf)
    local g = core.backward(y, core.full(3, 1), { leaf:node() })[1]
    return g:get(at), g:stats().l2
  end

  it("finds the extreme and its place, in every piece", function()
    for op, value in pairs { max = 2.5, min = -2.5 } do
      for _, at in ipairs(places) do
        local x = zeros_with(at, value)
        assert.equal(value, core.ops[op](x):get(1), op .. at)
        assert.same({ 3, 3 }, { gradient_at(op, x, at) }, op .. at)
      end
    end
  end)

  it("takes the first of equal extremes", function()
    for op, value in pairs { max = 1, min = -1 } do
      local x = zeros_with(70000, value)
      x:set(200000, value)
      assert.equal(3, (gradient_at(op, x, 70000)), op)
    end
  end)

  it("lets a NaN win, whatever comes before or after it", function()
    for _, op in ipairs { "max", "min", "sum", "mean" } do
      for _, at in ipairs(places) do
        for _, other in ipairs(places) do
          local x = zeros_with(other, op == "min" and -9 or 9)
          x:set(at, nan)
          local y = core.ops[op](x):get(1)
          assert.is_true(y ~= y, ("%s: NaN at %d, 9 at %d"):format(op, at, other))
        end
      end
    end
    for _, op in ipairs { "max", "min" } do -- and says where: the first one
      local x = zeros_with(150000, nan)
      x:set(290000, nan)
      assert.equal(3, (gradient_at(op, x, 150000)))
    end
  end)

  it("knows infinities from NaN", function()
    for _, at in ipairs(places) do
      assert.equal(inf, core.ops.max(zeros_with(at, inf)):get(1))
      assert.equal(0, core.ops.max(zeros_with(at, -inf)):get(1))
      assert.equal(-inf, core.ops.min(zeros_with(at, -inf)):get(1))
      assert.equal(-inf, core.ops.sum(zeros_with(at, -inf)):get(1))
    end
    assert.equal(-inf, core.ops.max(core.full(-inf, size)):get(1))
    assert.equal(inf, core.ops.min(core.full(inf, size)):get(1))
  end)

  it("adds up every piece", function()
    local x = core.range(1, size) -- exact in double: n (n + 1) / 2
    assert.near(size * (size + 1) / 2, core.ops.sum(x):get(1), 4096) -- float32 step
    assert.near((size + 1) / 2, core.ops.mean(x):get(1), 0.01)
    for _, at in ipairs(places) do
      assert.equal(7, core.ops.sum(zeros_with(at, 7)):get(1), at)
    end
  end)

  it("agrees with itself along one dimension of two", function()
    local x = core.normal(1, 0, 3, size)
    local rows = core.ops.max(x, { dims = { 2 } })
    local columns = core.ops.max(x, { dims = { 1 } })
    for i = 1, 3 do assert.equal(core.ops.max(x[i]):get(1), rows:get(i)) end
    for _, at in ipairs(places) do
      assert.equal(math.max(x:get(1, at), x:get(2, at), x:get(3, at)), columns:get(at))
    end
  end)
end)


describe("resizing with aligned corners", function()
  local x = core.range(1, 12):view(1, 1, 3, 4)

  local function resized(h, w, mode)
    return x:interpolate { size = { h, w }, mode = mode, align_corners = 1 }
  end

  it("to a size of 1 takes the first row or column", function()
    for mode = 1, 2 do
      assert.same({ { { { 1 } } } }, resized(1, 1, mode):totable())
      assert.same({ { { { 1, 2, 3, 4 } } } }, resized(1, 4, mode):totable())
      assert.same({ { { { 1 }, { 5 }, { 9 } } } }, resized(3, 1, mode):totable())
      assert.same({ 1, 4 }, resized(1, 2, mode):view(2):totable())
    end
  end)

  it("of a size of 1 repeats it", function()
    local one = core.full(7, 1, 1, 1, 1)
    for mode = 0, 2 do
      for align = 0, 1 do
        local y = one:interpolate { size = { 2, 3 }, mode = mode,
                                    align_corners = align }
        assert.near(0, t.off(y, core.full(7, 1, 1, 2, 3)), 1e-6) -- cubic weights
      end
    end
  end)

  it("keeps the corners, and sends gradients back to them", function()
    local y = resized(7, 9, 1)
    assert.same({ 1, 4, 9, 12 }, { y:get(1, 1, 1, 1), y:get(1, 1, 1, 9),
                                   y:get(1, 1, 7, 1), y:get(1, 1, 7, 9) })
    local tape = core.tape()
    local leaf = tape:watch(x)
    local small = leaf:interpolate { size = { 1, 1 }, mode = 1, align_corners = 1 }
    local g = core.backward(small, core.full(5, 1, 1, 1, 1), { leaf:node() })[1]
    assert.equal(5, g:get(1, 1, 1, 1))
    assert.equal(5, g:stats().l2)
  end)
end)


describe("a pixel", function()
  it("is inside the picture or refused", function()
    local im = core.image.new(5, 3, 0x102030)
    assert.same({ 16, 32, 48 }, { im:get(4, 2) })
    for _, at in ipairs { { 5, 0 }, { 0, 3 }, { 5, 3 }, { 5, 2 }, { 4, 3 }, { -1, 0 },
                          { 0, -1 }, { 1 << 20, 0 }, { 1 << 40, 0 } } do
      local ok, message = pcall(im.get, im, table.unpack(at))
      assert.is_false(ok, table.concat(at, ","))
      assert.matches("out", message)
    end
    assert.is_false(pcall(im.get, im, 1.5, 0))
  end)
end)


describe("metadata of a weights file", function()
  local folder, done
  setup(function() folder, done = t.folder() end)
  teardown(function() done() end)

  it("is text by name, or nothing is written", function()
    local path = folder .. "/m.safetensors"
    local list = { { "a", core.ones(2) } }
    for _, meta in ipairs { { a = 1 }, { a = true }, { a = {} }, { "x" }, { [1] = "x" },
                            { a = "x", b = 2 }, { [true] = "x" } } do
      assert.matches("metadata", t.message(core.write_weights, path, list, "f32", meta))
      assert.is_false(t.exists(path))
    end
    assert.is_true(core.write_weights(path, list, "f32", { a = "1", b = "" }))
    assert.same({ a = "1", b = "" }, core.weights(path):meta())
  end)

  it("that is no text is refused where it is read", function()
    for _, text in ipairs { '{"n":1}', '{"n":null}', '{"n":{}}', '[]', '"x"', '3' } do
      local head = ('{"__metadata__":%s,"a":{"dtype":"F32","shape":[1],'
                    .. '"data_offsets":[0,4]}}'):format(text)
      local path = t.spit(folder .. "/bad.safetensors",
                          ("<s8"):pack(head) .. ("<f"):pack(1))
      local w, message = core.weights(path)
      assert.is_nil(w, text)
      assert.matches("__metadata__", message)
    end
  end)
end)


describe("a tensor", function()
  it("is never longer than its bytes", function()
    for _, bytes in ipairs { 0, 4, 20, 23, 25, 28, 48 } do
      assert.matches("from_bytes: " .. bytes .. " bytes",
                     t.message(core.from_bytes, ("\0"):rep(bytes), "f32", { 2, 3 }))
    end
    assert.matches("from_bytes: 5 bytes",
                   t.message(core.from_bytes, "12345", "u8", { 2, 3 }))
    local x = core.range(1, 6):view(2, 3)
    for _, shape in ipairs { { 7 }, { 2, 4 }, { 3, 3 }, { 1, 1, 7 } } do
      assert.is_false(pcall(x.view, x, shape))
    end
    assert.is_false(pcall(x.rows, x, 2, 3))
    assert.is_false(pcall(x.rows, x, 3))
    assert.is_false(pcall(x.rows, x, 0, 1))
    assert.is_false(pcall(x.get, x, 2, 4))
    assert.is_false(pcall(x.get, x, 3, 1))
    assert.is_false(pcall(x.set, x, 2, 4, 0))
    assert.is_false(pcall(x.set, x, 0, 1, 0))
  end)

  it("of a file fills what the file gives it", function()
    local folder, done = t.folder()
    finally(done)
    local function open(shape, from, to, bytes)
      local head = ('{"a":{"dtype":"F32","shape":[%s],"data_offsets":[%d,%d]}}')
        :format(shape, from, to)
      local path = t.spit(folder .. "/x.safetensors",
                          ("<s8"):pack(head) .. ("\0"):rep(bytes))
      return core.weights(path)
    end
    assert.is_truthy(open("2,3", 0, 24, 24))
    for _, wrong in ipairs { { "2,4", 0, 24, 24 }, { "2,4", 0, 32, 24 },
                             { "2,3", 0, 24, 23 }, { "2,3", 0, 24, 28 },
                             { "2,3", 4, 28, 28 }, { "2,3", 24, 0, 24 },
                             { "1", 0, 24, 24 }, { "2,3", 0, 20, 24 } } do
      local w, message = open(table.unpack(wrong))
      assert.is_nil(w, table.concat(wrong, " "))
      assert.matches("x.safetensors", message)
    end
  end)
end)


describe("a .npy file", function()
  it("holds its array and nothing behind it", function()
    local bytes = npy.encode(core.range(1, 6):view(2, 3))
    for _, wrong in ipairs { bytes .. "x", bytes .. "\0\0\0\0", bytes:sub(1, -2),
                             bytes:sub(1, -5), bytes .. bytes } do
      local x, message = npy.decode(wrong)
      assert.is_nil(x)
      assert.matches("bytes of data", message)
    end
    assert.is_truthy(npy.decode(bytes))
  end)
end)


describe("progress", function()
  local progress = require "lunette.base.progress"
  local now, said
  local saved = {}

  -- luacheck: push ignore 122
  before_each(function()
    now, said = 100, {}
    saved = { core.clock, core.is_tty, core.term_size, io.stderr }
    core.clock = function() return now end
    core.is_tty = function() return true end
    core.term_size = function() return 60 end
    io.stderr = { write = function(_, ...) said[#said + 1] = table.concat { ... } end }
  end)
  after_each(function()
    core.clock, core.is_tty, core.term_size, io.stderr = table.unpack(saved)
  end)
  -- luacheck: pop

  ---After `done` of `total` units in `seconds`: what the bar says.
  local function shown(done, total, seconds)
    local bar <close> = progress.start("work", total)
    now = now + seconds
    bar:add(done)
    return said[#said] or ""
  end

  it("tells how long the rest takes at the speed so far", function()
    assert.matches(" 25 %%  0:30 left", shown(25, 100, 10))
    assert.matches(" 10 %%  1:30 left", shown(1, 10, 10))
    assert.matches(" 50 %%  0:10 left", shown(3, 6, 10))
    assert.matches("  1 %%  2:45:00 left", shown(1, 100, 100))
    assert.matches(" 99 %%  0:01 left", shown(99, 100, 99))
    assert.matches("  3 %%  0:59 left", shown(30, 1000, 1.82))
  end)

  it("says nothing of work that is short", function()
    assert.equal("", shown(1, 100, 0.9)) -- not a second yet
    assert.equal("", shown(99, 100, 2)) -- nearly done
    assert.not_equal("", shown(1, 100, 1.1))
  end)

  it("draws done and left as shares of a bar that fits", function()
    assert.equal("work [" .. ("#"):rep(10) .. ("."):rep(30) .. "]  25 %  0:30 left",
                 progress.line("work", 0.25, 30, 100))
    for width = 1, 100 do
      assert.is_true(#progress.line("work", 0.25, 30, width) <= math.max(1, width - 1))
    end
  end)

  it("is one bar, and calls a function instead", function()
    local calls = {}
    local bar <close> = progress.start("outer", 4, function(done, total)
      calls[#calls + 1] = done .. "/" .. total
    end)
    local inner <close> = progress.start("inner", 9)
    inner:add(3)
    bar:add()
    bar:add(2)
    assert.same({ "0/4", "1/4", "3/4" }, calls)
    assert.same({}, said)
  end)
end)


describe("a map of no numbers", function()
  local net = t.net()
  local x = t.input(net, 3)

  local function warned(name, pictures, opts)
    local images = {}
    for _, line in ipairs(t.warnings(lu[name], net, pictures, opts)) do
      images[#images + 1] = line:match("^" .. name
        .. ": the map of image (%d+) holds NaN or infinity$")
    end
    return images
  end

  it("is warned of by method and image", function()
    local share = core.tensor { { 1 }, { nan }, { 1 } }
    local function score(y) return y:sum { dims = { 2 }, keepdims = true } * share end
    assert.same({ "2" }, warned("saliency", x, { score = score }))
    assert.same({ "2" }, warned("gradcam", x, { score = score }))
    local y = x:clone()
    y:set(3, 1, 1, 1, nan)
    assert.same({ "3" }, warned("gradcam", y, { score = 1, layer = "conv1" }))
    assert.same({}, warned("saliency", x, { score = 1 }))
    assert.same({}, warned("gradcam", x, { score = 1 }))
  end)
end)


describe("Grad-CAM's dialects", function()
  -- one channel, one weight: the raw map is what the layer puts out times a number
  local function net_of(values, weight)
    local n = #values
    local net = assert(lu.net { input = { 1, 1, n }, layers = {
      { "c", "conv2d", filters = 1, kernel = 1, bias = false },
      { "flatten", "flatten" }, { "out", "linear", units = 2 } } }):init(1)
    net.params["c.weight"]:fill_(1)
    net.params["out.weight"]:fill_(weight)
    return net, core.tensor(values):view(1, 1, 1, n)
  end

  it("cut before they scale: what is negative is 0, not a share", function()
    local net, x = net_of({ -4, -1, 0, 1, 3 }, 1)
    for _, dialect in ipairs { "tf-keras-vis", "pytorch-grad-cam" } do
      local map = lu.gradcam(net, x, { score = 0, layer = "c", dialect = dialect })
      -- relu, then min-max: 0 0 0 1/3 1; the other way round gave 0 3/7 4/7 5/7 1
      assert.near(0, t.off(map, core.tensor { 0, 0, 0, 1 / 3, 1 }), 1e-5, dialect)
    end
  end)

  it("leave the scale where they are asked to", function()
    local net, x = net_of({ -4, -1, 0, 1, 3 }, 2)
    for _, dialect in ipairs { "tf-keras-vis", "pytorch-grad-cam" } do
      local map = lu.gradcam(net, x, { score = 0, layer = "c", dialect = dialect,
                                       normalize = false })
      assert.near(0, t.off(map, core.tensor { 0, 0, 0, 2, 6 }), 1e-5, dialect)
    end
    local map = lu.gradcam(net, x, { score = 0, layer = "c", dialect = "captum" })
    assert.near(0, t.off(map, core.tensor { -8, -2, 0, 2, 6 }), 1e-5)
  end)
end)


describe("rows of one title", function()
  it("are files of their own", function()
    local folder, done = t.folder()
    finally(done)
    local canvas = lu.canvas { cell = 8 }
    local titles = { "map", "map", "Map!", "map_2", "", "", "row5" }
    for i, title in ipairs(titles) do
      canvas:row(title, core.full(i, 1, 4, 4) + core.uniform(i, 1, 1, 4, 4))
    end
    assert(canvas:save(folder .. "/out.png"))
    local told, seen = t.read(folder .. "/out.json"), {}
    local n = 0
    for name in told:gmatch '"(out%-[^"]*%.npy)"' do
      n = n + 1
      assert.is_nil(seen[name], name)
      seen[name] = true
      local back = assert(npy.read(folder .. "/" .. name))
      assert.is_true(back:stats().min >= n and back:stats().max < n + 1, name)
    end
    assert.equal(#titles, n)
  end)
end)


describe("what is released by hand", function()
  local function is_gone(object, method, ...)
    object:release()
    object:release() -- once more does nothing
    assert.matches("released", t.message(object[method], object, ...))
  end

  it("is gone; what was made from it stays", function()
    local path = os.tmpname()
    assert(core.write_weights(path, { { "a", core.ones(3) } }, "f32"))
    local weights = assert(core.weights(path))
    local a = assert(weights:tensor(1))
    is_gone(weights, "list")
    assert.matches("released", t.message(weights.tensor, weights, 1))
    assert.equal(3, a:sum():item())
    os.remove(path)
    local x, tape = core.ones(2), core.tape()
    local half = x:narrow { dim = 1, start = 2, length = 1 }
    is_gone(x, "stats")
    assert.equal(1, half:item())
    is_gone(tape, "watch", core.ones(1))
  end)
end)


it("a tape grows: a thousand nodes have their values and their gradient", function()
  local tape = core.tape()
  local x = tape:watch(core.tensor { 1, -2 })
  local y = x
  for i = 1, 1000 do y = i % 100 == 0 and y * 2 or y + 1 end
  local plain = { 1, -2 }
  for i = 1, 1000 do
    for k = 1, 2 do plain[k] = i % 100 == 0 and plain[k] * 2 or plain[k] + 1 end
  end
  assert.same(plain, y:detach():totable())
  local dx = core.backward(y, core.ones(2), { x:node() }, {})[1]
  assert.same({ 1024, 1024 }, dx:totable())
end)


it("softmax and its logarithm are of differences, however large the values", function()
  -- the largest is first, last, in between; more than exp can take apart
  for _, list in ipairs { { 0, 200, 100 }, { -300, 0, 300 }, { 500, -500, 499 },
                          { -1000, -1001, -999 } } do
    local most, sum = math.max(table.unpack(list)), 0
    for _, v in ipairs(list) do sum = sum + math.exp(v - most) end
    for dim = 1, 2 do
      local x = core.tensor(list):view(table.unpack(dim == 1 and { 3, 1 } or { 1, 3 }))
      local p = core.ops.softmax(x, { dim = dim })
      local l = core.ops.log_softmax(x, { dim = dim })
      for i, v in ipairs(list) do
        local want = v - most - math.log(sum)
        assert.near(math.exp(want), p:view(3)[i], 1e-6)
        assert.near(want, l:view(3)[i], 1e-6 * (1 + math.abs(want)))
      end
    end
  end
end)


it("a maximum's gradient goes to the first NaN, else to the first of the largest",
  function()
    for _, row in ipairs { { { 1, nan, 5, nan }, 2 }, { { 1, 7, 7, 2 }, 2 },
                           { { nan, 9, nan, 9 }, 1 }, { { 3, 1, 2, nan }, 4 } } do
      local tape = core.tape()
      local x = tape:watch(core.tensor(row[1]):view(1, 1, 2, 2))
      local y = core.ops.global_max_pool(x)
      local want = { 0, 0, 0, 0 }
      want[row[2]] = 1
      assert.same(want, core.backward(y, core.ones(y:shape()), { x:node() }, {})[1]
        :view(4):totable())
    end
  end)
