-- ONNX: the reference zoo, hostile files, what is refused.
local core = require "lunette.core"
local import = require "lunette.weights.import"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local zoo = t.shared .. "/models/onnx/"
local folder, done = t.cache_folder()
teardown(done)


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


---What the file explains: a class of its scores, or a class's map, summed.
local function score_of(class, meta, shape)
  if not meta.score then return class end
  assert(meta.score:find "^sum over height and width of channel" and #shape == 3)
  return lu.score.new("map", function(y)
    return y:narrow(2, class + 1, 1):sum { dims = { 2, 3, 4 } }
  end)
end


---Channels weighted by the means of their gradients: (C,H,W), (H,W,C) where the map has
---this size, or tokens behind others that are no part of the picture.
local function cam(a, g, map, kind, tokens)
  if kind == "NHWC" and a:dim(4) ~= map:dim(3) then
    a, g = a:permute(1, 4, 2, 3), g:permute(1, 4, 2, 3)
  elseif kind == "NTC" then
    local h, w, skip = tokens:match "(%d+),(%d+),(%d+)"
    h, w, skip = math.tointeger(h), math.tointeger(w), math.tointeger(skip)
    local n = h * w
    if a:dim(2) ~= n + skip then a, g = a:permute(1, 3, 2), g:permute(1, 3, 2) end
    a = a:narrow(2, skip + 1, n):permute(1, 3, 2):reshape(1, -1, h, w)
    g = g:narrow(2, skip + 1, n):permute(1, 3, 2):reshape(1, -1, h, w)
  end
  return (a * g:mean { dims = { 3, 4 }, keepdims = true }):sum { dims = { 2 } }
end


---The smallest input of a relu, in parts of the largest of its layer.
local function closest_relu(run)
  local least = math.huge
  for _, layer in ipairs(run.net:layers()) do
    local s = layer.kind == "relu" and run:preactivation(layer.from[1]):abs():stats()
    if s then least = math.min(least, s.min / s.max) end
  end
  return least
end


local json = require "lunette.base.json"

---Relu nodes alone, as captum and pytorch-grad-cam choose; nothing else changes.
local guided_relus = lu.modifier { name = "guided_relus", {
  on = function(layer) return layer.kind == "relu" end, rule = "guided" } }

---Every key of a golden file against the network, within `most`.
local function check_file(net, golden_file, most)
  local get, meta, index = golden_file.get, golden_file.meta, golden_file.index
  local layer = assert(net:layer(meta.score_tensor))
  local run = net:run(as_picture(get "blobs/input", meta))
  local kinds, seen = json.decode(meta.layers), 0
  local function near(key, value, limit)
    local want = get(key)
    if not key:find "@" and not key:find "logits" then want = as_picture(want, meta) end
    local d = off(value, want)
    -- a relu whose input is nothing but rounding may open the other way
    if d >= limit and d < 2e-3 and closest_relu(run) < 5e-8 then d = 0 end
    assert(d < limit, ("%s: %.2g off, limit %g"):format(key, d, limit))
    seen = seen + 1
  end
  -- float32 against float64: about 1e-7 a layer, more where logits cancel
  near("blobs/logits", run:preactivation(layer.name), most.logits)
  local extract = run.output_layer ~= layer and { lu.extract(layer.name) } or {}
  for key in pairs(index) do
    local class, what, at = key:match "^blobs/(%d+)/([%w_]+)@?(.*)$"
    local how = class and { modifiers = { table.unpack(extract) },
                            score = score_of(math.tointeger(class), meta, layer.shape) }
    if what == "gradient" or what == "guided" then
      if what == "guided" and (" %s "):format(meta.operators):find " Relu " then
        table.insert(how.modifiers, guided_relus)
      end
      near(key, run:gradient(how), most.gradient)
    elseif what == "gradcam_raw" then
      how.wrt, how.exact = at, true
      local map = cam(run:preactivation(at), run:gradient(how), get(key),
                      kinds[at], meta.tokens)
      near(key, map, most.gradient)
    end
  end
  return seen
end


describe("the zoo", function()
  local list = files(zoo)
  if #list == 0 then pending "models/onnx: no reference material" end

  for _, name in ipairs(list) do
    it(name, function()
      local path, message = import(zoo .. name .. ".onnx",
        { out = folder .. "/net.safetensors", side = 64, resized = true,
          force = true })
      local net = assert(lu.load((assert(path, message))))
      local get, meta, index = golden(name)
      local half = name:find "fp16"
      local seen = check_file(net, { get = get, meta = meta, index = index },
        half and { logits = 2e-3, gradient = 2e-3 }
          or { logits = 2e-5, gradient = 1e-4 })
      assert.is_true(seen >= 4)
    end)
  end
end)


-- Graphs of the public zoo whose weights are all one number, by ConstantOfShape: every
-- output is the same. VGG19, AlexNet and ZFNet (140 to 570 MB) are left out.
describe("graphs with constant weights", function()
  local all = { light_densenet121 = 0.460955, light_inception_v1 = 0.001,
                light_inception_v2 = 0.001, light_resnet50 = 0.001,
                light_shufflenet = 0.001, light_squeezenet = 0.001 }
  if not t.exists(zoo .. "light/light_resnet50.onnx") then
    pending "models/onnx/light: no reference material"
    return
  end
  for name, want in pairs(all) do
    it(name, function()
      local path = assert(import(zoo .. "light/" .. name .. ".onnx",
        { out = folder .. "/net.safetensors", side = 224, resized = true,
          force = true }))
      local net = assert(lu.load(path))
      local y = net:run(t.input(net), { keep = false }).output:stats()
      assert.near(want, y.min, 1e-5)
      assert.near(want, y.max, 1e-5)
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
