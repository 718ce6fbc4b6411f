-- .npy files: there and back, and what NumPy says to them.
local core = require "lunette.core"
local npy = require "lunette.picture.npy"

local tmp = os.tmpname()


describe("npy", function()
  teardown(function() os.remove(tmp) end)

  it("keeps shape and bits", function()
    for _, shape in ipairs { { 5 }, { 3, 4 }, { 2, 1, 7, 6 } } do
      local t = core.normal(1, 2, shape)
      assert(npy.write(tmp, t))
      local back = assert(npy.read(tmp))
      assert.same(shape, back:shape())
      assert.is_true(back:same(t))
    end
  end)

  it("has the header that the format demands", function()
    local bytes = npy.encode(core.tensor { { 1, 2, 3 } })
    assert.equal("\x93NUMPY\1\0", bytes:sub(1, 8))
    local length = ("<I2"):unpack(bytes, 9)
    assert.equal(0, (10 + length) % 64)
    local dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }"
    assert.truthy(bytes:find(dict, 1, true))
    assert.equal("\n", bytes:sub(10 + length, 10 + length))
    assert.equal(("<fff"):pack(1, 2, 3), bytes:sub(11 + length))
  end)

  it("reads float64 and refuses the rest", function()
    local bytes = npy.encode(core.tensor { 1, 2 })
    local doubles = bytes:gsub("<f4", "<f8"):sub(1, -9) .. ("<dd"):pack(0.5, -3)
    assert.same({ 0.5, -3 }, assert(npy.decode(doubles)):totable())
    local function refused(text, word)
      local t, message = npy.decode(text)
      assert.is_nil(t)
      assert.truthy(message:find(word, 1, true), message)
    end
    refused("nonsense", "not a .npy")
    refused(bytes:sub(1, 30), "truncated")
    refused(bytes:sub(1, -2), "bytes of data")
    refused((bytes:gsub("<f4", "<i8")), "<i8")
    refused((bytes:gsub("False,", "True, ")), "Fortran")
    assert.is_nil(npy.read "/no/such.npy")
  end)

  it("is read by NumPy", function()
    local probe = "LD_PRELOAD= /usr/bin/python3 -c 'import numpy' 2>/dev/null"
    if os.execute(probe) ~= true then
      pending "python3-numpy is not installed"
      return
    end
    assert(npy.write(tmp .. ".npy", core.range(0, 5):view(2, 3)))
    local code = "import numpy; a = numpy.load('%s.npy'); "
      .. "print(a.dtype, a.shape, a.tolist())"
    code = ('LD_PRELOAD= /usr/bin/python3 -c "' .. code .. '"'):format(tmp)
    local p = assert(io.popen(code))
    assert.equal("float32 (2, 3) [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]", p:read "l")
    p:close()
    os.remove(tmp .. ".npy")
  end)
end)
