-- Files of lu.bake read by the importer and run by the engine: outputs keep their bits,
-- the map is the method's. And what such files consist of: indices that depend on the
-- picture, weights that are computed with, constants where a picture is wanted.
local baked = require "tests.lua.baked"
local core = require "lunette.core"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"
local writer = dofile "tests/lua/onnx_writer.lua"

local folder, done = t.cache_folder()
teardown(done)


---Poolings whose windows overlap, reach over the edge, or are VGG's; 1x1 maps.
local function pools()
  return assert(lu.net { name = "pools", input = { 3, 15, 14 }, layers = {
    { "conv1", "conv2d", filters = 6, kernel = 3, padding = 1 }, { "relu1", "relu" },
    { "pool1", "max_pool2d", kernel = 3, stride = 2, padding = 1 },
    { "conv2", "conv2d", filters = 8, kernel = 3, padding = 1 }, { "relu2", "relu" },
    { "pool2", "max_pool2d", kernel = 2, stride = 2 },
    { "conv3", "conv2d", filters = 5, kernel = 1 }, { "relu3", "relu" },
    { "mean", "global_avg_pool" }, { "flatten", "flatten" },
    { "out", "linear", units = 4 } } }):init(3)
end


---A batch norm of more channels than a list of floats was once read with.
local function wide()
  return assert(lu.net { name = "wide", input = { 3, 5, 4 }, layers = {
    { "conv1", "conv2d", filters = 1100, kernel = 3, padding = 1 },
    { "bn1", "batch_norm" }, { "relu1", "relu" },
    { "mean", "global_avg_pool" }, { "flatten", "flatten" },
    { "out", "linear", units = 4 } } }):init(3)
end


for title, net in pairs { ["a chain"] = t.net(2), ["a graph"] = t.graph(2),
                          ["overlapping windows"] = pools(),
                          ["wide batch norms"] = wide() } do
  describe("a file that explains itself, of " .. title, function()
    local x = core.normal(5, 0, 2, table.unpack(net.input))
    local plain = net:run(x).output
    for _, job in ipairs(baked.jobs(folder, net, x)) do
      it("is run by our own engine: " .. job.title, function()
        local run = assert(lu.load(job.model)):run(x)
        assert.is_true(run.output:same(plain))
        local map = run[job.report.maps[1]]:reshape { shape = job.want:shape() }
        local off = baked.off(map, job.want)
        assert.is_true(off < 2e-6, ("%.2g apart"):format(off)) -- sums in another order
        local class = run.class:totable()
        for i, top in ipairs(net:run(x):top(1)) do
          assert.equal(top[1].class, class[i][1])
        end
      end)
    end
  end)
end


it("of opset 13 scatters overlapping windows in groups", function()
  local net, path = pools(), folder .. "/groups.onnx"
  local x = core.normal(5, 0, 2, table.unpack(net.input))
  assert(lu.bake(net, path, "saliency", { opset = 13 }))
  local map = assert(lu.load(path)):run(x).map
  assert.is_true(baked.off(map, lu.saliency(net, x)) < 2e-6)
end)


it("is explained itself: gradients pass what moves values by an index", function()
  local net, path = pools(), folder .. "/twice.onnx"
  local x = core.normal(5, 1, 1, table.unpack(net.input))
  assert(lu.bake(net, path, "input_x_gradient"))
  local again = assert(lu.load(path))
  -- where no unit switches, the map is linear in x: its sum is its gradient times x
  local run = again:run(x)
  local g = run:gradient { modifiers = { lu.modifiers.extract "map" },
    score = function(map) return map:sum { dims = { 2, 3, 4 } } end }
  assert.near((g * x):sum():item(), run.map:sum():item(),
              1e-4 * run.map:abs():sum():item())
end)


-- what they consist of ---------------------------------------------------------------


---A file's outputs for x, as the engine computes them.
local function values(m, x)
  local path = folder .. "/nodes.onnx"
  writer.write(path, m)
  local run = assert(lu.load(path)):run(x)
  return run
end


local function input(n) return { "x", { "N", n } } end

it("truth of what depends on the picture is 1 and 0", function()
  local x = core.tensor { { -2, 0.5, 3, 0 }, { 1, -1, 0.2, 2 } }
  local function of(op, want)
    local run = values({ input = input(4), outputs = { "y" },
      constants = { lo = { { 1 }, { 0.1 } }, hi = { { 1 }, { 1.5 } } },
      nodes = { { "Greater", { "x", "lo" }, "a" }, { "Less", { "x", "hi" }, "b" },
                op == "Not" and { op, { "a" }, "c" } or { op, { "a", "b" }, "c" },
                { "Cast", { "c" }, "y", { to = 1 } } } }, x)
    assert.same(want, run.output:totable())
  end
  of("And", { { 0, 1, 0, 0 }, { 1, 0, 1, 0 } })
  of("Or", { { 1, 1, 1, 1 }, { 1, 1, 1, 1 } })
  of("Xor", { { 1, 0, 1, 1 }, { 0, 1, 0, 1 } })
  of("Not", { { 1, 0, 0, 1 }, { 0, 1, 0, 0 } })
end)


it("ScatterElements puts values over others, into a picture each", function()
  local x = core.tensor { { 5, 6, 7 }, { 8, 9, 10 } }
  local run = values({ input = input(3), outputs = { "y" }, opset = 16,
    constants = { at = { { 1, 2 }, { 2, -3 } }, put = { { 1, 2 }, { 0.5, 1e30 } } },
    nodes = { { "ScatterElements", { "x", "at", "put" }, "y", { axis = 1 } } } }, x)
  assert.is_true(run.output:same(core.tensor { { 1e30, 6, 0.5 }, { 1e30, 9, 0.5 } }))
end)


it("a sum at chosen places of all the pictures is refused", function()
  local path = folder .. "/across.onnx"
  writer.write(path, { input = input(3), outputs = { "y" }, opset = 16,
    constants = { at = { { 1, 3 }, { 0, 0, 0 } }, put = { { 1, 3 }, { 1., 2., 3. } } },
    nodes = { { "ScatterElements", { "x", "at", "put" }, "y", { axis = 0 } } } })
  assert.matches("between the pictures of a batch", select(2, lu.load(path)))
end)


describe("copies of a picture", function()
  local frames = { "x", { "N", 12, 6, 6 } } -- four of three channels

  ---A convolution of frames, and what follows; the same by hand for y = relu(conv).
  local function filmed(nodes, outputs)
    local list = core.normal(7, 3, 54):totable()
    local first = { { "Reshape", { "x", "film" }, "f" },
                    { "Reshape", { "f", "four" }, "a" },
                    { "Conv", { "a", "w" }, "b" }, { "Relu", { "b" }, "c" } }
    nodes = table.move(nodes, 1, #nodes, 5, first)
    writer.write(folder .. "/film.onnx", { input = frames, outputs = outputs or { "y" },
      nodes = nodes, constants = {
        film = { { 5 }, { -1, 4, 3, 6, 6 } }, four = { { 4 }, { -1, 3, 6, 6 } },
        w = { { 2, 3, 3, 3 }, list },
        apart = { { 5 }, { -1, 4, 2, 4, 4 } }, rows = { { 2 }, { -1, 32 } },
        axis = { { 1 }, { 1 } }, twenty = { { 2 }, { 1, 20 } },
        alike = { { 4, 1, 1, 1 }, { 2, 2, 2, 2 } },
        unlike = { { 4, 1, 1, 1 }, { 1, 2, 3, 4 } } } })
    local net, message = lu.load(folder .. "/film.onnx")
    if not net then return nil, message end
    local x = core.normal(8, 4, 2, 12, 6, 6)
    local y = core.ops.conv2d(x:reshape { 8, 3, 6, 6 },
                              core.tensor(list):reshape { 2, 3, 3, 3 }):relu()
    return net:run(x).output, y
  end

  it("are convolved like pictures, and put together again", function()
    local got, y = filmed { { "Reshape", { "c", "apart" }, "d" },
      { "ReduceMean", { "d" }, "y", { axes = { 1 }, keepdims = 0 } } }
    local want = y:reshape { 2, 4, 2, 4, 4 }:mean { dims = { 2 } }
    assert.is_true(got:distance(want) < 1e-6)
  end)

  it("are multiplied by what is the same for all", function()
    local got, y = filmed { { "Mul", { "c", "alike" }, "d" },
                            { "Reshape", { "d", "apart" }, "y" } }
    assert.is_true(got:same((y * 2):reshape { 2, 4, 2, 4, 4 }))
    assert.matches("a constant differs between pictures", select(2, filmed {
      { "Mul", { "c", "unlike" }, "d" }, { "Reshape", { "d", "apart" }, "y" } }))
  end)

  it("are sums over all of them, and rows side by side", function()
    local got, y = filmed { { "ReduceSum", { "c" }, "y",
                              { axes = { 0 }, keepdims = 0 } } }
    local want = y:reshape { 2, 4, 2, 4, 4 }:sum { dims = { 2 } }
    assert.is_true(got:distance(want) < 1e-5)
    got, y = filmed { { "Reshape", { "c", "rows" }, "d" },
                      { "Tile", { "d", "twenty" }, "e" },
                      { "ReduceMax", { "e" }, "y", { axes = { 0 }, keepdims = 0 } } }
    local most = y:reshape { 2, 4, 32 }:max { dims = { 2 } }
    assert.same({ 2, 640 }, got:shape())
    for i = 0, 19 do
      assert.is_true(got:narrow { dim = 2, start = 1 + 32 * i, length = 32 }
        :same(most:reshape { 2, 32 }))
    end
  end)

  it("are no outputs", function()
    assert.matches("copies of each picture, not one value",
                   select(2, filmed({}, { "c" })))
  end)
end)


---Large weights (5000 numbers are not listed) through nodes; what the file computes.
local function weighed(nodes, f)
  local w = core.normal(9, 1, 50, 100)
  local x, list = core.normal(9, 2, 3, 50), w:reshape { 5000 }:totable()
  table.insert(nodes, { "MatMul", { "x", "v" }, "y" })
  local run = values({ input = input(50), outputs = { "y" }, nodes = nodes,
    constants = { w = { { 50, 100 }, list }, zero = { {}, { 0.0 } },
                  third = { {}, { 1 / 3 } } } }, x)
  local want = x:matmul(f(w))
  assert.is_true(run.output:distance(want) < 1e-5 * want:abs():max():item())
end


it("weights that are computed with are lines on each side of 0", function()
  weighed({ { "Relu", { "w" }, "v" } }, function(w) return w:relu() end)
  weighed({ { "Min", { "w", "zero" }, "v" } },
          function(w) return w:clamp { max = 0 } end)
  weighed({ { "Mul", { "w", "third" }, "a" }, { "Neg", { "a" }, "v" } },
          function(w) return w * (-1 / 3) end)
  weighed({ { "Relu", { "w" }, "a" }, { "Mul", { "third", "a" }, "b" },
            { "Add", { "w", "b" }, "c" }, { "Max", { "zero", "c" }, "v" } },
          function(w) return (w + w:relu() / 3):relu() end)
  weighed({ { "Abs", { "w" }, "a" }, { "Sub", { "w", "a" }, "v" } },
          function(w) return w - w:abs() end)
  weighed({ { "Transpose", { "w" }, "a" }, { "Relu", { "a" }, "b" },
            { "Transpose", { "b" }, "v" } }, function(w) return w:relu() end)
end)


it("weights are multiplied channel by channel, whatever their order", function()
  local rows, columns = core.normal(9, 6, 50), core.normal(9, 7, 100)
  local function of(nodes, f)
    local w = core.normal(9, 1, 50, 100)
    local x = core.normal(9, 2, 3, 50)
    table.insert(nodes, { "MatMul", { "x", "v" }, "y" })
    local run = values({ input = input(50), outputs = { "y" }, nodes = nodes,
      constants = { w = { { 50, 100 }, w:reshape { 5000 }:totable() },
                    rows = { { 50, 1 }, rows:totable() },
                    columns = { { 100 }, columns:totable() },
                    turned = { { 1, 50 }, rows:totable() } } }, x)
    local want = x:matmul(f(w))
    assert.is_true(run.output:distance(want) < 1e-5 * want:abs():max():item())
  end
  local r, c = rows:reshape { 50, 1 }, columns:reshape { 1, 100 }
  of({ { "Mul", { "w", "rows" }, "v" } }, function(w) return w * r end)
  of({ { "Mul", { "columns", "w" }, "a" }, { "Relu", { "a" }, "v" } },
     function(w) return (w * c):relu() end)
  of({ { "Mul", { "w", "rows" }, "a" }, { "Relu", { "a" }, "b" },
       { "Sub", { "a", "b" }, "v" } },
     function(w) return w * r - (w * r):relu() end)
  of({ { "Transpose", { "w" }, "a" }, { "Mul", { "a", "turned" }, "b" },
       { "Relu", { "b" }, "c" }, { "Transpose", { "c" }, "v" } },
     function(w) return (w * r):relu() end)
  -- along both axes they are no lines for an axis
  local nodes = { { "Mul", { "w", "rows" }, "a" }, { "Mul", { "a", "columns" }, "v" } }
  assert.is_false(pcall(of, nodes, function(w) return w * r * c end))
end)


it("a matrix stands left of maps", function()
  local path, list = folder .. "/left.onnx", {}
  for i = 1, 10 do list[i] = i / 7 end
  writer.write(path, { input = { "x", { "N", 3, 5, 4 } }, outputs = { "y" },
    constants = { w = { { 2, 5 }, list } },
    nodes = { { "MatMul", { "w", "x" }, "y" } } })
  local x = core.normal(2, 2, 2, 3, 5, 4)
  local y = assert(lu.load(path)):run(x).output
  local w = core.tensor(list):reshape { 2, 5 }
  assert.is_true(y:distance(w:matmul(x)) < 1e-5)
end)


it("an operator on constants alone joins the picture's values", function()
  local path, list = folder .. "/alone.onnx", {}
  for i = 1, 27 do list[i] = i / 9 end
  writer.write(path, { input = { "x", { "N", 3, 4, 4 } }, outputs = { "y" },
    constants = { w = { { 1, 3, 3, 3 }, list }, low = { { 1, 3, 4, 4 },
                  core.normal(4, 4, 48):totable() } },
    nodes = { { "Conv", { "x", "w" }, "a" }, { "Conv", { "low", "w" }, "b" },
              { "Sub", { "a", "b" }, "y" } } })
  local x = core.normal(3, 3, 2, 3, 4, 4)
  local w = core.tensor(list):reshape { 1, 3, 3, 3 }
  local low = core.normal(4, 4, 48):reshape { 1, 3, 4, 4 }
  local want = core.ops.conv2d(x - low, w)
  assert.is_true(assert(lu.load(path)):run(x).output:distance(want) < 2e-5)
end)


-- in C -------------------------------------------------------------------------------


describe("the example in C", function()
  lazy_setup(function()
    local code, text = t.shell(("export LD_PRELOAD=; cc -Wall -Wextra -Werror "
      .. "examples/baked.c -o '%s/baked' $(pkg-config --cflags --libs lua5.4)"):format(
      folder))
    assert.equal(0, code, text)
  end)

  it("draws the map of lu.gradcam", function()
    local net = assert(lu.load "glyphs")
    local file, picture = folder .. "/c.onnx", folder .. "/c.png"
    assert(lu.bake(net, file, "gradcam", { modifiers = { "linear" } }))
    assert(lu.image.save(picture, lu.glyphs.default_images(2).images[2]))
    local code, text = t.shell(("'%s/baked' '%s' '%s' '%s/c-map.png'"):format(folder,
      file, picture, folder))
    assert.equal(0, code, text)
    local run, want
    t.warnings(function()
      run = net:run(assert(net:images(picture)))
      want = lu.gradcam(run, { modifiers = { "linear" } })[1]
    end)
    local top = run:top(1)[1][1]
    assert.matches(("class %d %s\n"):format(top.class, top.name), text)
    local x, y = text:match "greatest at (%d+), (%d+): "
    assert.near(want:max():item(), want[tonumber(y) + 1][tonumber(x) + 1], 1e-6)
    local drawn = assert(lu.image.load(folder .. "/c-map.png"))[1]
    -- the last bit of a byte
    assert.is_true((drawn - want * 255):abs():max():item() < 1.5)
  end)

  it("says what is wrong", function()
    local code, text = t.shell(("'%s/baked' none.onnx x.png '%s/y.png'"):format(folder,
      folder))
    assert.equal(1, code)
    assert.matches("none.onnx", text)
  end)
end)
