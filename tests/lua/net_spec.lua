-- Networks: building from tables, names, parameters, summaries.
local core = require "lunette.core"
local kinds = require "lunette.layers"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"


local function refusal(layers, input)
  local net, message = lu.net { input = input or { 3, 8, 8 }, layers = layers }
  assert.is_nil(net)
  return message
end


describe("a class id", function()
  it("has a name, and is no position", function()
    local net = assert(lu.load "glyphs")
    local run = net:run(assert(net:images(lu.glyphs.default_images(1).images)))
    local top = run:top(1)[1][1]
    assert.equal(top.name, net:label(top.class))
    assert.equal(top.class + 1, math.tointeger((run:probabilities()[1]:argmax())))
    assert.is_nil((net:label(10)))
    assert.matches("from 0; got 'disc'", select(2, pcall(net.label, net, "disc")))
  end)
end)


describe("pictures", function()
  local net = assert(lu.net { name = "tiny", input = { 3, 4, 4 }, layers = {
    { "flat", "flatten" }, { "out", "linear", units = 2 } } })
  local one, other = lu.full(10, 3, 4, 4), lu.full(200, 3, 4, 4)

  it("come from the fallback where none are named", function()
    local asked
    local function fallback(n)
      asked = n
      return { one, other }, { "a/first.png", "second" }
    end
    local x = assert(net:images { image = {}, fallback = fallback })
    assert.equal(net, asked)
    assert.same({ "a/first.png", "second" }, x.names)
    assert.same({ "first", "second" }, x.titles)
    assert.is_true(t.same(x, (net:images { one, other })))
    asked = nil
    x = assert(net:images { image = { other }, fallback = fallback })
    assert.is_nil(asked)
    assert.same({ "picture 1" }, x.names)
    x = table.pack(net:images { fallback = function() return nil, "none here" end })
    assert.same({ nil, "none here", n = 2 }, x)
  end)

  it("of lu.cli bring their classes, unless others were given", function()
    local glyphs = assert(lu.load "glyphs")
    local scenes = lu.glyphs.default_images(4)
    local spec = { "x.lua [image ...]", model = "glyphs", classes = "8" }
    local args = require("lunette.commands.cli").options(spec, {})
    local x = assert(glyphs:images(args))
    assert.same(scenes.names, x.names)
    assert.same(scenes.labels, args.classes)
    args = require("lunette.commands.cli").options(spec, { "--classes", "3" })
    assert(glyphs:images(args))
    assert.equal("3", args.classes)
  end)
end)


describe("a table of layers", function()
  it("becomes a network", function()
    local net = t.net()
    assert.same({ 8, 4, 4 }, net.relu2.shape)
    assert.same({ "flatten" }, net.fc.from)
    assert.equal("conv1", net["features.0"].name)
    assert.equal(6 * 28 + 8 * (54 + 1) + 7 * 129 + 5 * 8, net:count_params())
    assert.equal(10, #net:layers())
    assert.equal(2, #net:find "conv")
    assert.equal("pool1", net:layers("max_pool2d")[1].name)
    assert.matches("conv1: conv2d %-> %(6, 12, 12%)", tostring(net.conv1))
  end)

  it("is refused with the layer's name", function()
    assert.matches("'c': no kind 'conv'; did you mean 'conv2d'",
                   refusal { { "c", "conv" } })
    assert.matches("no kind 'a'; a layer is { name, kind, ... }, its name first",
                   refusal { { "conv2d", "a" } }, 1, true)
    assert.matches("'c' has no kind", refusal { { "c" } })
    assert.matches("no name", refusal { { kind = "relu" } })
    assert.matches("got string", refusal { "relu" })
    assert.matches("at least one layer", refusal {})
    assert.matches("'a': reads 'b', which is not before it",
                   refusal { { "a", "relu", from = "b" } })
    assert.matches("two layers are named 'a'",
                   refusal { { "a", "relu" }, { "a", "relu" } })
    assert.matches("two layers are named 'input'", refusal { { "input", "relu" } })
  end)

  it("is refused for attributes that make no sense", function()
    local function conv(extra)
      local layer = { "c", "conv2d", filters = 4, kernel = 3 }
      for key, value in pairs(extra) do layer[key] = value end
      return refusal { layer }
    end
    assert.matches("'c': conv2d has no attribute 'stide'; did you mean 'stride'",
                   conv { stide = 2 })
    assert.matches("'c': kernel is a whole number from 1 on, got 0",
                   conv { kernel = 0 })
    assert.matches("'c': 'stride' is 0, must be 1", conv { stride = 0 })
    assert.matches("'c': 'padding' is %-1, must be 0", conv { padding = -1 })
    assert.matches("'c': padding is a number, true", conv { padding = "same" })
    assert.matches("'c': padding is a number, true", conv { padding = { x = 1 } })
    assert.matches("'c': .*'padding' wants a number or a list of at most 2",
                   conv { padding = { 1, 1, 1 } })
    assert.matches("'c': kernel is a number or a pair", conv { kernel = { 1, 2, 3 } })
    assert.matches("'c': kernel spans 9 in height, padded input has 8",
                   conv { kernel = 9 })
    assert.matches("2 groups do not divide 3 channels", conv { groups = 2 })
    assert.matches("3 groups do not divide 3 channels and 4 filters",
                   conv { groups = 3, filters = 4 })
    assert.matches("conv2d needs `filters`", refusal { { "c", "conv2d", kernel = 3 } })
    assert.matches("linear needs `units`", refusal { { "c", "linear" } })
    assert.matches("flatten it first", refusal { { "c", "linear", units = 2 } })
    assert.matches("'c': 'kernel' is missing", refusal { { "c", "max_pool2d" } })
    assert.matches("'c': conv2d wants %(C,H,W%)",
                   refusal({ { "c", "conv2d", filters = 1, kernel = 1 } }, { 5 }))
  end)

  it("has dense weights in either layout, with the same values", function()
    local function net(layout)
      return assert(lu.net { input = { 6 }, layers = {
        { "a", "linear", units = 4, weight_layout = layout }, { "r", "relu" },
        { "b", "linear", units = 3, weight_layout = layout } } }):init(7)
    end
    local plain, other, default = net "out_in", net "in_out", net(nil)
    assert.same({ 4, 6 }, default.params["a.weight"]:shape())
    assert.same({ 6, 4 }, other.params["a.weight"]:shape())
    for _, name in ipairs { "a.weight", "b.weight" } do
      assert.is_true(plain.params[name]:same(default.params[name]))
      assert.is_true(plain.params[name]:permute { dims = { 2, 1 } }
                     :same(other.params[name]))
    end
    local x = core.normal(2, 1, { 5, 6 })
    local p, q = plain:run(x, { watch = "parameters" }),
      other:run(x, { watch = "parameters" })
    assert.is_true(p.output:distance(q.output) < 1e-6)
    assert.is_true(p:gradient { score = 1 }:distance(q:gradient { score = 1 }) < 1e-6)
    local g = p:parameter_gradients(p.output:sum())
    for name, other_g in pairs(q:parameter_gradients(q.output:sum())) do
      local want = other_g:dim() == 2 and g[name]:permute { dims = { 2, 1 } } or g[name]
      assert.is_true(other_g:distance(want) < 1e-6, name)
    end
    -- a rule sees the weight as it is, and how
    local node = q:node "a"
    assert.same({ 6, 4 }, node.weight:shape())
    assert.equal("in_out", node.attrs.weight_layout)
    assert.equal("out_in", p:node("a").attrs.weight_layout)
    assert.matches("weight_layout is one of 'out_in', 'in_out', got 'io'",
                   select(2, lu.net { input = { 6 }, layers = {
                     { "a", "linear", units = 4, weight_layout = "io" } } }))
    assert.matches("'weight_layout' is one of 'out_in', 'in_out', got 'up'",
                   t.message(core.ops.linear, x, plain.params["a.weight"],
                             { weight_layout = "up" }))
  end)

  it("is refused for branches that do not fit", function()
    local half = { "half", "max_pool2d", kernel = 2, from = "input" }
    assert.matches("'j': input 1 has shape %(1, 3, 8, 8%), input 2 has %(1, 3, 4, 4%)",
      refusal { { "a", "relu" }, half, { "j", "concat", from = { "a", "half" } } })
    assert.matches("'s': .*%(1, 3, 8, 8%) and %(1, 3, 4, 4%)", refusal {
      { "a", "relu" }, half, { "s", "add", from = { "a", "half" } } })
    assert.matches("'s': takes 2 to 2 inputs, got 1", refusal { { "s", "add" } })
  end)

  it("needs an input", function()
    assert.matches("needs `input", t.message(lu.net, { layers = {} }))
    assert.matches("needs `input", t.message(lu.net, { input = {}, layers = {} }))
    assert.matches("needs `input", t.message(lu.net, { input = { 3, 0, 8 },
                                                       layers = {} }))
    assert.matches("be table: { name =.*got 'vgg16'", t.message(lu.net, "vgg16"))
  end)

  it("has the operators' shapes for windows of every kind", function()
    for _, o in ipairs {
      { kernel = 3 }, { kernel = 3, stride = 2 },
      { kernel = { 3, 1 }, stride = { 1, 2 } },
      { kernel = 3, stride = 2, padding = 1 }, { kernel = 2, stride = 2 },
      { kernel = 3, stride = 2, ceil_mode = true },
      { kernel = 2, stride = 3, padding = 1, ceil_mode = true },
    } do
      local pool, conv = { "p", "max_pool2d" }, { "c", "conv2d", filters = 2 }
      for key, value in pairs(o) do
        pool[key] = value
        if key ~= "ceil_mode" then conv[key] = value end
      end
      for _, layer in ipairs { pool, conv } do
        for _, side in ipairs { 7, 8, 9, 10 } do
          local net = assert(lu.net { input = { 3, side, side + 1 },
                                      layers = { layer } })
          local run = net:init(1):run(t.input(net, 2))
          local shape = run.output:shape()
          table.remove(shape, 1)
          assert.same(net:layers()[1].shape, shape)
        end
      end
    end
  end)

  it("has weights by seed", function()
    local a, b, c = t.net(1), t.net(1), t.net(2)
    assert.is_true(t.same(a.params["conv1.weight"], b.params["conv1.weight"]))
    assert.is_false(t.same(a.params["conv1.weight"], c.params["conv1.weight"]))
    -- He: uniform within sqrt(6 / fan in)
    assert.is_true(a.params["conv1.weight"]:abs():stats().max <= (6 / 27) ^ 0.5)
    assert.equal(0, a.params["conv1.bias"]:stats().l2)
  end)
end)


describe("an operator", function()
  local words = { activation = true, probability = true, weighted = true, join = true,
                  normalisation = true, pooling = true, dropout = true, padding = true,
                  elementwise = true, view = true, selection = true, reduction = true,
                  resizing = true, comparison = true, transform = true,
                  position = true }

  it("is a kind of layer that says what it is", function()
    for name in pairs(core.ops) do
      local kind, info = kinds.kinds[name], core.op_info(name)
      assert.truthy(kind, name .. " is no kind of layer")
      assert.truthy(next(kind.is), name .. " says nothing of what it is (ops.def)")
      for word in pairs(kind.is) do
        assert.truthy(words[word], ("%s is '%s', no word of ours"):format(name, word))
      end
      local rules = " " .. table.concat(info.rules, " ") .. " "
      -- guided backpropagation is for units that gate, whatever they are called
      if rules:find(" guided ", 1, true) then
        assert.truthy(kind.is.activation, name .. " has rules of a unit, but is none")
      end
      for _, key in ipairs(kind.order or {}) do
        assert.truthy(kind.params, ("%s takes '%s' from nowhere"):format(name, key))
      end
    end
  end)

  it("is asked by layer or by kind", function()
    local net = t.net()
    assert.is_true(kinds.is(net.relu1, "activation"))
    assert.is_true(kinds.is("sigmoid", "probability"))
    assert.is_false(kinds.is(net.conv1, "activation"))
    assert.is_false(kinds.is("no such kind", "pooling"))
  end)
end)


describe("a network as data", function()
  it("is what lu.net takes, in one form", function()
    local net = t.own()
    local graph = net.graph
    assert.same({ name = "conv", kind = "conv2d", filters = 8, kernel = 3, padding = 1,
                  bias = false }, graph.layers[1])
    local again = assert(lu.net(graph))
    assert.same(graph, again.graph)
    assert.are_not.equal(graph, again.graph)
    assert.same(net:names(), again:names())
    graph.layers[1].filters = 99 -- a copy of the table is that of the other network
    assert.equal(8, again.graph.layers[1].filters)
  end)

  it("names its outputs", function()
    local function net(outputs)
      return lu.net { input = { 4 }, outputs = outputs, layers = {
        { "a", "linear", units = 2 }, { "b", "relu" } } }
    end
    assert.same({ "b" }, assert(net()).outputs)
    assert.same({ "a", "b" }, assert(net { "a", "b" }).outputs)
    assert.matches("there is no layer 'c'", select(2, net { "c" }))
    assert.matches("'a' is named twice", select(2, net { "a", "a" }))
    assert.matches("the list is empty", select(2, net {}))
  end)

  it("has no other keys", function()
    assert.matches("a network has no 'layer'; did you mean 'layers'",
                   t.message(lu.net, { input = { 4 }, layers = {}, layer = 1 }))
  end)

  it("refuses layers that cannot share", function()
    local function bad(extra)
      local second = { "b", "linear", units = 3, shares = "a" }
      for key, value in pairs(extra) do second[key] = value end
      return refusal({ { "a", "linear", units = 3 }, second }, { 3 })
    end
    assert.matches("'b': its weight %(5,3%) is not that of 'a'", bad { units = 5 })
    assert.matches("'b': shares with 'c', which is not before it", bad { shares = "c" })
    local twice = assert(lu.net { input = { 3 }, layers = {
      { "a", "linear", units = 3 }, { "b", "linear", units = 3, shares = "a" } } })
    assert.equal(12, (twice:count_params()))
    assert.matches("shares with a", tostring(twice.b))
  end)
end)


describe("layers of any operator", function()
  it("make squeeze-and-excite, channel shuffles, learned scales", function()
    local net = t.own()
    assert.same({ 8, 6, 6 }, net.excited.shape)
    assert.same({ 2, 4, 6, 6 }, net.grouped.shape)
    assert.same({ 4, 2, 6, 6 }, net.swapped.shape)
    assert.same({ 8, 6, 6 }, net.shuffled.shape)
    assert.same({ 8 }, net.squeeze.shape)
    assert.same({ "shuffled" }, net.scaled.from)
    assert.same({ 8, 1, 1 }, net.scaled.params[1].shape)
    local x = t.input(net, 3)
    local run = net:run(x)
    for _, layer in ipairs(net:layers()) do
      local shape = run:preactivation(layer.name):shape()
      assert.equal(3, table.remove(shape, 1))
      assert.same(layer.shape, shape, layer.name)
    end
    -- by hand: channels 1 5 2 6 3 7 4 8 of the excited maps, halved, and taken from 1
    local a, b = run:preactivation "excited", run:preactivation "shuffled"
    for i, c in ipairs { 1, 5, 2, 6, 3, 7, 4, 8 } do
      assert.is_true(t.same(a:narrow(2, c, 1), b:narrow(2, i, 1)))
    end
    local gamma = net.params["scaled.gamma"]
    assert.is_true(t.same(b * gamma, run:preactivation "scaled"))
    assert.is_true(t.same(1 - run:preactivation "scaled",
                          run:preactivation "flipped"))
    -- every picture by itself
    local one = net:run(x:rows(2, 2)).output:detach()
    assert.is_true(one:distance(run.output:detach():rows(2, 2)) < 1e-6)
  end)

  it("have true gradients", function()
    local net = t.own()
    local x = t.input(net, 1)
    local g = net:run(x):gradient { score = 1 }
    local e = 1e-2
    for _, at in ipairs { { 1, 2, 3 }, { 2, 5, 1 }, { 3, 6, 6 } } do
      local step = core.zeros(x:shape())
      step[1][at[1]][at[2]][at[3]] = e
      local up = net:run(x + step).output:detach()[1][2]
      local down = net:run(x - step).output:detach()[1][2]
      -- float32 output near 0.3: rounding 3e-8 / e and curvature e^2 stay below 2e-4
      assert.near((up - down) / (2 * e), g[1][at[1]][at[2]][at[3]], 2e-4)
    end
  end)

  it("of a narrow MobileNet end as wide as those of the usual one", function()
    for width, last in pairs { [0.5] = 1280, [1] = 1280, [1.4] = 1792 } do
      local layers = lu.models.mobilenet_v2({ width = width }).layers
      for _, layer in ipairs(layers) do
        if layer[1] == "features.18.0" then assert.equal(last, layer.filters) end
        if layer[1] == "features.0.0" then
          assert.equal(({ [0.5] = 16, [1] = 32, [1.4] = 48 })[width], layer.filters)
        end
      end
    end
  end)

  it("leave the batch alone", function()
    local function bad(layer, input)
      return refusal({ layer }, input)
    end
    local mixes = "mixes the pictures of a batch"
    assert.matches("'m': dims: dimension 1 is the batch",
                   bad { "m", "permute", dims = { 2, 1, 3, 4 } })
    assert.matches("'m': dims: dimension 1 is the batch",
                   bad { "m", "mean", dims = { 1, 2 } })
    assert.matches("'m': dim: dimension 1 is the batch",
                   bad { "m", "softmax", dim = -4 })
    assert.matches("'m': shift: dimension 1 is the batch",
                   bad { "m", "roll", shift = 1 })
    assert.matches("'m': before: dimension 1 is the batch",
                   bad { "m", "pad", before = { 1, 0, 0, 0 } })
    assert.matches("'m': mean " .. mixes, bad { "m", "mean" })
    assert.matches("'m': index_select " .. mixes,
                   bad { "m", "index_select", from = { "input", { param = "i",
                         shape = { 3 } } } })
    -- (N,2) against (N,3,2,8): with two pictures it would fit by accident
    assert.matches("'m': mul", (refusal({
      { "v", "mean", dims = { 2, 4 } }, { "m", "mul", from = { "input", "v" } },
    }, { 3, 2, 2 })))
    assert.is_nil(lu.net { input = { 3, 2, 2 }, layers = {
      { "v", "mean", dims = { 2, 4 } }, { "m", "mul", from = { "input", "v" } } } })
  end)

  it("have copies of each picture in the batch, until they are put together", function()
    local arch = { input = { 4, 2, 5, 5 }, layers = {
      { "apart", "reshape", shape = { 2, 5, 5 }, copies = 4 },
      { "conv1", "conv2d", filters = 3, kernel = 3 }, { "relu1", "relu" },
      { "one", "reshape", shape = { 4, 3, 3, 3 }, copies = 1 },
      { "mean", "mean", dims = { 2 } } } }
    local net = assert(lu.net(arch)):init(4)
    local x = core.normal(3, 1, 2, 4, 2, 5, 5)
    local run = net:run(x)
    local by_hand = core.ops.conv2d(x:reshape { 8, 2, 5, 5 }, net.conv1.weight,
                                    net.conv1.bias, {}):relu()
    assert.is_true(run.relu1:same(by_hand))
    assert.is_true(run.output:same(by_hand:reshape { 2, 4, 3, 3, 3 }
      :mean { dims = { 2 } }))
    -- the gradient of the sum is that of every copy by itself, a quarter
    local g = run:gradient { score = function(y)
      return y:sum { dims = { 2, 3, 4 } } end }
    local alone = assert(lu.net { input = { 2, 5, 5 }, layers = {
      { "conv1", "conv2d", filters = 3, kernel = 3 }, { "relu1", "relu" } } })
    alone.conv1.weight, alone.conv1.bias = net.conv1.weight, net.conv1.bias
    local own = alone:run(x:reshape { 8, 2, 5, 5 }):gradient { score = function(y)
      return y:sum { dims = { 2, 3, 4 } } end }
    assert.is_true(g:distance(own:reshape(x:shape()) * 0.25) < 1e-6)
    local path = os.tmpname()
    assert(lu.save(net, path))
    assert.is_true(assert(lu.load(path)):run(x).output:same(run.output))
    os.remove(path)
  end)

  it("refuse copies that do not fit", function()
    local function apart(copies, ...)
      return refusal({ { "a", "reshape", shape = { 3, 2 }, copies = copies }, ... },
                     { 4, 3, 2 })
    end
    assert.matches("outputs: 'a' has 4 copies of each picture", apart(4))
    assert.matches("copies is a whole number from 1 on, got 0", apart(0))
    assert.matches("'a': ", apart(5))
    assert.matches("'b': reads 4 and 1 copies of a picture",
                   apart(4, { "b", "add", from = { "a", "input" } }))
    assert.matches("reshape.* no attribute 'copys'",
                   refusal({ { "a", "reshape", shape = { 2 }, copys = 2 } }, { 4 }))
  end)

  it("take numbers and parameters of their own among their inputs", function()
    assert.matches("'m': its parameter 'g' needs `shape", refusal {
      { "m", "mul", from = { "input", { param = "g" } } } })
    assert.matches("'m': a parameter among its inputs is", refusal {
      { "m", "mul", from = { "input", { param = "g.h", shape = { 1 } } } } })
    assert.matches("'m': reads no layer", refusal { { "m", "mul", from = { 1, 2 } } })
    assert.matches("'m': .*%(1, 3, 8, 8%) and %(5%)", refusal {
      { "m", "mul", from = { "input", { param = "g", shape = { 5 } } } } })
    local net = assert(lu.net { input = { 2 }, layers = {
      { "a", "mul", from = { "input", { param = "g", shape = { 2 } } } },
      { "b", "add", from = { "a", { param = "g", shape = { 2 }, frozen = true },
                             "input", 3 } } } }):init(1)
    net.params["a.g"] = lu.tensor { 2, 3 }
    local y = net:run(lu.tensor { { 10, 20 } }).output:detach()
    assert.same({ 10 * 2 + 10 + 3, 20 * 3 + 20 + 3 }, { y[1][1], y[1][2] })
    local total, frozen = net:count_params()
    assert.same({ 4, 2 }, { total, frozen })
  end)
end)


describe("names", function()
  it("suggest the nearest", function()
    local net = assert(lu.net(lu.models.vgg16()))
    local layer, message = net:layer "block5_conv4"
    assert.is_nil(layer)
    assert.matches("layer 'block5_conv4' not found in vgg16; did you mean 'block5_conv",
                   message)
  end)

  it("mean the activated output where Keras says so", function()
    local net = assert(lu.net(lu.models.vgg16()))
    assert.equal("block5_relu3", net:activated("block5_conv3").name)
    assert.equal("block5_conv3", net:activated("features.28").name)
    assert.equal("block5_relu3", net:activated("features.29").name)
    assert.equal("block5_relu3", net:activated("relu5_3").name)
    assert.equal("fc1_relu", net:activated("fc1").name)
    assert.equal("predictions", net:activated("predictions").name)
    assert.equal("block5_relu3", net:last_conv().name)
    assert.equal("block5_conv3", net:layer("block5_conv3").name)
  end)

  it("of groups mean the last layer inside, as it is", function()
    local net = assert(lu.net(lu.models.resnet18()))
    assert.equal("layer4.1.relu2", net:layer("layer4").name)
    assert.equal("layer4.0.relu2", net["layer4.0"].name)
    assert.equal("layer1.1.relu2", net:activated("layer1").name)
    assert.is_true(net:has "layer3")
    assert.is_false(net:has "layer5")
    assert.matches("did you mean 'layer%d'", select(2, net:layer "layer5"))
    net = assert(lu.net(lu.models.resnet18_cifar())) -- pytorch-cifar100's names
    assert.equal("layer4.1.relu2", net:layer("conv5_x").name)
    assert.equal("layer1.0.relu2", net["conv2_x.0"].name)
    net = assert(lu.net(lu.models.vgg16()))
    assert.equal("block5_pool", net.block5.name)
    assert.equal("block5_pool", net:activated("features").name)
    assert.equal("features.30", net.features.aliases[2])
    net = assert(lu.net(lu.models.squeezenet1_1()))
    assert.equal("fire9.concat", net.fire9.name)
    assert.equal("fire9.concat", net.features.name) -- the whole module
    assert.equal("fire5.concat", net["features.7"].name)
    -- "relu_conv1" is of no group: `relu` stays the kind, for modifiers
    assert.is_false(net:has "relu")
    local groups = {}
    for _, name in ipairs(net:groups()) do groups[name] = true end
    assert.is_true(groups.fire2 and groups.fire9 and groups["features.3"])
    -- and a run gives their values
    net = t.net()
    local run = net:run(t.input(net))
    assert.is_true(t.same(run:activation "features.1", run.features))
  end)

  it("say where the last map is", function()
    local last = { resnet18 = "layer4.1.relu2", vgg16 = "block5_relu3",
                   squeezenet1_0 = "relu_conv10", alexnet = "relu5",
                   tiny_vgg = "relu_2_2", vit_b_32 = "conv_proj" }
    for model, name in pairs(last) do
      local net = assert(lu.net(lu.models[model]()))
      assert.equal(name, net:last_map().name)
    end
    local net = assert(lu.net(lu.models.resnet18()))
    assert.equal("layer4.1.conv2", net:last_conv().name) -- before its batch norm
    assert.equal("scaled", assert(lu.net {
      input = { 2, 4, 4 }, layers = {
        { "conv", "conv2d", filters = 3, kernel = 1 },
        { "norm", "batch_norm" },
        { "scaled", "mul", from = { "norm", 2 } },
        { "drop", "dropout" },
        { "padded", "pad", before = { 0, 0, 1, 1 } },
        { "pool", "avg_pool2d", kernel = 2 },
        { "flat", "flatten" },
        { "out", "linear", units = 3 },
        { "aside", "relu", from = "input" } }, outputs = { "out" } }):last_map().name)
    assert.is_nil(assert(lu.net { input = { 4 }, layers = {
      { "out", "linear", units = 3 } } }):last_map())
  end)

  it("say where the last map is of a network whose output is one", function()
    local function last(tail)
      local list = { { "down", "conv2d", filters = 3, kernel = 3, stride = 2 },
                     { "seen", "relu6" }, { "gate", "sigmoid", from = "seen" },
                     { "gated", "mul", from = { "seen", "gate" } },
                     { "hidden", "relu" }, { "score", "conv2d", filters = 2,
                                             kernel = 1 } }
      table.move(tail, 1, #tail, #list + 1, list)
      return assert(lu.net { input = { 2, 8, 8 }, layers = list }):last_map().name
    end
    local up = { "up", "interpolate", size = { 8, 8 } }
    assert.equal("hidden", last {})
    assert.equal("hidden", last { up })
    assert.equal("hidden", last { up, { "p", "sigmoid" } })
    assert.equal("hidden", last { { "p", "softmax", dim = 2 }, up })
  end)

  it("stop at a layer that several read", function()
    local net = t.graph()
    assert.equal("norm", net:activated("norm").name)
    assert.equal("stem_relu", net:activated("stem").name)
  end)
end)


describe("what is assigned", function()
  local net

  before_each(function()
    net = assert(lu.net { name = "small", input = { 3, 8, 8 }, layers = {
      { "conv1", "conv2d", filters = 2, kernel = 3 }, { "relu1", "relu" },
      { "flat", "flatten" }, { "fc", "linear", units = 2 } } }):init(7)
  end)

  it("to a layer's parameter is what the network computes with", function()
    local x = t.input(net)
    net.fc.weight = net.fc.weight * 0
    net.fc.bias = lu.tensor { 3, 4 }
    assert.same({ 3, 4 }, net:run(x).output:table()[1])
    assert.equal(net.params["fc.bias"], net.fc.bias)
    assert.matches("fc.bias is a tensor %(2%), got a tensor %(3%)",
                   t.message(function()
      net.fc.bias = lu.zeros(3)
    end))
    assert.matches("fc.weight is a tensor %(2,72%), got nil",
                   t.message(function()
      net.fc.weight = nil
    end))
    net.fc.note = "mine"
    assert.equal("mine", net.fc.note)
  end)

  it("to a layer's name is an error, of a network and of a run", function()
    local run = net:run(t.input(net))
    assert.matches("net_spec.*'conv1' is a layer of small",
                   t.message(function()
      net.conv1 = 3
    end))
    assert.matches("net_spec.*'relu1' is what a layer put out",
                   t.message(function()
      run.relu1 = 3
    end))
    net.note, run.note = "mine", "too"
    assert.same({ "mine", "too" }, { net.note, run.note })
  end)
end)


describe("the architectures", function()
  it("are summed up as Keras does", function()
    local text = assert(lu.net(lu.models.vgg16())):summary()
    assert.matches('Model: "vgg16"', text)
    assert.matches("block1_conv1 %(Conv2D%)%s+%(None, 224, 224, 64%)%s+1,792\n", text)
    assert.matches("block5_pool %(MaxPooling2D%)%s+%(None, 7, 7, 512%)%s+0\n", text)
    assert.matches("fc1 %(Dense%)%s+%(None, 4096%)%s+102,764,544\n", text)
    assert.matches("predictions %(Dense%)%s+%(None, 1000%)%s+4,097,000\n", text)
    assert.matches("Total params: 138,357,544 %(527.79 MB%)", text)
    assert.matches("Non%-trainable params: 0 ", text)
    assert.is_nil(text:find("relu", 1, true))
    local all = assert(lu.net(lu.models.vgg16())):summary { all = true }
    assert.matches("block1_relu1 %(Activation%)", all)
  end)

  it("run at other sizes and widths", function()
    local net = assert(lu.net(lu.models.vgg11 { width = 1 / 16, fc = 8, classes = 3,
                                                side = 32 })):init(1)
    assert.same({ 2, 3 }, net:run(t.input(net, 2)).output:shape())
    net = assert(lu.net(lu.models.resnet18 { classes = 3, side = 32 })):init(1)
    assert.same({ 1, 3 }, net:run(t.input(net)).output:shape())
    net = assert(lu.net(lu.models.vgg16 { width = 1 / 32, top = false, side = 32 }))
    assert.equal("block5_pool", net:layers()[#net:layers()].name)
  end)
end)


describe("parameters of a layer", function()
  it("of a grouped transposed convolution are a group's filters an input", function()
    local net = assert(lu.net { name = "up", input = { 4, 3, 3 }, layers = {
      { "up", "conv_transpose2d", filters = 6, kernel = 2, groups = 2 } } }):init(1)
    assert.same({ 4, 3, 2, 2 }, net.params["up.weight"]:shape())
    assert.same({ 6 }, net.params["up.bias"]:shape())
    assert.same({ 1, 6, 4, 4 }, net:run(core.ones(1, 4, 3, 3)).output:shape())
  end)

  it("of a new batch norm change nothing but by eps", function()
    local net = assert(lu.net { name = "bn", input = { 2, 2, 2 }, layers = {
      { "bn", "batch_norm" } } }):init(1)
    local x = core.normal(1, 1, 1, 2, 2, 2)
    assert.is_true(net:run(x).output:detach():distance(x * (1 + 1e-5) ^ -0.5) < 1e-6)
  end)
end)
