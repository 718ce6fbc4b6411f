-- A JPEG is to the bit what libjpeg makes of it, which decodes the photographs that
-- networks are trained and evaluated with: every sampling of colours, sizes that end
-- within a block, all qualities, progressive, grey and CMYK. Pillow writes and reads.
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local script = [[
import io, sys
import numpy as np
from PIL import Image

rng = np.random.default_rng(5)
y, x = np.mgrid[0:80, 0:80]
smooth = np.stack([128 + 90 * np.sin(x / 9), 128 + 80 * np.cos(y / 7 + x / 13),
                   (x * 3 + y * 2) % 256], 2)


def put(name, data):
    path = "%s/%s." % (sys.argv[1], name)
    open(path + "jpg", "wb").write(data)
    rgb = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.save(path + "npy", rgb.astype("f4").transpose(2, 0, 1).copy())


def written(mode, w, h, noise, **options):
    a = rng.integers(0, 256, (h, w, 3)) if noise else smooth[:h, :w]
    b = io.BytesIO()
    Image.fromarray(a.astype("u1")).convert(mode).save(b, "JPEG", **options)
    return b.getvalue()


def sampled(data, factors):  # the same blocks as another sampling of the luminance
    at = data.find(b"\xff\xc0") + 11
    return data[:at] + bytes([factors]) + data[at + 1:]


qualities = [1, 5, 30, 75, 95, 100]
for i in range(90):
    mode = ["RGB", "RGB", "RGB", "L", "CMYK"][i % 5]
    options = {} if mode != "RGB" else {"subsampling": i % 3}
    put("%s%d" % (mode, i), written(mode, 1 + i * 7 % 40, 1 + i * 11 % 37, i % 2,
        quality=qualities[i % 6], progressive=i % 4 == 1, **options))
for i in range(4):
    for factors, subsampling in (0x12, 1), (0x41, 2), (0x14, 2):
        data = written("RGB", 64, 64, i % 2, quality=80, subsampling=subsampling)
        put("%x_%d" % (factors, i), sampled(data, factors))
]]

local python = "/usr/bin/python3"
local can = t.other(python .. " -c 'import numpy, PIL.Image'") == 0


describe("a JPEG", function()
  if not can then return pending "python3 with Pillow and numpy" end

  it("is read as libjpeg reads it, to the bit", function()
    local folder, done = t.folder()
    t.spit(folder .. "/make.py", script)
    local code, text = t.other(("%s '%s/make.py' '%s'"):format(python, folder, folder))
    assert(code == 0, text)
    local count = 0
    for file in require("lfs").dir(folder) do
      local name = file:match "^(.*)%.jpg$"
      if name then
        local got = assert(lu.image.load(folder .. "/" .. file))
        local want = assert(lu.npy.read(("%s/%s.npy"):format(folder, name)))
        local d = (got - want):stats()
        assert.same({ name, 0, 0 }, { name, d.min, d.max })
        count = count + 1
      end
    end
    done()
    assert.equal(102, count)
  end)
end)
