-- The architectures by name: parameters as torchvision and Keras count them, names
-- however they are written, and state dicts that say nothing but their names.
-- tests/zoo compares logits with torchvision's own networks.
local core = require "lunette.core"
local import = require "lunette.weights.import"
local lu = require "lunette"
local modules = require "lunette.weights.import.modules"
local named = require "lunette.models.named"
local t = dofile "tests/lua/support.lua"

local folder, done = t.cache_folder()
teardown(done)


describe("parameters of", function()
  ---What torchvision says (meta.num_params); of Inception without its auxiliary head.
  local counts = {
    alexnet = 61100840, convnext_base = 88591464, convnext_large = 197767336,
    convnext_small = 50223688, convnext_tiny = 28589128, densenet121 = 7978856,
    densenet161 = 28681000, densenet169 = 14149480, densenet201 = 20013928,
    efficientnet_b0 = 5288548, efficientnet_b1 = 7794184, efficientnet_b2 = 9109994,
    efficientnet_b3 = 12233232, efficientnet_b4 = 19341616, efficientnet_b5 = 30389784,
    efficientnet_b6 = 43040704, efficientnet_b7 = 66347960, googlenet = 6624904,
    inception_v3 = 23834568, mnasnet0_5 = 2218512, mnasnet0_75 = 3170208,
    mnasnet1_0 = 4383312, mnasnet1_3 = 6282256, mobilenet_v2 = 3504872,
    mobilenet_v3_large = 5483032, mobilenet_v3_small = 2542856,
    regnet_x_16gf = 54278536, regnet_x_1_6gf = 9190136, regnet_x_32gf = 107811560,
    regnet_x_3_2gf = 15296552, regnet_x_400mf = 5495976, regnet_x_800mf = 7259656,
    regnet_x_8gf = 39572648, regnet_y_128gf = 644812894, regnet_y_16gf = 83590140,
    regnet_y_1_6gf = 11202430, regnet_y_32gf = 145046770, regnet_y_3_2gf = 19436338,
    regnet_y_400mf = 4344144, regnet_y_800mf = 6432512, regnet_y_8gf = 39381472,
    resnet101 = 44549160, resnet152 = 60192808, resnet18 = 11689512,
    resnet34 = 21797672, resnet50 = 25557032, resnext101_32x8d = 88791336,
    resnext101_64x4d = 83455272, resnext50_32x4d = 25028904,
    shufflenet_v2_x0_5 = 1366792, shufflenet_v2_x1_0 = 2278604,
    shufflenet_v2_x1_5 = 3503624, shufflenet_v2_x2_0 = 7393996, squeezenet1_0 = 1248424,
    squeezenet1_1 = 1235496, vgg11 = 132863336, vgg11_bn = 132868840, vgg13 = 133047848,
    vgg13_bn = 133053736, vgg16 = 138357544, vgg16_bn = 138365992, vgg19 = 143667240,
    vgg19_bn = 143678248, vit_b_16 = 86567656, vit_b_32 = 88224232,
    vit_h_14 = 632045800, vit_l_16 = 304326632, vit_l_32 = 306535400,
    wide_resnet101_2 = 126886696, wide_resnet50_2 = 68883240,
    mobilenet = 4231976, tiny_vgg = 19920, -- Keras': trainable ones; ours
    -- what Keras counts as trainable
    densenet121_keras = 7978856, densenet169_keras = 14149480,
    densenet201_keras = 20013928, resnet50_keras = 25583592,
    resnet101_keras = 44601832, resnet152_keras = 60268520, resnet50v2 = 25568360,
    resnet101v2 = 44577896, resnet152v2 = 60236904,
    -- for 32x32 and ten classes, as pytorch-cifar counts them
    resnet101_cifar = 42512970, resnet152_cifar = 58156618, resnet18_cifar = 11173962,
    resnet34_cifar = 21282122, resnet50_cifar = 23520842,
    -- of the paper: 0.27, 0.46, 0.66, 0.85, 1.7 million; as akamaster counts them
    resnet20_cifar = 269722, resnet32_cifar = 464154, resnet44_cifar = 658586,
    resnet56_cifar = 853018, resnet110_cifar = 1727962, resnet20_cifar_b = 272474,
    resnet32_cifar_b = 466906, resnet44_cifar_b = 661338, resnet56_cifar_b = 855770,
    resnet110_cifar_b = 1730714,
  }

  it("every architecture are known here", function()
    for _, name in ipairs(lu.models.names) do assert.truthy(counts[name], name) end
  end)

  for name, count in pairs(counts) do
    it(name, function()
      local net, found = assert(lu.net(lu.models[name]())), 0
      for _, layer in ipairs(net:layers()) do
        for _, q in ipairs(layer.params) do
          local size = 1
          for _, d in ipairs(q.shape) do size = size * d end
          if not q.frozen then found = found + size end
        end
      end
      assert.equal(count, found)
    end)
  end
end)


describe("names", function()
  it("are found however they are written", function()
    for written, name in pairs { ["ResNet-50"] = "resnet50", ["ViT-B/16"] = "vit_b_16",
                                 MobileNetV2 = "mobilenet_v2", MobileNet = "mobilenet",
                                 EfficientNetB0 = "efficientnet_b0", VGG16 = "vgg16",
                                 ["RegNet Y 1.6GF"] = "regnet_y_1_6gf",
                                 ["RegNet-Y-16GF"] = "regnet_y_16gf",
                                 ["SqueezeNet 1.0"] = "squeezenet1_0",
                                 InceptionV3 = "inception_v3" } do
      assert.equal(name, named.resolve(written))
      assert.equal(lu.models[name], lu.models[written])
    end
    for _, name in ipairs(lu.models.names) do
      assert.equal(name, named.resolve(name))
    end
    assert.is_nil(lu.models.resnet51)
    assert.is_nil(named.resolve "")
  end)

  it("of the catalogue are architectures", function()
    for _, e in ipairs(require "lunette.weights.catalogue".list()) do
      assert.truthy(named.resolve(e.model), e.id)
      assert.truthy(e.sha256 or e.sha256_prefix or e.md5, e.id)
    end
  end)
end)


---Small numbers, statistics that change something.
local function filled(name, opts)
  local net = assert(lu.net(lu.models[name](opts))):init(3)
  for key in pairs(net.params) do
    if key:find "running_var$" then net.params[key] = net.params[key] * 0 + 0.7 end
    if key:find "running_mean$" then net.params[key] = net.params[key] * 0 + 0.1 end
  end
  return net
end


local function written(list)
  local path = folder .. "/state.safetensors"
  assert(core.write_weights(path, list, "f32", {}))
  return path
end


local function state_of(net)
  local list = {}
  for _, layer in ipairs(net:layers()) do
    for _, q in ipairs(layer.params) do
      list[#list + 1] = { q.name, net.params[q.name] }
    end
  end
  return list
end


---A state dict's network, and what the import said, after a check of its answers.
local function same_answers(net, path, opts)
  local o = { out = folder .. "/out.safetensors", force = true }
  for key, value in pairs(opts or {}) do o[key] = value end
  local got, report = import(path, o)
  assert(got, tostring(report))
  local again, x = assert(lu.load(got)), t.input(net)
  assert.same(net.input, again.input)
  assert.is_true(again:run(x).output:same(net:run(x).output))
  return report
end


describe("a state dict", function()
  local rows = { shufflenet_v2_x0_5 = 64, mnasnet0_5 = 64, mobilenet_v3_small = 64,
                 regnet_y_400mf = 64 }
  for name, side in pairs(rows) do
    it("of " .. name .. " is known by its names", function()
      local net = filled(name, { classes = 3, side = side })
      local report = same_answers(net, written(state_of(net)), { side = side })
      assert.equal(name, report.model)
    end)
  end

  it("of two widths is told by its shapes", function()
    local net = filled("shufflenet_v2_x1_0", { classes = 3, side = 64 })
    local report = same_answers(net, written(state_of(net)), { side = 64 })
    assert.equal("shufflenet_v2_x1_0", report.model)
  end)

  it("leaves auxiliary heads out, and says so", function()
    local net = filled("googlenet", { classes = 3, side = 64 })
    local list = state_of(net)
    for _, key in ipairs { "aux1.conv.conv.weight", "aux1.fc2.bias",
                           "aux2.fc1.bias" } do
      list[#list + 1] = { key, core.normal(1, 1, 5) }
    end
    local report = same_answers(net, written(list), { side = 64 })
    assert.same({ "'aux1' (an auxiliary head, for training alone)",
                  "'aux2' (an auxiliary head, for training alone)" }, report.left)
    assert.matches('"mode":"tf"', report.preprocessing)
    list[#list + 1] = { "more.weight", core.normal(1, 1, 5) }
    local path, message = import(written(list), { out = folder .. "/no", side = 64 })
    assert.is_nil(path)
    assert.matches("has no place for 'more.weight'", message, 1, true)
  end)

  it("has parameters without a module of their own", function()
    local function tensor(name, ...) return { name = name, tensor = { name = name,
      type = "F32", shape = { ... } } } end
    local _, by_name = modules.plain({ tensor("a.attn.in_proj_weight", 6, 2),
      tensor("a.attn.in_proj_bias", 6), tensor("class_token", 1, 1, 2),
      tensor("encoder.pos_embedding", 1, 5, 2) }, {})
    assert.same({ 6, 2 }, by_name["a.attn.in_proj"].params.weight.shape)
    assert.same({ 6 }, by_name["a.attn.in_proj"].params.bias.shape)
    assert.same({ 1, 1, 2 }, by_name.class_token.params.class_token.shape)
    assert.same({ 1, 5, 2 }, by_name.encoder.params.pos_embedding.shape)
  end)

  it("of a published DenseNet has norm.1 for norm1", function()
    local net = assert(lu.net(lu.models.densenet121 { classes = 3 }))
    local layer = net:layer "features.denseblock1.denselayer1.norm.1"
    assert.equal("features.denseblock1.denselayer1.norm1", layer.name)
  end)
end)


describe("MobileNet of Keras", function()
  local python = "/usr/bin/python3"

  it("is imported from its weights alone, as numpy computes it", function()
    local from = t.kept("mobilenet", "tests/keras/mobilenet.py",
      "python3-torch python3-h5py", function(to)
        if t.other(python .. " -c 'import h5py, torch'") ~= 0 then return false end
        local code, text = t.other(("%s tests/keras/mobilenet.py '%s'"):format(python,
          to))
        assert(code == 0, text)
      end)
    if not from then return pending "python3 with h5py and torch" end
    local path, report = import(from .. "/mobilenet.h5",
      { out = folder .. "/m.safetensors", side = 64, preprocessing = "tf" })
    assert(path, report)
    assert.equal("mobilenet", report.model)
    local net = assert(lu.load(path))
    local run = net:run(assert(lu.npy.read(from .. "/x.npy")),
                        { modifiers = { "linear" } })
    local want = assert(lu.npy.read(from .. "/y.npy"))
    assert.is_true(run.output:detach():distance(want) < 1e-5)
  end)
end)
