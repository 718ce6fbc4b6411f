-- Regions of a picture as features: superpixels, cells of a grid, parts of one's own,
-- and the methods over them.
local lu = require "lunette"
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"


describe("superpixels", function()
  local superpixels = require "lunette.explain.superpixels"
  ---Four squares of different colours.
  local function squares()
    local p = core.zeros(3, 32, 32)
    for c, colours in ipairs { { 220, 30, 30, 240 }, { 30, 200, 40, 230 },
                               { 20, 60, 210, 20 } } do
      for q, v in ipairs(colours) do
        p[c]:paste_(core.full(v, 16, 16), (q - 1) // 2 * 16 + 1, (q - 1) % 2 * 16 + 1)
      end
    end
    return p
  end

  it("find the squares of a picture", function()
    local slic, count = superpixels.slic(squares(), 4)
    assert.equal(4, count)
    local graph = superpixels.felzenszwalb(squares(), { 100 }, 0, 20)[1]
    for _, labels in ipairs { slic, graph } do
      assert.equal(3, labels:stats().max)
      local seen = {}
      for q = 0, 3 do
        local part = labels:narrow { dim = 1, start = q // 2 * 16 + 1, length = 16 }
          :narrow { dim = 2, start = q % 2 * 16 + 1, length = 16 }
        local s = part:stats()
        assert.equal(s.min, s.max)
        seen[s.min] = true
      end
      assert.is_true(seen[0] and seen[1] and seen[2] and seen[3])
    end
  end)

  it("are in one piece, none tiny, and about as many as asked", function()
    local blur, noise = require "lunette.tensors.blur", core.uniform(3, 0, 1, 3, 40, 30)
    noise = blur(noise * 255, 3)[1]
    local labels, count = superpixels.slic(noise, 12)
    assert.is_true(count >= 6 and count <= 20)
    local sizes = {}
    for _, l in ipairs(labels:view(1200):totable()) do
      sizes[l] = (sizes[l] or 0) + 1
    end
    for _, n in pairs(sizes) do assert.is_true(n >= 25) end
  end)

  ---Edges between the 8 neighbours, { pixel, pixel, distance }, the shortest first.
  local function edges_of(picture, h, w)
    local planes, edges = (picture / 127.5 - 1):reshape { 3, h * w }:totable(), {}
    local function edge(y, x, v, u)
      if v < 1 or v > h or u < 1 or u > w then return end
      local k, m, sum = (y - 1) * w + x, (v - 1) * w + u, 0
      for c = 1, 3 do sum = sum + (planes[c][k] - planes[c][m]) ^ 2 end
      edges[#edges + 1] = { k, m, sum ^ 0.5 }
    end
    for y = 1, h do
      for x = 1, w do
        edge(y, x, y, x + 1)
        edge(y, x, y + 1, x - 1)
        edge(y, x, y + 1, x)
        edge(y, x, y + 1, x + 1)
      end
    end
    table.sort(edges, function(a, b) return a[3] < b[3] end)
    return edges
  end

  ---Felzenszwalb and Huttenlocher's algorithm as it is written down: every pixel knows
  ---its segment, a join repaints one of them.
  local function by_hand(picture, scale, least)
    local h, w = picture:dim(2), picture:dim(3)
    local edges = edges_of(picture, h, w)
    local of, size, inner = {}, {}, {}
    for k = 1, h * w do of[k], size[k], inner[k] = k, 1, 0 end
    local function join(r, s, cost)
      for k = 1, h * w do
        if of[k] == s then of[k] = r end
      end
      size[r], inner[r] = size[r] + size[s], cost
    end
    for _, e in ipairs(edges) do
      local r, s = of[e[1]], of[e[2]]
      local limit = math.min(inner[r] + scale / 255 / size[r],
                             inner[s] + scale / 255 / size[s])
      if r ~= s and e[3] < limit then join(r, s, e[3]) end
    end
    for _, e in ipairs(edges) do
      local r, s = of[e[1]], of[e[2]]
      if r ~= s and (size[r] < least or size[s] < least) then join(r, s, 0) end
    end
    local names, count, labels = {}, 0, {}
    for k = 1, h * w do
      if not names[of[k]] then names[of[k]], count = count, count + 1 end
      labels[k] = names[of[k]]
    end
    return core.tensor(labels):view(h, w), count
  end

  it("of the graph are those of the algorithm as it is written down", function()
    for seed, least in ipairs { 1, 6, 12 } do
      local noise = core.uniform(seed, 0, 1, 3, 5, 4):resize(19, 23)[1] * 255
        + core.uniform(seed, 1, 3, 19, 23) * 9
      local labels = superpixels.felzenszwalb(noise, { 40, 300 }, 0, least)
      for k, scale in ipairs { 40, 300 } do
        local want, count = by_hand(noise, scale, least)
        assert.is_true(count > 1)
        assert.is_true(labels[k]:same(want), ("%d of %d"):format(seed, scale))
      end
    end
  end)
end)


describe("XRAI", function()
  it("gives every segment the base's mean where segments do not overlap", function()
    local net, x = t.net(), core.normal(3, 0, 1, 3, 12, 12)
    local base = core.normal(5, 0, 1, 12, 12)
    local labels = core.zeros(12, 12)
    labels:paste_(core.ones(6, 12), 7, 1)
    labels:paste_(core.full(2, 3, 3), 1, 1)
    for _, mode in ipairs { "full", "fast" } do
      local map = lu.xrai(net, x, { score = 1, base = base:view(1, 12, 12), mode = mode,
        labels = labels, dilate = 0, min_diff = 1, modifiers = { "linear" } })
      for l = 0, 2 do
        local here = labels:eq(l)
        local mean = (base * here):sum():item() / here:sum():item()
        assert.is_true(((map[1] - mean) * here):stats().max < 1e-6)
        assert.is_true(((map[1] - mean) * here):stats().min > -1e-6)
      end
      assert.equal(3, map.story.segments[1])
    end
  end)
end)


describe("cells of a grid", function()
  ---A score of the mean of one cell of 2 x 2, and what a network has to be for it.
  local function of_cell(f)
    local net = assert(lu.net { name = "cells", input = { 1, 8, 8 }, layers = {
      { "same", "identity" } } })
    return net, lu.score.new("cell", function(v)
      local c = v:narrow { dim = 3, start = 1, length = 4 }
        :narrow { dim = 4, start = 5, length = 4 }:mean { dims = { 2, 3, 4 } }
      return f(c)
    end)
  end

  it("Sobol: the one cell that the score reads has all of the variance", function()
    local net, score = of_cell(function(c) return c:square() end)
    local map = lu.sobol(net, core.ones(1, 1, 8, 8), { score = score, cells = 2,
      designs = 200, smooth = false })
    local values = map.story.values[1]
    assert.is_true(math.abs(values[2] - 1) < 0.2)
    assert.same({ 0, 0, 0 }, { values[1], values[3], values[4] })
    assert.is_true(map:get(1, 2, 6) == map:get(1, 4, 8) and map:get(1, 2, 6) > 0.8)
  end)

  it("HSIC: it depends on the one cell that the score reads", function()
    local net, score = of_cell(function(c) return c:square() end)
    local story = lu.hsic(net, core.ones(1, 1, 8, 8), { score = score, cells = 2,
      designs = 150 }).story
    for k, v in ipairs(story.values[1]) do
      assert.is_true(v >= -1e-6)
      if k ~= 2 then assert.is_true(v < story.values[1][2] / 20) end
    end
  end)

  it("may be segments of one's own: a grid of them is the cells", function()
    local net, x = t.net(), core.normal(3, 0, 2, 3, 12, 12)
    for _, name in ipairs { "sobol", "hsic" } do
      local o = { score = 1, cells = 2, designs = 8, smooth = false,
                  modifiers = { "linear" } }
      local cells = lu[name](net, x, o)
      o.segments = 2
      assert.is_true(t.same(cells:detach(), lu[name](net, x, o):detach()), name)
    end
    local net1, score = of_cell(function(c) return c:square() end)
    local organ = core.zeros(8, 8)
    organ:paste_(core.ones(4, 4), 1, 5) -- what the score reads
    for _, name in ipairs { "sobol", "hsic" } do
      local map = lu[name](net1, core.ones(1, 1, 8, 8), { score = score,
        segments = organ, designs = 60 })
      local rest, own = table.unpack(map.story.values[1])
      assert.is_true(own > 20 * math.abs(rest), name)
      assert.is_true(map:get(1, 1, 8) == map:get(1, 4, 5)
                     and map:get(1, 8, 8) < map:get(1, 1, 8) / 20)
    end
  end)

  it("of RISE, too: score times mask, segments that stay or go", function()
    local net, x = t.net(), core.normal(3, 0, 1, 3, 12, 12)
    local labels = core.zeros(12, 12)
    labels:paste_(core.ones(5, 7), 3, 2)
    labels:paste_(core.full(2, 4, 12), 9, 1)
    local map = lu.rise(net, x, { score = 1, segments = labels, count = 40, keep = 0.4,
                                  seed = 5, modifiers = { "linear" } })
    local rows, want = core.uniform(5, 1, 40, 3):lt(0.4), core.zeros(12, 12)
    for r = 1, 40 do
      local mask = core.zeros(12, 12)
      for l = 0, 2 do mask = mask + labels:eq(l) * rows:get(r, l + 1) end
      want = want + mask * t.score_of(net, x * mask:view(1, 1, 12, 12), 1):item()
    end
    assert.is_true(map[1]:distance(want / (40 * 0.4)) < 1e-5)
  end)

  it("are no more than the picture's pixels", function()
    local net, score = of_cell(function(c) return c end)
    assert.matches("9 cells a side are more than the picture's 8 pixels", t.message(
      lu.sobol, net, core.ones(1, 1, 8, 8), { score = score, cells = 9 }))
  end)
end)


describe("SLIC segments", function()
  it("are features like any others, of one picture at a time", function()
    local net, blur = t.net(), require "lunette.tensors.blur"
    local x = blur(core.uniform(3, 0, 2, 3, 12, 12), 2)
    local opts = { segments = "slic:4", modifiers = { "linear" }, score = 1 }
    local map = lu.feature_ablation(net, x:rows(1), opts)
    assert.same({ 1, 12, 12 }, map:shape())
    assert.matches("every picture has superpixels of its own", t.message(
      lu.feature_ablation, net, x, opts))
    opts.segments = "slick"
    assert.matches("segments is a whole number from 1, \"slic:COUNT\"", t.message(
      lu.feature_ablation, net, x, opts))
  end)
end)
