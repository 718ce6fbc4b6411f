-- Colour maps: end points and middles as matplotlib 3.6 has them.
local colormap = require "lunette.picture.colormap"
local core = require "lunette.core"

-- first, 65th, 129th, 193rd, last entry: floor(255.999 v) of matplotlib's tables
local known = {
  viridis = { { 68, 1, 84 }, { 58, 82, 139 }, { 32, 144, 140 }, { 94, 201, 97 },
              { 253, 231, 36 } },
  magma = { { 0, 0, 3 }, { 81, 18, 124 }, { 182, 54, 121 }, { 251, 136, 97 },
            { 251, 252, 191 } },
  inferno = { { 0, 0, 3 }, { 87, 15, 109 }, { 187, 55, 84 }, { 249, 142, 8 },
              { 252, 254, 164 } },
  plasma = { { 12, 7, 134 }, { 126, 3, 167 }, { 203, 71, 119 }, { 248, 149, 64 },
             { 239, 248, 33 } },
  turbo = { { 48, 18, 59 }, { 41, 187, 235 }, { 163, 252, 60 }, { 251, 126, 33 },
            { 122, 4, 2 } },
  jet = { { 0, 0, 127 }, { 0, 128, 255 }, { 125, 255, 121 }, { 255, 148, 0 },
          { 127, 0, 0 } },
  coolwarm = { { 58, 76, 192 }, { 141, 175, 253 }, { 221, 220, 219 }, { 243, 152, 121 },
               { 179, 3, 38 } },
  seismic = { { 0, 0, 76 }, { 1, 1, 255 }, { 255, 253, 253 }, { 254, 0, 0 },
              { 127, 0, 0 } },
  gray = { { 0, 0, 0 }, { 64, 64, 64 }, { 128, 128, 128 }, { 192, 192, 192 },
           { 255, 255, 255 } },
}

---The sum of place times value over the 768 bytes of each.
local sums = { coolwarm = 49684741, gray = 50232960, inferno = 39738062, jet = 36904727,
               magma = 44836829, plasma = 42620664, seismic = 34329349,
               turbo = 36840799, viridis = 37130007 }


describe("colour maps", function()
  it("have matplotlib's colours within 2 of 255", function()
    for name, rows in pairs(known) do
      local t = assert(colormap.get(name))
      assert.equal(768, #t)
      for i, at in ipairs { 0, 64, 128, 192, 255 } do
        for c = 1, 3 do
          assert.near(rows[i][c], t:byte(at * 3 + c), 2, name .. " " .. at .. " " .. c)
        end
      end
    end
  end)

  it("are straight where they are lines, to the level", function()
    local gray, seismic = colormap.get "gray", colormap.get "seismic"
    for i = 0, 255 do
      assert.equal(string.char(i, i, i), gray:sub(3 * i + 1, 3 * i + 3))
      local x = i / 255 -- blue rises from 0.3 to 1 in the first quarter
      local blue = x <= 0.25 and 0.3 + 2.8 * x or x <= 0.5 and 1
        or x <= 0.75 and 4 * (0.75 - x) or 0
      assert.equal(math.floor(255 * blue + 0.5), seismic:byte(3 * i + 3), i)
    end
  end)

  -- each map as it was when it was held against matplotlib's
  it("do not move by a level", function()
    for name, sum in pairs(sums) do
      local s = 0
      for i, v in ipairs { colormap.get(name):byte(1, -1) } do s = s + i * v end
      assert.equal(sum, s, name)
    end
  end)

  it("are listed, reversed by _r, and suggested", function()
    assert.equal(9, #colormap.names - (colormap.get "redden" and 1 or 0)) -- see below
    local t, r = colormap.get "viridis", colormap.get "viridis_r"
    assert.equal(t:sub(1, 3), r:sub(-3))
    local none, message = colormap.get "viridos"
    assert.is_nil(none)
    assert.truthy(message:find "did you mean 'viridis'")
  end)

  it("colour a map from its least to its greatest value", function()
    local p = colormap.apply(core.tensor { { -1, 0, 1 } }, "gray")
    assert.same({ { { 0, 128, 255 } }, { { 0, 128, 255 } }, { { 0, 128, 255 } } },
                p:totable())
    p = colormap.apply(core.tensor { { -1, 0, 1 } }, "gray", 0, 2)
    assert.equal(0, p:get(1, 1, 1))
    assert.equal(128, p:get(1, 1, 3))
  end)

  it("can be one's own", function()
    colormap.define("redden", { { 0, 0, 0, 0 }, { 1, 1, 0, 0 } })
    assert.equal("\255\0\0", colormap.get("redden"):sub(-3))
    assert.has_error(function() colormap.define("x", { { 0.5, 0, 0, 0 } }) end)
  end)
end)


describe("numbers beside a colour bar", function()
  local ticks = require "lunette.picture.ticks"

  local function texts(lo, hi, most)
    local list, power = ticks.of(lo, hi, most)
    local out = {}
    for i, t in ipairs(list) do out[i] = t.text end
    return table.concat(out, " "), power
  end

  it("are round and short", function()
    assert.equal("0.0 0.2 0.4 0.6 0.8 1.0", (texts(0, 1, 6)))
    assert.equal("−1.0 −0.5 0.0 0.5 1.0", (texts(-1, 1, 6)))
    assert.equal("0 20 40 60 80", (texts(0, 87.3, 6)))
    assert.equal("3", (texts(3, 3)))
  end)

  it("share a power of ten when they are tiny or huge", function()
    local text, power = texts(-3.1e-4, 3.1e-4, 5)
    assert.equal("−2 0 2", text)
    assert.equal("×10⁻⁴", power)
    text, power = texts(0, 2.5e6, 5)
    assert.equal("0 1 2", text)
    assert.equal("×10⁶", power)
  end)
end)
