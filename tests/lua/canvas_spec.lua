-- Canvases: pixels, layout, what is saved, what is refused.
local canvas = require "lunette.picture.canvas"
local core = require "lunette.core"
local json = require "lunette.base.json"
local npy = require "lunette.picture.npy"
local batch = require "lunette.picture.batch"
local image = require "lunette.picture.image"
local warn = require "lunette.base.warn"

local folder = os.tmpname()
os.remove(folder)
teardown(function() os.execute("rm -rf '" .. folder .. "'") end)


local function plain_picture(r, g, b, side)
  local t = core.zeros(3, side or 8, side or 8)
  t[1], t[2], t[3] = r, g, b
  return t
end


---Warnings that f gave.
local function warnings_of(f)
  local list, before = {}, warn.sink
  warn.sink = function(message) list[#list + 1] = message end
  local ok, message = pcall(f)
  warn.sink = before
  assert(ok, message)
  return list
end


local function files_in(path)
  local lfs, n = require "lfs", 0
  if lfs.attributes(path) then
    for name in lfs.dir(path) do
      if name ~= "." and name ~= ".." then n = n + 1 end
    end
  end
  return n
end


---How many pixels of a colour a picture has.
local function count(im, r, g, b)
  local w, h = im:size()
  local n = 0
  for y = 0, h - 1 do
    for x = 0, w - 1 do
      local pr, pg, pb = im:get(x, y)
      if pr == r and pg == g and pb == b then n = n + 1 end
    end
  end
  return n
end


describe("a canvas", function()
  it("shows pictures in whole multiples, and twice the size at scale 2", function()
    local im = assert(canvas { cell = 16 }:row({ plain_picture(10, 200, 30) }):render())
    assert.equal(16 * 16, count(im, 10, 200, 30))
    local w, h = im:size()
    im = assert(canvas { cell = 16, scale = 2 }:row({ plain_picture(10, 200, 30) })
                  :render())
    assert.equal(32 * 32, count(im, 10, 200, 30))
    assert.same({ 2 * w, 2 * h }, { im:size() })
  end)

  it("colours maps by their values", function()
    local map = core.tensor { { 0, 1 }, { 1, 0 } }
    local im = assert(canvas { cell = 16 }:row("m", map, { colormap = "gray",
                                                        colorbar = false }):render())
    assert.equal(2 * 64, count(im, 0, 0, 0))
  end)

  it("lays a map over a picture with the share that was asked for", function()
    local picture = plain_picture(100, 100, 100)
    local map = core.full(1, 8, 8)
    map:set(1, 1, 0)
    local c = canvas { cell = 8 }:row("o", map, { overlay = { picture }, alpha = 0.25,
      colormap = "gray", colorbar = false, vmin = 0, vmax = 1 })
    -- 0.75 * 100 + 0.25 * 255 = 138.75; the dark corner 75
    local im = assert(c:render())
    assert.equal(63, count(im, 139, 139, 139))
    assert.equal(1, count(im, 75, 75, 75))
  end)

  it("uses a diverging map around zero for signed values", function()
    local im = assert(canvas { cell = 9 }:row("", core.tensor { { -2, 0, 1 },
      { 0, 0, 0 }, { 0, 0, 0 } }, { colorbar = false }):render())
    assert.equal(9, count(im, 59, 76, 192)) -- the first colour of coolwarm: -2
    assert.equal(0, count(im, 180, 4, 38))  -- +2 is not reached
  end)

  it("shares one scale over a row on request", function()
    local maps = core.tensor { { { 0, 1 }, { 1, 1 } }, { { 0, 2 }, { 2, 2 } } }
    local opts = { colormap = "gray", colorbar = false }
    local im = assert(canvas { cell = 8 }:row("", maps, opts):render())
    local white = count(im, 255, 255, 255)
    opts.shared = true
    im = assert(canvas { cell = 8 }:row("", maps, opts):render())
    assert.equal(white - 3 * 16, count(im, 255, 255, 255))
    assert.equal(3 * 16, count(im, 128, 128, 128))
  end)

  it("normalises by percentile, maximum and not at all", function()
    local map = core.range(1, 100):view(10, 10)
    local function lit(opts)
      opts.colormap, opts.colorbar = "gray", false
      local im = assert(canvas { cell = 10, background = "#102030" }:row("", map, opts)
                          :render())
      return count(im, 255, 255, 255)
    end
    assert.equal(1, lit { normalize = "minmax" })
    assert.equal(50, lit { normalize = "percentile", percentile = 50 }) -- over 50.5
    assert.equal(100, lit { normalize = "none" })
    assert.equal(21, lit { vmin = 0, vmax = 80.3 })
  end)

  it("draws titles, captions and a colour bar beside the cells", function()
    local function size(opts, row)
      local c = canvas(opts)
      c:row(row.title or "", core.uniform(1, 1, 2, 8, 8),
            { colorbar = row.colorbar or false, captions = row.captions })
      return { assert(c:render()):size() }
    end
    local bare = size({ cell = 64 }, {})
    assert.is_true(size({ cell = 64, title = "T" }, {})[2] > bare[2])
    assert.is_true(size({ cell = 64, titles = { "a", "b" } }, {})[2] > bare[2])
    assert.is_true(size({ cell = 64 }, { title = "row" })[1] > bare[1])
    assert.is_true(size({ cell = 64 }, { colorbar = true })[1] > bare[1])
    assert.is_true(size({ cell = 64 }, { captions = { "x\ny" } })[2] > bare[2])
    -- texts of any length and script change neither width nor safety
    local long = ("Größe 中文 \xFF "):rep(50)
    assert.equal(bare[1], size({ cell = 64, title = long, titles = { long, "" } },
                               {})[1])
  end)

  it("writes the picture, the raw maps and how they were made", function()
    local maps = core.normal(3, 1, 2, 5, 6)
    maps.story = { method = "saliency", model = "tiny", classes = { 7, 9 }, seed = 3 }
    local pictures = { plain_picture(1, 2, 3), plain_picture(4, 5, 6) }
    local c = canvas { columns = 2, title = "Grüße" }
    c:row("image", pictures):row("Vanilla, signed", maps, { captions = { "a", "b" } })
    local path = folder .. "/deep/er/out.png"
    assert.equal(path, assert(c:save(path)))
    local base = folder .. "/deep/er/out"
    assert.is_true(assert(npy.read(base .. "-vanilla_signed.npy")):same(maps))
    local f = assert(io.open(base .. ".json"))
    local told = assert(json.decode(f:read "a"))
    f:close()
    assert.equal("out.png", told.picture)
    assert.equal("Grüße", told.title)
    local row = told.rows[2]
    assert.same({ "out-vanilla_signed.npy" }, row.npy)
    assert.same({ "coolwarm", "symmetric" }, { row.colormap, row.normalize })
    assert.same({ method = "saliency", model = "tiny", classes = { 7, 9 }, seed = 3 },
                row.story)
    assert.near(row.ranges[1].last_colour, -row.ranges[1].first_colour, 1e-9)
    local back = assert(image.load(path))
    local w, h = assert(c:render()):size()
    assert.same({ 3, h, w }, back:shape())
    assert.equal(3, files_in(folder .. "/deep/er")) -- and no temporary file
  end)

  it("takes images of a network: a tensor with pictures", function()
    local net = { input = { 3, 8, 8 }, preprocessing = "caffe" }
    local x = assert(batch(net, { plain_picture(9, 8, 7),
                                        plain_picture(5, 5, 5) }))
    local im = assert(canvas { cell = 8 }:row("image", x):render())
    assert.equal(64, count(im, 9, 8, 7))
    im = assert(canvas { cell = 8 }:row("", x):row("", core.uniform(1, 1, 2, 8, 8),
      { overlay = true, alpha = 0, colorbar = false }):render())
    assert.equal(128, count(im, 9, 8, 7))
  end)

  it("tells one picture of three channels from a list of grey ones", function()
    local function side(x)
      local im = canvas { cell = 8 }:row("", x, { kind = "picture" }):render()
      return (assert(im):size())
    end
    local one = side(core.full(9, 3, 8, 8))
    assert.equal(one, side(core.full(9, 8, 8)))
    assert.is_true(side(core.full(9, 2, 8, 8)) > one + 8)
    assert.equal(side(core.full(9, 4, 8, 8)), side(core.full(9, 4, 3, 8, 8)))
  end)

  it("draws a flat map flat, with a warning", function()
    local said = warnings_of(function()
      local c = canvas { cell = 8 }
      c:row("zero", core.zeros(1, 4, 4), { colorbar = false })
      c:row("three", core.full(3, 1, 4, 4), { colorbar = true })
      local im = assert(c:render())
      assert.equal(64, count(im, 68, 1, 84)) -- the first colour of viridis
    end)
    assert.equal(2, #said)
    assert.truthy(said[1]:find "zero everywhere")
    assert.truthy(said[2]:find "3 everywhere")
  end)

  it("refuses NaN and writes nothing", function()
    local map = core.zeros(2, 3, 3)
    map[2]:set(1, 1, 0 / 0)
    local c = canvas()
    local ok, message = pcall(c.row, c, "bad", map)
    assert.is_false(ok)
    assert.truthy(message:find "map 2 has 1 of 9")
    local path, why = c:save(folder .. "/nan/out.png")
    assert.is_nil(path)
    assert.truthy(why:find "no rows")
    assert.equal(0, files_in(folder .. "/nan"))
  end)

  it("refuses preprocessed tensors as pictures", function()
    local c = canvas()
    local ok, message = pcall(c.row, c, "x", core.full(-120, 1, 3, 4, 4))
    assert.is_false(ok)
    assert.truthy(message:find "deprocess")
  end)

  it("names unknown options, too many cells, a size over the limit", function()
    local function message(f)
      local ok, e = pcall(f)
      assert.is_false(ok)
      return e
    end
    assert.truthy(message(function() canvas { colums = 2 } end)
                    :find "did you mean 'columns'")
    assert.truthy(message(function() canvas { background = "mauve" } end):find "mauve")
    local maps = core.uniform(1, 1, 3, 4, 4)
    assert.truthy(message(function() canvas { columns = 2 }:row("m", maps) end)
                    :find "3 cells")
    local function row_message(opts)
      return message(function() canvas():row("m", maps, opts) end)
    end
    assert.truthy(row_message({ colormap = "virids" }):find "viridis")
    assert.truthy(row_message({ normalize = "most" }):find "minmax")
    assert.truthy(row_message({ overlay = true }):find "row of pictures")
    local path, why = canvas { cell = 4096, scale = 4 }:row("m", maps)
      :save(folder .. "/big.png")
    assert.is_nil(path)
    assert.truthy(why:find "limit")
  end)

  it("says nil and why when it cannot write", function()
    local c = canvas { cell = 8 }:row("", { plain_picture(5, 5, 5) })
    local path, why = c:save "/proc/none/out.png"
    assert.is_nil(path)
    assert.truthy(why:find "/proc/none")
  end)
end)

describe("the suffix of a canvas", function()
  local function saved(name)
    local c = canvas { columns = 1, title = "a title" }
    c:row("map", core.range(1, 64):reshape { 1, 8, 8 })
    local path = folder .. "/" .. name
    local ok, message = c:save(path)
    if not ok then return nil, message end
    local _, info = assert(image.load(path))
    return info
  end

  it("chooses the format", function()
    assert.equal("JPEG", saved("a.jpg").format)
    assert.equal("JPEG", saved("b.JPEG").format)
    assert.equal("BMP", saved("c.bmp").format)
    assert.equal("PNG", saved("d.png").format)
    assert.equal("PNG", saved("e").format)
    assert.truthy(json.decode(assert(io.open(folder .. "/a.json")):read "a"))
  end)

  it("is an error when it names none", function()
    local ok, message = saved "a.gif"
    assert.is_nil(ok)
    assert.matches("a.gif': pictures are written as .png, .jpg, .jpeg or .bmp",
      message, 1, true)
  end)

  it("keeps colours in a JPEG, half size nowhere", function()
    local picture = core.zeros(3, 16, 16)
    for x = 1, 16, 2 do -- red and blue columns of one pixel
      picture[1]:narrow(2, x, 1):fill_(255)
      picture[3]:narrow(2, x + 1, 1):fill_(255)
    end
    local path = assert(image.save(folder .. "/columns.jpg", picture))
    local back = assert(image.load(path))
    assert.is_true((back - picture):abs():max():item() < 40)
  end)

  it("warns of a flat map by its caption", function()
    local lu, t = require "lunette", dofile "tests/lua/support.lua"
    local list = t.warnings(function()
      lu.canvas { columns = 2 }:row("maps", { lu.uniform(4, 4), lu.zeros(4, 4) },
                                    { captions = { "one", "two\nof them" } })
    end)
    assert.matches("map 2 %(two, of them%) is zero everywhere; it is drawn flat",
                   list[1])
  end)
end)
