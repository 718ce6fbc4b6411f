-- State dicts of the usual architectures are known by their names, with any head, and
-- classes by whatever people call them.
local core = require "lunette.core"
local import = require "lunette.weights.import"
local labels = require "lunette.score.labels"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local folder, done = t.cache_folder()
teardown(done)
local out = folder .. "/out.st"


---Names and shapes as torchvision's state_dict() has them.
local function state_of(net)
  local list = {}
  for _, layer in ipairs(net:layers()) do
    for _, q in ipairs(layer.params) do
      list[#list + 1] = { name = q.name, shape = q.shape, tensor = net.params[q.name] }
    end
  end
  return list
end


local function import_with(path, opts)
  opts.out, opts.force = out, true
  return import(path, opts)
end


---A file of these tensors, by their names.
local function write(name, state)
  local list, path = {}, ("%s/%s.safetensors"):format(folder, name)
  for i, e in ipairs(state) do list[i] = { e.name, e.tensor } end
  assert(core.write_weights(path, list, "f32", {}))
  return path
end


describe("a state dict", function()
  for _, name in ipairs { "resnet50", "densenet121", "mobilenet_v3_small" } do
    it("is known by its names: " .. name, function()
      local arch = lu.models[name] { classes = 11 }
      local found, message = import.recognise(state_of(assert(lu.net(arch))), {})
      assert.is_truthy(found, message)
      assert.equal(name, found.model)
      assert.matches(name .. " as torchvision has it",
                     table.concat(found.assumed, "; "))
    end)
  end

  it("may have any head of dense layers, no head, and other colours", function()
    local plain = assert(lu.net(lu.models.resnet18 { classes = 6, side = 64,
                                                      width = 1 / 8 })):init(1)
    local x = core.normal(1, 0, 2, 3, 64, 64)
    local before = plain:run(x).avgpool:view(2, 64)

    local state = state_of(plain)
    local bias, weight = table.remove(state), table.remove(state)
    local net = assert(lu.load((assert(import_with(write("bare", state),
                                                   { side = 64 })))))
    assert.same({ 2, 64, 2, 2 }, net:run(x).output:shape())
    assert.is_true(net:run(x).output:mean { dims = { 3, 4 } }:distance(before) < 1e-6)

    local deep = { table.unpack(state) }
    for i, s in ipairs { { 8, 64 }, { 4, 8 } } do
      deep[#deep + 1] = { name = ("fc.%d.weight"):format(3 * i - 3), shape = s,
                          tensor = core.normal(i, 0, table.unpack(s)) }
      deep[#deep + 1] = { name = ("fc.%d.bias"):format(3 * i - 3), shape = { s[1] },
                          tensor = core.normal(i + 5, 0, s[1]) }
    end
    local path, report = import_with(write("deep", deep), { side = 64, last = "none" })
    assert.matches("relu between its dense layers", table.concat(report.assumed, "; "))
    net = assert(lu.load(path))
    local n = #deep
    local y = before:linear(deep[n - 3].tensor, deep[n - 2].tensor):relu()
    y = y:linear(deep[n - 1].tensor, deep[n].tensor)
    assert.is_true(net:run(x).output:detach():distance(y) < 1e-6)

    weight.name = "head.weight" -- of another name, without bias
    state[#state + 1] = weight
    net = assert(lu.load((assert(import_with(write("head", state),
                                             { side = 64, last = "none" })))))
    y = plain:run(x, { modifiers = { "linear" } }).output - bias.tensor:view(1, 6)
    assert.is_true(net:run(x).output:detach():distance(y:detach()) < 1e-6)

    for _, e in ipairs(state) do
      if e.name == "conv1.weight" then
        e.tensor = e.tensor:narrow { dim = 2, start = 1, length = 1 }:clone()
      end
    end
    net = assert(lu.load((assert(import_with(write("grey", state), { side = 64 })))))
    assert.same({ 1, 64, 64 }, net.input)
  end)

  it("that lacks a layer says which", function()
    local state = state_of(assert(lu.net(lu.models.resnet50())))
    for i, e in ipairs(state) do
      if e.name == "layer3.2.conv2.weight" then table.remove(state, i) end
    end
    local found, message = import.recognise(state, {})
    assert.is_nil(found)
    assert.equal("as resnet50 it has no 'layer3.2.conv2.weight'", message)
  end)
end)


---A file of a network with three classes.
local function three()
  local path = folder .. "/three.safetensors"
  if not t.exists(path) then
    assert(lu.save(assert(lu.net {
      name = "three", input = { 3, 8, 8 }, layers = { { "flat", "flatten" },
      { "fc", "linear", units = 3 }, { "softmax", "softmax" } } }):init(1), path))
  end
  return path
end


describe("labels of a file", function()
  local path
  setup(function() path = three() end)

  local cats = { "tabby", "tiger cat", "Persian cat" }
  local files = {
    ["a list"] = '["tabby", "tiger cat", "Persian cat"]',
    ["lines"] = "tabby\r\ntiger cat\nPersian cat\n\n",
    ["Keras' class index"] = '{"1": ["n02123159", "tiger cat"], "0": ["n02123045",'
      .. '"tabby"], "2": ["n02123394", "Persian cat"]}',
    ["Keras' class_indices"] = '{"tiger cat": 1, "Persian cat": 2, "tabby": 0}',
    ["synset words"] = "n02123045 tabby\nn02123159 tiger cat\nn02123394 Persian cat\n",
    ["synsets alone"] = "n02123045\nn02123159\nn02123394\n",
    ["pairs"] = '[["n02123045","tabby"],["n02123159","tiger cat"],'
      .. '["n02123394","Persian cat"]]',
    ["a Python dict"] = "{0: 'tabby',\n 1: 'tiger cat',\n 2: 'Persian cat'}",
    ["numbered lines"] = "1 tabby\n2 tiger cat\n3 Persian cat\n",
    ["numbers out of order"] = "2\tPersian cat\n0\ttabby\n1\ttiger cat\n",
  }

  for what, text in pairs(files) do
    it("are names and WordNet ids, whichever way they are written: " .. what, function()
      local file = t.spit(folder .. "/labels.txt", text)
      local net = assert(lu.load(assert(import_with(path, { labels = file }))))
      assert.same(cats, net.labels)
      assert.equal(2, labels.find("n02123394", net))
      assert.equal(1, labels.find("tiger cat", net))
      assert(lu.save(net, folder .. "/again.safetensors"))
      net = assert(lu.load(folder .. "/again.safetensors"))
      assert.equal(0, labels.find("n02123045", net))
    end)
  end

  it("are refused where they are no list of the network's classes", function()
    for text, words in pairs {
      ['{"0": "a", "2": "b", "3": "c"}'] = "none has the number 1",
      ['{"a": "b"}'] = "'a' is neither a class's number nor has one",
      ['{"a": 0, "b": 0, "c": 1}'] = "two classes have the number 0",
      ["[1, 2, 3]"] = "class 0 has no name that is text",
      ["a\n\nc"] = "line 2 is empty", ["a\nb"] = "2 class names are given",
      ["["] = "JSON",
    } do
      local file = t.spit(folder .. "/labels.txt", text)
      local ok, message = import_with(path, { labels = file })
      assert.is_nil(ok)
      assert.matches(words, message)
    end
    local ok, message = import_with(path, { labels = "imagenet" })
    assert.is_nil(ok)
    assert.matches("1000 class names are given, the network has 3 outputs", message)
  end)

  it("that are amounts are no numbered list", function()
    local file = t.spit(folder .. "/labels.txt", "10 cent\n20 cent\n50 cent\n")
    local net = assert(lu.load(assert(import_with(path, { labels = file }))))
    assert.same({ "10 cent", "20 cent", "50 cent" }, net.labels)
  end)
end)


describe("a WordNet id", function()
  it("is a class of ImageNet", function()
    for id, synset in pairs { [0] = "n01440764", [8] = "n01514859", [33] = "n01664065",
                              [281] = "n02123045", [999] = "n15075141" } do
      assert.equal(id, labels.find(synset))
    end
    local id, message = labels.find "n00000001"
    assert.is_nil(id)
    assert.matches("'n00000001' not found", message)
  end)

  it("is found in names of one's own that ImageNet has, too", function()
    local net = { name = "toy", labels = { "dog", "tabby" } }
    assert.equal(1, labels.find("n02123045", net))
    net.labels = { "n02123045 tabby, tabby cat", "n01514859 hen" }
    assert.equal(1, labels.find("n01514859", net))
  end)

  it("does not outlive the names that it came with", function()
    local file = t.spit(folder .. "/labels.txt", "n02123045 a\nn02123159 b\n"
      .. "n02123394 c")
    local net = assert(lu.load(assert(import_with(three(), { labels = file }))))
    assert.equal(2, labels.find("n02123394", net))
    net.labels = { "x", "y", "z" }
    assert.is_nil((labels.find("n02123394", net)))
  end)

  it("is what --class takes", function()
    local code, text = t.program("explain --model squeezenet1_0 --class n01514859 "
      .. ("'%s/images/n01514859_hen.JPEG' -o '%s/hen.png'"):format(t.shared, folder))
    if text:find "not found" or text:find "no weights" then
      return pending "no weights of squeezenet1_0"
    end
    assert.equal(0, code, text)
    assert.matches("score categorical%(n01514859%)", text)
    local story = t.read(folder .. "/hen.json")
    assert.matches('"classes": ?%[%s*8%s*%]', story)
  end)
end)


describe("an option that would change nothing", function()
  it("is an error", function()
    local path = three()
    for words, opts in pairs {
      ["its input is 3x8x8, by its own description"] = { side = 16 },
      ["%-%-prefix has no use"] = { prefix = "model" },
      ["`tensor` is for ONNX files"] = { tensor = "whole" },
    } do
      local ok, message = import_with(path, opts)
      assert.is_nil(ok)
      assert.matches(words, message)
    end
  end)

  it("is not the last activation, whosever file it is", function()
    local path = three()
    for _, last in ipairs { "none", "sigmoid", "softmax" } do
      local net = assert(lu.load(assert(import_with(path, { last = last }))))
      local layer = net:layers()[#net:layers()]
      assert.equal(last == "none" and "linear" or last, layer.kind)
      path = folder .. "/" .. last .. ".safetensors"
      os.rename(out, path)
    end
  end)
end)
