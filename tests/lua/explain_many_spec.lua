-- lunette explain of many pictures: folders, lists, pictures that are none, JSON.
local json = require "lunette.base.json"
local lfs = require "lfs"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local folder, done


setup(function()
  folder, done = t.folder()
  local net = assert(lu.net(lu.models.tiny_vgg { side = 32 })):init(3)
  assert(lu.save(net, folder .. "/tiny.safetensors"))
  for _, name in ipairs { "in", "in/deep", "in/deep/er", "in/.hidden", "few" } do
    assert(lfs.mkdir(folder .. "/" .. name))
  end
  for i = 1, 9 do
    t.picture(("%s/in/p%02d.png"):format(folder, i), 20 + i, 30, i)
    t.picture(("%s/in/deep/p%02d.png"):format(folder, i), 30, 20 + i, 20 + i)
  end
  t.picture(folder .. "/in/deep/er/last.PNG", 32, 32, 40)
  t.picture(folder .. "/in/.hidden/not.png", 32, 32, 41)
  t.spit(folder .. "/in/notes.txt", "no picture")
  t.spit(folder .. "/in/empty.png", "")
  t.spit(folder .. "/in/text.jpg", "no picture either\n")
  for i = 1, 3 do t.picture(("%s/few/f%d.png"):format(folder, i), 32, 32, 50 + i) end
end)

teardown(function() done() end)


---Exit code and what was printed on standard output and on standard error.
local function explain(arguments, model)
  local code = t.shell(("cd '%s' && '%s/lunette' explain %s %s >said 2>complained")
    :format(folder, t.root(), model or "--model tiny.safetensors", arguments))
  return code, t.read(folder .. "/said"), t.read(folder .. "/complained")
end


local function lines(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = json.decode(line) end
  return list
end


---Every file below a folder, one a line.
local function tree(path)
  local find = "cd '%s/%s' && find . -type f | LC_ALL=C sort"
  return (select(2, t.shell(find:format(folder, path))))
end


describe("many pictures", function()
  it("each get a picture, in the folders that they came from", function()
    local code, said = explain "in --keep-going -o out"
    assert.equal(3, code)
    assert.matches("19 pictures explained, 2 could not be, in [%d.]+ s", said)
    local _, headlines = said:gsub("gradcam of tiny_vgg, layer relu_2_2", "")
    assert.equal(1, headlines)
    local files = tree "out"
    assert.matches("%./p01_gradcam_tiny.png\n", files)
    assert.matches("%./deep/p01_gradcam_tiny.png\n", files)
    assert.matches("%./deep/er/last_gradcam_tiny.png\n", files)
    assert.is_nil(files:find("not_", 1, true))
    assert.is_nil(files:find("npy", 1, true))
    local bad = lines(t.read(folder .. "/out/errors.jsonl"))
    assert.same({ "in/empty.png", "in/text.jpg" },
                { bad[1].picture, bad[2].picture })
    assert.matches("is empty", bad[1].error)
  end)

  it("say the same in two runs but for the time, and write the same", function()
    local told, wrote = {}, {}
    for i = 1, 2 do
      local _, said, complained = explain("in --keep-going -o again --save npy,json")
      told[i] = said:gsub("in [%d.]+ s", "") .. complained
      local _, sums = t.shell(("cd '%s/again' && find . -type f ! -name '*.json' "
        .. "| LC_ALL=C sort | xargs sha256sum"):format(folder))
      wrote[i] = sums
    end
    assert.equal(told[1], told[2])
    assert.equal(wrote[1], wrote[2])
    assert.matches("again/p01_gradcam_tiny", told[1])
    local files = tree "again"
    assert.matches("p01_gradcam_tiny%-gradcam_relu_2_2.npy", files)
    assert.matches("p01_gradcam_tiny.json", files)
  end)

  it("have the values that they have alone", function()
    explain "in --keep-going -o alone --save npy"
    explain "in/p05.png -o one/"
    local many = assert(lu.npy.read(folder
      .. "/alone/p05_gradcam_tiny-gradcam_relu_2_2.npy"))
    local one = assert(lu.npy.read(folder .. "/one/p05_gradcam-gradcam_relu_2_2.npy"))
    assert.is_true(t.same(many, one))
  end)

  it("stop at the first that is none without --keep-going", function()
    local code, _, complained = explain "in -o stopped"
    assert.equal(66, code)
    assert.matches("empty.png' is empty", complained)
  end)

  it("come from lists, and from folders by a pattern", function()
    t.spit(folder .. "/list.txt", "in/p01.png\r\n\nin/deep/p01.png\nin/p02.png\n")
    local code, said = explain "--list list.txt --each -o listed --json"
    assert.equal(0, code)
    local got = lines(said)
    assert.equal(3, #got)
    assert.same({ "listed/p01_gradcam_tiny.png" }, got[1].files)
    assert.same({ "listed/p01_gradcam_tiny-2.png" }, got[2].files)
    code, said = explain "in --match '*p0?.png' -o matched --json"
    assert.equal(0, code)
    assert.equal(18, #lines(said))
    local function of(pattern)
      return #lines(select(2, explain("in --match '" .. pattern
        .. "' -o matched --json")))
    end
    local all, some = of "p0[0-9].png", of "p0[12].png"
    assert.is_true(some > 0 and all > some)
    assert.equal(all - some, of "p0[!12].png")
    code, said = explain("--list - -o piped.png --json <list.txt")
    assert.equal(0, code)
    assert.equal("piped.png", lines(said)[3].files[3])
    assert.equal(66, (explain "--list none.txt"))
    assert.equal(66, (explain "in --match 'p[x.png'"))
    assert.equal(66, (explain "--list - </dev/null"))
  end)

  it("are lines of JSON with keys in one order", function()
    local code, said, complained = explain "in --keep-going -o lines --json --class 3"
    assert.equal(3, code)
    local got, last = lines(said), nil
    assert.equal(21, #got)
    for _, row in ipairs(got) do
      if row.error then
        last = row
      else
        assert.equal(5, #row.top)
        assert.equal(3, row.explained[1].class)
        assert.equal("relu_2_2", row.layer)
        assert.is_true(row.top[1].probability >= row.top[5].probability)
        assert.is_true(row.explained[1].probability <= row.top[1].probability)
        assert.equal(1, #row.files)
        assert.is_true(t.exists(folder .. "/" .. row.files[1]))
      end
    end
    assert.equal("in/text.jpg", last.picture)
    local keys = {}
    for key in said:match "^[^\n]*":gsub("%b[]", ""):gmatch '"(%w+)":' do
      keys[#keys + 1] = key
    end
    assert.same({ "explained", "files", "layer", "method", "model", "picture", "top" },
                keys)
    assert.matches("text.jpg' is not a picture", complained)
  end)

  it("are quiet where that is wished", function()
    local code, said, complained = explain "few -o quiet --quiet"
    assert.same({ 0, "", "" }, { code, said, complained })
    code, said, complained = explain "in -o quiet --quiet --keep-going"
    assert.same({ 3, "" }, { code, said })
    assert.matches("empty.png", complained)
    code, said, complained = explain "few -o quiet --quiet --each --json"
    assert.same({ 0, 3, "" }, { code, #lines(said), complained })
    said = select(2, explain "few -o quiet --quiet --json") -- on one canvas
    assert.equal(3, #lines(said))
    said = select(2, explain "in -o quiet --quiet --keep-going --json")
    assert.equal(21, #lines(said)) -- failures are lines, too
  end)

  it("leave no garbage behind for the next ones", function()
    t.spit(folder .. "/flat.txt", (folder .. "/in/p05.png\n"):rep(12))
    local held, report = {}, require "lunette.commands.explain.report"
    local wrote = report.wrote
    function report.wrote() held[#held + 1] = lu.core.memory().live end
    collectgarbage "stop"
    local ok, code = pcall(require "lunette.commands.explain", { "--list",
      folder .. "/flat.txt", "--each", "--quiet", "--save", "npy,json", "-m",
      folder .. "/tiny.safetensors", "-o", folder .. "/flat" })
    collectgarbage "restart"
    report.wrote = wrote
    assert.same({ true, 0 }, { ok, code })
    assert.equal(12, #held)
    for i = 3, 12 do assert.equal(held[2], held[i]) end
  end)

  it("never replace each other, nor what they explain", function()
    assert(lfs.mkdir(folder .. "/mine"))
    t.spit(folder .. "/mine/errors.jsonl", "of somebody else\n")
    explain "few --each -o mine"
    assert.equal("of somebody else\n", t.read(folder .. "/mine/errors.jsonl"))
    os.remove(folder .. "/mine/errors.jsonl")
    explain "few --each -o mine --method saliency"
    explain "few --each -o mine -l conv_1_1"
    explain "few --each -o mine --scale-by percentile:90"
    explain "few --each -o mine --class 1"
    local _, n = tree "mine":gsub("\n", "")
    assert.equal(15, n)
    explain "few --each -o mine" -- the same again does
    assert.equal(n, select(2, tree "mine":gsub("\n", "")))
    local code, _, complained = explain "few --each -o few"
    assert.equal(66, code)
    assert.matches("give another", complained)
    code, _, complained = explain "few -o few/made --each"
    assert.equal(0, code, complained)
    local before = tree "few/made"
    explain "few -o few/made --each"
    assert.equal(before, tree "few/made")
    t.shell(("rm -r '%s/few/made'"):format(folder))
  end)

  it("of a few are one canvas, without the bad ones", function()
    t.spit(folder .. "/few/bad.png", "none")
    local code, said = explain "few -o canvas --keep-going --json"
    assert.equal(3, code)
    local got = lines(said)
    assert.equal(4, #got)
    assert.matches("few/bad.png", got[1].picture)
    assert.same(got[2].files, got[4].files)
    assert.equal(3, #got[2].files)
    assert.is_true(t.exists(folder .. "/canvas/errors.jsonl"))
    os.remove(folder .. "/few/bad.png")
    assert.equal(0, (explain "few -o canvas --keep-going --json"))
    assert.is_false(t.exists(folder .. "/canvas/errors.jsonl"))
  end)

  it("cannot go onto one picture", function()
    local code, _, complained = explain "in -o all.png --keep-going"
    assert.equal(64, code)
    assert.matches("at most 16 without %-%-each, here 21: give a folder", complained)
  end)

  it("may each have a class of their own", function()
    local code, said = explain "few --each -o own --json --class 4,5,6"
    assert.equal(0, code)
    local got = lines(said)
    for i = 1, 3 do assert.equal(3 + i, got[i].explained[1].class) end
  end)
end)


describe("without weights", function()
  it("a photograph gets no answer, and is told how to get weights", function()
    local code, text = t.program("explain few/f1.png -o x.png", folder,
      "LUNETTE_MODELS=/nonexistent XDG_DATA_HOME=/nonexistent HOME=/nonexistent")
    assert.equal(66, code)
    assert.matches("lunette models get vgg16.*lunette import FILE", text)
    assert.is_false(t.exists(folder .. "/x.png"))
  end)

  it("scenes that Lunette draws are explained all the same", function()
    local code, text = t.program("explain -o scenes.png", folder,
      "LUNETTE_MODELS=/nonexistent XDG_DATA_HOME=/nonexistent HOME=/nonexistent")
    assert.equal(0, code)
    assert.matches("embedded network", text)
  end)
end)


describe("colours", function()
  local panels = require "lunette.picture.panels"

  local function row(map, opts)
    local o = { normalize = false, percentile = 99, shared = false, vmin = false,
                vmax = false }
    for key, value in pairs(opts or {}) do o[key] = value end
    return panels.row("map", map, o, 1)
  end

  it("say what the end of their bar means", function()
    local map = lu.tensor { { 0, 1 }, { 2, 4 } }
    assert.is_nil(row(map).meaning)
    map.story = { normalize = true }
    assert.equal("1.0: the map's greatest value", row(map).meaning)
    local two = lu.tensor { { { 0, 1 }, { 2, 4 } }, { { 0, 0 }, { 1, 1 } } }
    assert.equal("0 .. 1: each map's least .. greatest value", row(two).meaning)
    assert.equal("1.0: each map's largest |value|",
                 row(two - 1, { normalize = "symmetric" }).meaning)
    local cut = row(map, { normalize = "percentile", percentile = 90 })
    assert.equal("1.0: percentile 90 of the map's |values|", cut.meaning)
    assert.same({ 0, 1 }, { cut.lo, cut.hi }) -- the bar
    assert.is_nil(row(two, { shared = true }).meaning)
    assert.equal("1.0: процентиль 90 |значений| карты", panels.meaning(cut, "ru"))
    assert.is_nil(panels.meaning(row(two, { shared = true }), "ru"))
    local function png(lang)
      return assert(lu.canvas { lang = lang }:row(two, { normalize = "max" }):png())
    end
    assert.equal(png(), png "en")
    assert.not_equal(png(), png "ru")
    assert.error_matches(function() png "fr" end, "canvas: lang")
  end)

  it("of a symmetric scale have their neutral one in the middle", function()
    local canvas = lu.canvas {}
    local map = lu.tensor { { 0, 1 }, { 2, 4 } }
    canvas:row(map, { normalize = "symmetric" }):row(map)
    canvas:row(map, { normalize = "symmetric", colormap = "magma" })
    local names = {}
    for i, r in ipairs(canvas.rows) do names[i] = r.colormap end
    assert.same({ "coolwarm", "viridis", "magma" }, names)
  end)

  it("follow --scale-by, and refuse what is no scale", function()
    for _, by in ipairs { "minmax", "symmetric", "percentile:95" } do
      local code = explain("few/f1.png -o by.png --method saliency --scale-by " .. by)
      assert.equal(0, code)
      local story = json.decode(t.read(folder .. "/by.json"))
      assert.equal(by:match "%a+", story.rows[2].normalize)
    end
    for _, by in ipairs { "max", "percentile", "percentile:0", "percentile:101", "" } do
      assert.equal(64, (explain("few/f1.png --scale-by '" .. by .. "'")))
    end
    explain "few/f1.png -o by.png --method saliency"
    local story = json.decode(t.read(folder .. "/by.json"))
    assert.same({ "percentile", 99 }, { story.rows[2].normalize,
                                        story.rows[2].percentile })
  end)

  it("come with the class that a map explains, or that there is none", function()
    local function caption(arguments)
      assert.equal(0, (explain("few/f1.png -o c.png " .. arguments)))
      return json.decode(t.read(folder .. "/c.json")).rows[2].captions[1]
    end
    assert.matches("^pizza  [%d.]+ %%$", caption "--class pizza")
    assert.matches("^%l[%l ]+  [%d.]+ %%$", caption "")
    assert.equal("no class: eigencam asks for none", caption "--method eigencam")
    assert.equal("no class: activation asks for none",
                 caption "--method activation -l conv_1_1")
  end)
end)
