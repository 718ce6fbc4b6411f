-- Names of the layers of ONNX files: torch's module paths, Keras' layer names, weights'
-- owners, groups; the exporter's own names remain other names of the same layers.
local t = dofile "tests/lua/support.lua"
local writer = dofile "tests/lua/onnx_writer.lua"

local folder, done = t.folder()
teardown(function() done() end)

local weight = { { 3, 3, 1, 1 }, { 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0 } }


---The network of these nodes: { operator, inputs, output, attributes, name = }.
local function net_of(nodes, constants)
  local path = folder .. "/names.onnx"
  writer.write(path, { input = { "x", { 1, 3, 4, 4 } }, nodes = nodes,
    constants = constants or { w = weight }, outputs = { nodes[#nodes][3] } })
  return (writer.net(writer.lines(path)))
end


local function names_of(net) return table.concat(net:names(), " ") end


describe("the layer of an output", function()
  local function outputs_of(second, output, first)
    local net = net_of {
      { "Conv", { "x", "w" }, "a", name = first or "Conv_0" },
      { "Relu", { "a" }, output, name = second },
    }
    return net.outputs[1], names_of(net)
  end

  it("is called as the file calls the output where it has but a number", function()
    assert.same({ "logits", "Conv_0 logits" }, { outputs_of("Relu_1", "logits") })
    assert.same({ "prob_1", "Conv_0 prob_1" }, { outputs_of("n12", "prob_1") })
    local net = net_of { { "Relu", { "x" }, "y", name = "Relu_1" } }
    assert.equal("y", net:layer "Relu_1" .name) -- the other name stays
  end)

  it("keeps a name that says more, or is no word, or is another's", function()
    assert.equal("head", (outputs_of("/head/Relu", "logits")))
    assert.equal("Relu_1", (outputs_of("Relu_1", "gpu_0/softmax")))
    assert.equal("Relu_1", (outputs_of("Relu_1", "input")))
    assert.same({ "Relu_1", "conv1 Relu_1" },
                { outputs_of("Relu_1", "conv1", "/conv1/Conv") })
  end)
end)


describe("names of layers", function()
  local block = net_of {
    { "Conv", { "x", "w" }, "/conv1/Conv_output_0", name = "/conv1/Conv" },
    { "Relu", { "/conv1/Conv_output_0" }, "/relu/Relu_output_0", name = "/relu/Relu" },
    { "Conv", { "/relu/Relu_output_0", "w" }, "/layer1/layer1.0/conv1/Conv_output_0",
      name = "/layer1/layer1.0/conv1/Conv" },
    { "Relu", { "/layer1/layer1.0/conv1/Conv_output_0" },
      "/layer1/layer1.0/relu/Relu_output_0", name = "/layer1/layer1.0/relu/Relu" },
    { "Add", { "/layer1/layer1.0/relu/Relu_output_0", "/relu/Relu_output_0" },
      "/layer1/layer1.0/Add_output_0", name = "/layer1/layer1.0/Add" },
    { "Relu", { "/layer1/layer1.0/Add_output_0" },
      "/layer1/layer1.0/relu_1/Relu_output_0", name = "/layer1/layer1.0/relu_1/Relu" },
    { "Conv", { "/layer1/layer1.0/relu_1/Relu_output_0", "w" }, "a",
      name = "/layer2/layer2.0/conv1/Conv" },
    { "Add", { "a", "/layer1/layer1.0/relu_1/Relu_output_0" }, "b",
      name = "/layer2/layer2.0/Add" },
    { "MaxPool", { "b" }, "y", { kernel_shape = { 2, 2 } }, name = "/MaxPool" },
  }

  it("are torch's module paths", function()
    assert.equal("conv1 relu layer1.0.conv1 layer1.0.relu layer1.0.Add layer1.0.relu_1 "
      .. "layer2.0.conv1 layer2.0 MaxPool", names_of(block))
  end)

  it("make groups, which mean what they put out", function()
    assert.equal("layer1.0.relu_1", block:layer "layer1" .name)
    assert.equal("layer1.0.relu_1", block:layer "layer1.0" .name)
    assert.equal("layer2.0", block:layer "layer2" .name)
  end)

  it("have the exporter's names of nodes and tensors beside them", function()
    assert.equal("layer1.0.relu_1",
                 block:layer "/layer1/layer1.0/relu_1/Relu_output_0" .name)
    assert.equal("layer2.0", block:layer "/layer2/layer2.0/Add" .name)
    assert.equal("layer2.0", block:layer "b" .name)
  end)

  it("are Keras' layer names in tf2onnx' files", function()
    local head = "StatefulPartitionedCall/resnet50/"
    local net = net_of {
      { "Conv", { "x", "w" }, head .. "conv1_conv/BiasAdd:0",
        name = head .. "conv1_conv/Conv2D" },
      { "Relu", { head .. "conv1_conv/BiasAdd:0" }, head .. "conv1_relu/Relu:0",
        name = head .. "conv1_relu/Relu" },
      { "Conv", { head .. "conv1_relu/Relu:0", "w" }, "c",
        name = head .. "conv2_block1_1_conv/Conv2D__12" },
      { "Relu", { "c" }, "d", name = head .. "conv2_block1_1_conv/Relu" },
      { "MaxPool", { "d" }, "y", { kernel_shape = { 2, 2 } },
        name = head .. "pool1_pool/MaxPool" } }
    assert.equal("conv1_conv conv1_relu conv2_block1_1_conv.Conv2D "
      .. "conv2_block1_1_conv pool1_pool", names_of(net))
    assert.equal("conv1_relu", net:layer(head .. "conv1_relu/Relu:0").name)
  end)

  it("come from the weights where nodes have none", function()
    local net = net_of({
      { "Conv", { "x", "features.0.weight" }, "11", name = "Conv_0" },
      { "Relu", { "11" }, "12", name = "" },
      { "Conv", { "12", "onnx::Conv_46" }, "13", name = "Conv_2" } },
      { ["features.0.weight"] = weight, ["onnx::Conv_46"] = weight })
    assert.equal("features.0 Relu_12 Conv_2", names_of(net))
    assert.equal("features.0", net:layer "Conv_0" .name)
    assert.equal("Relu_12", net:layer "12" .name)
  end)

  it("are told apart where an exporter gives one twice", function()
    local net = net_of { { "Relu", { "x" }, "a", name = "same" },
                         { "Sigmoid", { "a" }, "y", name = "same" } }
    assert.equal("same same_2", names_of(net))
    assert.equal("same_2", net:layer "y" .name)
  end)

  it("hold no control characters, and are no longer than files allow", function()
    local net = net_of { { "Relu", { "x" }, "a", name = ("n"):rep(300) },
                         { "Sigmoid", { "a" }, "y", name = "two\nlines" } }
    for _, name in ipairs(net:names()) do
      assert.is_nil(name:find "%c")
      assert.is_true(#name <= 250)
    end
  end)
end)
