-- JSON: one fixed form out, bounded reading in. Python's reader is the other opinion.
local json = require "lunette.base.json"
local t = require "tests.lua.support"

---@return string bytes that a program prints
local function printed_by(command)
  local f = assert(io.popen(command, "r"))
  local text = f:read "a"
  f:close()
  return text
end


describe("json.encode", function()
  it("has its keys in byte order", function()
    assert.equal('{"B":1,"a":{"x":1,"y":2},"aa":2,"ä":3}',
      json.encode { ["ä"] = 3, aa = 2, a = { y = 2, x = 1 }, B = 1 })
  end)

  it("tells lists from objects", function()
    assert.equal("{}", json.encode {})
    assert.equal("[]", json.encode(json.array {}))
    assert.equal("[[],{}]", json.encode { json.array {}, {} })
    assert.equal('[1,"a",true,null]', json.encode { 1, "a", true, json.null })
  end)

  it("indents", function()
    assert.equal('{\n  "a": [\n    1,\n    2\n  ],\n  "b": {}\n}',
      json.encode({ a = { 1, 2 }, b = {} }, { indent = 2 }))
  end)

  it("gives every number back with the same bits, and briefly", function()
    assert.equal("[0.4,0.1,3.0,3,1e+300,-0.0]",
      (json.encode { 0.4, 0.1, 3.0, 3, 1e300, -0.0 }:gsub("1e300", "1e+300")))
    assert.equal("[0.07]", json.encode { 0.07 }) -- 0.07000000000000001 has 16 digits
    local numbers = { 1 / 3, 2 ^ 0.5, 5e-324, 1.7976931348623157e308, 2.0 ^ 53 + 2,
                      math.maxinteger, math.mininteger, 0.1 + 0.2 }
    local state = 12345
    for _ = 1, 500 do -- any bit pattern
      state = state * 6364136223846793005 + 1442695040888963407
      local x = string.unpack("d", string.pack("j", state))
      if x == x and math.abs(x) < math.huge then numbers[#numbers + 1] = x end
    end
    local again = assert(json.decode(json.encode(numbers)))
    for i, x in ipairs(numbers) do
      assert.equal(string.pack("n", x), string.pack("n", again[i]))
      assert.equal(math.type(x), math.type(again[i]))
    end
  end)

  it("keeps every character, and marks bytes that are none", function()
    local text = "\0\1\27\127\"\\/\u{e9}\u{1F600}\n"
    assert.equal(text, json.decode(json.encode(text)))
    assert.equal('"a\u{FFFD}b\u{FFFD}"', json.encode "a\xE9b\xC3")
  end)

  it("names the place of what JSON lacks", function()
    local function message(value) return select(2, pcall(json.encode, value)) end
    assert.equal("json: 'a.b[2]' is nan (no finite number)",
      (message { a = { b = { 1, 0 / 0 } } }:gsub("-nan", "nan")))
    assert.equal("json: the value is inf (no finite number)", message(math.huge))
    assert.matches("'f' is a function", message { f = print }, 1, true)
    assert.matches("'a' is neither a list nor an object (key 1)",
      message { a = { 1, x = 2 } }, 1, true)
    assert.matches("neither a list nor an object", message { 1, nil, nil, 4, x = 1 })
    local ring = {}
    ring.ring = ring
    assert.matches("nested too deep, or within itself", message(ring), 1, true)
  end)

  it("is read by Python alike", function()
    local value = { list = { 1, 2.5, json.null }, text = "\27[31m\u{e9}\n", x = 1e-7 }
    local path = os.tmpname()
    t.spit(path, json.encode(value, { indent = 2 }))
    assert.equal("[1, 2.5, None] '\\x1b[31m\xC3\xA9\\n' 1e-07\n", printed_by(
      ("PYTHONIOENCODING=utf8 python3 -c 'import json; v = json.load(open(\"%s\", "
      .. "encoding=\"utf8\")); print(v[\"list\"], repr(v[\"text\"]), v[\"x\"])'")
      :format(path)))
    os.remove(path)
  end)
end)

describe("a locale with a decimal comma", function()
  local folder = os.tmpname()
  os.remove(folder)
  os.execute(("mkdir -p '%s'"):format(folder))
  local made = os.execute(
    ("localedef -i de_DE -f UTF-8 '%s/de_DE.UTF-8' >/dev/null 2>&1"):format(folder))
  teardown(function() os.execute(("rm -rf '%s'"):format(folder)) end)

  it("changes neither numbers nor the order of keys", function()
    if not made then return pending "localedef makes no de_DE.UTF-8 here" end
    local code = [[
      assert(os.setlocale("de_DE.UTF-8")); assert(tostring(0.5) == "0,5")
      local json = require "lunette.base.json"
      print(json.encode { a = 0.5, B = 1/3 })
      local x = assert(json.decode "[0.25,1e-3]"); print(x[1] * 4 == 1, x[2] == 1/1000)
      -- a network with fractions in its layers and its preprocessing
      local lu, path = require "lunette", arg[0] .. ".safetensors"
      local net = lu.net { input = { 3, 4, 4 }, layers = { { "bn", "batch_norm",
        eps = 1 / 128 } }, preprocessing = { order = "rgb",
        mean = { 0.5, 0.25, 1 / 3 }, std = { 0.5, 0.25, 1 / 3 }, scale = 1 } }
      assert(lu.save(net:init(1), path))
      print(assert(os.setlocale "C")) -- who loads it has another locale
      local again = assert(lu.load(path))
      print(again:layer("bn").eps, again.preprocessing.mean[3] == 1 / 3)
    ]]
    local path = folder .. "/code.lua"
    t.spit(path, code)
    assert.equal('{"B":0.3333333333333333,"a":0.5}\ntrue\ttrue\nC\n0.0078125\ttrue\n',
      printed_by(("LOCPATH='%s' lua5.4 '%s' 2>&1"):format(folder, path)))
  end)
end)

describe("json.decode", function()
  it("gives lists, objects, null", function()
    local v = assert(json.decode '{"a":[],"b":{},"c":[null,false,"x",2,2.0]}')
    assert.equal('{"a":[],"b":{},"c":[null,false,"x",2,2.0]}', json.encode(v))
    assert.equal(json.null, v.c[1])
  end)

  it("refuses what is no JSON, with the line", function()
    local bad = {
      "", "{", "[1,]", "nul", "[1] 2", "{'a':1}", "[01]", '["\xFF"]', "[NaN]",
      '"\\ud800"', "[1e999]", '{"a":1,"a":2}', "[99999999999999999999]",
    }
    for _, text in ipairs(bad) do
      local v, message = json.decode(text)
      assert.is_nil(v)
      assert.matches("^JSON, line %d", message, nil, text)
    end
    assert.matches("line 2: duplicate object key",
      select(2, json.decode '{"a":1,\n"a":2}'))
  end)

  it("is bounded in depth and size", function()
    local function deep(n) return ("["):rep(n) .. ("]"):rep(n) end
    assert.is_table(json.decode(deep(100)))
    for _, n in ipairs { 101, 2000, 100000 } do
      local v, message = json.decode(deep(n))
      assert.is_nil(v)
      assert.is_truthy(message:find "deep" or message:find "depth")
    end
    local v, message = json.decode(" " .. (" "):rep(4 << 20) .. "1")
    assert.is_nil(v)
    assert.matches("4194306 bytes, more than 4194304", message, 1, true)
  end)

  it("releases what it read, whether it ends well or not", function()
    if t.sanitized then
      return pending "the sanitizer keeps freed blocks, and finds leaks itself"
    end
    local big = "[" .. ("[1],"):rep(20000) .. "1]" -- some 3 MB while it is read
    local deep = ("["):rep(200) .. ("]"):rep(200)
    local nested = "[" .. ("[1],"):rep(20000) .. deep .. "]"
    local function rss()
      return tonumber(t.read("/proc/self/status"):match "VmRSS:%s+(%d+)")
    end
    for _ = 1, 3 do json.decode(big); json.decode(nested) end
    collectgarbage(); collectgarbage()
    local before = rss()
    for _ = 1, 20 do json.decode(big); json.decode(nested); collectgarbage() end
    collectgarbage()
    assert.is_true(rss() - before < 16000, "grows by " .. rss() - before .. " kB")
  end)
end)
