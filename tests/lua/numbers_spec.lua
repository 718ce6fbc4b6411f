-- Numbers at the edges of their types, at every place of the binding that takes one: an
-- error or an answer, never undefined behaviour (which a sanitizer's build ends at).
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"

local integers = { math.mininteger, math.mininteger + 1, -(1 << 62), -(1 << 31) - 1,
                   -(1 << 31), -1, 0, 1 << 53, 1 << 62, math.maxinteger - 1,
                   math.maxinteger }
local floats = { 0 / 0, math.huge, -math.huge, 1e300, -1e300, 2 ^ 31, -2 ^ 31 - 1,
                 2 ^ 53, 2 ^ 63, -2 ^ 63, 2 ^ 64, 1e-320, -0.0, 0.5 }
-- of these, shapes would be gigabytes that a machine may really have
local between = { 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 32) + 1 }


local function x() return core.normal(1, 1, 2, 3, 6, 6) end

local function m() return core.normal(1, 2, 4, 6) end

local function ones(...)
  local shape = { ... }
  return function() return core.ones(shape) end
end

local function image() return core.image.new(8, 6) end

local function taped()
  local tape = core.tape()
  tape:watch(m()):relu()
  return tape
end


local folder, done, path
setup(function()
  folder, done = t.folder()
  path = folder .. "/w.safetensors"
  assert(core.write_weights(path, { { "w", m() } }, "f32"))
end)
teardown(function() done() end)

local function weights() return (assert(core.weights(path))) end

local colours = ("\1"):rep(768)

-- Functions of the module: good arguments. `shape`: they are sizes of new memory.
local functions = {
  full = { shape = true, { 1.5, 2, 3 } },
  zeros = { shape = true, { 2, 3 }, { { 2, 3 } } },
  ones = { shape = true, { 2, 3 } },
  range = { shape = true, { 1, 4, 0.5 } },
  from_bytes = { shape = true, { ("\0"):rep(24), "f32", 2, 3 }, { "abcdef", "u8", 6 } },
  uniform = { shape = true, { 1, 2, 2, 3 } },
  normal = { shape = true, { 1, 2, 2, 3 } },
  tensor = { { { { 1, 2 }, { 3, 4 } } } },
  shape = { { "conv2d", { { 1, 3, 8, 8 }, { 4, 3, 3, 3 } },
              { stride = 1, padding = 1 } } },
  threads = { { 2 } },
  fail_at = { { 0 } },
  memory_limit = { { 1 << 30 } },
  is_tty = { { 0 } },
  term_size = { { 1 } },
}

local pictures = {
  new = { shape = true, { 4, 5, 0xffffff } },
  to_planes = { { function() return { image() } end,
                  { mean = { 1, 2, 3 }, std = { 4, 5, 6 }, scale = 0.5 } } },
  from_planes = { { function() return core.normal(1, 1, 3, 4, 5) end,
                    { mean = { 1, 2, 3 }, std = { 4, 5, 6 }, scale = 2 } } },
  percentile = { { m, 99 } },
  resize_map = { shape = true, { m, 7, 9, "lanczos" } },
  colormap = { { m, colours, 0, 1 } },
  text_width = { { 12, "text" } },
  text_height = { { 12 } },
}

-- Methods: what makes the object, then good arguments.
local tensor_methods = {
  dim = { m, { 1 } }, get = { m, { 1, 2 } }, set = { m, { 1, 2, 0.5 } },
  rows = { m, { 1, 2 } }, view = { m, { 3, 8 }, { { 6, 4 } } }, fill_ = { m, { 1.5 } },
  add_ = { m, { m, 0.5 } }, mul_ = { m, { 2 } },
  adam_ = { m, { m, m, m, { step = 1, rate = 0.1, beta1 = 0.9, beta2 = 0.99,
                            eps = 1e-8, decay = 0.1, scale = 2 } } },
  sgd_ = { m, { m, m, { rate = 0.1, momentum = 0.9, decay = 0.1, scale = 2 } } },
  paste_ = { m, { ones(2, 2), 2, 3 } },
  avg_pool2d = { x, { { kernel = 2, stride = 2, padding = 1, padding_end = 0,
                         ceil_mode = 1, dilation = 1, count_include_pad = 1 } },
                 { 2, 1, 0 } },
  max_pool2d = { x, { { kernel = { 2, 3 }, stride = { 1, 2 }, padding = { 1, 1 },
                         padding_end = 1, ceil_mode = 0, dilation = 1 } },
                 { 2, 2, 1 } },
  max_pool2d_places = { x, { { kernel = { 2, 3 }, stride = { 1, 2 },
                               padding = { 1, 1 }, padding_end = 1, ceil_mode = 0,
                               dilation = 1 } }, { 2, 2, 1 } },
  batch_norm = { x, { ones(3), ones(3), ones(3), ones(3), { eps = 1e-5 } } },
  clamp = { m, { -1, 1 }, { { min = -1, max = 1 } } },
  concat = { m, { m, { dim = 1 } } },
  conv2d = { x, { ones(4, 3, 3, 3), nil,
                  { stride = 2, padding = { 1, 1 }, padding_end = { 0, 1 },
                    dilation = 1, groups = 1 } } },
  conv_transpose2d = { x, { ones(3, 4, 3, 3), nil,
                            { stride = 2, padding = 1, output_padding = 1, dilation = 1,
                              groups = 1 } } },
  dropout = { m, { 0.5 } },
  hard_sigmoid = { m, { 0.2, 0.5 } },
  elu = { m, { 1.5 } }, leaky_relu = { m, { 0.1 } }, pow = { m, { 2.5 } },
  expand = { shape = true, ones(1, 6), { 4, 6 }, { { 4, 6 } } },
  flatten = { x, { 2 } }, flip = { m, { 1 }, { { dims = { 1, 2 } } } },
  gather = { m, { ones(4, 6), { dim = 2 } } },
  scatter_add = { m, { ones(4, 6), m, { dim = 2 } } },
  layer_norm = { m, { ones(6), ones(6), { dim = 2, last = 2, eps = 1e-5 } } },
  affine = { x, { { matrix = { 1, 0.5, -0.5, 1 }, value = 0.5, mirror = 0 } } },
  index_select = { m, { ones(3), { dim = 2 } } },
  irfft2 = { m, { { width = 11 } } },
  interpolate = { shape = true, x,
                  { { size = { 7, 9 }, mode = 1, align_corners = 0 } } },
  log_softmax = { m, { 2 } }, softmax = { m, { 2 } },
  lrn = { x, { { size = 3, alpha = 1e-4, beta = 0.75, k = 1 } }, { 3, 1e-4, 0.75, 1 } },
  max = { m, { 1 }, { { dims = { 1 } } } }, min = { m, { 1 } }, mean = { m, { 1 } },
  sum = { m, { { dims = { 1, 2 } } } }, narrow = { m, { 1, 2, 2 } },
  pad = { shape = true, m, { { before = { 1, 2 }, after = { 2, 1 }, value = 0.5 } },
          { 1, 2, 3, 4 } },
  permute = { m, { 2, 1 } }, reshape = { m, { 3, 8 }, { { 2, -1 } } },
  roll = { m, { 1, 2 }, { { 1, 2 } } },
  add = { m, { 2 } }, sub = { m, { 2 } }, mul = { m, { 2 } }, div = { m, { 2 } },
  maximum = { m, { 0 } }, minimum = { m, { 0 } },
  softplus = { m, { 2 } },
  matmul = { m, { ones(4, 5), 1, 0 } },
}
local picture_methods = {
  get = { image, { 1, 2 } }, resize = { shape = true, image, { 5, 4, "lanczos" } },
  crop = { image, { 1, 1, 3, 2 } }, fill = { image, { 1, 1, 3, 2, 0xff0000 } },
  paste = { image, { image, 1, 2 } }, blend = { image, { image, 1, 2, 0.5 } },
  text = { image, { 1, 5, 9, 0xff, "text" } },
}
local tape_methods = { forget = { taped, { 0 } }, node = { taped, { 1 } },
                       box = { taped, { 1 } } }
local weights_methods = { tensor = { weights, { 1 } } }


---The arguments, anew, with `value` at one place of those that are numbers; false when
---there are fewer places.
local function with(args, place, value)
  local n = 0
  local function copy(v)
    if type(v) == "function" then return v() end
    if type(v) == "number" then
      n = n + 1
      return n == place and value or v
    end
    if type(v) ~= "table" then return v end
    local c, keys = {}, {}
    for k in pairs(v) do keys[#keys + 1] = k end
    table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
    for _, k in ipairs(keys) do c[k] = copy(v[k]) end
    return c
  end
  local list, last = {}, 0
  for k in pairs(args) do last = math.max(last, k) end
  for i = 1, last do list[i] = copy(args[i]) end
  return n >= place and list, last
end


---Calls f once: it answers, raises or gives a message.
local function call(what, f, object, list, last)
  if object then table.insert(list, 1, object) end
  local ok, message = pcall(f, table.unpack(list, 1, last + (object and 1 or 0)))
  assert(ok or type(message) == "string" and #message > 0, what)
  core.interrupt(false)
  return ok, message
end


---The numbers that are tried: all, or none that would be gigabytes as a size.
local function edges(is_size)
  local list = table.move(integers, 1, #integers, 1, {})
  for _, v in ipairs(floats) do
    if not (is_size and v >= 2 ^ 31 and v < 2 ^ 53) then list[#list + 1] = v end
  end
  return is_size and list or table.move(between, 1, #between, #list + 1, list)
end


---Calls f with each edge at each place. As it is meant the call works.
local function at_edges(what, f, case, make)
  local tried = 0
  for _, args in ipairs(case) do
    local place = 1
    assert(call(what, f, make and make(), with(args, 0)))
    while with(args, place, 1) do
      for _, v in ipairs(edges(case.shape)) do
        call(what, f, make and make(), with(args, place, v))
        tried = tried + 1
      end
      place = place + 1
    end
  end
  collectgarbage()
  assert(tried > 0, what .. ": no number")
end


local function describe_calls(title, table_of, cases, is_method)
  describe(title, function()
    for name, case in pairs(cases) do
      it("take any number in " .. name, function()
        local threads, limit = core.threads(), core.memory_limit()
        local f = assert(table_of()[name], "no such function: " .. name)
        local make = is_method and case[1]
        local lists = { shape = case.shape, table.unpack(case, make and 2 or 1) }
        at_edges(name, f, lists, make)
        core.fail_at(0)
        core.threads(threads)
        core.memory_limit(limit)
        assert.equal(2, core.ones(2):sum():item()) -- and life goes on
      end)
    end
  end)
end


local function methods(make)
  return function()
    local meta = getmetatable(make())
    return meta.methods or meta.__index
  end
end


describe_calls("functions of the core", function() return core end, functions)
describe_calls("functions of pictures", function() return core.image end, pictures)
describe_calls("methods of tensors", methods(m), tensor_methods, true)
describe_calls("methods of pictures", methods(image), picture_methods, true)
describe_calls("methods of tapes", methods(taped), tape_methods, true)
describe_calls("methods of weights", methods(weights), weights_methods, true)


describe("rules of relevance", function()
  for _, op in ipairs { "conv2d", "linear", "add" } do
    it("take any number as parameters in " .. op, function()
      local tape = core.tape()
      local operands = { conv2d = { x(), core.ones(4, 3, 3, 3) }, add = { x(), x() },
                         linear = { m(), core.ones(5, 6) } }
      local a, b = table.unpack(operands[op])
      local y = tape:watch(a)[op](tape:watch(a), b)
      local node, tried = tape:node(y:node()), 0
      for rule, parameters in pairs(core.op_info(op).parameters or {}) do
        for _, parameter in ipairs(parameters) do
          for _, list in ipairs { integers, floats, between } do
            for _, v in ipairs(list) do
              local ok, message = pcall(node.backward, node, core.ones(y:shape()),
                                        { rule = rule, [parameter[1]] = v })
              assert(ok or type(message) == "string")
              tried = tried + 1
            end
          end
        end
      end
      assert(tried > 30)
    end)
  end
end)


describe("the list of these calls", function()
  it("has every operator with attributes", function()
    for name in pairs(core.ops) do
      local info = core.op_info(name)
      for _, attr in ipairs(info.attrs) do
        assert(info.words[attr] or tensor_methods[name], name .. " is not in the list")
      end
    end
  end)
end)


describe("a rule of a path", function()
  local rules = require("lunette.explain.paths").rules


  ---What a rule of n steps says of the integral of x^power from 0 to 1.
  local function integral(name, n, power)
    local alphas, shares = rules[name](n)
    local sum = 0
    for i = 1, n do sum = sum + shares[i] * alphas[i] ^ power end
    return sum
  end

  it("integrates what it is exact for, and others as its formula says", function()
    for _, n in ipairs { 1, 2, 3, 7, 20 } do
      for power = 0, 2 * n - 1 do
        assert.near(1 / (power + 1), integral("gausslegendre", n, power), 1e-12)
      end
      for name, mean in pairs { riemann_left = (n - 1) / (2 * n),
                                riemann_right = (n + 1) / (2 * n),
                                riemann_middle = 0.5, trapezoid = 0.5 } do
        assert.near(1, integral(name, n, 0), 1e-12, name)
        assert.near(mean, integral(name, n, 1), 1e-12, name)
      end
      -- of x^2: the midpoints lack 1/12 of a step's square, chords have 1/6 too much
      assert.near(1 / 3 - 1 / (12 * n * n), integral("riemann_middle", n, 2), 1e-12)
      if n > 1 then
        local step = 1 / (n - 1)
        assert.near(1 / 3 + step * step / 6, integral("trapezoid", n, 2), 1e-12)
        -- captum's has 1/n for a step of 1/(n-1); PAIR's counts the ends whole
        assert.near((n - 1) / n, integral("riemann_trapezoid", n, 0), 1e-12)
        assert.near((n - 1) / n / 2, integral("riemann_trapezoid", n, 1), 1e-12)
        assert.near(1, integral("linspace", n, 0), 1e-12)
        assert.near(0.5, integral("linspace", n, 1), 1e-12)
      end
    end
  end)
end)
