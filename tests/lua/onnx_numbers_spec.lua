-- The numbers of an ONNX tensor wherever a writer may put them: in the field of their
-- kind, packed, one by one or in pieces; and what is said of those that are wrong.
local support = dofile "tests/lua/support.lua"
local writer = dofile "tests/lua/onnx_writer.lua"
require "lunette"

local bytes, varint, whole = writer.bytes, writer.varint, writer.whole
local folder, done
setup(function() folder, done = support.folder() end)
teardown(function() done() end)


---What lunette-import lists of a file with one constant, whose type and numbers are
---`message`: its type and values, or nil and the error.
local function read(message, shape)
  local path = folder .. "/one.onnx"
  writer.write(path, { input = { "x", { 1, 3 } }, outputs = { "y" },
                       constants = { c = { shape, message } },
                       nodes = { { "Add", { "x", "c" }, "y" } } })
  local _, text = support.shell(("'%s/lunette-import' list '%s'"):format(
    os.getenv "LUNETTE_BUILD" or "build/release", path))
  return text:match "\ntensor\t(%w+)", text:match "\nvalues\t0\t([^\n]*)",
    text:match "^error\t([^\n]*)"
end


---One number by itself: a field of 4 or 8 bytes, or a varint.
local function single(field, pack, v)
  if not pack then return whole(field, v) end
  return varint(field << 3 | (pack == "<f" and 5 or 1)) .. string.pack(pack, v)
end


local function packed(field, pack, list)
  local s = {}
  for i, v in ipairs(list) do s[i] = pack and string.pack(pack, v) or varint(v) end
  return bytes(field, table.concat(s))
end


-- TensorProto.DataType, its name here, the field, how a number is packed, numbers as
-- they are written, and as they are read
local KINDS = {
  { 1, "F32", 4, "<f", { 1.5, -2, 3 }, "1.5,-2,3," },
  { 11, "F64", 10, "<d", { 1.5, -2, 3 }, "1.5,-2,3," },
  { 6, "I32", 5, nil, { 70000, -2, 3 }, "70000,-2,3," },
  { 3, "I8", 5, nil, { 127, -128, 3 }, "127,-128,3," },
  { 2, "U8", 5, nil, { 255, 128, 3 }, "255,128,3," },
  { 9, "BOOL", 5, nil, { 1, 0, 1 }, "1,0,1," },
  { 10, "F16", 5, nil, { 0x3C00, 0xC000, 0x4200 }, "1,-2,3," },
  { 7, "I64", 7, nil, { 1 << 40, -5, 6 }, "1099511627776,-5,6," },
  { 13, "U64", 11, nil, { 1 << 40, 5, 6 }, "1099511627776,5,6," },
}


for _, kind in ipairs(KINDS) do
  local code, name, field, pack, list, want = table.unpack(kind)
  it(("of %s are read packed, one by one and in pieces"):format(name), function()
    local ones = {}
    for i, v in ipairs(list) do ones[i] = single(field, pack, v) end
    for how, numbers in pairs {
      packed = packed(field, pack, list), ["one by one"] = table.concat(ones),
      ["in pieces"] = packed(field, pack, { list[1] })
        .. packed(field, pack, { list[2], list[3] }),
      ["both ways"] = ones[1] .. packed(field, pack, { list[2], list[3] }),
    } do
      local type, values, message = read(whole(2, code) .. numbers, { 3 })
      assert.is_nil(message, how)
      assert.same({ name, want }, { type, values }, how)
    end
  end)
end


describe("wrong numbers", function()
  local three = packed(4, "<f", { 1, 2, 3 })

  local function says(pattern, message, shape)
    local _, _, said = read(message, shape or { 3 })
    assert.matches(pattern, said or "it was read")
  end

  it("are told: too few, too many, twice, none, of another kind", function()
    says("'c': 2 numbers where 3 are wanted",
         whole(2, 1) .. single(4, "<f", 1) .. single(4, "<f", 2))
    says("'c': 12 bytes where 8 are wanted", whole(2, 1) .. three, { 2 })
    says("'c' has its numbers twice",
         whole(2, 1) .. three .. bytes(9, string.pack("<fff", 1, 2, 3)))
    says("'c' has no data", whole(2, 1))
    says("'c': its numbers are no F16", whole(2, 10) .. three)
    says("'c': its numbers are no F64", whole(2, 11) .. three)
    says("'c': its numbers are no F32", whole(2, 1) .. packed(7, nil, { 1, 2, 3 }))
  end)

  local function entry(key, value)
    return bytes(13, bytes(1, key) .. bytes(2, value))
  end

  local is_outside = whole(14, 1)

  local function outside(offset)
    return whole(2, 1) .. entry("location", "w.bin") .. entry("offset", offset)
  end

  it("of where they lie outside are told", function()
    for _, text in ipairs { "", "-1", "1x", " 1", "99999999999999999999" } do
      says('offset "' .. text:gsub("%p", "%%%0") .. '" is no number',
           outside(text) .. is_outside)
    end
    local type, values = read(outside "1029384756" .. is_outside, { 3 })
    assert.same({ "F32" }, { type, values })
    says("'c' has no data", outside "0")
    says("'c': external without location", whole(2, 1) .. is_outside)
  end)
end)


-- A model may come with a link to a file of the user's: weights made of it would go
-- wherever the weights go.
it("numbers beside a file may be a link, but to nothing outside its folder", function()
  local lfs = require "lfs"
  local import = require "lunette.weights.import"
  local secret, away = support.folder()
  support.spit(secret .. "/key", ("k"):rep(48))
  lfs.mkdir(folder .. "/blobs")
  lfs.mkdir(folder .. "/snapshot")
  local function entry(key, value)
    return bytes(13, bytes(1, key) .. bytes(2, value))
  end
  writer.write(folder .. "/blobs/m", { input = { "x", { 1, 3 } }, outputs = { "y" },
    constants = { w = { { 3, 4 }, whole(2, 1) .. entry("location", "w.bin")
                                  .. entry("length", "48") .. whole(14, 1) } },
    nodes = { { "MatMul", { "x", "w" }, "y" } } })
  support.spit(folder .. "/blobs/n", ("n"):rep(48))
  local out = folder .. "/linked.safetensors"
  local function imported(model, links)
    os.remove(out)
    for from, to in pairs(links) do
      os.remove(folder .. "/snapshot/" .. from)
      assert(lfs.link(to, folder .. "/snapshot/" .. from, true))
    end
    return import(folder .. "/snapshot/" .. model, { out = out })
  end
  -- as in a cache: two links into one folder
  assert(imported("m.onnx", { ["m.onnx"] = "../blobs/m", ["w.bin"] = "../blobs/n" }))
  assert.matches(("n"):rep(48), support.read(out))
  -- beside the model itself
  support.spit(folder .. "/snapshot/own.onnx", support.read(folder .. "/blobs/m"))
  support.spit(folder .. "/snapshot/own.bin", ("o"):rep(48))
  assert(imported("own.onnx", { ["w.bin"] = "own.bin" }))
  assert.matches(("o"):rep(48), support.read(out))
  for model, links in pairs { ["own.onnx"] = { ["w.bin"] = secret .. "/key" },
      ["m.onnx"] = { ["m.onnx"] = "../blobs/m", ["w.bin"] = secret .. "/key" } } do
    local path, message = imported(model, links)
    assert.is_nil(path, model)
    assert.matches("is a link out of the model's folder; not read", message)
    assert.is_false(support.exists(out))
  end
  away()
end)


it("a file whose first field is not the version is known by its fields", function()
  local path = folder .. "/order.onnx"
  writer.write(path, { input = { "x", { 1, 3 } }, outputs = { "y" },
                       nodes = { { "Relu", { "x" }, "y" } } })
  local file = support.read(path)
  local function known(front)
    support.spit(path, front .. file)
    local _, text = support.shell(("'%s/lunette-import' list '%s'"):format(
      os.getenv "LUNETTE_BUILD" or "build/release", path))
    return text:find "^format\tONNX\n" ~= nil
  end
  assert.is_true(known "")
  for _, field in ipairs { 2, 3, 4, 6 } do -- producer, its version, domain, comment
    assert.is_true(known(bytes(field, "torch")), field)
  end
  for _, field in ipairs { 9, 13, 27 } do
    assert.is_false(known(bytes(field, "torch")), field)
  end
end)


describe("numbers of an attribute", function()
  local function lines(pads, kernel)
    local path = folder .. "/attribute.onnx"
    writer.write(path, { input = { "x", { 1, 3, 300, 4 } }, outputs = { "y" },
      nodes = { { "MaxPool", { "x" }, "y", { kernel_shape = kernel, pads = pads } } } })
    return writer.lines(path)
  end

  it("are read packed as they are one by one", function()
    local pads, kernel = { 0, 1, 0, 1 }, { 300, 2 }
    local want = lines(pads, kernel)
    local said = {}
    for i, line in ipairs(want) do said[i] = table.concat(line, " ") end
    assert.matches("300", table.concat(said, "\n"))
    assert.same(want, lines(writer.packed(pads), writer.packed(kernel)))
    assert.not_same(want, lines(writer.packed(kernel), writer.packed(pads)))
  end)
end)
