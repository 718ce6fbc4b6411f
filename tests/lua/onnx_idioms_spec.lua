-- What exporters write in pieces becomes one layer, and computes the same; what only
-- looks like it stays as it is. Every case is a small file as an exporter would write
-- it, read twice: with the idioms, and in pieces. Outputs agree within 2e-6 and
-- gradients within 5e-6 (relative L2): the pieces round after every step.
local core = require "lunette.core"
local fold = require "lunette.weights.import.onnx.fold"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"
local writer = dofile "tests/lua/onnx_writer.lua"

local folder, done = t.folder()
teardown(function() done() end)

local PICTURE, TOKENS = { "x", { 1, 3, 6, 6 } }, { "x", { 1, 5, 12 } }


---Numbers that differ, of both signs, about 1 in size; `above` is added to all.
local function numbers(count, above)
  local list = {}
  for i = 1, count do list[i] = math.sin(i * 1.7 + count) * 0.8 + (above or 0) end
  return list
end


local function scalar(v) return { {}, { v + 0.0 } } end


---The network of a graph, with its parameters.
local function net_of(graph, without)
  local path = folder .. "/twin.onnx"
  writer.write(path, graph)
  return (writer.net(writer.lines(path), { without = without,
    tensor = #graph.input[2] < 4 and "batched" or nil }))
end


local function kinds_of(net)
  local list = {}
  for i, layer in ipairs(net:layers()) do list[i] = layer.kind end
  return table.concat(list, " ")
end


---Every value counts differently: a norm's sum of squares would be constant.
local function weighted_sum(y)
  local w = core.normal(6, 0, { 1, table.unpack(y:shape(), 2) })
  return (y * w):reshape(y:dim(1), -1):sum { dims = { 2 } }
end


---Outputs and gradients of the two are the same.
local function check_same(a, b)
  local x = core.normal(5, 0, { 2, table.unpack(a.input) })
  local score = lu.score.new("sum", weighted_sum)
  local runs = { a:run(x), b:run(x) }
  local off = runs[1].output:distance(runs[2].output)
  assert(off < 2e-6, ("outputs are %.2g off"):format(off))
  off = runs[1]:gradient { score = score }:distance(runs[2]:gradient { score = score })
  assert(off < 5e-6, ("gradients are %.2g off"):format(off))
end


---A row: what it is, the kinds that it becomes, the file.
local function check(row)
  local graph = row[3]
  graph.outputs = graph.outputs or { "y" }
  local whole, pieces = net_of(graph), net_of(graph, { all = true })
  assert.equal(row[2], kinds_of(whole))
  check_same(whole, pieces)
  return whole
end


-- activations ---------------------------------------------------------------------


local c = { half = scalar(0.5), one = scalar(1), two = scalar(2), three = scalar(3),
            six = scalar(6), zero = scalar(0), sixth = scalar(1 / 6),
            root2 = scalar(math.sqrt(2)), inverse_root2 = scalar(math.sqrt(0.5)),
            cube = scalar(0.044715), factor = scalar(math.sqrt(2 / math.pi)),
            rough = scalar(0.7979), quick = scalar(1.702), seven = scalar(7) }


local function activation(nodes, more)
  local graph = { input = PICTURE, nodes = nodes, constants = c }
  for key, value in pairs(more or {}) do graph[key] = value end
  return graph
end


local gelu_torch = { { "Div", { "x", "root2" }, "a" }, { "Erf", { "a" }, "b" },
                     { "Add", { "b", "one" }, "c" }, { "Mul", { "x", "c" }, "d" },
                     { "Mul", { "d", "half" }, "y" } }

---tanh of factor * (x + cube x^3), with x^3 as `power`.
local function gelu_tanh(power, factor)
  local list = { table.unpack(power) }
  for _, n in ipairs { { "Mul", { "p", "cube" }, "q" }, { "Add", { "x", "q" }, "r" },
                       { "Mul", { "r", factor or "factor" }, "s" },
                       { "Tanh", { "s" }, "u" }, { "Add", { "one", "u" }, "v" },
                       { "Mul", { "x", "half" }, "w" },
                       { "Mul", { "w", "v" }, "y" } } do
    list[#list + 1] = n
  end
  return list
end

local by_pow = { { "Pow", { "x", "three" }, "p" } }
local by_products = { { "Mul", { "x", "x" }, "o" }, { "Mul", { "o", "x" }, "p" } }


local activations = {
  { "GELU of torch", "gelu", activation(gelu_torch) },
  { "GELU of tf2onnx: 0.5 (1 + erf) first, a factor for the root", "gelu", activation {
      { "Mul", { "x", "inverse_root2" }, "a" }, { "Erf", { "a" }, "b" },
      { "Add", { "one", "b" }, "c" }, { "Mul", { "c", "half" }, "d" },
      { "Mul", { "d", "x" }, "y" } } },
  { "GELU with 0.5 + 0.5 erf", "gelu", activation {
      { "Div", { "x", "root2" }, "a" }, { "Erf", { "a" }, "b" },
      { "Mul", { "b", "half" }, "c" }, { "Add", { "c", "half" }, "d" },
      { "Mul", { "x", "d" }, "y" } } },
  { "GELU by tanh, x^3 a power", "gelu", activation(gelu_tanh(by_pow)) },
  { "GELU by tanh, x^3 products", "gelu", activation(gelu_tanh(by_products)) },
  { "SiLU", "silu", activation { { "Sigmoid", { "x" }, "a" },
                                 { "Mul", { "x", "a" }, "y" } } },
  { "hard swish by HardSigmoid", "hard_swish", activation {
      { "HardSigmoid", { "x" }, "a", { alpha = writer.float(1 / 6) } },
      { "Mul", { "x", "a" }, "y" } } },
  { "hard swish of Paddle: x clip(x + 3, 0, 6) / 6", "hard_swish", activation {
      { "Add", { "x", "three" }, "a" }, { "Clip", { "a", "zero", "six" }, "b" },
      { "Mul", { "x", "b" }, "c" }, { "Div", { "c", "six" }, "y" } } },
  { "hard swish by clip(x / 6 + 1/2, 0, 1)", "hard_swish", activation {
      { "Mul", { "x", "sixth" }, "a" }, { "Add", { "a", "half" }, "b" },
      { "Clip", { "b", "zero", "one" }, "c" }, { "Mul", { "c", "x" }, "y" } } },
  { "hard sigmoid by relu6", "hard_sigmoid", activation {
      { "Add", { "x", "three" }, "a" }, { "Clip", { "a", "zero", "six" }, "b" },
      { "Div", { "b", "six" }, "y" } } },
  -- near misses
  { "another root below erf", "mul erf add mul mul", activation {
      { "Mul", { "x", "rough" }, "a" }, table.unpack(gelu_torch, 2) } },
  { "no half", "div erf add mul", activation { gelu_torch[1], gelu_torch[2],
      gelu_torch[3], { "Mul", { "x", "c" }, "y" } } },
  { "erf of x times something else", "div erf add relu mul mul", activation {
      gelu_torch[1], gelu_torch[2], gelu_torch[3], { "Relu", { "x" }, "z" },
      { "Mul", { "z", "c" }, "d" }, gelu_torch[5] } },
  { "erf that is an output too", "div erf add mul mul",
    activation(gelu_torch, { outputs = { "y", "b" } }) },
  { "tanh of a rough constant", "pow mul add mul tanh add mul mul",
    activation(gelu_tanh(by_pow, "rough")) },
  { "quick GELU", "mul sigmoid mul", activation {
      { "Mul", { "x", "quick" }, "a" }, { "Sigmoid", { "a" }, "b" },
      { "Mul", { "x", "b" }, "y" } } },
  { "a gate of something else", "relu sigmoid mul", activation {
      { "Relu", { "x" }, "z" }, { "Sigmoid", { "z" }, "a" },
      { "Mul", { "x", "a" }, "y" } } },
  { "clip to 7", "add clamp mul div", activation {
      { "Add", { "x", "three" }, "a" }, { "Clip", { "a", "zero", "seven" }, "b" },
      { "Mul", { "x", "b" }, "c" }, { "Div", { "c", "six" }, "y" } } },
  { "shifted by 2", "add relu6 mul div", activation {
      { "Add", { "x", "two" }, "a" }, { "Clip", { "a", "zero", "six" }, "b" },
      { "Mul", { "x", "b" }, "c" }, { "Div", { "c", "six" }, "y" } } },
  { "hard swish with Keras' hard sigmoid", "hard_sigmoid mul", activation {
      { "HardSigmoid", { "x" }, "a" }, { "Mul", { "x", "a" }, "y" } } },
}


-- normalisation -------------------------------------------------------------------


---Layer norm over `axes`; `eps` beside the variance; steps that differ.
local function layer_norm(o)
  local axes = o.axes or { -1 }
  local list = {
    { "ReduceMean", { "x" }, "m", { axes = axes } },
    { "Sub", { "x", "m" }, "c" },
    o.square or { "Pow", { "c", "two" }, "s" },
    { "ReduceMean", { "s" }, "v", { axes = o.other_axes or axes } },
    { "Add", { "v", "eps" }, "e" },
    { "Sqrt", { "e" }, "d" },
    { "Div", { "c", "d" }, o.plain and "y" or "n" },
  }
  if o.reciprocal then
    list[7] = { "Reciprocal", { "d" }, "r" }
    list[8] = { "Mul", { "c", "r" }, "n" }
  end
  if not o.plain then
    list[#list + 1] = { "Mul", { "n", "gamma" }, "g" }
    list[#list + 1] = { "Add", { "g", "beta" }, "y" }
  end
  local shape = o.shape or { 12 }
  local count = fold.product(shape)
  return { input = o.input or TOKENS, nodes = list, outputs = o.outputs,
           constants = { two = c.two, eps = scalar(1e-6),
                         gamma = { shape, numbers(count, 1) },
                         beta = { shape, numbers(count) } } }
end


local maps = { input = PICTURE, axes = { 1 }, shape = { 1, 3, 1, 1 } }

local norms = {
  { "layer norm of tokens", "layer_norm", layer_norm {} },
  { "layer norm without scale and shift", "layer_norm", layer_norm { plain = true } },
  { "the square as a product", "layer_norm",
    layer_norm { square = { "Mul", { "c", "c" }, "s" } } },
  { "times a reciprocal", "layer_norm", layer_norm { reciprocal = true } },
  { "over the channels of maps", "layer_norm", layer_norm(maps) },
  { "LayerNormalization", "layer_norm", { input = TOKENS, opset = 17,
      nodes = { { "LayerNormalization", { "x", "gamma", "beta" }, "y" } },
      constants = { gamma = { { 12 }, numbers(12, 1) },
                    beta = { { 12 }, numbers(12) } } } },
  { "LayerNormalization without a shift", "layer_norm", { input = TOKENS, opset = 17,
      nodes = { { "LayerNormalization", { "x", "gamma" }, "y" } },
      constants = { gamma = { { 12 }, numbers(12, 1) } } } },
  { "instance norm: its scale and shift are one a channel", "layer_norm mul add",
    { input = PICTURE,
      nodes = { { "InstanceNormalization", { "x", "gamma", "beta" }, "y" } },
      constants = { gamma = { { 3 }, numbers(3, 1) },
                    beta = { { 3 }, numbers(3) } } } },
  -- near misses
  { "a variance over other axes", "mean sub square mean add sqrt div mul add",
    layer_norm { other_axes = { 1 } } },
  { "the square of something else", "mean sub square mean add sqrt div mul add",
    layer_norm { square = { "Pow", { "x", "two" }, "s" } } },
  { "a mean that is an output", "mean sub square mean add sqrt div mul add",
    layer_norm { outputs = { "y", "m" } } },
  { "a scale a token is none a channel", "layer_norm mul add",
    layer_norm { shape = { 5, 1 } } },
}


-- softmax -------------------------------------------------------------------------


---Softmax over `axis`; `axes` of its sum, `most` of the maximum that is subtracted;
---steps that differ.
local function softmax(o)
  local axis, opset = o.axis or -1, o.opset or 11
  local list = { { "Exp", { o.most and "c" or "x" }, "e" },
                 { "ReduceSum", { "e" }, "s", { axes = o.axes or { axis } } } }
  if o.most then
    table.insert(list, 1, { "ReduceMax", { "x" }, "m", { axes = { o.most } } })
    table.insert(list, 2, { "Sub", { o.other or "x", "m" }, "c" })
  end
  if o.reciprocal then
    list[#list + 1] = { "Reciprocal", { "s" }, "r" }
    list[#list + 1] = { "Mul", { o.times or "e", "r" }, "y" }
  else
    list[#list + 1] = { "Div", { o.times or "e", "s" }, "y" }
  end
  return { input = o.input or TOKENS, nodes = list, outputs = o.outputs, opset = opset }
end


local softmaxes = {
  { "softmax of tokens", "softmax", softmax {} },
  { "less the largest", "softmax", softmax { most = -1 } },
  { "less the largest, times a reciprocal", "softmax",
    softmax { most = 2, axis = 2, reciprocal = true } },
  { "over the channels of maps", "softmax",
    softmax { input = PICTURE, axis = 1, most = 1 } },
  -- near misses
  { "less the largest over another axis", "max sub softmax", softmax { most = 1 } },
  { "a sum over two axes", "exp sum div",
    softmax { input = PICTURE, axes = { 2, 3 } } },
  { "a quotient of something else", "exp sum div", softmax { times = "x" } },
  { "exp that is an output", "exp sum div", softmax { outputs = { "y", "e" } } },
}


-- layers --------------------------------------------------------------------------


---A 3x3 convolution of `x` and what follows; parameters a channel.
local function convolved(nodes, more, attrs)
  local list = { { "Conv", { "x", "w" }, "v", attrs or { pads = { 1, 1, 1, 1 } } } }
  for _, n in ipairs(nodes) do list[#list + 1] = n end
  local constants = { w = { { 4, 3, 3, 3 }, numbers(108) },
                      a = { { 4, 1, 1 }, numbers(4) },
                      b = { { 1, 4, 1, 1 }, numbers(4) },
                      g = { { 4, 1, 1 }, numbers(4, 1) }, row = { { 6 }, numbers(6) },
                      two = c.two }
  for key, value in pairs(more or {}) do constants[key] = value end
  return { input = PICTURE, nodes = list, constants = constants }
end


---A border around x, then a layer.
local function bordered(pads, node, before, value)
  local read = { before and "z" or "x", "pads", value and "v" or nil }
  local list = { { "Pad", read, "p" }, node }
  if before then table.insert(list, 1, { before, { "x" }, "z" }) end
  return { input = PICTURE, nodes = list,
           constants = { pads = { { 8 }, pads }, v = value and { {}, { value } },
                         w = { { 4, 3, 3, 3 }, numbers(108) } } }
end

local border = { 0, 0, 0, 0, 0, 0, 1, 1 } -- one row and column behind, as TensorFlow's
local strided = { kernel_shape = { 3, 3 }, strides = { 2, 2 } }
local conv = { "Conv", { "p", "w" }, "y", { strides = { 2, 2 } } }
local largest = { "MaxPool", { "p" }, "y", strided }
local dense = { w = { { 12, 7 }, numbers(84) }, b = { { 7 }, numbers(7) },
                other = { { 5, 1 }, numbers(5) } }

local layers = {
  { "a bias behind a convolution", "conv2d",
    convolved { { "Add", { "v", "a" }, "y" } } },
  { "a bias with a batch, first", "conv2d",
    convolved { { "Add", { "b", "v" }, "y" } } },
  { "a batch norm in pieces, of keras2onnx", "conv2d batch_norm add", convolved {
      { "Add", { "v", "b" }, "p" }, { "Sub", { "p", "a" }, "q" },
      { "Mul", { "q", "g" }, "r" }, { "Add", { "r", "b" }, "y" } } },
  { "a batch norm without scale, then a scale, of Caffe2", "conv2d batch_norm add",
    convolved({
      { "BatchNormalization", { "v", "ones", "zeros", "zeros", "ones" }, "n" },
      { "Mul", { "n", "g" }, "q" }, { "Add", { "q", "a" }, "y" } },
      { ones = { { 4 }, { 1.0, 1.0, 1.0, 1.0 } },
        zeros = { { 4 }, { 0.0, 0.0, 0.0, 0.0 } } }) },
  { "MatMul and Add on tokens", "linear", { input = TOKENS, constants = dense,
    nodes = {
      { "MatMul", { "x", "w" }, "m" }, { "Add", { "m", "b" }, "y" } } } },
  { "a border before a convolution", "conv2d", bordered(border, conv) },
  { "a border before a convolution with its own", "conv2d",
    bordered(border, { "Conv", { "p", "w" }, "y", { pads = { 1, 1, 1, 1 } } }) },
  { "a border before a mean that counts it", "avg_pool2d",
    bordered(border, { "AveragePool", { "p" }, "y",
                       { kernel_shape = { 3, 3 }, count_include_pad = 1 } }) },
  { "a border before a maximum of what a relu put out", "relu max_pool2d",
    bordered(border, largest, "Relu") },
  { "Reshape to one dimension", "flatten", { input = PICTURE,
    nodes = { { "Reshape", { "x", "shape" }, "y" } },
    constants = { shape = { { 2 }, { 1, -1 } } } } },
  { "the mean of maps", "global_avg_pool flatten", { input = PICTURE,
    nodes = { { "ReduceMean", { "x" }, "y", { axes = { 2, 3 }, keepdims = 0 } } } } },
  -- near misses
  { "a number a column is no bias", "conv2d add",
    convolved { { "Add", { "v", "row" }, "y" } } },
  { "a sum before the bias", "conv2d relu add",
    convolved { { "Relu", { "v" }, "p" }, { "Add", { "p", "a" }, "y" } } },
  { "a convolution that is read twice", "conv2d add mul", convolved {
      { "Add", { "v", "a" }, "p" }, { "Mul", { "p", "v" }, "y" } } },
  { "one factor a channel", "conv2d mul",
    convolved { { "Mul", { "v", "g" }, "y" } } },
  { "a scale behind a batch norm that has one", "conv2d batch_norm mul",
    convolved({ { "BatchNormalization", { "v", "ga", "be", "be", "ga" }, "n" },
                { "Mul", { "n", "g" }, "y" } },
              { ga = { { 4 }, numbers(4, 2) }, be = { { 4 }, numbers(4) } }) },
  { "a difference that is read twice", "conv2d sub mul add", convolved {
      { "Sub", { "v", "a" }, "p" }, { "Mul", { "p", "g" }, "q" },
      { "Add", { "q", "p" }, "y" } } },
  { "a factor a column", "conv2d mul add", convolved {
      { "Mul", { "v", "row" }, "p" }, { "Add", { "p", "row" }, "y" } } },
  { "a number a token is no bias", "linear add", { input = TOKENS,
    constants = dense, nodes = {
      { "MatMul", { "x", "w" }, "m" }, { "Add", { "m", "other" }, "y" } } } },
  { "a border of ones", "pad conv2d", bordered(border, conv, nil, 1.0) },
  { "a border before a maximum of anything", "pad max_pool2d",
    bordered(border, largest) },
  { "a border before a mean that does not count it", "pad avg_pool2d",
    bordered(border, { "AveragePool", { "p" }, "y",
                       { kernel_shape = { 3, 3 }, pads = { 1, 1, 1, 1 } } }) },
  { "a border around channels", "pad conv2d", bordered({ 0, 1, 0, 0, 0, 0, 1, 1 },
    { "Conv", { "p", "w4" }, "y" }) },
  { "the mean of columns", "mean reshape", { input = PICTURE,
    nodes = { { "ReduceMean", { "x" }, "y", { axes = { 3 }, keepdims = 0 } } } } },
}
layers[#layers - 1][3].constants.w4 = { { 2, 4, 1, 1 }, numbers(8) }


-- layouts -------------------------------------------------------------------------


---Rows last, as TensorFlow has pictures: a Transpose around every layer.
local function turned(node, more)
  return { input = { "x", { 1, 6, 6, 3 } }, nodes = {
      { "Transpose", { "x" }, "a", { perm = { 0, 3, 1, 2 } } }, node,
      { "Transpose", { "v" }, "b", { perm = { 0, 2, 3, 1 } } },
      table.unpack(more) },
    constants = { w = { { 4, 3, 3, 3 }, numbers(108) }, bias = { { 4 }, numbers(4) },
                  m = { { 4, 5 }, numbers(20) }, n = { { 5 }, numbers(5) },
                  wide = { { 2, 5, 1, 1 }, numbers(10) } } }
end

local layouts = {
  { "transposes around a convolution, a bias in between", "conv2d relu conv2d",
    turned({ "Conv", { "a", "w" }, "v" }, {
      { "Add", { "b", "bias" }, "c" }, { "Relu", { "c" }, "d" },
      { "MatMul", { "d", "m" }, "e" }, { "Add", { "e", "n" }, "f" },
      { "Transpose", { "f" }, "y", { perm = { 0, 3, 1, 2 } } } }) },
  { "a dense layer on channels between convolutions (ConvNeXt)", "conv2d conv2d conv2d",
    turned({ "Conv", { "a", "w" }, "v" }, {
      { "MatMul", { "b", "m" }, "e" }, { "Add", { "n", "e" }, "f" },
      { "Transpose", { "f" }, "g", { perm = { 0, 3, 1, 2 } } },
      { "Conv", { "g", "wide" }, "y" } }) },
}


for title, rows in pairs { ["an activation"] = activations, ["a norm"] = norms,
                           ["a softmax"] = softmaxes, ["a layer"] = layers,
                           ["a layout"] = layouts } do
  describe(title, function()
    for _, row in ipairs(rows) do
      it(row[1], function() check(row) end)
    end
  end)
end


describe("a folded layer", function()
  it("keeps the name of the tensor that it makes, and its module's", function()
    local named = {}
    for i, n in ipairs(gelu_torch) do
      named[i] = { n[1], n[2], n[3],
                   name = "/blocks.0/act/" .. n[1] .. (i == 5 and "_1" or "") }
    end
    local net = net_of(activation(named, { outputs = { "y" } }))
    assert.equal("blocks.0.act", net:layers()[1].name)
    assert.equal(net:layers()[1], net:layer "y")
    assert.equal(net:layers()[1], net:layer "/blocks.0/act/Mul_1")
  end)

  it("of every row is left in pieces where it is asked for", function()
    local idioms = require "lunette.weights.import.onnx.idioms"
    local graph = activation(gelu_torch, { outputs = { "y" } })
    assert.equal("gelu", kinds_of(net_of(graph)))
    assert.equal("div erf add mul mul", kinds_of(net_of(graph, { activation = true })))
    for _, row in ipairs(idioms.rows) do assert.is_string(row.what) end
  end)
end)


describe("LRN", function()
  for _, size in ipairs { 1, 2, 3, 4, 6 } do
    it("of size " .. size .. " sums the channels that ONNX names", function()
      local net = net_of { input = { "x", { 1, 7, 6, 6 } }, outputs = { "y" }, nodes = {
        { "LRN", { "x" }, "y", { size = size, alpha = writer.float(0.7),
          beta = writer.float(0.6), bias = writer.float(1.5) } } } }
      local x = core.normal(4, 0, 2, 7, 6, 6)
      local y = net:run(x).output
      for n = 1, 2 do
        for at = 1, 7 do
          local first, last = at - (size - 1) // 2, at + size // 2 -- floor and ceil
          local sum = x[n][at] * 0
          for k = math.max(1, first), math.min(7, last) do
            sum = sum + x[n][k] * x[n][k]
          end
          local want = x[n][at] / (sum * (0.7 / size) + 1.5) ^ 0.6
          assert.is_true(y[n][at]:distance(want) < 1e-6)
        end
      end
    end)
  end
end)


describe("Resize", function()
  -- the closed form: where an output place lies, and its two neighbours' shares
  local function linear(values, h, w, place)
    local x, y = values:table(), {}
    local function taps(o, n, out)
      local p = math.max(0, math.min(n - 1, place(o, n, out)))
      local low = math.floor(p)
      return low + 1, math.min(n, low + 2), p - low
    end
    for r = 1, h do
      y[r] = {}
      local a, b, f = taps(r - 1, #x, h)
      for column = 1, w do
        local d, e, g = taps(column - 1, #x[1], w)
        y[r][column] = (x[a][d] * (1 - g) + x[a][e] * g) * (1 - f)
          + (x[b][d] * (1 - g) + x[b][e] * g) * f
      end
    end
    return lu.tensor(y)
  end

  local places = {
    half_pixel = function(o, n, out) return (o + 0.5) * n / out - 0.5 end,
    align_corners = function(o, n, out) return o * (n - 1) / (out - 1) end,
    asymmetric = function(o, n, out) return o * n / out end,
  }

  for how, kinds in pairs { half_pixel = "interpolate", align_corners = "interpolate",
                            asymmetric = "matmul matmul" } do
    it("of mode linear, " .. how .. ", is " .. kinds, function()
      local net = net_of { input = PICTURE, outputs = { "y" },
        constants = { none = { { 0 }, {} }, sizes = { { 4 }, { 1, 3, 13, 4 } } },
        nodes = { { "Resize", { "x", "none", "none", "sizes" }, "y",
                    { mode = "linear", coordinate_transformation_mode = how } } } }
      assert.equal(kinds, kinds_of(net))
      local x = core.normal(4, 0, { 1, 3, 6, 6 })
      local y = net:run(x).output
      for plane = 1, 3 do
        local want = linear(x[1][plane], 13, 4, places[how])
        assert.is_true(y[1][plane]:distance(want) < 1e-6)
      end
    end)
  end

  it("by scales whose sizes are rounded looks where the scales say", function()
    local net = net_of { input = PICTURE, outputs = { "y" },
      constants = { none = { { 0 }, {} }, scales = { { 4 }, { 1.0, 1.0, 1.6, 1.6 } } },
      nodes = { { "Resize", { "x", "none", "scales" }, "y", { mode = "linear" } } } }
    assert.equal("matmul matmul", kinds_of(net)) -- 9 rows of 6, not 9.6
    local x = core.normal(4, 0, { 1, 3, 6, 6 })
    local want = linear(x[1][2], 9, 9, function(o) return (o + 0.5) / 1.6 - 0.5 end)
    assert.is_true(net:run(x).output[1][2]:distance(want) < 1e-6)
  end)
end)


describe("constants", function()
  it("that ScatterND writes into are worked out: masks of windows", function()
    local net = net_of { input = PICTURE, outputs = { "y" },
      constants = { zeros = { { 2, 3 }, { 0.0, 0.0, 0.0, 0.0, 0.0, 0.0 } },
                    rows = { { 1, 1 }, { -1 } },
                    row = { { 1, 3 }, { 4.0, 5.0, 6.0 } },
                    at = { { 2, 2 }, { 0, 1, 1, 2 } }, two = { { 2 }, { 7.0, 8.0 } },
                    shape = { { 4 }, { 1, 1, 1, 6 } } },
      nodes = { { "ScatterND", { "zeros", "rows", "row" }, "a" },
                { "ScatterND", { "a", "at", "two" }, "b" },
                { "Reshape", { "b", "shape" }, "c" }, { "Add", { "x", "c" }, "y" } } }
    local y = net:run(lu.zeros(1, 3, 6, 6)).output
    assert.same({ 0, 7, 0, 4, 5, 8 }, y:table()[1][3][2])
  end)

  it("drop nothing where the ratio is 0, in training too", function()
    local graph = { input = PICTURE, outputs = { "y" },
      constants = { ratio = { {}, { 0.0 } }, yes = { {}, { 1 } } },
      nodes = { { "Dropout", { "x", "ratio", "yes" }, "a" },
                { "Relu", { "a" }, "y" } } }
    assert.equal("relu", kinds_of(net_of(graph)))
    graph.constants.ratio[2][1] = 0.25
    assert.matches("drops values", t.message(net_of, graph))
  end)
end)
