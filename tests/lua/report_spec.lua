-- lunette report and lu.report: what stands on the page, hostile names, the values.
local json = require "lunette.base.json"
local lfs = require "lfs"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local folder, done, net


setup(function()
  folder, done = t.folder()
  net = assert(lu.net(lu.models.tiny_vgg { side = 32 })):init(3)
  assert(lu.save(net, folder .. "/tiny.safetensors"))
  assert(lfs.mkdir(folder .. "/in"))
  for i = 1, 3 do t.picture(("%s/in/p%d.png"):format(folder, i), 40, 36, i) end
end)

teardown(function() done() end)


---Runs the program in the folder.
local function run(arguments)
  return t.program(arguments, folder, "XDG_CACHE_HOME=" .. folder)
end


---The contents of the script element with that id.
local function block(page, id)
  local text = page:match('<script type="application/json" id="' .. id
                          .. '">(.-)</script>')
  return text and assert(json.decode(text))
end


local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


---Bytes of a base64 text.
local function from_base64(text)
  local letters, out, bits, n = {}, {}, 0, 0
  for i = 1, 64 do
    letters[ALPHABET:byte(i)] = i - 1
  end
  for c in text:gmatch "[%w+/]" do
    bits, n = bits << 6 | letters[c:byte()], n + 6
    if n >= 8 then
      n = n - 8
      out[#out + 1] = string.char(bits >> n & 255)
    end
  end
  return table.concat(out)
end


---The numbers of a PNG of 16-bit grey, read by Pillow: an independent reader.
local function numbers_of(png)
  t.spit(folder .. "/values.png", png)
  local code, text = t.other(("/usr/bin/python3 -c \"from PIL import Image; "
    .. "import numpy as n; at = '%s/values.'; "
    .. "n.array(Image.open(at + 'png')).astype('<f4').tofile(at + 'f32')\"")
    :format(folder))
  assert.equal(0, code, text)
  local list = {}
  for at = 1, #t.read(folder .. "/values.f32"), 4 do
    list[#list + 1] = (("<f"):unpack(t.read(folder .. "/values.f32"), at))
  end
  return list
end


---Do a map of the index and its block say what the tensor holds, to half a step?
local function check_values(row, png, map)
  local lo, hi, v = row[8], row[9], map:view(map:size())
  local step, numbers = (hi - lo) / 65535, numbers_of(from_base64(png))
  assert.equal(map:size(), #numbers)
  for i = 1, #numbers do
    -- half a step, and the rounding of float32 values of this size
    assert.is_true(math.abs(lo + numbers[i] * step - v[i]) <= step * 0.5001 + 1e-12)
  end
end


describe("lunette report", function()
  local page, index

  setup(function()
    local words = "explain in --model tiny.safetensors -o out --each --quiet "
      .. "--save npy,json"
    local code, text = run(words .. " --method saliency")
    assert.equal(0, code, text)
    code, text = run(words)
    assert.equal(0, code, text)
    code, text = run "report out"
    assert.equal(0, code, text)
    assert.matches("wrote out/report.html: 6 maps, 0 errors", text, 1, true)
    page = t.read(folder .. "/out/report.html")
    index = block(page, "index")
  end)

  it("has every map with its picture, classes and method", function()
    assert.equal(6, #index.maps)
    assert.equal(3, #index.pictures)
    assert.equal(2, #index.jobs)
    local run_ <close> = net:run(net:images { folder .. "/in/p1.png" })
    local best = run_:top(5)[1]
    local row = index.maps[1]
    assert.equal("p1.png", index.pictures[row[1] + 1].name)
    assert.equal(32, index.pictures[row[1] + 1].width)
    for i, c in ipairs(index.tops[row[3] + 1]) do
      assert.equal(best[i].class, c[2])
      assert.near(best[i].probability or best[i].score, c[3], 1e-6)
    end
    assert.equal(best[1].class, row[4])
  end)

  it("carries the values of the .npy to half of a 65535th of their range", function()
    local seen = 0
    for name in lfs.dir(folder .. "/out") do
      if name:find "^p1.*%.npy$" then
        local map = assert(lu.npy.read(folder .. "/out/" .. name))[1]
        local s = map:stats()
        for id, row in ipairs(index.maps) do
          local of = index.pictures[row[1] + 1].name == "p1.png"
          if of and row[8] == s.min and row[9] == s.max then
            seen = seen + 1
            check_values(row, block(page, "m" .. id).png, map)
          end
        end
      end
    end
    assert.equal(2, seen)
  end)

  it("gives the command that makes a map again", function()
    for id, row in ipairs(index.maps) do
      local command = block(page, "m" .. id).command
      local code, text = run(command:gsub("^lunette ", "") .. " -o again.png --quiet")
      assert.equal(0, code, text)
      local name = index.jobs[row[2] + 1].method
      local again
      for file in lfs.dir(folder) do
        if file:find "^again%-.*%.npy$" then
          again = assert(lu.npy.read(folder .. "/" .. file))
          os.remove(folder .. "/" .. file)
        end
      end
      check_values(row, block(page, "m" .. id).png, again[1])
      assert.is_string(name)
    end
  end)

  it("asks nobody for anything: no address, and a policy against it", function()
    assert.is_nil(page:find "https?://")
    assert.matches("default%-src &#39;none&#39;", page)
    for tag in page:gmatch "<(%a+)[^>]*%ssrc=" do assert.equal("none", tag) end
    for tag in page:gmatch "<(%a+)[^>]*%shref=" do assert.equal("none", tag) end
    -- the policy's sum is of the script as it stands
    local script = page:match '<script>(.-)</script>'
    local bytes = lu.core.sha256(script):gsub("%x%x", function(x)
      return string.char(tonumber(x, 16))
    end)
    assert.is_truthy(page:find("sha256-" .. lu.core.base64(bytes), 1, true))
  end)

  it("plots what the layers put out", function()
    assert.matches("What the layers put out: tiny_vgg</h2><p>3 pictures", page, 1, true)
  end)

  it("is HTML that tidy has nothing to say about", function()
    if t.shell "command -v tidy >/dev/null" ~= 0 then
      pending "needs tidy"
      return
    end
    local code, text = t.shell(("tidy -q -e '%s/out/report.html'"):format(folder))
    assert.equal("", text)
    assert.equal(0, code)
  end)

  it("has one control a label, and headings that skip no level", function()
    for label in page:gmatch "<label.->(.-)</label>" do
      local controls = 0
      for tag in label:gmatch "<(%a+)" do
        local list = "button input meter output progress select textarea"
        controls = controls + (list:find(tag, 1, true) and 1 or 0)
      end
      assert.is_true(controls <= 1, label)
    end
    local before = 1
    for level in page:gsub("<dialog.-</dialog>", ""):gmatch "<h(%d)" do
      assert.is_true(tonumber(level) <= before + 1, level)
      before = tonumber(level)
    end
  end)

  it("speaks Russian, and lays thousands beside the page", function()
    local code, text = run "report out --lang ru --linked --layers 0 -o beside/r.html"
    assert.equal(0, code, text)
    local linked = t.read(folder .. "/beside/r.html")
    assert.matches('<html lang="ru">', linked, 1, true)
    assert.matches("Вероятные классы", linked, 1, true)
    assert.is_nil(linked:find('id="m1"', 1, true))
    local script = t.read(folder .. "/beside/r.files/m000/m1.js")
    local first = assert(json.decode(script:match "^lunetteBlock%(1, (.*)%);\n$"))
    assert.equal(block(page, "m1").png, first.png)
    assert.equal("\xFF\xD8", t.read(folder .. "/beside/r.files/p000/p1.jpg"):sub(1, 2))
  end)

  it("draws the scenes of the embedded network again", function()
    local code, text = run "explain --model glyphs -o scenes/ --save npy,json --quiet"
    assert.equal(0, code, text)
    code, text = run "report scenes --layers 1"
    assert.equal(0, code, text)
    local scenes = block(t.read(folder .. "/scenes/report.html"), "index")
    assert.equal(4, #scenes.pictures)
    for _, picture in ipairs(scenes.pictures) do
      assert.same({ 224, 224 }, { picture.width, picture.height })
      assert.is_nil(picture.why)
    end
  end)

  it("counts a picture that two networks take in once, names both folders", function()
    local words = "explain in/p1.png --save npy,json --quiet --method gradcam "
    for _, model in ipairs { "tiny.safetensors", "glyphs" } do
      local code, text = run(words .. "--model " .. model .. " -o net_" .. model .. "/")
      assert.equal(0, code, text)
    end
    local code, text = run "report net_tiny.safetensors/ net_glyphs --layers 0"
    assert.equal(0, code, text)
    local two = t.read(folder .. "/net_tiny.safetensors/report.html")
    assert.matches("<title>net_tiny.safetensors, net_glyphs</title>", two, 1, true)
    assert.matches("2 maps, 1 picture · Lunette", two, 1, true)
    assert.equal(2, #block(two, "index").pictures) -- of 32 and of 224 pixels
  end)

  it("says which pictures it cannot read", function()
    assert(lfs.mkdir(folder .. "/away"))
    t.shell(("cd '%s'; cp out/p1* out/p2* away/; mv in/p1.png p1"):format(folder))
    local code, text = run "report away --layers 0"
    t.shell(("cd '%s'; mv p1 in/p1.png"):format(folder))
    assert.equal(0, code, text)
    assert.matches("warning: report: 1 picture of 2 cannot be read", text, 1, true)
    assert.matches("in/p1.png", text, 1, true)
    code, text = run "report away --layers 0"
    assert.equal(0, code, text)
    assert.not_matches("cannot be read", text)
  end)

  it("finds every map of a result, as many as an option may ask for", function()
    local away = folder .. "/counted"
    for _, path in ipairs { away, away .. "/manifest" } do assert(lfs.mkdir(path)) end
    local function put(path, text)
      assert(require("lunette.base.files").write(path, text))
    end
    local function read(top)
      put(away .. "/sweep.json",
          ('{"jobs":{"a":{"options":{"top":%d}}}}'):format(top))
      put(away .. "/manifest/shard-0-of-1.jsonl", '{"name":"one","job":"a"}\n')
      put(away .. "/one.json", '{"model":"m"}')
      return assert(require("lunette.report.folder").read { away })
    end
    lu.npy.write(away .. "/one.npy", lu.range(1, 3):view(3, 1, 1))
    local source = read(1 << 20) -- the most that `top` takes
    assert.equal(1 << 20, #source.entries)
    for k = 1, 3 do
      assert.equal(k, assert(source.entries[k]()).values():item())
    end
    source = read(3000000)
    assert.equal(0, #source.entries)
    assert.matches("it speaks of 3000000 maps; 2097151 are the most",
                   source.errors[1].message)
  end)

  it("says what it cannot find, and tells errors apart", function()
    local code, text = run "report nowhere"
    assert.equal(66, code)
    assert.matches("'nowhere' is no folder", text, 1, true)
    code, text = run "report in"
    assert.equal(66, code)
    assert.matches("lunette explain PICTURES --save npy,json", text, 1, true)
    assert.equal(64, (run "report out --layers -1"))
    assert(lfs.mkdir(folder .. "/torn"))
    t.shell(("cp '%s'/out/p1* '%s/torn/'; cd '%s/torn'; for f in *.npy; do "
      .. "head -c 200 \"$f\" >x; mv x \"$f\"; done"):format(folder, folder, folder))
    code, text = run "report torn --layers 0"
    assert.equal(3, code, text)
    assert.matches("0 maps, 2 errors", text, 1, true)
    assert.matches("its shape wants", t.read(folder .. "/torn/report.html"), 1, true)
  end)
end)


describe("hostile names", function()
  local evil = { '<img src=x onerror=alert(1)>', '"><script>alert(1)</script>',
                 "a'b\"c&d", "\u{202E}gnp.exe", "two\nlines\27[2J", "\xFF\xFE" }

  it("are text, wherever they stand", function()
    local images = net:images { folder .. "/in/p1.png" }
    images.names = { evil[1] }
    local map = lu.gradcam(net:run(images))
    local maps = {}
    for i, name in ipairs(evil) do
      maps[i] = map:clone()
      maps[i].story = { method = name, layer = name, model = name, draws = "overlay",
        classes = { 0 }, class_names = { name }, modifiers = { name }, [name] = name,
        trust = { { { name = name, verdict = "fail", text = name } } } }
      maps[i].origin = nil
    end
    local path = folder .. "/evil.html"
    assert(lu.report { maps = maps, out = path, layers = 0, title = evil[2],
                       run = net:run(images) })
    local page = t.read(path)
    local data = page:gsub("<script>.-</script>", "")
    assert.is_nil(data:find "<img")
    assert.is_nil(data:find "onerror=alert%(1%)>")
    assert.is_nil(page:find "<script>alert")
    assert.is_nil(data:find("\u{202E}", 1, true))
    assert.is_nil(data:find "[\1-\8\11-\31]")
    assert.is_truthy(utf8.len(page))
    assert.matches("<title>&quot;&gt;&lt;script&gt;alert(1)", page, 1, true)
    local index = block(page, "index")
    assert.equal(evil[1], index.jobs[1].method)
    assert.equal("\\u{202E}gnp.exe", index.jobs[4].method)
    assert.equal("\\xFF\\xFE", index.jobs[6].method)
    local told = block(page, "m5") -- a check is told once, not in the story as well
    assert.is_nil(told.story.trust)
    assert.equal("fail", told.checks[1].verdict)
  end)
end)


describe("lu.report", function()
  it("takes maps of several classes, of channels and of both signs", function()
    local run_ = net:run(net:images { folder .. "/in/p1.png", folder .. "/in/p2.png" })
    local maps = { lu.gradcam(run_, { top = 3 }), lu.input_x_gradient(run_) }
    local path, _, count, errors = lu.report { maps = maps, run = run_, layers = 0,
      out = folder .. "/own.html", lang = "ru" }
    assert.equal(folder .. "/own.html", path)
    assert.same({ 8, 0 }, { count, errors })
    local page = t.read(path)
    local index = block(page, "index")
    local best = run_:top(3)
    for at = 1, 6 do
      assert.equal(best[(at - 1) % 2 + 1][(at - 1) // 2 + 1].class, index.maps[at][4])
    end
    local signed = maps[2][1]
    if signed:dim() == 3 then signed = signed:sum { dims = { 1 } } end
    check_values(index.maps[7], block(page, "m7").png, signed)
    assert.is_true(index.maps[7][8] < 0 and index.maps[7][9] > 0)
  end)

  it("refuses what is no map, and leaves maps of NaN out", function()
    assert.matches("maps are what a method returns",
      t.message(lu.report, { maps = lu.zeros(2, 2) }))
    assert.matches("give either maps or from", t.message(lu.report, {}))
    assert.matches("run goes with maps", t.message(lu.report,
      { from = folder .. "/out", run = net:run(t.input(net)) }))
    for key, value in pairs { from = 3, maps = 3, run = 7 } do
      local opts = key == "run" and { maps = {} } or {}
      opts[key] = value
      assert.matches(("^tests/lua/report_spec.lua:%%d+: lu.report: opts: option '%s' "
        .. "should be "):format(key),
        t.message(function() lu.report(opts) end))
    end
    local map = lu.gradcam(net, net:images { folder .. "/in/p1.png" })
    local bad = map:clone()
    bad.story, bad.origin = map.story, map.origin
    bad[1][1][1] = 0 / 0
    local _, _, count, errors = lu.report { maps = { map, bad }, layers = 0,
                                            out = folder .. "/nan.html" }
    assert.same({ 1, 1 }, { count, errors })
  end)

  it("says in Russian what checks and stories say", function()
    local told, said = require "lunette.report.told", 0
    local own, images = assert(lu.load "glyphs"), lu.glyphs.default_images(1).images
    local run_ = own:run(assert(own:images(images)), { modifiers = { "linear" } })
    local function sum(y) return y:sum { dims = { 2 } } end
    for _, map in ipairs { lu.gradcam(run_), lu.gradcam(run_, { score = 2 }),
        lu.integrated_gradients(run_, { steps = 4 }),
        lu.gradcam(run_, { score = sum }) } do
      for _, list in ipairs(map:trust().images) do
        for _, check in ipairs(list) do
          local russian = told.sentence(check.text)
          assert.matches("^[\208\209%d]", russian) -- a letter, or a share
          assert.is_nil(russian:find(" the ", 1, true), russian)
          for value in check.text:gmatch "%d%.%d+" do
            assert.matches(value, russian, 1, true)
          end
          said = said + 1
        end
      end
    end
    assert.is_true(said > 12, said)
    assert.equal("Сеть отвечает «a (b)» (98 %); эта карта объясняет «%1».",
      told.sentence "The network says a (b) (98 %); this map explains %1.")
    assert.equal("Another thing.", told.sentence "Another thing.")
  end)

  it("measures layers of pictures that are no files, and runs them once", function()
    local net_, runs = assert(lu.load "glyphs"), 0
    local x = assert(net_:images(lu.glyphs.default_images(3).images))
    local opts = { modifiers = { "linear" } }
    local maps = { lu.gradcam(net_, x, opts), lu.saliency(net_, x, opts) }
    local run_of = net_.run
    rawset(net_, "run", function(...)
      runs = runs + 1
      return run_of(...)
    end)
    assert(lu.report { maps = maps, layers = 2, out = folder .. "/scenes.html" })
    assert.equal(3, runs) -- classes of both maps; the layers of two pictures
    assert.matches("What the layers put out: glyphs</h2><p>2 pictures",
      t.read(folder .. "/scenes.html"), 1, true)
  end)

  it("measures the layers of as many pictures as are asked for", function()
    local layers, models = require "lunette.report.layers", {}
    for i = 0, 1999 do -- 400 maps of each picture
      layers.note(models, { model = "tiny", path = ("%s/in/p%d.png"):format(folder,
        i // 400 % 2 + 1), story = { weights = folder .. "/tiny.safetensors" } }, 2)
    end
    local measured = layers.measured(models)
    assert.equal(1, #measured)
    assert.equal(2, measured[1].count)
    local sums = {}
    for i = 1, 2 do
      local run_ = net:run(net:images { ("%s/in/p%d.png"):format(folder, i) })
      for k, row in ipairs(run_:stats()) do sums[k] = (sums[k] or 0) + row.mean end
    end
    assert.equal(#sums, #measured[1].rows)
    for k, row in ipairs(measured[1].rows) do assert.equal(sums[k] / 2, row.mean) end
  end)

  it("makes a thousand rows in a few seconds", function()
    local source = { entries = {}, errors = {} }
    local map = lu.gradcam(net, net:images { folder .. "/in/p1.png" })
    for i = 1, 1000 do
      source.entries[i] = function()
        return { path = folder .. "/in/p" .. i % 3 + 1 .. ".png", name = "p" .. i,
                 story = map.story, model = "tiny", top = {}, trust = {},
                 values = function() return map[1] end }
      end
    end
    local clock = os.clock()
    local path, message, count = require("lunette.report").write(source,
      { out = folder .. "/many.html", title = "many", lang = "en", layers = 0,
        linked = false })
    assert.equal(folder .. "/many.html", path, message)
    assert.equal(1000, count)
    if not t.sanitized then assert.is_true(os.clock() - clock < 8) end
  end)
end)
