-- A report in headless Chromium: open, sort, filter, slide, colours, values, and
-- hostile names that stay text.
local json = require "lunette.base.json"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local here = t.shell "command -v ${CHROMIUM:-chromium} node >/dev/null" == 0

local folder, done, net, run


setup(function()
  folder, done = t.folder()
  net = assert(lu.net(lu.models.tiny_vgg { side = 32 })):init(3)
  for i = 1, 3 do t.picture(("%s/p%d.png"):format(folder, i), 40, 36, i) end
  run = net:run(net:images { folder .. "/p1.png", folder .. "/p2.png",
                             folder .. "/p3.png" })
end)

teardown(function() done() end)


---What the page was like to one who used it.
local function visit(path)
  local code, text = t.other(("TMPDIR='%s' timeout 100 node tests/browser/report.mjs "
    .. "'file://%s' %s"):format(folder, path, os.getenv "SHOTS" or ""))
  assert.equal(0, code, text)
  return assert(json.decode(text:match "{.*}"))
end


describe("a report in Chromium", function()
  if not here then
    pending "needs chromium and node (tests/deps browser)"
    return
  end

  it("prints rows that were never in view, or says how they would be", function()
    local maps, map = {}, lu.gradcam(run)
    for i = 1, 70 do maps[i] = map end
    local path = folder .. "/many.html"
    assert(lu.report { maps = maps, run = run, out = path, layers = 0 })
    local code, text = t.other(("TMPDIR='%s' timeout 100 node tests/browser/print.mjs "
      .. "'file://%s'"):format(folder, path))
    assert.equal(0, code, text)
    local seen = assert(json.decode(text:match "{.*}"))
    assert.same({}, seen.errors)
    assert.same({ 50, 50 }, { table.unpack(seen.few) })
    assert.equal(50, seen.recoloured)
    assert.equal(210, seen.all)
    local drawn, told = table.unpack(seen.told)
    assert.is_true(drawn > 3 and told > 0)
    assert.equal(210, drawn + told)
    assert.equal(0, seen.left)
  end)

  it("sorts, filters, slides, and reads the values that the maps have", function()
    local maps = { lu.gradcam(run), lu.saliency(run) }
    assert(lu.report { maps = maps, run = run, out = folder .. "/r.html", layers = 0 })
    local seen = visit(folder .. "/r.html")
    assert.same({}, seen.errors)
    assert.equal(1, #seen.asked) -- the page itself
    assert.same({ 6, 6 }, { seen.rows, seen.drawn })
    local rising = { table.unpack(seen.falling) }
    table.sort(rising)
    assert.same(rising, { table.unpack(seen.rising) })
    for i, v in ipairs(rising) do assert.equal(v, seen.falling[7 - i]) end
    assert.same({ "saliency", "saliency", "saliency" }, { table.unpack(seen.methods) })
    assert.same({ "p2.png gradcam" }, { table.unpack(seen.found) })
    -- the place of the pointer, and every map's value there
    local x, y = seen.place:match "%((%d+), (%d+)%)"
    assert.is_true(math.abs(x - 0.3 * 32) <= 1 and math.abs(y - 0.6 * 32) <= 1)
    assert.equal(2, #seen.beside) -- the other method, not the other pictures
    for k, pair in ipairs(seen.beside) do
      local map = maps[k][1]
      local s = map:stats()
      local step = (s.max - s.min) / 65535
      assert.equal((k - 1) * 3, pair[1])
      assert.near(map[y + 1][x + 1], pair[2], step * 0.51)
    end
    assert.equal(seen.value, seen.beside[1][2])
    -- slider: the picture, half of each, the map; another colour map; a threshold
    assert.not_equal(seen.picture, seen.map)
    assert.not_equal(seen.before, seen.picture)
    assert.not_equal(seen.map, seen.grey)
    local r, g, b = seen.grey:match "(%d+),(%d+),(%d+)"
    assert.is_true(r == g and g == b)
    assert.is_true(tonumber((seen.cut:match "%d+")) <= tonumber(r))
    assert.is_true(seen.wide <= 390)
  end)

  it("reads files beside the page, and runs none of the names", function()
    local evil = "<img src=x onerror=alert(1)>\u{202E}\"'"
    local maps = {}
    for i, name in ipairs { "gradcam", "saliency" } do
      local map = lu[name](run)
      map.story.layer, map.story.class_names = evil, { evil, evil, evil }
      map.story.model, map.story[evil] = evil, evil
      maps[i] = map
    end
    assert(lu.report { maps = maps, run = run, out = folder .. "/e.html", layers = 0,
                       title = evil, linked = true, lang = "ru" })
    local seen = visit(folder .. "/e.html")
    assert.same({}, seen.errors)
    assert.same({ 6, 6 }, { seen.rows, seen.drawn })
    for _, address in ipairs(seen.asked) do
      assert.equal("file://" .. folder .. "/e.", address:sub(1, #folder + 10))
    end
  end)
end)
