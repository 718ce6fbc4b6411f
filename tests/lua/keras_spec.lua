-- Keras files are what their own config says: networks that tests/keras/write.py writes
-- as Keras 2 and 3 do, beside what TensorFlow would answer (by torch, in Keras' order).
local lu = require "lunette"
local import = require "lunette.weights.import"
local t = dofile "tests/lua/support.lua"

local python = "/usr/bin/python3"


---The mean over pixels of the first channel or class.
local function first(output)
  local one = output:narrow { dim = 2, start = 1, length = 1 }
  return output:dim() == 4 and one:mean { dims = { 3, 4 } } or one
end


---How far the outputs, and the gradient of the first, are from what is stored.
local function answers(net, x, base)
  local run, off = net:run(x), 0
  for i, name in ipairs(net.outputs) do
    local output, y = run.outputs[name], t.beside(base, "y" .. i)
    assert.same(y:shape(), output:shape())
    off = math.max(off, output:detach():distance(y))
  end
  return off, run:gradient({ score = first }):distance(t.beside(base, "g"))
end


describe("a Keras file", function()
  local folder = t.kept("keras", "tests/keras/write.py tests/keras/graph.py "
    .. "tests/keras/applications/*.py", "python3-torch python3-h5py",
    function(to)
      if t.other(python .. " -c 'import h5py, torch'") ~= 0 then return false end
      local code, list = t.other(("%s tests/keras/write.py '%s'"):format(python, to))
      assert(code == 0, list)
      t.spit(to .. "/list", list)
    end)
  if not folder then return pending "python3 with h5py and torch" end
  local list, outs, done = t.read(folder .. "/list"), t.folder()
  teardown(done)

  for name in list:gmatch "(%S+)\n" do
    it("is the network that it describes: " .. name, function()
      local stem = name:match "^[%w_]+"
      local base, out = folder .. "/" .. stem, ("%s/%s.safetensors"):format(outs, stem)
      local x = t.beside(base, "x")
      local side = name:find "^unsaid" and { x:dim(3), x:dim(4) } or nil
      local path, report = import(folder .. "/" .. name, { out = out, side = side,
        sums = { sha256 = ("0"):rep(64) } })
      assert.equal(out, path, tostring(report))
      local net = assert(lu.load(out))
      if side then
        local known = name:match "unsaid_(.*)_[23]"
          :gsub("50_v2", "50v2"):gsub("_notop$", ""):gsub("_head$", "")
          :gsub("_old$", "")
        assert.matches("^" .. known, report.model)
        assert.matches(report.model .. " as Keras has it",
                       table.concat(report.assumed, "; "))
      end
      assert.is_nil(io.open(("%s.y%d.npy"):format(base, #net.outputs + 1)))
      assert.is_true(t.beside(base, "g"):norm():item() > 1e-6) -- no softmax at its end
      -- in whole depth more: roundings of 120 layers
      local most = side and 3e-5 or 1e-5
      local off, slope
      for rounded in t.rounded(x, 16) do -- one and the same picture meets both limits
        off, slope = answers(net, rounded, base)
        if off < most and slope < 1e-4 then break end
      end
      assert.is_true(off < most, off)
      assert.is_true(slope < 1e-4, slope)
    end)
  end

  it("of weights alone is what --arch names, or is refused", function()
    local file, out = folder .. "/unsaid_xception_2.h5", outs .. "/asked.safetensors"
    local _, report = import(file, { arch = "Xception", out = out, side = "71x75" })
    assert.equal("xception", report.model)
    local path, message = import(file, { arch = "NASNetMobile", out = out })
    assert.is_nil(path)
    assert.matches("its layers are not those of Keras' nasnet_mobile", message)
    path, message = import(file, { arch = "mobilenet_v2", out = out })
    assert.is_nil(path)
    assert.matches("no architecture known here", message)
    path, message = import(file, { arch = "exception", out = out })
    assert.is_nil(path)
    assert.matches("no architecture 'exception'", message)
  end)

  it("without a head says so, with one puts it behind the mean", function()
    local out = outs .. "/head.safetensors"
    local _, report = import(folder .. "/unsaid_xception_notop_3.weights.h5", {
      out = out, force = true })
    assert.equal(false, report.options.top)
    assert.same({ 3, 299, 299 }, report.input)
    _, report = import(folder .. "/unsaid_mobilenet_v2_head_3.weights.h5", {
      out = out, force = true })
    assert.equal(4, report.options.classes)
    assert.matches("relu between its dense layers", table.concat(report.assumed, "; "))
  end)

  it("is not taken for what --arch names, but for what a file describes", function()
    local file, out = folder .. "/plain_2.h5", outs .. "/arch.safetensors"
    local path, message = import(file, { arch = "vgg16", out = out })
    assert.is_nil(path)
    assert.matches("its own config describes it %(net%): %-%-arch vgg16 has no use",
                   message)
    t.spit(outs .. "/net.lua", [[return { input = { 3, 9, 7 }, layers = {
      { "a", "conv2d", filters = 4, kernel = 3, padding = 1 }, { "r", "relu" },
      { "p", "max_pool2d", kernel = 2, stride = 2 }, { "flatten", "flatten" },
      { "answer", "linear", units = 4 }, { "softmax", "softmax" } } }]])
    assert(import(file, { arch = outs .. "/net.lua", out = out }))
    local d = assert(lu.load(out)):run(t.beside(folder .. "/plain_2", "x")).output
      :detach():distance(t.beside(folder .. "/plain_2", "y1"))
    assert.is_true(d < 1e-5, d)
  end)
end)


describe("a drawn network of keras.applications", function()
  it("is layer by layer what its authors' own function makes", function()
    local code, said = t.other(python .. " -B tests/keras/authors.py")
    if said:find "No module named 'keras_applications'" then
      return pending "python3-keras-applications"
    end
    assert.equal(0, code, said)
    local n = 0
    for line in said:gmatch "[^\n]+" do
      assert.matches("^[%w_]+ as its authors have it$", line)
      n = n + 1
    end
    assert.equal(9, n)
  end)
end)


describe("Keras' weights without names", function()
  local applications = require "lunette.weights.import.keras.applications"
  local nameless = require "lunette.weights.import.keras.nameless"

  ---The layers of a whole ConvNeXt.
  local function nodes_of(size)
    for nodes in applications.each() do
      if nodes[#nodes].name == ("convnext_%s_head_layernorm"):format(size) then
        return nodes
      end
    end
  end

  ---The paths of the Sequentials that layers lie in, by their names.
  local function holders_of(nodes)
    local paths, n = {}, 0
    for _, node in ipairs(nodes) do
      if node.within and not paths[node.within] then
        paths[node.within] = ("layers/sequential%s/layers/"):format(
          n > 0 and "_" .. n or "")
        n = n + 1
      end
    end
    return paths
  end

  local counts = { conv2d = 2, layer_normalization = 2, layer_scale = 1, dense = 2 }
  local classes = { Conv2D = "conv2d", LayerNormalization = "layer_normalization",
                    LayerScale = "layer_scale", Dense = "dense" }

  ---The tensors of a ConvNeXt, all of them vectors of `last` numbers, the head's behind
  ---the others.
  local function tensors_of(size, last)
    local nodes = nodes_of(size)
    local list, seen, paths = {}, {}, holders_of(nodes)
    local function add(class, path)
      local key = path .. class
      local n = seen[key] or 0
      seen[key] = n + 1
      key = key .. (n > 0 and "_" .. n or "")
      for i = 0, counts[class] - 1 do
        list[#list + 1] = { name = ("%s/vars/%d"):format(key, i), type = "F32",
                            shape = { last } }
      end
    end
    for _, node in ipairs(nodes) do
      local class = classes[node.class]
      if class then add(class, paths[node.within] or "layers/") end
    end
    add("dense", "layers/")
    return list
  end

  it("are those of the network with as many channels", function()
    local sizes = { base = 1024, large = 1536, xlarge = 2048, small = 768, tiny = 768 }
    for size, last in pairs(sizes) do
      local named = nameless.named(tensors_of(size, last), applications.each())
      assert.matches("^convnext_" .. size .. "_", named[1].name)
    end
    -- of another width: the first of those of that depth
    local named = nameless.named(tensors_of("large", 40), applications.each())
    assert.matches("^convnext_base_", named[1].name)
  end)

  it("of a network without a head are known by that", function()
    local list, body = tensors_of("tiny", 768), {}
    for i = 1, #list - 2 do body[i] = list[i] end
    local names = {}
    for _, one in ipairs(nameless.named(body, applications.each())) do
      names[one.name] = true
    end
    assert.is_true(names["layer_normalization/gamma"])
    assert.is_nil(names["convnext_tiny_head_layernorm/gamma"])
  end)
end)


describe("a Keras config", function()
  local keras = require "lunette.weights.import.keras"
  local json = require "lunette.base.json"

  local function refusal(config, side)
    local text = type(config) == "string" and config or json.encode(config)
    local arch, message = keras.read({ model_config = text }, {}, { side = side })
    assert.is_nil(arch)
    assert.is_nil(message:find "[%c]")
    return message
  end

  local function sequential(...)
    return { class_name = "Sequential", config = { layers = { ... } } }
  end

  local input = { class_name = "InputLayer",
                  config = { batch_input_shape = { 1, 8, 8, 3 } } }

  it("is refused by name for what is not known here", function()
    assert.matches("Keras' LSTM is not supported",
                   refusal(sequential(input, { class_name = "LSTM" })))
    local sparse = { class_name = "Activation", config = { activation = "threshold" } }
    assert.matches("activation 'threshold' is not supported",
                   refusal(sequential(input, sparse)))
    assert.matches("the file has no 'kernel' of it",
                   refusal(sequential(input, { class_name = "Dense" })))
    assert.matches("does not say what the input is",
                   refusal(sequential { class_name = "Dense" }))
    local open = { class_name = "InputLayer",
                   config = { batch_shape = { false, false, false, 3 } } }
    assert.matches("size of the input open; give it with %-%-side",
                   refusal(sequential(open, { class_name = "Flatten" })))
  end)

  it("is refused where a class or activation is another than its name", function()
    local function layer(more)
      more.class_name = more.class_name or "Activation"
      return refusal(sequential(input, more))
    end
    assert.matches("'r' is of a class of somebody's own %(pkg>ReLU%)", layer {
      class_name = "ReLU", module = "my.layers", registered_name = "pkg>ReLU",
      config = { name = "r" } })
    assert.matches("somebody's own %(my.layers%)", layer { class_name = "ReLU",
      module = "my.layers", config = { name = "r" } })
    for words, activation in pairs {
      ["somebody's own %(my>relu%)"] = { module = "my", class_name = "function",
        config = "relu", registered_name = "my>relu" },
      ["'gelu' with approximate = tanh"] = { class_name = "gelu",
        config = { approximate = "tanh" } },
    } do
      assert.matches(words, layer { config = { name = "r", activation = activation } })
    end
    assert.matches("padding 'reflect' of a pooling", layer {
      class_name = "MaxPooling2D", config = { padding = "reflect" } })
  end)

  it("is refused where a call is none of a network that answers", function()
    local function tensor(name)
      return { class_name = "__keras_tensor__",
               config = { keras_history = { name, 0, 0 } } }
    end
    local function network(class, nodes)
      return { class_name = "Functional", config = { layers = {
        { class_name = "InputLayer", name = "x",
          config = { batch_shape = { 1, 8, 8, 3 } } },
        { class_name = class, name = "a", inbound_nodes = nodes },
      }, input_layers = { { "x", 0, 0 } }, output_layers = { { "a", 0, 0 } } } }
    end
    local training = "layer 'a': it is called as in training"
    assert.matches(training, refusal(network("Dropout", {
      { args = { tensor "x" }, kwargs = { training = true } } })))
    assert.matches(training, refusal(network("BatchNormalization", {
      { { "x", 0, 0, { training = true } } } })))
    assert.matches("its argument 'mask' is not supported", refusal(network("Dropout", {
      { args = { tensor "x" }, kwargs = { mask = tensor "x" } } })))
    local fine = network("Dropout", {
      { args = {}, kwargs = { inputs = tensor "x", training = false,
                              mask = json.null } } })
    local arch = assert(keras.read({ model_config = json.encode(fine) }, {}, {}))
    assert.equal("identity", arch.layers[1].kind)
  end)

  it("has operators that are taken for no layer of the same name", function()
    local function of(module)
      return refusal { class_name = "Sequential", config = { layers = { input,
        { class_name = "Average", module = module, config = { name = "a" } } } } }
    end
    assert.matches("operator keras.ops.Average is not supported",
                   of "keras.src.ops.numpy")
    assert.matches("layer 'a' %(Average%)", of "keras.layers")
    assert.matches("Keras' class_of is not supported",
                   refusal(sequential(input, { class_name = "class_of" })))
    for axis, words in pairs { [0] = "or the batch", [7] = "or the batch" } do
      assert.matches(words, refusal(sequential(input, { class_name = "Mean",
        module = "keras.ops", config = { axis = axis } })))
    end
    for _, more in ipairs {
      { class_name = "Reshape", config = { newshape = { 2, 96 } } },
      { class_name = "Transpose", config = { axes = { 1, 0 } } },
      { class_name = "Reshape" },
    } do
      more.module = "keras.src.ops.numpy"
      assert.matches("mixes the pictures of a batch", refusal(sequential(input, more)))
    end
  end)

  it("is refused where it and the file's weights say different things", function()
    local function tensor(name, ...)
      return { name = name, type = "F32", shape = { ... } }
    end
    local tensors = {
      conv2d = { tensor("layers/conv2d/vars/0", 3, 3, 3, 4) },
      separable_conv2d = { tensor("layers/separable_conv2d/vars/0", 3, 3, 3, 2),
                           tensor("layers/separable_conv2d/vars/1", 1, 1, 6, 5) },
      dense = { tensor("layers/dense/vars/0", 3, 4) },
    }
    local function said(class, config, list)
      config.use_bias = false
      local text = json.encode(sequential(input, { class_name = class,
                                                   config = config }))
      local arch, message = keras.read({ model_config = text }, tensors[list], {})
      return arch and "fine" or message
    end
    for _, case in ipairs {
      { "fine", "Conv2D", { filters = 4, kernel_size = { 3, 3 }, groups = 1 } },
      { "filters = 5, its weights have 4", "Conv2D", { filters = 5 } },
      { "filters = 4000000000, its", "Conv2D", { filters = 4000000000 } },
      { "kernel_size = 1, its weights have 3", "Conv2D", { kernel_size = { 3, 1 } } },
      { "kernel_size = x, its", "Conv2D", { kernel_size = { "x" } } },
      { "groups = 3, its weights have 1", "Conv2D", { groups = 3 } },
      { "data_format 'sideways' is none", "Conv2D", { data_format = "sideways" } },
      { "fine", "SeparableConv2D", { filters = 5, depth_multiplier = 2 } },
      { "depth_multiplier = 1, its", "SeparableConv2D", { depth_multiplier = 1 } },
      { "filters = 6, its weights have 5", "SeparableConv2D", { filters = 6 } },
      { "kernel_size = 5, its", "SeparableConv2D", { kernel_size = 5 } },
      { "fine", "Dense", { units = 4 } },
      { "units = 1000, its weights have 4", "Dense", { units = 1000 } },
      { "quantised %(QuantizedDTypePolicy%)", "Dense",
        { dtype = { class_name = "QuantizedDTypePolicy" } } },
      { "quantised %(int8_from_float32%)", "Dense", { dtype = "int8_from_float32" } },
    } do
      local words, class, config = table.unpack(case)
      local list = class == "Dense" and "dense" or class == "Conv2D" and "conv2d"
        or "separable_conv2d"
      assert.matches(words, said(class, config, list))
    end
    assert.matches("the input has a side of 1.5", refusal(sequential(
      { class_name = "InputLayer", config = { batch_shape = { 1, 1.5, 8, 3 } } },
      { class_name = "Flatten" })))
  end)

  it("begins with what its pictures are, where arithmetic says so", function()
    for number, rescales in pairs { [255] = true, [2.5] = false } do
      local model = sequential(input, { class_name = "TFOpLambda", name = "by",
        config = { ["function"] = "math.truediv" } })
      model.class_name = "Functional"
      model.config.layers[1].name = "x"
      model.config.layers[2].inbound_nodes = { { { "x", 0, 0, { y = number } } } }
      model.config.output_layers = { { "by", 0, 0 } }
      local arch = assert(keras.read({ model_config = json.encode(model) }, {}, {}))
      assert.equal(rescales, arch.rescales)
    end
  end)

  it("is refused where it is damaged or hostile", function()
    assert.matches("no JSON object", refusal "[")
    assert.matches("describes no layers: it is of 'X'", refusal { class_name = "X" })
    assert.matches("no plain text", refusal(sequential(input,
      { class_name = "Dense", config = { name = "a\27[31m" } })))
    local function functional(layers, outputs)
      return { class_name = "Functional", config = { layers = layers,
               input_layers = { { "x", 0, 0 } }, output_layers = outputs } }
    end
    local ring = functional({
      { class_name = "Add", name = "a", inbound_nodes = { { { "b", 0, 0, {} } } } },
      { class_name = "Add", name = "b", inbound_nodes = { { { "a", 0, 0, {} } } } },
    }, { { "b", 0, 0 } })
    assert.matches("layer 'b' reads itself", refusal(ring))
    assert.matches("'c' is read, but is no layer", refusal(functional({
      { class_name = "Add", name = "a", inbound_nodes = { { { "c", 0, 0, {} } } } },
    }, { { "a", 0, 0 } })))
    local many = { input }
    for i = 2, 5000 do many[i] = { class_name = "Dropout" } end
    assert.matches("more than 4096 layers", refusal(sequential(table.unpack(many))))
    local deep = sequential(input)
    for _ = 1, 30 do deep = sequential(deep) end
    assert.matches("too deep", refusal(deep))
    local chain = { { class_name = "InputLayer", name = "n1",
                      config = { name = "n1", batch_shape = { 1, 8, 8, 3 } } } }
    for i = 2, 6000 do
      chain[i] = { class_name = "ReLU", name = "n" .. i,
                   inbound_nodes = { { { "n" .. i - 1, 0, 0, {} } } } }
    end
    assert.matches("more than 4096 layers", refusal(functional(chain,
                                                               { { "n6000", 0, 0 } })))
    assert.matches("the input has 5 axes", refusal(sequential({ class_name = "Conv2D",
      config = { name = "c", batch_input_shape = { 1, 8, 8, 8, 8, 3 } } })))
  end)

  it("of a million layers, a bomb, or an overflow is one clear line", function()
    local layer = '{"class_name":"Dropout","config":{"name":"d"}}'
    local million = '{"class_name":"Sequential","config":{"layers":['
      .. (layer .. ","):rep(1e5) .. layer .. "]}}" -- more would be refused as text
    local message = refusal(million)
    assert.is_true(#message < 300, message)
    message = refusal(("["):rep(200000) .. ("]"):rep(200000))
    assert.is_true(#message < 300, message)
    message = refusal(('{"a":'):rep(90) .. "1" .. ("}"):rep(90))
    assert.is_true(#message < 300, message)
    for _, d in ipairs { 2 ^ 31, 2 ^ 62, -4, 1e300, 0.5 } do
      local huge = { class_name = "InputLayer",
                     config = { batch_input_shape = { 1, d, d, 3 } } }
      message = refusal(sequential(huge, { class_name = "Flatten" }))
      assert.is_true(#message < 300, message)
    end
    local pad = { class_name = "ZeroPadding2D", config = { padding = 2 ^ 40 } }
    assert.is_string(refusal(sequential(input, pad)))
    local up = { class_name = "UpSampling2D", config = { size = { 2 ^ 33, 2 ^ 33 } } }
    assert.is_string(refusal(sequential(input, up)))
    local pool = { class_name = "MaxPooling2D", config = { pool_size = { 0, -1 } } }
    assert.is_string(refusal(sequential(input, pool)))
    local shape = { class_name = "Reshape", config = { target_shape = { -1, -1, 0 } } }
    assert.is_string(refusal(sequential(input, shape)))
  end)

  it("that makes numbers up, or reads everything, without end is refused", function()
    local begun = os.clock()
    local function behind(shape, class, config)
      return refusal(sequential({ class_name = "InputLayer",
        config = { batch_input_shape = shape } }, { class_name = class,
        config = config }))
    end
    local much = "needs %d+ numbers that are not in the file, at most 4194304"
    assert.matches(much, behind({ 1, 1, 1, 2 ^ 30 }, "BatchNormalization",
                                { scale = false }))
    assert.matches(much, behind({ 1, 20000, 20000, 3 }, "LayerNormalization",
                                { axis = { 1, 2, 3 }, scale = false }))
    assert.matches(much, behind({ 1, 1, 1, 2 ^ 30 }, "Normalization",
                                { mean = 0.5, variance = 2 }))
    assert.matches(much, behind({ 1, 20000, 20001, 3 }, "AveragePooling2D", {
      pool_size = { 2, 3 }, strides = { 1, 1 }, padding = "same" }))
    local reads = {}
    for i = 1, 1000 do reads[i] = { "x", 0, 0, {} } end
    local add = { class_name = "Add", name = "a", inbound_nodes = { reads } }
    assert.matches("reads 1000 others, at most 512", refusal {
      class_name = "Functional", config = { layers = { add },
        input_layers = { { "x", 0, 0 } }, output_layers = { { "a", 0, 0 } } } })
    assert.is_true(os.clock() - begun < 1) -- of the processor's time
  end)

  it("with inputs that are none is refused", function()
    for _, nodes in ipairs { 7, "x", { 7 }, { { 7 } }, { { { 7, 0, 0 } } }, { {} },
                             { { args = 7 } }, { { args = { { class_name =
                             "__keras_tensor__" } } } } } do
      assert.is_string(refusal { class_name = "Functional", config = {
        layers = { input, { class_name = "Add", name = "a", inbound_nodes = nodes } },
        input_layers = { { "x", 0, 0 } }, output_layers = { { "a", 0, 0 } } } })
    end
  end)

  it("with path separators in names keeps them from files and terminals", function()
    for _, name in ipairs { "../../etc/passwd", "a/../b", "/abs" } do
      local dense = { class_name = "Dense", config = { name = name } }
      assert.is_string(refusal(sequential(input, { class_name = "Flatten" }, dense)))
    end
    for _, name in ipairs { "a\0b", "a\nb", "\27]0;x\7", ("x"):rep(5000) } do
      local dropout = { class_name = "Dropout", config = { name = name } }
      assert.matches("no plain text", refusal(sequential(input, dropout)))
    end
  end)

  it("names classes as Keras does", function()
    local config = require "lunette.weights.import.keras.config"
    for class, name in pairs { MaxPooling2D = "max_pooling2d", ReLU = "re_lu",
      PReLU = "p_re_lu", Conv2D = "conv2d", BatchNormalization = "batch_normalization",
      ZeroPadding2D = "zero_padding2d", DepthwiseConv2D = "depthwise_conv2d" } do
      assert.equal(name, config.snake(class))
    end
  end)
end)
