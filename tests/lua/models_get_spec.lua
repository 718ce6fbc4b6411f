-- `lunette models get` against a server on loopback that truncates, stalls, lies,
-- and knows ranges or not. The model is the small VGG of the reference material.
local json = require "lunette.base.json"
local lfs = require "lfs"
local quote = require("lunette.weights.import.program").quote

local shared = os.getenv("LUNETTE_SHARED") or "../shared"
local source = shared .. "/models/formats/vgg16_zip.pth"


local function exists(path) return lfs.attributes(path) ~= nil end


-- Other programs run without the sanitizer that this process may have loaded.
local function shell(command, keep)
  local pipe = io.popen(("%s { %s; } 2>&1; echo code $?"):format(
    keep and "" or "export LD_PRELOAD=;", command), "r")
  local text = pipe:read("a")
  pipe:close()
  return tonumber(text:match("code (%d+)%s*$")), text
end


local function read(path)
  local f = assert(io.open(path, "rb"))
  local bytes = f:read("a")
  f:close()
  return bytes
end


local function spit(path, bytes)
  local f = assert(io.open(path, "wb"))
  f:write(bytes)
  f:close()
end


local tmp, server, port, ready


-- A home folder for every test: nothing here, nothing cached.
local home
local function fresh()
  home = ("%s/home%d"):format(tmp, math.random(1 << 40))
  assert(os.execute("mkdir -p " .. quote(home .. "/store/lunette")))
end


local function catalogue(change)
  local _, sums = shell("sha256sum " .. quote(source))
  local e = { id = "toy", model = "vgg16", name = "Toy", origin = "torch",
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
  if not exists(source) or shell("python3 --version && curl --version") ~= 0 then
    return
  end
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
  ready = port ~= nil
end)


teardown(function()
  if server then server:close() end
  os.execute("rm -rf " .. quote(tmp))
end)


before_each(function()
  fresh()
  if exists(source) then catalogue() end
  requests()
end)


local function need()
  if not ready then pending("no reference material, python3 or curl") end
  return ready
end


-- Nothing of the download is left, nothing was installed.
local function nothing_kept()
  assert.is_false(exists(stored()))
  assert.is_false(exists(part()))
end


describe("lunette models get", function()
  it("downloads, verifies, imports, and is done the second time", function()
    if not need() then return end
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
    if not need() then return end
    local code, text = get("cut")
    assert.are.equal(0, code, text)
    assert.is_true(exists(stored()))
    assert.are.same({ "cut whole", "cut bytes=100000-", "cut bytes=200000-" },
                    requests())
  end)

  it("goes on where an earlier run was stopped", function()
    if not need() then return end
    spit(part(), read(source):sub(1, 120000))
    local code, text = get("good")
    assert.are.equal(0, code, text)
    assert.is_true(exists(stored()))
    assert.are.same({ "good bytes=120000-" }, requests())
  end)

  it("begins again where the server knows no ranges", function()
    if not need() then return end
    spit(part(), read(source):sub(1, 120000))
    local code, text = get("norange")
    assert.are.equal(0, code, text)
    assert.is_true(exists(stored()))
    assert.are.same({ "norange bytes=120000-", "norange whole" }, requests())
  end)

  it("gives up on a server that breaks off and knows no ranges", function()
    if not need() then return end
    local code, text = get("cutnorange")
    assert.are.equal(74, code, text)
    assert.is_truthy(text:find("connection broke", 1, true), text)
    assert.is_false(exists(stored()))
    assert.is_true(#requests() <= 8)
  end)

  it("does not wait for a server that stalls", function()
    if not need() then return end
    local before = os.time()
    local code, text = get("stall")
    assert.are.equal(0, code, text)
    assert.is_true(exists(stored()))
    assert.is_true(os.time() - before < 30)
    assert.is_true(#requests() >= 3)
  end)

  it("uses nothing of wrong bytes, and says both checksums", function()
    if not need() then return end
    local code, text = get("wrong")
    assert.are.equal(74, code, text)
    local _, sum = shell("sha256sum " .. quote(source))
    assert.is_truthy(text:find(sum:match("^%x+"), 1, true), text)
    assert.is_truthy(text:find("its sha256 is", 1, true), text)
    nothing_kept()
  end)

  it("uses nothing of a file that is too long", function()
    if not need() then return end
    local code, text = get("long")
    assert.are.equal(74, code, text)
    nothing_kept()
  end)

  it("begins again when what an earlier run left is wrong", function()
    if not need() then return end
    spit(part(), ("x"):rep(120000))
    local code, text = get("good")
    assert.are.equal(0, code, text)
    assert.is_true(exists(stored()))
    assert.are.same({ "good bytes=120000-", "good whole" }, requests())
  end)

  it("takes a part that is whole already", function()
    if not need() then return end
    spit(part(), read(source))
    local code, text = get("good")
    assert.are.equal(0, code, text)
    assert.is_true(exists(stored()))
    assert.are.same({}, requests())
  end)

  it("names the server's answer when it has no such file", function()
    if not need() then return end
    local code, text = get("missing")
    assert.are.equal(74, code)
    assert.is_truthy(text:find("answered 404", 1, true), text)
    nothing_kept()
    code, text = get("broken")
    assert.are.equal(74, code)
    assert.is_truthy(text:find("answered 500", 1, true), text)
    nothing_kept()
  end)

  it("says what to do when this machine is offline", function()
    if not need() then return end
    for _, mirror in ipairs { "http://127.0.0.1:9", "http://no.such.host.invalid" } do
      local code, text = get(mirror)
      assert.are.equal(74, code)
      assert.is_truthy(text:find("offline", 1, true), text)
      assert.is_truthy(text:find("lunette import toy.pth", 1, true), text)
      nothing_kept()
    end
  end)

  it("takes a cache's copy before it downloads", function()
    if not need() then return end
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
    if not need() then return end
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
    if not need() then return end
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
    if not need() then return end
    local bad = read(source):sub(1, 100000) -- a checksum can be that of a bad file
    spit(part(), bad)
    local _, sums = shell("sha256sum " .. quote(part()))
    catalogue { size = #bad, sha256 = sums:match("^%x+") }
    local code, text = get("missing")
    assert.are.equal(74, code, text)
    assert.is_truthy(text:find("zip archive", 1, true), text)
    nothing_kept()
  end)

  it("answers an unknown name with the nearest, and misuse with 64", function()
    if not need() then return end
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
      assert.is_truthy(require("lunette.picture.image").modes[e.preprocessing], e.id)
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
