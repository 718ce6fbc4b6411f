-- Costs that a file or a caller can ask for in a few bytes: each has a bound, which is
-- said in the message (docs/formats.md, "Limits").
local lu = require "lunette"
local core = require "lunette.core"
local json = require "lunette.base.json"
local npy = require "lunette.picture.npy"
local t = dofile "tests/lua/support.lua"

local folder, done
setup(function() folder, done = t.folder() end)
teardown(function() done() end)


---What is said of a call that gives nil and a message, within two seconds.
local function refusal(f, ...)
  local begun = os.clock()
  local ok, value, message = pcall(f, ...)
  assert(ok, "raised: " .. tostring(value))
  assert.is_nil(value)
  assert(os.clock() - begun < 2, "took " .. os.clock() - begun .. " s")
  return message
end


---A file of Tiny VGG with other metadata.
local function tiny(meta)
  local path = folder .. "/tiny.safetensors"
  local net = assert(lu.net(lu.models.tiny_vgg())):init(7)
  assert(lu.save(net, path, { meta = meta }))
  return path
end


---A file that holds this graph.
local function graph(layers, input)
  local path = folder .. "/graph.safetensors"
  assert(core.write_weights(path, { { "c.weight", core.zeros(2, 3, 3, 3) },
    { "c.bias", core.zeros(2) } }, "f32",
    { lunette_graph = json.encode { input = input or { 3, 8, 8 }, layers = layers } }))
  return path
end


local conv = { name = "c", kind = "conv2d", filters = 2, kernel = 3 }


describe("a .npy file", function()
  local function array(shape, data)
    local header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" .. shape
      .. "), }"
    return "\x93NUMPY\1\0" .. ("<s2"):pack(header) .. (data or "")
  end

  it("has a shape that its bytes fill", function()
    assert.same({ 1, 2 }, assert(npy.decode(array("2,", ("<ff"):pack(1, 2)))):totable())
    for _, shape in ipairs { "4294967296, 4294967296", "9223372036854775808,",
        "99999999999999999999999,", "2147483649,", "1000000, 1000000, 1000000" } do
      assert.matches("more than 2147483648 numbers", refusal(npy.decode, array(shape)))
    end
    assert.matches("shape wants", refusal(npy.decode, array "2147483648,"))
    assert.matches("1 to 6 dim", refusal(npy.decode, array(("1,"):rep(7))))
    assert.matches("1 to 6 dim", refusal(npy.decode, array(("1,"):rep(1500))))
    assert.matches("1 to 6 dim", refusal(npy.decode, array "-1,"))
    assert.matches("at most 4096", refusal(npy.decode, array((" "):rep(5000))))
    assert.matches("truncated", refusal(npy.decode, "\x93NUMPY\2\0\xff\xff\xff\xff{}"))
  end)
end)


describe("metadata", function()
  it("has so many labels of such a length", function()
    local many = {}
    for i = 1, 65537 do many[i] = "x" end
    assert.matches("65537 labels, at most 65536",
                   refusal(lu.load, tiny { labels = json.encode(many) }))
    assert.matches("label 2 has 600 bytes, at most 512", refusal(lu.load, tiny {
      labels = json.encode { "a", ("b"):rep(600) } }))
  end)

  it("may be nested so deep, and be so long", function()
    for _, text in ipairs { ("["):rep(2e6), ("["):rep(1e5) .. ("]"):rep(1e5),
        ('{"a":'):rep(1e5) .. "1" .. ("}"):rep(1e5) } do
      assert.is_string(refusal(lu.load, tiny { preprocessing = "{" .. text }))
      assert.is_string(refusal(lu.load, tiny { labels = "[" .. text }))
      assert.is_string(refusal(json.decode, text))
    end
    assert.matches("more than 4194304", refusal(json.decode, (" "):rep(5e6)))
  end)

  it("asks for no picture of any size", function()
    local image = lu.zeros(3, 8, 8)
    for _, p in ipairs { '{"size":1000000000}', '{"size":[1,1000000000]}',
        '{"size":1e300}', '{"size":-1}', '{"fit":"crop","crop_pct":1e-12}',
        '{"fit":"crop","crop_pct":-1}', '{"mean":["a","b","c"]}', '{"std":[{},1,2]}',
        '{"scale":"x"}', '{"filter":"none such"}', '{"std":[0,0,0]}' } do
      local net, message = lu.load((tiny { preprocessing = p }))
      assert(net or message:find("preprocessing", 1, true), message)
      local ok, what = pcall(function()
        return require("lunette.picture.image").preprocess({ image }, net.preprocessing,
          p:find "size" == nil and 8 or nil)
      end)
      assert(net == nil or not ok and type(what) == "string", p)
    end
  end)
end)


describe("a network out of a file", function()
  it("has layers of a size that can be", function()
    for _, layer in ipairs {
      { padding = 1e6 }, { padding = 1e9 }, { padding = 2 ^ 40 }, { stride = 2 ^ 40 },
      { dilation = 1e9 }, { kernel = 1e9 }, { filters = 1e15 },
    } do
      for key, value in pairs(conv) do layer[key] = layer[key] or value end
      assert.is_string(refusal(lu.load, graph { layer }))
    end
    for _, l in ipairs {
      { kind = "pad", before = { 0, 0, 1e8, 1e8 } },
      { kind = "expand", shape = { 3, 8, 8, 1e9 } },
      { kind = "reshape", shape = { 1e9, 1e9 } },
      { kind = "max_pool2d", kernel = 1, padding = 1e9 },
      { kind = "interpolate", size = { 1e6, 1e6 } },
    } do
      l.name = "big"
      assert.is_string(refusal(lu.load, graph { conv, l }))
    end
    local pad = { name = "big", kind = "pad", before = { 0, 0, 40000, 40000 } }
    assert.matches("at most 2147483648", refusal(lu.load, graph { conv, pad }))
  end)

  it("has names of a length, in groups of a depth", function()
    assert.matches("its name is no text", refusal(lu.load, (function()
      local path = folder .. "/name.safetensors"
      assert(core.write_weights(path, { { "c.weight", core.zeros(2, 3, 3, 3) } }, "f32",
        { lunette_graph = json.encode { name = ("n"):rep(1e5), input = { 3, 8, 8 },
                                        layers = { conv } } }))
      return path
    end)()))
    local deep = ("a."):rep(128):sub(1, 255)
    local net = assert(lu.net { input = { 3, 8, 8 }, layers = {
      { "c", "conv2d", filters = 2, kernel = 3 }, { deep, "relu" } } })
    local groups = 0
    for _ in pairs(net.parts and net.parts.groups or {}) do groups = groups + 1 end
    assert(groups <= 24)
    assert.equal(deep, net[("a."):rep(24):sub(1, -2)].name)
    assert.is_false((pcall(function() return net[("a."):rep(25):sub(1, -2)].name end)))
  end)
end)


describe("a text on a picture", function()
  it("may be of any length", function()
    local map = core.uniform(1, 1, 8, 8)
    local words, lines = ("word "):rep(40000), ("line\n"):rep(40000)
    local begun = os.clock()
    for _, text in ipairs { ("x"):rep(200000), words, lines, ("\xff"):rep(100000),
                            ("\u{301}"):rep(50000), (" "):rep(100000) } do
      local canvas = lu.canvas { title = text, titles = { text } }
      canvas:row(text, map, { captions = { text } })
      local w, h = assert(canvas:render()):size()
      assert(w < 2000 and h < 2000)
    end
    assert(os.clock() - begun < 5, "took " .. os.clock() - begun .. " s")
  end)
end)


describe("what is no file", function()
  it("is read up to a limit, and a folder not at all", function()
    local files = require "lunette.base.files"
    local text, message = files.read "/dev/zero"
    assert.is_nil(text)
    assert.matches("is no file, and gives more than 64 MB", message)
    assert.equal("", files.read "/dev/null")
    text, message = files.read "."
    assert.is_nil(text)
    assert.matches("Is a directory", message)
    local labels, why = require "lunette.weights.import.labels".read "/dev/zero"
    assert.is_nil(labels)
    assert.matches("more than 64 MB", why)
  end)
end)


-- 1 MB of what the picture needs is let pass, for the decoder's own tables
it("a picture's data unpack to no more than its size says", function()
  local path = folder .. "/bomb.png"
  local script = [[
import struct, zlib
def part(kind, data):
    end = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + end
size = struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)
with open("%s", "wb") as f:
    f.write(b"\x89PNG\r\n\x1a\n" + part(b"IHDR", size)
            + part(b"IDAT", zlib.compress(bytes(1 << 27), 9)) + part(b"IEND", b""))]]
  t.spit(folder .. "/bomb.py", script:format(path))
  assert.equal(0, (t.other(("/usr/bin/python3 '%s/bomb.py'"):format(folder))))
  local before = core.memory().peak
  local message = refusal(core.image.load, path)
  assert.matches("it would unpack to more than its size says", message)
  assert(core.memory().peak - before < 8 << 20)
end)
