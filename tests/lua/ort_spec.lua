-- What lu.export and lu.bake write, run in ONNX Runtime: operators and their ways back,
-- outputs and maps. Files are made first, then one process runs them all.
local build = require "lunette.net.build"
local core = require "lunette.core"
local emit = require "lunette.onnx.emit"
local evaluate = require "lunette.trace.evaluate"
local gradient = require "lunette.trace.gradient"
local graphs = require "lunette.onnx.graph"
local lu = require "lunette"
local oprows = require "tests.lua.oprows"
local ort = require "tests.lua.ort"
local t = dofile "tests/lua/support.lua"
local trace = require "lunette.trace"

if ort.missing then
  describe("ONNX Runtime", function() pending(ort.missing) end)
  return
end

local folder, done = t.folder()
t.cache_in(folder)
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


for _, opset in ipairs { 13, 17 } do
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
      assert.is_true(#refusals < 8)
      for _, r in ipairs(refusals) do
        assert.matches(later[r[1].op] or "none", r[2])
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


local box = lu.modifiers.epsilon_gamma_box { low = -4, high = 4 }
local cases = {
  { "saliency" }, { "saliency", { modifiers = { "guided" } } },
  { "saliency", { modifiers = { "deconvnet" } } },
  { "saliency", { modifiers = { "rectified" } } }, { "input_x_gradient" },
  { "gradcam" }, { "gradcam", { dialect = "pytorch-grad-cam" } }, { "gradcam_pp" },
  { "hirescam" }, { "layercam" }, { "xgradcam" }, { "guided_gradcam" },
  { "integrated_gradients", { steps = 5 } }, { "lrp" }, { "lrp", { composite = box } },
  { "recipro_cam" },
}


---Files of a network: all cases, and the network alone.
local function jobs_of(net, x, name)
  local jobs, last = {}, net:layers()[#net:layers()]
  local function path(k) return ("%s/%s_%s.onnx"):format(folder, name, k) end
  assert(lu.export(net, path "plain"))
  for k, case in ipairs(cases) do
    local opts = { modifiers = { last.kind == "softmax" and "linear" or nil } }
    for key, v in pairs(case[2] or {}) do
      if key ~= "modifiers" then opts[key] = v end
    end
    for _, m in ipairs(case[2] and case[2].modifiers or {}) do
      table.insert(opts.modifiers, m)
    end
    local ok, want
    t.warnings(function() ok, want = pcall(lu[case[1]], net, x, opts) end)
    if ok then -- a network without relus, or without a map, has not all of them
      assert(lu.bake(net, path(k), case[1], opts))
      jobs[#jobs + 1] = { model = path(k), inputs = { input = x }, want = want,
                          title = ("%s %d"):format(case[1], k) }
    end
  end
  jobs[#jobs + 1] = { model = path "plain", inputs = { input = x }, title = "plain" }
  return jobs
end


---Units whose values both engines know, and what they are in ours.
local gates = { relu = true, relu6 = true, hard_swish = true, max_pool2d = true }

---The same network with the values of its gates as outputs.
local function with_gates(net)
  local all = { outputs = {} }
  for _, layer in ipairs(net:layers()) do
    if gates[layer.kind] then all.outputs[#all.outputs + 1] = layer.name end
  end
  for key, value in pairs(net) do all[key] = all[key] or value end
  build.give(all, build.parts(net))
  return setmetatable(all, getmetatable(net))
end


---How far the other engine's values are from ours on the way (the largest relative
---L2 distance), and how many gates stand the other way.
local function forward_apart(net, x)
  local path, most, flipped = folder .. "/gates.onnx", 0, 0
  local all = with_gates(net)
  assert(lu.export(all, path))
  local got = ort.run(folder, { { model = path, inputs = { input = x } } })[1]
  local run = net:run(x)
  for _, name in ipairs(all.outputs) do
    local ours = run:preactivation(name)
    if ours then
      most = math.max(most, got[name]:distance(ours))
      flipped = flipped + got[name]:gt(0):ne(ours:gt(0)):sum():item()
    end
  end
  return most, flipped
end


---The largest difference as a share of the largest value.
local function off(a, b)
  return (a - b):abs():max():item() / math.max(b:abs():max():item(), 1e-30)
end


local function check(name, make)
  describe(name .. " in ONNX Runtime", function()
    local jobs, found, apart, flipped
    setup(function()
      local net, x = make()
      jobs = jobs_of(net, x, (name:gsub("%W", "_")))
      found = ort.run(folder, jobs)
      apart, flipped = forward_apart(net, x)
    end)

    ---A map can be no nearer than what it is computed from; quotients of relevance lose
    ---another digit. A gate that stands the other way changes the map where it is; at
    ---the points of a path nobody has counted them.
    local function bound(job)
      local counted = not job.title:find "integrated"
      if flipped > 0 or not counted then return 0.05 end
      return math.max(1e-5, (job.title:find "lrp" and 50 or 5) * apart)
    end

    it("has the maps of its methods, and its outputs to the bit", function()
      local plain = found[#jobs]
      assert.is_nil(plain.error)
      assert.is_true(#jobs > 8)
      for i = 1, #jobs - 1 do
        local job, got = jobs[i], found[i]
        assert.is_nil(got.error)
        for key, value in pairs(plain) do
          if key ~= "ms" then
            assert.is_true(got[key]:same(value), job.title .. ": " .. key)
          end
        end
        assert.same(job.want:shape(), got.map:shape())
        local share = off(got.map, job.want)
        assert.is_true(share < bound(job), ("%s: %.3g apart, forward %.3g, %d flipped")
          :format(job.title, share, apart, flipped))
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
  local net = assert(lu.load "glyphs")
  return net, net:images(lu.glyphs.default_images(2).images)
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
    assert.is_true(off(got.map, want) < 1e-5)
  end)

  it("is an output where the file finds it, and is shared by several maps", function()
    local net, path = t.net(1), folder .. "/several.onnx"
    local x = t.input(net, 3, 5)
    assert(lu.bake(net, path, { "gradcam", "saliency" }, { modifiers = { "linear" } }))
    local got = ort.run(folder, { { model = path, inputs = { input = x } } })[1]
    local top = net:run(x):top(1)
    for n = 1, 3 do assert.equal(top[n][1].class, got.class:get(n)) end
    local want = lu.gradcam(net, x, { modifiers = { "linear" } })
    assert.is_true(off(got.map_gradcam, want) < 1e-5)
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
    assert.is_true(off(got.map_gradcam, lu.gradcam(net, x, opts)) < 1e-5)
    assert.is_true(off(got.map_recipro_cam2, lu.recipro_cam(net, x)) < 1e-5)
    assert.is_true(got["map.mul"]:distance(net:run(x).output) < 1e-6)
  end)
end)


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
    local x, want
    t.warnings(function()
      x = assert(net:images(picture))
      want = lu.gradcam(net, x, { modifiers = { "linear" } })[1] * 255
    end)
    local top = net:run(x):top(1)[1][1]
    assert.matches("class " .. top.class .. " " .. top.name, text)
    -- the last bit of a byte
    assert.is_true((read_pgm(folder .. "/map.pgm") - want):abs():max():item() < 1.5)
  end)
end)


describe("the example page", function()
  local web = ort.modules .. "/onnxruntime-web/dist"
  if not t.exists(web .. "/ort.wasm.min.js")
     or not t.exists(ort.modules .. "/@sparticuz/chromium/package.json") then
    pending "needs onnxruntime-web, puppeteer-core, @sparticuz/chromium in LUNETTE_ORT"
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
    code, text = t.shell(("TMPDIR='%s' NODE_PATH='%s' node tests/onnx/page.mjs '%s' "
      .. "'%s' '%s'"):format(folder, ort.modules, site, file, picture))
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
for _, name in ipairs { "resnet18_op13_bn_dynamic", "mobilenet_v3_op17",
                        "vgg11_bn_op11", "googlenet_op13", "densenet_op13",
                        "shufflenet_op13" } do
  check(name, function()
    local net = assert(lu.load(("%s/models/onnx/%s.onnx"):format(t.shared, name)))
    local w = assert(core.weights(("%s/%s.safetensors"):format(golden, name)))
    for i, e in ipairs(w:list()) do
      if e.name == "blobs/input" then return net, assert(w:tensor(i)):clone() end
    end
  end)
end
