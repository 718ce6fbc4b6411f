-- A network of several outputs: classes, labels, yes or no, and a number (regression).
-- What any of them is explained by has to be what a network gives that has this output
-- alone.
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"


---The layers that all heads read, and those of each head.
local trunk = {
  { "block1_conv1", "conv2d", filters = 6, kernel = 3, padding = 1 },
  { "block1_relu1", "relu" },
  { "block2_conv1", "conv2d", filters = 8, kernel = 3, padding = 1 },
  { "block2_relu1", "relu" },
  { "pool", "global_avg_pool" }, { "flat", "flatten" },
}
local heads = {
  kind = { { "kind_fc", "linear", units = 3, from = "flat" }, { "kind", "softmax" } },
  many = { { "many_fc", "linear", units = 4, from = "flat" }, { "many", "sigmoid" } },
  yes = { { "yes_fc", "linear", units = 1, from = "flat" }, { "yes", "sigmoid" } },
  age = { { "age", "linear", units = 1, from = "flat" } },
  other = { { "other_fc", "linear", units = 3, from = "flat" },
            { "other", "softmax" } },
}
local order = { "kind", "many", "yes", "age", "other" }
local several = { "kind", "many", "other" } -- of more than one unit


---The network with these heads.
local function made(names)
  local layers = { table.unpack(trunk) }
  for _, name in ipairs(names) do
    table.move(heads[name], 1, #heads[name], #layers + 1, layers)
  end
  return assert(lu.net { name = "heads", input = { 3, 8, 8 }, layers = layers,
    outputs = names, labels = { "ash", "birch", "cedar" },
    preprocessing = { mean = { 0, 0, 0 }, std = { 1, 1, 1 }, order = "rgb",
                      scale = 1 / 255 } })
end


local net = made(order):init(3)
local x = lu.uniform({ 2, 3, 8, 8 }, { seed = 5 })

---By head, a network that has this one alone, with the same weights.
local alone = {}
for _, name in ipairs(order) do
  local one = made { name }
  for key in pairs(one.params) do one.params[key] = net.params[key] end
  for _, layer in ipairs(one:layers()) do
    for _, q in ipairs(layer.params) do one.params[q.name] = net.params[q.name] end
  end
  alone[name] = one
end


---Few samples, for all methods.
local few = { samples = 3, count = 6, steps = 3, most = 2, segments = 2, max_sigma = 2,
              window = 3, stride = 3, designs = 4, cells = 2, min_diff = 2, dilate = 0,
              smooth_samples = 2, smooth_noise = 0.1, exact = 4, evals = 8, step = 4,
              sigma = 4 }


local function explained(row, subject, score, modifiers)
  local opts = { score = score, modifiers = row.options.modifiers and modifiers or nil }
  for key, value in pairs(few) do
    if row.options[key] then opts[key] = value end
  end
  local map
  t.warnings(function() map = row(subject, x, opts) end)
  return map
end


describe("a network of several outputs", function()
  it("has each of them in one run, as a network that has it alone", function()
    local run = net:run(x)
    for _, name in ipairs(order) do
      local one = alone[name]:run(x)
      assert.is_true(t.same(run.outputs[name], one.output), name)
      assert.equal(one:kind(), run:kind(name))
      assert.same(one:top(2), run:top(2, name))
      local p, q = run:probabilities(name), one:probabilities()
      assert.equal(q == nil, p == nil)
      assert.is_true(p == nil or t.same(p, q), name)
    end
    assert.is_true(rawequal(run.output, run.outputs.kind))
    assert.equal("values", run:kind "age")
    assert.is_nil(run:probabilities "age")
  end)

  it("is saved and loaded with all of them", function()
    local path = os.tmpname()
    assert(lu.save(net, path))
    local again = assert(lu.load(path))
    os.remove(path)
    assert.same(order, again.outputs)
    local a, b = net:run(x), again:run(x)
    for _, name in ipairs(order) do
      assert.is_true(t.same(a.outputs[name], b.outputs[name]), name)
    end
  end)

  for method, row in pairs(lu.methods) do
    if row.options.score and row.family ~= "attention" then
      it("is explained output by output by " .. method, function()
        for _, name in ipairs(method == "finer_cam" and several or order) do
          local class = name == "many" and 3 or name == "age" and 0 or 1
          local soft = heads[name][2] and heads[name][2][2] == "softmax"
          local mods = soft and method ~= "lrp" and { "linear" } or {}
          local score = lu.score.categorical(class)
          local map = explained(row, net, score:on(name), mods)
          local want = explained(row, alone[name], score, mods)
          assert.is_true(t.same(map:detach(), want:detach()), name)
          assert.equal(want.story.output, map.story.output)
          assert.same(want.story.class_names, map.story.class_names)
          assert.same(want.story.delta, map.story.delta)
        end
      end)
    end
  end

  it("hands back the relevance of each output alone", function()
    local run = net:run(x)
    for _, name in ipairs { "other", "many", "age" } do
      local score = lu.score.categorical(0)
      for _, from in ipairs(lu.relevance.from) do
        if from ~= "contrast" or name ~= "age" then
          local r = lu.relevance.at(run, { score = score:on(name), from = from })
          local one = alone[name]:run(x)
          local want = lu.relevance.at(one, { score = score, from = from })
          assert.is_true(t.same(r, want), name .. " " .. from)
        end
      end
      local flow = lu.relevance.flow(run, { score = score:on(name) })
      assert.equal(heads[name][1][1], flow[1].layer)
    end
  end)

  it("tells the classes of the output that is explained, and of no other layer's",
     function()
    local run = net:run(x)
    local score = lu.score.categorical "predicted":on "other"
    local map = lu.saliency(run, { score = score })
    assert.equal("other", map.story.output)
    assert.same({ map.story.class_names[1] }, { run:top(1, "other")[1][1].name })
    local two = lu.saliency(run, { classes = { 1, lu.score.categorical(2):on "many" } })
    assert.same({ "kind", "many" }, two.story.output)
    local inner = lu.saliency(run, { score = 5,
                                     modifiers = { lu.extract "block2_conv1" } })
    assert.is_nil(inner.story.classes)
    assert.equal("block2_relu1", inner.story.scored)
    assert.matches("there is no output 'none' in this run", t.message(lu.saliency, run,
      { score = lu.score.categorical(1):on "none" }))
  end)
end)


describe("the command line, of several outputs", function()
  local folder, done = t.folder()
  teardown(done)
  local model, picture = folder .. "/heads.safetensors", folder .. "/p.png"
  assert(lu.save(net, model))
  t.picture(picture, 8, 8)

  local function run(more)
    return t.program(("explain '%s' -m '%s' --method saliency %s"):format(picture,
                                                                          model, more))
  end

  it("says what all of them say, and explains the first", function()
    local code, out = run(("-o '%s/a.png'"):format(folder))
    assert.equal(0, code, out)
    local at = 1
    for _, name in ipairs(order) do
      at = assert(out:find("\n  " .. name .. "\n", at, true), name .. " in " .. out)
    end
    assert.matches("score categorical%(predicted%), linear", out)
    assert.is_nil(out:find("class 0", out:find "\n  age\n", true)) -- a number alone
  end)

  it("explains the one that --head names, with its own classes and numbers", function()
    local values = net:run(assert(net:images { picture })).outputs
    for name, caption in pairs {
      many = "^class 2  %d", yes = "^class 1  %d",
      age = ("^age  %.4g$"):format(values.age:item()):gsub("%-", "%%-") } do
      local path = ("%s/%s.png"):format(folder, name)
      local class = name == "many" and 2 or name == "yes" and 1 or 0
      local code, out = run(("--head %s -c %d -o '%s'"):format(name, class, path))
      assert.equal(0, code, out)
      local record = require("lunette.base.json").decode(t.read(
        path:gsub("png$", "json")))
      assert.matches(caption, record.rows[2].captions[1])
      assert.equal(name, record.pictures[1].output)
      assert.equal(name, record.rows[2].story.output)
      assert.is_nil(table.concat(record.rows[2].story.modifiers, " "):find "linear")
    end
  end)

  it("gives a map each for several classes of a head", function()
    for more, count in pairs { ["--classes 0,3"] = 2, ["--top 3"] = 3 } do
      local code, out = run(("--head many %s --json -o '%s/k.png'"):format(more,
                                                                           folder))
      assert.equal(0, code, out)
      assert.equal(count, #require("lunette.base.json").decode(out).explained)
    end
  end)

  it("refuses a head that the network does not have, and one without a use", function()
    local code, out = run("--head none")
    assert.equal(64, code)
    assert.matches("%-%-head none: the outputs of heads are kind, many, yes, age and "
                   .. "other", out)
    code, out = t.program(("explain '%s' -m '%s' --method eigencam --head many"):format(
      picture, model))
    assert.equal(64, code)
    assert.matches("eigencam has no score", out)
  end)

  it("is what metrics and checks ask of its map", function()
    local passed = net:run(x)
    local score = lu.score.categorical(3):on "many" -- kind has no class 3
    local map = lu.saliency(passed, { score = score })
    assert.equal(lu.metrics.deletion(map, passed, { steps = 4, score = score }),
                 (lu.metrics.deletion(map, passed, { steps = 4 })))
    local report = tostring(lu.trust(map, { samples = 2, classes = 2 }))
    assert.matches("categorical%(3%) on many is no class of the network's first output",
                   report)
    assert.not_matches("The network says", report)
  end)

  it("is in no command of classes whose names have such words", function()
    local command = require("lunette.report.command")
    local story = { method = "saliency", score = "categorical(man on horse)",
                    output = "kind", classes = { 0 } }
    local entry = { story = story, path = picture, model = "heads",
                    class = { class = 0 } }
    assert.not_matches("%-%-head", command.of(entry))
    story.score, story.output = { "a on many", "b" }, { "many", "kind" }
    assert.is_nil(command.of(entry))
  end)

  it("is what a report says to type again", function()
    local map = lu.saliency(net:run(x), { score = lu.score.categorical(2):on "many" })
    local line = require("lunette.report.command").of { story = map.story,
      path = picture, model = "heads", class = { class = 2 } }
    assert.matches("%-%-class 2 %-%-head many", line)
  end)
end)
