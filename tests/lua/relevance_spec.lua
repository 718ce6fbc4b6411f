-- Relevance rules: reference values of single layers and small networks, twins written
-- in Lua, conservation.
local lu = require "lunette"
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"
local golden = dofile "tests/golden/relevance.lua"
local single = dofile "tests/golden/single.lua"


-- reference values -------------------------------------------------------------------

local path = t.shared .. "/golden/rules.safetensors"
local file = t.exists(path) and assert(core.weights(path))
local stored = {}
for i, e in ipairs(file and file:list() or {}) do
  stored[e.name] = function() return assert(file:tensor(i)) end
end

describe("reference values of single layers", function()
  if not file then
    pending "needs shared/golden/rules.safetensors"
    return
  end
  local list = single.each(stored)
  for _, case in ipairs(list) do
    it(case.key, function()
      local got, want = case.got(), case.want()
      -- float32 of sums of up to 36 products, divided by stabilised sums
      local off = got:view(want:shape()):distance(want)
      assert.is_true(off < 1e-4, tostring(off))
    end)
  end
  it("are all of them", function() assert.is_true(#list >= 76, #list) end)
end)


-- twins ------------------------------------------------------------------------------

local function stab(z, e) return z + (z:ge(0) * 2 - 1) * (e or 1e-6) end
local function up(x) return x:relu() end
local function down(x) return -(-x):relu() end


---x_k times W_k^T (R / stab(sum of W_k x_k + b)), over pairs { x, w }.
local function share(node, r, pairs_, bias)
  local z
  for i, p in ipairs(pairs_) do
    local part = node:forward { input = p[1], weight = p[2], bias = i == 1 and bias }
    z = z and z + part or part
  end
  local s, total = r / stab(z), nil
  for _, p in ipairs(pairs_) do
    local part = p[1] * node:backward(s, { weight = p[2] })
    total = total and total + part or part
  end
  return total, z
end


local twins = {
  epsilon = function(n, r)
    return (share(n, r, { { n.input, n.weight } }, n.bias or false))
  end,
  z_plus = function(n, r)
    return (share(n, r, { { up(n.input), up(n.weight) },
                          { down(n.input), down(n.weight) } },
                  n.bias and up(n.bias) or false))
  end,
  w_plus = function(n, r)
    return (share(n, r, { { n.input, up(n.weight) } }, n.bias or false))
  end,
  alpha_beta = function(n, r)
    local p = share(n, r, { { up(n.input), up(n.weight) },
                            { down(n.input), down(n.weight) } },
                    n.bias and up(n.bias) or false)
    local q = share(n, r, { { up(n.input), down(n.weight) },
                            { down(n.input), up(n.weight) } },
                    n.bias and down(n.bias) or false)
    return p * 2 - q
  end,
  gamma = function(n, r)
    local z = n:forward()
    local function half(sign, f, g)
      local b = n.bias and n.bias + f(n.bias) * 0.25 or false
      local plus = n.weight + f(n.weight) * 0.25
      local minus = n.weight + g(n.weight) * 0.25
      local both = { { up(n.input), plus }, { down(n.input), minus } }
      return (share(n, r * sign, both, b))
    end
    return half(z:gt(0), up, down) + half(z:lt(0), down, up)
  end,
  w_square = function(n, r)
    local w, ones = n.weight * n.weight, n.input * 0 + 1
    local s = r / stab(n:forward { input = ones, weight = w,
                                   bias = n.bias and n.bias * n.bias or false })
    return n:backward(s, { weight = w })
  end,
  flat = function(n, r)
    local one = n.weight * 0 + 1
    local ones = n.input * 0 + 1
    local s = r / stab(n:forward { input = ones, weight = one, bias = false })
    return n:backward(s, { weight = one })
  end,
}


local function small(bias)
  return assert(lu.net { name = "small", input = { 4, 9, 8 }, layers = {
    { "conv1", "conv2d", filters = 6, kernel = 3, padding = 1, bias = bias },
    { "relu1", "relu" },
    { "depth", "conv2d", filters = 6, kernel = 3, groups = 6, bias = bias },
    { "relu2", "relu" },
    { "conv3", "conv2d", filters = 8, kernel = { 3, 2 }, stride = 2, groups = 2,
      bias = bias },
    { "relu3", "relu" },
    { "flatten", "flatten" },
    { "fc", "linear", units = 5, bias = bias },
  } }):init(3)
end


describe("every rule", function()
  for _, bias in ipairs { true, false } do
    local net = small(bias)
    if bias then
      for name, p in pairs(net.params) do
        if name:find "bias" then net.params[name] = core.normal(#name, 2, p:shape()) end
      end
    end
    local run = net:run(t.input(net, 2))
    for rule, twin in pairs(twins) do
      it(("%s is its Lua twin, %s bias, several seeds"):format(rule,
         bias and "with" or "without"), function()
        for _, layer in ipairs { "conv1", "depth", "conv3", "fc" } do
          local mine = lu.modifier { name = "twin", on = layer, backward = twin }
          local c = lu.modifier { name = "c", on = layer, backward = rule }
          for _, scores in ipairs { { 1 }, { 0, 2, 4 } } do
            local wrt = { scores = scores, wrt = layer == "conv1" and "input"
                          or net:layer(layer).from[1] }
            wrt.modifiers = { mine }
            local want = run:gradient(wrt)
            wrt.modifiers = { c }
            local got = run:gradient(wrt)
            assert.is_true(want:stats().l2 > 0)
            -- the same sums in another order, divided by sums that may be small
            assert.is_true(got:distance(want) < 2e-4,
                           layer .. " " .. got:distance(want))
          end
        end
      end)
    end
  end

  it("is refused by name where there is none", function()
    local run = small(true):run(t.input(small(true), 1))
    local m = lu.modifier { name = "m", on = "relu1", backward = "z_plus" }
    assert.matches("op 'relu' has no rule 'z_plus'; it has plain, guided",
                   t.message(run.gradient, run, { score = 1, modifiers = { m } }))
    m = lu.modifier { name = "m", on = "conv1", backward = { "z_box", low = 0 } }
    assert.matches("conv2d 'conv1': z_box: 'low' and 'high'",
                   t.message(run.gradient, run, { score = 1, modifiers = { m } }))
    assert.matches("'epsilon_gamma_box': expected epsilon_gamma_box { low = number, "
                   .. "high = number }",
                   t.message(lu.modifiers.epsilon_gamma_box, {}))
    assert.matches("'epsilon_gamma_box' is written epsilon_gamma_box%[:low=NUMBER",
                   t.message(lu.modifiers.of, "epsilon_gamma_box:low=1"))
  end)

  it("z_box has the bounds of the network's pictures where none are given", function()
    local net = assert(lu.net { name = "caffe", input = { 3, 6, 6 },
      preprocessing = { order = "bgr", mean = { 104, 117, 124 }, std = { 1, 2, 4 } },
      layers = { { "c", "conv2d", filters = 4, kernel = 3 }, { "r", "relu" },
                 { "f", "flatten" }, { "o", "linear", units = 2 } } }):init(2)
    local run = net:run(t.input(net, 2))
    local first = { on = lu.modifiers.first "conv2d", rule = {
      "z_box", low = { -104, -117 / 2, -31 }, high = { 151, 69, 131 / 4 } } }
    local want = lu.relevance.at(run, { score = 1, composite = {
      first, { on = "linear", rule = "epsilon" } } })
    for _, composite in ipairs { "epsilon_gamma_box",
        { { on = "conv2d", rule = "z_box" }, { on = "linear", rule = "epsilon" } } } do
      local got = lu.relevance.at(run, { score = 1, composite = composite })
      assert.is_true(got:same(want))
    end
  end)
end)


describe("relevance", function()
  it("is conserved where nothing leaks", function()
    local net = small(false)
    local run = net:run(t.input(net, 2))
    -- not alpha 2 beta 1: where an output has no negative part, it hands on 2 R
    local names = { "epsilon_plus", "epsilon_plus_flat", "deep_taylor", "lrp_captum" }
    for _, name in ipairs(names) do
      for _, layer in ipairs { "input", "relu1", "relu2", "relu3" } do
        local r = run:gradient { score = 2, wrt = layer, modifiers = { name } }
        for i = 1, 2 do assert.near(1, r[i]:sum():item(), 1e-3, name .. layer) end
      end
    end
  end)

  it("by epsilon alone is input times gradient without biases", function()
    local net = small(false)
    local run = net:run(t.input(net, 2))
    local g = run:gradient { score = 2 }
    local r = run:gradient { score = 2, modifiers = { "lrp_captum" } }
    for i = 1, 2 do
      assert.is_true((r[i] * run.output[i][3]):distance(run.images[i] * g[i]) < 1e-3)
    end
  end)

  it("goes through graphs: sums, joins, batch norms", function()
    local net = t.graph()
    local run = net:run(t.input(net, 2), { modifiers = { "linear" } })
    local r = run:gradient { score = 1, modifiers = { "epsilon_plus" } }
    assert.is_true(r:stats().finite and r:stats().l2 > 0)
    local changed = t.changed(run, { "epsilon_plus" })
    assert.is_true(changed.epsilon_plus >= 10)
  end)
end)


describe("lu.lrp", function()
  local net = assert(lu.net { name = "small", input = { 4, 9, 8 }, layers = {
    { "conv1", "conv2d", filters = 6, kernel = 3, padding = 1, bias = false },
    { "relu1", "relu" }, { "flatten", "flatten" },
    { "fc", "linear", units = 5, bias = false }, { "softmax", "softmax" } } }):init(3)
  local run = net:run(t.input(net, 2))

  it("hands back 1, or the logit, through the composite", function()
    local r = lu.lrp(run, { score = 2, composite = "epsilon_plus" })
    local mods = { "linear", "epsilon_plus" }
    assert.is_true(t.same(r, (run:gradient { score = 2, modifiers = mods })))
    assert.near(1, r.story.relevance_kept, 1e-3)
    assert.equal("epsilon_plus", r.story.composite)
    local logits = net:run(run.images, { modifiers = { "linear" } }).output
    local l = lu.lrp(run, { score = 2, from = "logit" })
    for i = 1, 2 do assert.is_true(l[i]:distance(r[i] * logits[i][3]) < 1e-6) end
    local own = lu.modifier { name = "own", { on = "weighted", "epsilon" } }
    assert.is_true(lu.lrp(run, { score = 2, composite = own }):stats().l2 > 0)
    assert.matches("'nonsense' not found",
                   t.message(lu.lrp, run, { composite = "nonsense" }))
    -- one's own modifiers override the composite
    local zero = lu.modifier { name = "zero", on = "fc",
      backward = function(n, dy) return n:backward(dy) * 0 end }
    t.warnings(function()
      assert.equal(0, lu.lrp(run, { score = 2, modifiers = { zero } }):stats().l2)
    end)
  end)

  it("says where relevance goes, and warns where it is lost", function()
    local flow = lu.relevance.flow(run, { score = 2 })
    assert.equal("fc", flow[1].layer)
    assert.equal("conv1", flow[#flow].layer)
    for _, row in ipairs(flow) do
      assert.near(2, row.relevance, 2e-3, row.layer)
      assert.near(2, row.handed_on, 2e-3, row.layer)
    end
    assert.matches("conv1 .* conv2d", tostring(flow))
    local half = lu.modifier { name = "half", on = "flatten",
      backward = function(n, dy) return n:backward(dy) * 0.5 end }
    local leaky = lu.relevance.flow(run, { score = 2, modifiers = { half } })
    local layer, lost = leaky:leak()
    assert.equal("flatten", layer)
    assert.near(0.5, lost, 1e-3)
    assert.equal(560, lu.relevance.bars(leaky):dim(3))
    local said = t.warnings(function()
      lu.lrp(run, { score = 2, modifiers = { half } })
    end)
    assert.matches("most is lost at 'flatten' %(50 %%: ", table.concat(said, "\n"))
    assert.same({}, t.warnings(function() lu.lrp(run, { score = 2 }) end))
    -- 3 % at each of two layers is 6 % in all
    local little = lu.modifier { name = "little", on = { "flatten", "relu1" },
      backward = function(n, dy) return n:backward(dy) * 0.97 end }
    said = t.warnings(function()
      lu.lrp(run, { score = 2, modifiers = { little } })
    end)
    assert.matches("most is lost at '%w+' %(%d+ %%: ", table.concat(said, "\n"))
  end)
end)


-- small networks ----------------------------------------------------------------------

local function plain_net()
  return { name = "net", input = { 3, 12, 12 }, layers = {
    { "conv1", "conv2d", filters = 6, kernel = 3, padding = 1 }, { "relu1", "relu" },
    { "pool1", "max_pool2d", kernel = 2 },
    { "conv2", "conv2d", filters = 8, kernel = 3 }, { "relu2", "relu" },
    { "pool2", "avg_pool2d", kernel = 2 }, { "flatten", "flatten" },
    { "fc1", "linear", units = 12 }, { "relu3", "relu" },
    { "fc2", "linear", units = 5 }, { "softmax", "softmax" } } }
end


---The residual network, with batch norms or with these folded into its weights.
local function residual_net(merged)
  local layers = {}
  local function add(layer) layers[#layers + 1] = layer end
  local function conv(i, from, opts)
    local layer = { "conv" .. i, "conv2d", filters = opts.filters, kernel = 3,
                    padding = opts.padding or 1,
                    stride = opts.stride, bias = merged or opts.bias, from = from }
    add(layer)
    if not merged then add { "bn" .. i, "batch_norm", eps = opts.eps or 1e-5 } end
  end
  local function width(i)
    return stored[("bnnet/weights/conv%d.weight"):format(i)]():dim(1)
  end
  conv(1, nil, { filters = width(1), bias = true })
  add { "relu1", "relu" }
  conv(2, nil, { filters = width(2), bias = false })
  add { "sum", "add", from = { merged and "conv2" or "bn2", "relu1" } }
  add { "relu2", "relu" }
  conv(3, nil, { filters = width(3), stride = 2, padding = 0, bias = true, eps = 1e-3 })
  add { "relu3", "relu" }
  add { "mean", "global_avg_pool" }
  add { "flatten", "flatten" }
  add { "fc", "linear", units = 4 }
  add { "softmax", "softmax" }
  local shape = stored["bnnet/input"]():shape()
  return { name = "bnnet", input = { shape[2], shape[3], shape[4] }, layers = layers }
end


---Computes a key by the row of the golden file that is its.
local rows = {}
golden(function(pattern, fn) table.insert(rows, 1, { pattern, fn }) end)

local function compute(case, key)
  for _, row in ipairs(rows) do
    local captures = table.pack(key:match(row[1]))
    if captures[1] then
      local n = row[1]:find "%(" and captures.n or 0
      return row[2](case, table.unpack(captures, 1, n))
    end
  end
  return nil
end


---canonise: the batch norms are not in the weights, but folded for the walk.
local function check_net(prefix, arch, class, suffix, canonise)
  local net = assert(lu.net(arch))
  for name in pairs(net.params) do net.params[name] = nil end
  for _, layer in ipairs(net:layers()) do
    for _, q in ipairs(layer.params) do
      local merged = stored[("%s/merged/%s"):format(prefix, q.name)]
      net.params[q.name] = (suffix == "_merged" and not canonise and merged
                            or stored[("%s/weights/%s"):format(prefix, q.name)])()
    end
  end
  local x = stored[prefix .. "/input"]()
  local case = { net = net, input = x, class = class, canonise = canonise,
                 run = net:run(x, { modifiers = { "linear" } }) }
  function case.stored() return lu.tensor { -1, 1 } end
  local logits = stored[prefix .. "/logits"]()
  assert.is_true(case.run.output:detach():distance(logits) < 1e-5)
  local count = 0
  for key, get in pairs(stored) do
    local name = key:match(("^%s/%d/(.*)%s$"):format(prefix, class, suffix)) or ""
    if name:find "^lrp" or name:find "^deep_taylor" or name:find "excitation" then
      local got = compute(case, name)
      assert.truthy(got, key)
      local off = got:distance(get())
      assert.is_true(off < 1e-3, ("%s: %g"):format(key, off))
      count = count + 1
    end
  end
  return count
end


describe("reference values of networks", function()
  if not file then
    pending "needs shared/golden/rules.safetensors"
    return
  end

  it("a chain: composites, deep Taylor, captum, TorchRay", function()
    assert.is_true(check_net("net", plain_net(), 2, "") >= 20)
  end)

  it("a residual network, batch norms passed through", function()
    assert.is_true(check_net("bnnet", residual_net(false), 1, "_unmerged") >= 15)
  end)

  it("a residual network, batch norms folded", function()
    assert.is_true(check_net("bnnet", residual_net(true), 1, "_merged") >= 15)
    local canonise = lu.modifiers.canonise
    local count = check_net("bnnet", residual_net(false), 1, "_merged", canonise)
    assert.is_true(count >= 15)
  end)
end)
