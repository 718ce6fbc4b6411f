-- Every method of the library on networks that others exported: multiplicative
-- branches, one layer used twice, several outputs, a map of scores of which a region is
-- explained, one channel, no softmax, tokens. What a method cannot say of a network it
-- refuses by name.
local core = require "lunette.core"
local import = require "lunette.weights.import"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local folder, done = t.folder()
teardown(function() done() end)
local zoo = t.root() .. "/../shared/models/onnx/"


---Few samples, for all methods.
local few = { samples = 2, count = 4, steps = 2, most = 2, segments = 2, max_sigma = 2,
              window = 32, stride = 32, designs = 4, cells = 2, min_diff = 2, evals = 4,
              dilate = 0, smooth_samples = 2, smooth_noise = 0.1, exact = 4 }


---The left half of class 1's map.
local function left_half(net)
  local s = net:layer(net.outputs[1]).shape
  local mask = core.zeros(s[2], s[3])
  for y = 1, s[2] do
    for x = 1, s[3] // 2 do mask:set(y, x, 1) end
  end
  return lu.score.segment(mask, 1)
end


---What a network is for, the layer at which maps are made where the last is a large
---one, and the methods that are refused, with what is said.
local no_attention = "has no attention between tokens"
local rows = {
  { "mobilenet_v3_op17", refused = { attention = no_attention } },
  { "hand_shared_weights_op13", refused = { attention = no_attention } },
  { "hand_two_outputs_op13", refused = { attention = no_attention } },
  { "unet_transpose_op13", score = left_half, layer = "d3.5", refused = {
    attention = no_attention, finer_cam = "the score must be a class" } },
  { "hand_one_channel_op8", refused = { attention = no_attention } },
  { "vit_op17", refused = {} },
}


local function options_of(row, net, case)
  local opts = {}
  for key, value in pairs(few) do
    if row.options[key] then opts[key] = value end
  end
  if case.score and row.options.score then opts.score = case.score(net) end
  if case.layer and row.options.layer then opts.layer = case.layer end
  return opts
end


---What is wrong with a map, or nil.
local function wrong_with(map, row, x)
  if map:dim(1) ~= x:dim(1) then return "has another number of maps" end
  if not map:stats().finite then return "is not finite" end
  if map.story.method ~= row.name then return "tells of another method" end
  local s = map:shape()
  if row.draws == "overlay" and #s ~= 3 or row.draws == "picture" and #s ~= 4 then
    return "has shape " .. table.concat(s, ",")
  end
  return nil
end


---What is wrong with a method on a network, or nil.
local function fault(row, net, x, case)
  local ok, map = pcall(row, net, x, options_of(row, net, case))
  local refused = case.refused[row.name] or case.refused[row.family]
  if not refused then return ok and wrong_with(map, row, x) or not ok and map or nil end
  if ok then return "is not refused" end
  return not map:find(refused, 1, true) and map or nil
end


describe("every method", function()
  if not t.exists(zoo .. "vit_op17.onnx") then
    return pending "models/onnx: no reference material"
  end
  for _, case in ipairs(rows) do
    it("explains " .. case[1], function()
      local path = assert(import(zoo .. case[1] .. ".onnx",
        { out = folder .. "/net.safetensors", force = true, side = 64 }))
      local net, faults, seen = assert(lu.load(path)), {}, 0
      local x = core.normal(3, 0, { 1, table.unpack(net.input) })
      t.warnings(function()
        for name, row in pairs(lu.methods) do
          local wrong = fault(row, net, x, case)
          if wrong then faults[#faults + 1] = name .. ": " .. wrong end
          seen = seen + 1
        end
      end)
      assert.same({}, faults)
      assert.is_true(seen >= 50)
    end)
  end
end)


describe("a layer used twice", function()
  it("is two named uses, each with its value and its gradient", function()
    local net = assert(lu.net { name = "twice", input = { 2, 6, 6 }, layers = {
      { "first", "conv2d", filters = 2, kernel = 3, padding = 1 },
      { "relu1", "relu" },
      { "second", "conv2d", filters = 2, kernel = 3, padding = 1, shares = "first" },
      { "relu2", "relu" },
      { "pool", "global_avg_pool" }, { "flatten", "flatten" },
      { "out", "linear", units = 3 } } }):init(1)
    local run = net:run(t.input(net))
    assert.is_false(run.first:same(run.second))
    local a = lu.gradcam(run, { score = 1, layer = "first", raw = true })
    local b = lu.gradcam(run, { score = 1, layer = "second", raw = true })
    assert.is_false(a:same(b))
    local g1 = run:gradient { score = 1, wrt = "first", exact = true }
    local g2 = run:gradient { score = 1, wrt = "second", exact = true }
    assert.is_false(g1:same(g2))
    -- of the second use the gradient stands alone, of the first it went through it
    local open = run:preactivation("second"):detach():gt(0)
    local w = net.params["out.weight"]
    for c = 1, 2 do
      local want = open:narrow(2, c, 1) * (w:get(2, c) / 36)
      assert.is_true(g2:narrow(2, c, 1):distance(want) < 1e-6)
    end
  end)
end)
