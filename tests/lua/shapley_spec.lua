-- Shapley values and their estimates, against sums over all coalitions and closed
-- forms.
local lu = require "lunette"
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"

local net = t.net()
local x = t.input(net, 2)
local run = t.linear_run(net)


describe("Shapley values and what estimates them", function()
  local labels = lu.tensor { { 1, 1, 2 }, { 4, 4, 4 }, { 7, 7, 9 } }:view(1, 1, 3, 3)
    :resize(12, 12, { mode = "nearest" }):view(12, 12)
  local o = { score = 1, segments = labels, modifiers = { "linear" } }

  local function with(more)
    local opts = {}
    for _, t_ in ipairs { o, more } do
      for key, value in pairs(t_) do opts[key] = value end
    end
    return opts
  end

  local function sum(list)
    local total = 0
    for _, v in ipairs(list) do total = total + v end
    return total
  end

  it("share out the score's difference, exactly and by orders", function()
    local ends = t.score_of(net, x, 1) - t.score_of(net, x * 0, 1)
    for _, more in ipairs { {}, { exact = 0, samples = 3 } } do
      local story = lu.shapley(run, with(more)).story
      for i = 1, 2 do
        assert.near(ends[i][1], sum(story.values[i]), 1e-4)
        assert.equal(5, #story.values[i])
      end
      assert.equal(more.exact == nil, story.exactly == true)
    end
  end)

  it("give nothing to a segment that is the baseline already", function()
    local y = x:clone()
    for i = 1, 2 do
      for c = 1, 3 do y[i][c] = y[i][c] * labels:ne(4) end
    end
    local values = lu.shapley(net, y, o).story.values
    assert.near(0, values[1][3], 1e-6)
    assert.near(0, lu.feature_ablation(net, y, o).story.values[2][3], 1e-6)
  end)

  it("give two segments the same that the score cannot tell apart", function()
    -- the score sees the sum of the two upper quarters, and they are alike
    local even = assert(lu.net { name = "even", input = { 1, 4, 4 }, layers = {
      { "f", "flatten" }, { "fc", "linear", units = 3 }, { "t", "tanh" },
      { "out", "linear", units = 2 } } }):init(6)
    local w = even.params["fc.weight"]:view(3, 4, 4)
    local y = core.normal(4, 0, 1, 1, 4, 4)
    for row = 1, 2 do
      for c = 1, 2 do
        for u = 1, 3 do w:set(u, row, c + 2, w:get(u, row, c)) end
        y:set(1, 1, row, c + 2, y:get(1, 1, row, c))
      end
    end
    local values = lu.shapley(even, y, { segments = 2, score = 1 }).story.values[1]
    assert.near(values[1], values[2], 1e-6)
    assert.is_true(math.abs(values[1] - values[3]) > 1e-3)
    local parts = lu.partition_shap(even, y, { segments = 2, score = 1,
                                               baseline = "zero" })
    assert.near(parts:get(1, 1, 1), parts:get(1, 1, 3), 1e-6)
  end)

  it("are what KernelSHAP finds in all coalitions, weighed rightly", function()
    -- every coalition as often as Shapley's kernel weighs its size, 5 segments
    local rows, m = {}, 5
    for c = 0, (1 << m) - 1 do
      local row, size = {}, 0
      for k = 0, m - 1 do
        row[k + 1] = c >> k & 1
        size = size + row[k + 1]
      end
      -- (m-1) / (binomial(m, size) size (m-size)), times 60
      local times = ({ [0] = 1, 12, 4, 4, 12, 1 })[size]
      for _ = 1, times do rows[#rows + 1] = row end
    end
    local fitted = lu.kernel_shap(run, with { coalitions = lu.tensor(rows) }).story
    local exact = lu.shapley(run, o).story
    for k = 1, m do assert.near(exact.values[2][k], fitted.values[2][k], 1e-3) end
  end)

  it("LIME of a score that is linear in the segments finds its coefficients", function()
    local flat = t.linear_net()
    local input = t.input(flat, 1)
    local grid = { segments = 2, score = 0, samples = 40, fit = "linear" }
    local story = lu.lime(flat, input, grid).story
    local falls = lu.feature_ablation(flat, input, { segments = 2, score = 0 }).story
    for k = 1, 4 do assert.near(falls.values[1][k], story.values[1][k], 1e-3) end
  end)

  it("have the same bits for any batch, and change with the seed", function()
    for _, method in ipairs { lu.shapley, lu.kernel_shap, lu.lime } do
      local more = { samples = 9, exact = method == lu.shapley and 0 or nil }
      local a = method(run, with(more))
      more.batch = 3
      assert.is_true(t.same(a, method(run, with(more))))
      more.seed = 5
      assert.is_false(t.same(a, method(run, with(more))))
    end
  end)
end)
