-- The files that lu.export and lu.bake write: a file that is added to is kept byte for
-- byte, nodes have names, ONNX's checker passes them, and so do the commands.
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"
local baked = dofile "tests/lua/baked.lua"

local folder, done = t.cache_folder()
teardown(done)

local fresh, again = baked.files(folder)


describe("an ONNX file", function()
  local wire = require "lunette.onnx.wire"

  ---Contents of the fields of a file's graph, by their number, and the rest.
  local function parts(path)
    local graph, rest = {}, {}
    for field, content, from, to in wire.fields(t.read(path)) do
      if field ~= 7 then rest[#rest + 1] = t.read(path):sub(from, to) end
      for f, c in wire.fields(field == 7 and content or "") do
        graph[f] = graph[f] or {}
        table.insert(graph[f], c)
      end
    end
    return graph, table.concat(rest)
  end

  ---What was in it is there first, as it was.
  local function kept(before, after)
    local old, rest = parts(before)
    local new, more = parts(after)
    for field, list in pairs(old) do
      for i, content in ipairs(list) do
        assert.is_true(new[field][i] == content, ("field %d, %d"):format(field, i))
      end
    end
    assert.equal(rest, more:sub(1, #rest))
    return old, new
  end

  it("is kept byte for byte, and nodes are added to it", function()
    local net, path = again(t.graph(2), { opset = 13 })
    local out = fresh()
    local report = assert(lu.bake(net, out, { "gradcam", "lrp" },
                                  { modifiers = { "linear" } }))
    assert.equal(path, report.original)
    assert.is_nil(report.anew)
    local old, new = kept(path, out)
    assert.equal(report.forward_nodes, #old[1])
    assert.equal(report.nodes, #new[1])
    assert.equal(#old[12] + 3, #new[12])
    assert.equal(#t.read(path), report.plain_bytes)
    assert.equal(#t.read(out), report.bytes)
    for i = #old[5] + 1, #new[5] do -- but for small ones no weight is written twice
      assert.is_true(#new[5][i] < 4 * 1024 + 100, #new[5][i] .. " bytes")
    end
  end)

  it("gives what the method says, through our own engine", function()
    local net = again(t.graph(2), { opset = 13 })
    local x, out, want = t.input(net, 2, 5), fresh(), nil
    local opts = { modifiers = { "linear" }, class = 1 }
    assert.truthy(assert(lu.bake(net, out, "lrp", opts)).original)
    t.warnings(function()
      want = lu.lrp(net, x, { modifiers = { "linear" }, score = 1 })
    end)
    local run = assert(lu.load(out)):run(x)
    assert.is_true(run.output:same(net:run(x).output))
    assert.is_true(run.outputs[run.output_names[2]]:distance(want) < 1e-6)
  end)

  it("is written anew where it is not what the network is, and says why", function()
    local net = again(t.graph(2))
    assert.is_nil(assert(lu.bake(net, fresh(), "gradcam", { opset = 15 })).original)
    assert.is_nil(assert(lu.bake(net, fresh(), "gradcam", { half = true })).original)
    local name = net:layers "conv2d"[1].name .. ".weight"
    net.params[name] = net.params[name] * 2
    local report = assert(lu.bake(net, fresh(), "gradcam"))
    assert.is_nil(report.original)
    assert.matches("not what its file says", report.anew)
    assert.is_nil(assert(lu.bake(t.graph(2), fresh(), "gradcam")).anew)
  end)

  it("is not added to where the file changed after it was loaded", function()
    local net = again(t.graph(2))
    assert.truthy(assert(lu.bake(net, fresh(), "gradcam")).original)
    assert(lu.export(t.graph(3), net.path)) -- the same layers, other weights
    local out, x = fresh(), t.input(net, 2, 5)
    assert.matches("not what its file says", assert(lu.bake(net, out, "gradcam")).anew)
    local y = assert(lu.load(out)):run(x).output
    assert.is_true(y:distance(net:run(x).output) < 1e-6)
  end)

  local zoo = t.shared .. "/models/onnx/"
  if not t.exists(zoo .. "resnet18_op11.onnx") then
    pending "needs shared/models/onnx"
    return
  end

  for _, name in ipairs { "hand_ir3_op7", "hand_typed_data_op9", "unet_nearest_op11",
      "hand_clutter_op12", "hand_tf2onnx_op13", "hand_dynamo_op18" } do
    it("of any opset is kept: " .. name, function()
      local net, out = assert(lu.load(zoo .. name .. ".onnx")), fresh()
      local report = assert(lu.bake(net, out, "gradcam"))
      assert.is_nil(report.anew)
      kept(net.path, out)
    end)
  end

  it("of an old opset is written anew where that has no words for a map", function()
    local net = assert(lu.load(zoo .. "hand_ir3_op7.onnx"))
    local report = assert(lu.bake(net, fresh(), "saliency"))
    assert.matches("needs opset 8, and the file has 7", report.anew)
    net = assert(lu.load(zoo .. "hand_one_channel_op8.onnx"))
    report = assert(lu.bake(net, fresh(), "saliency"))
    assert.matches("ScatterElements needs opset 9, and the file has 8", report.anew)
  end)

  it("takes the file of its weights along", function()
    local net, out = assert(lu.load(zoo .. "hand_external_op13.onnx")), fresh()
    assert.truthy(assert(lu.bake(net, out, "gradcam")).original)
    local copy = folder .. "/hand_external_op13.weights"
    assert.equal(t.read(zoo .. "hand_external_op13.weights"), t.read(copy))
    assert(lu.bake(net, out, "gradcam")) -- it is there already
    t.spit(copy, "something else")
    local report, message = lu.bake(net, out, "gradcam")
    assert.is_nil(report)
    assert.matches("would be overwritten", message)
    os.remove(copy)
  end)
end)


-- names ------------------------------------------------------------------------------


describe("names in a baked file", function()
  local program = require "lunette.weights.import.program"

  ---Nodes of a file, { op =, name =, outputs = }, and the names of its initializers.
  local function listed(path)
    local nodes, weights = {}, {}
    for _, line in ipairs(assert(program.run { "list", path })) do
      local inputs = tonumber(line[5])
      if line[1] == "node" then
        nodes[#nodes + 1] = { op = line[2], name = line[4],
                              outputs = { table.unpack(line, 6 + inputs) } }
      elseif line[1] == "tensor" then
        weights[#weights + 1] = line[#line]
      end
    end
    return nodes, weights
  end

  ---What a viewer shows of a node: the part of the map, or the layer, that it is of.
  local function is_of(net, name)
    name = name:gsub("^/", ""):gsub("^back%.", ""):gsub("^copies%d+%.", "")
    for _, part in ipairs { "map", "score", "output" } do
      if name == part or name:find("^" .. part .. "[%._]") then return true end
    end
    for _, layer in ipairs(net:layers()) do
      local rest = name:sub(1, #layer.name) == layer.name and name:sub(#layer.name + 1)
      if rest and rest:find "^$" or rest and rest:find "^[%.:/_]" then return true end
    end
    return false
  end

  local function check(net, method, opts)
    local path, before = fresh(), {}
    local report = assert(lu.bake(net, path, method, opts))
    local nodes, weights = listed(path)
    for _, node in ipairs(report.original and listed(net.path) or {}) do
      before[node.name] = true
    end
    local seen, values = {}, {}
    for _, name in ipairs(weights) do
      assert.is_nil(values[name], name)
      values[name] = true
    end
    for _, node in ipairs(nodes) do
      assert.is_true(node.name ~= "" and not seen[node.name], node.name)
      seen[node.name] = true
      for _, value in ipairs(node.outputs) do
        assert.is_nil(values[value], value)
        values[value] = true
      end
      if not before[node.name] then
        assert.is_true(is_of(net, node.name), node.name)
        assert.is_truthy(node.name:find "^[%w_%.:/]+$", node.name)
      end
    end
    assert.is_true(values.map and values.class)
  end

  local some = { "gradcam", "saliency", "guided_gradcam", "lrp", "recipro_cam",
                 "integrated_gradients" }
  for name, net in pairs { chain = t.net(1), graph = t.graph(2) } do
    it("are of one node each, and say which layer it is of: " .. name, function()
      for _, method in ipairs(some) do check(net, method) end
    end)
  end

  it("do so beside those of the file that is added to", function()
    local file = t.shared .. "/models/onnx/mobilenet_v3_op13.onnx"
    if not t.exists(file) then return pending "needs shared/models/onnx" end
    for _, method in ipairs(some) do check(assert(lu.load(file)), method) end
  end)
end)


describe("ONNX's own checker", function()
  local check = "/usr/bin/python3 -c 'import sys, torch; [torch._C._check_onnx_proto("
    .. "open(p, \"rb\").read(), full_check=True) for p in sys.argv[1:]]'"
  -- whether it is there; to import it takes more than a second
  if t.shell("/usr/bin/python3 -c 'import importlib.util, sys; "
             .. "sys.exit(importlib.util.find_spec(\"torch\") is None)'") ~= 0 then
    pending "needs torch for python3, which has the checker of ONNX"
    return
  end

  local gradcam = { "Grad-CAM", "gradcam" }
  -- weights in another file are not there for it, and its format is older than one's
  local closed = { ["hand_external_op13.onnx"] = true,
                   ["hand_dynamo_op18.onnx"] = true }
  local zoo, files = t.shared .. "/models/onnx/", {}
  local there = t.exists(zoo .. "resnet18_op11.onnx")
  for file in require("lfs").dir(there and zoo or ".") do
    if file:find "%.onnx$" and not closed[file] then files[#files + 1] = file end
  end

  it("passes what is written, with full shape inference", function()
    local list, net = {}, t.graph(2)
    for _, opset in ipairs { 13, 17 } do
      for _, name in ipairs { "gradcam", "saliency", "lrp", "recipro_cam" } do
        list[#list + 1] = fresh()
        assert(lu.bake(net, list[#list], name, { modifiers = { "linear" },
                                                 opset = opset }))
      end
    end
    list[#list + 1] = fresh()
    assert(lu.export(baked.tokens(), list[#list]))
    for _, file in ipairs(files) do
      local own = assert(lu.load(zoo .. file))
      for _, case in ipairs(os.getenv "LUNETTE_ZOO" and baked.cases or { gradcam }) do
        list[#list + 1] = fresh()
        local ok = pcall(lu.bake, own, list[#list], case[2], baked.options(own, case))
        assert.is_true(ok or case ~= gradcam, file)
        if not ok then list[#list] = nil end -- no relus, no maps
      end
    end
    local code, text = t.shell(check .. " " .. table.concat(list, " "))
    assert.equal(0, code, text)
  end)
end)


describe("a baked file of a fixed class", function()
  it("is a network that can be loaded, where its operators are ours", function()
    local net, path = t.graph(2), fresh()
    local x, opts = t.input(net, 2, 5), { modifiers = { "linear" }, class = 1 }
    assert(lu.bake(net, path, "lrp", opts))
    local loaded = assert(lu.load(path))
    local run, want = loaded:run(x), nil
    t.warnings(function()
      want = lu.lrp(net, x, { modifiers = { "linear" }, score = 1 })
    end)
    assert.is_true(run.output:same(net:run(x).output))
    local map = run.outputs[run.output_names[2]]
    assert.is_true(map:distance(want) < 1e-6)
  end)
end)


describe("a file of relevance", function()
  for _, name in ipairs { "squeezenet1_1", "shufflenet_v2_x1_0" } do
    it("grows by at most 2 %, and is read by our own engine: " .. name, function()
      local box = lu.modifiers.epsilon_gamma_box { low = -4, high = 4 }
      local net = again(assert(lu.net(lu.models[name] { side = 64 })):init(3))
      local out, x = fresh(), t.input(net, 1, 5)
      local report = assert(lu.bake(net, out, "lrp", { composite = box, class = 1 }))
      assert.is_true(report.bytes < 1.02 * report.plain_bytes,
                     report.bytes - report.plain_bytes)
      local want
      t.warnings(function() want = lu.lrp(net, x, { composite = box, score = 1 }) end)
      assert.is_true(baked.off(assert(lu.load(out)):run(x).map, want) < 1e-5)
    end)
  end

  it("has no nodes for what gets no relevance", function()
    local net = again(assert(lu.net { name = "gate", input = { 3, 8, 8 }, layers = {
      { "conv", "conv2d", filters = 4, kernel = 3 },
      { "pool", "global_avg_pool" },
      { "squeeze", "conv2d", filters = 4, kernel = 1 },
      { "gate", "sigmoid" },
      { "scale", "mul", from = { "conv", "gate" } },
      { "mean", "global_avg_pool" }, { "flat", "flatten" } } }):init(1))
    local out, x = fresh(), t.input(net, 1, 5)
    local report = assert(lu.bake(net, out, "lrp", { class = 1 }))
    assert.is_nil(t.read(out):find("back.squeeze", 1, true))
    local want
    t.warnings(function() want = lu.lrp(net, x, { score = 1 }) end)
    assert.is_true(want:abs():max():item() > 0)
    assert.is_true(baked.off(assert(lu.load(out)):run(x)[report.maps[1]], want) < 1e-5)
  end)
end)


describe("lunette export and lunette bake", function()
  it("write files, and say what they cost", function()
    local path = fresh()
    local code, text = t.program(("bake gradcam glyphs -o '%s' --class 3"):format(path),
                                 folder)
    assert.equal(0, code, text)
    assert.matches("38 nodes of the network, %d+ more for map", text)
    assert.matches("grew by %d+ bytes %(0%.%d+ %%%)", text)
    assert.matches("Lunette [%d.]+, %d+ threads, processor time: forward [%d.]+ ms, "
      .. "with the map [%d.]+ ms %([%d.]+ times%)", text)
    code, text = t.program(("bake gradcam,lrp glyphs -o '%s' --json --time none")
      :format(path), folder)
    assert.equal(0, code, text)
    local said = require("lunette.base.json").decode(text)
    assert.same({ "map_gradcam", "map_lrp" }, said.maps)
    assert.equal(#t.read(path), said.bytes)
    assert.near(100 * said.growth / (said.bytes - said.growth), said.growth_percent,
                1e-9)
    assert.is_nil(said.forward_ms)
    code, text = t.program(("export glyphs -o '%s' --opset 13"):format(path), folder)
    assert.equal(0, code, text)
    assert.matches("38 nodes, opset 13", text)
  end)

  it("give each of several methods the options that it has", function()
    local path, alone = fresh(), fresh()
    local code, text = t.program(("bake gradcam,integrated_gradients,lrp glyphs "
      .. "-o '%s' --steps 5 --layer block4_conv3 --composite deep_taylor --time none")
      :format(path), folder)
    assert.equal(0, code, text)
    local x = t.input(assert(lu.load "glyphs"), 1, 5)
    local run = assert(lu.load(path)):run(x)
    for _, case in ipairs { { "gradcam", "--layer block4_conv3" },
                            { "integrated_gradients", "--steps 5" },
                            { "lrp", "--composite deep_taylor" } } do
      code, text = t.program(("bake %s glyphs -o '%s' %s --time none"):format(case[1],
                             alone, case[2]), folder)
      assert.equal(0, code, text)
      local want = assert(lu.load(alone)):run(x).map
      assert.is_true(baked.off(run["map_" .. case[1]], want) < 1e-6, case[1])
    end
  end)

  it("write large constants that repeat themselves once", function()
    local net = assert(lu.load "glyphs")
    for _, method in ipairs { "integrated_gradients", "recipro_cam" } do
      local report = assert(lu.bake(net, fresh(), method, { modifiers = { "linear" } }))
      assert.is_true(report.bytes < 1.01 * report.plain_bytes)
    end
    local report = assert(lu.bake(net, fresh(), "integrated_gradients",
      { modifiers = { "linear" }, baseline = "noise" })) -- 3 x 224 x 224 numbers
    local growth = report.bytes - report.plain_bytes
    assert.is_true(growth > 602112 and growth < 602112 * 1.05)
  end)

  it("say what is wrong", function()
    local function says(code, words, arguments)
      local got, text = t.program(arguments, folder)
      assert.equal(code, got, text)
      assert.matches(words, text)
    end
    says(64, "method 'gradcams' not found", "bake gradcams glyphs")
    says(64, "unknown option '%-%-steps'", "bake gradcam,lrp glyphs --steps 5")
    says(64, "opset is 13 to 17", "export glyphs -o x.onnx --opset 12")
    says(69, "no onnxruntime%-node in /none",
         ("bake gradcam glyphs -o '%s' --time /none"):format(fresh()))
    says(66, "not found", "export none_such -o x.onnx")
    says(64, "output is empty", "export glyphs -o ''")
    says(64, "score: class 77 is outside", "bake gradcam glyphs -o x.onnx --class 77")
  end)
end)
