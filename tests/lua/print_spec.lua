-- Tensors are printed as numpy prints float32, to the letter.
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local nan, inf = 0 / 0, math.huge

local tensors = {
  ints = lu.range(1, 12):view(3, 4), scalar_like = lu.tensor { 3.5 },
  mixed = lu.tensor { { 1, 2.5, -3 }, { 0, 0.125, 1e-3 } },
  floats = lu.normal({ 4, 3 }, { seed = 1 }), long = lu.normal({ 30 }, { seed = 2 }),
  wide = lu.uniform({ 2, 25 }, { seed = 3 }) * 100,
  deep = lu.normal({ 2, 3, 2, 2 }, { seed = 4 }),
  small = lu.tensor { 1e-5, 2e-6, 0 }, large = lu.tensor { 1e9, 2.5e10, -1 },
  apart = lu.tensor { 0.01, 25, -1000.5 }, edge = lu.tensor { 0.5, 500, 0 },
  odd = lu.tensor { 1, nan, inf, -inf, -2 }, only_odd = lu.tensor { nan, -inf },
  odd_apart = lu.tensor { 1e-6, nan, -inf, 1 }, zeros = lu.zeros(2, 3),
  negative = lu.tensor { -0.25, -100, 7 }, bytes = lu.uniform(3, 4, 5) * 255,
  seventh = lu.tensor { 1 / 7, 2 / 3, 100 / 3 },
  whole = lu.tensor { 16777216, 67108872 },
  summary = lu.normal({ 40, 50 }, { seed = 5 }),
  line = lu.normal({ 2000 }, { seed = 6 }),
  batch = lu.normal({ 8, 3, 20, 20 }, { seed = 7 }) * 0.1,
  few_rows = lu.normal({ 2, 900 }, { seed = 8 }), column = lu.normal({ 1200, 1 },
                                                                     { seed = 9 }),
}


---What numpy prints of each, or nil where there is no numpy.
local function by_numpy(folder)
  local python = "LD_PRELOAD= /usr/bin/python3"
  if os.execute(python .. " -c 'import numpy' 2>/dev/null") ~= true then return nil end
  local code = { "import numpy" }
  for name, x in pairs(tensors) do
    assert(lu.npy.write(("%s/%s.npy"):format(folder, name), x))
    code[#code + 1] = ("open('%s/%s.txt', 'w').write(str(numpy.load('%s/%s.npy')))")
      :format(folder, name, folder, name)
  end
  t.spit(folder .. "/all.py", table.concat(code, "\n"))
  assert(os.execute(("%s '%s/all.py'"):format(python, folder)))
  local said = {}
  for name in pairs(tensors) do
    said[name] = t.read(("%s/%s.txt"):format(folder, name))
  end
  return said
end


describe("printing as numpy", function()
  local folder, done = t.folder()
  local said = by_numpy(folder)
  done()

  for name, x in pairs(tensors) do
    it(name, function()
      if not said then return pending "python3-numpy is not installed" end
      local head, text = tostring(x):match "^([^\n]*)\n(.*)$"
      assert.matches("Tensor %(" .. table.concat(x:shape(), ", ") .. "%)", head)
      assert.equal(said[name], text)
    end)
  end

  it("in the session a tensor's value with the fewest digits that mean it", function()
    local number = require("lunette.repl.print").number
    for _, v in ipairs((lu.normal({ 500 }, { seed = 3 }) * 1e3):totable()) do
      local text = number(v)
      assert.equal(v, lu.tensor { tonumber(text) }:item())
      local digits = #text:gsub("e.*", ""):gsub("%D", ""):gsub("^0+", "")
      local shorter = ("%%.%dg"):format(digits - 1):format(v)
      assert.is_true(digits <= 6 or lu.tensor { tonumber(shorter) }:item() ~= v, text)
    end
    assert.equal("0.5019608", number(lu.tensor { 128 / 255 }:item()))
    assert.equal("0.33333333333333", number(1 / 3)) -- a double is Lua's own
    assert.equal("nan inf 1e+300 -2.0 7", table.concat({ number(0 / 0):gsub("-", ""),
      number(1 / 0), number(1e300), number(-2.0), number(7) }, " "))
  end)

  it("a number, a released one, and in a line of text", function()
    assert.matches("\n%[6%.%]$", tostring(lu.tensor { 1, 2, 3 }:sum()))
    local x = lu.zeros(3)
    x:release()
    assert.equal("Tensor (released)", tostring(x))
    assert.matches("got a tensor %(2%)[^\n]*$", t.message(x.split, lu.ones(4),
                                                        lu.ones(2)))
  end)
end)
