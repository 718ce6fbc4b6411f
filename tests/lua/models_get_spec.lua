-- `lunette models get` against a server on loopback that truncates, stalls, lies,
-- and knows ranges or not. The model is the small VGG of tests/data/import.
local json = require "lunette.base.json"
local lfs = require "lfs"
local quote = require("lunette.base.text").quoted
local t = dofile "tests/lua/support.lua"

local source = require("lfs").currentdir() .. "/tests/data/import/zip.pth"


local function exists(path) return lfs.attributes(path) ~= nil end


local read, spit = t.read, t.spit


local function shell(command, keep)
  return (keep and t.shell or t.other)(command)
end


local tmp, server, port


-- A home folder for every test: nothing here, nothing cached.
local home
local function fresh()
  home = ("%s/home%d"):format(tmp, math.random(1 << 40))
  assert(os.execute("mkdir -p " .. quote(home .. "/store/lunette")))
end


local function catalogue(change)
  local _, sums = shell("sha256sum " .. quote(source))
  local e = { id = "toy", model = "vgg11", name = "Toy", origin = "torch",
              file = "toy.pth", url = "http://127.0.0.1:9/toy.pth",
              size = lfs.attributes(source, "size"), sha256 = sums:match("^%x+"),
              preprocessing = "torch", licence = "none" }
  for key, value in pairs(change or {}) do e[key] = value or nil end
  spit(home .. "/catalogue.json", json.encode { e })
end


-- Runs `lunette models ARGS` in that home, with a mirror in that mood.
local function models(mood, ...)
  local words = {}
  for i, word in ipairs { ... } do words[i] = ("%q"):format(word) end
  local mirror = mood and ("http://127.0.0.1:%d/%s"):format(port, mood) or ""
  if mood and mood:find("^http") then mirror = mood end
  return shell(("PATH=%s:$PATH HOME=%s XDG_DATA_HOME=%s XDG_CACHE_HOME= "
    .. "TORCH_HOME= "
    .. "LUNETTE_MIRROR=%s LUNETTE_STALL_SECONDS=1 LUNETTE_CATALOGUE=%s no_proxy='*' "
    .. "lua5.4 -e %s"):format(
    quote(tmp), quote(home), quote(home .. "/store"), quote(mirror),
    quote(home .. "/catalogue.json"), quote(
    ([[os.exit(require "lunette.commands.models" { %s })]]):format(
    table.concat(words, ",")))), true)
end


local function get(mood) return models(mood, "get", "toy", "--quiet") end


local function stored() return home .. "/store/lunette/toy.safetensors" end
local function part() return home .. "/store/lunette/toy-toy.pth.part" end


local function requests()
  local list = {}
  for line in (exists(tmp .. "/log") and read(tmp .. "/log") or ""):gmatch("[^\n]+") do
    list[#list + 1] = line
  end
  os.remove(tmp .. "/log")
  return list
end


setup(function()
  tmp = os.tmpname()
  os.remove(tmp)
  tmp = tmp .. ".d"
  assert(os.execute("mkdir -p " .. quote(tmp)))
  assert(shell("python3 --version && curl --version") == 0, "no python3 or curl")
  -- curl hangs where an address sanitizer is loaded into it.
  local _, curl = shell("command -v curl")
  spit(tmp .. "/curl", ('#!/bin/sh\nLD_PRELOAD= exec %s "$@"\n'):format(
    curl:match("^[^\n]+")))
  shell("chmod +x " .. quote(tmp .. "/curl"))
  -- The server ends when its stdin does, that is with this process.
  server = io.popen(("LD_PRELOAD= python3 tests/data/flaky_server.py %s %s >%s"):format(
    quote(source), quote(tmp .. "/log"), quote(tmp .. "/port")), "w")
  for _ = 1, 100 do
    os.execute("sleep 0.05")
    port = exists(tmp .. "/port") and tonumber(read(tmp .. "/port"))
    if port then break end
  end
  assert(port, "the server does not start")
end)


teardown(function()
  if server then server:close() end
  os.execute("rm -rf " .. quote(tmp))
end)


before_each(function()
  fresh()
  catalogue()
  requests()
end)


-- Nothing of the download is left, nothing was installed.
local function nothing_kept()
  assert.is_false(exists(stored()))
  assert.is_false(exists(part()))
end


describe("lunette models get", function()
  it("downloads, verifies, imports, and is done the second time", function()
    local code, text = get("good")
    assert.are.equal(0, code, text)
    assert.is_true(exists(stored()))
    assert.is_false(exists(part()))
    assert.are.same({ "good whole" }, requests())
    code, text = get("good")
    assert.are.equal(0, code, text)
    assert.is_truthy(text:find("already here", 1, true), text)
    assert.are.same({}, requests())
  end)

  it("goes on where a connection broke", function()
    local code, text = get("cut")
    assert.are.equal(0, code, text)
    assert.is_true(exists(stored()))
    assert.are.same({ "cut whole", "cut bytes=4000-", "cut bytes=8000-" },
                    requests())
  end)

  it("goes on where an earlier run was stopped", function()
    spit(part(), read(source):sub(1, 5000))
    local code, text = get("good")
    assert.are.equal(0, code, text)
    assert.is_true(exists(stored()))
    assert.are.same({ "good bytes=5000-" }, requests())
  end)

  it("begins again where the server knows no ranges", function()
    spit(part(), read(source):sub(1, 5000))
    local code, text = get("norange")
    assert.are.equal(0, code, text)
    assert.is_true(exists(stored()))
    assert.are.same({ "norange bytes=5000-", "norange whole" }, requests())
  end)

  it("gives up on a server that breaks off and knows no ranges", function()
    local code, text = get("cutnorange")
    assert.are.equal(74, code, text)
    assert.is_truthy(text:find("connection broke", 1, true), text)
    assert.is_false(exists(stored()))
    assert.is_true(#requests() <= 8)
  end)

  it("does not wait for a server that stalls", function()
    local before = os.time()
    local code, text = get("stall")
    assert.are.equal(0, code, text)
    assert.is_true(exists(stored()))
    assert.is_true(os.time() - before < 30)
    assert.is_true(#requests() >= 3)
  end)

  it("uses nothing of wrong bytes, and says both checksums", function()
    local code, text = get("wrong")
    assert.are.equal(74, code, text)
    local _, sum = shell("sha256sum " .. quote(source))
    assert.is_truthy(text:find(sum:match("^%x+"), 1, true), text)
    assert.is_truthy(text:find("its sha256 is", 1, true), text)
    nothing_kept()
  end)

  it("uses nothing of a file that is too long", function()
    local code, text = get("long")
    assert.are.equal(74, code, text)
    nothing_kept()
  end)

  it("begins again when what an earlier run left is wrong", function()
    spit(part(), ("x"):rep(5000))
    local code, text = get("good")
    assert.are.equal(0, code, text)
    assert.is_true(exists(stored()))
    assert.are.same({ "good bytes=5000-", "good whole" }, requests())
  end)

  it("takes a part that is whole already", function()
    spit(part(), read(source))
    local code, text = get("good")
    assert.are.equal(0, code, text)
    assert.is_true(exists(stored()))
    assert.are.same({}, requests())
  end)

  it("names the server's answer when it has no such file", function()
    local code, text = get("missing")
    assert.are.equal(74, code)
    assert.is_truthy(text:find("answered 404", 1, true), text)
    nothing_kept()
    code, text = get("broken")
    assert.are.equal(74, code)
    assert.is_truthy(text:find("answered 500", 1, true), text)
    nothing_kept()
  end)

  it("follows where the file has moved, but not out of the web, nor in circles",
     function()
    local code, text = get "moved"
    assert.are.equal(0, code, text)
    assert.is_true(exists(stored()))
    assert.is_false(exists(part()))
    assert.are.same({ "moved whole", "good whole" }, requests())
    for mood, words in pairs { tofile = "curl ended with code 1", toftp = "code 1",
                               circle = "redirected in circles" } do
      fresh()
      catalogue()
      code, text = get(mood)
      assert.are.equal(74, code, mood .. text)
      assert.is_truthy(text:find(words, 1, true), mood .. ": " .. text)
      nothing_kept()
      assert.is_true(#requests() <= 10)
    end
  end)

  it("never leaves https once it was asked for", function()
    local server_of_plain = ("http://127.0.0.1:%d/good"):format(port)
    local log = tmp .. "/words"
    spit(tmp .. "/curl.kept", read(tmp .. "/curl"))
    -- what curl is told for either address
    spit(tmp .. "/curl", ('#!/bin/sh\nprintf "%%s\\n" "$@" >%s\nexit 7\n'):format(log))
    for mirror, want in pairs { ["https://127.0.0.1:9/x"] = "=https",
                                [server_of_plain] = "=http,https" } do
      get(mirror)
      local words = "\n" .. read(log)
      assert.is_truthy(words:find("\n--proto\n" .. want .. "\n", 1, true), words)
      assert.is_truthy(words:find("\n--max-redirs\n8\n", 1, true), words)
      assert.is_truthy(words:find("\n--\n" .. mirror .. "/toy.pth\n", 1, true), words)
    end
    spit(tmp .. "/curl", read(tmp .. "/curl.kept"))
  end)

  it("uses nothing of a file that is too short, however well it ends", function()
    local code, text = get "short"
    assert.are.equal(74, code, text)
    assert.is_truthy(text:find("the catalogue says", 1, true), text)
    assert.is_false(exists(stored()))
    assert.is_true(#requests() <= 4)
  end)

  it("leaves nothing of an earlier attempt beside what it installs", function()
    for _, mood in ipairs { "good", "norange", "cut" } do
      fresh()
      catalogue()
      spit(part(), read(source):sub(1, 5000))
      local code, text = get(mood)
      assert.are.equal(0, code, text)
      local names = {}
      for name in lfs.dir(home .. "/store/lunette") do
        if name ~= "." and name ~= ".." then names[#names + 1] = name end
      end
      assert.are.same({ "toy.safetensors" }, names, mood)
    end
    requests()
  end)

  it("checks by each kind of checksum", function()
    local _, sums = shell("sha256sum " .. quote(source))
    local sha = sums:match "^%x+"
    local _, md5s = shell("md5sum " .. quote(source))
    local md5 = md5s:match "^%x+"
    local off = (sha:sub(1, 1) == "0" and "1" or "0") .. sha:sub(2)
    local last = sha:sub(1, -2) .. (sha:sub(-1) == "0" and "1" or "0")
    local off5 = (md5:sub(1, 1) == "0" and "1" or "0") .. md5:sub(2)
    for _, row in ipairs {
      { 0, { sha256 = sha } }, { 74, { sha256 = off } }, { 74, { sha256 = last } },
      { 0, { sha256 = false, sha256_prefix = sha:sub(1, 8) } },
      { 74, { sha256 = false, sha256_prefix = off:sub(1, 8) } },
      { 0, { sha256 = false, md5 = md5 } }, { 74, { sha256 = false, md5 = off5 } },
      { 74, { sha256 = off, md5 = md5 } }, { 0, { sha256 = sha, md5 = off5 } },
    } do
      fresh()
      catalogue(row[2])
      local code, text = get "good"
      assert.are.equal(row[1], code, json.encode(row[2]) .. text)
      assert.are.equal(row[1] == 0, exists(stored()))
      assert.is_false(exists(part()))
    end
    requests()
  end)

  it("says what to do when this machine is offline", function()
    for _, mirror in ipairs { "http://127.0.0.1:9", "http://no.such.host.invalid" } do
      local code, text = get(mirror)
      assert.are.equal(74, code)
      assert.is_truthy(text:find("offline", 1, true), text)
      assert.is_truthy(text:find("lunette import toy.pth", 1, true), text)
      nothing_kept()
    end
  end)

  it("takes a cache's copy before it downloads", function()
    local cache = home .. "/.cache/torch/hub/checkpoints"
    assert(os.execute("mkdir -p " .. quote(cache)))
    spit(cache .. "/toy.pth", read(source))
    local code, text = models(nil, "list")
    assert.are.equal(0, code)
    assert.is_truthy(text:find("in a cache", 1, true), text)
    code, text = get("good")
    assert.are.equal(0, code, text)
    assert.is_true(exists(stored()))
    assert.are.same({}, requests())
    assert.is_true(exists(cache .. "/toy.pth"))
    code, text = models(nil, "list")
    assert.are.equal(0, code)
    assert.is_truthy(text:find("ready", 1, true), text)
  end)

  it("leaves a cache's damaged copy alone, and downloads", function()
    local cache = home .. "/.cache/torch/hub/checkpoints"
    assert(os.execute("mkdir -p " .. quote(cache)))
    local bytes = read(source)
    spit(cache .. "/toy.pth", "x" .. bytes:sub(2))
    local code, text = get("good")
    assert.are.equal(0, code, text)
    assert.is_truthy(text:find("not used", 1, true), text)
    assert.are.same({ "good whole" }, requests())
    assert.are.equal(#bytes, lfs.attributes(cache .. "/toy.pth", "size"))
  end)

  it("finds Keras' and Hugging Face's caches, too", function()
    for origin, folder in pairs { keras = "/.keras/models",
        huggingface = "/.cache/huggingface/hub/models--a--b/snapshots/1234" } do
      fresh()
      catalogue { origin = origin, repository = "a/b" }
      assert(os.execute("mkdir -p " .. quote(home .. folder)))
      spit(home .. folder .. "/toy.pth", read(source))
      local code, text = get("good")
      assert.are.equal(0, code, text)
      assert.are.same({}, requests())
    end
  end)

  it("keeps nothing when what it fetched is no model", function()
    local bad = read(source):sub(1, 4000) -- a checksum can be that of a bad file
    spit(part(), bad)
    local _, sums = shell("sha256sum " .. quote(part()))
    catalogue { size = #bad, sha256 = sums:match("^%x+") }
    local code, text = get("missing")
    assert.are.equal(74, code, text)
    assert.is_truthy(text:find("zip archive", 1, true), text)
    nothing_kept()
  end)

  it("answers an unknown name with the nearest, and misuse with 64", function()
    local code, text = models(nil, "get", "toi")
    assert.are.equal(64, code)
    assert.is_truthy(text:find("did you mean 'toy'", 1, true), text)
    assert.are.equal(64, (models(nil, "fetch")))
    assert.are.equal(64, (models(nil, "get")))
  end)
end)


describe("the catalogue", function()
  local entries = require("lunette.weights.catalogue").list()

  it("names source, checksum, preprocessing and licence of every model", function()
    local ids = {}
    for _, e in ipairs(entries) do
      assert.is_nil(ids[e.id], e.id)
      ids[e.id] = true
      assert.is_truthy(e.id:match("^[%w_-]+$"))
      assert.is_truthy(e.url:match("^https://.+/" .. e.file:gsub("%p", "%%%0") .. "$"))
      assert.is_truthy(e.sha256 or e.sha256_prefix or e.md5, e.id)
      assert.is_true(e.sha256 == nil or #e.sha256 == 64)
      assert.is_true(e.md5 == nil or #e.md5 == 32)
      local full = require("lunette.picture.preprocessing").spec(e.preprocessing)
      assert.is_truthy(full.std, e.id)
      assert.is_truthy(require("lunette.models")[e.model], e.id)
      assert.is_truthy(e.licence:find("ImageNet", 1, true), e.id)
    end
    assert.is_true(ids.vgg16 and ids["vgg16-torchvision"])
  end)

  it("knows the files of Keras, torchvision and timm by their checksums", function()
    local by = require("lunette.weights.catalogue").by_checksum
    assert.are.equal("vgg16", by { md5 = "64373286793e3c8b2b4e3219cbf3544b" }.id)
    assert.are.equal("vgg16-torchvision", by { sha256 =
      "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0" }.id)
    assert.are.equal("vgg19-torchvision",
                     by { sha256 = "dcbb9e9d" .. ("0"):rep(56) }.id)
    assert.is_nil(by { sha256 = ("0"):rep(64), md5 = ("0"):rep(32) })
  end)
end)
