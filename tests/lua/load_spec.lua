-- lu.load, lu.save: files good, odd and hostile; names; metadata.
local lu = require "lunette"
local core = require "lunette.core"
local load = require "lunette.weights.load"
local t = dofile "tests/lua/support.lua"

local folder, done = t.cache_folder()
teardown(done)


---A tiny VGG with random weights in a file.
local function tiny(name, opts, meta)
  local net = assert(lu.net(lu.models.tiny_vgg(opts))):init(7)
  local path = folder .. "/" .. name .. ".safetensors"
  assert(lu.save(net, path, { meta = meta }))
  return path, net
end


---A network whose weights are all 0: where nobody reads them, millions of random
---numbers would be most of the work.
local function blank(arch)
  local net = assert(lu.net(arch))
  for _, layer in ipairs(net:layers()) do
    for _, q in ipairs(layer.params) do net.params[q.name] = core.zeros(q.shape) end
  end
  return net
end


---A file with these tensors: name -> shape, or a tensor.
local function file(name, list, meta)
  local path, pairs_ = folder .. "/" .. name .. ".safetensors", {}
  for key, what in pairs(list) do
    pairs_[#pairs_ + 1] = { key, type(what) == "table" and core.zeros(what) or what }
  end
  assert(core.write_weights(path, pairs_, "f32", meta))
  return path
end


local function refusal(path, net)
  local ok, value, message = pcall(net and load.file or lu.load, path, net)
  assert(ok, "raised: " .. tostring(value))
  assert.is_nil(value)
  assert.is_string(message)
  return message
end


describe("what was saved", function()
  it("is loaded, to the bit", function()
    local path, net = tiny "whole"
    local again = assert(lu.load(path))
    assert.equal("tiny_vgg", again.name)
    assert.same(net.labels, again.labels)
    assert.same(net.preprocessing, again.preprocessing)
    local x = t.input(net)
    assert.is_true(t.same(net:run(x).output:detach(), again:run(x).output:detach()))
  end)

  it("finds its sizes by itself", function()
    local path = tiny("small", { side = 32, channels = 4, classes = 3 })
    local again = assert(lu.load(path))
    assert.same({ 3, 32, 32 }, again.input)
    assert.same({ 3 }, again.output.shape)
    for _, make in ipairs {
      function()
        return lu.models.vgg11 { width = 1 / 32, fc = 9, classes = 4, side = 64 }
      end,
      function() return lu.models.vgg16 { width = { 2, 3, 4, 5, 6 }, top = false } end,
      function() return lu.models.squeezenet1_0 { classes = 6 } end,
      function() return lu.models.squeezenet1_0 { side = 64, conv10_padding = 0 } end,
      function() return lu.models.resnet18 { classes = 6, side = 64 } end,
    } do
      local net = blank(make())
      path = folder .. "/x.safetensors"
      assert(lu.save(net, path, { half = true }))
      local back = assert(lu.load(path))
      assert.equal(net.name, back.name)
      assert.equal((net:count_params()), (back:count_params()))
      assert.same(net:names(), back:names())
      for i, layer in ipairs(net:layers()) do
        assert.same(layer.shape, back:layers()[i].shape)
      end
    end
  end)

  it("is loaded whatever its layers are, with the same bits", function()
    for _, net in ipairs { t.own(), t.net(), t.graph() } do
      local path = folder .. "/any.safetensors"
      assert(lu.save(net, path, { meta = { note = "kept" } }))
      local again = assert(lu.load(path))
      assert.same(net.graph.layers, again.graph.layers)
      assert.same(net.graph.input, again.graph.input)
      assert.equal("kept", again.meta.note)
      assert.same(net.labels, again.labels)
      local x = t.input(net, 2)
      local a, b = net:run(x), again:run(x)
      assert.is_true(t.same(a.output:detach(), b.output:detach()))
      assert.is_true(t.same(a:gradient { score = 1 }, b:gradient { score = 1 }))
    end
  end)

  it("has layers with one weight and outputs by name", function()
    local net = assert(lu.net { input = { 4 }, outputs = { "b", "a" }, layers = {
      { "a", "linear", units = 4 },
      { "b", "linear", units = 4, shares = "a" },
      { "c", "add", from = { "b", 0 } } } }):init(3)
    assert.equal(20, (net:count_params()))
    assert.same({ "b", "a" }, net.outputs)
    local path = folder .. "/shared.safetensors"
    assert(lu.save(net, path))
    local again = assert(lu.load(path))
    assert.same({ "b", "a" }, again.outputs)
    assert.is_true(t.same(net.params["a.weight"], again.params["a.weight"]))
    assert.same(nil, again.params["b.weight"])
    local x = t.input(net)
    -- the gradient of a weight used twice is that of both uses: y = W (W x + b) + b,
    -- so d sum(y) / db = W^T 1 + 1
    local run = net:run(x, { watch = "parameters" })
    local g = run:parameter_gradients(run.output:sum())["a.bias"]
    local want = net.params["a.weight"]:sum { dims = { 1 } } + 1
    assert.is_true(t.off(g, want) < 1e-6)
    assert.is_true(t.same(again:run(x):preactivation "b",
                          again:run(again:run(x):preactivation "a"):preactivation "a"))
  end)

  it("by an earlier version, without a graph, still is", function()
    for _, make in ipairs {
      function() return lu.models.tiny_vgg { side = 32, channels = 4, classes = 3 } end,
      function()
        return lu.models.vgg11 { width = 1 / 32, fc = 9, classes = 4, side = 64 }
      end,
      function() return lu.models.squeezenet1_0 { side = 64, conv10_padding = 0 } end,
      function() return lu.models.squeezenet1_1 { classes = 3 } end,
      function() return lu.models.alexnet { classes = 3 } end,
      function() return lu.models.resnet34 { classes = 6, side = 64 } end,
    } do
      local net = blank(make())
      local path, list = folder .. "/old.safetensors", {}
      for name, tensor in pairs(net.params) do list[#list + 1] = { name, tensor } end
      local meta = { side = tostring(net.input[2]), labels = "imagenet",
                     preprocessing = "caffe", lunette_model = net.name }
      if net.conv10 then meta.conv10_padding = tostring(net.conv10.padding) end
      assert(core.write_weights(path, list, "f16", meta))
      local back = assert(lu.load(path))
      assert.equal(net.name, back.name)
      assert.same(net.input, back.input)
      assert.same(net.graph.layers, back.graph.layers)
      assert.equal("caffe", back.preprocessing)
    end
  end)

  it("keeps half of the bytes on request", function()
    local path, net = tiny "half"
    local size = require("lfs").attributes(path, "size")
    assert(lu.save(net, path, { half = true }))
    assert.is_true(require("lfs").attributes(path, "size") < 0.55 * size)
    local w = assert(lu.load(path)).params["conv_1_1.weight"]
    assert.is_true(w:distance(net.params["conv_1_1.weight"]) < 2 ^ -11)
  end)

  it("needs weights and a place", function()
    local bare = assert(lu.net(lu.models.tiny_vgg()))
    local path = folder .. "/y.safetensors"
    assert.matches("has no weights", t.message(lu.save, bare, path))
    local _, net = tiny "z"
    local made = folder .. "/made/here/z.safetensors"
    assert(lu.save(net, made)) -- as all that writes, it makes the folders
    assert.truthy(lu.load(made))
    local ok, message = lu.save(net, made .. "/z.safetensors")
    assert.is_nil(ok)
    assert.matches("cannot make folder '.*z.safetensors'", message)
    for suffix, says in pairs { h5 = "saved as .safetensors", pth = "as .safetensors",
                                onnx = "lu.export%(net, file%) writes .onnx" } do
      ok, message = lu.save(net, folder .. "/z." .. suffix)
      assert.is_nil(ok)
      assert.matches(says, message)
      assert.is_false(t.exists(folder .. "/z." .. suffix))
    end
  end)

  it("may be given to a network of one's own", function()
    local net = t.net()
    local path = folder .. "/own.safetensors"
    assert(lu.save(net, path))
    local twin = assert(load.file(path, t.net(9)))
    assert.is_true(t.same(net.params["fc.weight"], twin.params["fc.weight"]))
    assert.same(net:names(), assert(lu.load(path)):names())
    local other = t.graph()
    assert.matches("own.safetensors: no tensor 'stem.weight' for graph",
                   refusal(path, other))
  end)
end)


describe("a name", function()
  it("is looked for in the folders", function()
    local path = tiny "fancy"
    local before = load.folders
    load.folders = function() return { folder } end
    finally(function() load.folders = before end)
    assert.equal(path, load.find "fancy")
    assert.equal(path, assert(lu.load "fancy").path)
    assert.matches("no weights of alexnet on this machine; `lunette models`",
                   refusal "alexnet")
    assert.matches("model 'alexnt' not found; did you mean 'alexnet'", refusal "alexnt")
    assert.matches("model 'detect' not found", refusal "detect")
    assert.matches("model '' not found", refusal "")
    assert.matches("what should be string: .* got nil", t.message(lu.load))
  end)
end)


describe("a file that is none", function()
  it("is refused, not raised", function()
    assert.matches("No such file", refusal(folder .. "/none.safetensors"))
    assert.matches("a folder: name the model", refusal(folder))
    assert.matches("empty", refusal(t.spit(folder .. "/empty.safetensors", "")))
    assert.matches("no model file: neither HDF5 %(Keras%), .pth, safetensors nor ONNX",
                   refusal(t.spit(folder .. "/text.safetensors", ("hello "):rep(99))))
  end)

  it("is refused when cut anywhere in its header, or after", function()
    local path = tiny "cut"
    local bytes = t.read(path)
    local header = string.unpack("<I8", bytes) + 8
    local cut = folder .. "/cut2.safetensors"
    for i = 0, header do
      t.spit(cut, bytes:sub(1, i))
      local w, message = core.weights(cut)
      assert.is_nil(w)
      assert.matches("cut2", message)
    end
    for _, i in ipairs { header + 1, #bytes // 2, #bytes - 1 } do
      t.spit(cut, bytes:sub(1, i))
      assert.matches("truncated", refusal(cut))
    end
    t.spit(cut, bytes .. "\0")
    assert.matches("the file has", refusal(cut))
  end)
end)


describe("tensors of odd shapes", function()
  it("are no architecture, or the wrong shape; never a crash", function()
    local odd = { {}, { 0 }, { 1 }, { 10, 0 }, { 0, 3, 3, 3 }, { 10, 3, 3 },
                  { 10, 3, 3, 3 }, { 10, 1690, 1 }, { 3, 5 }, { 1, 1, 1, 1, 1, 1 } }
    for _, a in ipairs(odd) do
      for _, b in ipairs(odd) do
        if #a > 0 and #b > 0 then
          refusal(file("odd", { ["conv_1_1.weight"] = a, ["output.weight"] = b }))
          refusal(file("odd", { ["block1_conv1.weight"] = a, ["fc1.weight"] = b,
                                ["predictions.weight"] = b }))
          refusal(file("odd", { ["conv1.weight"] = a, ["fc8.weight"] = b }))
          refusal(file("odd", { ["conv1.weight"] = a, ["fc.weight"] = b,
                                ["layer4.1.conv2.weight"] = a }))
          refusal(file("odd", { ["conv1.weight"] = a, ["conv10.weight"] = b,
                                ["fire2.squeeze1x1.weight"] = a }))
        end
      end
    end
  end)

  it("are named with both shapes", function()
    local path, net = tiny "wrong"
    net.params["conv_2_1.weight"] = core.zeros(10, 10, 3, 4)
    assert(lu.save(net, path))
    assert.matches("tensor 'conv_2_1.weight' is %(10,10,3,4%), tiny_vgg wants "
                   .. "%(10,10,3,3%)", refusal(path))
    net.params["conv_2_1.weight"] = nil
    assert.matches("has no weights", t.message(lu.save, net, path))
  end)

  it("that are missing are named", function()
    local _, net = tiny "missing"
    local list = {}
    for name, value in pairs(net.params) do list[name] = value end
    list["conv_2_2.bias"], list["conv_2_2.bais"] = nil, net.params["conv_2_2.bias"]
    assert.matches("has no 'conv_2_2.bias'; has no place for 'conv_2_2.bais'",
                   refusal(file("missing", list)))
  end)
end)


describe("metadata", function()
  it("carries preprocessing and labels", function()
    local path = tiny("meta", nil, {
      preprocessing = '{"mean":[1,2,3],"std":[4,5,6],"order":"bgr","scale":0.5}',
      labels = '["a","b","c","d","e","f","g","h","i","j"]', extra = "kept" })
    local net = assert(lu.load(path))
    assert.same({ 1, 2, 3 }, net.preprocessing.mean)
    assert.equal("bgr", net.preprocessing.order)
    assert.equal("j", net.labels[10])
    assert.equal("kept", net.meta.extra)
    path = tiny("mode", nil, { preprocessing = "caffe", labels = "imagenet" })
    assert.equal("caffe", assert(lu.load(path)).preprocessing)
    assert.equal("imagenet", assert(lu.load(path)).labels)
  end)

  it("that makes no sense is refused", function()
    local cases = {
      { preprocessing = "coffee" }, { preprocessing = '{"men":[1,2,3]}' },
      { preprocessing = "{" }, { preprocessing = '{"mean":"x"}' },
      { labels = "../../etc/passwd" }, { labels = "[1,2]" }, { labels = "[" },
    }
    for i, meta in ipairs(cases) do
      local message = refusal((tiny("bad" .. i, nil, meta)))
      assert.matches("bad" .. i .. ".safetensors: metadata: .*", message)
      assert.matches(next(meta) == "labels" and "label" or "preprocessing", message)
    end
  end)
end)


describe("a graph in a file", function()
  local json = require "lunette.base.json"
  local conv = { name = "c", kind = "conv2d", filters = 2, kernel = 3 }

  local function with(graph, tensors)
    local text = type(graph) == "string" and graph or json.encode(graph)
    return file("hostile", tensors or { ["c.weight"] = { 2, 3, 3, 3 },
                                        ["c.bias"] = { 2 } }, { lunette_graph = text })
  end

  it("is taken as it is", function()
    local net = assert(lu.load(with { input = { 3, 8, 8 }, layers = { conv } }))
    assert.same({ 2, 6, 6 }, net.c.shape)
  end)

  it("of an earlier version may have a clamp without bounds", function()
    local open = { name = "open", kind = "clamp" }
    local net = assert(lu.load(with { input = { 3, 8, 8 }, layers = { conv, open } }))
    local run = net:run(lu.normal({ 1, 3, 8, 8 }, { seed = 1 }))
    assert.is_true(t.same(run.c, run.open))
    local path = folder .. "/again.safetensors"
    assert(lu.save(net, path))
    assert.equal("open", assert(lu.load(path)).open.name)
    local shut, message = lu.net { input = { 3, 8, 8 }, layers = { conv, open } }
    assert.is_nil(shut)
    assert.matches("'min' and 'max' are missing", message)
  end)

  it("is refused with its fault when it is none", function()
    local function says(text, graph, tensors)
      assert.matches(text, refusal(with(graph, tensors)))
    end
    local function layer(key, value)
      local l = { name = "c", kind = "conv2d", filters = 2, kernel = 3 }
      l[key] = value
      return { input = { 3, 8, 8 }, layers = { l } }
    end
    says("lunette_graph", "{")
    says("lunette_graph", "7")
    says("lunette_graph", ("["):rep(5000) .. ("]"):rep(5000))
    says("no list of layers", {})
    says("no list of layers", { layers = 3 })
    says("`input` is", { layers = { conv } })
    says("`input` is", { layers = { conv }, input = { 3, 1e9, 1e9 } })
    says("`input` is", { layers = { conv }, input = { 3, -1, 8 } })
    says("`input` is", { layers = { conv }, input = { 3, 8, 1, 1, 1, 1 } })
    says("its name is no text", { name = ("x"):rep(1000), input = { 3, 8, 8 },
                                  layers = { conv } })
    says("a layer is a table", { input = { 3, 8, 8 }, layers = { "relu" } })
    says("'c': its `from`", layer("from", { { 1 } }))
    says("'c': its `aliases`", layer("aliases", { 1, 2 }))
    says("'c': its `kind`", layer("kind", 3))
    says("no kind 'system'", layer("kind", "system"))
    says("'c': kernel is", layer("kernel", { 3, { 3 } }))
    says("'c': kernel", layer("kernel", 1e300))
    says("'c': reads 'nowhere'", layer("from", "nowhere"))
    says("'c': shares with 'd'", layer("shares", "d"))
    says("no attribute 'stide'", layer("stide", 2))
    local many = {}
    for i = 1, 8193 do many[i] = { name = "r" .. i, kind = "relu" } end
    says("8193 layers, at most 8192", { input = { 3, 8, 8 }, layers = many })
    says("outputs: there is no layer 'x'", { input = { 3, 8, 8 }, layers = { conv },
                                            outputs = { "x" } })
    says("`outputs` is a list", { input = { 3, 8, 8 }, layers = { conv },
                                  outputs = "c" })
    -- right by itself, but not that of these tensors
    says("tensor 'c.weight' is %(2,3,3,3%)", layer("filters", 4))
    says("no tensor 'c.bias'", { input = { 3, 8, 8 }, layers = { conv } },
         { ["c.weight"] = { 2, 3, 3, 3 } })
  end)
end)


describe("NaN weights", function()
  it("are warned of, by the tensor's name", function()
    local path, net = tiny "nan"
    net.params["conv_2_1.bias"][3] = 0 / 0
    assert(lu.save(net, path))
    local warned, loaded = t.warnings(lu.load, path)
    assert.equal(1, #warned)
    assert.matches("nan.safetensors: tensor 'conv_2_1.bias' holds NaN", warned[1])
    warned = t.warnings(function()
      local run = loaded:run(t.input(loaded))
      lu.saliency(run, { score = 1 })
      run:top(5)
      return tostring(run)
    end)
    assert.is_true(#warned > 0)
  end)
end)


describe("the reference networks", function()
  local function shared(name)
    local path = t.shared .. "/models/" .. name .. ".safetensors"
    if t.exists(path) then return path end
    pending("models/" .. name .. ": no reference material")
    return nil
  end

  it("are Tiny VGG", function()
    local path = shared "tiny_vgg"
    if not path then return end
    local net = assert(lu.load(path))
    assert.equal("tiny_vgg", net.name)
    assert.equal(19920, (net:count_params()))
  end)

  it("are SqueezeNet", function()
    local path = shared "squeezenet1_0"
    if not path then return end
    local net = assert(lu.load(path))
    assert.same({ 3, 227, 227 }, net.input)
    assert.same({ 512, 13, 13 }, net["fire9.concat"].shape)
    assert.same({ 1000, 15, 15 }, net.conv10.shape)
    local images = assert(net:images {
      t.shared .. "/images/n01514859_hen.JPEG",
      t.shared .. "/images/n01608432_kite.JPEG" })
    local run = net:run(images, { modifiers = { "linear" } })
    assert.same({ 2, 1000 }, run.output:shape())
    local names = {}
    for _, c in ipairs(run:top(5)[1]) do names[c.class] = true end
    assert.is_true(names[8] or names[7]) -- hen, cock
  end)
end)

describe("lu.load", function()
  it("refuses what it does not take", function()
    local message = t.message(lu.load, "glyphs", { sides = 454 })
    assert.matches("no option 'sides'; did you mean 'side'", message, 1, true)
    assert.matches("slide needs side", t.message(lu.load, "glyphs", { slide = true }))
    assert.matches("got 3", t.message(lu.load, "glyphs", 3))
  end)
end)


describe("another size", function()
  local function saved(layers)
    local arch = { name = "n", input = { 3, 8, 8 }, layers = layers }
    local net = assert(lu.net(arch)):init(1)
    local path = folder .. "/n.safetensors"
    assert(lu.save(net, path))
    return path, net
  end

  local conv = { "conv", "conv2d", filters = 4, kernel = 3, padding = 1 }
  local head = { conv, { "relu", "relu" }, { "pool", "max_pool2d", kernel = 2 },
                 { "flat", "flatten" }, { "fc1", "linear", units = 5 },
                 { "fc1_relu", "relu" }, { "fc2", "linear", units = 3 },
                 { "softmax", "softmax" } }

  it("is taken where the graph means the same", function()
    local path, net = saved { conv, { "relu", "relu" }, { "mean", "global_avg_pool" },
                              { "flat", "flatten" }, { "fc", "linear", units = 3 } }
    local large = assert(lu.load(path, { side = { 11, 14 } }))
    assert.same({ 3, 11, 14 }, large.input)
    local x = t.input(large, 1)
    local same = assert(lu.load(path, { input = { 3, 8, 8 } }))
    assert.same(net.input, same.input)
    local map = (x:conv2d(large.params["conv.weight"], large.params["conv.bias"],
                          { padding = 1 })):relu():mean { dims = { 3, 4 } }
    local want = map:linear(large.params["fc.weight"], large.params["fc.bias"])
    assert.is_true(large:run(x).output:detach():distance(want) < 1e-6)
  end)

  it("is refused where it does not, and says why", function()
    local path = saved(head)
    local nothing, message = lu.load(path, { side = 12 })
    assert.is_nil(nothing)
    assert.matches("3x8x8, not of 3x12x12: 'fc1.weight' is 5x64, this size would want "
      .. "5x144; slide = true", message, 1, true)
    local up = { conv, { "up", "index_select", dim = 3, from = { "conv",
                 { param = "index", shape = { 2 }, frozen = true, init = 1 } } } }
    nothing, message = lu.load((saved(up)), { side = 12 })
    assert.is_nil(nothing)
    assert.matches("layer 'up' %(index_select%) is made for a map of 4x8x8", message)
    assert.matches("option 'side' should be integer|integer%[%], got 'a'",
                   t.message(lu.load, path, { side = "a" }))
    for _, side in ipairs { 0, -3, 1.5, 2 ^ 20 } do
      nothing, message = lu.load(path, { side = side })
      assert.is_nil(nothing)
      assert.matches("side is a number of pixels", message)
    end
  end)

  it("slides a dense head: the mean over places of what crops would say", function()
    local path, net = saved(head)
    local large = assert(lu.load(path, { input = { 3, 12, 10 }, slide = true }))
    assert.same({ 3, 3, 2 }, large.fc2.shape)
    assert.equal("global_avg_pool", large.slide_mean.kind)
    local x = t.input(large, 1)
    local maps = large:run(x):preactivation "fc2"
    -- a crop's own border differs by the convolution's padding: compare without it
    local whole = x:conv2d(net.params["conv.weight"], net.params["conv.bias"],
                           { padding = 1 }):relu()
    local pooled = whole:narrow(3, 3, 8):narrow(4, 3, 8):max_pool2d { kernel = 2 }
    local p = net.params
    local y = pooled:view(1, 64):linear(p["fc1.weight"], p["fc1.bias"]):relu()
      :linear(p["fc2.weight"], p["fc2.bias"])
    for k = 1, 3 do assert.near(y[1][k], maps[1][k][2][2], 1e-5) end
    local run = large:run(x, { modifiers = { "linear" } })
    assert.is_true(run.output:detach():distance(maps:mean { dims = { 3, 4 } }) < 1e-6)
  end)
end)


describe("lunette import --name", function()
  it("keeps a network where lu.load finds it by that name", function()
    local home = folder .. "/a new home"
    local function program(arguments)
      return t.shell(("LUNETTE_MODELS= XDG_DATA_HOME='%s' '%s/lunette' %s"):format(home,
                     t.root(), arguments))
    end
    local source = t.root() .. "/tests/data/import/auto_names.weights.h5"
    local code, text = program(("import '%s' --name vgg16"):format(source))
    assert(code == 0, text)
    assert.is_true(t.exists(home .. "/lunette/vgg16.safetensors"))
    code, text = program "-e 'print((lu.load \"vgg16\").path)'"
    assert(code == 0, text)
    assert.equal(home .. "/lunette/vgg16.safetensors\n", text)
    assert.equal(0, (program(("import '%s' --name vgg16"):format(source)))) -- the same
    code, text = program(("import '%s' --name ../vgg16"):format(source))
    assert.is_true(code ~= 0)
    assert.matches("a name in the store has letters", text)
    assert.matches("not both", select(2, program(("import '%s' --name a -o b"):format(
      source))))
  end)
end)
