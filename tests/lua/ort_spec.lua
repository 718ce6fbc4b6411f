-- What lu.export and lu.bake write, run in ONNX Runtime: operators and their ways back,
-- outputs and maps. Files are made first, then one process runs them all.
local baked = require "tests.lua.baked"
local core = require "lunette.core"
local emit = require "lunette.onnx.emit"
local evaluate = require "lunette.trace.evaluate"
local gradient = require "lunette.trace.gradient"
local graphs = require "lunette.onnx.graph"
local lu = require "lunette"
local oprows = require "tests.lua.oprows"
local opsets = require "lunette.onnx.opsets"
local originals = require "lunette.onnx.original"
local ort = require "tests.lua.ort"
local t = dofile "tests/lua/support.lua"
local trace = require "lunette.trace"

if ort.missing then
  describe("ONNX Runtime", function() pending(ort.missing) end)
  return
end

local folder, done = t.cache_folder()
teardown(done)


-- operators --------------------------------------------------------------------------


---Ways back to parameters are no business of explanations.
local parameters = { conv2d = true, conv_transpose2d = true, linear = true,
                     batch_norm = true, layer_norm = true }
---An index is known when the file is written.
local known = { index_select = true, gather = true, scatter_add = true }
---What ONNX cannot say at an opset.
local later = { avg_pool2d = "from opset 19 on", gather = "from opset 16 on",
                scatter_add = "from opset 16 on" }


---The output of a row and the gradients of its inputs, for the gradient dy.
local function values_of_row(row, list, dy)
  local y = core.ops[row.op](table.unpack(list, 1, #row.inputs + 1))
  local outs = { y }
  for i = 1, #row.inputs do
    if trace.is(list[i]) and (i == 1 or not parameters[row.op]) then
      outs[#outs + 1] = gradient.of(y, dy(y:shape()), { list[i] })[1] or nil
    end
  end
  return outs
end


---A row as a file.
local function file_of_row(row, opset, path)
  local graph = graphs.new { opset = opset }
  local e, list, inputs, given = emit.new(graph), {}, {}, nil
  local function input(name, x)
    local leaf = trace.leaf(name, x:shape())
    e.names[leaf] = graph:name(name)
    graph:input(name, emit.FLOAT, x:shape())
    inputs[name], graph.picture = x, "x1"
    return leaf
  end
  for i, x in ipairs(row.inputs) do
    local fixed = i == 2 and known[row.op]
    list[i] = x and (fixed and x or input("x" .. i, x)) or nil
  end
  list[#row.inputs + 1] = row.attrs
  local outs = values_of_row(row, list, function(shape)
    given = given or input("dy", core.normal(7, 1, table.unpack(shape)))
    return given
  end)
  for i, written in ipairs(e:write(outs)) do
    graph:node("Identity", { written }, nil, { graph:name("out" .. i) })
    graph:output("out" .. i, emit.FLOAT, outs[i]:shape())
  end
  assert(graph:write(path, "row"))
  return { model = path, inputs = inputs, want = evaluate.run(outs, inputs, 1) }
end


for _, opset in ipairs { 9, 11, 13, 17, 20 } do
  describe("operators in ONNX Runtime, opset " .. opset, function()
    local jobs, refusals, found = {}, {}, nil
    for k, spec in ipairs(oprows.read()) do
      local ok, job = pcall(file_of_row, oprows.fill(spec), opset,
                            ("%s/row%d_%d.onnx"):format(folder, opset, k))
      if ok then jobs[#jobs + 1] = job else refusals[#refusals + 1] = { spec, job } end
      if ok then job.title = ("%s, row %d"):format(spec.op, k) end
    end
    setup(function() found = ort.run(folder, jobs) end)

    it("are refused where ONNX has none", function()
      assert.is_true(opset < 13 or #refusals < 8)
      for _, r in ipairs(refusals) do
        local words = opsets.refusal(r[2]) and "needs opset" or later[r[1].op]
        assert.matches(words or "none", tostring(r[2]))
      end
    end)

    for i, job in ipairs(jobs) do
      it("and their ways back are the engine's: " .. job.title, function()
        assert.is_nil(found[i].error)
        for k, want in ipairs(job.want) do
          local off = found[i]["out" .. k]:distance(want)
          assert.is_true(off < 2e-6, ("output %d: %.3g apart"):format(k, off))
        end
      end)
    end
  end)
end


-- networks ---------------------------------------------------------------------------


---Maps are the same within this share of their largest value. Where one is further off
---the runtime's decisions are imposed on ours (a unit that is open there and shut here,
---a largest value that two places share): then it is that near, or as near as our own
---map stays when every value of the picture is moved by one rounding.
local NEAR = 1e-5

local function check_map(net, x, job, got)
  local off = baked.off(baked.map_of(job, got), job.want)
  if off <= NEAR then return end
  local shown, why = baked.shown(folder, net, x, job, NEAR, got)
  print(("  %s: %.1e away, %s"):format(job.title, off, why))
  assert.is_true(shown, job.title)
end


---@param name string
---@param make fun(): lunette.Net, lunette.Tensor, table?
---@param jobs_of? function   baked.jobs: a file for each map; baked.joint_jobs: one
local function check(name, make, jobs_of)
  describe(name .. " in ONNX Runtime", function()
    local net, x, jobs, found
    setup(function()
      local inputs
      net, x, inputs = make()
      local path = net.path and originals.read(net.path) and net.path
      if not path then
        path = folder .. "/plain.onnx"
        assert(lu.export(net, path))
      end
      jobs = (jobs_of or baked.jobs)(folder, net, x, inputs)
      local list, at = { { model = path, inputs = inputs or { input = x } } }, {}
      for _, job in ipairs(jobs) do
        if not at[job.model] then
          list[#list + 1] = job
          at[job.model] = #list
        end
      end
      local answers = ort.run(folder, list)
      found = { answers[1] }
      for i, job in ipairs(jobs) do found[i + 1] = answers[at[job.model]] end
    end)

    it("has the maps of its methods, and its outputs to the bit", function()
      local plain = found[1]
      assert.is_nil(plain.error)
      assert.is_true(#jobs > 8)
      for i, job in ipairs(jobs) do
        local got = found[i + 1]
        assert.is_nil(got.error)
        for key, value in pairs(job.report.anew and {} or plain) do
          if key ~= "ms" then
            assert.is_true(got[key]:same(value), job.title .. ": " .. key)
          end
        end
        assert.same(job.want:shape(), baked.map_of(job, got):shape())
        check_map(net, x, job, got)
      end
    end)
  end)
end


local ours = { ["a chain"] = function() return t.net(1) end,
               ["a graph"] = function() return t.graph(2) end,
               ["a network of one's own"] = function() return t.own(3) end }
for name, make in pairs(ours) do
  check(name, function()
    local net = make()
    return net, t.input(net, 2, 5)
  end)
end

check("the embedded network", function()
  local net = assert(lu.load "glyphs") -- of two pictures at once the others are
  return net, net:images(lu.glyphs.default_images(1).images)
end)


describe("a class that is an input of the file", function()
  it("may be another for every picture", function()
    local net, path = t.net(1), folder .. "/class.onnx"
    local x = t.input(net, 2, 5)
    local opts = { modifiers = { "linear" }, class = "input" }
    assert(lu.bake(net, path, "saliency", opts))
    local inputs = { input = x, class = { 3, 1 } }
    local got = ort.run(folder, { { model = path, inputs = inputs } })[1]
    assert.is_nil(got.error)
    local want = lu.saliency(net, x, { modifiers = { "linear" }, score = { 3, 1 } })
    assert.is_true(baked.off(got.map, want) < 1e-5)
  end)

  it("is an output where the file finds it, and is shared by several maps", function()
    local net, path = t.net(1), folder .. "/several.onnx"
    local x = t.input(net, 3, 5)
    assert(lu.bake(net, path, { "gradcam", "saliency" }, { modifiers = { "linear" } }))
    local got = ort.run(folder, { { model = path, inputs = { input = x } } })[1]
    local top = net:run(x):top(1)
    for n = 1, 3 do assert.equal(top[n][1].class, got.class:get(n)) end
    local want = lu.gradcam(net, x, { modifiers = { "linear" } })
    assert.is_true(baked.off(got.map_gradcam, want) < 1e-5)
  end)
end)


describe("layers of any name", function()
  it("are no other values' of the file", function()
    local net = assert(lu.net { name = "odd", input = { 3, 8, 8 }, layers = {
      { "map", "conv2d", filters = 4, kernel = 3, padding = 1 }, { "class", "relu" },
      { "a/b c\"", "conv2d", filters = 4, kernel = 3, padding = 1 },
      { "int.1", "relu" }, { "float.2", "square" }, { "batch", "global_avg_pool" },
      { "score", "flatten" }, { "back.map", "linear", units = 3 },
      { "map.mul", "softmax" } } }):init(1)
    local x, path, opts = t.input(net, 2, 5), folder .. "/odd.onnx",
      { modifiers = { "linear" } }
    local report = assert(lu.bake(net, path, { "gradcam", "recipro_cam",
      { "recipro_cam", modifiers = {} }, { "integrated_gradients", steps = 3 } }, opts))
    assert.same({ "map_gradcam", "map_recipro_cam", "map_recipro_cam2",
                  "map_integrated_gradients" }, report.maps)
    local got = ort.run(folder, { { model = path, inputs = { input = x } } })[1]
    assert.is_nil(got.error)
    assert.is_true(baked.off(got.map_gradcam, lu.gradcam(net, x, opts)) < 1e-5)
    assert.is_true(baked.off(got.map_recipro_cam2, lu.recipro_cam(net, x)) < 1e-5)
    assert.is_true(got["map.mul"]:distance(net:run(x).output) < 1e-6)
  end)
end)


---The map of a picture's file, 0 to 255; what an example says has its class.
local function wanted(net, picture, text)
  local x, want
  t.warnings(function()
    x = assert(net:images(picture))
    want = lu.gradcam(net, x, { modifiers = { "linear" } })[1] * 255
  end)
  local top = net:run(x):top(1)[1][1]
  assert.matches("class " .. top.class .. " " .. top.name, text)
  return want
end


describe("the example for Node", function()
  ---The grey values of a binary PGM.
  local function read_pgm(path)
    local width, height, values = t.read(path):match "^P5\n(%d+) (%d+)\n255\n(.*)$"
    local list = { values:byte(1, -1) }
    assert.equal(width * height, #list)
    return core.tensor(list):reshape { math.tointeger(height), math.tointeger(width) }
  end

  it("draws the map of lu.gradcam", function()
    local net = assert(lu.load "glyphs")
    local file, picture = folder .. "/glyphs.onnx", folder .. "/scene.bmp"
    assert(lu.bake(net, file, "gradcam", { modifiers = { "linear" } }))
    assert(lu.image.save(picture, lu.glyphs.default_images(2).images[2]))
    local code, text = t.shell(("NODE_PATH='%s' node examples/onnx/explain.js '%s' "
      .. "'%s' '%s/map.pgm'"):format(ort.modules, file, picture, folder))
    assert.equal(0, code, text)
    local want = wanted(net, picture, text)
    -- the last bit of a byte
    assert.is_true((read_pgm(folder .. "/map.pgm") - want):abs():max():item() < 1.5)
  end)
end)


describe("the example for Python", function()
  ---Its session is onnxruntime's, or, where python3 has none, that of Node.
  local function python()
    if t.shell "/usr/bin/python3 -c 'import onnxruntime'" == 0 then return "" end
    return ("PYTHONPATH=tests/onnx/python NODE_PATH='%s' "):format(ort.modules)
  end

  it("draws the map of lu.gradcam", function()
    local net = assert(lu.load "glyphs")
    local file, picture = folder .. "/python.onnx", folder .. "/python.png"
    assert(lu.bake(net, file, "gradcam", { modifiers = { "linear" } }))
    assert(lu.image.save(picture, lu.glyphs.default_images(2).images[2]))
    local code, text = t.shell(("PYTHONDONTWRITEBYTECODE=1 %s/usr/bin/python3 "
      .. "examples/onnx/explain.py '%s' '%s' '%s/python-map.png'"):format(python(),
      file, picture, folder))
    assert.equal(0, code, text)
    local want = wanted(net, picture, text)
    local drawn = assert(lu.image.load(folder .. "/python-map.png"))[1]
    -- the last bit of a byte
    assert.is_true((drawn - want):abs():max():item() < 1.5)
  end)
end)


describe("our own engine", function()
  it("computes a baked file's outputs as the runtime does", function()
    local net = assert(lu.load "glyphs")
    local path = folder .. "/own.onnx"
    assert(lu.bake(net, path, { "gradcam", "lrp", "guided_gradcam" },
                   { modifiers = { "linear" } }))
    -- of the first picture a relu's input is 0 but for roundings: another guided map
    local x = assert(net:images(lu.glyphs.default_images(4).images))
      :narrow { dim = 1, start = 3, length = 2 }
    local got = ort.run(folder, { { model = path, inputs = { input = x } } })[1]
    assert.is_nil(got.error)
    local run = assert(lu.load(path)):run(x)
    local names = { "softmax", "map_gradcam", "map_lrp", "map_guided_gradcam" }
    for _, name in ipairs(names) do
      local own = run[name]:reshape { shape = got[name]:shape() }
      assert.is_true(baked.off(own, got[name]) < 1e-5, name) -- bake_spec's bound
    end
    assert.same(got.class:totable(), run.class:view(2):totable())
  end)
end)


describe("the example page", function()
  local web = ort.modules .. "/onnxruntime-web/dist"
  if not t.exists(web .. "/ort.wasm.min.js")
     or t.shell "command -v ${CHROMIUM:-chromium} >/dev/null" ~= 0 then
    pending "needs onnxruntime-web in LUNETTE_ORT, and chromium (tests/deps browser)"
    return
  end

  it("explains a picture in a browser, and asks nobody else for anything", function()
    local net, site = assert(lu.load "glyphs"), folder .. "/site"
    local file, picture = folder .. "/page.onnx", folder .. "/page.png"
    assert(lu.bake(net, file, "gradcam", { modifiers = { "linear" } }))
    assert(lu.image.save(picture, lu.glyphs.default_images(2).images[2]))
    local code, text = t.shell(("mkdir '%s' && cp examples/onnx/page.html '%s/'"
      .. "ort.wasm.min.js '%s/'ort-wasm-simd-threaded.mjs "
      .. "'%s/'ort-wasm-simd-threaded.wasm '%s'"):format(site, web, web, web, site))
    assert.equal(0, code, text)
    code, text = t.other(("TMPDIR='%s' timeout 200 node tests/onnx/page.mjs '%s' "
      .. "'%s' '%s'"):format(folder, site, file, picture))
    assert.equal(0, code, text)
    assert.matches("^triangle, %d+ ms\n", text)
    local asked = 0
    for address in text:gmatch "\n(%w+://[^\n]+)" do
      asked = asked + 1
      assert.matches("^http://127%.0%.0%.1:", address)
    end
    assert.is_true(asked >= 4)
  end)
end)


local golden = t.shared .. "/golden/onnx"
if not t.exists(golden .. "/resnet18_op11.safetensors") then
  describe("the reference networks", function() pending "needs shared/golden/onnx" end)
  return
end
---All of them where LUNETTE_ZOO is set: some minutes.
local some = { "resnet18_op13_bn_dynamic", "mobilenet_v3_op17", "vgg11_bn_op11",
               "googlenet_op13", "densenet_op13", "shufflenet_op13", "hand_ir3_op7",
               "hand_typed_data_op9", "hand_dynamo_op18", "hand_tf2onnx_op13" }
if os.getenv "LUNETTE_ZOO" then
  some = {}
  for name in require("lfs").dir(t.shared .. "/models/onnx") do
    some[#some + 1] = name:match "^(.*)%.onnx$"
  end
  table.sort(some)
end
for _, name in ipairs(some) do
  check(name, function()
    local net = assert(lu.load(("%s/models/onnx/%s.onnx"):format(t.shared, name)))
    return net, baked.fed(net)
  end, name:find "_op1[3-9]" and not name:find "^hand" and baked.joint_jobs)
end
