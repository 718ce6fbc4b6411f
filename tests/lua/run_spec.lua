-- Runs: forward, reading values, gradients by hand, parts of networks, memory.
local lu = require "lunette"
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"

local linear = { modifiers = { "linear" } }


describe("a run", function()
  it("computes what is written down", function()
    -- y = relu(W x + b), softmax: by hand
    local net = assert(lu.net { input = { 2 }, layers = {
      { "fc", "linear", units = 2 }, { "act", "relu" }, { "softmax", "softmax" } } })
    net.params["fc.weight"] = lu.tensor { { 1, 2 }, { 3, -4 } }
    net.params["fc.bias"] = lu.tensor { 0.5, -1 }
    local run = net:run(lu.tensor { { 1, 1 }, { 0, -1 } })
    assert.same({ { 3.5, 0 }, { 0, 3 } }, run.act:totable())
    assert.same({ { 3.5, -2 }, { -1.5, 3 } }, run:preactivation("fc"):totable())
    local p = 1 / (1 + math.exp(-3.5))
    assert.near(p, run.output:get(1, 1), 1e-6)
    assert.near(1 - p, run.output:get(1, 2), 1e-6)
    -- d act_1 / d x = W_1 where it is active
    local g = net:run(lu.tensor { { 1, 1 }, { 0, -1 } }, linear):gradient { score = 0 }
    assert.same({ { 1, 2 }, { 0, 0 } }, g:totable())
  end)

  it("reads layers by name, alias and field", function()
    local net = t.net()
    local run = net:run(t.input(net, 2))
    assert.same({ 2, 6, 12, 12 }, run.conv1:shape())
    assert.is_true(t.same(run.conv1, run:activation "relu1"))
    assert.is_true(t.same(run["features.1"], run.relu1))
    assert.is_false(t.same(run:preactivation "conv1", run.relu1))
    assert.is_true(t.same(run:preactivation("conv1"):relu(), run.relu1))
    assert.is_true(t.same(run:activation "input", run.images))
    assert.is_nil(run.nonsense)
    local value, message = run:activation "conv3"
    assert.is_nil(value)
    assert.matches("did you mean 'conv", message)
    assert.equal(2, run:count())
  end)

  it("computes poolings with what is before them, which shows nowhere", function()
    local net = t.net(1, 9) -- few inputs join no pooling
    local x = t.input(net, 2)
    local run = net:run(x, linear)
    local want = net:run(x, { modifiers = { "linear" }, keep = "conv1" }) -- apart
    assert.is_true(t.same(want.pool1, run.pool1))
    assert.is_true(run:node("conv1").joined and run:node("relu1").joined)
    assert.is_false(run:node("pool1").joined or run:node("out").joined)
    local live = core.memory().live
    assert.is_true(t.same(want.conv1, run.conv1))
    local made = core.memory().live - live -- when it was read
    assert.is_true(made >= 2 * 6 * 144 * 4 and made < 2 * 6 * 144 * 4 + 1024, made)
    assert.is_true(t.same(run:preactivation("conv1"):relu(), run.conv1))
    for _, rule in ipairs { "vanilla", "guided", "rectified", "deconvnet" } do
      local opts = { score = 2, modifiers = { rule },
                     wrt = { "input", "conv1", "pool1" } }
      local joined = { net:run(x, linear):gradient(opts) }
      run:node("relu1").output:stats() -- there
      for i, g in ipairs { run:gradient(opts) } do
        assert.is_true(t.same(g, joined[i]), rule .. i)
      end
    end
    -- what was asked for is there, whatever else is dropped
    local function output(modifier)
      return net:run(x, { modifiers = { modifier }, keep = false }).output
    end
    assert.is_true(t.same(run.conv1, output(lu.extract "conv1")))
    assert.is_true(t.same(run.output, output "linear"))
    assert.is_true(t.same(run:gradient { score = 2, wrt = "conv1" },
                          want:gradient { score = 2, wrt = "conv1" }))
    local gone, message = want:preactivation "conv1"
    assert.is_nil(gone)
    assert.matches("keep = true", message)
  end)

  it("makes no values of what was changed since", function()
    local net = t.net(1, 9)
    local x = t.input(net)
    local run = net:run(x)
    local pool = run.pool1:clone()
    x:fill_(0)
    assert.is_true(t.same(pool, run.pool1)) -- is there
    assert.matches("relu1: its values were put off.*changed since",
                   t.message(function() return run.conv1:stats() end))
  end)

  it("shows a rule in Lua the values before a pooling", function()
    local net = t.net(1, 9)
    local run, seen = net:run(t.input(net), linear), 0
    local look = lu.modifier { name = "look", on = "max_pool2d",
      backward = function(node, dy)
        seen = seen + node.input:stats().max
        return node:backward(dy)
      end }
    local g = run:gradient { score = 1, modifiers = { look } }
    assert.equal(run.conv1:stats().max, seen)
    assert.is_true(t.same(g, (run:gradient { score = 1 })))
  end)

  it("has its outputs by every name of their layers", function()
    local net = assert(lu.net { input = { 4 }, outputs = { "a", "b" }, layers = {
      { "a", "linear", units = 3, aliases = { "logits" } },
      { "b", "linear", units = 2, from = "input" } } }):init(1)
    local run = net:run(lu.normal { 2, 4 })
    assert.is_true(rawequal(run.outputs.a, run.outputs.logits))
    assert.equal(tostring(run:top(2, "a")), tostring(run:top(2, "logits")))
    assert.is_nil(run.outputs.input)
    assert.is_nil(run.outputs.c)
    local names = {}
    for name in pairs(run.outputs) do names[#names + 1] = name end
    assert.equal(2, #names)
    assert.matches("there is no output 'c'", t.message(run.top, run, 2, "c"))
  end)

  it("prints a line a class, whatever part of a top is printed", function()
    local net = t.net()
    local run = net:run(t.input(net, 2))
    local top = run:top(2)
    local best = top[1][1]
    local line = (" +%%d+%%.%%d %%%% +%d  %s\n"):format(best.class, best.name)
    assert.matches("^image 1\n" .. line .. "[^\n]+\nimage 2\n", tostring(top))
    assert.matches("^" .. line, tostring(top[1]))
    local first = net:run(run.images[{ { 1, 1 } }])
    assert.equal(tostring(top[1]), tostring(first:top(2))) -- one image: no heading
    local text = '{ class = %d, name = "%s", probability = %.4g, score = %.4g }'
    assert.equal(text:format(best.class, best.name, best.probability, best.score),
                 tostring(best))
    assert.equal(best.score, run.output:get(1, best.class + 1)) -- the value itself
    -- where the run stopped before the softmax its lines are values, not per cent
    local values = net:run(run.images, { modifiers = { "linear" } }):top(1)
    assert.is_nil(tostring(values):find "%%")
    assert.matches(("%.4g"):format(values[1][1].score):gsub("%p", "%%%0"),
                   tostring(values[1]))
  end)

  it("prints eight of its images, and how many more there are", function()
    local net = t.net()
    for n, more in pairs { [1] = "", [8] = "", [9] = "  ... 1 more",
                           [11] = "  ... 3 more" } do
      local text = tostring(net:run(t.input(net, n)))
      assert.matches(("^Run of small over %d image%s, output "):format(n,
        n == 1 and "" or "s"), text)
      local shown = 0
      for i in text:gmatch "\n  image (%d+)\n" do
        shown = shown + 1
        assert.equal(shown, math.tointeger(tonumber(i)))
      end
      assert.equal(math.min(n, 8), shown)
      assert.equal(more, text:match "\n(  %.%.%. [^\n]*)$" or "")
    end
  end)

  it("tells classes by probability", function()
    local net = t.net()
    local run = net:run(t.input(net, 2))
    local top = run:top(3)
    assert.equal(2, #top)
    assert.equal(3, #top[1])
    assert.is_true(top[1][1].probability >= top[1][2].probability)
    assert.equal(net.labels[top[1][1].class + 1], top[1][1].name)
    assert.equal(5, #run:top()[1])
    assert.equal(5, #run:top(99)[1])
    local all = 0
    for _, c in ipairs(run:top(5)[2]) do all = all + c.probability end
    assert.near(1, all, 1e-6)
    -- the softmax is added where the run stopped before it
    local logits = net:run(run.images, linear)
    assert.equal(top[1][1].class, logits:top(1)[1][1].class)
    assert.near(top[1][1].probability, logits:top(1)[1][1].probability, 1e-6)
    assert.is_true(logits:top(1)[1][1].score == logits.output:stats().max
      or logits:top(1)[2][1].score == logits.output:stats().max)
    assert.matches("image 2", tostring(run))
  end)

  it("refuses what is no input", function()
    local net = t.net()
    assert.matches("small wants a tensor %(N,3,12,12%), got %(3,12,12%)",
                   t.message(net.run, net, lu.zeros(3, 12, 12)))
    assert.matches("got %(1,3,12,13%)", t.message(net.run, net, lu.zeros(1, 3, 12, 13)))
    assert.matches("got %(0,3,12,12%)", t.message(net.run, net, lu.zeros(0, 3, 12, 12)))
    assert.matches("got nil", t.message(net.run, net))
    assert.matches("got 'hen.jpg'", t.message(net.run, net, "hen.jpg"))
    assert.matches("unknown option 'modifers'; did you mean 'modifiers'",
                   t.message(net.run, net, t.input(net), { modifers = {} }))
    assert.matches("got 5", t.message(net.run, net, t.input(net), 5))
    local bare = assert(lu.net(lu.models.tiny_vgg()))
    assert.matches("has no weights", t.message(bare.run, bare, t.input(bare)))
  end)

  it("has the gradient of finite differences", function()
    for _, make in ipairs { t.net, t.graph } do
      local net = make()
      local x = t.input(net, 2)
      local run = net:run(x, linear)
      local g = run:gradient { score = { 1, 2 } }
      local close, tried = 0, 0
      for i = 1, x:size() // 2, 37 do
        local function at(h)
          local y = x:clone()
          y:view(y:size()):set(i, y:view(y:size())[i] + h)
          return net:run(y, linear).output:get(1, 2)
        end
        -- piecewise linear: rounding is about 1e-7 / 1e-2, and now and then a
        -- relu turns within the step
        local slope = (at(0.01) - at(-0.01)) / 0.02
        tried = tried + 1
        if math.abs(slope - g:view(g:size())[i]) < 2e-4 + 0.02 * math.abs(slope) then
          close = close + 1
        end
      end
      assert.is_true(close >= 0.8 * tried, close .. " of " .. tried)
    end
  end)

  it("gives gradients of layers, several at once", function()
    local net = t.net()
    local run = net:run(t.input(net, 2), linear)
    local gx, g1, g2 = run:gradient { score = 1, wrt = { "input", "conv1", "out" } }
    assert.same({ 2, 3, 12, 12 }, gx:shape())
    assert.same({ 2, 6, 12, 12 }, g1:shape()) -- after the relu, as Keras counts
    assert.same({ { 0, 1, 0, 0, 0 }, { 0, 1, 0, 0, 0 } }, g2:totable())
    assert.is_true(t.same(g1, (run:gradient { score = 1, wrt = "relu1" })))
    -- through the layers before it: the true gradient once more
    local node = run:node "relu1"
    local conv = run:node "conv1"
    assert.is_true(conv:backward(node:backward(g1)):distance(gx) < 1e-6)
  end)

  it("refuses gradients that do not exist", function()
    local net = t.net()
    local run = net:run(t.input(net), linear)
    assert.matches("layer 'conv9' not found", t.message(run.gradient, run,
                                                        { wrt = "conv9" }))
    assert.matches("was not part of this run", t.message(run.gradient, run,
                                                         { wrt = "softmax" }))
    assert.matches("comes after", t.message(run.gradient, run, {
      score = lu.score.unit("conv1", 1), wrt = "fc" }))
    assert.matches("unknown option 'scor'", t.message(run.gradient, run, { scor = 1 }))
    assert.matches("empty", t.message(run.gradient, run, { scores = {} }))
    assert.matches("should be a list", t.message(run.gradient, run, { scores = 3 }))
    assert.matches("k is a whole number from 1 on, got 0", t.message(run.top, run, 0))
  end)

  it("gives zeros where no path leads", function()
    local net = t.graph()
    local run = net:run(t.input(net), linear)
    local g = run:gradient { score = lu.score.unit("right", 1), wrt = "left" }
    -- a layer beside the scored one
    assert.equal(0, g:stats().l2)
    assert.same({ 1, 3, 7, 6 }, g:shape())
  end)

  it("keeps K scores in one backward equal to K backwards, bit for bit", function()
    for _, make in ipairs { t.net, t.graph } do
      local net = make()
      local run = net:run(t.input(net, 2), linear)
      for _, mods in ipairs { {}, { "guided" }, { "rectified" }, { "deconvnet" },
                              { lu.modifiers.rectified { leak = 0.3 } } } do
        local scores = { 0, 2, { 1, 3 }, lu.score.contrast(1, 2), "predicted" }
        local all = run:gradient { scores = scores, modifiers = mods }
        assert.equal(10, #all)
        for k, s in ipairs(scores) do
          local one = run:gradient { score = s, modifiers = mods }
          assert.is_true(t.same(one, all:rows(2 * k - 1, 2 * k)))
        end
      end
    end
  end)

  it("takes more scores than an operator has inputs", function()
    local net = t.net()
    local run = net:run(t.input(net), linear)
    local scores = {}
    for k = 1, 40 do scores[k] = k % 5 end
    local all = run:gradient { scores = scores }
    assert.is_true(t.same(run:gradient { score = 2 }, all:rows(37)))
  end)

  it("keeps images of a batch equal to runs of one, bit for bit", function()
    for _, make in ipairs { t.net, t.graph } do
      local net = make()
      local x = t.input(net, 5)
      local all = net:run(x, linear)
      local g = all:gradient { score = 1, modifiers = { "guided" } }
      for i = 1, 5 do
        local one = net:run(x:rows(i), linear)
        assert.is_true(t.same(all.output:detach():rows(i), one.output:detach()))
        assert.is_true(t.same(g:rows(i), (one:gradient {
          score = 1, modifiers = { "guided" } })))
      end
    end
  end)
end)


describe("part of a run", function()
  it("starts at a layer and gives the same bits", function()
    local net = t.net()
    local whole = net:run(t.input(net, 2), linear)
    for _, name in ipairs { "conv1", "pool1", "relu2", "flatten", "fc" } do
      local rest = net:run_from(name, whole:activation(name), linear)
      assert.is_true(t.same(whole.output:detach(), rest.output:detach()))
      local a = whole:gradient { score = 1, wrt = name }
      local b = rest:gradient { score = 1, wrt = name }
      assert.is_true(t.same(a, b), name)
    end
    local rest = net:run_from("pool1", whole.pool1)
    assert.matches("starts at 'pool1'", t.message(rest.gradient, rest, { score = 1 }))
    assert.is_nil(rest.conv1)
  end)

  it("refuses starts that others go around", function()
    local net = t.graph()
    local whole = net:run(t.input(net))
    assert.matches("does not depend on 'left_relu' alone",
                   t.message(net.run_from, net, "left", whole.left))
    assert.matches("wants a tensor %(N,8,7,6%)",
                   t.message(net.run_from, net, "join", lu.zeros(1, 8, 7, 7)))
    assert.matches("not found", t.message(net.run_from, net, "jion", whole.join))
    local rest = net:run_from("join", whole.join)
    assert.is_true(t.same(whole.output:detach(), rest.output:detach()))
  end)

  it("stops at a layer", function()
    local net = t.net()
    local run = net:run(t.input(net), { modifiers = { lu.extract "relu2" } })
    assert.same({ 1, 8, 4, 4 }, run.output:shape())
    assert.is_nil(run.fc)
    assert.equal("relu2", run.output_layer.name)
  end)

  it("forgets what it is told to forget", function()
    for _, make in ipairs { t.net, t.graph } do
      local net = make()
      local x = t.input(net, 2)
      local kept, dropped = net:run(x), net:run(x, { keep = false })
      assert.is_true(t.same(kept.output:detach(), dropped.output:detach()))
      local value, message = dropped:activation(net:layers()[2].name)
      assert.is_nil(value)
      assert.matches("keep = true", message)
      assert.matches("keep = true", t.message(dropped.gradient, dropped, { score = 1 }))
    end
    -- a relu that a dense layer reads at once
    local net = assert(lu.net { input = { 4 }, layers = {
      { "a", "linear", units = 6 }, { "r", "relu" }, { "b", "linear", units = 3 } } })
    local run = net:init(1):run(t.input(net), { keep = false })
    assert.matches("keep = true", t.message(run.gradient, run, { score = 1 }))
  end)

  it("forgets what lies before a layer, and reaches back to it", function()
    for make, names in pairs { [t.net] = { "relu1", "conv2", "fc" },
                               [t.graph] = { "stem", "right", "mix" } } do
      local net = make()
      local x = t.input(net, 2)
      local kept = net:run(x)
      for i, name in ipairs(names) do
        local run = net:run(x, { keep = name })
        assert.is_true(t.same(run[name], kept[name]))
        -- after the last there is no relu that guided could change
        for _, rule in ipairs { "vanilla", i < 3 and "guided" or nil } do
          local opts = { score = 1, wrt = name, modifiers = { "linear", rule } }
          assert.is_true(t.same(run:gradient(opts), (kept:gradient(opts))), name)
        end
        assert.matches("keep = true", t.message(run.gradient, run, { score = 1 }))
        local value, message = run:activation(names[i - 1] or "input")
        assert.is_true(value == run.images or value == nil
                       and message:find "keep = true" ~= nil)
      end
    end
    local net = t.net()
    assert.matches("did you mean 'conv1'",
                   t.message(net.run, net, t.input(net), { keep = "conv9" }))
    assert.matches("'keep' should be boolean|string, got 3",
                   t.message(net.run, net, t.input(net), { keep = 3 }))
  end)

  it("uses less memory when it forgets", function()
    local threads = core.threads(1) -- each has 8 MB of scratch
    finally(function() core.threads(threads) end)
    local arch = lu.models.vgg11 { width = 1 / 4, fc = 8, side = 64 }
    local net = assert(lu.net(arch)):init(1)
    local x = t.input(net, 64)
    local function peak(opts)
      collectgarbage()
      collectgarbage()
      core.reset_peak()
      local before = core.memory().live
      net:run(x, opts):release()
      return core.memory().peak - before
    end
    local all, few = peak {}, peak { keep = false }
    assert.is_true(few < all * 0.7, ("%d of %d"):format(few, all))
    few = peak { keep = "block5_conv2" }
    assert.is_true(few < all * 0.7, ("%d of %d"):format(few, all))
  end)

  it("says so after it was released", function()
    local net = t.net()
    local run = net:run(t.input(net))
    run:release()
    run:release()
    assert.equal("Run (released)", tostring(run))
    assert.matches("released", t.message(run.gradient, run, { score = 1 }))
    assert.matches("released", t.message(run.top, run))
    assert.matches("released", t.message(run.activation, run, "conv1"))
    assert.matches("released", t.message(lu.saliency, run))
    assert.matches("released", t.message(lu.gradcam, run))
  end)
end)


describe("parameters", function()
  it("have gradients on request", function()
    local net = t.net()
    local run = net:run(t.input(net, 2), { modifiers = { "linear" },
                                           watch = "parameters" })
    local loss = (run.output * run.output):sum()
    local g = run:parameter_gradients(loss)
    assert.is_true(t.same(run.output:detach() * 2,
                          (run.output:detach() + run.output:detach())))
    -- d sum(y^2) / d bias_k = 2 sum_n y_nk
    local want = (run.output:detach() * 2):sum { dims = { 1 } }
    assert.near(0, t.off(g["out.bias"], want), 1e-5)
    assert.same({ 6, 3, 3, 3 }, g["conv1.weight"]:shape())
    local w = net.params["conv1.weight"]
    local function loss_at(h)
      local p = w:clone()
      p:set(2, 1, 2, 2, p:get(2, 1, 2, 2) + h)
      net.params["conv1.weight"] = p
      local y = net:run(run.images, linear).output:detach()
      net.params["conv1.weight"] = w
      return (y * y):sum():item()
    end
    local slope = (loss_at(0.01) - loss_at(-0.01)) / 0.02
    assert.near(slope, g["conv1.weight"]:get(2, 1, 2, 2), 0.03 * math.abs(slope) + 1e-3)
    assert.matches("watch", t.message(function()
      local plain = net:run(run.images)
      plain:parameter_gradients(plain.output:sum())
    end))
  end)
end)


describe("NaN", function()
  it("in the weights warns once", function()
    local net = t.net()
    net.params["fc.weight"]:set(1, 1, 0 / 0)
    local x = t.input(net, 2)
    local warned = t.warnings(function()
      net:run(x)
      net:run(x)
    end)
    assert.equal(1, #warned)
    assert.matches("small: the output holds NaN", warned[1])
    for _, name in ipairs { "conv1.weight", "conv2.bias", "fc.bias" } do
      net = t.net()
      local w = net.params[name]
      w:view(w:size())[2] = 0 / 0 -- a relu must not make it a 0
      assert.equal(1, #t.warnings(function() net:run(x) end), name)
    end
  end)
end)


describe("several outputs", function()
  local function faces(outputs)
    local net = assert(lu.net { name = "faces", input = { 1, 8, 8 }, layers = {
      { "conv", "conv2d", filters = 4, kernel = 3 }, { "relu", "relu" },
      { "flat", "flatten" },
      { "age", "linear", units = 1, from = "flat" },
      { "gender", "linear", units = 2, from = "flat" }, { "softmax", "softmax" } } })
    net.outputs = outputs
    return net:init(5)
  end
  local net = faces { "age", "softmax" }
  local x = t.input(net, 2)

  it("are read from one run", function()
    local run = net:run(x)
    assert.same({ "age", "softmax" }, run.output_names)
    assert.is_true(t.same(run.output:detach(), run.age))
    assert.is_true(t.same(run.outputs.age:detach(), run.age))
    assert.is_true(t.same(run.outputs.softmax:detach(), run.softmax))
    assert.is_true(t.same(faces { "softmax" }:run(x).output:detach(), run.softmax))
    assert.equal("values", run:kind())
    assert.equal("softmax", run:kind "softmax")
    assert.is_nil((run:probabilities()))
    assert.is_true(t.same(run.softmax, run:probabilities "softmax"))
    assert.equal(run:top(2, "softmax")[1][1].probability, run.softmax:stats().max > 0
                 and run.softmax[1]:stats().max)
    assert.matches("no output 'gender' in this run %(there are: age, softmax%)",
                   t.message(run.top, run, 2, "gender"))
    local text = tostring(run)
    assert.matches("output age, softmax\n", text)
    assert.matches("image 2\n    age\n +%-?%d[%d.e-]*\n    softmax\n +%d+%.%d %%", text)
    local plain = faces():run(x) -- the last layer alone, where none are named
    assert.same({ "softmax" }, plain.output_names)
    assert.is_nil(plain.age)
  end)

  it("are scored, each by its name", function()
    local run, logits = net:run(x), net:run(x, linear)
    local w = net.params["gender.weight"]
    assert.same({ "age", "softmax" }, logits.output_names)
    assert.is_true(t.same(logits.outputs.softmax:detach(), logits.gender))
    local gender = lu.score.categorical(1):on "softmax"
    local years = lu.score.categorical(0):on "age"
    assert.matches("scores of different layers need calls of their own",
                   t.message(logits.gradient, logits, { scores = { gender, years } }))
    local g = logits:gradient { score = gender, wrt = "flat" }
    assert.is_true(t.same(g[1], w[2]))
    assert.is_true(t.same(g, (run:gradient { score = gender, wrt = "flat",
                                             modifiers = { "linear" } })))
    assert.same(run.softmax:gather(lu.tensor { { 2 }, { 2 } }, { dim = 2 }):totable(),
                run:values(gender):reshape({ 2, 1 }):totable())
    local age = run:gradient { score = 0, wrt = "flat" }
    assert.is_true(t.same(age[1], net.params["age.weight"][1]))
    local best = lu.score.resolve(lu.score.categorical("predicted"):on "softmax", run)
    for i, top in ipairs(run:top(1, "softmax")) do
      assert.equal(top[1].class, best.classes[i])
      assert.equal(top[1].class, lu.saliency(run, { score = lu.score.categorical(
        "predicted"):on "softmax" }).story.classes[i])
    end
    local contrast = lu.score.contrast("predicted", 0):on "softmax"
    assert.same(run:values(lu.score.contrast(best.classes[1], 0):on "softmax")[1],
                run:values(contrast)[1])
    assert.matches("no output 'sex' in this run", t.message(run.gradient, run,
      { score = lu.score.categorical(1):on "sex" }))
    assert.matches("should be string: its name; got 3", t.message(best.on, best, 3))
    assert.matches("calls of their own", t.message(run.gradient, run,
                                                   { scores = { 0, gender } }))
  end)

  it("stay, whatever is dropped", function()
    local both = faces { "relu", "softmax" }
    local whole = both:run(x)
    for _, keep in ipairs { false, "flat" } do
      local run = both:run(x, { keep = keep })
      assert.is_true(t.same(run.outputs.relu:detach(), whole.relu))
      assert.is_true(t.same(run.outputs.softmax:detach(), whole.softmax))
      run:release()
    end
    local only = both:run(x, { modifiers = { lu.extract "age" } })
    assert.same({ "age" }, only.output_names)
    local rest = net:run_from("gender", whole.gender)
    assert.same({ "softmax" }, rest.output_names)
  end)
end)


describe("what belongs to another run", function()
  local net = t.net()
  local opts = { modifiers = { "linear" }, watch = "parameters" }
  local a, b = net:run(t.input(net, 1), opts), net:run(t.input(net, 1, 9), opts)

  it("is refused", function()
    assert.matches("belong to different runs",
                   t.message(function() return a.output + b.output end))
    assert.matches("belong to different runs", t.message(a.gradient, a, {
      score = function(o) return (o + b.output):sum { dims = { 2 } } end }))
    assert.matches("something else than its argument", t.message(a.gradient, a, {
      score = function() return b.output:sum { dims = { 2 } } end }))
    assert.matches("something else than its argument", t.message(a.values, a,
      function() return b.output:sum { dims = { 2 } } end))
    for _, loss in ipairs { b.output:sum(), a.output:detach():sum() } do
      assert.matches("is not computed from this run's output",
                     t.message(a.parameter_gradients, a, loss))
    end
    assert.matches("should be .* got a run; run.images was put in",
                   t.message(net.run, net, a))
    assert.matches("other should be Run", t.message(a.compare, a, net))
  end)
end)


describe("means of a gradient", function()
  it("are those over height and width", function()
    local net = t.net()
    local run = net:run(t.input(net, 2), linear)
    for _, exact in ipairs { true, false } do
      local opts = { scores = { 1, 3 }, wrt = { "conv1", "pool1", "input" },
                     exact = exact, modifiers = { "guided" } }
      local full = { run:gradient(opts) }
      opts.reduce = "mean"
      for i, g in ipairs { run:gradient(opts) } do
        local want = full[i]:mean { dims = { 3, 4 }, keepdims = true }
        assert.is_true(t.same(want, g), opts.wrt[i])
        assert.equal(4, g:dim(1))
      end
    end
    assert.matches("over height and width; 'fc_relu' is %(7%)", t.message(run.gradient,
      run, { wrt = "fc", reduce = "mean" }))
    assert.matches("reduce is \"mean\", got sum", t.message(run.gradient, run,
                                                            { reduce = "sum" }))
  end)
end)
