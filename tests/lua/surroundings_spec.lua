-- Surroundings that are not as usual: no environment, odd locales, homes and folders of
-- temporary files that are not there, no /proc, a full disk, paths with blanks and
-- letters of other scripts. The program works, or says what is missing and leaves
-- nothing.
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"

local root = t.root()
local build = os.getenv "LUNETTE_BUILD" or root .. "/build/release"
local below, folder, done


local function quote(s) return "'" .. s:gsub("'", "'\\''") .. "'" end


---The program in the test's folder, with these variables and no others.
---@return integer code, string said
local function lunette(words, variables, around)
  local preload = os.getenv "LD_PRELOAD"
  local line = ("env -i PATH=/usr/bin:/bin LUNETTE_BUILD=%s LUA_PATH_5_4=%s "
    .. "LUA_CPATH_5_4=%s OPENBLAS_NUM_THREADS=1 %s %s lua5.4 %s %s"
    ):format(quote(build), quote(root .. "/lua/?.lua;" .. root .. "/lua/?/init.lua;;"),
    quote(build .. "/?.so;;"), preload and "LD_PRELOAD=" .. preload
    .. " ASAN_OPTIONS=detect_leaks=0" or "", variables or "",
    quote(root .. "/lua/lunette/main.lua"), words)
  if around then line = around:format(quote(line)) end
  return t.shell(("cd %s && %s"):format(quote(folder), line))
end


local function entries()
  local list = {}
  for name in require "lfs".dir(folder) do
    if name:find "^aus" then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end


setup(function()
  below, done = t.folder()
  folder = below .. "/mit Blank, Ümläut und 画"
  require "lfs".mkdir(folder)
  t.spit(folder .. "/bild ä 画.png", core.image.new(40, 40):png())
  t.spit(folder .. "/netz ü.h5", t.read(root .. "/tests/data/import/keras.h5"))
end)
teardown(function() done() end)
after_each(function()
  for _, name in ipairs(entries()) do os.remove(folder .. "/" .. name) end
end)

local explain = "explain 'bild ä 画.png' --model 'netz ü.h5' -o 'aus ö.png'"


describe("a path with blanks and letters of other scripts", function()
  for _, locale in ipairs { "", "LC_ALL=C", "LC_ALL=C.UTF-8", "LC_ALL=ja_JP.SJIS",
                            "LANG=tr_TR.UTF-8 LC_NUMERIC=de_DE.UTF-8" } do
    it("is a path like others; locale: " .. locale, function()
      local code, said = lunette(explain, locale)
      assert.equal(0, code, said)
      assert.matches("assumed input 64x64", said)
      assert.same(3, #entries())
      local json = t.read(folder .. "/aus ö.json")
      assert.matches("bild ä 画.png", json)
      assert.is_nil(json:find("%d,%d+,"), "a decimal comma")
    end)
  end
end)


describe("a cache", function()
  local summary = "summary 'netz ü.h5'"

  it("is made in a home that is there", function()
    local home = below .. "/home é"
    require "lfs".mkdir(home)
    local code, said = lunette(summary, "HOME=" .. quote(home))
    assert.equal(0, code, said)
    assert.matches("into the cache", said)
    code, said = lunette(summary, "HOME=" .. quote(home))
    assert.equal(0, code)
    assert.is_nil(said:find "importing")
  end)

  it("that cannot be is said; the file is imported for this time only", function()
    for variables, why in pairs {
      [""] = "HOME names no folder", ["HOME="] = "HOME names no folder",
      ["HOME=relative"] = "HOME names no folder",
      ["HOME=/proc/nowhere"] = "/proc/nowhere/.cache/lunette/imported cannot be made",
      ["HOME=/dev/null TMPDIR=/nowhere"] = "cannot be made" } do
      local code, said = lunette(summary, variables)
      assert.equal(0, code, said)
      assert.matches("importing netz ü.h5 for this time only: ", said)
      assert.matches(why, said)
    end
  end)

  it("that takes no more is said, and so is a full $TMPDIR; nothing is left", function()
    local temporary = below .. "/tmp"
    require "lfs".mkdir(temporary)
    -- files of at most 14 blocks of 512 bytes: less than the copy has
    local code, said = lunette(summary, ("XDG_CACHE_HOME=%s TMPDIR=%s"):format(
      quote(below .. "/kept"), quote(temporary)), "sh -c 'ulimit -f 14; '%s")
    assert.is_true(code ~= 0 and code < 128, said)
    assert.matches("for this time only: [^\n]*/kept/[^\n]* cannot be written", said)
    assert.matches(temporary .. "/lua_%w+ cannot be written", said)
    for _, path in ipairs { temporary, below .. "/kept/lunette/imported" } do
      for name in require "lfs".dir(path) do assert.matches("^%.%.?$", name) end
    end
  end)
end)


describe("without /proc", function()
  it("everything works", function()
    local around = "unshare -rm sh -c 'mount -t tmpfs none /proc && exec sh -c \"$1\"' "
      .. "sh %s"
    if t.sanitized then return pending "a sanitizer reads /proc" end
    if t.shell(around:format "true") ~= 0 then
      return pending "namespaces of one's own are not allowed here"
    end
    local code, said = lunette(explain, "HOME=" .. quote(below), around)
    assert.equal(0, code, said)
    assert.same(3, #entries())
    code, said = lunette("--version", "", around)
    assert.equal(0, code, said)
    code, said = lunette("explain 'bild ä 画.png' --model glyphs --method rise "
      .. "--memory 200M --masks-count 4 -o aus.png", "", around)
    assert.equal(0, code, said)
  end)
end)
