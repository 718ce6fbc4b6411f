-- Scenes whose truth is known: same bits, exact masks, and nothing but the outline
-- that tells the class.
local core = require("lunette").core
local glyphs = require "lunette.glyphs"
local shapes = require "lunette.glyphs.shapes"


local function sum(v) return v:sum():item() end


describe("scenes", function()
  local one = glyphs.scenes { n = 6, seed = 11 }

  it("have the shapes and ranges that they promise", function()
    assert.same({ 6, 3, 224, 224 }, one.images:shape())
    assert.same({ 6, 224, 224 }, one.masks:shape())
    local s = one.images:stats()
    assert.is_true(s.min >= 0 and s.max <= 255)
    assert.equal(0, (one.images - one.images:round()):stats().l2)
    assert.equal(10, #one.names)
    for _, id in ipairs(one.labels) do assert.is_true(id >= 0 and id <= 9) end
  end)

  it("are the same bits again, in any batch, on any number of threads", function()
    local threads = core.threads()
    core.threads(1)
    for i = 1, 6 do
      local again = glyphs.scenes { seed = 11, first = i }
      assert.is_true(again.images[1]:same(one.images[i]))
      assert.is_true(again.masks[1]:same(one.masks[i]))
      assert.equal(one.labels[i], again.labels[1])
    end
    core.threads(threads)
  end)

  it("differ by seed and number", function()
    local other = glyphs.scenes { n = 2, seed = 12 }
    assert.is_false(other.images[1]:same(one.images[1]))
    assert.is_false(other.images[1]:same(other.images[2]))
  end)

  for objects = 1, 2 do
    it(("keep every pixel outside the mask without their objects (%d)"):format(objects),
       function()
      local how = { n = 8, seed = 5, objects = objects }
      local with = glyphs.scenes(how)
      how.bare = true
      local without = glyphs.scenes(how)
      local mask = with.masks
      if objects == 2 then mask = mask + with.masks2 end
      local outside = mask:eq(0):view(8, 1, 224, 224)
      local change = (with.images - without.images):abs()
      assert.equal(0, sum(change * outside))
      -- and nearly every pixel inside is another one: the object is on top
      local touched = change:max { dims = { 2 } }:view(8, 224, 224):gt(0)
      assert.is_true(sum(touched) > 0.97 * sum(mask))
    end)
  end

  it("of two objects have two classes and masks that do not meet", function()
    local two = glyphs.scenes { n = 30, seed = 3, objects = 2 }
    assert.equal(0, sum(two.masks * two.masks2))
    for i, id in ipairs(two.labels) do
      assert.not_equal(id, two.labels2[i])
      assert.is_true(sum(two.masks[i]) > 300 and sum(two.masks2[i]) > 300)
    end
  end)

  it("refuse what makes no scene", function()
    assert.error_matches(function() glyphs.scenes { objects = 3 } end, "1 or 2, not 3")
    assert.error_matches(function() glyphs.scenes { objects = 2, side = 96 } end,
                         "no room for 2 objects in 96")
    assert.error_matches(function() glyphs.scenes { sede = 1 } end, "seed")
  end)
end)


-- What a class could be told by without its outline. Over some 30 scenes a class,
-- each mean has a standard error; five of them are allowed.
describe("nothing but the outline tells the class:", function()
  local n = 300
  local by = {} -- class -> quantity -> list
  local quantity = { "side", "x", "y", "red", "green", "blue", "ground" }

  local function measure(s, i)
    local mask, image = s.masks[i], s.images[i]
    local area = sum(mask)
    local x = core.range(1, 224):view(1, 224)
    local y = core.range(1, 224):view(224, 1)
    local inside = (image * mask:view(1, 224, 224)):sum { dims = { 2, 3 } }:totable()
    return { side = area ^ 0.5, x = sum(mask * x) / area, y = sum(mask * y) / area,
             red = inside[1] / area, green = inside[2] / area, blue = inside[3] / area,
             ground = sum(image * (1 - mask):view(1, 224, 224))
               / (3 * (224 ^ 2 - area)) }
  end

  setup(function()
    for first = 1, n, 50 do
      local s = glyphs.scenes { n = 50, seed = 77, first = first }
      for i, id in ipairs(s.labels) do
        by[id] = by[id] or {}
        for key, value in pairs(measure(s, i)) do
          by[id][key] = by[id][key] or {}
          table.insert(by[id][key], value)
        end
      end
    end
  end)

  local function mean_of(list)
    local m, v = 0, 0
    for _, x in ipairs(list) do m = m + x / #list end
    for _, x in ipairs(list) do v = v + (x - m) ^ 2 / #list end
    return m, (v / #list) ^ 0.5
  end

  it("classes come equally often", function()
    for id = 0, 9 do -- binomial: deviation sqrt(300 * 0.1 * 0.9) = 5.2
      assert.near(n / 10, #by[id].side, 26)
    end
  end)

  for _, key in ipairs(quantity) do
    it(key, function()
      local all = {}
      for id = 0, 9 do
        for _, x in ipairs(by[id][key]) do all[#all + 1] = x end
      end
      local whole = mean_of(all)
      for id = 0, 9 do
        local m, err = mean_of(by[id][key])
        -- a mask counts every pixel that the edge touches: a long outline (spiral)
        -- adds up to a pixel of width, which is a few pixels of side
        local slack = key == "side" and 9 or 0
        assert.near(whole, m, 5 * err + slack, glyphs.names[id + 1])
      end
    end)
  end
end)


describe("shapes", function()
  it("have the areas that scenes scale by", function()
    local n = 400
    local x = core.range(-n, n):view(1, 2 * n + 1)
    local y = core.range(-n, n):view(2 * n + 1, 1)
    local u, v, s = x + y * 0, y + x * 0, n / 1.5
    for _, name in ipairs(shapes.names) do
      local inside = shapes[name](u, v, s, 0.5):lt(0)
      -- a grid of 400: the outline's pixels are known to about a part in 500
      assert.near(shapes.side[name], sum(inside) ^ 0.5 / s, 0.005, name)
      local reach = ((u:square() + v:square()):sqrt() * inside):max():item()
      assert.is_true(reach < shapes.side[name] * s, name .. " leaves its circle")
    end
  end)
end)


describe("default_images", function()
  it("are pictures with classes and captions", function()
    local d = glyphs.default_images(3)
    assert.equal(3, #d.images)
    assert.same({ 3, 224, 224 }, d.images[1]:shape())
    assert.equal(3, #d.labels)
    assert.matches("scene 1 %(%a+%)", d.names[1])
  end)

  it("become the network's input as any picture does", function()
    local d = glyphs.default_images(2)
    local images = require "lunette.picture.image"
    local x = images.preprocess(d.images, glyphs.preprocessing)
    local mine = glyphs.input(core.ops.concat(d.images[1]:view(1, 3, 224, 224),
      d.images[2]:view(1, 3, 224, 224), { dim = 1 }))
    assert.is_true(x:distance(mine) < 1e-6) -- one rounding more or less
  end)
end)


describe("a photograph", function()
  it("is answered by a network of glyphs, with a warning", function()
    local lu = require "lunette"
    local path, said, before = os.tmpname(), {}, require("lunette.base.warn").sink
    local f = assert(io.open(path, "wb"))
    f:write(core.image.from_planes(glyphs.default_images(1).images[1]):png())
    f:close()
    local net = assert(lu.net(lu.models.vgg16 { width = 1 / 64, fc = 4, classes = 10,
      preprocessing = glyphs.preprocessing }))
    require("lunette.base.warn").sink = function(m) said[#said + 1] = m end
    local ok, x = pcall(net.images, net, { path })
    net.meta.shows = "ten drawn shapes"
    local again = net:images { path }
    net:images(glyphs.default_images(1).images) -- scenes: nothing to say
    require("lunette.base.warn").sink = before
    os.remove(path)
    assert.is_true(ok and x:same(again))
    assert.equal(1, #said)
    assert.matches("drawn shapes only", said[1])
  end)
end)


describe("the embedded network", function()
  local lu = require "lunette"
  local load = require "lunette.weights.load"
  local path = require("lunette.base.paths").weights() .. "/glyphs.safetensors"
  local net = assert(load.file(path))

  it("is a VGG16 of at most two megabytes", function()
    local f = assert(io.open(path, "rb"))
    assert.is_true(f:seek "end" <= 2e6)
    f:close()
    local want = assert(lu.net(lu.models.vgg16()))
    assert.same(want:names(), net:names())
    assert.same({ 3, 224, 224 }, net.input)
    assert.same(glyphs.names, net.labels)
    assert.equal("glyphs", net.meta.data)
    assert.equal("glyphs", net.meta.examples)
    assert.equal("ten drawn shapes", net.meta.shows)
  end)

  -- 98 % and 90 % of 2,000 (weights/README.md), less four deviations of a share of n.
  for objects, share in ipairs { 0.98, 0.90 } do
    it(("names %d object(s) of unseen scenes"):format(objects), function()
      local right, n = 0, 80
      local least = share - 4 * (share * (1 - share) / n) ^ 0.5
      for first = 1, n, 20 do
        local s = glyphs.scenes { n = 20, seed = 4242, first = first,
                                  objects = objects }
        local run <close> = net:run(glyphs.input(s.images), { keep = false })
        for i, top in ipairs(run:top(objects)) do
          local truth, all = { [s.labels[i]] = true }, true
          if objects == 2 then truth[s.labels2[i]] = true end
          for _, guess in ipairs(top) do all = all and truth[guess.class] end
          right = right + (all and 1 or 0)
        end
      end
      assert.is_true(right / n >= least, ("%d of %d"):format(right, n))
    end)
  end

  -- docs/truth.md, with 8 scenes: far from its numbers, but far from chance too.
  it("is explained by maps that find the object", function()
    local truth = require "lunette.glyphs.truth"
    local rows, right = truth.measure(net, { n = 8, progress = false })
    assert.is_true(right > 0.7)
    for _, name in ipairs { "saliency guided", "gradcam vanilla" } do
      assert.is_true(rows[name].energy > 2.5 * rows.chance.energy, name)
      assert.is_true(rows[name].iou > 2 * rows.chance.iou, name)
    end
    local _, lines = truth.markdown(rows):gsub("\n", "")
    assert.equal(8, lines) -- a head of two lines, six maps, chance
  end)
end)
