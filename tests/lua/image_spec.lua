-- Pictures in: what is read, what is refused, resizing, preprocessing.
local core = require "lunette.core"
local batch = require "lunette.picture.batch"
local image = require "lunette.picture.image"
local preprocessing = require "lunette.picture.preprocessing"
local warn = require "lunette.base.warn"

local tmp = os.tmpname()


local function write(bytes)
  local f = assert(io.open(tmp, "wb"))
  f:write(bytes)
  f:close()
  return tmp
end


---A picture (3,h,w) of whole numbers from 0 to 255, by seed.
local function noise(h, w, seed)
  local t = core.uniform(seed or 1, 1, 3, h, w)
  local list = t:view(3 * h * w):totable()
  for i, v in ipairs(list) do list[i] = math.floor(v * 256) end
  return core.tensor(list):view(3, h, w)
end


---Bytes of a PNG chunk with its checksum left as it is: enough for headers.
local function png_header(w, h)
  return "\x89PNG\r\n\x1a\n"
    .. (">I4c4I4I4BBBBBI4"):pack(13, "IHDR", w, h, 8, 2, 0, 0, 0, 0)
end


describe("reading pictures", function()
  teardown(function() os.remove(tmp) end)

  it("gives back what was written, to the byte", function()
    local t = noise(13, 17)
    assert(image.save(tmp, t, "a title"))
    local back, info = assert(image.load(tmp))
    assert.is_true(back:same(t))
    assert.same({ "PNG", 17, 13, 8, 1 },
                { info.format, info.width, info.height, info.depth, info.orientation })
  end)

  it("takes a picture of one pixel", function()
    assert(image.save(tmp, noise(1, 1)))
    assert.same({ 3, 1, 1 }, assert(image.load(tmp)):shape())
  end)

  it("says nil and why for what is no picture", function()
    local function refused(path, word)
      local t, message = image.load(path)
      assert.is_nil(t)
      assert.truthy(message:find(word, 1, true), message)
    end
    refused("/no/such/picture.png", "No such file")
    refused("/", "folder")
    refused(write "", "empty")
    refused(write "a text, not a picture", "a text, not a pi")
    refused(write(png_header(20000, 20000)), "20000 x 20000")
    refused(write(png_header(100, 100):sub(1, 20)), "truncated")
    refused(write "GIF89a", "a GIF")
  end)

  it("refuses a file cut at any length", function()
    assert(image.save(tmp, noise(9, 9)))
    local f = assert(io.open(tmp, "rb"))
    local bytes = f:read "a"
    f:close()
    for n = 0, #bytes - 1 do
      local t, message = image.decode(bytes:sub(1, n), "cut")
      assert.is_nil(t)
      assert.is_string(message)
    end
    assert.truthy(image.decode(bytes))
  end)

  it("raises for misuse", function()
    assert.has_error(function() image.load(nil) end)
    assert.has_error(function() image.resize(noise(4, 4), 0) end)
    assert.has_error(function() image.resize(noise(4, 4), 3, "cubicle") end)
    assert.has_error(function() image.to_image(core.zeros(2, 3, 4, 5)) end)
  end)
end)


describe("resizing", function()
  it("gives Pillow's bytes for every filter, growing and shrinking", function()
    local probe = "LD_PRELOAD= /usr/bin/python3 -c 'import PIL' 2>/dev/null"
    if os.execute(probe) ~= true then
      pending "python3-pil is not installed"
      return
    end
    local picture, out = noise(23, 31, 5), os.tmpname()
    assert(image.save(tmp, picture))
    local filters = { "nearest", "box", "bilinear", "hamming", "bicubic", "lanczos" }
    for _, filter in ipairs(filters) do
      for _, size in ipairs { { 7, 40 }, { 23, 5 }, { 64, 64 }, { 1, 1 } } do
        local code = ([[LD_PRELOAD= /usr/bin/python3 -c "
from PIL import Image
im = Image.open('%s').resize((%d, %d), Image.Resampling.%s)
open('%s', 'wb').write(im.tobytes())"]]):format(tmp, size[2], size[1],
                                                filter:upper(), out)
        assert.is_true(os.execute(code))
        local f = assert(io.open(out, "rb"))
        local want = core.from_bytes(f:read "a", "u8", size[1], size[2], 3)
        f:close()
        local got = image.resize(picture, size, filter)
        for c = 1, 3 do
          for y = 1, size[1] do
            for x = 1, size[2] do
              assert.equal(want:get(y, x, c), got:get(c, y, x))
            end
          end
        end
      end
    end
    os.remove(out)
    os.remove(tmp)
  end)

  it("cuts out parts", function()
    local t = noise(6, 8)
    local part = image.crop(t, 2, 1, 3, 4)
    assert.same({ 3, 4, 3 }, part:shape())
    assert.equal(t:get(2, 2, 3), part:get(2, 1, 1))
    assert.equal(t:get(3, 5, 5), part:get(3, 4, 3))
    assert.has_error(function() image.crop(t, 6, 0, 3, 1) end)
  end)
end)


describe("preprocessing", function()
  it("computes what keras' modes say, by hand", function()
    local t = core.tensor { { { 10 } }, { { 20 } }, { { 200 } } }
    local function values(spec) return image.preprocess(t, spec):view(3):totable() end
    local function near(want, got)
      for c = 1, 3 do assert.near(want[c], got[c], 1e-5) end
    end
    near({ 200 - 103.939, 20 - 116.779, 10 - 123.68 }, values "caffe")
    near({ (10 / 255 - 0.485) / 0.229, (20 / 255 - 0.456) / 0.224,
           (200 / 255 - 0.406) / 0.225 }, values "torch")
    near({ 10 / 127.5 - 1, 20 / 127.5 - 1, 200 / 127.5 - 1 }, values "tf")
    near({ 200 / 255, 20 / 255, 10 / 255 }, values { order = "bgr", scale = 1 / 255 })
    near({ (10 - 1) / 2, (20 - 2) / 2, (200 - 3) / 2 },
         values { mean = { 1, 2, 3 }, std = 2 })
  end)

  it("is undone by deprocess", function()
    local t = noise(16, 16)
    for _, spec in ipairs { "caffe", "torch", "tf", { scale = 1 / 255 } } do
      local back = image.deprocess(image.preprocess(t, spec), spec)
      assert.is_true(back[1]:same(t))
    end
  end)

  it("stretches with nearest by default and crops the middle on request", function()
    local t = core.zeros(3, 40, 80)
    for x = 1, 80 do
      for y = 1, 40 do t:set(1, y, x, x * 3) end
    end
    local x = image.preprocess(t, {}, { 4, 4 })
    -- nearest: the centres of four parts of 20 columns
    assert.equal(11 * 3, x:get(1, 1, 1, 1))
    x = image.preprocess(t, { fit = "crop", crop_pct = 1, filter = "nearest" }, 40)
    assert.equal(21 * 3, x:get(1, 1, 1, 1)) -- 20 columns off each side
    assert.equal(60 * 3, x:get(1, 1, 1, 40))
    assert.same({ 3, 40, 40 }, x.pictures[1]:shape())
  end)

  it("pads to the whole picture, on the colour that becomes 0", function()
    local t = core.zeros(3, 20, 40) + 255
    local x = image.preprocess(t, { fit = "pad", mean = { 100, 50, 25 } }, 40)
    assert.equal(0, x:get(1, 1, 1, 1)) -- ten rows above and below
    assert.equal(0, x:get(1, 3, 40, 40))
    assert.equal(155, x:get(1, 1, 20, 20))
    assert.same({ 100, 50, 25 }, { x.pictures[1]:get(1, 1, 1),
      x.pictures[1]:get(2, 1, 1), x.pictures[1]:get(3, 1, 1) })
    x = image.preprocess(t, { fit = "pad", mean = { 100, 50, 25 }, order = "bgr" }, 40)
    assert.equal(25, x.pictures[1]:get(1, 1, 1)) -- the mean is in the network's order
  end)

  it("turns as EXIF says, all eight ways", function()
    local fit = require "lunette.picture.fit"
    local t = core.tensor { { { 1, 2, 3 }, { 4, 5, 6 } } }
    local want = {
      { { 1, 2, 3 }, { 4, 5, 6 } }, { { 3, 2, 1 }, { 6, 5, 4 } },
      { { 6, 5, 4 }, { 3, 2, 1 } }, { { 4, 5, 6 }, { 1, 2, 3 } },
      { { 1, 4 }, { 2, 5 }, { 3, 6 } }, { { 4, 1 }, { 5, 2 }, { 6, 3 } },
      { { 6, 3 }, { 5, 2 }, { 4, 1 } }, { { 3, 6 }, { 2, 5 }, { 1, 4 } },
    }
    for orientation, rows in ipairs(want) do
      assert.is_true(fit.oriented(t, orientation):same(core.tensor { rows }),
                     "orientation " .. orientation)
    end
  end)

  it("warns of pictures of 0..1, and shows one channel as it is seen", function()
    local lu, support = require "lunette", dofile "tests/lua/support.lua"
    local net = lu.net { input = { 1, 4, 4 }, layers = { { "relu", "relu" } },
                         preprocessing = { scale = 1 } }
    local warned = support.warnings(net.images, net, { core.uniform(1, 0, 3, 4, 4) })
    assert.equal(1, #warned)
    assert.matches("pictures have 0 .. 255", warned[1])
    local path = os.tmpname()
    warned = support.warnings(lu.image.save, path, core.uniform(1, 0, 3, 4, 4))
    assert.matches("pictures have 0 .. 255", warned[1])
    assert.equal(0, #support.warnings(lu.image.save, path, core.ones(3, 4, 4)))
    os.remove(path)
    local none, x = support.warnings(net.images, net,
                                     { core.uniform(1, 0, 3, 4, 4) * 255 })
    assert.equal(0, #none)
    local p = x.pictures[1]
    assert.equal(p:get(1, 2, 2), p:get(3, 2, 2))
    assert.is_true(p[1]:distance(x[1][1]) < 1e-6)
  end)

  it("names what it does not know, and the nearest", function()
    local function message(spec)
      local ok, e = pcall(preprocessing.spec, spec)
      assert.is_false(ok)
      return e
    end
    assert.truthy(message "cafe":find "did you mean 'caffe'")
    assert.truthy(message({ ordr = "rgb" }):find "did you mean 'order'")
    assert.truthy(message({ order = "rbg" }):find "rgb, bgr")
    assert.truthy(message({ mean = { 1, 2 } }):find "mean")
  end)

  it("makes a network's input from paths and pictures", function()
    local net = { input = { 3, 8, 8 }, preprocessing = { scale = 1 / 255 } }
    assert(image.save(tmp, noise(8, 8, 3)))
    local x = assert(batch(net, { tmp, noise(20, 10) }))
    assert.same({ 2, 3, 8, 8 }, x:shape())
    assert.same({ tmp, "picture 2" }, x.names)
    assert.is_true(x.pictures[1]:same(noise(8, 8, 3)))
    assert.same({ 1, 3, 8, 8 }, assert(batch(net, { image = tmp })):shape())
    local none, message = batch(net, { "/no/such" })
    assert.is_nil(none)
    assert.truthy(message:find "No such file")
    assert.same({ 2, 1, 8, 8 }, assert(batch(
      { input = { 1, 8, 8 } }, { noise(8, 8), noise(8, 8) })):shape())
    os.remove(tmp)
  end)
end)


describe("EXIF rotation", function()
  it("is warned about and left alone", function()
    -- an eXIf chunk with orientation 6 behind the header; its checksum is not read
    assert(image.save(tmp, noise(4, 6)))
    local f = assert(io.open(tmp, "rb"))
    local bytes = f:read "a"
    f:close()
    os.remove(tmp)
    local tiff = "MM\0*" .. (">I4I2I2I2I4I2I2I4"):pack(8, 1, 0x0112, 3, 1, 6, 0, 0)
    local chunk = (">I4"):pack(#tiff) .. "eXIf" .. tiff .. "\0\0\0\0"
    bytes = bytes:sub(1, 33) .. chunk .. bytes:sub(34)
    local said, before = nil, warn.sink
    warn.sink = function(message) said = message end
    local t, info = image.decode(bytes, "turned.png")
    warn.sink = before
    assert.equal(6, info.orientation)
    assert.same({ 3, 4, 6 }, t:shape())
    assert.truthy(said:find "turned.png")
    assert.truthy(said:find "orientation 6")
  end)
end)


describe("a side of a picture", function()
  local most, table_of = 16384, ("\0"):rep(768)
  for name, make in pairs {
    from_planes = function(h, w) return core.image.from_planes(core.zeros(3, h, w)) end,
    resize_map = function(h, w)
      return core.image.resize_map(core.zeros(h, w), 1, 1)
    end,
    colormap = function(h, w)
      return core.image.colormap(core.zeros(h, w), table_of, 0, 1)
    end,
    grey16 = function(h, w) return core.image.grey16(core.zeros(h, w), 0, 1) end,
  } do
    it("is as long as it may be, and no longer: " .. name, function()
      assert.truthy(make(most, 1))
      assert.truthy(make(1, most))
      for _, long in ipairs { { most + 1, 1 }, { 1, most + 1 } } do
        local ok, message = pcall(make, table.unpack(long))
        assert.is_false(ok)
        assert.matches("too large", message)
      end
    end)
  end
end)


describe("net:images", function()
  local lu = require "lunette"
  local function net(how)
    return lu.net { input = { 3, 20, 20 }, preprocessing = how,
                    layers = { { "r", "relu" } } }
  end
  local picture = (core.uniform(3, 1, 3, 60, 44) * 255):round()
  local function prepared(how, options)
    options.image = { picture }
    return assert(net(how):images(options)).prepared
  end

  it("keeps the network's filter where another fit alone is said", function()
    assert.equal("bilinear", prepared("torch", { fit = "stretch" }).filter)
    assert.equal("nearest", prepared("torch", { fit = "stretch", filter = "nearest" })
      .filter)
    assert.equal("nearest", prepared("caffe", { fit = "stretch" }).filter)
    assert.equal("bilinear", prepared("caffe", { fit = "pad" }).filter)
    local own = { fit = "crop", filter = "nearest" }
    assert.equal("nearest", prepared(own, { fit = "pad" }).filter)
    assert.equal("lanczos", prepared({ filter = "lanczos" }, { fit = "pad" }).filter)
  end)

  it("refuses options that it has not, but not those of a script", function()
    local ok, message = pcall(function()
      return net("tf"):images { image = { picture }, fill = "crop" }
    end)
    assert.is_false(ok)
    assert.matches("images: no option 'fill'; did you mean 'fit'", message)
    assert(net("tf"):images { image = { picture }, given = {}, classes = "1" })
  end)
end)


describe("the photographs of the lab report", function()
  local root = os.getenv "LUNETTE_SHARED" or "../shared"
  local hen = root .. "/images/n01514859_hen.JPEG"

  it("are read as they are", function()
    local f = io.open(hen, "rb")
    if not f then
      pending "the shared material is absent"
      return
    end
    f:close()
    local t, info = assert(image.load(hen))
    assert.same({ 3, 333, 500 }, t:shape())
    assert.equal("JPEG", info.format)
    local s = t:stats()
    assert.is_true(s.min >= 0 and s.max <= 255 and s.max > 200)
  end)
end)
