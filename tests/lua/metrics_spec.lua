-- The metrics of truth, each with a perfect, an inverted and a random map.
local core = require "lunette.core"
local metrics = require "lunette.metrics"


-- A square of side 20 at (11, 21) in 50 x 60: 400 of 3000 pixels.
local function square()
  local mask = core.zeros(50, 60)
  mask:paste_(core.ones(20, 20), 11, 21)
  return mask
end


local function batch(map, n)
  local all = core.zeros(n, map:dim(1), map:dim(2))
  for i = 1, n do all[i] = map end
  return all
end


describe("a perfect map", function()
  local mask = square()

  it("hits, has all its energy inside and the whole union", function()
    assert.equal(1, (metrics.pointing(mask, mask)))
    assert.equal(1, (metrics.energy(mask, mask)))
    local iou, _, thresholds = metrics.iou(mask, mask)
    assert.equal(1, iou)
    assert.equal(1, thresholds[1])
  end)
end)


describe("an inverted map", function()
  local mask = square()
  local map = 1 - mask

  it("misses and has no energy inside", function()
    assert.equal(0, (metrics.pointing(map, mask)))
    assert.equal(0, (metrics.energy(map, mask)))
  end)

  it("has no better cut than all pixels: IoU is the object's share", function()
    assert.near(400 / 3000, (metrics.iou(map, mask)), 1e-9)
  end)
end)


describe("a random map", function()
  local n = 400
  local mask = batch(square(), n)
  local map = core.uniform(3, 1, n, 50, 60)
  local share = 400 / 3000

  -- Binomial: 400 draws of 0.133 have a deviation of 0.017; three of them.
  it("hits by chance: the object's share of the picture", function()
    assert.near(share, (metrics.pointing(map, mask)), 0.051)
  end)

  -- A sum of 400 uniform values over one of 3000: deviation of a single share
  -- about 0.0036, of their mean a twentieth of that.
  it("has the object's share of its energy inside", function()
    assert.near(share, (metrics.energy(map, mask)), 0.001)
  end)

  it("has hardly a better cut than all pixels", function()
    local iou = metrics.iou(map, mask)
    assert.is_true(iou >= share - 1e-9 and iou < share + 0.03)
  end)
end)


describe("pointing", function()
  local mask = square()
  local map = core.zeros(50, 60)
  map:set(11, 17, 1) -- four columns left of the object

  it("counts a near miss within the tolerance, which is not included", function()
    assert.equal(0, (metrics.pointing(map, mask)))
    assert.equal(0, (metrics.pointing(map, mask, { tolerance = 4 })))
    assert.equal(1, (metrics.pointing(map, mask, { tolerance = 4.1 })))
    assert.equal(1, (metrics.pointing(map, mask, { tolerance = 15 })))
  end)

  it("gives every map its own answer", function()
    local maps, masks = core.zeros(2, 50, 60), batch(mask, 2)
    maps[1], maps[2] = map, mask
    local share, hits = metrics.pointing(maps, masks)
    assert.equal(0.5, share)
    assert.same({ false, true }, hits)
  end)
end)


describe("energy", function()
  it("counts positive values alone", function()
    local map = core.tensor { { -5, 1 }, { 3, -1 } }
    assert.equal(0.75, (metrics.energy(map, core.tensor { { 1, 0 }, { 1, 0 } })))
  end)

  it("is 0 where there is none", function()
    assert.equal(0, (metrics.energy(core.zeros(2, 2), core.ones(2, 2))))
  end)
end)


describe("iou", function()
  it("finds the best cut exactly", function()
    local map = core.tensor { { 0.9, 0.8, 0.7 }, { 0.6, 0.5, 0.1 } }
    local mask = core.tensor { { 1, 0, 1 }, { 1, 0, 0 } }
    local iou, _, thresholds = metrics.iou(map, mask)
    assert.near(3 / 4, iou, 1e-12) -- four pixels, three of them of the object
    assert.near(0.6, thresholds[1], 1e-6)
  end)

  it("never cuts between equal values", function()
    local iou = metrics.iou(core.ones(1, 4), core.tensor { { 1, 0, 0, 0 } })
    assert.equal(0.25, iou)
  end)
end)


describe("misuse", function()
  it("is refused with both shapes, or the reason", function()
    assert.error_matches(function()
      metrics.iou(core.ones(2, 3), core.ones(3, 2))
    end, "map is %(2,3%), mask is %(3,2%)")
    assert.error_matches(function()
      metrics.energy(core.full(0 / 0, 2, 2), core.ones(2, 2))
    end, "NaN")
    assert.error_matches(function()
      metrics.pointing(core.ones(2, 2), core.ones(2, 2), { tolerence = 1 })
    end, "tolerance")
  end)
end)


describe("Spearman's correlation", function()
  it("is of ranks, equal values sharing one", function()
    local function of(a, b)
      return (metrics.spearman(core.tensor { a }, core.tensor { b }))
    end
    assert.equal(1, of({ 1, 2, 3, 4 }, { 1, 4, 9, 160 }))
    assert.equal(-1, of({ 1, 2, 3, 4 }, { 4, 3, 2, 1 }))
    -- ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4: by hand 4.5 / sqrt(4.5 * 5)
    assert.near(4.5 / math.sqrt(22.5), of({ 1, 2, 2, 3 }, { 1, 3, 2, 4 }), 1e-12)
    assert.equal(0, of({ 1, 1, 1, 1 }, { 1, 2, 3, 4 }))
  end)

  it("of unrelated maps is near 0, one a map", function()
    local a, b = core.uniform(1, 1, 3, 60, 50), core.uniform(1, 2, 3, 60, 50)
    local mean, each = metrics.spearman(a, b)
    assert.equal(3, #each)
    assert.near(0, mean, 4 / math.sqrt(9000)) -- four deviations
    assert.near(mean, (each[1] + each[2] + each[3]) / 3, 1e-12)
  end)
end)


---SSIM of two maps (H,W) by its formula, window by window, in doubles.
local function naive_ssim(a, b, range)
  local h, w, weight, total = a:dim(1), a:dim(2), {}, 0
  for y = -5, 5 do
    for x = -5, 5 do
      weight[#weight + 1] = math.exp(-(y * y + x * x) / (2 * 1.5 ^ 2))
      total = total + weight[#weight]
    end
  end
  local sum, count = 0, 0
  for top = 0, h - 11 do
    for left = 0, w - 11 do
      local m = { a = 0, b = 0, aa = 0, bb = 0, ab = 0 }
      for k = 0, 120 do
        local p = (top + k // 11) * w + left + k % 11 + 1
        local u, v, g = a:view(h * w)[p], b:view(h * w)[p], weight[k + 1] / total
        m.a, m.b, m.aa = m.a + g * u, m.b + g * v, m.aa + g * u * u
        m.bb, m.ab = m.bb + g * v * v, m.ab + g * u * v
      end
      local c1, c2 = (0.01 * range) ^ 2, (0.03 * range) ^ 2
      sum = sum + (2 * m.a * m.b + c1) * (2 * (m.ab - m.a * m.b) + c2)
        / ((m.a ^ 2 + m.b ^ 2 + c1) * (m.aa - m.a ^ 2 + m.bb - m.b ^ 2 + c2))
      count = count + 1
    end
  end
  return sum / count
end


describe("SSIM", function()
  it("is the mean over Gaussian windows, as by hand", function()
    local a, b = core.uniform(1, 1, 17, 14), core.uniform(1, 2, 17, 14)
    b = a * 0.5 + b * 0.5
    local lo = math.min(a:stats().min, b:stats().min)
    local range = math.max(a:stats().max, b:stats().max) - lo
    local got, _, where = metrics.ssim(a, b)
    -- float32 and variances as differences: 1e-5 of values of about 1
    assert.near(naive_ssim(a, b, range), got, 1e-5)
    assert.same({ 7, 4 }, where[1]:shape())
    assert.near(naive_ssim(a, b, 2), (metrics.ssim(a, b, { range = 2 })), 1e-5)
    assert.near(1, (metrics.ssim(a, a)), 1e-6)
    assert.equal(1, (metrics.ssim(core.ones(12, 12), core.ones(12, 12))))
    assert.is_true(metrics.ssim(a, 1 - a) < 0)
  end)

  it("wants maps as large as its window", function()
    local ok, message = pcall(metrics.ssim, core.ones(8, 20), core.ones(8, 20))
    assert.is_false(ok)
    assert.matches("8 x 20 are smaller than a window of 11; give { window = }", message)
    assert.near(1, (metrics.ssim(core.uniform(1, 1, 8, 20), core.uniform(1, 1, 8, 20),
                                 { window = 7 })), 1e-6)
  end)
end)


describe("parts of a picture", function()
  local patches = require "lunette.explain.patches"

  it("have the mean of their pixels; a number that none has stands for 0", function()
    local map = core.tensor { { 1, 3 }, { 6, 2 } }
    local labels = core.tensor { { 0, 0 }, { 2, 0 } }
    assert.same({ 2, 0, 6 }, patches.means(map, labels))
    assert.same({ 6, 0, 6 }, patches.sums(map, labels))
  end)

  it("are squares, the last of a side as wide as is left", function()
    assert.same({ { 0, 0, 1 }, { 0, 0, 1 }, { 2, 2, 3 } },
                patches.grid(3, 3, 2):totable())
  end)
end)
