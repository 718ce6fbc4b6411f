-- Vision Transformers: rollout, gradient rollout, LeGrad, attention maps and class
-- activation maps on tokens, against torch in float64 (tests/zoo/vit.py), and on the
-- networks that others exported, which say nothing of how their tokens lie.
local core = require "lunette.core"
local import = require "lunette.weights.import"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"
local tokens = require "lunette.explain.tokens"

local folder, done = t.cache_folder()
teardown(done)

local last = "encoder.layers.encoder_layer_2."


---A small Vision Transformer that says only what it must.
local function small(opts)
  local o = { side = 40, patch = 8, depth = 3, heads = 2, width = 16, inner = 24,
              classes = 5 }
  for key, value in pairs(opts or {}) do o[key] = value end
  return assert(lu.net(lu.models.vit_b_16(o)))
end


local function random(net, n)
  return core.normal(7, 0, { n or 1, table.unpack(net.input) })
end


describe("against torch", function()
  local python = "/usr/bin/python3"
  local files = t.kept("vit", "tests/zoo/vit.py", "python3-torch python3-torchvision",
    function(to)
      if t.other(python .. " -c 'import torchvision'") ~= 0 then return false end
      local code, said = t.other(("%s tests/zoo/vit.py '%s'"):format(python, to))
      assert(code == 0, said)
    end)
  if not files then return pending "python3 with torchvision" end

  local function read(name)
    return assert(lu.npy.read(files .. "/" .. name .. ".npy"))
  end

  ---The network with the weights of a state dict, which are imported as they are.
  local function loaded()
    return t.fill(small(), t.tensors(files .. "/vit.safetensors"))
  end

  local net, run
  setup(function()
    net = loaded()
    run = net:run(read "x", { modifiers = { "linear" } })
  end)

  local rows = {
    logits = function() return run.output:detach() end,
    rollout_mean = function() return lu.attention_rollout(run, { raw = true }) end,
    rollout_max = function()
      return lu.attention_rollout(run, { raw = true, heads = "max" })
    end,
    rollout_min = function()
      return lu.attention_rollout(run, { raw = true, heads = "min" })
    end,
    gradient_rollout = function()
      return lu.gradient_rollout(run, { raw = true, score = 3 })
    end,
    legrad_class = function() return lu.legrad(run, { raw = true, score = 3 }) end,
    legrad_mean = function()
      return lu.legrad(run, { raw = true, score = 3, pool = "mean" })
    end,
    gradcam = function() return lu.gradcam(run, { raw = true, score = 3 }) end,
    hirescam = function() return lu.hirescam(run, { raw = true, score = 3 }) end,
    attention = function() return lu.attention(run, { layer = 2 }) end,
    attention_2_3 = function() return lu.attention(run, { token = { 2, 3 } }) end,
  }
  for name, value in pairs(rows) do
    it(name, function()
      local got, want = value(), read(name)
      assert.same(want:shape(), got:shape())
      -- float32 against float64, three layers of products of the same sums
      local off = got:distance(want)
      assert.is_true(off < 1e-5, off)
    end)
  end

  it("from a network is from its run, and as large as the picture", function()
    for _, name in ipairs { "attention_rollout", "gradient_rollout", "legrad",
                            "gradcam" } do
      local o = lu[name].options.score and { score = 3, modifiers = { "linear" } } or {}
      local map = lu[name](net, read "x", o)
      assert.same({ 2, 40, 40 }, map:shape())
      local s = map:stats()
      assert.is_true(s.min == 0 and s.max > 0.999 and s.max <= 1)
      assert.is_true(map:distance(lu[name](run, o)) < 1e-5)
    end
  end)
end)


describe("class activation maps", function()
  local net, x
  setup(function()
    net = small():init(2)
    x = random(net, 2)
  end)

  it("of every kind take tokens without being told how they lie", function()
    local run = net:run(x)
    local seen = 0
    for name, row in pairs(lu.methods) do
      if type(row) == "table" and row.family == "cam" then
        local raw = row.options.layer and name ~= "guided_gradcam"
        local map = row(run, raw and { raw = true } or {})
        if raw then assert.same({ 2, 5, 5 }, map:shape(), name) end
        assert.is_true(map:stats().finite, name)
        seen = seen + 1
      end
    end
    assert.is_true(seen >= 18)
  end)

  it("look at what the last attention reads, or at any layer of tokens", function()
    local run = net:run(x, { modifiers = { "linear" } })
    local map = lu.gradcam(run, { raw = true })
    assert.equal(last .. "ln_1", map.story.layer)
    map = lu.gradcam(run, { raw = true, layer = "encoder.layers.encoder_layer_0" })
    assert.same({ 2, 5, 5 }, map:shape())
    map = lu.gradcam(run, { raw = true, layer = "conv_proj" })
    assert.same({ 2, 5, 5 }, map:shape())
    local message = t.message(lu.gradcam, run, { layer = "heads.head" })
    assert.matches("no height and width", message)
  end)

  it("that run the rest again leave the class token as it is", function()
    local one = x:rows(1)
    local run = net:run(one, { modifiers = { "linear" } })
    local name = last .. "ln_1"
    local v, other = run:activation(name):detach(), net:run(one)
    local function score(value)
      local part = net:run_from(name, value,
                                { modifiers = { "linear" }, beside = other })
      return part:values(2)[1]
    end
    local kept = v * 0 -- the class token, and the patch of row 2, column 3
    for c = 1, 16 do
      kept:set(1, 1, c, v:get(1, 1, c))
      kept:set(1, 9, c, v:get(1, 9, c))
    end
    local map = lu.recipro_cam(run, { score = 2, soft = false, raw = true })
    assert.near(score(kept), map:get(1, 2, 3), 1e-5)
  end)
end)


describe("attention", function()
  it("is found, and said where there is none", function()
    local net = small()
    local list = tokens.attentions(net)
    assert.equal(3, #list)
    assert.equal(last .. "self_attention.attention", list[3].layer.name)
    assert.equal(last .. "ln_1", list[3].tokens.name)
    assert.equal(last .. "add_2", list[3].block.name)
    assert.same({ h = 5, w = 5, skip = 1 }, tokens.grid(net, 26))
    local glyphs = assert(lu.load "glyphs")
    local images = glyphs:images(lu.glyphs.default_images(1).images)
    for _, name in ipairs { "attention", "attention_rollout", "gradient_rollout",
                            "legrad" } do
      assert.matches("has no attention between tokens",
                     t.message(lu[name], glyphs, images))
    end
  end)

  it("is asked for by what there is", function()
    local net = small():init(1)
    local run = net:run(random(net))
    assert.same({ 1, 2, 5, 5 }, lu.attention(run):shape())
    assert.is_true(lu.attention(run, { layer = 3 }):same(lu.attention(run)))
    assert.is_true(lu.attention(run,
      { layer = last .. "self_attention.attention" }):same(lu.attention(run)))
    assert.matches("one of 'encoder.layers.encoder_layer_0",
                   t.message(lu.attention, run, { layer = 4 }))
    for _, token in ipairs { { 6, 1 }, { 1, 6 }, { 0, 1 }, { 1, 0 }, { 1 }, "last" } do
      assert.matches("of 5 x 5 patches",
                     t.message(lu.attention, run, { token = token }))
    end
    assert.matches("there are 3 layers", t.message(lu.legrad, run, { from = 4 }))
    assert.matches("stands before the end of the last block", t.message(lu.legrad, run,
      { score = lu.score.unit("encoder.layers.encoder_layer_0.mlp.0", 3) }))
  end)

  it("lies over pictures that are not square", function()
    local net = small { side = { 24, 40 } }:init(1)
    local run = net:run(random(net))
    assert.same({ 1, 2, 3, 5 }, lu.attention(run):shape())
    assert.same({ 1, 24, 40 }, lu.attention_rollout(run):shape())
  end)
end)


describe("exported networks", function()
  local shared = t.root() .. "/../shared/"
  for _, name in ipairs { "vit_op17", "vit_op11_dynamic" } do
    it(name, function()
      local file = shared .. "models/onnx/" .. name .. ".onnx"
      if not t.exists(file) then return pending "reference material (../shared)" end
      local net = assert(lu.load((assert(import(file, { out = folder .. "/v.st",
                                                        force = true })))))
      local golden = assert(core.weights(shared .. "golden/onnx/" .. name
                                         .. ".safetensors"))
      local values, meta = {}, golden:meta()
      for i, e in ipairs(golden:list()) do values[e.name] = golden:tensor(i) end
      local run = net:run(values["blobs/input"])
      local seen = 0
      for key, want in pairs(values) do
        local class, at = key:match "^blobs/(%d+)/gradcam_raw@(.*)$"
        if class then
          local map = lu.gradcam(run, { score = math.tointeger(class), raw = true,
            layer = at, modifiers = { lu.extract(meta.score_tensor) } })
          local off = map:distance(want:view(table.unpack(map:shape())))
          assert.is_true(off < 1e-4, off)
          seen = seen + 1
        end
      end
      assert.is_true(seen > 0)
      for _, method in ipairs { "attention_rollout", "gradient_rollout", "legrad",
                                "attention" } do
        assert.is_true(lu[method](run):stats().finite, method)
      end
    end)
  end
end)
