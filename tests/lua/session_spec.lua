-- What a session tells: values lost beside nil, names that mean nothing, where an error
-- came from, what it comes to as a script; and that misuse is blamed on the user's
-- line.
local core = require "lunette.core"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local folder, done = t.folder()
teardown(done)


---What a session on a pipe prints; errors too.
local function session(input, arguments)
  t.spit(folder .. "/input", input)
  local code, text = t.shell(("cd '%s' && LUNETTE_GRAPHICS=off '%s/lunette' %s < input")
    :format(folder, t.root(), arguments or ""))
  return text, code
end


---What a script says when it fails, and its exit code.
local function script(text)
  t.spit(folder .. "/mine.lua", text)
  local code, said = t.program("mine.lua", folder)
  return said, code
end


describe("a session", function()
  it("says the message that came beside a nil", function()
    assert.matches("net is nil: .*nosuch", (session "net = lu.load 'nosuch'\n"))
    assert.matches("a.b is nil: gone",
                   (session "a = {}\na.b = (function() return nil, 'gone' end)()\n"))
    assert.equal("", (session "x = nil\ny = 5\nlocal z = 'text'\n"))
    assert.equal("2\t3\n", (session "x = 2; y = 3\nprint(x, y)\n"))
  end)

  it("keeps lines and values of assignments", function()
    local text = session "x =\n  nope.y\n"
    assert.matches("2 |   nope.y", text)
    assert.equal("7\n", (session "local x = (function() return 7, 8 end)()\nx\n"))
    assert.equal("3\n4\n", (session "(function() return 3, 4 end)() -- two of them\n"))
  end)

  for typed, hint in pairs {
    ["net.block1_conv11"] = "net %(a net%) has no 'block1_conv11'; did you mean 'blo",
    ["run.block1_cnv1"] = "run %(a run%) has no 'block1_cnv1'; did you mean 'block1_co",
    ["lu.salency"] = "lu has no 'salency'; did you mean 'saliency'",
    ["run.block9"] = "run %(a run%) has no 'block9'; did you mean 'block1'",
    ["net.conv11"] = "net %(a net%) has no 'conv11'; did you mean 'conv1_1'",
    ["run.blok3.x"] = "run %(a run%) has no 'blok3'; did you mean 'block3'",
    ["lu.methods.gradcm"] = "has no 'gradcm'; did you mean 'gradcam'",
    ["lu.metrics.pearsn(1)"] = "has no 'pearsn'; did you mean 'pearson'",
    ["net:forward(run.images)"] = "net %(a net%) has no 'forward'; here it is net:run",
    ["net(run.images)"] = "a network is run: net:run%(x%)",
    ["run.images:numpy()"] = "has no 'numpy'; here it is x:totable%(%)",
    ["lu.cat({}, 1)"] = "lu has no 'cat'; here it is lu.concat%(list, dim%)",
    ["lu.vgg16()"] = "lu has no 'vgg16'; here it is lu.models.vgg16",
    ["run.images.shape[1]"] = "it is a method: run.images:shape%(%)",
    ["#run.images.shape"] = "it is a method: run.images:shape%(%)",
    ["run.images:shape()[0] + 1"] = "lists count from 1",
    ["lu.canvas():rwo('a')"] = "lu.canvas%(%) .*has no 'rwo'; did you mean 'row'",
    ["net.params['block1_conv1.wieght']:dim()"] = "did you mean 'block1_conv1.weight'",
    ["net.params.block1_conv1:dim()"] = "has no 'block1_conv1'; there is net.params%["
      .. '"block1_conv1.weight"%]',
    ["net.params['conv1.wieght']:dim()"] = "there is net.params%[\"block1_conv2.weight",
    ["bare = lu.net(net.graph); bare.params['a.b']:dim()"] =
      "it is empty: lu.load and ",
    ["lu.gradcam(run):save 'x.png'"] =
      "a tensor has no 'save'; here it is .*lu.npy.wri",
    ["lu.canvas { columns = 2 }:add(1)"] =
      "a canvas has no 'add'; there is .*row, save",
    ["lu.ones(2):shpae()"] = "a tensor has no 'shpae'; did you mean 'shape'",
    ["'' .. run.images:max()"] = "a tensor that has one is x:item%(%)",
    ["('%d'):format(run.images:max())"] =
      "got lunette.tensor%); the number of a tensor",
    ["run.images - mena"] = "'mena' is nil here",
    ["mean = 5\nrun.images - mena"] = "'mena' is nil here; did you mean 'mean'",
    ["run.block1_conv1.weight:dim()"] = "here it is net.LAYER.weight",
    ["run[5]:dim()"] = "layers go by name: run.NAME; net:names%(%) lists them",
    ["run:layers()"] = "run %(a run%) has no 'layers'; a network has it",
    ["run:top(1):frist()"] = "a top has no 'frist'\n",
    ["lu.ig(run)"] = "here it is lu.integrated_gradients%(run%)",
    ["run.images * { 1 }"] = "lu.tensor%(list%) makes one of a list",
    ["lu.ones(2)[1][1]"] = "a tensor of one dimension gives numbers",
    ["if n = 1 then print(1) end"] = "equal is ==",
    ["print 5"] = "a call has parentheses: f%(5%)",
    ["net:top(5)"] = "net %(a net%) has no 'top'; a run %(net:run%(x%)%) has it",
    ["run(run.images)"] = "a run is read: run.LAYER, run:top%(%)",
    ["torch.zeros(3)"] = "torch is no part of Lunette",
    ["len(run.images)"] = "here it is #list, x:size%(%)",
    ["run:top(1)[1][1].prob + 1"] = "run:top%(...%) has no 'prob'; it gives .*probabil",
    ["show(run.layer4)"] =
      "run %(a run%) has no 'layer4'; net:names%(%) lists the layers",
    ["lu.mean { 1, 2 }"] = "lu has no 'mean'; here it is x:mean, a method of tensors",
    ["for _ in ipairs(run.images.shape) do end"] =
      "it is a method: run.images:shape%(%)",
    ["two = { 1, 2 }; two[3].x = 1"] =
      "two has 2 values, from 1 on; there is no two%[3",
    ["('hen'):startswith 'h'"] = "a text has no 'startswith'; here it is s:find",
    ["('hen'):uper()"] = "a text has no 'uper'; did you mean 'upper'",
    ["x = True"] = "'True' is nil in Lua; write true",
    ["lu.gradcam(run, { score = clas })"] = "^lunette: 'clas' has no value\n",
    ["class = 3; lu.gradcam(run, { score = clas })"] = "did you mean 'class'%?\n",
    ["r = net:run(run.images, { keep = false }); r.block1_conv1:dim()"] =
      "was dropped; run with keep = true",
    ["run.images[-1]"] =
      "index %-1 is outside 1 .. 1 .*; x%[{ %-1 }%] counts from the end",
    ["lu.image.load 'https://a.b/c.jpg'"] = "it is an address: download the file",
    ["lu.load '~/c.pth'"] = "~ is the shell's",
    ["run.images[1:2]"] = "a part of a tensor is x%[{ { 1, 2 }, {} }%]",
    ["1 != 2"] = "not equal is ~=", ["def f(x): return x"] = "function f%(x%) ... end",
    ["run:top(k = 5)"] = "f { name = value }", ["a = [1, 2]"] = "a list is { 1, 2 }",
    ["run.images:resize((5, 5))"] = "f%(a, b%)", ["n += 1"] = "write x = x %+ 1",
    ["lu.salency(run)"] = "lu has no 'salency'; did you mean 'saliency'",
    ["lu.score.uint(1)"] = "lu.score has no 'uint'; did you mean 'unit'",
    ["run.images:shpae()"] = "run.images %(a tensor%) has no 'shpae'; did you mean 's",
    ["net.block1_conv1.weigt:size()"] = "has no 'weigt'; did you mean 'weight'",
    ["gradcam(run)"] = "did you mean 'lu.gradcam'",
    ["saliensy(run)"] = "did you mean 'lu.saliency'",
    ["run.images[{ 1, 5 }]"] = "index 5 is outside 1 .. 3 %(x%[{ 1, 5 }%] is row 1",
  } do
    it("suggests for " .. typed, function()
      local said = session("net = lu.load 'glyphs'\nrun = net:run(lu.zeros(1, 3, 224, "
        .. "224))\n" .. typed .. "\n")
      assert.matches(hint, said)
    end)
  end

  it("asks for names that have no value on purpose, without a remark", function()
    for _, typed in ipairs { "n = n or 5", "if not done then print(7) end",
                             "print(n == nil)", "print(type(n))" } do
      assert.is_nil((session(typed .. "\n")):match "has no value", typed)
    end
    assert.matches("has no value", (session "print(n)\n"))
  end)

  it("prints where the last error came from", function()
    local text = session "function f() error 'deep' end\nf()\ntraceback()\n"
    assert.matches("stack traceback", text)
    assert.matches("in%[1%]:1: in function 'f'", text)
  end)

  it("names the line of a call that is the whole input", function()
    local text = session "lu.score.of({})\n"
    assert.equal("lunette: score: no class", text:sub(1, 24))
  end)

  it("becomes a script that runs and writes pictures", function()
    local text = session [[
local net = lu.load "glyphs"
x = net:images(lu.glyphs.default_images(1).images)
run = net:run(x);
run:top(1)[1][1].name
lu.nothing()
_ .. "!"
show(lu.gradcam(run))
help "gradcam"
for i = 1, 2 do
  print("line", i)
end
save "exp.lua"
]]
    assert.matches("wrote exp.lua", text)
    local saved = t.read(folder .. "/exp.lua")
    assert.is_nil(saved:find("nothing", 1, true))
    assert.is_nil(saved:find("help", 1, true))
    local code, said = t.program("exp.lua", folder)
    assert.equal(0, code, said)
    local name = said:match "^(%w+)\n"
    assert.equal(("%s\n%s!\nwrote exp-1.png\nline\t1\nline\t2\n"):format(name, name),
                 said)
    assert.truthy(lu.image.load(folder .. "/exp-1.png"))
  end)

  it("becomes a script that prints tables as the session did", function()
    local typed = "{ 3, name = 'hen' }\n1, 'two'\n"
    local before = session(typed .. "save 'exp.lua'\n")
    local code, said = t.program("exp.lua", folder)
    assert.equal(0, code, said)
    assert.is_nil(said:match "table: 0x", said)
    local table_text = before:match "^(.-})\n"
    assert.truthy(table_text)
    assert.equal(table_text .. "\n1\ttwo\n", said)
  end)

  it("refuses to be saved as what is no script", function()
    assert.matches("ends in .lua", (session "x = 1\nsave 'x.png'\n"))
    assert.matches("nothing was typed", (session "save 'x.lua'\n"))
  end)

  it("helps with kinds, nodes, recipes, the library", function()
    local text = session 'help "kinds"\nhelp "node"\nhelp "recipes"\nhelp(lu)\n'
      .. session 'help "conv2d"\n'
    for _, words in ipairs { "conv2d +filters, kernel %(bias", "node:backward%(dy",
                             "copies", "lu.features.dead", "lu.gradcam ",
                             'as a layer: { "NAME", "conv2d"' } do
      assert.matches(words, text)
    end
  end)
end)


describe("a script", function()
  it("is told what a name may have meant", function()
    local said, code = script "local lu = require 'lunette'\nlocal x = lu.ones(2)\n"
    assert.equal(0, code, said)
    said = script "local lu = require 'lunette'\nlocal x = lu.ones(2)\nx:shpae()\n"
    assert.matches("mine.lua:3: .*did you mean 'shape'", said)
    said = script "local lu = require 'lunette'\nlu.ones(2):exp():shpae()\n"
    assert.matches("mine.lua:2: .*a tensor has no 'shpae'; did you mean 'shape'", said)
    said = script "local lu = require 'lunette'\nlocal m\nprint(lu.ones(2) - m)\n"
    assert.matches("mine.lua:3: .*'m' is nil here", said)
    said = script "local a = {}\nfor _ in ipairs(print) do a = 1 end\n"
    assert.matches("mine.lua:2: attempt to index a function value", said)
    said = script "print(1)\nif 1 != 2 then print(2) end\n"
    assert.matches("mine.lua:2: .*not equal is ~=", said)
    said = script "print(1)\nlocal raw = True\n"
    assert.matches("mine.lua:2: 'True' is nil in Lua; write true", said)
    said = script "print(1)\nlocal least = -inf\n"
    assert.matches("mine.lua:2: 'inf' is nil in Lua; write math.huge", said)
    said = script "local lu = require 'lunette'\nprint(lu.salency(1))\n"
    assert.matches("mine.lua:2: .*did you mean 'saliency'", said)
  end)

  it("may ask whether such a name has a value, which is plain Lua", function()
    local said, code = script("inf = inf or math.huge\nprint(inf)\n"
      .. "print(null == nil, not None)\nnan = nan\n  or 0/0\n"
      .. "if undefined then print 'no' end\nprint(_G.NULL)\n")
    assert.equal(0, code, said)
    assert.matches("inf\ntrue\ttrue\nnil", said)
  end)

  local start = "local lu = require 'lunette'\nlocal net = lu.load 'glyphs'\n"
    .. "local x = net:images(lu.glyphs.default_images(2).images)\n"
    .. "local run = net:run(x)\n" -- four lines
  for _, m in ipairs {
    { "local img = lu.image.load 'no.png'\n-- that is img\nnet:images(img)",
      "mine.lua:7: .*'img' is nil here; assert.*'img' says why it is nil %(line 5%)" },
    { "local act = run.block1_conv1.output\nprint(act:shape())",
      "mine.lua:6: .*line 5: run.block1_conv1 has no 'output'; here it is the tensor" },
    { "local a, act = 1, run.block1_conv1.nothing\nprint(act:shape())",
      "mine.lua:6: .*made 'act' says why it is nil %(line 5%)" },
    { "local act\nprint(a + act)", "mine.lua:6: attempt to perform arithmetic" },
    { "run:step(ab)", "mine.lua:5: .*run %(a run%) has no 'step'" },
    { "net:images(ab)", "mine.lua:5: .*; 'ab' is nil here\n" },
    { "for _, p in ipairs(run:top(1)) do print(p.probability .. '%') end",
      "mine.lua:5: .*it is a list, whose entries have it: %[1%].probability" },
    { "local t = run:top(1)\nprint(t.name .. 'x')",
      "mine.lua:6: .*it is a list, whose entries have it: %[1%]%[1%].name" },
    { "for k in pairs(net.layers) do print(k) end",
      "mine.lua:5: .*it is a method: net:layers%(%)" },
    { "net.block1_conv1.register_forward_hook(print)",
      "mine.lua:5: .*here it is run.LAYER, what each layer put out" },
    { "require 'lunet'", "mine.lua:5: module 'lunet' not found; did you mean 'lun" },
    { "require 'helpers'", "mine.lua:5: module 'helpers' not found; a file of yours" },
    { "local y = net:run(x).logits\nprint(y:shape())",
      "mine.lua:6: .*line 5: net:run%(...%) has no 'logits'; here it is run.output" },
    { "print(f'class {run}')", "mine.lua:5: .*here it is %(\"%%.2f\"%):format%(x%)" },
    { "print(#run:count())", "mine.lua:5: .*a number has no length" },
    { "rux:top()", "mine.lua:5: .*global 'rux'%); no value was given to that name" },
    { "lu.train.step(net, lu.train.sgd(net.params), x, { 1, 2 })\nrun:gradient()",
      "mine.lua:6: .*have been changed since the run, at mine.lua:5; run again" },
  } do
    it("is told what to do about " .. m[1]:gsub("\n", "; "), function()
      local said, code = script(start .. m[1] .. "\n")
      assert.is_true(code ~= 0)
      assert.matches(m[2], said)
    end)
  end

  it("that is not there is told so", function()
    local code, said = t.program("nowhere.lua", folder)
    assert.equal(64, code)
    assert.matches("no such file: 'nowhere.lua'", said)
    assert.matches("did you mean 'saliency'", select(2, t.program("saliensy", folder)))
  end)
end)


-- Forty mistakes: what is said of each, at the script's own line.
local mistakes = {
  { "lu.saliency(net, 'hen.jpg')", "got 'hen.jpg'; net:images makes one" },
  { "lu.saliency('hen.jpg')", "a network and its input, or a run, got 'hen.jpg'" },
  { "lu.saliency(lu.load 'nosuch', x)", "assert%(lu.load" },
  { "lu.saliency(net, net:images { 'no.jpg' })", "no.jpg.*assert%(net:images" },
  { "net:run(x[1])", "wants a tensor %(N,3,224,224%), got %(3,224,224%)" },
  { "net:run(x[1], { height = 3 })", "wants a tensor %(N,3,224,224%)" },
  { "net.run(x)", "call it with a colon, net:run" },
  { "net.images { 'a.png' }", "call it with a colon" },
  { "run.top(5)", "call it with a colon, run:top" },
  { "net:run(x, { modifers = {} })", "did you mean 'modifiers'" },
  { "lu.saliency(run, { dialect = 'keras-vis' })", "did you mean 'tf%-keras%-vis'" },
  { "lu.saliency(run, { smooth_samples = 0.5 })", "a whole number from 0 on, got 0.5" },
  { "lu.saliency(run, { smooth_samples = 2, smooth_noise = -1 })",
      "from 0 to 5, got %-1" },
  { "lu.saliency(run, { samples = 3 })", "unknown option 'samples'" },
  { "lu.gradcam(run, { layer = 'block5_conv4' })", "did you mean 'block5_conv" },
  { "lu.gradcam(run, { layer = 'flatten' })", "no height and width; choose" },
  { "lu.gradcam(run, { score = 'dsic' })", "did you mean 'disc'" },
  { "lu.gradcam(run, {}, {})", "one argument more" },
  { "lu.gradcam(net, x, {}, 3)", "one argument more" },
  { "lu.gradcam(run, { score = true })", "a score or a function, got true" },
  { "lu.gradcam(run, { score = 999 })", "999" },
  { "lu.gradcam(run, { score = lu.score })", "an id or a name, or a list" },
  { "lu.gradcam(run, { score = lu.score.unit })", "call it" },
  { "lu.gradcam(run, { modifiers = lu.modifiers })", "a list" },
  { "lu.gradcam(run, { modifiers = { 'Guided' } })", "did you mean 'guided'" },
  { "lu.saliency(run, { modifiers = { 'guided_backprop' } })", "did you mean 'guided" },
  { "lu.activation(run, { layer = 'block5_conv3', channel = 0 })", "from 1 on, got 0" },
  { "x[0] = 1", "outside 1 .. 2" }, { "x[0] + 1", "outside 1 .. 2" },
  { "lu.zeros(2, 3) + lu.zeros(4, 5)", "%(2, 3%).*%(4, 5%)", true },
  { "lu.ones(3):view(2, 2)", "" }, { "lu.ones(3):sum(5)", "must be %-1 to 1" },
  { "lu.normal(4, 3, 'x')", "the shape comes first" },
  { "lu.canvas { colums = 3 }", "did you mean 'columns'" },
  { "lu.canvas { columns = 1 }:row('a', x)", "2 cells, the canvas 1 columns" },
  { "lu.canvas():row('a', x, { kind = 'pictures' })", "" },
  { "lu.canvas():save 'x.gif'", "png, .jpg", true },
  { "net:images { { 'a.png' } }", "picture 1 of the list is a table" },
  { "lu.metrics.energy(lu.ones(1, 2, 2))", "mask" },
  { "lu.lrp(run, { composite = 'epsilon_pls' })", "did you mean 'epsilon_plus'" },
  { "lu.features.patches(net, 'block9', x.pictures)", "not found" },
  { "lu.show(lu.score)", "cannot draw" },
  { "lu.show(net.flatten)", "has no kernels" },
  { "local r = net:run(x) r:release() lu.saliency(r)", "was released" },
  { "lu.activation_maximization(net, {})", "no score; give" },
  { "lu.image.animate('x.png', { lu.ones(3, 4, 4) })", "written as .gif", true },
}


describe("a mistake is told at the user's line:", function()
  local net = assert(lu.load "glyphs")
  local x = assert(net:images(lu.glyphs.default_images(2).images))
  local names = setmetatable({ net = net, x = x, run = net:run(x) }, { __index = _G })
  names.lu = lu

  for _, m in ipairs(mistakes) do
    it(m[1], function()
      local form = "\n\nlocal a, b = %s\nreturn a, b"
      local f = load(form:format(m[1]), "@mine.lua", "t", names)
        or assert(load("\n\n" .. m[1], "@mine.lua", "t", names))
      local result
      local _ = t.warnings(function() result = table.pack(pcall(f)) end)
      if m[3] and result[1] then -- routine failures give nil, message
        assert.is_nil(result[2])
        return assert.matches(m[2], result[3])
      end
      assert.is_false(result[1], "no error")
      assert.matches("^mine.lua:3: ", result[2])
      assert.matches(m[2], result[2])
    end)
  end
end)


describe("units", function()
  it("that answer to no picture are found", function()
    local net = t.net()
    net.params["conv1.bias"]:fill_(0)
    net.params["conv1.weight"][4] = net.params["conv1.weight"][4] * 0
    net.params["conv1.bias"][4] = -1
    local pictures = {}
    for i = 1, 3 do pictures[i] = core.uniform(i, 0, 3, 12, 12) * 255 end
    local dead, most = lu.features.dead(net, "conv1", pictures, { batch = 2 })
    local run = net:run(assert(net:images(pictures)))
    local want = run:activation("conv1"):max { dims = { 1, 3, 4 } }:view(6)
    assert.is_true(t.same(want, most))
    local expected = {}
    for k = 1, 6 do
      if want[k] <= 0 then expected[#expected + 1] = k end
    end
    assert.same(expected, dead)
    assert.equal(4, dead[#dead] and 4)
    assert.equal(6, #lu.features.dead(net, "conv1", pictures, { above = 1e9 }))
  end)
end)


describe("show", function()
  local tiles_of = require "lunette.picture.tiles"

  local function tiles(x)
    local list = {}
    tiles_of.add(list, x, 256)
    return list
  end

  it("draws kernels in the network's colours, numbered", function()
    local arch = { input = { 3, 8, 8 }, preprocessing = "caffe",
                   layers = { { "conv", "conv2d", filters = 5, kernel = 3 } } }
    local net = assert(lu.net(arch)):init(1)
    local w = net.conv.weight
    assert.is_true(w:shares(net.params["conv.weight"]))
    w:fill_(0)
    w[2][1]:fill_(1) -- the first channel of caffe's networks is blue
    local list = tiles(net.conv)
    assert.equal(5, #list)
    assert.equal("filters", list.what)
    assert.equal(2, list[2].label)
    assert.same({ 0, 0, 255 }, { list[2].image:get(1, 1) })
    arch.preprocessing = "torch"
    net = assert(lu.net(arch)):init(1)
    net.conv.weight:fill_(0)
    net.conv.weight[2][1]:fill_(1)
    assert.same({ 255, 0, 0 }, { tiles(net.conv)[2].image:get(1, 1) })
    assert.equal(5, net.conv.bias:size())
    assert.is_nil(net.conv.nothing)
  end)

  it("draws other kernels a row a filter, and says how many of how many", function()
    local net = t.net()
    local list = tiles(net.conv2)
    assert.equal(48, #list)
    assert.equal(6, list.columns)
    assert.matches("1 .. 8 of 8.*1 .. 6 of 6", list.note)
    assert.matches("no kernels", t.message(tiles, net.relu1))
    assert.matches("no weights yet", t.message(tiles, assert(lu.net(net.graph)).conv1))
  end)

  it("takes small squares that no run gave for kernels; says which image", function()
    local list = tiles(core.zeros(64, 16, 3, 3))
    assert.equal(16, list.columns)
    assert.matches("a row a filter %(1 .. 16 of 64%), a column an input channel",
                   list.note)
    list = tiles(core.zeros(64, 16, 8, 8))
    assert.matches("image 1 of 64", list.note)
    local file = folder .. "/batch.png"
    t.spit(folder .. "/mine.lua", "local lu = require 'lunette'\n"
      .. "lu.show(lu.uniform(9, 4, 8, 8), 'batch.png')\n")
    local _, said = t.program("mine.lua", folder)
    assert.matches("wrote batch.png: 4 channels, image 1 of 9", said)
    assert.truthy(core.image.load(file))
  end)

  it("writes files numbered one by one for scripts", function()
    local shows = lu.show_into(folder .. "/shown")
    shows(lu.uniform(8, 8))
    shows(lu.uniform(2, 8, 8), { columns = 1 })
    shows(lu.uniform(8, 8), folder .. "/named.png")
    for _, name in ipairs { "shown-1", "shown-2", "named" } do
      assert.truthy(core.image.load(("%s/%s.png"):format(folder, name)), name)
    end
  end)
end)
