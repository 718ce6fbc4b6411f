-- Canonisation: batch norms folded for relevance, against a network whose weights have
-- them; through sums, concatenations and channel shuffles; what stays as it is.
local lu = require "lunette"
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"

---Everything a batch norm may stand behind; `folded`: without them.
local function layers(folded)
  local list = {}
  local function add(layer)
    if layer[2] ~= "batch_norm" or not folded then list[#list + 1] = layer end
  end
  local function conv(name, filters, from, opts)
    local layer = { name, "conv2d", filters = filters, kernel = 3, padding = 1,
                    from = from, bias = folded or (opts or {}).bias or false,
                    groups = (opts or {}).groups }
    add(layer)
  end
  local function pick(plain, without) return folded and without or plain end
  conv("c1", 4) add { "n1", "batch_norm" } add { "r1", "relu" }
  -- through a sum of two convolutions
  conv("c2", 4, "r1", { bias = true }) conv("c3", 4, "r1")
  add { "s1", "add", from = { "c2", "c3" } }
  add { "n2", "batch_norm", eps = 1e-2 } add { "r2", "relu" }
  -- a residual sum after the norm
  conv("c4", 4, "r2") add { "n4", "batch_norm" }
  add { "s2", "add", from = { pick("n4", "c4"), "r2" } } add { "r3", "relu" }
  -- through a concatenation and a channel shuffle, depthwise too
  conv("c5", 2, "r3") conv("c6", 4, "r3", { groups = 2 })
  add { "cat", "concat", from = { "c5", "c6" } }
  add { "g1", "reshape", shape = { 2, 3, 6, 6 } }
  add { "g2", "permute", dims = { 1, 3, 2, 4, 5 } }
  add { "g3", "reshape", shape = { 6, 6, 6 } }
  add { "n5", "batch_norm" } add { "r5", "relu" }
  conv("c7", 6, "r5", { groups = 6 }) add { "n7", "batch_norm" }
  add { "n8", "batch_norm" } -- two, one after the other
  add { "r7", "relu" }
  add { "pool", "global_avg_pool" } add { "flat", "flatten" }
  add { "fc1", "linear", units = 5, bias = folded } add { "n9", "batch_norm" }
  add { "r9", "relu" } add { "fc2", "linear", units = 3, bias = false }
  return { name = "net", input = { 3, 6, 6 }, layers = list }
end


local function network()
  local net = assert(lu.net(layers(false))):init(2)
  for name, p in pairs(net.params) do
    for _, layer in ipairs(net:layers()) do
      if layer.kind == "batch_norm" and name:find("^" .. layer.name .. "%.") then
        local n = #name + name:byte(2) + name:byte(-1)
        local v = core.normal(n, 1, p:shape())
        net.params[name] = name:find "var" and v:abs() + 0.5 or v * 0.5 + 0.3
      end
    end
  end
  return net
end


---The same function without batch norms: weights by hand, channel by channel.
local function merged(net)
  local other = assert(lu.net(layers(true)))
  local p = net.params
  local function st(name, eps)
    local s = p[name .. ".weight"] / (p[name .. ".running_var"] + (eps or 1e-5)):sqrt()
    return s, p[name .. ".bias"] - s * p[name .. ".running_mean"]
  end
  local function put(name, s, shift)
    local w = p[name .. ".weight"]
    local shape = { s:size() }
    for i = 2, w:dim() do shape[i] = 1 end
    other.params[name .. ".weight"] = w * s:reshape(shape)
    local b = p[name .. ".bias"]
    other.params[name .. ".bias"] = b and b * s + shift or shift + 0
  end
  put("c1", st "n1")
  local s, shift = st("n2", 1e-2)
  put("c2", s, shift)
  put("c3", s, shift * 0)
  put("c4", st "n4")
  s, shift = st "n5" -- output channel 2 k + g of the shuffle is channel 3 g + k before
  local before_s, before_t = core.zeros(6), core.zeros(6)
  for g = 0, 1 do
    for k = 0, 2 do
      before_s:set(3 * g + k + 1, s:get(2 * k + g + 1))
      before_t:set(3 * g + k + 1, shift:get(2 * k + g + 1))
    end
  end
  local function part(v, from, n)
    return v:narrow { dim = 1, start = from, length = n }
  end
  put("c5", part(before_s, 1, 2), part(before_t, 1, 2))
  put("c6", part(before_s, 3, 4), part(before_t, 3, 4))
  local s7, t7 = st "n7"
  local s8, t8 = st "n8"
  put("c7", s7 * s8, t7 * s8 + t8)
  put("fc1", st "n9")
  other.params["fc2.weight"] = p["fc2.weight"]
  return other
end


describe("canonisation", function()
  local net = network()
  local other = merged(net)
  local x = t.input(net, 2)
  local run, without = net:run(x), other:run(x)

  it("has a twin that computes the same", function()
    assert.is_true(run.output:detach():distance(without.output:detach()) < 1e-5)
  end)

  for _, name in ipairs { "epsilon_plus", "epsilon_alpha2_beta1_flat", "deep_taylor",
                          "excitation_backprop", "lrp_captum", "attn_lrp" } do
    it("gives what the folded network gives: " .. name, function()
      for _, at in ipairs { "input", "r3", "r5" } do
        local o = { scores = { 0, 2 }, at = at, composite = name }
        local got, want = lu.relevance.at(run, o), lu.relevance.at(without, o)
        -- float32; epsilon divides by sums near 0 here and there
        assert.is_true(got:distance(want) < 2e-3, at .. " " .. got:distance(want))
      end
    end)
  end

  it("counts what it folds, touches no weight, and can be left out", function()
    local before = {}
    for name, p in pairs(net.params) do before[name] = p:clone() end
    local mods = { "epsilon_plus", "canonise" }
    local changed = t.changed(run, mods)
    assert.equal(7, changed.canonise)
    lu.relevance.at(run, { score = 1 })
    for name, p in pairs(net.params) do assert.is_true(p:same(before[name]), name) end
    local plain = lu.relevance.at(run, { score = 1, canonise = false })
    local m = { "epsilon_plus" }
    assert.is_true(plain:same(run:gradient { score = 1, modifiers = m }))
    assert.is_false(plain:same(lu.relevance.at(run, { score = 1 })))
  end)

  it("gives rules in Lua the folded weights", function()
    local rule = lu.modifier { name = "mine", on = "conv2d", backward = function(n, r)
      local z = n:forward {}
      return n.input * n:backward(r / (z + (z:ge(0) * 2 - 1) * 1e-6))
    end }
    local twin = lu.modifier { name = "c", on = "conv2d", backward = "epsilon" }
    local function at(m)
      return lu.relevance.at(run, { score = 1, modifiers = { m } })
    end
    assert.is_true(at(rule):distance(at(twin)) < 1e-3)
  end)

  it("leaves a norm whose channels are several of the layer before it", function()
    -- rows become channels, or halves of two channels one
    for _, way in ipairs { { "p", "permute", dims = { 1, 3, 2, 4 } },
                           { "p", "reshape", shape = { 6, 4, 6 } } } do
      local mixed = assert(lu.net { name = "mixed", input = { 3, 6, 6 }, layers = {
        { "c", "conv2d", filters = 4, kernel = 3, padding = 1 }, way,
        { "n", "batch_norm" }, { "r", "relu" }, { "flat", "flatten" },
        { "fc", "linear", units = 3 } } }):init(1)
      for _, key in ipairs { "n.weight", "n.bias" } do
        mixed.params[key] = core.normal(3, 1, mixed.params[key]:shape())
      end
      local r = mixed:run(t.input(mixed, 1))
      assert.equal(0, t.changed(r, { "epsilon_plus", "canonise" }).canonise)
      assert.is_true(lu.relevance.at(r, { score = 1 }):same(
        lu.relevance.at(r, { score = 1, canonise = false })))
    end
  end)

  it("leaves a norm behind a sum or join that it cannot go through", function()
    local function conv(name, from)
      return { name, "conv2d", filters = 4, kernel = 3, padding = 1, from = from }
    end
    local function found(middle, shape)
      local list = { conv("a", "input"), conv("b", "input"), conv("c", "input"),
                     table.unpack(middle) }
      for _, layer in ipairs { { "n", "batch_norm" }, { "r", "relu" },
                               { "flat", "flatten" },
                               { "fc", "linear", units = 3 } } do
        list[#list + 1] = layer
      end
      local made = assert(lu.net { name = "sums", input = { 4, 6, 6 },
                                   layers = list }):init(1)
      assert.same(shape or { 4, 6, 6 }, made:layer("n").shape)
      local r = made:run(t.input(made, 1))
      local count = t.changed(r, { "epsilon_plus", "canonise" }).canonise
      assert.is_true(lu.relevance.at(r, { score = 1 }):stats().finite)
      return count
    end
    assert.equal(1, found { { "s", "add", from = { "a", "b" } } })
    assert.equal(0, found { { "s", "add", from = { "a", "b", "c" } } })
    assert.equal(0, found { { "s", "add", from = { "a", 2 } } })
    assert.equal(0, found { { "s", "add", from = { "a", "b", 2 } } })
    assert.equal(0, found { { "s", "add", from = { "a", "input" } } })
    assert.equal(1, found({ { "s", "concat", from = { "a", "b", "c" } } },
                          { 12, 6, 6 }))
    assert.equal(0, found({ { "s", "concat", from = { "a", "b" }, dim = 3 } },
                          { 4, 12, 6 }))
    assert.equal(0, found({ { "s", "concat", from = { "a", "input" } } }, { 8, 6, 6 }))
    assert.equal(0, found({ { "s", "concat",
      from = { "a", { param = "p", shape = { 1, 6, 6 } } } } }, { 5, 6, 6 }))
  end)

  it("leaves a norm whose layer others read too", function()
    local shared = assert(lu.net { name = "shared", input = { 3, 6, 6 }, layers = {
      { "c", "conv2d", filters = 4, kernel = 3, padding = 1 },
      { "n", "batch_norm" }, { "r", "relu" },
      { "s", "add", from = { "c", "r" } },
      { "pool", "max_pool2d", kernel = 2 }, { "m", "batch_norm" },
      { "flat", "flatten" }, { "fc", "linear", units = 3 } } }):init(1)
    local r = shared:run(t.input(shared, 1))
    local changed = t.changed(r, { "epsilon_plus", "canonise" })
    assert.equal(0, changed.canonise)
    assert.is_true(lu.relevance.at(r, { score = 1 }):stats().finite)
  end)
end)
