-- Coalitions of segments: the rectangles that they hide, and the weighted least squares
-- that LIME and KernelSHAP fit: normal equations, ties, what the rows do not decide.
local core = require "lunette.core"
local fit = require "lunette.explain.least_squares"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"


---m rows of n numbers, values and weights from a seed.
local function problem(seed, m, n)
  local x = core.normal(seed, 0, m, n)
  local rows, y, w = {}, core.normal(seed, 1, m):totable(), {}
  for r = 1, m do
    rows[r], w[r] = x[r]:totable(), 0.5 + core.uniform(seed, 2 + r, 1)[1]
  end
  return rows, y, w
end


---sum over rows of w x[c] (y - fit), 0 at the minimum; c = 0: of the intercept.
local function slope(rows, y, w, b, b0, c)
  local sum = 0
  for r, row in ipairs(rows) do
    local left = y[r] - b0
    for k, v in ipairs(row) do left = left - b[k] * v end
    sum = sum + w[r] * left * (c == 0 and 1 or row[c])
  end
  return sum
end


describe("least squares", function()
  it("leaves nothing along any feature", function()
    for seed = 1, 5 do
      local rows, y, w = problem(seed, 12 + seed, seed + 1)
      local b, b0 = fit(rows, y, w)
      -- doubles, sums of some twenty products of size 1
      for c = 0, #b do
        assert.is_true(math.abs(slope(rows, y, w, b, b0, c)) < 1e-12)
      end
    end
  end)

  it("with a ridge leaves the ridge times the coefficient", function()
    local rows, y, w = problem(7, 15, 4)
    local b, b0 = fit(rows, y, w, { ridge = 2.5 })
    for c = 1, 4 do
      assert.is_true(math.abs(slope(rows, y, w, b, b0, c) - 2.5 * b[c]) < 1e-12)
    end
    assert.is_true(math.abs(slope(rows, y, w, b, b0, 0)) < 1e-12)
  end)

  it("goes through all values where there are fewer rows than features", function()
    local rows, y, w = problem(3, 4, 9)
    local b, b0 = fit(rows, y, w)
    for r, row in ipairs(rows) do
      local value = b0
      for c, v in ipairs(row) do value = value + b[c] * v end
      assert.is_true(math.abs(value - y[r]) < 1e-12)
    end
  end)

  it("gives equal features equal shares, and a constant one none", function()
    local rows, y, w = problem(4, 10, 3)
    for _, row in ipairs(rows) do row[4], row[5] = row[1], 1 end
    local b = fit(rows, y, w)
    assert.is_true(math.abs(b[1] - b[4]) < 1e-12)
    assert.is_true(math.abs(b[5]) < 1e-12)
    local alone = {}
    for r, row in ipairs(rows) do alone[r] = { row[1], row[2], row[3] } end
    assert.is_true(math.abs(fit(alone, y, w)[1] - b[1] - b[4]) < 1e-12)
  end)

  it("refuses what is no matrix of numbers", function()
    for _, bad in ipairs { { {}, {} }, { { { 1 } }, { 1, 2 } },
                           { { { 0 / 0 } }, { 1 } },
                           { { { 1 }, { 1, 2 } }, { 1, 2 } }, { { { "a" } }, { 1 } },
                           { { 1 }, { 1 } } } do
      assert.is_false(pcall(core.least_squares, bad[1], bad[2]))
    end
    assert.truthy(t.message(core.least_squares, { { 1, math.huge } }, { 1 })
      :find("least squares: element 2 is no finite number", 1, true))
  end)
end)


describe("KernelSHAP", function()
  it("with fewer coalitions than segments is finite, and says what it draws", function()
    local net = t.net(1)
    local said, map = t.warnings(lu.kernel_shap, net, t.input(net),
      { segments = 3, samples = 4, score = 1 })
    local s = map:stats()
    assert.is_true(s.max > s.min and s.max - s.min < math.huge)
    assert.truthy(table.concat(said):find("4 coalitions do not tell 9 segments apart",
      1, true))
  end)
end)


describe("what a coalition hides", function()
  local masks = require "lunette.explain.masks"
  local partial = require "lunette.explain.partial"

  it("lies in its rectangle, which is no larger than it must be", function()
    for seed = 1, 4 do
      local labels = core.uniform(seed, 0, 9, 7):mul_(5):floor()
      local m = #select(2, masks.segments(labels))
      local rows = core.uniform(seed, 1, 12, m):lt(0.8)
      local made = masks.coalitions(labels, rows)
      for r = 1, 12 do
        local b, mask = made.box(r), made.get(r, 1)[1][1]
        local found = { y = 99, x = 99, below = 0, right = 0 }
        for y = 1, 9 do
          for x = 1, 7 do
            if mask:get(y, x) == 0 then
              found.y, found.x = math.min(found.y, y), math.min(found.x, x)
              found.below = math.max(found.below, y)
              found.right = math.max(found.right, x)
            end
          end
        end
        if found.below > 0 then
          assert.same({ found.y, found.x, found.below - found.y + 1,
                        found.right - found.x + 1 }, { b.y, b.x, b.h, b.w })
        end
      end
    end
  end)

  it("makes feature ablation the same map, bit for bit, with fewer products", function()
    local net = assert(lu.net(lu.models.tiny_vgg { side = 48 })):init(3)
    local x, plain, plans = core.normal(2, 0, 2, 3, 48, 48), partial.plan, 0
    finally(function() partial.plan = plain end)
    local labels = core.zeros(48, 48) -- small ones, a stripe, and what is left
    for n, b in ipairs { { 3, 5, 9, 8 }, { 20, 30, 12, 10 }, { 41, 1, 7, 48 } } do
      labels:paste_(core.full(n, b[3], b[4]), b[1], b[2])
    end
    local few = { score = { 1, 2 }, modifiers = { "linear" }, progress = false }
    for _, segments in ipairs { labels, 6 } do
      few.segments = segments
      partial.plan = function(run, box)
        local plan = plain(run, box, 1)
        if plan then plans = plans + 1 end
        return plan
      end
      local parts = lu.feature_ablation(net, x, few)
      partial.plan = function() return nil end
      assert.is_true(t.same(parts:detach(), lu.feature_ablation(net, x, few):detach()))
    end
    assert.equal(2, plans)
  end)
end)
