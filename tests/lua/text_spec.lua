-- Text from outside: what a terminal would act on is shown, never sent.
local lu = require "lunette"
local t = require "tests.lua.support"
local text = require "lunette.base.text"

describe("text.file_word", function()
  it("keeps letters of any alphabet, and nothing that acts or is not seen", function()
    for given, word in pairs {
      ["\u{444}\u{43E}\u{442}\u{43E}"] = "\u{444}\u{43E}\u{442}\u{43E}",
      ["\u{5199}\u{771F} 1+2-3_x.y"] = "\u{5199}\u{771F}_1+2-3_x.y",
      ["caf\u{E9} e\u{301}"] = "caf\u{E9}_e\u{301}",
      ["../a/b\\c:d"] = ".._a_b_c_d", ["a\0b\nc\27[1m"] = "a_b_c__1m",
      ["a\u{9B}b\u{202E}c\u{61C}d\u{200B}e\u{FEFF}f\u{3000}g"] = "a_b_c_d_e_f_g",
      ["a\u{A0}b\u{AD}c\u{2028}d\u{2066}e\u{E0041}f"] = "a_b_c_d_e_f",
      ["\xFFa\xC3"] = "_a_",
    } do
      assert.equal(word, text.file_word(given, 80))
    end
  end)

  it("cuts between letters", function()
    assert.equal("\u{444}\u{43E}", text.file_word("\u{444}\u{43E}\u{442}\u{43E}", 5))
    assert.equal("\u{444}\u{43E}", text.file_word("\u{444}\u{43E}\u{442}\u{43E}", 4))
    assert.equal("abc", text.file_word("abcdef", 3))
    for i = 1, 60 do
      assert.is_truthy(utf8.len(text.file_word(("a\u{4E2D}\u{1F600}"):rep(9), i)))
    end
  end)
end)


describe("text.escape", function()
  it("shows what moves cursors, changes colours or turns writing round", function()
    local cases = {
      ["\27[31mred\27[0m"] = "\\27[31mred\\27[0m",
      ["\27]0;title\a"] = "\\27]0;title\\a",
      ["a\rb\bc\127"] = "a\\rb\\bc\\x7F",
      ["\u{9B}31m"] = "\\u{9B}31m",             -- CSI in one character
      ["a\u{202E}cba"] = "a\\u{202E}cba",       -- right to left
      ["\u{2066}x\u{2069}"] = "\\u{2066}x\\u{2069}",
      ["\x9B31m"] = "\\x9B31m",                 -- CSI in one byte
      ["a\u{61C}b"] = "a\\u{61C}b",             -- Arabic letter mark
      ["\xC3"] = "\\xC3",
      ["\u{e9}\u{4e2d}\u{1F600}"] = "\u{e9}\u{4e2d}\u{1F600}",
    }
    for given, shown in pairs(cases) do assert.equal(shown, text.escape(given)) end
    assert.equal("a\nb\\t", text.escape("a\nb\t", "\n"))
  end)

  it("leaves no control character of any byte string", function()
    local state = 1
    for _ = 1, 2000 do
      local bytes = {}
      for i = 1, 12 do
        state = (state * 1103515245 + 12345) % 2147483648
        bytes[i] = string.char(state // 65536 % 256)
      end
      local shown = text.escape(table.concat(bytes))
      assert.is_truthy(utf8.len(shown))
      for _, c in utf8.codes(shown) do
        assert.is_true(c >= 32 and c ~= 127 and not (c >= 128 and c < 160))
      end
    end
  end)
end)

describe("a hostile weights file", function()
  local folder, done
  local evil = "\27]0;owned\a\27[31m"

  setup(function()
    folder, done = t.folder()
    local net = assert(lu.load "glyphs")
    local labels = {}
    for i = 1, 10 do labels[i] = evil .. "label" .. i end
    assert(lu.save(net, folder .. "/evil.safetensors", { meta = {
      labels = require("lunette.base.json").encode(labels), name = evil .. "name",
    } }))
    t.picture(folder .. "/" .. evil:gsub("/", "") .. ".png", 64, 64)
  end)
  teardown(function() done() end)

  it("is described escaped", function()
    local net = assert(lu.load(folder .. "/evil.safetensors"))
    local run = net:run(net:images(lu.glyphs.default_images(1).images))
    for _, x in ipairs { net, run, run:stats(), run:compare(run) } do
      assert.is_nil(tostring(x):find "[\0-\8\11-\31\127]")
    end
  end)

  for _, command in ipairs {
    "explain '%s/'*.png -m '%s/evil.safetensors' -o '%s'",
    "summary '%s/evil.safetensors'",
    "summary '%s/'*.png",
    "explain '%s/'*.png -m '%s/'*.png",
    "import '%s/'*.png",
    "'%s/'*.png",
    "explain '%s/none'$(printf '\\033[31m').png",
  } do
    it("reaches the terminal escaped: lunette " .. command:sub(1, 12), function()
      local line = command:gsub("%%s", (folder:gsub("%%", "%%%%")))
      local _, printed = t.shell("cd '" .. folder .. "' && '" .. t.root()
                                 .. "/lunette' " .. line)
      assert.is_true(#printed > 0)
      local bad = printed:find "[\0-\8\11-\31\127]"
      assert.is_nil(bad, bad and printed:sub(bad, bad + 60):gsub("%c", "?"))
    end)
  end
end)
