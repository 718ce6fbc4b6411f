-- Photographs that their camera says are to be turned: all eight orientations of EXIF,
-- in JPEG and PNG as Pillow writes them, through the reader, a network and the program,
-- beside the pictures as Pillow turns them. And what a picture's story says of that.
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local script = [[
import sys, numpy as np
from PIL import Image, ImageOps
y, x = np.mgrid[0:60, 0:88]
a = np.stack([x * 2, y * 4, 255 - x - y], 2).astype(np.uint8)
a[5:25, 8:40] = [200, 40, 30]
im = Image.fromarray(a)
for n in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = n
    for kind, more in ("png", {}), ("jpg", {"quality": 98, "subsampling": 0}):
        path = "%s/%d.%s" % (sys.argv[1], n, kind)
        im.save(path, exif=exif, **more)
        back = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        back.save("%s/%d_%s_upright.png" % (sys.argv[1], n, kind))
]]

local python = "/usr/bin/python3"
local can = t.other(python .. " -c 'from PIL import ImageOps'") == 0


describe("a photograph turned by its camera", function()
  if not can then return pending "python3 with Pillow" end
  local folder, done, net
  setup(function()
    folder, done = t.folder()
    t.spit(folder .. "/make.py", script)
    local code, text = t.other(("%s '%s/make.py' '%s'"):format(python, folder, folder))
    assert(code == 0, text)
    net = assert(lu.load "glyphs")
  end)
  teardown(function() done() end)

  local function images(file, orient)
    return (assert(net:images { image = folder .. "/" .. file, orient = orient }))
  end

  for n = 1, 8 do
    it("is upright for the network where that is asked for: " .. n, function()
      for _, kind in ipairs { "png", "jpg" } do
        local file = ("%d.%s"):format(n, kind)
        local got = images(file, true)
        local want = images(("%d_%s_upright.png"):format(n, kind))
        assert.is_true(got:same(want), file)
        if n > 1 then
          assert.is_true(images(file):distance(want) > 0.05, file)
        end
      end
    end)
  end

  it("is turned by --orient, and its story says so", function()
    local function map(name, flags)
      local out = folder .. "/" .. name .. ".png"
      local code, text = t.program(("explain --model glyphs --class 3 %s -o '%s'")
        :format(flags, out))
      assert.equal(0, code, text)
      local text_of = t.read(folder .. "/" .. name .. ".json")
      local story = require("lunette.base.json").decode(text_of)
      local row = story.rows[2]
      return assert(lu.npy.read(folder .. "/" .. row.npy[1])), row.story, text
    end
    local turned, story = map("turned", ("'%s/6.png' --orient"):format(folder))
    assert.is_true(story.oriented)
    assert.equal("stretch", story.fit)
    assert.is_string(story.filter)
    local upright = map("upright", ("'%s/6_png_upright.png'"):format(folder))
    assert.is_true(turned:same(upright))
    local stored, plain, text = map("stored", ("'%s/6.png' --fit pad"):format(folder))
    assert.matches("orientation 6%) and used as stored", text)
    assert.is_nil(plain.oriented)
    assert.equal("pad", plain.fit)
    assert.is_false(turned:same(stored))
  end)
end)
