-- What `lunette methods` says of every row, `lunette explain --method` for every row,
-- and that costs reckoned from a call's beginning are those of the whole call.
local lu = require "lunette"
local cost = require "lunette.explain.cost"
local flags = require "lunette.commands.method_flags"
local json = require "lunette.base.json"
local t = dofile "tests/lua/support.lua"

local folder, done = t.folder()
teardown(done)

---A network that is quick, as a file.
local tiny = folder .. "/tiny.safetensors"
assert(lu.save(assert(lu.net(lu.models.tiny_vgg { side = 32 })):init(3), tiny))

---Options that make long methods short, by name.
local few = { samples = 2, count = 4, steps = 2, most = 2, segments = 2, designs = 3,
              cells = 2, window = 8, stride = 8, exact = 0, max_sigma = 3,
              smooth_samples = 2 }


---Those of a row, as words of a command line.
local function words_of(row)
  local list = {}
  for _, flag in ipairs(flags.of(row)) do
    if few[flag.key] then
      list[#list + 1] = ("--%s=%d"):format(flag.name, few[flag.key])
    end
  end
  return list
end


---Calls f with what it says collected.
local function said(f, ...)
  local text, lines = require "lunette.base.text", {}
  local say, complain = text.say, text.complain
  text.say = function(line) lines[#lines + 1] = line end
  text.complain = text.say
  local result = table.pack(pcall(f, ...))
  text.say, text.complain = say, complain
  return table.concat(lines, "\n"), table.unpack(result, 1, result.n)
end


describe("every method", function()
  local families = {}
  for _, name in ipairs(require("lunette.explain.method").families) do
    families[name] = true
  end

  for name, row in pairs(lu.methods) do
    it(name .. " has a paper and a family", function()
      assert.is_true(type(row.paper) == "string" and #row.paper > 10,
        name .. ": its row has no `paper`")
      assert.is_true(families[row.family] or false,
        ("%s: its row's `family` is none of explain/method.lua's"):format(name))
    end)

    it(name .. " is explained on the command line", function()
      local path = ("%s/%s.png"):format(folder, name)
      local picture = t.picture(folder .. "/picture.png", 40, 40)
      local args = { picture, "--model", tiny, "--method", name, "-o", path,
                     table.unpack(words_of(row)) }
      local text, ok, code
      t.warnings(function()
        text, ok, code = said(require "lunette.commands.explain", args)
      end)
      if row.family == "attention" then -- which it has not, and is told
        return assert.matches("tiny_vgg has no attention", tostring(code) .. text)
      end
      assert.is_true(ok, tostring(code))
      assert.equal(0, code, text)
      assert.matches(name .. " of tiny_vgg", text)
      assert.equal("\137PNG", t.read(path):sub(1, 4))
      local record = json.decode(t.read((path:gsub("png$", "json"))))
      assert.equal(name, record.rows[2].story.method)
    end)
  end
end)


describe("costs", function()
  local net = t.net()
  local x = t.input(net, 1)
  local tokens = assert(lu.net(lu.models.vit_b_16 { side = 16, patch = 8, depth = 2,
    heads = 2, width = 8, inner = 8, classes = 3 })):init(1)

  ---Several batches, so that there is something to reckon.
  local more = { batch = 2, samples = 7, count = 7, steps = 7, designs = 7, cells = 2,
                 window = 4, stride = 4, segments = 3, exact = 0, max_sigma = 3,
                 smooth_samples = 7 }

  it("reckoned from the beginning are those of the whole", function()
    t.warnings(function()
      for name, row in pairs(lu.methods) do
        local opts = { modifiers = row.options.modifiers and { "linear" } or nil }
        local subject = row.family == "attention" and tokens or net
        local input = t.input(subject, 1)
        for key, value in pairs(more) do
          if row.options[key] then opts[key] = value end
        end
        local whole = cost.of(row, subject, input, opts)
        local part = cost.of(row, subject, input, opts, 0)
        assert.equal(1, whole.share)
        if row.options.progress then
          assert.is_true(part.share < 1, name .. " says nothing of its progress")
        end
        -- what comes after the last copy (the score of a baseline ...) is not seen
        for _, kind in ipairs { "forwards", "partial", "backwards" } do
          assert.is_true(math.abs(part[kind] - whole[kind]) <= 4,
            ("%s: %s are %g, reckoned %g"):format(name, kind, whole[kind], part[kind]))
        end
        assert.is_true(whole.memory > 0 and whole.seconds > 0)
      end
    end)
  end)

  it("count what a method does", function()
    local linear = { modifiers = { "linear" }, score = 1 }
    local c = lu.cost("gradcam", net, x, linear)
    assert.same({ 1, 0, 1 }, { c.forwards, c.partial, c.backwards })
    c = lu.cost("input_x_gradient", net, t.input(net, 3), linear)
    assert.same({ 3, 0, 3 }, { c.forwards, c.partial, c.backwards })
    c = lu.cost("integrated_gradients", net, x, { score = 1, steps = 9 })
    assert.same({ 9 + 2, 0, 9 }, { c.forwards, c.partial, c.backwards }) -- and `delta`
    c = lu.cost("ablationcam", net, x, linear)
    assert.same({ 1, net.conv2.shape[1] }, { c.forwards, c.partial })
    c = lu.cost("saliency", net, x, { classes = { 0, 1, 2 }, modifiers = { "linear" } })
    assert.same({ 1, 3 }, { c.forwards, c.backwards })
  end)

  it("of nothing are an error", function()
    assert.matches("method 'gradcm' not found", t.message(lu.cost, "gradcm", net, x))
    assert.matches("class 9 is outside", t.message(lu.cost, "saliency", net, x,
                                                   { score = 9 }))
  end)
end)


describe("lunette methods", function()
  local function methods(arguments, code)
    local got, text = t.program("methods " .. arguments, folder)
    assert(got == code, ("%s: exit code %s, not %d:\n%s"):format(arguments,
           tostring(got), code, text))
    assert.is_nil(text:find("%.lua:%d+"), text)
    return text
  end

  it("lists all, family by family", function()
    local text = methods("--brief", 0)
    for name, row in pairs(lu.methods) do
      assert.matches("\n" .. name .. "\n", text)
      local paper = row.paper or "none" -- told by name above
      assert.is_truthy(text:gsub("%s+", " "):find(paper, 1, true), name)
    end
    for line in text:gmatch "[^\n]+" do assert.is_true(#line <= 88, line) end
    local order = {}
    for family in text:gmatch "\n(%u+)\n" do order[#order + 1] = family:lower() end
    assert.same(require("lunette.explain.method").families, order)
  end)

  it("says what some cost with a network", function()
    local text = methods("--model tiny.safetensors gradcam rise --budget 0.01", 0)
    assert.matches("One picture of tiny_vgg, %d+ threads", text)
    assert.matches("\ngradcam +1 +1 +%d[%d.]* MB +~?%d", text)
    assert.matches("\nrise +100%d +0 ", text)
    assert.matches("dialects: tf%-keras%-vis, captum, pytorch%-grad%-cam", text)
    assert.is_nil(text:find("saliency", 1, true))
  end)

  it("speaks JSON", function()
    local list = assert(json.decode(methods("--json --brief", 0)))
    assert.equal(#lu.methods, #list)
    for _, one in ipairs(list) do
      local row = lu.methods[one.name]
      assert.equal(row.paper, one.paper)
      assert.same(row.dialects, one.dialects)
      for key, option in pairs(row.options) do
        assert.equal(option.type, one.options[key].type)
      end
    end
    list = assert(json.decode(methods("gradcam --json --model glyphs", 0)))
    assert.equal(1, list[1].cost.backwards)
  end)

  it("refuses what is none", function()
    assert.matches("'gradcm' not found; did you mean 'gradcam'", methods("gradcm", 64))
    assert.matches("no_such", methods("gradcam --model no_such", 66))
    assert.matches("unknown option", methods("--costs", 64))
  end)
end)
