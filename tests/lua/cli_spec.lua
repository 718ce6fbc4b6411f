-- The program and its launchers: scripts, code, bad usage, other folders, install.
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local folder, done, model, picture


setup(function()
  folder, done = t.folder()
  model, picture = folder .. "/tiny.safetensors", folder .. "/a picture.png"
  assert(lu.save(assert(lu.net(lu.models.tiny_vgg { side = 32 })):init(3), model))
  t.picture(picture, 40, 30)
end)

teardown(function() done() end)


---Runs the program in the temporary folder; checks the exit code and the output.
local function check(arguments, code, ...)
  local got, text = t.program(arguments, folder)
  assert(got == code, ("lunette %s: exit code %s, not %d:\n%s"):format(arguments,
         tostring(got), code, text))
  for _, pattern in ipairs { ... } do
    assert.matches(pattern, text)
  end
  assert.is_nil(text:find("stack traceback", 1, true), text)
  return text
end


describe("the program", function()
  it("says what it is", function()
    check("--version", 0, "^lunette %d+%.%d+%.%d+ %(", "threads", "Lua 5.4")
    check("-v", 0, "^lunette ")
    check("--help", 0, "usage: lunette", "explain IMAGE")
    check("-h", 0, "usage: lunette")
  end)

  it("runs code", function()
    check("-e '1 + 1'", 0, "^2\n$")
    check("-e 'return 1, 2'", 0, "^1\n2\n$")
    check("-e 'print(lu.zeros(2, 3))'", 0, "Tensor %(2, 3%)")
    check("-e 'for i = 1, 2 do print(i, ...) end' ", 0, "1")
    check("-e 'print(arg[1], arg[2])' a 'b c'", 0, "a\tb c")
    check("-e 'x ='", 64, "^lunette: ")
    check("-e", 64, "%-e wants code")
    check("-e 'error \"my own words\"'", 70, "^lunette: .*my own words\n$")
    check("-e 'lu.load(1)'", 70, "what should be string: an installed model")
  end)

  it("shows any error of a script in one line, or says that it cannot", function()
    for code, want in pairs {
      ["error(nil)"] = "nil", ["error { 1 }"] = "table: ",
      ["error(print)"] = "function: ",
      ["error(setmetatable({}, { __tostring = function() error 'x' end }))"] =
        "an error (a table) that cannot be shown",
      ["error(setmetatable({}, { __tostring = function() return {} end }))"] =
        "an error (a table) that cannot be shown" } do
      local status, text = t.program(('-e "%s"'):format(code))
      assert.equal(70, status, text)
      assert.equal("lunette: " .. want, text:sub(1, 9 + #want))
      assert.equal(1, select(2, text:gsub("\n", "")))
    end
  end)

  it("runs scripts", function()
    t.spit(folder .. "/s.lua", [[
      local lu = require "lunette"
      print(arg[0], arg[1], ..., lu.ones(1)[1])
    ]])
    check("s.lua 'x y'", 0, "s.lua\tx y\tx y\t1.0")
    t.spit(folder .. "/broken.lua", "x = = 1")
    check("broken.lua", 66, "broken.lua:1:")
    t.spit(folder .. "/fails.lua", "error 'at run time'")
    check("fails.lua", 70, "fails.lua:1: at run time")
    t.spit(folder .. "/code.lua", "os.exit(3)")
    check("code.lua", 3)
    t.spit(folder .. "/bang.lua", "#!/usr/bin/env lunette\nprint 'bang'")
    check("bang.lua", 0, "bang")
    check("- <s.lua 2>&1", 0, "1.0")
  end)

  it("refuses what it does not know", function()
    check("explian x", 64, "'explian' is neither .*; did you mean 'explain'")
    check("none.lua", 64, "no such file: 'none.lua'")
    check("--nonsense", 64, "unknown option '%-%-nonsense'", "usage:")
    check(".", 66)
    check("explain --nonsense", 64, "unknown option", "Usage: lunette explain")
    check("explain --method guesswork", 64, "not found %(there are: ablationcam, ")
    check("explain --scale x", 64, "malformed argument 'x'")
    check("summary", 64, "missing argument 'model'")
  end)

  it("prints layers", function()
    check("summary tiny_vgg", 0, "19,920", "conv_1_1 %(Conv2D%)")
    check("summary vgg16", 0, "138,357,544 %(527.79 MB%)")
    check("summary " .. model, 0, "%(None, 30, 30, 10%)")
    check("summary vgg17", 66, "model 'vgg17' not found; did you mean 'vgg1")
    check("summary ./none.safetensors", 66, "No such file")
  end)

  it("stops at Ctrl-C", function()
    t.spit(folder .. "/long.lua", "print 'on'; io.stdout:flush(); while true do end")
    local function interrupted()
      return t.shell(([[cd '%s'; rm -f said; '%s/lunette' long.lua >said 2>&1 &
        for i in $(seq 600); do [ -s said ] && break; sleep 0.1; done
        kill -INT $!; wait $!; code=$?; cat said; exit $code]]):format(folder,
        t.root()))
    end
    local code, text = interrupted()
    assert.equal("on\nlunette: interrupted\n", text)
    assert.equal(130, code)
    -- caught on the way, which a pcall of the library's may do
    t.spit(folder .. "/long.lua", "print 'on'; io.stdout:flush(); "
      .. "while true do pcall(function() while true do end end) end")
    local again, said = interrupted()
    assert.equal("on\nlunette: interrupted\n", said)
    assert.equal(130, again)
  end)

  it("tells of every command, and knows it", function()
    local usage, page = select(2, t.program "--help"), t.read "docs/lunette.1"
    local folders = require "lunette.base.folders"
    for _, file in ipairs(assert(folders.names "lua/lunette/commands")) do
      local name = file:match "^(.*)%.lua$"
      local source = name and t.read("lua/lunette/commands/" .. file) or ""
      if source:find "\nreturn function%(args%)" or source:find "M%.run%(args%)" then
        assert.truthy(usage:find("lunette " .. name, 1, true), name
                      .. " is not in the usage text of main.lua")
        assert.truthy(page:find("\n.B lunette " .. name .. "\n", 1, true), name
                      .. " is not in docs/lunette.1")
        local code, out = t.program(name .. " --help")
        assert.equal(0, code, name .. " is not in main.lua's table of commands")
        assert.matches("Usage: lunette " .. name, out)
      end
    end
  end)

  for what, module in pairs { command = "lunette.commands.summary",
                              engine = "lunette.core" } do
    it("stops at Ctrl-C while the " .. what .. " is loaded", function()
      t.spit(folder .. "/amid.lua", ([[
        table.insert(package.searchers, 1, function(name)
          if name ~= "%s" then return nil end
          io.popen("kill -INT $PPID"):close()
          for _ = 1, 1e8 do end
        end)
      ]]):format(module))
      local code, text = t.program("summary tiny_vgg", folder, "LUA_INIT_5_4=@amid.lua")
      assert.equal("lunette: interrupted\n", text)
      assert.equal(130, code)
    end)
  end
end)


describe("scripts/", function()
  for _, name in ipairs { "saliency", "gradcam", "custom_modifier", "compare",
                           "which_layer", "gallery" } do
    it(name .. ".lua explains pictures", function()
      local script = ("'%s/scripts/%s.lua'"):format(t.root(), name)
      check(script .. " --help", 0, "Usage: " .. name .. ".lua", "%-%-model")
      local out = ("new folder/%s.png"):format(name)
      local few = name == "gallery" and " --methods saliency,gradcam" or ""
      check(("%s 'a picture.png' --model tiny.safetensors --classes 3 --out '%s'"
        ):format(script, out) .. few, 0, "wrote " .. out)
      local png = t.read(folder .. "/" .. out)
      assert.equal("\137PNG\r\n\26\n", png:sub(1, 8))
      assert.is_true(t.exists((folder .. "/" .. out):gsub("png$", "json")))
      check(script .. " none.png --model tiny.safetensors", 66,
            "cannot open picture 'none.png'")
      check(script .. " 'a picture.png' --model tiny.safetensors --classes pizzza", 64,
            "class 'pizzza' not found; did you mean 'pizza'")
      check(script .. " 'a picture.png' --model none", 66, "model 'none' not found")
      check(script .. " --colour red", 64, "unknown option")
    end)
  end

  it("compare.lua compares methods, rules, layers and files", function()
    local script = ("'%s/scripts/compare.lua' 'a picture.png' "):format(t.root())
      .. "--model tiny.safetensors --out c.png "
    check(script .. "--methods gradcam,gradcam", 0, "SSIM 1.00, Spearman 1.00")
    local text = check(script .. "--methods saliency --rules vanilla,guided", 0,
                       "a picture: SSIM %-?%d%.%d+, Spearman %-?%d%.%d+; most apart")
    assert.is_nil(text:find("SSIM 1.00", 1, true))
    check(script .. "--methods gradcam --layers conv_1_2,", 0, "wrote c.png")
    local maps = "--maps c-gradcam_conv_1_2.npy,c-gradcam.npy"
    local again = check(("'%s/scripts/compare.lua' %s --out d.png"):format(t.root(),
                        maps), 0, "map 1: SSIM")
    assert.matches("wrote d.png", again)
    check(script .. "--methods gradcm", 64, "no method 'gradcm'")
    check(("'%s/scripts/compare.lua' --maps none.npy,x.npy"):format(t.root()), 64,
          "none.npy")
  end)

  it("which_layer.lua goes over the layers that have a map", function()
    local script = ("'%s/scripts/which_layer.lua' 'a picture.png' "):format(t.root())
      .. "--model tiny.safetensors --steps 3 --out w.png "
    local text = check(script, 0, "best: relu_%d_%d %([+-]%d%.%d+%)")
    for _, name in ipairs { "relu_1_1", "relu_1_2", "relu_2_1", "relu_2_2" } do
      assert.matches("\n" .. name .. " +%d+ x %d+ +%d", text)
    end
    check(script .. "--method gradcam_pp", 0, "wrote w.png")
    check(script .. "--method activation", 0, "wrote w.png")
    check(script .. "--method saliency", 64, "saliency looks at no layer")
  end)

  it("gallery.lua draws every method that has a map", function()
    local json = require "lunette.base.json"
    check(("'%s/scripts/gallery.lua' 'a picture.png' --model tiny.safetensors "
      .. "--classes 3,5 --each each --out all.png"):format(t.root()), 0,
      "wrote all.png")
    local record = json.decode(t.read(folder .. "/all.json"))
    local drawn, methods = {}, require "lunette.methods"
    for _, row in ipairs(record.rows) do
      for _, name in ipairs(row.captions) do drawn[name:match "^[^\n]*"] = true end
    end
    for name, row in pairs(methods) do -- this network has no attention
      local no_map = row.draws == "numbers" or row.family == "attention"
      if not no_map then assert.is_true(drawn[name] or false, name) end
      local own = ("%s/each/%s.png"):format(folder, name)
      assert.equal(not no_map, require("lfs").attributes(own) ~= nil, own)
    end
  end)

  it("gallery.lua shows a map that is all negative, and says so", function()
    local net = t.net()
    net.params["out.weight"]:copy_(-net.params["out.weight"]:abs())
    net.params["fc.weight"]:copy_(net.params["fc.weight"]:abs())
    net.params["fc.bias"]:fill_(10) -- every unit of it is active
    assert(lu.save(net, folder .. "/against.safetensors"))
    local said = check(("'%s/scripts/gallery.lua' 'a picture.png' --classes 1 --layer "
      .. "relu2 --model against.safetensors --methods internal_influence "
      .. "--out against.png"):format(t.root()), 0, "wrote against.png")
    assert.is_nil(said:find "drawn flat")
    local told = require("lunette.base.json").decode(t.read(folder .. "/against.json"))
    assert.same({ "internal_influence\nall below 0: |map|" }, told.rows[2].captions)
  end)

  it("compare.lua brings maps to one size, and refuses different pictures", function()
    lu.npy.write(folder .. "/small.npy", lu.uniform(7, 7))
    lu.npy.write(folder .. "/large.npy", lu.uniform(14, 14))
    lu.npy.write(folder .. "/two.npy", lu.uniform(2, 14, 14))
    local script = ("'%s/scripts/compare.lua' --out s.png --maps "):format(t.root())
    local said = check(script .. "small.npy,large.npy", 0,
      "small.npy is 7 x 7, large.npy 14 x 14: enlarged to 14 x 14, bilinearly")
    assert.is_nil(said:find "vgg16") -- no network is looked for
    check(script .. "large.npy,small.npy", 0, "map 1: SSIM")
    check(script .. "large.npy,two.npy", 64, "holds 1 maps and two.npy 2")
  end)

  it("explain what is predicted of pictures without a word of classes", function()
    local script = ("'%s/scripts/saliency.lua'"):format(t.root())
    check(script .. " 'a picture.png' --model tiny.safetensors --out own.png", 0,
          "wrote own.png")
    local told = require("lunette.base.json").decode(t.read(folder .. "/own.json"))
    local row = told.rows[2]
    assert.equal("categorical(predicted)", row.story.score)
    assert.equal(1, #row.story.class_names)
    assert.same(row.story.class_names, row.captions)
  end)

  it("dream.lua draws units, a moving picture, a gallery", function()
    local script = ("'%s/scripts/dream.lua'"):format(t.root())
    local few = " --model tiny.safetensors --layer conv_1_1 --steps 2 "
    check(script .. few .. "--units 1,3 --out d.png --gif d.gif", 0, "wrote d.gif")
    assert.equal("GIF89a", t.read(folder .. "/d.gif"):sub(1, 6))
    check(script .. few .. "--gallery 2 --out g.png 'a picture.png'", 0, "wrote g.png")
    check(script .. " --model tiny.safetensors --gallery 2 --out g.png 'a picture.png'",
          64, "say whose units the gallery shows: %-%-layer")
    check(script .. few .. "--units 1,two", 64, "numbers of channels.*'two' is none")
    check(script .. " --model tiny.safetensors", 64, "say what the pictures are for")
  end)

  it("stay under 40 lines and open with a sentence", function()
    for _, name in ipairs { "saliency", "gradcam", "summary", "custom_modifier" } do
      local text = t.read("scripts/" .. name .. ".lua")
      local _, lines = text:gsub("\n", "")
      assert.is_true(lines < 40, name)
      assert.matches("^%-%- %u[^\n]+", text)
    end
  end)

  it("end with the code of what was wrong", function()
    local model_and = "--model tiny.safetensors "
    local own = "local lu = require 'lunette'; a = lu.cli { 's [image ...]', "
      .. "model = 'tiny.safetensors', class = '1', out = 'o.png', count = 3, "
      .. "mode = '' }\n"
    local cases = { -- what the script does, arguments, code, words
      { "lu.load(a.model):images(a.image)", "", 0 },
      { "assert(lu.load(a.model))", "--model none", 66, "s.lua:2: model 'none'" },
      { "error 'the class of 1984'", "--count 1984", 70, "s.lua:2: the class of" },
      { "error 'got 1984'", "--count 1984", 64, "got 1984" },
      { "error 'class 1 is no cat'", "", 70, "no cat" }, -- it was not typed
      { "error 'class 2 is no cat'", "--class 2", 64, "no cat" },
      { "error 'there is no a or b, c'", "--mode a,b", 70, "no a or b" },
      { "error 'there is no tabby there'", "--mode a,tabby", 64, "tabby" },
      { "error 'say --mode first'", "", 64, "say" },
      { "error 'say --modes first'", "", 70, "say" },
      { "error 'no model, no image, no way out'", "--model x --out y 1.png", 70 },
      { "error { 1 }", "--mode {", 70 },
      { "lu.load('x' .. a.mode)", "--mode 1", 0 },
      { "assert(lu.npy.write(a.out .. '/x.npy', lu.ones(1)))", "--out s.lua",
        74, "cannot make folder" },
      { "assert(lu.npy.write('/proc/' .. a.out, lu.ones(1)))", "", 74, "cannot write" },
      { "error 'the place of a script is not what was typed'", "--out s.lua", 70 },
    }
    for _, c in ipairs(cases) do
      t.spit(folder .. "/s.lua", own .. c[1])
      check("s.lua " .. c[2], c[3], c[4])
    end
    for given, code in pairs { ["--classes nonsense"] = 64, ["none.png"] = 66,
                               ["--out s.gif"] = 64, ["--out s.lua/x.png"] = 74 } do
      local text = check("saliency " .. model_and .. "'a picture.png' " .. given, code)
      assert.is_nil(text:find("saliency.lua", 1, true)) -- whose lines are nobody's own
    end
  end)

  it("summary.lua prints layers", function()
    local script = ("'%s/scripts/summary.lua'"):format(t.root())
    check(script, 0, "138,357,544")
    check(script .. " --model tiny.safetensors", 0, "Total params")
    check(script .. " --help", 0, "Usage: summary.lua")
    check(script .. " --model nonsense", 66, "not found")
  end)
end)


describe("a plain Lua", function()
  local lua = os.getenv "LUA" or "lua5.4"

  it("takes the library from the checkout", function()
    local build = os.getenv "LUNETTE_BUILD" or (t.root() .. "/build/release")
    local code, text = t.shell(([[cd '%s' && \
      LUA_PATH_5_4='%s/lua/?.lua;%s/lua/?/init.lua;;' \
      LUA_CPATH_5_4='%s/?.so;;' %s -e 'local lu = require "lunette"
      local net = assert(lu.load "tiny.safetensors")
      print(net:run(assert(net:images { "a picture.png" })).output)']]):format(folder,
      t.root(), t.root(), build, lua))
    assert.equal(0, code)
    assert.matches("Tensor %(1, 10%)", text)
  end)

  it("is told when it is another Lua", function()
    local other
    for _, name in ipairs { "lua5.3", "lua5.1", "luajit" } do
      other = other or select(2, t.shell("command -v " .. name)):match "^(%S+)"
    end
    if not other then return pending "another Lua: none is installed" end
    local _, text = t.shell(("%s lua/lunette/main.lua"):format(other))
    assert.matches("5.4", text)
  end)
end)


describe("an output without a name", function()
  it("is refused, not the root folder", function()
    for _, words in ipairs { "explain tests/x.png --model glyphs -o ''", "demo -o ''",
        ("'%s/scripts/saliency.lua' --out ''"):format(t.root()) } do
      check(words, 64, "%-%-out is empty")
    end
  end)
end)


describe("the help of a script", function()
  for file in require("lfs").dir "scripts" do
    local text = file:find "%.lua$" and t.read("scripts/" .. file)
    if text and text:find("lu.cli", 1, true) then
      it(file .. " says of every option what it means", function()
        local code, said = t.program("scripts/" .. file .. " --help")
        assert.equal(0, code, said)
        local seen = 0
        for name, meaning in said:gmatch "\n%s+%-%-([%w_]+)[^\n]-%s%s+([^\n]+)" do
          meaning = meaning:gsub("%s*%(default.*", "")
          assert.is_true(meaning ~= name, "--" .. name .. " means " .. meaning)
          seen = seen + 1
        end
        assert.is_true(seen > 0, said)
      end)
    end
  end
end)


describe("lu.cli", function()
  local function parse(spec, ...)
    local cli = require "lunette.commands.cli"
    return cli.options(spec, { ... })
  end

  it("parses strings, numbers, flags and the rest", function()
    local spec = { "x.lua [image ...]", out = "o", samples = 3, deep = false }
    local args = parse(spec, "a.png", "--samples", "7", "b.png", "--deep")
    assert.same({ "a.png", "b.png" }, args.image)
    assert.equal(7, args.samples)
    assert.equal("o", args.out)
    assert.is_true(args.deep)
    assert.is_true(args.given.samples)
    assert.is_false(args.given.out)
    args = parse(spec)
    assert.same({}, args.image)
    assert.is_false(args.deep)
    assert.equal(3, require("lunette.commands.cli").record.options.samples)
    assert.equal("m", parse({ "x.lua <file>" }, "m").file)
  end)

  it("says how photographs get their size, where there are pictures", function()
    local args = parse({ "x.lua [image ...]" }, "--fit", "pad", "--orient")
    assert.same({ "pad", "", true }, { args.fit, args.filter, args.orient })
    assert.same({ fit = "pad", orient = true, threads = nil },
                require("lunette.commands.cli").record.options)
    assert.equal("crop", parse({ "x.lua [image ...]", fit = "crop" }).fit)
    assert.is_nil(parse({ "x.lua <file>" }, "m").fit)
    local net = assert(lu.load(model))
    local function prepared(...)
      return assert(net:images(parse({ "x.lua [image ...]" }, picture, ...))).prepared
    end
    assert.equal("stretch", prepared().fit)
    assert.equal("crop", prepared("--fit", "crop").fit)
    assert.equal("box", prepared("--filter", "box").filter)
    assert.is_true(prepared("--orient").oriented)
  end)

  it("takes what an option means beside its default", function()
    local spec = { "x.lua", size = { 3, "in pixels" }, deep = { false, "all of it" } }
    local args = parse(spec, "--deep")
    assert.equal(3, args.size)
    assert.is_true(args.deep)
    assert.equal(7, parse(spec, "--size", "7").size)
    assert.is_false(parse(spec).deep)
  end)
end)


---A folder with a trap in place of everything that the program may look for by name:
---whichever is run or loaded leaves `sprung` there.
local function trapped_folder()
  local traps = ("%s/traps %d"):format(folder, os.time())
  t.shell(("mkdir -p '%s'"):format(traps))
  local shell = ("cd '%s/lua' && find lunette -name '*.lua'"):format(t.root())
  local names = { "lfs.lua", "argparse.lua", "dkjson.lua", "cjson.lua", "init.lua",
                  "lunette/core.lua", "lunette/readline.lua", "core.lua", "debug.lua" }
  local _, text = t.shell(shell)
  for name in text:gmatch "[^\n]+" do names[#names + 1] = name end
  t.shell(("cd '%s/lua' && find lunette -type d | (cd '%s' && xargs mkdir -p)"):format(
    t.root(), traps))
  for _, name in ipairs(names) do
    t.spit(traps .. "/" .. name,
           ("io.open('sprung', 'a'):write('%s\\n')"):format(name))
  end
  for _, name in ipairs { "curl", "chafa", "lunette-import", "sh", "stty", "readlink",
                         "lua5.4", "lua", "setpriv" } do
    t.spit(traps .. "/" .. name, "#!/bin/sh\necho " .. name .. " >>sprung\n")
    t.shell(("chmod +x '%s/%s'"):format(traps, name))
  end
  t.spit(traps .. "/glyphs", "no model")
  return traps
end


local from_trapped_folder = {
  "--version", "--help", "-e 'lu.zeros(1)'", "models", "summary glyphs",
  "import glyphs", "explain glyphs", "models get vgg16", "</dev/null",
  "-i </dev/null", "nothing",
}

local function check_traps(program, traps, commands)
  local environment = "http_proxy=127.0.0.1:1 https_proxy=127.0.0.1:1 HOME=. "
    .. "PATH=:.:$PATH XDG_DATA_HOME=. XDG_CONFIG_HOME=. XDG_STATE_HOME=."
  for _, words in ipairs(commands) do
    local _, text = t.shell(("cd '%s' && %s '%s' %s"):format(traps, environment,
      program, words))
    local sprung = t.exists(traps .. "/sprung") and t.read(traps .. "/sprung") or ""
    assert.equal("", sprung, words .. ": " .. text)
  end
end


describe("the demo", function()
  it("makes both canvases, and says everything once", function()
    if not require("lunette").load "glyphs" then return pending "no 'glyphs' here" end
    local code, text = t.program(("demo -o '%s/demo'"):format(folder), nil,
      "LUNETTE_MODELS= LUNETTE_IMAGES= XDG_DATA_HOME=/nowhere")
    assert(code == 0, text)
    for _, said in ipairs { "the embedded network", "Run of glyphs", "image 4\n" } do
      assert.equal(1, select(2, text:gsub(said, "")), said .. ": " .. text)
    end
    for _, name in ipairs { "saliency", "gradcam" } do
      assert.is_true(t.exists(("%s/demo/%s.png"):format(folder, name)), name)
    end
  end)
end)


describe("standard files that are closed", function()
  it("leave their numbers to no other file", function()
    t.spit(folder .. "/says.lua", [[
      local f = io.open("written", "w")
      io.stderr:write "an error"
      print "a word"
      io.stdout:flush()
      f:write "data"
      f:close()
    ]])
    for closed, code in pairs { ["2>&-"] = 0, [">&- 2>&-"] = 70, ["<&- >&- 2>&-"] = 70,
                                ["<&- 2>&-"] = 0 } do
      assert.equal(code, (t.shell(("cd '%s' && '%s/lunette' says.lua %s"):format(folder,
        t.root(), closed))), closed)
      assert.equal("data", t.read(folder .. "/written"), closed)
    end
  end)
end)


describe("what cannot be written", function()
  it("has one exit code, whichever command it is", function()
    for _, words in ipairs { "rank --count 1 --methods saliency -o /proc/no/where",
        "audit glyphs -o /proc/no/where", "export glyphs -o /proc/no/where.onnx",
        "bake gradcam glyphs -o /proc/no/where.onnx",
        ("import --force -o /proc/no/where '%s/tests/data/import/keras.h5'"):format(
          t.root()),
        "explain 'a picture.png' --model tiny.safetensors -o /proc/no/where.png",
        "sweep --list list.txt --model tiny.safetensors -o /proc/no/where" } do
      t.spit(folder .. "/list.txt", "a picture.png\n")
      local code, text = t.program(words, folder)
      assert(code == 74, ("%s: %s: %s"):format(words, code, text))
    end
  end)
end)


describe("the working folder", function()
  it("gives the program no code", function()
    check_traps(t.root() .. "/lunette", trapped_folder(), from_trapped_folder)
  end)
end)


-- examples/explain.c's picture by the library: |dy| where a unit is open, 255 levels.
local function absolute_map(path)
  local net = assert(lu.load "glyphs")
  local absolute = lu.modifier { name = "absolute", on = "relu",
    backward = function(node, dy) return dy:abs() * node.output:gt(0) end }
  local run = net:run(assert(net:images { path }), { modifiers = { "linear" } })
  local g = run:gradient { score = "predicted", modifiers = { absolute } }
  local s = g:stats()
  return (g * (127.5 / math.max(s.max, -s.min)) + 128):floor()
end


-- The example in C against the installed files, by pkg-config alone: with the shared
-- library, and with the static one, which the linker takes where that is not there.
local function build_example(work, prefix)
  local code, text = t.shell(("ln -sfn '%s' '%s/prefix'"):format(prefix, work))
  assert(code == 0, text)
  -- eval: the prefix has a blank in it, which a shell wants quoted, and pkg-config does
  local cc = "cd '%s' && export PKG_CONFIG_PATH='%s/lib/pkgconfig' && eval cc -Wall "
    .. "-Werror prefix/share/doc/lunette/examples/explain.c -o %s "
    .. "\"$(pkg-config %s lunette)\" -lm"
  code, text = t.shell(cc:format(work, prefix, "shared", "--cflags --libs"))
  assert(code == 0, text)
  code, text = t.shell(("rm '%s'/lib/liblunette.so"):format(prefix))
  assert(code == 0, text)
  code, text = t.shell(cc:format(work, prefix, "static", "--static --cflags --libs"))
  assert(code == 0, text)
end


local function check_example(work)
  local want = absolute_map(work .. "/a picture.png")
  local run = "cd '%s' && OPENBLAS_NUM_THREADS=1 LD_LIBRARY_PATH=prefix/lib ./%s "
    .. "prefix/share/lunette/weights/glyphs.safetensors 'a picture.png' %s.png"
  for i, name in ipairs { "shared", "static" } do
    local code, text = t.shell(run:format(work, name, name))
    assert(code == 0, text)
    local image = lu.core.image.load(("%s/%s.png"):format(work, name))
    local s = (lu.core.image.to_planes { image } - want):abs():stats()
    -- a gradient of 0 lies between two levels: 127.5
    assert(s.max <= 1 and s.mean < 0.1, ("%d: %g, %g"):format(i, s.max, s.mean))
  end
  local _, text = t.shell(("cd '%s' && ./static none x.png y.png"):format(work))
  assert.matches("none", text)
end


describe("make install", function()
  it("puts everything where a stock Lua finds it, and takes it away again", function()
    local build = os.getenv "LUNETTE_BUILD"
    if not build or build:find "san" then
      return pending "make install: done by the release build alone"
    end
    build = build:gsub("^" .. t.root():gsub("%p", "%%%0") .. "/", "")
    -- a relative place, by somebody who lets nobody else read what he makes
    local prefix = folder .. "/a pre&fix"
    local make = ("umask 077; make -s BUILD='%s' PREFIX=\"$(realpath -m "
      .. "--relative-to=. '%s')\" "):format(build, prefix)
    local code, text = t.shell(make .. "install")
    assert(code == 0, text)
    local closed = "! -perm -o=r -o -type d ! -perm -o=x"
    code, text = t.shell(("find '%s' %s"):format(prefix, closed))
    assert.same({ 0, "" }, { code, text })
    local bare = "unset LUA_PATH_5_4 LUA_CPATH_5_4 LUNETTE_BUILD; "
    local program = ("%s cd '%s' && '%s/bin/lunette' "):format(bare, folder, prefix)
    code, text = t.shell(program .. "--version")
    assert(code == 0, text)
    code, text = t.shell(program .. "explain 'a picture.png' --model tiny.safetensors "
                         .. "-o installed/")
    assert(code == 0, text)
    assert.is_true(t.exists(folder .. "/installed/a_picture_gradcam.png"))
    code, text = t.shell(program .. "-e 'lu.labels.name(8)'")
    assert.equal(0, code)
    assert.equal("hen\n", text)
    code, text = t.shell(bare .. ([[cd '%s' && LUA_PATH='%s/share/lua/5.4/?.lua;]]
      .. [[%s/share/lua/5.4/?/init.lua;;' LUA_CPATH='%s/lib/lua/5.4/?.so;;' ]]
      .. [[lua5.4 -e 'print(require "lunette".zeros(1))']]):format(folder, prefix,
      prefix, prefix))
    assert(code == 0, text)
    check_traps(prefix .. "/bin/lunette", trapped_folder(), { "summary glyphs" })
    build_example(folder, prefix)
    check_example(folder)
    code, text = t.shell(make .. "uninstall")
    assert(code == 0, text)
    code, text = t.shell(("find '%s' 2>/dev/null || true"):format(prefix))
    assert.equal(0, code)
    assert.equal("", text)
  end)
end)
