-- Files that do not say what they are: VGGs with any head, behind any prefix, and the
-- errors where two readings fit. The files are written here, under torch's names, from
-- networks of ours, whose answers must come back to the bit.
local core = require "lunette.core"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"
local foreign = dofile "tests/lua/foreign.lua"

local folder, done = t.cache_folder()
teardown(done)

local write, imported, refusal = foreign.files(folder)
local vgg, torch_names, same_answers = foreign.vgg, foreign.torch_names,
  foreign.same_answers


describe("a VGG's head", function()
  local heads = { {}, { 5 }, { 7, 5 }, { 7, 7, 5 }, { 9, 8, 7, 5 }, { 9, 8, 7, 6, 5 } }
  for _, units in ipairs(heads) do
    for _, normed in ipairs { false, true } do
      local what = normed and ", normalised," or ""
      it(("of %d dense layers%s is read"):format(#units, what), function()
        local net = vgg(units, { normed = normed or nil })
        local path = write("head", torch_names(net))
        local got, report = imported(path, { side = 64 })
        assert.equal("vgg11", report.model)
        same_answers(net, got)
        if #units > 0 then same_answers(net, assert(lu.load(path))) end
      end)
    end
  end

  it("is no softmax over one unit", function()
    local path = write("one", torch_names(vgg { 4, 1 }))
    local net, report = imported(path)
    assert.equal("linear", net:layers()[#net:layers()].kind)
    assert.matches("its one output is a value", table.concat(report.assumed, "; "))
    assert.equal("sigmoid", (function()
      local list = imported(path, { last = "sigmoid" }):layers()
      return list[#list].kind
    end)())
    assert.matches("a softmax over one output", refusal(path, { last = "softmax" }))
    assert.matches("last is softmax, sigmoid or none",
                   refusal(path, { last = "sofmax" }))
  end)

  it("that reads one value a channel has two readings", function()
    local arch = { width = { 2, 3, 4, 5, 6 }, side = 32,
                   dense = { { units = 4, aliases = { "classifier.0" } } } }
    local net = lu.net(lu.models.vgg11(arch)):init(1)
    local path = write("gap", torch_names(net))
    assert.matches("32x32, or global average pooling.*%-%-side", refusal(path))
    assert.same({ 3, 32, 32 }, imported(path, { side = 32 }).input)
    local pooled, report = imported(path, { side = "224" })
    assert.equal("global_avg_pool", pooled.avgpool.kind)
    assert.matches("averaged to 1x1", table.concat(report.assumed, "; "))
  end)

  it("of a picture that is no square says which there may be", function()
    local arch = { width = { 2, 3, 4, 5, 6 }, side = { 64, 96 },
                   dense = { { units = 4, aliases = { "classifier.0" } } } }
    local net = lu.net(lu.models.vgg11(arch)):init(1)
    local path = write("oblong", torch_names(net))
    assert.matches("64x96, or 96x64; say which with %-%-side", refusal(path))
    assert.same({ 3, 64, 96 }, imported(path, { side = "64x96" }).input)
    assert.same({ 3, 96, 64 }, imported(path, { side = { 96, 64 } }).input)
    assert.matches("side is a number of pixels", refusal(path, { side = "big" }))
  end)

  it("of unnamed order is what fits, or an error that lists the orders", function()
    local net = vgg { 7, 6, 5 }
    local words = { ["classifier.0"] = "zeta", ["classifier.3"] = "beta",
                    ["classifier.6"] = "alpha" }
    local function rename(name)
      local base, key = name:match "^(.*)%.([^.]+)$"
      return (words[base] or base) .. "." .. key
    end
    same_answers(net, (imported(write("words", torch_names(net, rename)))))
    net = vgg { 6, 6, 6 } -- any order of the last two
    assert.matches("several orders %(zeta, beta, alpha; or zeta, alpha, beta%)",
                   refusal(write("square", torch_names(net, rename))))
  end)
end)


describe("a prefix", function()
  it("is found by what remains", function()
    local net = vgg { 7, 7, 5 }
    for _, prefix in ipairs { "module.", "backbone.", "state_dict.model.", "net.a.b.",
                              "_orig_mod.module." } do
      local path = write("prefix", torch_names(net, function(n) return prefix .. n end))
      same_answers(net, (imported(path)))
      same_answers(net, assert(lu.load(path)))
    end
    local inside = write("inside", torch_names(net, function(n)
      return (n:gsub("^features%.", "features.module."))
    end))
    same_answers(net, (imported(inside)))
  end)

  it("of a copy is named, and the other taken", function()
    local net, ema = vgg { 7, 7, 5 }, vgg { 7, 7, 5 }
    for name, p in pairs(ema.params) do ema.params[name] = p * 2 end
    local list = torch_names(ema, function(n) return "model_ema.module." .. n end)
    for _, e in ipairs(torch_names(net, function(n) return "model." .. n end)) do
      list[#list + 1] = e
    end
    list[#list + 1] = { "optimizer.exp_avg", core.zeros(3, 3) }
    local path = write("ema", list)
    local got, report = imported(path)
    same_answers(net, got)
    assert.matches("'model' is taken, 'model_ema' left out", report.assumed[1])
    assert.matches("optimizer", table.concat(report.left, ", "))
    same_answers(ema, (imported(path, { prefix = "model_ema" })))
    assert.matches("no network stands behind 'mdel'",
                   refusal(path, { prefix = "mdel" }))
  end)

  it("with weights of another beside it is no whole network", function()
    local list = torch_names(vgg {}, function(n) return "backbone." .. n end)
    list[#list + 1] = { "head.weight", core.zeros(5, 25) } -- it gives 24 values
    assert.matches("'head.weight' lies beside the network 'backbone'",
                   refusal(write("beside", list)))
    list[#list] = { "projector.weight", core.zeros(5, 24) }
    assert.matches("'projector.weight' lies beside the network 'backbone'",
                   refusal(write("beside", list)))
    list = torch_names(vgg { 7, 5 }, function(n) return "backbone." .. n end)
    list[#list + 1] = { "head.weight", core.zeros(4, 5) } -- is there a relu between?
    assert.matches("'head.weight' lies beside the network 'backbone'",
                   refusal(write("beside", list)))
  end)

  it("of a network whose head lies beside it, is of both", function()
    local net = assert(lu.net(lu.models.resnet18 { width = 1 / 16, classes = 3,
                                                   side = 64 })):init(3)
    for _, head in ipairs { "head.fc", "fc", "classifier.0" } do
      for _, holder in ipairs { "", "model." } do
        local list = torch_names(net, function(n)
          local own, count = n:gsub("^fc", head)
          return holder .. (count > 0 and own or "backbone." .. n)
        end)
        local got, report = imported(write("headed", list), { side = 64 })
        same_answers(net, got)
        assert.equal(("'%s%s' beside '%sbackbone' is its head, in the usual place")
          :format(holder, head:match "^%a+", holder), report.assumed[1])
      end
    end
    local own = vgg { 5 }
    local got = imported(write("headed", torch_names(own, function(n)
      local name, count = n:gsub("^classifier%.0", "head")
      return count > 0 and name or "backbone." .. n
    end)))
    same_answers(own, got)
  end)

  it("is not needed for what is left out by name", function()
    local list = torch_names(vgg { 7, 5 })
    list[#list + 1] = { "steps", core.zeros(0) }
    local _, report = imported(write("extra", list))
    assert.same({ "'steps'" }, report.left)
    list[#list + 1] = { "aux.weight", core.zeros(2, 2) }
    assert.is_string(refusal(write("extra2", list)))
    list = torch_names(vgg { 7, 5 })
    table.remove(list)
    list[#list + 1] = { "features.0.weight_orig", core.zeros(2, 3, 3, 3) }
    list[#list + 1] = { "features.0.weight_mask", core.zeros(2, 3, 3, 3) }
    assert.matches("pruned", refusal(write("pruned", list)))
  end)

  it("is said of weights that are kept in parts, or of another type", function()
    for parts, word in pairs {
      ["weight_orig weight_u"] = "spectral norm .*remove_spectral_norm",
      ["weight_g weight_v"] = "weight norm .*remove_weight_norm",
      ["parametrizations.weight.original0 parametrizations.weight.original1"] =
        "parametrised: .*remove_parametrizations",
      ["lora_A.weight lora_B.weight"] = "LoRA",
      ["scale zero_point"] = "'features.0' is quantised",
    } do
      local list = torch_names(vgg { 7, 5 })
      for i, e in ipairs(list) do
        if e[1] == "features.0.weight" then table.remove(list, i) end
      end
      for part in parts:gmatch "%S+" do
        list[#list + 1] = { "features.0." .. part, core.zeros(2, 3, 3, 3) }
      end
      assert.matches(word, refusal(write("parts", list)))
    end
    -- a network may have parameters g and v of its own, beside their product
    local list = torch_names(vgg { 7, 5 })
    list[#list + 1] = { "features.0.weight_g", core.zeros(2) }
    list[#list + 1] = { "features.0.weight_v", core.zeros(2) }
    assert.not_matches("weight norm", refusal(write("own_parts", list)))
    local header = '{"c.weight":{"dtype":"F8_E4M3","shape":[2,3],"data_offsets":[0,6]},'
      .. '"c.bias":{"dtype":"F32","shape":[2],"data_offsets":[6,14]}}'
    local path = t.spit(folder .. "/fp8.safetensors",
                        ("<s8"):pack(header) .. ("\0"):rep(14))
    assert.matches("'c.weight' is F8_E4M3, which is not read", refusal(path))
  end)
end)


describe("a network of one's own", function()
  it("is what a Lua file returns, names matched both ways", function()
    local net = t.own()
    local list = {}
    for name, p in pairs(net.params) do list[#list + 1] = { "model." .. name, p } end
    local path, lua = write("own", list), folder .. "/own.lua"
    local text = require("lunette.net.graph").encode(net.graph)
    t.spit(lua, ("return require 'lunette.base.json'.decode [==[%s]==]"):format(text))
    local got, report = imported(path, { arch = lua })
    local x = t.input(net, 2)
    assert.is_true(net:run(x).output:detach():same(got:run(x).output:detach()))
    assert.equal("own", report.model)
    for _, e in ipairs(list) do
      if e[1] == "model.out.bias" then e[1] = "model.stray.bias" end
    end
    local message = refusal(write("own2", list), { arch = lua })
    assert.matches("has no 'out.bias'; has no place for 'model.stray.bias'", message)
    assert.matches("returns no table of layers",
                   refusal(path, { arch = t.spit(folder .. "/no.lua", "return 1") }))
    assert.matches("no architecture 'vg16'; did you mean 'vgg16'",
                   refusal(path, { arch = "vg16" }))
  end)

  it("that is another than --arch says is refused", function()
    local path = write("eleven", torch_names(vgg { 7, 7, 5 }))
    assert.matches("those of vgg11, not of vgg16", refusal(path, { arch = "vgg16" }))
    assert.equal("vgg11", (imported(path, { arch = "vgg11" })).name)
  end)
end)


describe("names of other libraries", function()
  local dialects = require "lunette.weights.import.dialects"

  ---torchvision's name of a ConvNeXt's tensor in one of three dialects.
  local function of_convnext(name, d)
    local stage, i, rest = name:match "^features%.(%d)%.(%d+)%.(.*)$"
    stage = math.tointeger(stage)
    if not stage then
      return name:gsub("^classifier%.0", d.norm):gsub("^classifier%.2", d.head)
    elseif stage == 0 then
      return d.stem:format(i) .. rest
    elseif stage % 2 == 0 then
      return d.down:format(stage // 2, i) .. rest
    end
    rest = rest:gsub("^block%.(%d)", d):gsub("^layer_scale", d.scale)
    return d.unit:format(stage // 2, i) .. rest
  end

  local convnexts = {
    ["Hugging Face"] = { norm = "convnext.layernorm", head = "classifier",
      stem = "convnext.embeddings.%s.", unit = "convnext.encoder.stages.%d.layers.%d.",
      down = "convnext.encoder.stages.%d.downsampling_layer.%d.",
      ["0"] = "dwconv", ["2"] = "layernorm", ["3"] = "pwconv1", ["5"] = "pwconv2",
      scale = "layer_scale_parameter" },
    timm = { norm = "head.norm", head = "head.fc", stem = "stem.%s.",
      unit = "stages.%d.blocks.%d.", down = "stages.%d.downsample.%d.",
      ["0"] = "conv_dw", ["2"] = "norm", ["3"] = "mlp.fc1", ["5"] = "mlp.fc2",
      scale = "gamma" },
    ["ConvNeXt's authors"] = { norm = "norm", head = "head",
      stem = "downsample_layers.0.%s.", unit = "stages.%d.%d.",
      down = "downsample_layers.%d.%d.", ["0"] = "dwconv", ["2"] = "norm",
      ["3"] = "pwconv1", ["5"] = "pwconv2", scale = "gamma" },
  }
  for whose, dialect in pairs(convnexts) do
    it("are understood: ConvNeXt, " .. whose, function()
      local net = assert(lu.net(lu.models.convnext_tiny { classes = 3 }))
      local list, want = {}, {}
      for i, layer in ipairs(net:layers()) do
        for _, q in ipairs(layer.params) do
          local name = q.name:gsub("%.scaled%.", ".")
          want[#want + 1] = "model." .. name
          local there = of_convnext(name, dialect)
            :gsub("embeddings%.0", "embeddings.patch_embeddings")
            :gsub("embeddings%.1", "embeddings.layernorm")
          list[#list + 1] = { name = "model." .. there, tensor = i }
        end
      end
      assert.equal(whose, dialects.translate(list).whose)
      assert.equal(0, #want - #list)
      for i, one in ipairs(list) do assert.equal(want[i], one.name) end
    end)
  end

  it("are understood: ViT, timm", function()
    local net = assert(lu.net(lu.models.vit_b_16 { depth = 2, width = 12, heads = 3,
                                                   inner = 8, classes = 3 }))
    local words = { ["conv_proj"] = "patch_embed.proj", ["heads%.head"] = "head",
      ["encoder%.layers%.encoder_layer_"] = "blocks.", ["ln_(%d)"] = "norm%1",
      ["self_attention%.in_proj"] = "attn.qkv", ["mlp%.0"] = "mlp.fc1",
      ["self_attention%.out_proj"] = "attn.proj", ["mlp%.3"] = "mlp.fc2",
      ["encoder%.ln"] = "norm", ["^class_token%.class_token"] = "cls_token",
      ["encoder%.embedded%.pos_embedding"] = "pos_embed" }
    local list, want = {}, {}
    for _, layer in ipairs(net:layers()) do
      for _, q in ipairs(layer.params) do
        local name = q.name
        for ours, theirs in pairs(words) do name = name:gsub(ours, theirs) end
        list[#list + 1] = { name = name }
        want[#want + 1] = q.name:gsub("in_proj%.", "in_proj_")
          :gsub("%.embedded", ""):gsub("^class_token%.", "")
      end
    end
    assert.equal("timm", dialects.translate(list).whose)
    for i, one in ipairs(list) do assert.equal(want[i], one.name) end
  end)

  it("are understood: ResNet, Hugging Face, whose head has no prefix", function()
    local net = assert(lu.net(lu.models.resnet18 { width = 1 / 16, classes = 3,
                                                   side = 64 })):init(3)
    local words = { ["^conv1"] = "embedder.embedder.convolution",
      ["^bn1"] = "embedder.embedder.normalization",
      ["downsample%.0"] = "shortcut.convolution",
      ["downsample%.1"] = "shortcut.normalization" }
    local path = write("hf", torch_names(net, function(name)
      if name:find "^fc" then return (name:gsub("fc", "classifier.1")) end
      for ours, theirs in pairs(words) do name = name:gsub(ours, theirs) end
      name = name:gsub("^layer(%d)%.(%d)", function(s, i)
        return ("encoder.stages.%d.layers.%d"):format(s - 1, i)
      end)
      name = name:gsub("%.conv(%d)", function(k)
        return (".layer.%d.convolution"):format(k - 1)
      end)
      name = name:gsub("%.bn(%d)", function(k)
        return (".layer.%d.normalization"):format(k - 1)
      end)
      return "resnet." .. name
    end))
    local got, report = imported(path, { side = 64 })
    assert.equal("resnet18", report.model)
    assert.matches("names are those of Hugging Face", report.assumed[1])
    same_answers(net, got)
  end)

  it("stay as they are for a network that the user describes", function()
    local stem = "resnet.embedder.embedder.convolution"
    local path = write("own_hf", { { stem .. ".weight", core.ones(2, 3, 3, 3) } })
    local lua = t.spit(folder .. "/hf.lua", ([[return { input = { 3, 8, 8 }, layers = {
      { "%s", "conv2d", filters = 2, kernel = 3, bias = false } } }]]):format(stem))
    assert.equal(stem, imported(path, { arch = lua }):layers()[1].name)
  end)

  it("that are not understood: how a network is described", function()
    local message = refusal(write("unknown", {
      { "net.scale", core.ones(3) }, { "net.stem.weight", core.ones(8, 3, 5, 5) } }))
    assert.matches('%-%-arch net.lua, a file like `return { input = { 3, 224, 224 }, '
      .. 'layers = { { "net.stem", "conv2d", filters = 8, kernel = 5 }', message)
  end)
end)
