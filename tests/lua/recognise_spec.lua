-- Files that do not say what they are: VGGs with any head, behind any prefix, and the
-- errors where two readings fit. The files are written here, under torch's names, from
-- networks of ours, whose answers must come back to the bit.
local core = require "lunette.core"
local import = require "lunette.weights.import"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local folder, done = t.cache_folder()
teardown(done)


---A small VGG11 with a head of dense layers of so many units.
local function vgg(units, opts)
  local arch = { width = { 2, 3, 4, 5, 6 }, side = 64, normed = opts and opts.normed,
                 top = #units > 0 }
  if #units > 0 then arch.dense = {} end
  for i, n in ipairs(units) do
    arch.dense[i] = { units = n, aliases = { "classifier." .. 3 * (i - 1) } }
  end
  local net = assert(lu.net(lu.models.vgg11(arch))):init(#units + 1)
  for name, p in pairs(net.params) do -- statistics that change something
    if name:find "running_var$" then net.params[name] = p * 0 + 0.7 end
    if name:find "running_mean$" then net.params[name] = p * 0 + 0.1 end
  end
  return net
end


---Its parameters under torchvision's names.
local function torch_names(net, rename)
  local list = {}
  for _, layer in ipairs(net:layers()) do
    for _, q in ipairs(layer.params) do
      local alias
      for _, name in ipairs(layer.aliases) do
        alias = name:find "^features" and name or name:find "^classifier" and name
          or alias
      end
      local name = (alias or layer.name) .. "." .. q.key
      list[#list + 1] = { rename and rename(name) or name, net.params[q.name] }
    end
  end
  return list
end


local function write(name, list, meta)
  local path = folder .. "/" .. name .. ".safetensors"
  assert(core.write_weights(path, list, "f32", meta or {}))
  return path
end


local out
before_each(function() out = folder .. "/out.st" end)


local function imported(path, opts)
  local o = { out = out, force = true }
  for key, value in pairs(opts or {}) do o[key] = value end
  local got, report = import(path, o)
  assert(got, tostring(report))
  return assert(lu.load(got)), report
end


local function refusal(path, opts)
  local o = { out = out, force = true }
  for key, value in pairs(opts or {}) do o[key] = value end
  local got, message = import(path, o)
  assert.is_nil(got)
  return message
end


local function same_answers(a, b)
  local x = core.normal(1, 0, 2, 3, 64, 64)
  local one, two = a:run(x).output:detach(), b:run(x).output:detach()
  assert.is_true(one:same(two))
end


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


describe("pictures of a file's network", function()
  local function dense(input, units)
    local name = ("in%d.lua"):format(#input)
    return t.spit(folder .. "/" .. name, ([[return { input = { %s }, layers = {
      { "f", "flatten" }, { "a", "linear", units = %d } } }]]):format(
      table.concat(input, ", "), units))
  end

  it("of one channel are over 255, not by the means of colours", function()
    local path = write("grey", { { "a.weight", core.ones(2, 16) },
                                 { "a.bias", core.ones(2) } })
    local net, report = imported(path, { arch = dense({ 1, 4, 4 }, 2) })
    assert.matches("values / 255, as its pictures have 1 channel", report.assumed[1])
    local picture = core.zeros(3, 4, 4)
    picture[1] = core.full(255, 4, 4) -- red
    local x = net:images { picture }
    assert.near(0.299, x:stats().max, 1 / 255) -- its luminance (ITU-R 601)
    local shown = x.pictures[1]
    for i = 1, 3 do assert.equal(76, shown[i]:stats().max) end
  end)

  it("are none where it reads vectors", function()
    local path = write("table", { { "a.weight", core.ones(2, 13) },
                                  { "a.bias", core.ones(2) } })
    local lua = t.spit(folder .. "/mlp.lua", [[return { input = { 13 }, layers = {
      { "a", "linear", units = 2 } } }]])
    local net, report = imported(path, { arch = lua })
    assert.is_nil(report.preprocessing)
    assert.equal(0, #report.assumed)
    local x, message = net:images { core.zeros(3, 4, 4) }
    assert.is_nil(x)
    assert.equal("network reads vectors of 13 values, no pictures: give net:run a "
      .. "tensor (N, 13)", message)
    assert.same({ 14, 14 }, net:run(core.ones(1, 13)).output:detach():view(2):totable())
  end)
end)


describe("what the user says", function()
  local path
  before_each(function() path = write("said", torch_names(vgg { 7, 7, 3 })) end)

  it("names the classes", function()
    local names = t.spit(folder .. "/names.txt", "ash\r\nbirch\ncedar\n\n")
    assert.same({ "ash", "birch", "cedar" }, imported(path, { labels = names }).labels)
    names = t.spit(folder .. "/names.json", '["a","b","c"]')
    assert.same({ "a", "b", "c" }, imported(path, { labels = names }).labels)
    assert.matches("2 class names are given, the network has 3 outputs",
                   refusal(path, { labels = { "a", "b" } }))
    assert.matches("no file 'gone.txt'", refusal(path, { labels = "gone.txt" }))
  end)

  it("names the classes in every form that people have", function()
    for file, text in pairs {
      ["index.json"] = '{"0":"ash","2":"cedar","1":"birch"}',
      ["keras.json"] = '{"0":["n1","ash"],"1":["n2","birch"],"2":["n3","cedar"]}',
      ["indices.json"] = '{"birch":1,"ash":0,"cedar":2}',
      ["config.json"] = '{"model_type":"resnet","id2label":{"0":"ash","1":"birch",'
        .. '"2":"cedar"},"label2id":{"ash":0}}',
      ["mark.json"] = '\xEF\xBB\xBF["ash","birch","cedar"]',
      ["mark.txt"] = "\xEF\xBB\xBFash\nbirch\ncedar\n",
      ["title.csv"] = 'id,name\n0,ash\n2,"cedar"\n1,birch\n',
      ["title.tsv"] = "class\tname\n1\tash\n2\tbirch\n3\tcedar\n",
      ["map.yaml"] = "names:\n  0: ash\n  1: 'birch'\n  2: cedar\n",
      ["list.yaml"] = "names:\n- ash\n- birch\n- cedar\n",
      ["bare.yaml"] = "- ash\n- birch\n- cedar\n",
      ["synsets.txt"] = "n00000001 ash\nn00000002 birch\nn00000003 cedar\n",
      ["names.py"] = "{0: 'ash',\n 1: 'birch',\n 2: 'cedar'}",
    } do
      local names = imported(path, { labels = t.spit(folder .. "/" .. file, text) })
        .labels
      assert.same({ "ash", "birch", "cedar" }, names, file)
    end
    -- what only looks like a number, a title or a list is a name
    for _, list in ipairs { { "10 cent", "50 cent", "2 euro" }, { "a, b", "1 x", "y" },
                            { "names:", "ash", "birch" }, { "-", "- x", "y" } } do
      local file = t.spit(folder .. "/odd.txt", table.concat(list, "\n"))
      assert.same(list, imported(path, { labels = file }).labels)
    end
    for text, word in pairs { ['{"a":1'] = "bad.json: JSON, line 1",
        ['{"0":"a","1":"b","3":"c"}'] = "bad.json: 3 classes, but none has the",
        ["[1,2,3]"] = "bad.json: class 0 has no name that is text",
        ["a\n\nb"] = "bad.json: line 2 is empty" } do
      assert.matches(word, refusal(path, { labels = t.spit(folder .. "/bad.json",
                                                           text) }))
    end
  end)

  it("of preprocessing is judged by the loader, before anything is read", function()
    for text, word in pairs {
      ['{"std":[0,1,1]}'] = "std is 0", ['{"mean":[1,2]}'] = "one number or three",
      ['{"mean":["a",1,2]}'] = "no number", ['{"scale":0}'] = "scale",
      ['{"fit":"squeeze"}'] = "fit", ['{"filter":"sharp"}'] = "filter",
      ['{"crop_pct":7}'] = "crop_pct", ['{"men":[1]}'] = "men", ["{"] = "JSON",
      cafe = "did you mean 'caffe'",
    } do
      local message = refusal("/nowhere", { preprocessing = text })
      assert.matches(word, message)
    end
    local net = imported(path, { preprocessing = { mean = { 1, 2, 3 } } })
    assert.same({ 1, 2, 3 }, net.preprocessing.mean)
  end)

  it("is not needed twice: lu.load takes what import gives", function()
    local net = assert(lu.load(assert(import(path, { out = out, force = true }))))
    assert.equal("vgg11", net.name)
    assert.has_error(function() lu.load(out, {}) end)
  end)

  it("lets a default output go round what is there", function()
    local lfs, here = require "lfs", require("lfs").currentdir()
    local source = folder .. "/stem/said.pth"
    lfs.mkdir(folder .. "/stem")
    t.spit(source, t.read(path))
    t.spit(folder .. "/stem/said.safetensors", "mine")
    lfs.chdir(folder .. "/stem")
    local ok, one = pcall(import.default_out, source, nil, { sha256 = "ab" })
    lfs.chdir(here)
    assert.is_true(ok, one)
    assert.equal("said-pth.safetensors", one)
    assert.equal("mine", t.read(folder .. "/stem/said.safetensors"))
  end)
end)


describe("a foreign file", function()
  it("is imported into the cache once, and assumed facts are kept", function()
    local net = vgg { 7, 7, 5 }
    local path = write("once", torch_names(net, function(n) return "a.b." .. n end))
    local first = assert(lu.load(path))
    assert.equal(path, first.path)
    assert.matches("input 64x64", first.meta.assumed)
    local lfs, count = require "lfs", 0
    for name in lfs.dir(folder .. "/cache") do
      if name:find "^once%.safetensors%-" then count = count + 1 end
    end
    assert.equal(1, count)
    local import_again = import.import
    import.import = function() error "imported twice" end
    local ok, second = pcall(lu.load, path)
    import.import = import_again
    assert.is_true(ok, tostring(second))
    same_answers(first, second)
  end)

  it("is refused where a part of a tensor's name is empty", function()
    for _, names in ipairs { { "conv2d/conv2d/kernel:0", "conv2d/" }, { "/", "a/b" },
                             { "/kernel", "a/b" }, { "a//kernel", "a/b" } } do
      local path = write("empty_part", { { names[1], core.ones(3, 3, 3, 4) },
                                         { names[2], core.ones(4) } })
      assert.matches("has a name of which a part is empty", refusal(path))
    end
  end)

  it("is imported again where its copy in the cache is damaged", function()
    local lfs, net = require "lfs", vgg { 7, 5 }
    local path = write("damaged", torch_names(net, function(n) return "a.b." .. n end))
    assert(lu.load(path))
    local copy
    for name in lfs.dir(folder .. "/cache") do
      if name:find "^damaged%.safetensors%-" then copy = folder .. "/cache/" .. name end
    end
    local whole = t.read(copy)
    local other = t.spit(folder .. "/other", "of somebody")
    local damages = {
      function() t.spit(copy, "") end,
      function() t.spit(copy, "garbage") end,
      function() t.spit(copy, whole:sub(1, #whole // 2)) end,
      function() t.spit(copy, t.read(t.root() .. "/weights/glyphs.safetensors")) end,
      function() os.remove(copy) lfs.link(other, copy, true) end,
      function() os.remove(copy) lfs.link(copy, copy, true) end,
    }
    local text, said = require "lunette.base.text", ""
    local complain = text.complain
    text.complain = function(message) said = said .. message .. "\n" end
    local function load_again()
      said = ""
      local ok, got = pcall(lu.load, path)
      if not ok or not got then text.complain = complain end
      same_answers(net, assert(got, said))
    end
    for i, damage in ipairs(damages) do
      damage()
      load_again()
      assert.matches("copy in the cache is damaged, and is made anew", said, 1, true)
      assert.equal(whole, t.read(copy), i)
      assert.equal("file", lfs.symlinkattributes(copy, "mode"))
    end
    assert.equal("of somebody", t.read(other)) -- not written through the link
    os.remove(copy)
    lfs.mkdir(copy)
    lfs.mkdir(copy .. "/kept")
    load_again()
    text.complain = complain
    assert.matches("for this time only", said)
    assert.equal("directory", lfs.attributes(copy .. "/kept", "mode"))
    lfs.rmdir(copy .. "/kept")
    lfs.rmdir(copy)
  end)

  it("that is none says the same everywhere", function()
    local pointer = t.spit(folder .. "/p.h5",
                           "version https://git-lfs.github.com/spec/v1\n")
    local page = t.spit(folder .. "/p.pth", "<!DOCTYPE html><html></html>")
    local nothing = t.spit(folder .. "/none.pth", "")
    for path, word in pairs { [pointer] = "Git LFS", [page] = "web page",
                              [nothing] = "the file is empty" } do
      local message = refusal(path)
      assert.matches(word, message)
      assert.equal(message, (select(2, lu.load(path))))
      for _, command in ipairs { "summary '%s'", "explain --model '%s'" } do
        local code, text = t.program(command:format(path), folder)
        assert.not_equal(0, code)
        assert.matches(word, text)
      end
    end
  end)
end)
