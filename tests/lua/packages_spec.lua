-- Packages: the rockspec, the bill of materials, and, where PACKAGES=1 asks for it (it
-- builds everything anew, which takes a minute), Debian's packages.
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local folder, done = t.folder()
teardown(done)
local outside = "unset LUA_PATH_5_4 LUA_CPATH_5_4 LUNETTE_BUILD LUNETTE_MODELS; "


local function has(program)
  return t.shell("command -v " .. program .. " >/dev/null") == 0
end


---Does an installed program do what it is for: the map of a picture, a script by its
---name, a file of another program?
local function works(program)
  t.picture(folder .. "/photo.png", 40, 40, 3)
  local run = ("%s cd '%s' && '%s' "):format(outside, folder, program)
  local code, text = t.shell(run .. "explain photo.png --model glyphs -o out/")
  assert(code == 0, text)
  local map = assert(lu.image.load(folder .. "/out/photo_gradcam.png"))
  assert.equal(3, map:dim(1))
  code, text = t.shell(run .. "saliency photo.png --model glyphs --out s.png")
  assert(code == 0, text)
  local file = t.root() .. "/tests/data/import/auto_names.weights.h5"
  code, text = t.shell(("%simport --list '%s'"):format(run, file))
  assert(code == 0, text)
  assert.matches("tensors", text)
end


describe("the rockspec", function()
  it("builds and installs a rock that works", function()
    local build = os.getenv "LUNETTE_BUILD" or ""
    if not has "luarocks" then return pending "luarocks is not installed" end
    if not build:find "/build/release$" then
      return pending "luarocks make: done by the release build alone"
    end
    -- CC as in the Makefile, so that nothing is built anew
    local code, text = t.shell(("cd '%s' && luarocks --lua-version=5.4 make "
      .. "--tree='%s/tree' --deps-mode=none CC=cc"):format(t.root(), folder))
    assert(code == 0, text)
    works(folder .. "/tree/bin/lunette")
    code, text = t.shell(("luarocks --lua-version=5.4 --tree='%s/tree' remove lunette")
      :format(folder))
    assert(code == 0, text)
    assert.is_false(t.exists(folder .. "/tree/bin/lunette"))
  end)
end)


---The packages that deps.txt says are needed to build, with their reasons.
local function needed()
  local list = {}
  for line in io.lines "deps.txt" do
    local name, why = line:match "^build%s+(%S+)%s+(.*)$"
    if name then list[#list + 1] = { name = name, why = why } end
  end
  return list
end


describe("the bill of materials", function()
  local code, said = t.shell(("SOURCE_DATE_EPOCH=86400 lua5.4 packaging/sbom.lua 1.2.3 "
    .. "abc '%s'"):format(folder))
  local bill = t.read(folder .. "/lunette-1.2.3.spdx") or said
  local sheet = t.read(folder .. "/lunette-1.2.3.md") or said

  it("is SPDX 2.3", function()
    assert(code == 0, said)
    assert.matches("^SPDXVersion: SPDX%-2.3\nDataLicense: CC0%-1.0\n"
                   .. "SPDXID: SPDXRef%-DOCUMENT\nDocumentName: ", bill)
    assert.matches("\nCreated: 1970%-01%-02T00:00:00Z\n", bill)
    local ids = {}
    for id in bill:gmatch "\nSPDXID: (%S+)" do
      assert.is_nil(ids[id], id)
      assert.matches("^SPDXRef%-[%w.-]+$", id)
      ids[id] = true
    end
    for a, b in bill:gmatch "\nRelationship: (%S+) [%u_]+ (%S+)" do
      assert.is_true(ids[a] and ids[b], a .. " " .. b)
    end
    for _, tag in ipairs { "PackageVersion", "PackageDownloadLocation",
                           "PackageLicenseConcluded", "PackageLicenseDeclared" } do
      local n = select(2, bill:gsub("\n" .. tag .. ": %S", ""))
      assert.equal(#needed() + 1, n, tag)
    end
  end)

  it("has every package that deps.txt says is needed, in the sheet too", function()
    for _, d in ipairs(needed()) do
      assert.truthy(bill:find("\nPackageName: " .. d.name .. "\n", 1, true), d.name)
      local related = select(2, bill:gsub("SPDXRef%-" .. d.name:gsub("%p", "%%%0")
                                          .. "%f[\n ]", ""))
      assert.is_true(related >= 2, d.name .. " has no relationship")
      assert.truthy(sheet:find(("| %s |"):format(d.name), 1, true), d.name)
      assert.truthy(sheet:find(d.why, 1, true), d.name)
    end
  end)

  it("comes with a page that says version, licence, tests, anomalies", function()
    for _, words in ipairs { "# Lunette 1.2.3 %(commit abc%)", "Licence: MIT",
                             "not: a medical device", "At least %d%d%d%d tests",
                             "## Known anomalies\n\n%- " } do
      assert.matches(words, sheet)
    end
    local lines = select(2, sheet:gsub("\n", ""))
    assert.is_true(lines <= 70, "the page has " .. lines .. " lines")
  end)

  it("refuses a package that it knows no licence of", function()
    t.shell(("mkdir -p '%s/tree/tests' '%s/tree/docs' && cp -R packaging '%s/tree/' && "
      .. "cp tests/counts.txt '%s/tree/tests/' && cp docs/anomalies.md '%s/tree/docs/'")
      :format(folder, folder, folder, folder, folder))
    t.spit(folder .. "/tree/deps.txt", t.read "deps.txt" .. "build libnew-dev why\n")
    local failed, text = t.shell(("cd '%s/tree' && lua5.4 packaging/sbom.lua 1 a out")
      :format(folder))
    assert.is_true(failed ~= 0)
    assert.matches("no role and licence of 'libnew%-dev'", text)
  end)
end)


---Installs packages in a root that is this machine's with a layer over it, explains a
---picture there, and takes them away again.
local inside = [[
mount -t tmpfs tmpfs "$1/over" && mkdir "$1"/over/{up,work,root} &&
mount -t overlay overlay -o lowerdir=/,upperdir="$1/over/up",workdir="$1/over/work" \
  "$1/over/root" && mkdir "$1/over/root/there" &&
cp "$2"/*.deb "$1/photo.png" "$1/over/root/there" && rm "$1"/over/root/there/*dbgsym* &&
chroot "$1/over/root" bash -ec '
  cd /there
  dpkg -i *.deb
  run="env -i PATH=/usr/bin:/bin HOME=/root"
  $run lunette explain photo.png --model glyphs -o out/
  ls -s out/photo_gradcam.png
  dpkg -r lunette liblunette-dev liblunette0
  ! ls /usr/bin/lunette /usr/share/lunette
']]


describe("make deb", function()
  local function left_out()
    if not os.getenv "PACKAGES" then return "PACKAGES=1 asks for it" end
    for _, program in ipairs { "dpkg-buildpackage", "dh", "lintian" } do
      if not has(program) then return program .. " is not installed" end
    end
    return nil
  end

  it("makes packages that lintian has nothing against", function()
    if left_out() then return pending("Debian packages: " .. left_out()) end
    local code, text = t.shell("make deb")
    assert(code == 0, text:sub(-2000))
    -- lintian leaves files of its own behind
    code, text = t.shell(("TMPDIR='%s' lintian --fail-on error,warning "
      .. "--tag-display-limit 0 build/deb/*.changes 2>&1 | grep -v 'root privileges'")
      :format(folder))
    assert.equal("", text)
    assert.is_true(code ~= 0) -- grep found nothing
  end)

  it("makes packages that install, explain a picture, and go", function()
    if left_out() then return pending("Debian packages: " .. left_out()) end
    t.picture(folder .. "/photo.png", 40, 40, 3)
    assert.equal(0, t.shell(("for d in build/deb/l*.deb; do dpkg -x $d '%s/root'; done")
      :format(folder)))
    assert.is_true(t.exists(folder .. "/root/usr/bin/lunette"))
    if t.shell "unshare -m true" ~= 0 then return pending "install: needs root" end
    t.spit(folder .. "/inside", inside)
    local code, text = t.shell(("mkdir '%s/over' && unshare -m bash -e '%s/inside' "
      .. "'%s' build/deb"):format(folder, folder, folder))
    assert(code == 0, text)
    assert.matches("%d+ out/photo_gradcam.png", text)
  end)
end)
