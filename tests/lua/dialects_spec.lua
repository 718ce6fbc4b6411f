-- Files of timm and Hugging Face whose networks are torchvision's but for their names:
-- written here from networks of ours, whose answers must come back.
local core = require "lunette.core"
local import = require "lunette.weights.import"
local lu = require "lunette"
local stages = require "lunette.weights.import.stages"
local t = dofile "tests/lua/support.lua"

local folder, done = t.cache_folder()
teardown(done)


---A file of these tensors, imported; or the message why not.
local function imported(list, opts)
  local path = folder .. "/file.safetensors"
  assert(core.write_weights(path, list, "f32", {}))
  local o = { out = folder .. "/out.st", force = true, side = 64 }
  for key, value in pairs(opts or {}) do o[key] = value end
  local got, report = import(path, o)
  if not got then return nil, report end
  return assert(lu.load(got)), report
end


---A network's parameters under other names.
local function renamed(net, rename)
  local list = {}
  for _, layer in ipairs(net:layers()) do
    for _, q in ipairs(layer.params) do
      list[#list + 1] = { rename(layer.name) .. "." .. q.key, net.params[q.name] }
    end
  end
  return list
end


local function distance(a, b)
  local x = core.normal(1, 0, 2, table.unpack(a.input))
  return a:run(x).output:detach():distance(b:run(x).output:detach())
end


---A network with statistics that change something, and other epsilons.
local function made(name, opts, eps)
  local net = assert(lu.net(lu.models[name](opts))):init(3)
  for key, p in pairs(net.params) do
    if key:find "running_var$" then net.params[key] = p * 0 + 0.7 end
    if key:find "running_mean$" then net.params[key] = p * 0 + 0.1 end
  end
  for _, layer in ipairs(net:layers()) do layer.eps = layer.eps and eps or layer.eps end
  return net
end


---Millions of numbers that training changes.
local function millions(net)
  local n = 0
  for key, p in pairs(net.params) do
    local size = 1
    for _, d in ipairs(p:shape()) do size = size * d end
    n = n + (key:find "running_" and 0 or size)
  end
  return math.floor(n / 1e4 + 0.5) / 100
end


---Units, channels and channels a group of each stage.
local function stages_of(units, channels, group)
  local list = {}
  for s, n in ipairs(units) do
    list[s] = { units = n, channels = channels[s], group = group }
  end
  return list
end


describe("timm's RegNet", function()
  local words = { { "^stem%.0", "stem.conv" }, { "^stem%.1", "stem.bn" },
    { "^fc", "head.fc" }, { "f%.a", "conv1" }, { "f%.b", "conv2" }, { "f%.c", "conv3" },
    { "f%.se", "se" }, { "proj", "downsample" }, { "(%w+)%.0$", "%1.conv" },
    { "(%w+)%.1$", "%1.bn" } }

  local function of_timm(net)
    return renamed(net, function(n)
      n = n:gsub("^trunk_output%.block(%d)%.block%d%-(%d+)", function(s, i)
        return ("s%s.b%d"):format(s, i + 1)
      end)
      for _, word in ipairs(words) do n = n:gsub(word[1], word[2]) end
      return n
    end)
  end

  for _, name in ipairs { "regnet_x_800mf", "regnet_y_400mf" } do
    it("is " .. name, function()
      local net = made(name, { classes = 3, side = 64 })
      local got, report = imported(of_timm(net))
      assert.equal(name, report.model)
      assert.matches("names are those of timm", report.assumed[1])
      assert.equal(0, distance(net, got))
    end)
  end

  -- Sizes that torchvision has not: millions of parameters as timm counts them, stages
  -- as the paper has them.
  local sizes = {
    regnetx_002 = { 2.68, "x", stages_of({ 1, 1, 4, 7 }, { 24, 56, 152, 368 }, 8) },
    regnety_002 = { 3.16, "y", stages_of({ 1, 1, 4, 7 }, { 24, 56, 152, 368 }, 8) },
    regnetx_064 = { 26.21, "x", stages_of({ 2, 4, 10, 1 }, { 168, 392, 784, 1624 },
                                          56) },
    regnety_040 = { 20.65, "y", stages_of({ 2, 6, 12, 2 }, { 128, 192, 512, 1088 },
                                          64) },
  }
  for name, row in pairs(sizes) do
    it("of other sizes is read from its shapes: " .. name, function()
      local family = "regnet_" .. row[2]
      local net = made(family .. "_400mf", { side = 64, stages = row[3] })
      assert.equal(row[1], millions(net))
      local got, report = imported(of_timm(net))
      assert.equal(family, report.model)
      assert.equal(0, distance(net, got))
    end)
  end
end)


describe("timm's ConvNeXt of other sizes", function()
  ---Its dense layers are 1x1 convolutions.
  local function of_timm(net)
    local list = renamed(net, function(n)
      n = n:gsub("^features%.0%.", "stem."):gsub("^classifier%.0$", "head.norm")
        :gsub("^classifier%.2$", "head.fc")
      n = n:gsub("^features%.(%d)%.(%d+)", function(at, i)
        at = tonumber(at)
        return at % 2 == 0 and ("stages.%d.downsample.%s"):format(at // 2, i)
          or ("stages.%d.blocks.%s"):format(at // 2, i)
      end)
      return (n:gsub("block%.0", "conv_dw"):gsub("block%.2", "norm")
        :gsub("block%.3", "mlp.fc1"):gsub("block%.5", "mlp.fc2")
        :gsub("%.scaled$", ""))
    end)
    for _, one in ipairs(list) do one[1] = one[1]:gsub("layer_scale$", "gamma") end
    return list
  end

  local sizes = {
    convnext_atto = { 3.70, stages_of({ 2, 2, 6, 2 }, { 40, 80, 160, 320 }) },
    convnext_pico = { 9.05, stages_of({ 2, 2, 6, 2 }, { 64, 128, 256, 512 }) },
    uneven = { 0.22, stages_of({ 1, 4, 2 }, { 24, 32, 72 }) },
  }
  for name, row in pairs(sizes) do
    it("is read from its shapes: " .. name, function()
      local net = made("convnext_tiny", { side = 64, stages = row[2] })
      assert.equal(row[1], millions(net))
      local got, report = imported(of_timm(net))
      assert.equal("convnext", report.model)
      assert.equal(0, distance(net, got))
    end)
  end

  it("is no convnext_tiny for --arch, nor with a layer missing", function()
    local net = made("convnext_tiny", { side = 64,
      stages = stages_of({ 2, 2, 6, 2 }, { 40, 80, 160, 320 }) })
    local list = of_timm(net)
    local got, message = imported(list, { arch = "convnext_tiny" })
    assert.is_nil(got)
    assert.is_string(message)
    local less = {}
    for _, one in ipairs(list) do
      if not one[1]:find "^stages%.2%.blocks%.5%.norm" then less[#less + 1] = one end
    end
    got, message = imported(less)
    assert.is_nil(got)
    assert.matches("convnext", message)
  end)
end)


describe("timm's network of stages", function()
  -- Blocks a stage, as timm has them.
  local depths = {
    efficientnet_b0 = { 1, 2, 2, 3, 3, 4, 1 },
    efficientnet_b2 = { 2, 3, 3, 4, 4, 5, 2 },
    mobilenet_v2 = { 1, 2, 3, 4, 3, 3, 1 },
    mobilenet_v3_large = { 1, 2, 3, 4, 2, 3, 1 },
    mobilenet_v3_small = { 1, 2, 3, 2, 3, 1 }, mnasnet1_0 = { 1, 3, 3, 3, 2, 4, 1 },
  }
  local twins = { efficientnet_b0 = true, efficientnet_b2 = true,
                  mobilenet_v3_large = true, mobilenet_v3_small = true }

  ---"blocks.2.0." of the block that is this far from the first.
  local function place(depth, n)
    for s, count in ipairs(depth) do
      if n < count then return ("blocks.%d.%d."):format(s - 1, n) end
      n = n - count
    end
  end

  local words = {
    [2] = { "conv", "bn1" }, [4] = { "conv_dw", "bn1", "conv_pw", "bn2" },
    [6] = { "conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3" },
  }
  local outer = { ["features.0.0"] = "conv_stem", ["features.0.1"] = "bn1",
    ["layers.0"] = "conv_stem", ["layers.1"] = "bn1", ["layers.14"] = "conv_head",
    ["layers.15"] = "bn2", ["classifier.0"] = "conv_head",
    ["classifier.1"] = "classifier", ["classifier.3"] = "classifier" }
  for i, word in ipairs(words[4]) do
    outer["layers." .. ({ 3, 4, 6, 7 })[i]] = "blocks.0.0." .. word
  end

  local patterns = { "^(%a+%.%d+%.%d+)%.block%.%d", "^(%a+%.%d+)%.block%.%d",
                     "^(%a+%.%d+)%.conv%.%d", "^(layers%.%d+%.%d+)%.layers" }

  ---The modules of each of torchvision's blocks, its convolutions and norms in order.
  local function blocks_of(net, of_v3)
    local list, by_key = {}, {}
    for _, layer in ipairs(net:layers()) do
      local key = layer.name:match(of_v3 and "^(features%.1[0-9])%.[01]$" or "^$")
      for _, pattern in ipairs(patterns) do key = key or layer.name:match(pattern) end
      if key and #layer.params > 0 then
        if not by_key[key] then
          by_key[key] = { excite = {} }
          list[#list + 1] = by_key[key]
        end
        local excite = layer.name:find "%.fc%d$"
        table.insert(excite and by_key[key].excite or by_key[key], layer.name)
      end
    end
    return list
  end

  ---timm's names of torchvision's modules.
  local function timm_names(net, name)
    local to = {}
    for key, word in pairs(outer) do to[key] = word end
    local first = name:find "^mnasnet" and 0 or -1
    for n, block in ipairs(blocks_of(net, name:find "v3")) do
      local at = place(depths[name], n + first)
      for i, m in ipairs(block) do to[m] = at .. words[#block][i] end
      for i, m in ipairs(block.excite) do
        to[m] = at .. ({ "se.conv_reduce", "se.conv_expand" })[i]
      end
    end
    local last = name:find "^eff" and "features.8" or name:find "v2" and "features.18"
    if last then to[last .. ".0"], to[last .. ".1"] = "conv_head", "bn2" end
    return function(module) return to[module] end
  end

  for name in pairs(depths) do
    it("is " .. name, function()
      local net = made(name, { classes = 3, side = 64 }, 1e-5)
      local list = renamed(net, timm_names(net, name))
      for _, e in ipairs(list) do -- the head of MobileNet V3 is a 1x1 convolution
        local head = name:find "v3" and e[1] == "conv_head.weight"
        if head then e[2] = e[2]:view(e[2]:dim(1), e[2]:dim(2), 1, 1) end
      end
      if twins[name] then
        local got, message = imported(list)
        assert.is_nil(got)
        assert.matches(("say %%-%%-arch %s, or %%-%%-arch tf_%s"):format(name, name),
                       message)
      end
      local got, report = imported(list, { arch = twins[name] and name or nil })
      assert.equal(name, report.model)
      assert.matches("names are those of timm", report.assumed[1])
      assert.equal(0, distance(net, got))
      for i = 1, #list do list[i][1] = "model." .. list[i][1] end
      assert.equal(0, distance(net, (assert(imported(list, { arch = name })))))
      local tf, message = imported(list, { arch = "tf_" .. name })
      if not twins[name] then return assert.matches("timm has no tf_", message) end
      assert.same({ 0, 0 }, tf:layers()[1].padding)
      assert.same({ 1, 1 }, tf:layers()[1].padding_end)
      assert.equal(1e-3, tf:layers()[2].eps)
    end)
  end

  it("of TensorFlow's kind pads behind where the other pads before", function()
    ---One convolution of stride 2, as torch pads, or as TensorFlow does.
    local function strided(kernel, side, change)
      local arch = { input = { 3, side, side }, layers = { { "a", "conv2d", filters = 2,
        kernel = kernel, stride = 2, padding = kernel // 2 } } }
      if change then change(arch) end
      return assert(lu.net(arch)):init(5)
    end

    ---A picture whose first row and column are 0, and one whose places hold what is
    ---one further on there.
    local function pictures(side)
      local x, y = core.normal(1, 0, 1, 3, side, side), core.zeros(1, 3, side, side)
      for c = 1, 3 do
        for i = 1, side do
          for j = 1, side do
            if i == 1 or j == 1 then
              x[1][c][i][j] = 0
            else
              y[1][c][i - 1][j - 1] = x[1][c][i][j]
            end
          end
        end
      end
      return x, y
    end

    for _, k in ipairs { 3, 5 } do
      for _, side in ipairs { 8, 9 } do -- an odd side leaves nothing over
        local x, y = pictures(side)
        local there = strided(k, side, stages.pad_as_tensorflow):run(x).output:detach()
        local read = side % 2 == 0 and y or x
        local off = there:distance(strided(k, side):run(read).output:detach())
        assert.is_true(off < 1e-6, off)
      end
    end
  end)

  it("is asked for by timm's names alone", function()
    local net = made("mobilenet_v2", { classes = 3, side = 64 })
    local _, message = imported(renamed(net, function(n) return n end),
                                { arch = "tf_mobilenet_v2" })
    assert.matches("%-%-arch tf_mobilenet_v2 is for files with timm's names", message)
  end)
end)


describe("Hugging Face's ViT", function()
  local words = { { "^conv_proj", "embeddings.patch_embeddings.projection" },
    { "^class_token", "embeddings.cls_token" },
    { "^encoder%.embedded", "embeddings.position_embeddings" },
    { "encoder%.layers%.encoder_layer_(%d+)", "encoder.layer.%1" },
    { "ln_1", "layernorm_before" }, { "ln_2", "layernorm_after" },
    { "self_attention%.out_proj", "attention.output.dense" },
    { "mlp%.0", "intermediate.dense" }, { "mlp%.3", "output.dense" },
    { "^encoder%.ln", "layernorm" }, { "^heads%.head", "classifier" } }

  ---A projection of query, key and value as three.
  local function parts_of(base, key, p)
    local list, n = {}, p:dim(1) // 3
    for i, word in ipairs { "query", "key", "value" } do
      list[i] = { ("vit.%s.attention.attention.%s.%s"):format(base, word, key),
                  p:narrow { dim = 1, start = (i - 1) * n + 1, length = n } }
    end
    return list
  end

  local own = { ["embeddings.position_embeddings"] = true,
                ["embeddings.cls_token"] = true }

  ---The file of a ViT.
  local function file_of(net)
    local list = {}
    for _, e in ipairs(renamed(net, function(name)
      for _, word in ipairs(words) do name = name:gsub(word[1], word[2]) end
      return name
    end)) do
      local name, key = e[1]:match "^(.*)%.([^.]+)$"
      local base = name:match "^(.*)%.self_attention%.in_proj$"
      local before = name == "classifier" and "" or "vit."
      local these = base and parts_of(base, key, e[2])
        or { { before .. (own[name] and name or e[1]), e[2] } }
      table.move(these, 1, #these, #list + 1, list)
    end
    return list
  end

  for _, size in ipairs { { 192, 3, 256 }, { 384, 6, 512 } } do
    it(("of %d channels has %d heads"):format(size[1], size[2]), function()
      local net = made("vit_b_16", { width = size[1], heads = size[2], inner = size[3],
                                     classes = 3, side = 32 }, 1e-12)
      local got, report = imported(file_of(net), { side = 32 })
      assert.equal("vit_b_16", report.model)
      local assumed = table.concat(report.assumed, "; ")
      assert.matches("those of Hugging Face.*an epsilon of 1e%-12 in its", assumed)
      assert.matches(size[2] .. " heads", assumed)
      -- products of three matrices instead of one: other roundings
      local off = distance(net, got)
      assert.is_true(off < 1e-6, off)
    end)
  end

  it("without classes has none, whatever its pooler would be", function()
    local net = made("vit_b_16", { width = 192, heads = 3, inner = 64, classes = 3,
                                   side = 32 })
    local list = file_of(net)
    assert.equal("classifier.bias", table.remove(list)[1])
    assert.equal("classifier.weight", table.remove(list)[1])
    list[#list + 1] = { "vit.pooler.dense.weight", core.ones(192, 192) }
    list[#list + 1] = { "vit.pooler.dense.bias", core.ones(192) }
    local got, report = imported(list, { side = 32 })
    assert.equal(false, report.options.top)
    assert.equal("narrow", got:layers()[#got:layers()].kind)
    assert.is_nil(table.concat(report.assumed, "; "):find "softmax")
    assert.matches("pooler", table.concat(report.left, ", "))
  end)
end)
