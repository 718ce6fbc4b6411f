-- ONNX: the reference zoo, hostile files, what is refused.
local core = require "lunette.core"
local import = require "lunette.weights.import"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local zoo = t.shared .. "/models/onnx/"
local folder, done

-- Not supported yet, with the operator that their refusal names.
local refused = { hand_potpourri_op13 = "ConvTranspose",
                  unet_transpose_op13 = "ConvTranspose" }

setup(function() folder, done = t.folder() end)
teardown(function() done() end)


local function files(path)
  local list = {}
  if t.exists(path .. "/resnet18_op11.onnx") or t.exists(path .. "/EXPECTED.txt") then
    for name in require("lfs").dir(path) do
      list[#list + 1] = name:match "^(.*)%.onnx$"
    end
  end
  table.sort(list)
  return list
end


---The golden tensors of a file, by name, and its metadata.
local function golden(name)
  local g = assert(core.weights(t.shared .. "/golden/onnx/" .. name .. ".safetensors"))
  local index = {}
  for i, e in ipairs(g:list()) do index[e.name] = i end
  return function(key) return index[key] and g:tensor(index[key]) end, g:meta(), index
end


local function as_picture(x, meta)
  return meta.input_axes == "NHWC" and x:permute(1, 4, 2, 3) or x
end


---Relative L2 distance, whatever the shapes.
local function off(a, b) return a:view(a:size()):distance(b:view(b:size())) end


describe("the zoo", function()
  local list = files(zoo)
  if #list == 0 then pending "models/onnx: no reference material" end

  for _, name in ipairs(list) do
    it(name, function()
      local path, message = import(zoo .. name .. ".onnx",
        { out = folder .. "/net.safetensors", side = 64 })
      if refused[name] then
        assert.is_nil(path)
        assert.matches(refused[name], message)
        return
      end
      local net = assert(lu.load((assert(path, message))))
      local get, meta, index = golden(name)
      local layer = assert(net:layer(meta.score_tensor))
      local run = net:run(as_picture(get "blobs/input", meta))
      -- float32 against float64: about 1e-7 a layer, more where logits cancel
      assert.is_true(off(run:preactivation(layer.name), get "blobs/logits") < 2e-5)
      for key in pairs(index) do
        local class = key:match "^blobs/(%d+)/gradient$"
        if class and #layer.shape == 1 then
          local mods = run.output_layer ~= layer and { lu.extract(layer.name) } or {}
          local g = run:gradient { score = math.tointeger(class), modifiers = mods }
          assert.is_true(g:distance(as_picture(get(key), meta)) < 1e-4)
        end
      end
    end)
  end
end)


describe("lu.load", function()
  it("takes an ONNX file as it is", function()
    local path = zoo .. "squeezenet1_1_op11.onnx"
    if not t.exists(path) then return pending "no reference material" end
    local net = assert(lu.load(path))
    assert.equal("squeezenet1_1_op11", net.name)
    assert.equal("torch", net.preprocessing)
    assert.truthy(net:last_map())
    local get = golden "squeezenet1_1_op11"
    local map = lu.gradcam(net, get "blobs/input", { score = 1 })
    assert.same({ 1, 96, 96 }, map:shape())
    local nothing, message = lu.load(zoo .. "bad/lstm.onnx")
    assert.is_nil(nothing)
    assert.matches("LSTM", message)
  end)
end)


describe("a network of operators", function()
  it("repeats what concat adds for every picture", function()
    local net = assert(lu.net { input = { 3, 2, 2 }, layers = {
        { "flat", "reshape", shape = { 3, 4 } },
        { "with", "concat", dim = 2, from = { { param = "class", shape = { 1, 4 } },
                                              "flat" } } } })
    net:init(1)
    net.params["with.class"] = lu.tensor { { 1, 2, 3, 4 } }
    local y = net:run(t.input(net, 3)):preactivation "with"
    assert.same({ 3, 4, 4 }, y:shape())
    for n = 1, 3 do assert.equal(3, y[n][1][3]) end
  end)
end)
