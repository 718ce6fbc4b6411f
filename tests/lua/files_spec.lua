-- Every way to write a file: whole or not at all, through links and devices.
local core = require "lunette.core"
local files = require "lunette.base.files"
local lfs = require "lfs"
local lu = require "lunette"
local npy = require "lunette.picture.npy"
local t = require "tests.lua.support"

local function map() return core.range(1, 12):reshape { 1, 3, 4 } end

local function canvas()
  local c = lu.canvas { columns = 1 }
  c:row("map", map())
  return c
end

---Everything that writes one file: name, f(path) -> ok, message.
local writers = {
  { "files.write", function(path) return files.write(path, "bytes") end },
  { "npy.write", function(path) return npy.write(path, map()) end },
  { "lu.save", function(path) return lu.save(t.net(), path) end },
  { "lu.image.save", function(path)
    return lu.image.save(path, core.zeros(3, 4, 4))
  end },
}

local function kind(path) return lfs.symlinkattributes(path, "mode") end

local function names_in(folder)
  local list = {}
  for name in lfs.dir(folder) do
    if not name:find "^%.%.?$" then list[#list + 1] = name end
  end
  table.sort(list)
  return table.concat(list, " ")
end


for _, w in ipairs(writers) do
  local name, write = w[1], w[2]
  describe(name, function()
    local folder, done
    before_each(function() folder, done = t.folder() end)
    after_each(function() done() end)

    it("follows a link to its target", function()
      t.spit(folder .. "/target.png", "old")
      lfs.link("target.png", folder .. "/link.png", true)
      assert(write(folder .. "/link.png"))
      assert.equal("link", kind(folder .. "/link.png"))
      assert.is_true(t.read(folder .. "/target.png") ~= "old")
      assert.equal("link.png target.png", names_in(folder))
    end)

    it("makes the folders on the way", function()
      assert(write(folder .. "/a/b/x.png"))
      assert.equal("file", kind(folder .. "/a/b/x.png"))
    end)

    it("writes to a device as it is", function()
      lfs.link("/dev/null", folder .. "/null.png", true)
      assert(write(folder .. "/null.png"))
      assert.equal("char device", kind "/dev/null")
      lfs.link("/dev/full", folder .. "/full.png", true)
      local ok, message = write(folder .. "/full.png")
      assert.is_nil(ok)
      assert.matches("full.png': No space left on device", message, 1, true)
    end)

    it("says why it cannot", function()
      lfs.mkdir(folder .. "/folder.png")
      local ok, message = write(folder .. "/folder.png")
      assert.is_nil(ok)
      assert.matches("folder.png': Is a directory", message, 1, true)
    end)
  end)
end

describe("a canvas", function()
  it("is written whole or not at all", function()
    local folder, done = t.folder()
    t.spit(folder .. "/c.json", "old")
    lfs.link("/dev/full", folder .. "/c.png", true)
    local ok, message = canvas():save(folder .. "/c.png")
    assert.is_nil(ok)
    assert.matches("No space left", message)
    assert.equal("old", t.read(folder .. "/c.json"))
    assert.equal("c.json c.png", names_in(folder))
    done()
  end)
end)

describe("core.spool", function()
  it("is a part of a file, and leaves no name behind", function()
    local folder, done = t.folder()
    local f = assert(core.spool(folder))
    assert.equal("", names_in(folder))
    local long = ("0123456789"):rep(20000)
    assert(f:write("<", long))
    assert(core.write_files { { folder .. "/out", { "a", f, "b", f } } })
    assert.equal("a<" .. long .. "b<" .. long, t.read(folder .. "/out"))
    f:close()
    assert.equal("file (closed)", tostring(f))
    local ok, message = core.write_files { { folder .. "/out", { f } } }
    assert.is_nil(ok)
    assert.matches("closed", message)
    assert.equal("out", names_in(folder))
    assert.equal("a<" .. long .. "b<" .. long, t.read(folder .. "/out"))
    assert.matches("none: No such file", select(2, core.spool(folder .. "/none")))
    done()
  end)

  it("of which a part was lost makes no file", function()
    local folder, done = t.folder()
    local full = assert(io.open("/dev/full", "wb"))
    assert(full:write "something")
    local ok, message = core.write_files { { folder .. "/out", { full } } }
    assert.is_nil(ok)
    assert.matches("No space left", message)
    assert.equal("", names_in(folder))
    pcall(full.close, full)
    done()
  end)
end)


describe("a killed run", function()
  it("leaves the old files and no others", function()
    local folder, done = t.folder()
    t.spit(folder .. "/a", "old")
    local code = ([[
      local core = require "lunette.core"
      local dir = %q
      os.execute("mkfifo " .. dir .. "/fifo; (sleep 0.5; kill -9 " ..
        io.open("/proc/self/stat"):read "n" .. ") &")
      local full = io.open(dir .. "/fifo", "r+") -- it reads nothing: writing waits
      core.write_files { { dir .. "/a", ("x"):rep(1 << 20) },
                         { dir .. "/fifo", ("x"):rep(1 << 20) } }
      full:close()
    ]]):format(folder)
    t.spit(folder .. "/code.lua", code)
    assert.equal(137, (t.shell(("lua5.4 '%s/code.lua'"):format(folder))))
    assert.equal("a code.lua fifo", names_in(folder))
    assert.equal("old", t.read(folder .. "/a"))
    done()
  end)
end)

describe("lu.save", function()
  it("does not write through a planted link beside its target", function()
    local folder, done = t.folder()
    t.spit(folder .. "/victim", "precious")
    for i = 0, 3 do
      lfs.link("victim", ("%s/.n.safetensors.lunette-%d"):format(folder, i), true)
    end
    assert(lu.save(t.net(), folder .. "/n.safetensors"))
    assert.equal("precious", t.read(folder .. "/victim"))
    assert.equal("file", kind(folder .. "/n.safetensors"))
    done()
  end)
end)

describe("the program", function()
  it("ends with an error when its output does not arrive", function()
    for _, to in ipairs { ">/dev/full", ">&-" } do
      local code, text = t.shell(
        ("./lunette --version %s; echo code $?"):format("2>&1 " .. to))
      assert.equal(0, code)
      assert.is_falsy(text:find "code 0\n", to .. text)
    end
  end)

  it("writes a picture to standard output after what it printed", function()
    local folder, done = t.folder()
    local _, text = t.shell(([[./lunette -e '
      io.write "before,"
      assert(require("lunette.base.files").write("/dev/stdout", "picture,"))
      io.write "after"' > '%s/log'; cat '%s/log']]):format(folder, folder))
    assert.equal("before,picture,after", text)
    done()
  end)
end)


describe("a path in a message", function()
  it("has no a/.. and no ., where that names the same", function()
    local plain = require("lunette.base.paths").plain
    local folder, done = t.folder()
    assert(files.mkdir(folder .. "/a/b"))
    assert.equal(folder .. "/a", plain(folder .. "/a/b/../b/./.."))
    assert.equal("../x", plain "../x")
    assert.equal(folder .. "/no/../a", plain(folder .. "/no/../a")) -- there is no "no"
    lfs.link("a/b", folder .. "/link", true)
    local behind = folder .. "/link/.." -- which is a
    assert.equal(behind, plain(behind))
    for _, place in ipairs { "weights", "scripts" } do
      assert.is_nil(require("lunette.base.paths")[place]():find("..", 1, true), place)
    end
    done()
  end)
end)


describe("a folder", function()
  it("is read in one order, whatever the file system has", function()
    local folders = require "lunette.base.folders"
    local dir, want = lfs.dir, {}
    finally(function() lfs.dir = dir end)
    local names = { "k.png", ".", "b.PNG", "z.txt", "a.jpg", "..", "m.bmp", "c.jpeg" }
    function lfs.dir()
      local i = 0
      return function()
        i = i + 1
        return names[i]
      end
    end
    assert.same({ "a.jpg", "b.PNG", "c.jpeg", "k.png", "m.bmp", "z.txt" },
                folders.names ".")
    for _, name in ipairs { "a.jpg", "b.PNG", "c.jpeg", "k.png", "m.bmp" } do
      want[#want + 1] = "./" .. name
    end
    assert.same(want, folders.pictures ".")
  end)
end)


describe("an error on a command line", function()
  it("is about what was typed where it names that, not where letters meet by chance",
    function()
      local typed = require "lunette.commands.typed"
      finally(function() typed.remember({}, {}) end)
      local function code(word, message, option)
        option = option or "layer"
        typed.remember({ [option] = word }, { option })
        return typed.code_of(message)
      end
      assert.equal(64, code("abc", "no abc here"))
      assert.is_nil(code("ab", "no ab here"))
      assert.equal(64, code("ab", "no 'ab' here"))
      assert.equal(64, code("ab", "a name, got ab"))
      assert.is_nil(code("abc", "no abcd here"))
      assert.is_nil(code("1234", "of 1234 values"))
      assert.equal(64, code("1234", "at most 9, got 1234"))
      assert.equal(64, code("a.c", "the file a.c is none"))
      assert.is_nil(code("a.c", "the file abc is none"))
      assert.equal(64, code("x,abc", "no abc here")) -- one of a list
      assert.equal(64, code("q", "--layer is empty"))
      assert.is_nil(code("q", "--layers are empty"))
      assert.equal(66, code("abc", "no abc here", "model"))
      assert.is_nil(code("q", "the model is none", "model"))
    end)
end)


describe("what was typed", function()
  it("is remembered for the next session, once where it is typed again", function()
    local paths = require "lunette.base.paths"
    local place, remove = t.folder()
    local xdg, seen = paths.xdg, {}
    paths.xdg = function() return place end
    local editor = { private_file = function(path) -- an empty file of the user's own
      io.open(path, "a"):close()
      return true
    end, remember = function(line) seen[#seen + 1] = line end }
    local history = require "lunette.repl.history"
    local add = history(editor)
    for _, code in ipairs { "x = 1", "x = 1", " ", "for i = 1, 2 do\nend", "x = 1" } do
      add(code)
    end
    assert.same({ "x = 1", "for i = 1, 2 do\nend", "x = 1" }, seen)
    seen = {}
    history(editor)
    paths.xdg = xdg
    remove()
    assert.same({ "x = 1", "for i = 1, 2 do\nend", "x = 1" }, seen)
  end)
end)


---Bytes of every length from 0 to `most`, and what a program says of each, as lines.
local function of_every_length(most, program)
  local folder, done = t.folder()
  local list = {}
  for n = 0, most do
    list[n + 1] = ("\xC3\0\x7F"):rep(n // 3 + 1):sub(1, n)
    t.spit(("%s/len%03d"):format(folder, n), list[n + 1])
  end
  local _, text = t.shell(("cd '%s' && for f in len*; do %s; done"):format(folder,
                                                                        program))
  done()
  return list, text
end


local function lines(f, list)
  local got = {}
  for i, bytes in ipairs(list) do got[i] = f(bytes) .. "\n" end
  return table.concat(got)
end


describe("a checksum in the core", function()
  it("is that of FIPS 180-4's examples and of sha256sum at every length", function()
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                 core.sha256 "")
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                 core.sha256 "abc")
    assert.equal("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
      core.sha256 "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
    assert.equal("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
                 core.sha256(("a"):rep(1000000)))
    local list, text = of_every_length(130, "sha256sum <$f | cut -c1-64")
    assert.equal(text, lines(core.sha256, list))
  end)
end)


describe("base64", function()
  it("is that of coreutils at every length", function()
    local list, text = of_every_length(70, "base64 -w 0 $f; echo")
    assert.equal(text, lines(core.base64, list))
  end)
end)
