-- The trust line: maps that ignore the class or the weights are told, maps that lie
-- elsewhere too, and nothing is said of what cannot be judged.
local core = require "lunette.core"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local net = lu.load "glyphs"
if not net then
  describe("trust", function() pending "needs the network 'glyphs'" end)
  return
end

local scenes = lu.glyphs.scenes { n = 2, seed = 77 }
local x = net:images { scenes.images[1], scenes.images[2] }
local run = net:run(x)
local few = { classes = 3, shifts = 3, steps = 3, samples = 2 }


---The verdicts of map i, by check.
local function verdicts(report, i)
  local found = {}
  for _, c in ipairs(report.images[i]) do found[c.name] = c.verdict end
  return found
end


---An explainer that gives these maps, whatever is asked.
local function fixed(maps)
  return function(r)
    return maps:rows(1, 1):expand { shape = { r:count(), 224, 224 } }
  end
end


describe("map:trust", function()
  it("takes maps of the picture alone, and so does a ranking", function()
    local falls = lu.layer_ablation(run, { score = 1 })
    assert.matches("layer_ablation gives %(2,64%), a number for each channel",
                   t.message(falls.trust, falls, run, few))
    local all = require("lunette.rank.entrants").all(run)
    local found = {}
    for _, name in ipairs(all) do found[name] = true end
    assert.is_true(found.gradcam and found.saliency)
    for name, row in pairs(lu.methods) do
      if row.draws == "numbers" then assert.is_nil(found[name], name) end
    end
  end)

  it("passes Grad-CAM, and says so with numbers, never as a proof", function()
    local map = lu.gradcam(net, x, { modifiers = { "linear" }, score = scenes.labels })
    local report = map:trust(few)
    for i = 1, 2 do
      local v = verdicts(report, i)
      assert.same({ "pass", "pass", "pass" }, { v.class, v.weights, v.steady })
      assert.not_equal("fail", v.pixels)
    end
    local text = tostring(report)
    assert.matches("map 1: No check failed", text)
    assert.matches("similarity 0%.%d%d; to itself under faint noise", text)
    assert.is_nil(text:find "trustworthy" or text:find "score")
    assert.matches("\npasses: another class: similarity", report:captions()[1])
  end)

  it("tells that guided saliency does not answer the question", function()
    local map = lu.saliency(net, x, { modifiers = { "linear", "guided" } })
    local report = map:trust(few)
    for i = 1, 2 do
      assert.equal("fail", verdicts(report, i).class)
      assert.equal("class", report.images[i][1].name) -- the worst stands first
      assert.matches("why " .. scenes.names[scenes.labels[i] + 1],
                     report.images[i][1].text)
    end
  end)

  it("fails edges for class and weights", function()
    local report = lu.control("edges", run):trust(run, { classes = 3, shifts = 2,
      samples = 2, steps = 2, method = function(r) return lu.control("edges", r) end })
    local v = verdicts(report, 1)
    assert.equal("fail", v.class)
    assert.equal("fail", v.weights)
    assert.matches("2 of 4 checks failed", tostring(report))
    local numbers = report.images[1][1]
    assert.near(1, numbers.likeness, 1e-6) -- edges are the same for every class
  end)

  -- A large flat object that is filled in smoothly from its own rim is still there: its
  -- mask need not beat every place. Small ones must.
  it("passes a small object's pixels, and neither noise nor another place", function()
    local more = lu.glyphs.scenes { n = 4, seed = 77 }
    local good, passed = more.masks:gaussian_blur(4), 0
    for i = 1, 4 do
      local one = net:run((net:images { more.images[i] }))
      local o = { classes = 1, samples = 1, shifts = 3, steps = 3,
                  score = more.labels[i] }
      local function judge(map)
        o.method = fixed(map)
        return verdicts(map:trust(one, o), 1).pixels
      end
      local verdict = judge(good:rows(i))
      assert.not_equal("fail", verdict)
      passed = passed + (verdict == "pass" and 1 or 0)
      assert.not_equal("pass", judge(core.uniform(3, i, 1, 224, 224)))
      local away = good:rows(i):roll { shift = { 0, 100, 100 } }
      assert.equal("fail", judge((away - good:rows(i)):relu()))
    end
    assert.is_true(passed >= 2, passed .. " of 4")
  end)

  it("says the same for any batch", function()
    local o = { modifiers = { "linear" }, score = scenes.labels }
    local map = lu.gradcam(net, x, o)
    local a = map:trust { classes = 2, shifts = 1, steps = 2, samples = 2, batch = 1 }
    local b = map:trust { classes = 2, shifts = 1, steps = 2, samples = 2, batch = 7 }
    assert.equal(tostring(a), tostring(b))
    local one = lu.gradcam(net, x:rows(2), { modifiers = { "linear" },
                                             score = scenes.labels[2] })
    local alone = one:trust { classes = 2, shifts = 1, steps = 2, samples = 2 }
    assert.same(a:lines(2), alone:lines(1))
  end)

  it("judges nothing where the map is the same everywhere", function()
    local map = core.zeros(1, 224, 224)
    local report = map:trust(net:run(x:rows(1)), { samples = 1, method = fixed(map),
                                                  score = scenes.labels[1] })
    assert.matches("^Not judged.\n  Nothing here speaks for", tostring(report))
  end)

  it("says first that the network says something else", function()
    local other = (scenes.labels[1] + 1) % 10
    local map = lu.gradcam(net, x:rows(1), { modifiers = { "linear" }, score = other })
    local report = map:trust { classes = 1, shifts = 1, steps = 1, samples = 1 }
    assert.matches("The network says " .. scenes.names[scenes.labels[1] + 1],
                   tostring(report))
  end)

  it("leaves out what a score has no answer to", function()
    local unit = lu.score.unit("block3_relu3", 4)
    local map = lu.saliency(net, x:rows(1), { score = unit })
    local v = verdicts(map:trust { samples = 1 }, 1)
    assert.equal("unjudged", v.class)
    assert.equal("unjudged", v.pixels)
    assert.is_truthy(v.weights)
  end)

  -- block3_relu3 is far below the last layers: those may be drawn anew for nothing
  it("draws anew what the score depends on", function()
    local upper = require("lunette.explain.copies").upper
    local list = upper(net, (net:layer "block3_relu3"))
    assert.same({ "block3_conv3", "block3_conv2", "block3_conv1" },
                table.move(list, 1, 3, 1, {}))
    local unit = lu.score.unit("block3_relu3", 4)
    local map = lu.saliency(net, x:rows(1), { score = unit })
    assert.equal("pass", verdicts(map:trust { samples = 2 }, 1).weights)
    -- of two heads the one that is asked for, not the one that stands last
    local two = assert(lu.net { name = "two", input = { 3, 8, 8 },
      outputs = { "a", "b" }, layers = {
        { "c", "conv2d", filters = 4, kernel = 3, padding = 1 }, { "r", "relu" },
        { "f", "flatten" }, { "a", "linear", units = 4 },
        { "b0", "linear", units = 4, from = "f" },
        { "b", "linear", units = 4 } } }):init(1)
    assert.same({ "a" }, upper(two, (two:layer "a")))
    assert.same({ "b", "b0" }, upper(two, (two:layer "b")))
    local first = lu.saliency(two, t.input(two, 1), { score = 2 })
    assert.equal("pass", verdicts(first:trust { samples = 2 }, 1).weights)
  end)

  it("redraws the layers below the one that a modifier looks at", function()
    local glyphs = lu.load "glyphs"
    local passed = glyphs:run(glyphs:images(lu.glyphs.default_images(1).images))
    local extract = lu.extract "block3_conv1"
    local map = lu.saliency(passed, { modifiers = { extract }, score = 3 })
    assert.equal("pass", verdicts(lu.trust(map, { samples = 2 }), 1).weights)
  end)

  it("asks one output for no other class", function()
    local layers = { { "c", "conv2d", filters = 4, kernel = 3, padding = 1 },
                     { "r", "relu" }, { "f", "flatten" },
                     { "out", "linear", units = 1 } }
    local regression = assert(lu.net { name = "one", input = { 3, 8, 8 },
                                       layers = layers }):init(1)
    local input = t.input(regression, 1)
    local report = lu.saliency(regression, input):trust { samples = 2 }
    local v = verdicts(report, 1)
    assert.same({ "unjudged", "unjudged" }, { v.class, v.pixels })
    assert.matches("is no class of the network's first output, so that no other can "
                   .. "be asked", tostring(report))
    layers[5] = { "p", "sigmoid" } -- 1 - p is the other class: the same gradient
    local binary = assert(lu.net { name = "one", input = { 3, 8, 8 },
                                   layers = layers }):init(1)
    report = lu.saliency(binary, input):trust { samples = 2 }
    v = verdicts(report, 1)
    assert.equal("unjudged", v.class)
    assert.not_equal("unjudged", v.pixels)
    assert.matches("this one turned round", tostring(report))
  end)

  it("says which way the lead falls, and counts places as people do", function()
    local map = lu.gradcam(net, x:rows(2), { score = scenes.labels[2] })
    local away, said = map:roll { shift = { 0, 100, 100 } }, {}
    for _, one in ipairs { map, away } do
      for shifts = 1, 2 do
        local report = one:trust(net:run(x:rows(2)), { shifts = shifts, steps = 2,
          classes = 1, samples = 1, score = scenes.labels[2], method = fixed(one) })
        local text = tostring(report)
        assert.matches(shifts == 1 and "; 1 place%)" or "; 2 places%)", text)
        said[text:match "falls %d[%d.]* (%a+) than without the same shape"] = true
      end
    end
    assert.same({ further = true, less = true }, said)
  end)

  it("works on other networks and maps of a layer's size", function()
    for _, make in ipairs { t.net, t.graph } do
      local small = make()
      local input = t.input(small, 1)
      local map = lu.saliency(small, input, { modifiers = { "linear" } })
      assert.equal(1, #map:trust(few).images)
      local raw = lu.gradcam(small, input, { modifiers = { "linear" }, raw = true })
      assert.equal(1, #raw:trust(few).images)
    end
  end)

  it("refuses what it cannot judge, naming it", function()
    assert.matches("does not say what made it", t.message(core.ones(1, 4, 4).trust,
                                                          core.ones(1, 4, 4)))
    local part = lu.gradcam(net, x:rows(1), { modifiers = { "linear" } })[1]
    assert.matches("no part of a map", t.message(part.trust, part))
    local several = lu.gradcam(net, x:rows(1), { top = 2, modifiers = { "linear" } })
    assert.matches("several classes", t.message(several.trust, several))
    local map = lu.gradcam(net, x:rows(1), { modifiers = { "linear" } })
    assert.matches("of the run's 2 pictures", t.message(map.trust, map, run))
    assert.matches("unknown option 'clases'; did you mean 'classes'",
                   t.message(map.trust, map, { clases = 3 }))
  end)
end)


describe("lunette explain --trust", function()
  local folder, done = t.folder()
  teardown(done)

  it("prints the line, keeps the numbers and draws them", function()
    assert(lu.image.save(folder .. "/a.png", scenes.images[1]))
    local command = "explain a.png --model glyphs --trust -o b.png"
    local code, text = t.program(command, folder)
    assert.equal(0, code, text)
    assert.matches("No check failed", text)
    assert.matches("Depends on what the upper layers learned %(similarity", text)
    local record = require("lunette.base.json").decode(t.read(folder .. "/b.json"))
    local first = record.rows[2].story.trust[1]
    assert.is_true(#first >= 4)
    assert.matches("passes: other weights", record.rows[2].captions[1])
  end)
end)
