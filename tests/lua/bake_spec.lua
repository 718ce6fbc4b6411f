-- lu.export and lu.bake: what is loaded again is the same network, to the bit; what is
-- written is what the methods say.
local core = require "lunette.core"
local evaluate = require "lunette.trace.evaluate"
local graphs = require "lunette.onnx.graph"
local apply = require "lunette.modifiers.apply"
local lu = require "lunette"
local methods = require "lunette.methods"
local named = require "lunette.modifiers.named"
local network = require "lunette.onnx.network"
local rows = require "lunette.base.rows"
local runs = require "lunette.onnx.run"
local t = dofile "tests/lua/support.lua"
local baked = dofile "tests/lua/baked.lua"

local folder, done = t.cache_folder()
teardown(done)

local fresh, again = baked.files(folder)


describe("an exported network", function()
  local nets = { small = t.net(1), graph = t.graph(2), own = t.own(3),
                 glyphs = lu.load "glyphs" }
  for name, net in pairs(nets) do
    for _, opset in ipairs { 13, 17 } do
      it(("is the same when it is loaded again: %s, opset %d"):format(name, opset),
         function()
        local other = again(net, { opset = opset })
        local x = t.input(net, 2, 5)
        assert.is_true(net:run(x).output:same(other:run(x).output))
        assert.equal(net.name, other.name)
        assert.same(net.outputs, other.outputs)
        for _, layer in ipairs(net:layers()) do
          assert.truthy(other:has(layer.name), "lost: " .. layer.name)
        end
      end)
    end
  end

  local of_tokens = { tokens = baked.tokens(), vit = assert(lu.net(lu.models.vit_b_32 {
    side = 64, patch = 8, depth = 1, heads = 2, width = 64, inner = 64,
    classes = 5 })):init(2) }
  for name, net in pairs(of_tokens) do
    it("is the same of tokens, whose pieces are read as such: " .. name, function()
      local x = t.input(net, 2, 5)
      for _, opset in ipairs { 13, 17 } do
        local other = again(net, { opset = opset })
        local a, b = net:run(x), other:run(x)
        assert.is_true(a.output:same(b.output))
        for _, layer in ipairs(net:layers "matmul") do -- keys are read turned
          local at = layer.name
          assert.is_true(a:preactivation(at):same(b:preactivation(at)), at)
        end
      end
    end)
  end

  it("keeps preprocessing and classes, for us and for others", function()
    local net = t.net(1)
    net.preprocessing = { order = "bgr", mean = { 1, 2, 3 }, std = { 1, 1, 2 },
                          scale = 0.5 }
    local other, path = again(net)
    assert.same(net.labels, other.labels)
    assert.same(net.preprocessing, other.preprocessing)
    local bytes = t.read(path)
    assert.truthy(bytes:find('class_names', 1, true))
    assert.truthy(bytes:find('["ash","birch","cedar","elm","fir"]', 1, true))
  end)

  it("has weights as float16, which are rounded once", function()
    local net = assert(lu.load "glyphs")
    local other, path = again(net, { half = true })
    local plain = select(2, again(net))
    assert.is_true(#t.read(path) < 0.52 * #t.read(plain))
    local half = folder .. "/half.safetensors"
    assert(lu.save(net, half, { half = true }))
    local x = t.input(net, 1, 5)
    assert.is_true(assert(lu.load(half)):run(x).output:same(other:run(x).output))
  end)

  it("has its weights beside it where one file cannot hold them", function()
    local most = graphs.MOST
    graphs.MOST = 1000
    local net = t.net(1)
    local ok, other, path = pcall(again, net)
    graphs.MOST = most
    assert(ok, other)
    assert.truthy(t.exists(path .. ".data"))
    local x = t.input(net, 2, 5)
    assert.is_true(net:run(x).output:same(other:run(x).output))
  end)

  it("is the same file every time", function()
    local _, a = again(t.graph(2))
    local _, b = again(t.graph(2))
    assert.equal(t.read(a), t.read(b))
  end)

  it("is whole or not there", function()
    local path = folder .. "/none/there/net.onnx"
    t.spit(folder .. "/none", "a file, no folder")
    local report, message = lu.export(t.net(1), path)
    assert.is_nil(report)
    assert.matches("none", message)
    assert.matches("opset is 13 to 17, got 12", t.message(lu.export, t.net(1), fresh(),
                                                          { opset = 12 }))
    assert.matches("net should be Net, got a table", t.message(lu.export, {}, "x"))
  end)
end)


describe("the networks of the reference material", function()
  local where = t.shared .. "/models/onnx"
  if not t.exists(where .. "/resnet18_op11.onnx") then
    pending "needs shared/models/onnx"
    return
  end
  for _, name in ipairs { "resnet18_op13_bn_dynamic", "mobilenet_v3_op17", "vit_op17",
                          "unet_nearest_op11", "hand_potpourri_op13" } do
    it("come back as they were: " .. name, function()
      local net = assert(lu.load(("%s/%s.onnx"):format(where, name)))
      local other, x = again(net), t.input(net, 2, 5)
      local a, b = net:run(x), other:run(x)
      for i, output in ipairs(a.output_names) do
        assert.equal(output, b.output_names[i])
        assert.is_true(a.outputs[output]:same(b.outputs[output]))
      end
    end)
  end
end)


-- maps -------------------------------------------------------------------------------


---What a method of a network is as operators, computed by the engine.
local function traced(net, x, method, opts, leaves)
  local copy = network.copy(net)
  local run = runs.new(copy, { input = network.picture(copy) },
                       apply.forward(named.list(opts.modifiers or {})))
  local map = lu.methods[method](run, opts)
  local values = { input = x }
  for key, v in pairs(leaves or {}) do values[key] = v end
  return evaluate.run({ map }, values, x:dim(1))[1]
end


---Methods and their options.
local cases = {
  { "saliency" }, { "saliency", { dialect = "captum" } }, { "input_x_gradient" },
  { "saliency", { modifiers = { "guided" } } },
  { "saliency", { modifiers = { "deconvnet" } } },
  { "saliency", { modifiers = { "rectified" } } },
  { "saliency", { modifiers = { lu.modifiers.rectified { leak = 0.1 } } } },
  { "saliency", { modifiers = { "beta_smooth" } } },
  { "gradcam" }, { "gradcam", { dialect = "captum" } },
  { "gradcam", { dialect = "pytorch-grad-cam" } }, { "gradcam", { expand = false } },
  { "gradcam", { raw = true } }, { "gradcam_pp" },
  { "gradcam_pp", { dialect = "pytorch-grad-cam" } }, { "hirescam" }, { "layercam" },
  { "xgradcam" }, { "elementwise_gradcam" }, { "guided_gradcam" },
  { "guided_gradcam", { mode = "bilinear" } },
  { "integrated_gradients", { steps = 6 } },
  { "integrated_gradients", { steps = 4, rule = "trapezoid", baseline = 0.5 } },
  { "lrp" }, { "lrp", { composite = "epsilon_alpha2_beta1", from = "logit" } },
  { "lrp", { composite = lu.modifiers.epsilon_gamma_box { low = -3, high = 3 } } },
  { "lrp", { composite = "epsilon_plus_flat", from = "contrast" } },
  { "recipro_cam" }, { "recipro_cam", { soft = false } },
  { "saliency", { score = lu.score.contrast(0, 2) } },
  { "gradcam", { score = "birch" } },
}


local function with_linear(opts)
  local all = {}
  for key, v in pairs(opts or {}) do all[key] = v end
  all.modifiers = { "linear", table.unpack(all.modifiers or {}) }
  return all
end


describe("a baked map", function()
  for name, net in pairs { small = t.net(1), own = t.own(3), graph = t.graph(2) } do
    for k, case in ipairs(cases) do
      local named_class = case[2] and case[2].score == "birch"
      if not (named_class and name == "graph") then
        it(("is %s's of %s, case %d"):format(case[1], name, k), function()
          -- The same sums in float32, some of them in another order: within 2e-5; a
          -- map that moves more where its picture does by a rounding may be off by
          -- that, and then the next picture's is looked at too.
          local opts, near = with_linear(case[2]), false
          for seed = 5, 12 do
            local x, want = t.input(net, 2, seed), nil
            t.warnings(function() want = lu[case[1]](net, x, opts) end)
            local got = traced(net, x, case[1], opts)
            assert.same(want:shape(), got:shape())
            near = got:distance(want) < 2e-5
            if near then break end
            local off = baked.off(got, want)
            local job = { case = { name, case[1] }, opts = opts, want = want }
            local moves = baked.moves(net, x, job)
            assert.is_true(off < 4 * moves,
                           ("%.3g apart, a rounding moves %.3g"):format(off, moves))
          end
          assert.is_true(near)
        end)
      end
    end
  end

  it("is of one output where others do not depend on its layer", function()
    local net = assert(lu.net { name = "two", input = { 3, 8, 8 }, layers = {
      { "conv", "conv2d", filters = 4, kernel = 3, padding = 1 }, { "act", "relu" },
      { "deep", "conv2d", filters = 4, kernel = 3, padding = 1 },
      { "both", "concat", dim = 2, from = { "deep", "act" } },
      { "pool", "global_avg_pool" }, { "flat", "flatten" },
      { "label", "linear", units = 3 },
      { "side", "global_avg_pool", from = "act" }, { "other", "flatten" } },
      outputs = { "label", "other" } }):init(1)
    local x, opts = t.input(net, 2, 5), { layer = "deep" }
    local want = lu.recipro_cam(net, x, opts)
    assert.is_true(traced(net, x, "recipro_cam", opts):distance(want) < 1e-6)
  end)

  it("is of the class that the file is given", function()
    local net = t.net(1)
    local x, opts = t.input(net, 2, 5), { modifiers = { "linear" }, score = "input" }
    local got = traced(net, x, "saliency", opts, { class = core.tensor { 3, 1 } })
    local want = lu.saliency(net, x, { modifiers = { "linear" }, score = { 3, 1 } })
    assert.is_true(got:distance(want) < 1e-5)
  end)

  it("is that of a rule in Lua, run once", function()
    local net, runs_ = t.net(1), 0
    local own = lu.modifier { name = "own", on = "relu", backward = function(node, dy)
      runs_ = runs_ + 1
      return dy:clamp(-0.01, 0.01) * node.output:gt(0)
    end }
    local x, opts = t.input(net, 2, 5), { modifiers = { "linear", own } }
    local want = lu.saliency(net, x, opts)
    runs_ = 0
    local got = traced(net, x, "saliency", opts)
    assert.equal(3, runs_) -- relus
    assert.is_true(got:distance(want) < 1e-5)
  end)

  it("is that of a method in Lua", function()
    local own = lu.method { name = "tilted", draws = "map",
      options = { "score", "modifiers" },
      explain = function(run, o)
        local g = run:gradient { score = o.score, modifiers = o.modifiers }
        return run.images:abs():sqrt() * g
      end }
    local net, path = t.net(1), fresh()
    local report = assert(lu.bake(net, path, own, { modifiers = { "linear" } }))
    assert.same({ "map" }, report.maps)
  end)

  it("refuses a branch on values, with the line", function()
    local branch = lu.modifier { name = "branch", on = "relu",
      backward = function(_, dy)
        if dy:sum():item() > 0 then return dy end
        return -dy
      end }
    local here = debug.getinfo(1, "l").currentline
    local message = t.message(lu.bake, t.net(1), fresh(), "saliency",
                              { modifiers = { branch } })
    assert.matches("bake_spec.lua:" .. here - 3 .. ":", message)
    assert.matches("item reads a value", message)
    local picture = lu.method { name = "brightest", draws = "map",
      explain = function(run) return run.images * run.images:stats().max end }
    message = t.message(lu.bake, t.net(1), fresh(), picture)
    assert.matches("stats reads a value", message)
  end)

  it("refuses every other method by its name, with a reason", function()
    local net, baked_ = assert(lu.load "glyphs"), 0
    for _, name in ipairs(rows.names(methods)) do
      local has, opts = methods[name].options, {}
      if has.modifiers then opts.modifiers = { "linear" } end
      for _, key in ipairs { "samples", "designs" } do -- few, before it is refused
        if has[key] then opts[key] = 3 end
      end
      local ok, message = pcall(lu.bake, net, fresh(), name, opts)
      if ok then
        baked_ = baked_ + 1
      else
        assert.is_truthy(message:find(name .. " cannot be baked: ", 1, true)
          or message:find(name .. ": glyphs has no attention", 1, true)
          or message:find "baseline .* depends on the picture", message)
        for _, word in ipairs { "fault", "memory", "attempt", "nil value" } do
          assert.is_nil(message:find(word, 1, true), name .. ": " .. message)
        end
      end
    end
    assert.is_true(baked_ >= 13)
  end)

  it("refuses methods that reckon with scores before they draw anything", function()
    local net, begun = t.net(1), os.clock()
    for name, key in pairs { lime = "samples", kernel_shap = "samples",
      shapley = "samples", hsic = "designs", sobol = "designs" } do
      local message = t.message(lu.bake, net, fresh(), name, { [key] = 1 << 20 })
      assert.matches(name .. " cannot be baked: it reckons with every picture's scores",
                     message)
    end
    assert.matches("feature_ablation cannot be baked: it reckons",
      t.message(lu.bake, net, fresh(), "feature_ablation", { segments = 4 }))
    assert.is_true(os.clock() - begun < 2) -- of the processor's time
  end)

  it("refuses what cannot be told before there is a picture", function()
    local net = t.net(1)
    assert.matches("baseline 'blur' depends on the picture",
                   t.message(lu.bake, net, fresh(), "integrated_gradients",
                             { baseline = "blur" }))
    assert.matches("no method 'gradcams'", t.message(lu.bake, net, fresh(), "gradcams"))
    assert.matches("class 9 is outside", t.message(lu.bake, net, fresh(), "gradcam",
                                                   { class = 9 }))
  end)
end)


describe("a baked file", function()
  it("shares one forward among methods, and grows by kilobytes", function()
    local net, plain, path = assert(lu.load "glyphs"), fresh(), fresh()
    local exported = assert(lu.export(net, plain))
    local one = assert(lu.bake(net, path, "gradcam", { modifiers = { "linear" } }))
    local three = assert(lu.bake(net, fresh(), { "gradcam", "saliency", "layercam" },
                                 { modifiers = { "linear" } }))
    assert.same({ "map_gradcam", "map_saliency", "map_layercam" }, three.maps)
    assert.equal(exported.nodes, one.forward_nodes)
    assert.equal(exported.nodes, three.forward_nodes)
    assert.is_true(one.bytes < 1.02 * exported.bytes)
    assert.is_true(three.bytes < 1.05 * exported.bytes)
  end)
end)


describe("modifier:trace", function()
  it("prints a rule as a formula", function()
    assert.equal("relu:\n  dx = relu(dy) * [y > 0]", lu.modifiers.guided:trace())
    assert.equal("relu:\n  dx = dy * ([y > 0] * 0.9 + 0.1)",
                 lu.modifiers.rectified { leak = 0.1 }:trace())
    local w2 = lu.modifier { name = "w2", on = "conv2d", backward = function(node, r)
      local w = node.weight * node.weight
      local z = node:forward { weight = w, input = node.input * 0 + 1, bias = false }
      return node:backward(r / z, { weight = w })
    end }
    assert.equal("conv2d:\n  s1 = W * W\n  dx = conv_transpose2d(dy / "
      .. "conv2d(x * 0 + 1, s1), s1)", w2:trace())
    assert.matches("relu, batch_norm", lu.modifiers.epsilon_plus:trace())
  end)

  it("shows a layer of the kind that the rule is about, or of each", function()
    local rule = lu.modifier { name = "m", backward = "guided" } -- wherever it is known
    assert.equal("relu:\n  dx = relu(dy) * [y > 0]", rule:trace())
    local at = lu.modifier { name = "m", on = "block1_relu2", backward = "guided" }
    assert.equal(rule:trace(), at:trace()) -- a layer's name: mostly of an activation
    assert.matches("^conv2d:\n", lu.modifier { name = "m", backward = "gamma" }:trace())
    local several = lu.modifier { name = "m", { on = "conv2d", "epsilon" },
      { on = function(layer) return layer.kind == "add" end, "norm" },
      { on = { "relu", "sigmoid" }, function(_, dy) return dy * 2 end } }
    local lines = {}
    for line in several:trace():gmatch "[^\n]+:" do lines[#lines + 1] = line end
    assert.same({ "conv2d:", "add:", "relu, sigmoid:" }, lines)
    assert.equal("sigmoid:\n  dx = dy * 2", several:trace "sigmoid")
    assert.matches("modifier 'm' has no backward rule of tanh$",
                   t.message(several.trace, several, "tanh"))
    assert.matches("modifier 'linear' has no backward rule$",
                   t.message(lu.modifiers.linear.trace, lu.modifiers.linear))
  end)

  it("says what has none", function()
    assert.matches("no backward rule", t.message(function()
      return lu.modifiers.linear:trace()
    end))
  end)
end)
