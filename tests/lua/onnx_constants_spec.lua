-- Operators on constants are computed when an ONNX file is read: each by hand.
local core = require "lunette.core"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"
local writer = dofile "tests/lua/onnx_writer.lua"

local folder, done = t.cache_folder()
teardown(done)


---What a file computes that adds op(constants) to a picture of zeros, {1, n}; or
---nil, message.
local function computed(op, inputs, attrs)
  local path, names, constants = folder .. "/constants.onnx", {}, {}
  for i, data in ipairs(inputs) do
    names[i] = "c" .. i
    constants[names[i]] = { { #data }, data }
  end
  writer.write(path, { input = { "x", { 1, 4 } }, outputs = { "y" },
    constants = constants,
    nodes = { { op, names, "c", attrs }, { "Cast", { "c" }, "f", { to = 1 } },
              { "Add", { "x", "f" }, "y" } } })
  local net, message = lu.load(path)
  if not net then return nil, message end
  return net:run(core.zeros(1, 4)).output:totable()[1]
end


local nan, inf = 0 / 0, 1 / 0
local a, b = { -2.5, 0., 1.5, 800. }, { 2., -0.5, 1.5, -3. }
local i, j = { -7, 7, -6, 5 }, { 2, -2, 3, 5 }
local e = math.exp(1)

for _, row in ipairs {
  { "Add", { a, b }, { -0.5, -0.5, 3, 797 } },
  { "Sub", { a, b }, { -4.5, 0.5, 0, 803 } },
  { "Mul", { a, { 2. } }, { -5, 0, 3, 1600 } },
  { "Div", { a, b }, { -1.25, 0, 1, -800 / 3 } },
  { "Div", { i, j }, { -3, -3, -2, 1 }, "towards 0" },
  { "Max", { a, b }, { 2, 0, 1.5, 800 } }, { "Min", { a, b }, { -2.5, -0.5, 1.5, -3 } },
  { "Max", { a, b, { 1. } }, { 2, 1, 1.5, 800 }, "of three" },
  { "Min", { a, b, { 1. } }, { -2.5, -0.5, 1, -3 }, "of three" },
  { "Min", { i, j }, { -7, -2, -6, 5 }, "of integers" },
  { "Sum", { a, b, { 1. } }, { 0.5, 0.5, 4, 798 } },
  { "Mod", { i, j }, { 1, -1, 0, 0 }, "with the divisor's sign", { fmod = 0 } },
  { "Mod", { i, j }, { -1, 1, 0, 0 }, "with the dividend's sign", { fmod = 1 } },
  { "Mod", { a, { 2. } }, { -0.5, 0, 1.5, 0 }, "of fractions", { fmod = 1 } },
  { "Pow", { { 2., 4., 0., -3. }, { 3., 0.5, 0., 3. } }, { 8, 2, 1, -27 } },
  { "Pow", { i, { 2 } }, { 49, 49, 36, 25 }, "of integers" },
  { "Neg", { a }, { 2.5, 0, -1.5, -800 } }, { "Abs", { a }, { 2.5, 0, 1.5, 800 } },
  { "Sqrt", { { 0., 4., 2.25, 1e6 } }, { 0, 2, 1.5, 1000 } },
  { "Exp", { { 0., 1., -1., -800. } }, { 1, e, 1 / e, 0 } },
  { "Log", { { 1., 2., 0.5, 8. } }, { 0, math.log(2), -math.log(2), 3 * math.log(2) } },
  { "Reciprocal", { { 2., -4., 0.5, 1. } }, { 0.5, -0.25, 2, 1 } },
  { "Floor", { a }, { -3, 0, 1, 800 } }, { "Ceil", { a }, { -2, 0, 2, 800 } },
  { "Sigmoid", { { 0., 1., -800., 800. } }, { 0.5, e / (1 + e), 0, 1 } },
  { "Tanh", { { 0., 0.5, -800., 800. } }, { 0, (e - 1) / (e + 1), -1, 1 } },
  { "Relu", { a }, { 0, 0, 1.5, 800 } },
  { "Cast", { a }, { -2, 0, 1, 800 }, "to integers", { to = 7 } },
  { "Cast", { a }, { 1, 0, 1, 1 }, "to truth", { to = 9 } },
} do
  local op, inputs, want, how, attrs = table.unpack(row, 1, 5)
  it(op .. " of constants" .. (how and ", " .. how or ""), function()
    local got = assert(computed(op, inputs, attrs))
    for n, v in ipairs(want) do -- to float32's last digit
      assert.near(v, got[n], 1e-7 * math.abs(v), "number " .. n)
    end
  end)
end


it("what has no answer among integers is refused with its node", function()
  local function says(pattern, ...)
    local _, message = computed(...)
    assert.matches(pattern, message or "it was read")
  end
  says("Div.*division by 0", "Div", { i, { 0 } })
  says("Mod.*division by 0", "Mod", { i, { 0 } }, { fmod = 1 })
  says("Mod.*division by 0", "Mod", { i, { 0 } })
  says("Cast.*NaN has no integer", "Cast", { { 1., nan } }, { to = 7 })
  says("Cast.*inf has no integer", "Cast", { { 1., inf } }, { to = 6 })
end)


it("NaN is not lost in a maximum or minimum: the file is refused", function()
  local function refused(op, inputs)
    local _, message = computed(op, inputs)
    assert.matches("not finite", message or "it was read")
  end
  for _, op in ipairs { "Max", "Min" } do
    refused(op, { { nan, 1., 2., 3. }, { 0. } })
    refused(op, { { 0. }, { nan, 1., 2., 3. } })
  end
  refused("Relu", { { nan, 1., 2., 3. } })
  refused("ReduceMax", { { nan, 1., 2., 3. } })
  refused("ReduceMin", { { nan, 1., 2., 3. } })
end)


it("joined values of other sizes are refused by their axis", function()
  local path = folder .. "/joined.onnx"
  local function joined(axis, shape)
    writer.write(path, { input = { "x", { 1, 3, 4, 4 } }, outputs = { "y" },
      nodes = { { "MaxPool", { "x" }, "p", { kernel_shape = shape, strides = shape } },
                { "Concat", { "x", "p" }, "y", { axis = axis } } } })
    local net, message = lu.load(path)
    return net and "fine" or message
  end
  assert.equal("fine", joined(1, { 1, 1 }))
  assert.equal("fine", joined(2, { 2, 1 }))
  assert.matches("4 and 2 on axis 2", joined(1, { 2, 1 }))
  assert.matches("4 and 2 on axis 3", joined(1, { 1, 2 }))
  assert.matches("4 and 2 on axis 3", joined(2, { 1, 2 }))
end)
