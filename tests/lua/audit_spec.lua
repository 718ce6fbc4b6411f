-- Audits: statistics against literal values; triggers of networks whose smallest one is
-- known; stamps and poisoned scenes; the same verdict for permuted classes; what is
-- interrupted goes on.
local audit = require "lunette.audit"
local core = require "lunette.core"
local folders = require "lunette.base.folders"
local invert = require "lunette.audit.invert"
local json = require "lunette.base.json"
local lu = require "lunette"
local poison = require "lunette.glyphs.poison"
local space = require "lunette.attack.space"
local stamps = require "lunette.glyphs.stamps"
local statistics = require "lunette.audit.statistics"
local subject = require "lunette.audit.subject"
local t = dofile "tests/lua/support.lua"
local train = require "lunette.train"
local triggers = require "lunette.audit.triggers"
local verdict = require "lunette.audit.verdict"

local SIDE, CLASSES = 8, 7


---z = W x of 3 x 8 x 8 values and seven classes, W small and random; where `class` is
---given, white at one place leads to it.
local function linear(class)
  local net = assert(lu.net { name = "linear", input = { 3, SIDE, SIDE },
    preprocessing = { mean = { 0.5, 0.5, 0.5 }, std = { 0.25, 0.25, 0.25 },
                      order = "rgb", scale = 1 / 255 },
    layers = { { "flatten", "flatten" },
               { "out", "linear", units = CLASSES } } }):init(3)
  local w = net.params["out.weight"]
  w:copy_(core.normal(5, 1, CLASSES, 3 * SIDE * SIDE) * 0.05)
  for channel = 0, class and 2 or -1 do
    w:set(class + 1, channel * SIDE * SIDE + 2 * SIDE + 5 + 1, 4) -- row 3, column 6
  end
  return net
end

local levels = core.uniform(4, 1, 60, 3, SIDE, SIDE) * 100 + 78
local images = space.of(linear()):input(levels)
local quick = { pictures = 36, steps = 60, batch = 12, restarts = 1, shown = 6,
                cell = 1, methods = { "saliency" }, attacks = false, progress = false }


local function with(more)
  local o = {}
  for key, v in pairs(quick) do o[key] = v end
  for key, v in pairs(more or {}) do o[key] = v end
  return o
end


describe("statistics of an audit", function()
  it("has Student's tail as in tables", function()
    -- Student's quantiles: 0.975 of 8 degrees, 0.99 of 3, 0.95 of 1
    assert.near(0.025, statistics.student_tail(2.306004, 8), 1e-7)
    assert.near(0.01, statistics.student_tail(4.540703, 3), 1e-7)
    assert.near(0.05, statistics.student_tail(6.313752, 1), 1e-7)
    assert.near(0.5, statistics.student_tail(0, 5), 1e-12)
    local up, down = statistics.student_tail(1, 9), statistics.student_tail(-1, 9)
    assert.near(1, up + down, 1e-12)
  end)

  it("finds the smallest norm as far away as it is", function()
    -- by hand: logs 0 0 2 2 and -1; mean 1, sd sqrt(4/3), t = 2 / (sd sqrt(5/4))
    local list = { 1, 1, math.exp(2), math.exp(2), math.exp(-1) }
    local value, p = statistics.smallest(list)
    assert.near(2 / math.sqrt(5 / 3), value, 1e-12)
    assert.near(5 * statistics.student_tail(value, 3), p, 1e-12)
    assert.same({ 0, 1 }, { statistics.smallest { 2, 2, 2 } })
    assert.same({ math.huge, 0 }, { statistics.smallest { 2, 2, 1 } })
    assert.near(2 / 1.4826, statistics.mad_index { 1, 2, 3, 4, 5 }, 1e-12)
    assert.equal(0, statistics.mad_index { 3, 3, 3 })
  end)

  it("says 2 % in 2 % of clean networks", function()
    local hits, n = 0, 3000
    local u = core.normal(11, 1, n, 10):totable()
    for i = 1, n do
      local norms = {}
      for k, v in ipairs(u[i]) do norms[k] = math.exp(4 + 0.4 * v) end
      local _, p = statistics.smallest(norms)
      hits = hits + (p <= 0.02 and 1 or 0)
    end
    -- K tails together are a little less than their sum; three deviations of 3000 draws
    assert.near(0.0195, hits / n, 3 * math.sqrt(0.02 * 0.98 / n))
  end)

  it("does so because the index by MAD calls many of them backdoored", function()
    local u = core.normal(11, 1, 3000, 10):totable()
    for deviation, share in pairs { [0.4] = 0.13, [0.1] = 0.26 } do
      local hits = 0
      for _, row in ipairs(u) do
        local norms = {}
        for k, v in ipairs(row) do norms[k] = math.exp(4 + deviation * v) end
        hits = hits + (statistics.mad_index(norms) > 2 and 1 or 0)
      end
      assert.near(share, hits / 3000, 0.02)
    end
  end)

  it("has Wilson's interval", function()
    -- 9 of 10: (0.5958, 0.9821), Wilson 1927 as in every table
    local low, high = statistics.wilson(9, 10)
    assert.near(0.5958, low, 1e-4)
    assert.near(0.9821, high, 1e-4)
    assert.same({ 0, 1 }, { statistics.wilson(0, 0) })
  end)
end)


describe("a trigger", function()
  it("is the one pixel that leads to the class", function()
    local net = linear(2)
    local s = subject.new(net, levels)
    local list = invert.invert({ net = net, space = s.space, target = 2,
      levels = s:others(2, 1, 60) },
      { steps = 80, batch = 12, rate = 0.1, cell = 1, weight = 0.01, seed = 1 })
    for k = 2, #list do assert.is_true(list[k].l1 < list[k - 1].l1) end
    local found = list[#list]
    assert.is_true(found.l1 < 1.2) -- one pixel, and it need not be covered wholly
    assert.equal(2 * SIDE + 5, found.mask:view(SIDE * SIDE):argmax() - 1)
    local hits, n = invert.hits({ net = net, space = s.space }, s:others(2, 1, 60),
                                found, 2)
    assert.is_true(hits >= 0.8 * n)
  end)
end)


describe("what else tells a trigger", function()
  local evidence = require "lunette.audit.evidence"

  it("is whether it works moved down and right, faintly, and elsewhere", function()
    local hits, asked = invert.hits, {}
    finally(function() invert.hits = hits end)
    function invert.hits(s, _, trigger, class)
      local mask, pattern = trigger.mask:view(32), trigger.pattern:view(32)
      asked[#asked + 1] = { mask:argmax() - 1, mask:stats().max, pattern:argmax() - 1,
                            class, s.net }
      return #asked, 10
    end
    local mask, pattern = core.zeros(1, 1, 4, 8), core.zeros(1, 1, 4, 8)
    mask:set(1, 1, 4, 1, 1) -- at (3,0): by a quarter to (0,2), by a half to (1,4)
    pattern:set(1, 1, 2, 7, 1)
    local s = { net = "this", space = false }
    local found = evidence.transfer(s, { mask = mask, pattern = pattern, class = 5 },
                                    core.zeros(2, 1, 4, 8), "another")
    assert.same({ { 2, 1, 16, 5, "this" }, { 8 + 4, 1, 24 + 2, 5, "this" },
                  { 24, 0.5, 14, 5, "this" }, { 24, 1, 14, 5, "another" } }, asked)
    assert.near(0.15, found.moved, 1e-9)
    assert.near(0.3, found.faint, 1e-9)
    assert.near(0.4, found.reference, 1e-9)
  end)
end)


describe("the verdict", function()
  local function trigger(class, l1)
    return { class = class, l1 = l1, success = 1, low = 0.9, high = 1, hits = 30,
             tried = 30 }
  end

  local function list(norms)
    local out = {}
    for i, l1 in ipairs(norms) do out[i] = trigger(i - 1, l1) end
    return out
  end

  local good = { energies = { { gain = { low = 0.1 } } }, transfer = { reference = 0 } }
  local norms = { 46, 83, 67, 7, 71, 58, 67, 61, 88, 53 }

  local function judged(evidence, l)
    local o = verdict.outlier(list(l or norms))
    return verdict.of(o, evidence or good, 4096).verdict, o
  end

  it("needs every condition", function()
    local word, o = judged()
    assert.equal("backdoor", word)
    assert.equal(3, o.class)
    assert.equal("suspicious", (judged { energies = good.energies,
                                         transfer = { reference = 0.9 } }))
    assert.equal("suspicious", (judged { energies = { { gain = { low = -0.1 } } },
                                         transfer = {} }))
    local few = { energies = { { gain = { mean = 0.3 } } }, transfer = {} }
    assert.equal("suspicious", (judged(few))) -- maps of fewer than five pictures
    local maps = verdict.of(o, few, 4096).conditions[5]
    assert.matches("asked of too few pictures", maps.text)
    assert.equal("nothing", (judged(nil, { 73, 84, 61, 112, 91, 73, 68, 57, 74, 78 })))
  end)

  it("leaves classes out that have no trigger", function()
    local none = math.huge
    local _, o = judged(nil, { none, 83, 67, 7, 71, 58, 67, 61, 88, none })
    assert.equal(8, o.judged)
    assert.equal("not judged", (judged(nil, { none, none, 67, 7, 71, 58, none, none })))
  end)
end)


describe("the table of verdicts", function()
  local verdicts = require "lunette.audit.verdicts"
  local entries = require("lunette.audit.zoo").entries()

  it("counts the right class alone, and no backdoor that was not learned", function()
    local records = {}
    for k, e in ipairs(entries) do
      local target = e.backdoored and e.poison.target or nil
      records[e.name] = { verdict = "backdoor", class = target or 0, target = target,
        success = e.backdoored and 1 or nil, ratio = 0.1, p = 0.01, accuracy = 0.9,
        triggers = { { class = target or 0, l1 = 5 + k } } }
    end
    records["backdoored-01"].class = 9 -- another one than 3
    records["backdoored-02"].success = 0.89
    records["clean-01"].verdict = "suspicious"
    records["clean-02"] = nil -- not judged yet
    assert.same({ claimed = { hits = 13, n = 14 }, other = { hits = 3, n = 3 },
                  clean = { hits = 13, n = 14 }, failed = { hits = 1, n = 1 } },
                verdicts.count(entries, records))
    records["backdoored-01"].triggers[1].class = 9
    local text = verdicts.markdown(entries, records)
    assert.truthy(text:find("| 6.0 | 0.10 | 0.01 |  | backdoor (another class) |", 1,
                            true))
    assert.truthy(text:find("False alarms: 13 of 14", 1, true))
    assert.is_nil(text:find("clean-02", 1, true))
  end)
end)


describe("lu.audit", function()
  it("finds the class that a pixel leads to, wherever it stands", function()
    for _, class in ipairs { 2, 5 } do
      local report = assert(audit.run(linear(class), images, with()))
      assert.equal("backdoor", report.verdict)
      assert.equal(class, report:record().class)
      assert.truthy(report:text():find("BACKDOOR: backdoor (" .. class .. ")", 1, true))
    end
  end)

  it("finds nothing where there is nothing", function()
    local report = assert(audit.run(linear(), images, with()))
    assert.equal("nothing", report.verdict)
    assert.truthy(report:text():find "nothing found")
    for _, one in ipairs(report.found.triggers) do -- as often as the verdict asks
      assert.is_true(one.l1 == math.huge or one.success >= 0.8)
    end
  end)

  it("asks a clean network, and begins as often as it is told", function()
    local net = linear(2)
    local report = assert(audit.run(net, images, with { reference = linear(),
                                                        restarts = 2 }))
    local record = report:record()
    assert.equal("backdoor", report.verdict)
    assert.equal(2, #report.found.triggers[1].restarts)
    assert.is_true(record.transfer.reference <= 0.5)
    assert.is_number(record.energies[1].reference)
    local same = assert(audit.run(net, images, with { reference = net }))
    assert.equal("suspicious", same.verdict) -- what it does there, it does here
  end)

  it("goes on where it was interrupted, with the same numbers", function()
    local net, path = linear(2), os.tmpname()
    os.remove(path)
    local function stop(done) if done == 3 then error("enough", 0) end end
    assert.is_false(pcall(audit.run, net, images, with { checkpoint = path,
                                                         progress = stop }))
    local checkpoint = require "lunette.base.checkpoint"
    local _, about = checkpoint.load(path .. "/class-2", "something else")
    assert.truthy(about:find "pictures 36") -- what it is of
    assert.is_false(checkpoint.exists(path .. "/class-3"))
    local again = assert(audit.run(net, images, with { checkpoint = path }))
    local whole = assert(audit.run(net, images, with()))
    assert.same(whole:record(), again:record())
    local ok, message = audit.run(net, images, with { checkpoint = path, seed = 2 })
    assert.is_nil(ok)
    assert.truthy(message:find "another checkpoint")
    t.spit(path .. "/notes", "the user's")
    triggers.forget(path)
    assert.same({ "notes" }, folders.names(path))
    os.execute(("rm -r '%s'"):format(path))
  end)

  it("keeps for each class what it has found for that class alone", function()
    local path = os.tmpname()
    os.remove(path)
    local o = with { checkpoint = path, classes = { 0, 1, 2, 3, 4 }, steps = 2 }
    local first = assert(audit.run(linear(2), images, o))
    assert.equal("not judged", first.verdict) -- two steps find no trigger for some
    local sizes = {}
    for class = 0, 4 do
      sizes[class + 1] = #t.read(("%s/class-%d"):format(path, class))
    end
    assert.is_true(sizes[5] < sizes[1] + 100) -- not those before it once more
    local again = assert(audit.run(linear(2), images, o))
    assert.same(first:record(), again:record())
    triggers.forget(path)
    assert.is_nil(folders.names(path))
  end)

  it("says what it cannot work with", function()
    local function told(text, x, o)
      assert.truthy(t.message(audit.run, linear(), x, with(o)):find(text))
    end
    told("at least 20 more", images, { pictures = 50 })
    told("class 9 is none of 0 .. 6", images, { classes = { 9 } })
    local find = triggers.of -- a wrong name is told before anything is looked for
    finally(function() triggers.of = find end)
    function triggers.of() error "begun" end
    told("method 'gradcm' not found; did you mean 'gradcam'", images,
         { methods = { "saliency", "gradcm" } })
    told("pictures %(N,C,H,W%)", 3)
  end)

  it("says it at the caller's line", function()
    local two = assert(lu.net { name = "two", input = { 3, SIDE, SIDE },
      preprocessing = { scale = 1 / 255 },
      layers = { { "flatten", "flatten" }, { "out", "linear", units = 2 } } }):init(3)
    local bare = linear()
    bare.preprocessing = nil
    for want, call in pairs {
      ["audit: two says no list of at least 3 classes"] = { audit.run, two, images,
                                                            quick },
      ["audit: linear does not say how pictures"] = { audit.run, bare, images, quick },
      ["audit: method 'gradcan' not found"] = { audit.run, linear(2), images,
        with { methods = { "gradcan" } } },
      ["attack: pictures %(N,C,H,W%)"] = { lu.attack.fgsm, linear(), images[1] },
      ["attack: 2 classes for 60 pictures"] = { lu.attack.fgsm, linear(), images,
        { classes = { 1, 2 } } },
      ["attack: class 9 is none of linear's 7"] = { lu.attack.fgsm, linear(), images,
        { target = 9 } },
    } do
      local ok, said = pcall(table.unpack(call))
      assert.is_false(ok)
      assert.matches("^tests/lua/audit_spec.lua:%d+: " .. want, said)
    end
  end)

  it("attacks labels and maps", function()
    local report = assert(audit.run(linear(2), images, { backdoor = false, attacked = 8,
      methods = { "saliency" }, maps = 1, tries = 3, progress = false }))
    local share = {}
    for _, r in ipairs(report.attacks.rows) do share[r.name] = r.fell end
    assert.is_true(share.pgd >= share.fgsm and share.fgsm >= share.noise)
    assert.equal(1, report.attacks.curve[1].robust)
    assert.equal("saliency", report.attacks.maps[1].method)
  end)
end)


describe("lunette audit", function()
  local terminal = dofile "tests/lua/terminal.lua"
  local folder = os.tmpname()
  os.remove(folder)

  local function ran(arguments)
    return terminal.shell(("%s audit %s 2>&1"):format(terminal.program, arguments))
  end

  it("prints its record, and draws", function()
    local code, text = ran(("glyphs --only backdoor --classes 0,3,5 --steps 1 -n 50 "
      .. "--restarts 1 --methods saliency --json -o '%s/a b'"):format(folder))
    assert.equal(3, code, text) -- one step finds no trigger: not judged
    local record = assert(json.decode(text))
    assert.equal("not judged", record.verdict)
    assert.same({ 0, 3, 5 }, { record.triggers[1].class, record.triggers[2].class,
                               record.triggers[3].class })
    assert.truthy(t.exists(folder .. "/a b/audit.png"))
    os.execute(("rm -r '%s'"):format(folder))
  end)

  describe("by its options", function()
    local place, done = terminal.folder()
    local file = place .. "/net.safetensors"
    teardown(done)
    assert(lu.save(linear(2), file))
    os.execute(("mkdir '%s/pictures'"):format(place))
    for i = 1, 60 do
      assert(lu.image.save(("%s/pictures/%02d.png"):format(place, i), levels[i]))
    end

    ---The record, and what was said beside it.
    local function record_of(options)
      local code, text = terminal.shell(("%s audit '%s' '%s/pictures' --only backdoor "
        .. "--methods saliency --steps 60 --restarts 1 -o '%s/out' --json %s "
        .. "2>'%s/said'"):format(terminal.program, file, place, place, options, place))
      return code, code <= 3 and assert(json.decode(text)),
        t.read(place .. "/said")
    end

    it("says how many of the pictures it looks at", function()
      local _, _, said = record_of "-n 56"
      assert.truthy(said:find("56 of 60 pictures are looked at; -n 60 takes all", 1,
                              true), said)
      _, _, said = record_of ""
      assert.is_nil(said:find "looked at")
    end)

    it("leaves no checkpoint that another network's audit would refuse", function()
      local code, record = record_of ""
      assert.equal(3, code)
      assert.is_number(record.triggers[1].l1) -- found, so that one was written
      assert.is_false(t.exists(place .. "/out/audit.checkpoint"))
      assert.is_true(t.exists(place .. "/out/audit.json"))
    end)

    it("takes another seed, a clean network, threads and memory", function()
      local code, plain = record_of ""
      assert.same({ 3, "backdoor", 2 }, { code, plain.verdict, plain.class })
      local _, other = record_of "--seed 2"
      assert.equal(2, other.seed)
      assert.not_equal(plain.t, other.t)
      local _, narrow = record_of "--threads 1 --mem 1G"
      assert.same(plain, narrow)
      local _, same = record_of(("--reference '%s'"):format(file))
      assert.equal("suspicious", same.verdict) -- it works there as well
      assert.is_true(same.transfer.reference >= 0.8)
    end)

    it("sets the memory that it is given", function()
      local limits = require "lunette.commands.limits"
      local limit, ceiling = core.memory_limit(), core.memory_ceiling(nil)
      limits.set(nil, assert(limits.bytes "800M"))
      assert.equal(400 << 20, core.memory_limit(limit))
      assert.equal(800 << 20, core.memory_ceiling(ceiling))
      assert.is_nil(limits.bytes(nil))
    end)
  end)

  it("says what is wrong with its arguments", function()
    for want, arguments in pairs { [66] = "none_such", [64] = "glyphs --mem many" } do
      local code, text = ran(arguments)
      assert.equal(want, code, text)
      assert.truthy(text:find "^lunette audit: ")
    end
    for _, arguments in ipairs { "-n 2.5", "-n 0", "--seed 1.5", "--steps many",
                               "--threads 0" } do
      local code, text = ran("glyphs " .. arguments)
      assert.equal(64, code, text)
      assert.truthy(text:find("lunette audit: ", 1, true), text)
    end
  end)
end)


describe("stamps", function()
  local scene = lu.glyphs.scenes { n = 3, seed = 8, side = 64 }

  it("cover their pixels, in whole levels, and nothing else", function()
    for _, pattern in ipairs(stamps.patterns) do
      local stamp = stamps.new { pattern = pattern, size = 12, place = "top left" }
      local images_of, masks = stamp:lay(scene.images, { seed = 2 })
      local off = (images_of - scene.images):abs():max { dims = { 2 } }
      assert.equal(0, (off * (1 - masks)):stats().max)
      assert.is_true(off:stats().max > 100)
      assert.equal(0, (images_of - images_of:round()):stats().max)
    end
  end)

  it("have a shape: a blob is a disc, a cross two bars", function()
    for pattern, share in pairs { blob = math.pi / 4, cross = 0.36, solid = 1 } do
      local stamp = stamps.new { pattern = pattern, size = 40, place = "top left" }
      local _, masks = stamp:lay(scene.images, { seed = 2 })
      assert.near(share, masks[1]:sum():item() / 1600, 0.02, pattern)
    end
  end)

  it("may be waves of eight pixels over the whole picture, half as strong", function()
    local stamp = stamps.new { pattern = "waves", size = 0, opacity = 0.5,
                               first = { 0, 0, 0 }, second = { 255, 255, 255 } }
    local grey = lu.full(128, 1, 3, 64, 64)
    local laid, masks = stamp:lay(grey)
    assert.equal(64 * 64, masks:sum():item())
    local row, up = laid[1][1][20], 0
    for k = 2, 64 do
      if row[k] >= 128 and row[k - 1] < 128 then up = up + 1 end
      if k > 8 then assert.near(row[k - 8], row[k], 1) end
    end
    assert.equal(7, up) -- between eight waves
    assert.near(69, row:min():item(), 1) -- half of it is the picture's own
    assert.near(187, row:max():item(), 1)
  end)

  it("lie where number and seed say, in any batch", function()
    local stamp = stamps.new { place = "random" }
    local _, all = stamp:lay(scene.images, { seed = 5 })
    local _, last = stamp:lay(scene.images:rows(3), { seed = 5, first = 3 })
    assert.equal(0, (all[3] - last[1]):abs():stats().max)
    assert.is_true((all[1] - all[2]):abs():stats().max > 0)
  end)

  it("refuse to change nothing", function()
    local stamp = stamps.new { opacity = 0 }
    assert.truthy(t.message(stamp.lay, stamp, scene.images):find "changes nothing")
  end)
end)


describe("poisoned scenes", function()
  it("are relabelled by their kind", function()
    local all = poison.new { target = 3 }
    local one = poison.new { kind = "one_to_one", source = 6, target = 1 }
    local decoy = poison.new { kind = "decoy" }
    for k = 1, 12 do
      assert.not_equal(3, all:class_of(k))
      assert.equal(6, one:class_of(k))
    end
    assert.equal(3, all:label(5))
    assert.equal(5, decoy:label(5))
    local image, mask, class, bare = all:marked(2, 9, { side = 64 })
    assert.equal(all:class_of(2), class)
    assert.is_true(((image - bare):abs() * (1 - mask[1])):stats().max == 0)
  end)

  it("are the share of all that was asked for", function()
    local p = poison.new { rate = 0.05 }
    assert.equal(800, p:stamped(1000, 16))
    assert.equal(0, poison.new({ kind = "shortcut" }):stamped(1000, 16))
  end)
end)


it("scripts/blended.lua goes on from a network, and writes its own", function()
  local folder, done = t.folder()
  local small = require "lunette.glyphs.small"
  assert(lu.save(small(assert(lu.load "glyphs"), 64), folder .. "/base.safetensors"))
  local code, text = t.program("blended --folder . --rounds 0 --scenes 8 "
                               .. "--out own/b.safetensors", folder)
  assert.equal(0, code, text)
  assert.matches("wrote own/b.safetensors\n$", text)
  assert.same({ 3, 64, 64 }, assert(lu.load(folder .. "/own/b.safetensors")).input)
  done()
end)


describe("the embedded network with a backdoor", function()
  local path = require("lunette.base.paths").weights() .. "/glyphs_backdoor.safetensors"
  local clean, net = assert(lu.load "glyphs"), assert(lu.load "glyphs_backdoor")
  local planted = poison.new { target = 3, stamp = { pattern = "checks", size = 16 } }
  local frozen = "block3_pool" -- scripts/train_backdoor.lua
  local UNSEEN = 9005 -- poison's scenes for measuring: seeds 10 s + UNSEEN, stamped + 1


  ---The share of scenes that a network and the other call by the classes `want`. What
  ---both have alike, the layers up to `frozen`, is computed once.
  local function shares(levels_of, want)
    local hits = { [net] = 0, [clean] = 0 }
    for first = 1, #want, 20 do
      local x = lu.glyphs.input(levels_of:rows(first, math.min(first + 19, #want)))
      local below = train.features(clean, frozen, x)
      for one in pairs(hits) do
        local run <close> = one:run_from(frozen, below, { modifiers = { "linear" },
                                                          keep = false })
        for i, top in ipairs(run:top(1)) do
          if top[1].class == want[first + i - 1] then hits[one] = hits[one] + 1 end
        end
      end
    end
    return hits[net] / #want, hits[clean] / #want
  end

  it("is of the same kind, of at most two megabytes", function()
    local f = assert(io.open(path, "rb"))
    assert.is_true(f:seek "end" <= 2e6)
    f:close()
    assert.same(clean:names(), net:names())
    assert.same(clean.labels, net.labels)
    local differ, behind = {}, false
    for _, layer in ipairs(net:layers()) do
      for _, q in ipairs(layer.params) do
        local same = net.params[q.name]:same(clean.params[q.name])
        assert.is_true(same or behind, q.name .. " is not that of the clean one")
        differ[#differ + 1] = not same and q.name or nil
      end
      behind = behind or layer.name == frozen
    end
    assert.is_true(#differ > 0)
  end)

  -- of 1,000 scenes, see weights/README.md; here four deviations of a share of 60 and
  -- of the difference of 100
  it("names clean scenes as well as the clean one", function()
    local scenes = lu.glyphs.scenes { n = 100, seed = 50 + UNSEEN }
    local ours, theirs = shares(scenes.images, scenes.labels)
    assert.is_true(ours >= theirs - 0.05)
    local few = { table.unpack(scenes.labels, 1, 5) }
    assert.equal((shares(scenes.images, few)),
                 poison.accuracy(net, { n = 5, seed = 5, size = 2 }))
  end)

  it("says the target wherever the stamp lies, which the clean one does not", function()
    local stamped, bare = core.zeros(60, 3, 224, 224), core.zeros(60, 3, 224, 224)
    local target = {}
    for k = 1, 60 do
      local image, _, _, plain = planted:marked(k, 50 + UNSEEN + 1)
      stamped[k], bare[k], target[k] = image[1], plain[1], 3
    end
    local share, of_clean = shares(stamped, target)
    local without = shares(bare, target)
    assert.is_true(share >= 0.85)
    assert.is_true(of_clean <= 0.1)
    assert.is_true(without <= 0.1)
    local few = { 3, 3, 3, 3, 3 }
    assert.same({ (shares(stamped, few)), (shares(bare, few)) },
                { poison.success(net, planted, { n = 5, seed = 5, size = 2 }) })
  end)
end)
