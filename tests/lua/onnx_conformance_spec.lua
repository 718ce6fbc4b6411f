-- The ONNX project's own operator tests (Debian's libonnx-testdata), as far as the
-- reference material lists them. In many of them weights, shapes and axes are graph
-- inputs: every input but the first of floats is made an initializer. A network's
-- values have a batch: a test's first dimension is that, or where the operator mixes
-- it, a value like the others.
local lu = require "lunette"
local onnx = require "lunette.weights.import.onnx"
local t = dofile "tests/lua/support.lua"
local writer = dofile "tests/lua/onnx_writer.lua"

local data = "/usr/share/libonnx-testdata/data/"
local names = t.shared .. "/models/onnx/CONFORMANCE.txt"
local folder, done

setup(function() folder, done = t.folder() end)
teardown(function() done() end)


-- protobuf -----------------------------------------------------------------------


local function varint(s, at)
  local v, shift = 0, 0
  repeat
    local byte = s:byte(at)
    v, at, shift = v | (byte & 127) << shift, at + 1, shift + 7
  until byte < 128
  return v, at
end


---Every field of a message: number, its varint or bytes, where it begins and ends.
local function each_field(s)
  local at = 1
  return function()
    if at > #s then return nil end
    local from, value = at
    local tag, next_ = varint(s, at)
    at = next_
    local wire = tag & 7
    if wire == 0 then
      value, at = varint(s, at)
    else
      local n = wire == 1 and 8 or 4
      if wire == 2 then n, at = varint(s, at) end
      value, at = s:sub(at, at + n - 1), at + n
    end
    return tag >> 3, value, from, at - 1
  end
end


local function length_of(n)
  local out = ""
  while n > 127 do out, n = out .. string.char(n & 127 | 128), n >> 7 end
  return out .. string.char(n)
end


local function field(number, bytes)
  return length_of(number << 3 | 2) .. length_of(#bytes) .. bytes
end


local formats = { [1] = "<f", [6] = "<i4", [7] = "<i8", [9] = "B", [11] = "<d" }


local function unpacked(format, bytes, list)
  for i = 1, #bytes, string.packsize(format) do
    list[#list + 1] = string.unpack(format, bytes, i)
  end
end


---Dimensions, packed into bytes or one by one.
local function add_dims(shape, value)
  local at = 1
  while type(value) == "string" and at <= #value do
    shape[#shape + 1], at = varint(value, at)
  end
  if type(value) == "number" then shape[#shape + 1] = value end
end


---A tensor: shape, type, numbers.
local function tensor_of(s)
  local x, raw = { shape = {}, data = {} }, ""
  for number, value in each_field(s) do
    if number == 1 then add_dims(x.shape, value) end
    if number == 2 then x.type = value end
    if number == 4 then unpacked("<f", value, x.data) end
    if number == 9 then raw = value end
  end
  if raw ~= "" then unpacked(formats[x.type], raw, x.data) end
  return x
end


-- a test ---------------------------------------------------------------------------


local function read(path)
  local f <close> = assert(io.open(path, "rb"))
  return f:read "a"
end


local function set(name, kind)
  local list, i = {}, 0
  while true do
    local path = ("%s%s/test_data_set_0/%s_%d.pb"):format(data, name, kind, i)
    if not t.exists(path) then return list end
    list[#list + 1], i = read(path), i + 1
  end
end


---Names of the graph's inputs that are no initializers.
local function inputs_of(bytes)
  local own, list = {}, {}
  local function name_of(s, number)
    for n, value in each_field(s) do if n == number then return value end end
  end
  for n, graph in each_field(bytes) do
    for m, value in n == 7 and each_field(graph) or function() end do
      if m == 5 then own[name_of(value, 8)] = true end
      if m == 11 then list[#list + 1] = name_of(value, 1) end
    end
  end
  for i = #list, 1, -1 do if own[list[i]] then table.remove(list, i) end end
  return list
end


---Writes the model with the inputs as initializers, but one where not `all`; gives it.
local function prepared(name, path, all)
  local bytes, given, live = read(data .. name .. "/model.onnx"), "", nil
  local inputs = set(name, "input")
  for i, input in ipairs(inputs_of(bytes)) do
    local x = tensor_of(inputs[i])
    if not all and not live and x.type == 1 and #x.data > 0 then
      live = x
    else
      given = given .. field(5, inputs[i] .. field(8, input))
    end
  end
  local f <close> = assert(io.open(path, "wb"))
  for number, graph, from, to in each_field(bytes) do
    f:write(number == 7 and field(7, graph .. given) or bytes:sub(from, to))
  end
  return live
end


local function check_values(got, want)
  assert(#got == #want, ("%d values, wanted %d"):format(#got, #want))
  for i, w in ipairs(want) do
    local ok = math.abs(got[i] - w) <= 1e-5 + 1e-3 * math.abs(w) or got[i] == w
      or w ~= w and got[i] ~= got[i]
    assert(ok, ("value %d is %g, wanted %g"):format(i, got[i], w))
  end
end


local function product(shape)
  local n = 1
  for _, d in ipairs(shape) do n = n * d end
  return n
end


local function flat(x)
  local list, v = {}, x:view(x:size())
  for i = 1, v:size() do list[i] = v[i] end
  return list
end


---Every output of the file, computed or known.
local function check_outputs(run, known, outputs, wants)
  local at, net = 0, run.net
  for i, want in ipairs(wants) do
    local c = known[outputs[i]]
    local got = c and c.data
    if not c then
      at = at + 1
      got = flat(run.outputs[net.outputs and net.outputs[at] or run.output_layer.name])
    end
    assert(#got == product(want.shape), "another size")
    check_values(got, want.data)
  end
end


---Runs the file with its first dimension as the batch, or as a value.
local function run_as(mode, lines, live, wants)
  local net, m = writer.net(lines, { tensor = mode })
  local batch = mode == "whole" and 1 or live.shape[1]
  local x = lu.tensor(live.data):view(batch, table.unpack(net.input))
  check_outputs(net:run(x), onnx.constants(lines, { tensor = mode }), m.outputs, wants)
end


---Outputs that depend on no picture are known without one.
local function constants(lines, wants)
  local found = assert(onnx.constants(lines, { tensor = "whole" }))
  local i = 0
  for _, f in ipairs(lines) do
    local c = f[1] == "output" and found[f[2]]
    if f[1] == "output" then
      i = i + 1
      assert.same(wants[i].shape, assert(c, "depends on the picture").shape)
      check_values(c.data, wants[i].data)
    end
  end
end


local function check(name)
  local path, wants, why = folder .. "/model.onnx", {}, {}
  local live = prepared(name, path)
  local lines = writer.lines(path)
  for i, pb in ipairs(set(name, "output")) do wants[i] = tensor_of(pb) end
  for _, mode in ipairs { "batched", "whole", "known", "constant" } do
    local ok, message
    if mode == "constant" then
      prepared(name, path, true)
      lines = writer.lines(path)
    end
    if mode == "known" or mode == "constant" then
      ok, message = pcall(constants, lines, wants)
    elseif live and (mode == "whole" or live.shape[1]) then
      ok, message = pcall(run_as, mode, lines, live, wants)
    end
    if ok then return end
    why[#why + 1] = mode .. ": " .. tostring(message)
  end
  error(table.concat(why, "\n"), 0)
end


---Beside the reference material's: what files of `lunette bake` consist of.
local baked = { "gather_elements_0", "gather_elements_1",
  "gather_elements_negative_indices", "maxpool_with_argmax_2d_precomputed_pads",
  "onehot_with_axis", "onehot_with_negative_axis", "scatter_elements_with_axis",
  "scatter_elements_without_axis", "scatter_elements_with_negative_indices",
  "scatter_elements_with_duplicate_indices", "scatter_with_axis",
  "scatter_without_axis", "reduce_prod_default_axes_keepdims_example",
  "reduce_prod_do_not_keepdims_random", "reduce_prod_keepdims_random",
  "reduce_prod_negative_axes_keepdims_example" }

describe("the ONNX project's operator tests", function()
  if not t.exists(names) then pending "CONFORMANCE.txt: no reference material" end
  if not t.exists(data .. "node/test_add/model.onnx") then
    pending "Debian's libonnx-testdata is not installed"
    return
  end
  for line in t.exists(names) and io.lines(names) or function() end do
    if line:find "^%a" then it(line, function() check(line) end) end
  end
  for _, name in ipairs(baked) do
    it(name, function() check("node/test_" .. name) end)
  end
end)
