-- Pages that are read from top to bottom: lu.notebook, lunette explore, lab_report.
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local folder, done


setup(function()
  folder, done = t.folder()
  local net = assert(lu.net(lu.models.tiny_vgg { side = 32 })):init(3)
  assert(lu.save(net, folder .. "/tiny.safetensors"))
  t.picture(folder .. "/<b>&.png", 40, 36, 1)
end)

teardown(function() done() end)


---Runs a script of these lines as a notebook; exit code, what it printed, its page.
local function notebook(code)
  t.spit(folder .. "/exp.lua", code)
  os.remove(folder .. "/exp.html")
  local got, text = t.program("exp.lua", folder)
  return got, text, t.exists(folder .. "/exp.html") and t.read(folder .. "/exp.html")
end


---Places of texts in a page, which must be in this order.
local function in_order(page, ...)
  local at = 1
  for _, text in ipairs { ... } do
    local first, last = page:find(text, at, true)
    assert(first, ("'%s' is not there, or not in its place"):format(text))
    at = last + 1
  end
end


local function tidy(page)
  if t.shell "command -v tidy >/dev/null" ~= 0 then return end
  t.spit(folder .. "/checked.html", page)
  local code, text = t.shell(("tidy -q -e '%s/checked.html'"):format(folder))
  assert.equal("", text)
  assert.equal(0, code)
end


describe("lu.notebook", function()
  it("puts code, output, tables and pictures in their order", function()
    local code, text, page = notebook [[
-- An <experiment> & its page.
local lu = require "lunette"
local page = lu.notebook "exp.html"
print("one", 2)
for i = 1, 2 do
  print("loop", i)
  if i == 1 then lu.show(lu.uniform(8, 8)) end
end
page:heading "Part <two>"
page:table({ { "a", 1.5 }, { "<i>", 2 } }, { "name", "value" })
lu.warn "careful"
lu.show(lu.range(1, 12))
page:text "The end."
]]
    assert.equal(0, code, text)
    assert.matches("one\t2\nloop\t1\n", text)
    in_order(page, "<title>An &lt;experiment&gt; &amp; its page.</title>",
      "local page = lu.notebook &quot;exp.html&quot;\nprint(&quot;one&quot;, 2)</pre>",
      '<pre class="out" tabindex="0">one\t2</pre>', "for i = 1, 2 do",
      "end</pre>", "loop\t1</pre>", "<img ", "loop\t2</pre>",
      "<h2>Part &lt;two&gt;</h2>",
      '<th scope="col" class="number">value</th>', "<td>&lt;i&gt;</td>",
      "warning: careful", "12 values; largest: [12] 12", "<p>The end.</p>", "</html>")
    assert.equal(1, select(2, page:gsub("<img ", "")))
    tidy(page)
  end)

  it("leaves a whole page with the error in it, and its exit code", function()
    local code, text, page = notebook [[
local lu = require "lunette"
lu.notebook "exp.html"
print "before"
local function fail() error "this <fails>" end
fail()
print "after"
]]
    assert.equal(70, code, text)
    in_order(page, "before</pre>", "fail()</pre>", '<pre class="failed"',
      "exp.lua:4: this &lt;fails&gt;</pre>", '<pre class="waiting"',
      "print &quot;after&quot;", "</html>")
    assert.is_nil(page:find(">after<", 1, true))
    tidy(page)
  end)

  it("is written where the script leaves by os.exit, or runs in plain Lua", function()
    local code, _, page = notebook [[
require("lunette").notebook "exp.html"
print "bye"
os.exit(5)
]]
    assert.equal(5, code)
    in_order(page, "bye</pre>", "</html>")
    t.spit(folder .. "/exp.lua", 'require("lunette").notebook "exp.html"\nprint "hi"\n')
    os.remove(folder .. "/exp.html")
    local root = t.root()
    local lua = t.shell(("cd '%s' && LUA_PATH_5_4='%s/lua/?.lua;%s/lua/?/init.lua;;' "
      .. "LUA_CPATH_5_4='%s/?.so;;' lua5.4 exp.lua"):format(folder, root, root,
      os.getenv "LUNETTE_BUILD" or root .. "/build/release"))
    assert.equal(0, lua)
    in_order(t.read(folder .. "/exp.html"), "hi</pre>", "</html>")
  end)

  it("says where it cannot be written, and refuses a second one", function()
    local code, text = notebook 'require("lunette").notebook "/dev/null/x.html"\n'
    assert.equal(74, code)
    assert.matches("/dev/null", text, 1, true)
    code, text = notebook [[
local lu = require "lunette"
lu.notebook "exp.html"
lu.notebook "b.html"
]]
    assert.equal(70, code)
    assert.matches("exp.lua:3: notebook: 'exp.html' is open; close it first", text, 1,
      true)
  end)
end)


describe("lunette explore", function()
  it("tells of every layer: numbers, channels, maps", function()
    local code, text = t.program("explore '<b>&.png' --model tiny.safetensors "
      .. "-o explore.html --channels 3 --lang ru", folder)
    assert.equal(0, code, text)
    local page = t.read(folder .. "/explore.html")
    in_order(page, "tiny_vgg: &lt;b&gt;&amp;.png", "Вероятные классы",
      "Карты вероятных классов", "Как складывается ответ", "Слой за слоем")
    local net = assert(lu.load(folder .. "/tiny.safetensors"))
    local run = net:run(net:images { folder .. "/<b>&.png" })
    local seen = 0
    for _, row in ipairs(run:stats()) do
      local part = page:match("<h3>" .. row.layer:gsub("%p", "%%%0")
                              .. "</h3>(.-)<[h/][3m]")
      if part then
        seen = seen + 1
        assert.is_truthy(part:find(("%.3g"):format(row.max), 1, true))
        assert.is_truthy(part:find(("%.1f %%"):format(100 * row.zeros), 1, true))
        local value = run:preactivation(row.node)
        if value:dim() == 4 then
          local mean = value:mean { dims = { 3, 4 } }:view(value:dim(2))
          local _, order = mean:top(3)
          for k = 1, 3 do in_order(part, "канал " .. order[k]) end
          assert.equal(3, select(2, part:gsub("<img ", "")))
        end
      end
    end
    assert.is_true(seen >= 4)
    tidy(page)
  end)

  it("measures agreement: 1 where every channel speaks for the class", function()
    local net = assert(lu.net { name = "sum", input = { 3, 2, 2 },
      labels = { "a", "b" }, layers = {
        { "c", "conv2d", filters = 3, kernel = 1 }, { "r", "relu" },
        { "f", "flatten" }, { "o", "linear", units = 2 } } }):init(1)
    local run = net:run(lu.uniform(1, 3, 2, 2))
    local explore = require "lunette.report.explore"
    local rows = { { node = "r" } }
    local g = run:gradient { score = 1, wrt = "r" }
    local s = (run:activation "r":detach() * g):sum { dims = { 3, 4 } }
    local want = s:sum():item() / s:abs():sum():item()
    local got = explore.evidence(run, rows, { { class = 0 }, { class = 1 } })
    assert.near(want, got[2][1], 1e-6)
    assert.is_true(math.abs(got[1][1]) <= 1)
  end)

  it("refuses what it cannot do", function()
    assert.equal(64, (t.program("explore --channels 0", folder)))
    assert.equal(66, (t.program("explore none.png --model tiny.safetensors", folder)))
  end)
end)


describe("lunette lab_report", function()
  for _, lang in ipairs { "en", "ru" } do
    it("is one page, " .. lang, function()
      local code, text = t.program("lab_report --model glyphs --out lab.html --lang "
        .. lang, folder)
      assert.equal(0, code, text)
      local page = t.read(folder .. "/lab.html")
      local say = require "lunette.report.lab"(lang)
      in_order(page, say.title, say.install, "lunette lab_report --model glyphs",
        say.pictures, "<img ", say.linear, "arrow", say.saliency, "<img ", say.summary,
        "Total params", say.gradcam, "<img ", say.reading, "gradcam", "vanilla",
        "Adebayo et al. 2018")
      assert.is_nil(page:find "https?://")
      for caption in page:gmatch "<figcaption>(.-)</figcaption>" do
        assert.is_nil(caption:find("/", 1, true), caption) -- names, not paths
      end
      tidy(page)
    end)
  end

  it("is a script of under 60 lines", function()
    local code = t.read(t.root() .. "/scripts/lab_report.lua")
    assert.is_true(select(2, code:gsub("\n", "")) < 60)
  end)
end)
