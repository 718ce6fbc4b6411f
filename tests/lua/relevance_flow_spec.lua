-- Where relevance goes: conservation on random graphs, transformers, many classes at
-- once, what is handed back, channels of a layer, refused layers.
local lu = require "lunette"
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"


---A random graph: convolutions (grouped, depthwise), poolings, residual sums of two and
---three, concatenations, squeeze and excite, by the bits of `seed`.
local function random_graph(seed, bias)
  local list, name, size, channels, state = {}, "input", 12, 4, seed
  local function draw(n)
    state = (state * 1103515245 + 12345) % 2147483648
    return state // 65536 % n + 1
  end
  local function add(layer)
    name = ("l%d"):format(#list + 1)
    list[#list + 1] = { name, table.unpack(layer) }
    for key, v in pairs(layer) do
      if type(key) == "string" then list[#list][key] = v end
    end
    return name
  end
  local function conv(from, groups)
    local c = add { "conv2d", filters = channels, kernel = 3, padding = 1, from = from,
                    bias = bias, groups = groups }
    return add { "relu", from = c }
  end
  add { "conv2d", filters = channels, kernel = 3, padding = 1, bias = bias }
  local blocks = {
    function() conv(name, ({ 1, 2, channels })[draw(3)]) end,
    function()
      if size > 3 then
        size = size // 2
        add { draw(2) == 1 and "max_pool2d" or "avg_pool2d", kernel = 2 }
      end
    end,
    function() local x = name add { "add", from = { conv(x), x } } end,
    function() local x = name add { "add", from = { conv(x), conv(x, 2), x } } end,
    function()
      local x = name
      add { "concat", from = { conv(x), conv(x) } }
      add { "conv2d", filters = channels, kernel = 1, bias = bias }
    end,
    function()
      local x = name
      add { "global_avg_pool" } add { "flatten" }
      add { "linear", units = channels } add { "sigmoid" }
      local gate = add { "reshape", shape = { channels, 1, 1 } }
      add { "mul", from = { x, gate } }
    end,
  }
  for _ = 1, 6 do
    blocks[draw(#blocks)]()
    add { "relu" }
  end
  add { "flatten" } add { "linear", units = 3, bias = bias }
  local net = assert(lu.net { name = "random", input = { 4, 12, 12 }, layers = list })
  net:init(seed)
  for key, p in pairs(net.params) do
    if key:find "bias" then
      net.params[key] = core.normal(seed, #key, p:shape()) * 0.2
    end
  end
  return net
end


---Largest relevance on the way: what sums may miss is a share of it.
local function scale(flow)
  local most = math.abs(flow.start)
  for _, row in ipairs(flow) do
    for _, edge in ipairs(row.to) do most = math.max(most, math.abs(edge[2])) end
  end
  return most
end


describe("relevance on random graphs", function()
  for seed = 1, 12 do
    it("is conserved without biases: " .. seed, function()
      local net = random_graph(seed, false)
      local run = net:run(t.input(net, 2))
      for _, name in ipairs { "epsilon_plus", "lrp_captum", "deep_taylor" } do
        local flow = lu.relevance.flow(run, { score = 1, composite = name })
        local start = flow.start
        flow.start = 0 -- of nothing no share is told
        assert.is_nil(tostring(flow):find "[nN]an", tostring(flow))
        assert.is_nil(tostring(flow):find("%", 1, true))
        flow.start = start
        -- the stabiliser: 1e-6 beside sums of about 1
        assert.near(flow.start, flow.reached, 2e-3 * scale(flow), name)
        for _, row in ipairs(flow) do
          assert.near(row.relevance, row.handed_on, 2e-3 * scale(flow), row.layer)
        end
      end
    end)

    it("loses to biases what the table says: " .. seed, function()
      local net = random_graph(seed, true)
      local run = net:run(t.input(net, 2))
      for _, name in ipairs { "epsilon_plus", "lrp_captum" } do
        local flow = lu.relevance.flow(run, { score = 1, composite = name })
        local biases = 0
        for _, row in ipairs(flow) do
          biases = biases + row.bias
          assert.near(row.relevance, row.handed_on + row.bias, 2e-3 * scale(flow),
                      row.layer)
        end
        assert.near(flow.start - flow.reached, biases, 4e-3 * scale(flow))
      end
    end)
  end

  -- R_j = a_j g_j at every unit: so for biases too, as long as epsilon is as good as 0
  it("of LRP-0 is input times gradient on relu networks", function()
    for seed = 1, 12 do
      local net = random_graph(seed // 2, seed % 2 == 0)
      local gated = false
      for _, layer in ipairs(net:layers()) do gated = gated or layer.kind == "mul" end
      if not gated then
        local run = net:run(t.input(net, 2))
        local zero = { { on = "weighted", rule = { "epsilon", epsilon = 1e-12 } },
                       { on = { "add", "avg_pool2d" },
                         rule = { "norm", epsilon = 1e-12 } } }
        local r = lu.relevance.at(run, { score = 1, composite = zero, from = "logit" })
        local want = run.images * run:gradient { score = 1 }
        assert.is_true(r:distance(want) < 1e-3, seed .. ": " .. r:distance(want))
      end
    end
  end)
end)


describe("what is handed back", function()
  local net = random_graph(4, true)
  local run = net:run(t.input(net, 2))

  it("may be one class, its value, all outputs, a contrast", function()
    local function at(score, from)
      return lu.relevance.at(run, { score = score, from = from })
    end
    local one, out = {}, run.output:detach()
    for k = 1, 3 do one[k] = at(k - 1, "one_hot") end
    local function sum(weights)
      local all = one[1] * 0
      for k = 1, 3 do
        for n = 1, 2 do
          all[n] = all[n] + one[k][n] * weights(k, n)
        end
      end
      return all
    end
    local function close(a, b) assert.is_true(a:distance(b) < 1e-4, a:distance(b)) end
    close(at(1, "logit"), sum(function(k, n) return k == 2 and out:get(n, k) or 0 end))
    close(at(1, "output"), sum(function(k, n) return out:get(n, k) end))
    close(at(1, "contrast"), sum(function(k) return k == 2 and 1 or -0.5 end))
    close(at(lu.score.contrast(0, 2)), one[1] - one[3])
    local many = lu.relevance.at(run, { scores = { 0, 1, 2 }, from = "logit" })
    for k = 1, 3 do close(many:rows(2 * k - 1, 2 * k), at(k - 1, "logit")) end
  end)

  it("leave biases out of a rule's sums by zero_params, as bias = 0 does", function()
    local biased = t.net(5)
    for name, p in pairs(biased.params) do
      if name:find "bias$" then biased.params[name] = p * 0 + 0.3 end
    end
    local of = t.linear_run(biased)
    local function by(rule)
      return lu.lrp(of, { score = 1, composite = { { on = "weighted", rule = rule } } })
    end
    local without = by { "epsilon", bias = 0 }
    assert.is_true(by { "epsilon", zero_params = "bias" }:same(without))
    assert.is_true(by { "epsilon" }:distance(without) > 1e-2)
  end)

  it("may have rules as a list, with zero_params", function()
    local list = { { on = "weighted", rule = { "z_plus", zero_params = "bias" } } }
    local a = lu.lrp(run, { score = 1, composite = list })
    local b = lu.lrp(run, { score = 1, composite = "deep_taylor" })
    assert.is_true(a:distance(b) < 1e-5)
    list[1].rule.zero_params = "weight"
    assert.matches("zero_params is \"bias\", got weight",
                   t.message(lu.relevance.at, run, { composite = list }))
  end)

  it("meets layers without a rule, which are named with those they may have", function()
    local odd = assert(lu.net { name = "odd", input = { 3, 4, 4 }, layers = {
      { "c", "conv2d", filters = 2, kernel = 3 }, { "g", "gelu" },
      { "a", "atan2", from = { "g", "c" } }, { "n", "lrn" }, { "f", "flatten" },
      { "o", "linear", units = 2 } } }):init(1)
    local r = odd:run(t.input(odd, 1))
    assert.matches("layer 'a' %(atan2%): composite 'epsilon_plus' has no rule for it; "
                   .. "none is known", t.message(lu.relevance.at, r, {}))
    local own = lu.modifier { name = "own", relevance = true,
                              { on = "weighted", rule = "epsilon" } }
    assert.matches("layer 'n' %(lrn%): composite 'own' has no rule for it; it may have "
                   .. "identity", t.message(lu.relevance.at, r, { composite = own }))
    assert.truthy(lu.relevance.at(r, { at = "n" })) -- not on the way
  end)
end)


describe("channels of a layer", function()
  local net = random_graph(4, false)
  local run = net:run(t.input(net, 3))
  local layer
  for _, l in ipairs(net:layers()) do
    local late = l.kind == "relu" and #l.shape == 3 and l.index > 6
    layer = layer or late and l.name
  end

  it("sum to what the layer hands back", function()
    local r = lu.concepts.channels(run, { layer = layer, score = 1 })
    local at = lu.relevance.at(run, { at = layer, score = 1 })
    local each = at:sum { dims = { 2, 3, 4 } }
    assert.is_true(r:sum { dims = { 2 } }:distance(each) < 1e-5)
    local all = {}
    for k = 1, r:dim(2) do all[k] = k end
    local maps = lu.concepts.maps(run, { layer = layer, score = 1, channels = all })
    local total = maps:rows(1, 3)
    for k = 2, #all do total = total + maps:rows(3 * k - 2, 3 * k) end
    -- all of the relevance of a layer that everything passes goes to the picture
    local whole = lu.relevance.at(run, { score = lu.score.new("R", function(output)
      local n = output:dim(1)
      return (output * at):reshape { n, output:size() // n }:sum { dims = { 2 } }
    end, layer) })
    assert.is_true(total:distance(whole) < 1e-4)
  end)

  it("are ranked, with the pictures that show them", function()
    local found = lu.concepts.top(run, { layer = layer, score = 1, picture = 2,
                                         count = 2, pictures = 2 })
    local r = lu.concepts.channels(run, { layer = layer, score = 1 })
    assert.equal(2, #found)
    assert.is_true(found[1].relevance >= found[2].relevance)
    assert.near(r[2]:max():item(), found[1].relevance, 1e-5)
    for _, concept in ipairs(found) do
      local best = concept.pictures[1]
      for n = 1, 3 do
        assert.is_true(best.relevance >= r:get(n, concept.channel) - 1e-6)
      end
      local map = lu.concepts.maps(run, { layer = layer, score = 1,
                                          channels = { concept.channel } })
      assert.is_true(best.map:distance(map:rows(best.picture)) < 1e-5)
    end
    local one = run.images:rows(2)
    local alike = net:run(core.ops.concat(one, one, one, one, { dim = 1 }))
    local same = lu.concepts.top(alike, { layer = layer, score = 1, count = 1,
                                          pictures = 3 })[1].pictures
    assert.same({ 1, 2, 3 }, { same[1].picture, same[2].picture, same[3].picture })
    assert.matches("has channels 1 .. 4, not 9", t.message(lu.concepts.maps, run,
                   { layer = layer, channels = { 9 } }))
    assert.matches("not found", t.message(lu.concepts.top, run, { layer = "nothing" }))
  end)

  it("speak for the score, or are left out, and pictures with them", function()
    local two = assert(lu.net { input = { 3, 2, 2 }, layers = {
      { "c", "conv2d", filters = 2, kernel = 1, bias = false }, { "r", "relu" },
      { "gap", "global_avg_pool" }, { "f", "flatten" },
      { "out", "linear", units = 2 } } }):init(1)
    local p = two.params
    p["c.weight"] = lu.tensor { 1, 0, 0, 0, 1, 0 }:view(2, 3, 1, 1)
    -- class 0: 3 a - b; class 1: 9 - a - b, whose bias outweighs both channels
    p["out.weight"] = lu.tensor { { 3, -1 }, { -1, -1 } }
    p["out.bias"] = lu.tensor { 0, 9 }
    local x = lu.zeros(2, 3, 2, 2)
    x[1] = lu.tensor { 2, 1, 0 }:view(3, 1, 1):expand { shape = { 3, 2, 2 } }
    x[2][2] = 1 -- the second picture has the second channel alone
    local of = two:run(x)
    local o = { layer = "r", score = 0, count = 2, pictures = 2 }
    local found = lu.concepts.top(of, o) -- 6/5 and -1/5
    assert.equal(1, #found)
    assert.equal(1, found[1].channel)
    assert.near(1.2, found[1].relevance, 1e-4)
    assert.near(6 / 7, found[1].share, 1e-4)
    assert.equal(1, #found[1].pictures) -- of the other there is nothing to see
    o.score = 1
    local said, none = t.warnings(lu.concepts.top, of, o) -- -2/6 and -1/6
    assert.equal(0, #none)
    assert.matches("channels of 'r' have a relevance of %-0.5 in all for the score of "
                   .. "picture 1: little or nothing there speaks for it", said[1])
    local canvas = lu.concepts.draw(of, found, lu.canvas { columns = 2 })
    assert.equal(2, #canvas.rows)
  end)
end)


describe("excitation backprop", function()
  ---conv, relu, global average, dense; with a sum and a batch norm on the way.
  local function averaging()
    local net = assert(lu.net { input = { 2, 4, 5 }, layers = {
      { "c", "conv2d", filters = 3, kernel = 3 }, { "r", "relu" },
      { "d", "conv2d", filters = 3, kernel = 3, padding = 1 },
      { "bn", "batch_norm" }, { "s", "add", from = { "r", "bn" } }, { "t", "relu" },
      { "gap", "global_avg_pool" }, { "f", "flatten" }, { "out", "linear", units = 2 },
    } }):init(4)
    return net, net:run(t.input(net, 1))
  end

  it("shares an average by what it adds up, as a closed form says", function()
    local _, run = averaging()
    local a, mean = run.t[1], run.f[1]
    local w = run.net.params["out.weight"]
    local sum, want = 0, lu.zeros(a:dim(2), a:dim(3))
    for c = 1, 3 do sum = sum + math.max(w:get(2, c), 0) * mean:get(c) end
    for c = 1, 3 do
      local share = math.max(w:get(2, c), 0) * mean:get(c) / sum
      local all = a[c]:sum():item()
      if all > 0 then want = want + a[c] * (share / all) end
    end
    local map = lu.excitation_backprop(run, { score = 1, layer = "t" })
    assert.is_true(map:max():item() > map:min():item())
    assert.is_true(map[1]:distance(want) < 1e-5)
  end)

  it("loses nothing in sums, batch norms and averages", function()
    local _, run = averaging()
    for _, layer in ipairs { "t", "s" } do
      local map = lu.excitation_backprop(run, { score = 0, layer = layer })
      assert.near(1, map:sum():item(), 1e-5)
    end
  end)

  it("with contrast before a classifier of places says that nothing is left", function()
    local net = assert(lu.net { input = { 2, 8, 8 }, layers = {
      { "c", "conv2d", filters = 4, kernel = 3 }, { "r", "relu" },
      { "pool", "max_pool2d", kernel = 2 },
      { "places", "conv2d", filters = 3, kernel = 1 }, { "p", "relu" },
      { "gap", "global_avg_pool" }, { "f", "flatten" },
    } }):init(2)
    local run = net:run(t.input(net, 1))
    local o = { score = 1, layer = "pool", contrast = true }
    local list, map = t.warnings(lu.excitation_backprop, run, o)
    assert.equal(0, map:max():item())
    assert.matches("pro and contra cancel at every place", list[1])
    assert.matches("reads layers before the classifier 'places', and 'p' is not, e.g. "
      .. 'layer = "r"', t.message(lu.excitation_backprop, run, { score = 1,
                                                                contrast = true }))
  end)

  it("with contrast: pro less contra, cut at 0", function()
    local net = random_graph(3, true)
    local run = net:run(t.input(net, 2))
    local layer = net:last_map().name
    local o = { score = 1, layer = layer }
    local plain = lu.excitation_backprop(run, o)
    for n = 1, 2 do -- shares of positive weights: nothing is lost to biases
      assert.near(1, plain[n]:sum():item(), 1e-3)
    end
    o.contrast = true
    local map = lu.excitation_backprop(run, o)
    assert.is_true(map:min():item() >= 0 and map:max():item() > 0)
    o.score = 0
    assert.is_false(map:same(lu.excitation_backprop(run, o)))
  end)
end)


-- transformers ---------------------------------------------------------------------

local vit = t.shared .. "/models/onnx/vit_op17.onnx"


---The modified gradient whose product with the values is AttnLRP as epsilon goes to 0:
---half of every product of two computed matrices, gates and deviations held fixed.
local function of_gradient(fixed_attention)
  local ops = core.ops
  local function two(kind)
    return function(layer) return layer.kind == kind and #layer.from == 2 end
  end
  local function zeros(x) return x:detach() * 0 end
  return lu.modifier { name = "twin",
    { on = two "mul", rule = function(n, dy)
      return { dy * n.inputs[2], zeros(n.inputs[2]) }
    end },
    { on = two "div", rule = function(n, dy)
      return { dy / n.inputs[2], zeros(n.inputs[2]) }
    end },
    { on = two "matmul", rule = function(n, dy)
      local a, b = n.inputs[1], n.inputs[2]
      local values = fixed_attention and n.name:find "MatMul_1"
      return { ops.matmul(dy, b, { transpose_b = 1 }) * (values and 0 or 0.5),
               ops.matmul(a, dy, { transpose_a = 1 }) * (values and 1 or 0.5) }
    end },
    -- y = weight (x - mean) / deviation + bias, where the deviation is a number
    { on = "layer_norm", rule = function(n, dy)
      local last = { dims = { n.input:dim() }, keepdims = true }
      local off = n.input - n.input:mean(last)
      local deviation = (off:square():mean(last) + n.attrs.eps):sqrt()
      local k = dy:dim(1) // n.input:dim(1)
      local all = {}
      for i = 1, k do all[i] = deviation end
      local g = dy * n.weight / lu.concat(all, 1)
      return g - g:mean(last)
    end },
    -- a gate: y = x (y / x)
    { on = "gelu", rule = function(n, dy)
      local gate, all = n.output / n.input, {}
      for i = 1, dy:dim(1) // n.input:dim(1) do all[i] = gate end
      return dy * lu.concat(all, 1)
    end } }
end


describe("transformers", function()
  if not t.exists(vit) then
    pending "needs shared/models/onnx"
    return
  end
  local net = assert(lu.load(vit))
  local run = net:run(t.input(net, 2))

  for _, name in ipairs { "attn_lrp", "cp_lrp" } do
    it(name .. " is the modified gradient times the values", function()
      local twin = of_gradient(name == "cp_lrp")
      local places = { "input", "Add", "/blocks/blocks.1/Add_1", "blocks.2.norm1" }
      for _, at in ipairs(places) do
        local got = lu.relevance.at(run, { scores = { 1, 4 }, at = at, composite = name,
                                           from = "logit", exact = true })
        local g = run:gradient { scores = { 1, 4 }, wrt = at, exact = true,
                                 modifiers = { twin } }
        local x = at == "input" and run.images or run:preactivation(at):detach()
        local want = core.ops.concat(x, x, { dim = 1 }) * g
        -- a stabiliser of 1e-6 in every sum, some near 0
        assert.is_true(got:distance(want) < 1e-2, at .. " " .. got:distance(want))
      end
    end)
  end

  it("lose relevance to biases, constants and softmax alone", function()
    for _, name in ipairs { "attn_lrp", "cp_lrp" } do
      local flow = lu.relevance.flow(run, { score = 1, composite = name })
      for _, row in ipairs(flow) do
        local off = math.abs(row.relevance - row.handed_on - row.bias)
        local layer = net:layer(row.layer)
        if not layer.operands and layer.kind ~= "softmax" then
          assert.is_true(off < 2e-3 * scale(flow), row.layer .. " " .. off)
        end
        if name == "cp_lrp" and layer.kind == "softmax" then
          assert.near(0, row.relevance, 1e-6)
        end
      end
    end
  end)

  it("take gamma, and refuse no layer of any network of the zoo", function()
    local r = lu.relevance.at(run, { score = 1,
      composite = lu.modifiers.attn_lrp { gamma = 0.25 } })
    assert.is_true(r:stats().finite and r:stats().l2 > 0)
    for _, file in ipairs { "mobilenet_v3_op17", "shufflenet_op13", "convnext_op17" } do
      local other = assert(lu.load(t.shared .. "/models/onnx/" .. file .. ".onnx"))
      local x = other:run(t.input(other, 1))
      assert.is_true(lu.relevance.at(x, {}):stats().finite, file)
    end
  end)
end)


describe("the rule of docs/modifiers.md", function()
  local text = assert(io.open("docs/modifiers.md")):read "a"
  local code = assert(text:match "\n(plus = lu%.modifier {.-\n  end })\n")
  local env = { lu = lu }
  assert(load(code, "docs/modifiers.md", "t", env))()
  local first = lu.modifiers.first "weighted"

  for _, name in ipairs { "vgg16", "resnet18" } do
    it("runs on " .. name, function()
      assert.is_true(select(2, code:gsub("\n", "")) < 10)
      local arch = lu.models[name] { classes = 10, side = 64, width = 0.25,
                                     fc = name == "vgg16" and 64 or nil }
      local net = assert(lu.net(arch)):init(1)
      local run = net:run(t.input(net, 1))
      local list = { { on = first, rule = { "w_square", zero_params = "bias" } },
                     { on = "weighted", rule = env.plus } }
      local r = lu.relevance.at(run, { score = 3, composite = list })
      -- shares of what is positive: all of it arrives
      assert.near(1, r:sum():item(), 1e-2)
    end)
  end
end)
