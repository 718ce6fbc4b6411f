-- Grad-CAM's short way, over sums of a dense layer's weights (in,out), against the long
-- one, which the same network goes whose weights are (out,in).
local lu = require "lunette"
local core = require "lunette.core"
local import = require "lunette.weights.import"
local t = dofile "tests/lua/support.lua"

-- Large enough for dense weights to be imported as (in,out): 2^21 numbers and more.
local function large_net()
  return lu.net(lu.models.vgg11 { width = 1 / 8, side = 128, fc = 2100 }):init(1)
end


local function both_nets(folder)
  local plain, in_out = folder .. "/plain.safetensors", folder .. "/in_out.safetensors"
  assert(lu.save(large_net(), plain))
  assert(import(plain, { out = in_out, force = true }))
  return assert(lu.load(plain)), assert(lu.load(in_out)), in_out
end


local folder, done = t.folder()
local plain, in_out, path = both_nets(folder)
local x = core.normal(3, 0, { 2, 3, 128, 128 })

---How often a rule in Lua was called counts too.
local calls = 0
local function counted(on)
  return lu.modifier { name = "counted", on = on, backward = function(node, dy)
    calls = calls + 1
    return node:backward(dy) * 3
  end }
end


local function swapped(w) return w:permute { dims = { 2, 1 } } end


---A small network twice, once with all its matrices (in,out): conv, relu, what is
---given.
local function twins(layers, filters)
  local function net(layout)
    local list = { { "conv", "conv2d", filters = filters or 6, kernel = 3,
                     padding = 1 }, { "relu", "relu" } }
    for _, layer in ipairs(layers) do
      local copy = {}
      for key, value in pairs(layer) do copy[key] = value end
      if copy[2] == "linear" then copy.weight_layout = layout end
      list[#list + 1] = copy
    end
    local spec = { name = "twin", input = { 4, 16, 16 }, layers = list }
    return assert(lu.net(spec)):init(1)
  end
  return net "out_in", net "in_out"
end

local small = core.normal(4, 0, { 2, 4, 16, 16 })

---Both twins' maps, of nets or runs, are the same.
local function agree(a, b, opts, ...)
  local d = lu.gradcam(a, opts, ...):distance(lu.gradcam(b, opts, ...))
  assert.is_true(d < 1e-5, d)
end

local pool, flat = { "pool", "max_pool2d", kernel = 2 }, { "flat", "flatten" }
local fc, out = { "fc", "linear", units = 16 }, { "out", "linear", units = 5 }


describe("channel means", function()
  teardown(done)

  it("are those of the gradient, whatever the rules", function()
    for _, layer in ipairs { "block5_conv2", "block5_pool" } do
      for _, rules in ipairs { {}, { "guided" }, { "rectified" },
                               { counted "block5_pool" },
                               { counted "flatten" }, { counted "fc1" },
                               { counted "fc1_relu" } } do
        -- a rule of the layer itself is not on the way from the score to it
        local own = type(rules[1]) == "table" and rules[1].on == layer
        for _, score in ipairs(own and {} or { 2, lu.score.categorical { 1, 3 } }) do
          local opts = { score = score, layer = layer, raw = true,
                         modifiers = { "linear", table.unpack(rules) } }
          local long, before = lu.gradcam(plain, x, opts), calls
          local short = lu.gradcam(in_out, x, opts)
          local name = layer .. " " .. (rules[1] and tostring(rules[1]) or "")
          local d = short:distance(long)
          assert.is_true(d < 1e-5 and long:stats().l2 > 0, name .. " " .. d)
          local passed = type(rules[1]) == "table"
            and (layer ~= "block5_pool" or rules[1].on ~= layer)
          assert.equal(passed, calls > before, name)
        end
      end
    end
  end)

  it("are those of any score and scored layer", function()
    local function total(y)
      return y:reshape { y:dim(1), y:size() // y:dim(1) }:sum { dims = { 2 } }
    end
    for _, scored in ipairs { "block5_pool", "fc1", "fc2", "predictions" } do
      local opts = { score = total, layer = "block5_conv2", raw = true,
                     modifiers = { lu.extract(scored) } }
      local d = lu.gradcam(in_out, x, opts):distance(lu.gradcam(plain, x, opts))
      assert.is_true(d < 1e-5, scored .. " " .. d)
    end
  end)

  it("sum the weights only where the sums are used", function()
    local again, sum, count = assert(lu.load(path)), core.methods.sum, 0
    core.methods.sum = function(v, ...)
      count = count + (v:dim() == 3 and v:dim(3) == 2100 and 1 or 0)
      return sum(v, ...)
    end
    finally(function() core.methods.sum = sum end)
    local function cam(layer, on)
      return lu.gradcam(again, x, { score = 1, layer = layer,
        modifiers = { "linear", on and counted(on) } })
    end
    cam("block5_conv2", "block5_pool")
    cam("block5_conv2", "fc1")
    cam("block5_conv1")
    assert.equal(0, count)
    cam "block5_conv2"
    cam "block5_pool"
    assert.equal(1, count)
    cam("block5_pool")
    assert.equal(1, count)
  end)

  it("are the same the second time, and of a run", function()
    local opts = { score = 1, layer = "block5_conv2", modifiers = { "linear" } }
    local first = lu.gradcam(in_out, x, opts)
    assert.is_true(t.same(first, lu.gradcam(in_out, x, opts)))
    local run <close> = in_out:run(x, { modifiers = { "linear" } })
    assert.is_true(t.same(first, lu.gradcam(run, opts)))
  end)

  it("come of sums that are kept until the weights change", function()
    local a, b = twins { pool, flat, fc, out }
    local opts = { score = 1, layer = "conv", raw = true }
    agree(a, b, small, opts)
    collectgarbage()
    collectgarbage()
    local live = core.memory().live
    agree(a, b, small, opts)
    collectgarbage()
    collectgarbage()
    assert.equal(live, core.memory().live) -- made once
    for _, net in ipairs { a, b } do net.params["fc.weight"]:mul_(-3) end
    agree(a, b, small, opts)
  end)

  it("take an exact layer's gradient", function()
    local run <close> = plain:run(x, { modifiers = { "linear" } })
    for _, name in ipairs { "fc1", "block5_conv2", "block1_conv1" } do
      local before = run:gradient { score = 1, wrt = name, exact = true }
      local after = run:gradient { score = 1, wrt = name }
      assert.equal(0, before:distance(after * run:activation(name):gt(0)), name)
      assert.is_true(before:stats().l2 > 0, name)
    end
  end)

  it("are long in coming where other ways lead", function()
    local opts = { score = 1, raw = true, layer = "conv" }
    local a, b = twins { pool, flat, fc, { "fr", "relu" },
      { "fc2", "linear", units = 16, from = "flat" },
      { "sum", "add", from = { "fr", "fc2" } }, out }
    agree(a, b, small, opts)
    a, b = twins { { "pool", "avg_pool2d", kernel = 3, padding = 1 }, flat, fc, out }
    agree(a, b, small, opts)
    a, b = twins { { "pool", "max_pool2d", kernel = 3, stride = 2, padding = 1 },
                   { "again", "relu" }, flat, fc, out }
    agree(a, b, small, opts)
  end)

  it("are of the layer that is scored", function()
    local a, b = twins { pool, flat, fc, { "fr", "relu" }, out }
    local r, q = a:run(small), b:run(small)
    agree(r, q, { score = lu.score.unit("pool", 3), layer = "conv", raw = true })
    local function total(y)
      return y:reshape { y:dim(1), y:size() // y:dim(1) }:sum { dims = { 2 } }
    end
    for _, name in ipairs { "relu", "pool", "fc", "fr", "out" } do
      local only = { modifiers = { lu.extract(name) } }
      agree(a:run(small, only), b:run(small, only),
            { score = total, layer = "conv", raw = true })
      agree(r, q, { score = total, layer = "conv", raw = true,
                    modifiers = { lu.extract(name) } })
    end
  end)

  it("are of the run's weights, and of its channels", function()
    local a, b = twins { pool, flat, fc, out }
    local r, q = a:run(small), b:run(small)
    local other = select(2, twins({ pool, flat, fc, out }))
    other.params["fc.weight"] = swapped(a.params["fc.weight"] * -2)
    b.params["fc.weight"] = other.params["fc.weight"]
    local opts = { score = 1, layer = "conv", raw = true }
    agree(r, q, opts)
    b.params["fc.weight"] = nil
    agree(r, q, opts)
    -- one matrix in two networks: 6 channels of 64 places, 24 of 16
    local c, d = twins({ { "pool", "max_pool2d", kernel = 4 }, flat, fc, out }, 24)
    c.params["fc.weight"] = a.params["fc.weight"]
    d.params["fc.weight"] = swapped(a.params["fc.weight"])
    b.params["fc.weight"] = d.params["fc.weight"]
    for _ = 1, 2 do
      agree(a, b, small, opts)
      agree(c, d, small, opts)
    end
  end)
end)
