-- The REPL, driven in a terminal as a person would.
local core = require "lunette.core"
local lfs = require "lfs"
local terminal = require "tests.lua.terminal"
local sanitized = dofile "tests/lua/support.lua".sanitized

local quote = terminal.quote

-- What the sessions start with: a small network with the names of a large one.
local startup = [[
local lu = require "lunette"
net = lu.net {
  name = "toy", input = { 3, 16, 16 }, labels = { "tabby", "tiger cat", "hen" },
  layers = {
    { "block4_conv1", "conv2d", filters = 4, kernel = 3, padding = 1 },
    { "block4_relu1", "relu" },
    { "block5_conv1", "conv2d", filters = 4, kernel = 3, padding = 1,
      aliases = { "features.2" } },
    { "block5_relu1", "relu" },
    { "block5_conv2", "conv2d", filters = 4, kernel = 3, padding = 1 },
    { "block5_relu2", "relu" },
    { "block5_pool", "max_pool2d", kernel = 2 },
    { "odd.name", "dropout" }, { "flatten", "flatten" },
    { "predictions", "linear", units = 3 },
    { "softmax", "softmax" },
  },
}:init(1)
run = net:run(lu.core.uniform(1, 1, 2, 3, 16, 16))
started = "init.lua was read"
evil = setmetatable({}, { __index = function() touched = true end })
]]

local home, done = terminal.folder()
teardown(done)
local env = { HOME = home, XDG_STATE_HOME = home .. "/state", TERM = "screen-256color",
              XDG_CONFIG_HOME = home .. "/config" }
lfs.mkdir(home .. "/config")
lfs.mkdir(home .. "/config/lunette")
do
  local f = assert(io.open(home .. "/config/lunette/init.lua", "w"))
  f:write(startup)
  f:close()
end


local function with(more)
  local all = {}
  for key, value in pairs(env) do all[key] = value end
  for key, value in pairs(more or {}) do all[key] = value end
  return all
end


---Runs the program on a pipe.
local function filter(input, args, more)
  local file = home .. "/input"
  local f = assert(io.open(file, "w"))
  f:write(input)
  f:close()
  local list = {}
  for key, value in pairs(with(more)) do
    list[#list + 1] = key .. "=" .. quote(value)
  end
  return terminal.shell(("env %s %s %s < %s 2>%s/errors"):format(
    table.concat(list, " "), terminal.program, args or "", file, home))
end


local function errors()
  local f = assert(io.open(home .. "/errors"))
  local text = f:read "a"
  f:close()
  return text
end


describe("the REPL on a pipe", function()
  it("prints expressions, keeps what `;` silences, and writes nothing else", function()
    local code, text = filter "1 + 1\nx = 5\nx * 2;\n_\n_2\n"
    assert.equal("2\n10\n2\n", text)
    assert.equal(0, code)
    assert.equal("", errors())
  end)

  it("reads statements of several lines, and keeps their locals", function()
    local _, text = filter "for i = 1, 2 do\nprint(i)\nend\nlocal q = 7\nq\n"
    assert.equal("1\n2\n7\n", text)
  end)

  it("reports errors on stderr, goes on, and ends with 1", function()
    local code, text = filter "error 'boom'\n2\n"
    assert.equal("2\n", text)
    assert.equal(1, code)
    assert.equal("lunette: boom\n", errors())
  end)

  it("draws nothing, whatever the terminal would be", function()
    local _, text = filter("show(lu.core.uniform(1, 1, 8, 8))\n", "",
                           { TERM = "xterm-kitty", LUNETTE_GRAPHICS = "kitty" })
    assert.truthy(text:find "not drawn")
    assert.falsy(text:find "\27")
  end)

  it("writes pictures to files: channels, maps, lists of them", function()
    local path = home .. "/shown.png"
    for _, what in ipairs { "lu.core.uniform(1, 1, 1, 5, 8, 8)", "lu.zeros(2, 8, 8)",
                            "lu.core.uniform(1, 1, 8, 8) - 0.5",
                            "lu.core.uniform(1, 1, 3, 8, 8) * 255",
                            "{ lu.uniform(8, 8), lu.uniform(9, 7) }" } do
      os.remove(path)
      local code = filter(("show(%s, '%s')\n"):format(what, path))
      assert.equal(0, code, what)
      local image = assert(core.image.load(path), what)
      assert.is_true((image:size()) >= 8)
    end
  end)

  it("says what cannot be drawn", function()
    filter "show(lu.zeros(2, 2, 2, 2, 2))\n"
    assert.truthy(errors():find "5 dimensions")
    filter "show(42)\n"
    assert.truthy(errors():find "cannot draw 42")
  end)

  it("does not read the start-up file", function()
    local _, text = filter "started == nil\n"
    assert.equal("true\n", text)
  end)

  it("runs a script and keeps its local variables with -i", function()
    local path = home .. "/script.lua"
    local f = assert(io.open(path, "w"))
    f:write "#!/usr/bin/env lunette\nlocal a, b = 40, ...\n"
    f:close()
    local _, text = filter("a + b\n", "-i " .. path .. " 2")
    assert.equal("42\n", text)
  end)
end)


describe("the REPL in a terminal", function()
  if not terminal.available() then
    pending "needs tmux"
    return
  end

  local t

  setup(function()
    t = terminal.open(env)
    t:wait ">$"
  end)

  teardown(function() t:close() end)

  -- an empty line on an empty screen: what the last test typed is not this one's
  local function clean()
    t:key "C-u"
    t:key "C-l"
  end

  before_each(clean)

  local function completed(typed, pattern)
    clean()
    t:type(typed)
    t:key "Tab"
    return t:wait(pattern, 5)
  end

  it("reads the start-up file", function() t:run("started", "init.lua was read") end)

  it("lists layers after a dot", function()
    local screen = completed("net.block5_", "block5_pool")
    assert.truthy(screen:find("block5_conv1%s+block5_conv2"))
  end)

  it("completes the only layer that fits", function()
    completed("net.block5_p", "> net%.block5_pool")
  end)

  it("completes layers of a run, in brackets and in strings", function()
    completed('run["block5_po', 'run%["block5_pool"')
    completed('run.block5_po', 'run%.block5_pool')
    completed('net:layer "features.', 'net:layer "features%.2"')
    completed('lu.gradcam(run, { layer = "block5_po', 'layer = "block5_pool"')
  end)

  it("writes layers that are no words in brackets", function()
    completed("net.od", 'net%["odd%.name"%]')
  end)

  it("completes methods after a colon", function()
    completed("net:last_c", "net:last_conv")
    completed("run.block5_pool:narr", ":narrow")
    completed("run.block5_pool:st", "stats%s+std") -- also those loaded when used
    completed("run.block5_pool:cumsu", ":cumsum")
  end)

  it("completes option keys of the function that is being called", function()
    completed("lu.saliency(run, { smooth_n", "{ smooth_noise =")
    completed("run:gradient { wr", "run:gradient { wrt =")
  end)

  it("completes class names where a class is due", function()
    completed('lu.gradcam(run, { score = "tab', 'score = "tabby"')
    completed('lu.score.categorical("tiger', '%("tiger cat"')
  end)

  it("completes modifiers and file names", function()
    completed('lu.saliency(run, { modifiers = { "gui', '{ "guided"')
    completed('lu.load "./luane', "> lu.load")
    completed('lu.load "./lua/lunette/ma', '"./lua/lunette/main.lua"')
  end)

  it("completes globals, keywords and fields of the library", function()
    completed("star", "> started")
    completed("lu.gradc", "lu%.gradcam")
    completed("lu.score.categ", "lu%.score%.categorical")
  end)

  it("never runs the user's code to complete", function()
    t:key "C-u"
    t:type "evil.x"
    t:key "Tab"
    t:type "yz.a"
    t:key "Tab"
    clean()
    t:run("touched == nil", "\ntrue")
  end)

  it("reads input of several lines", function()
    t:tmux "send-keys C-l"
    t:enter "function twice(x)"
    t:wait ">>$"
    t:enter "  return 2 * x"
    t:enter "end"
    t:run("twice(21)", "\n42")
  end)

  it("keeps results", function()
    t:run("100 + 1", "\n101")
    t:run("200 + 2", "\n202")
    t:run("_ + _2", "\n303")
    t:run("_1 + 1;", ">$")
    t:run("_ * 2", "\n608")
  end)

  it("prints tensors, layers, networks and runs", function()
    local screen = t:run("run.block5_pool", "Tensor %(2, 4, 8, 8%)")
    assert.truthy(screen:find "mean")
    screen = t:run("net.block5_conv1", "features%.2")
    assert.truthy(screen:find "conv2d %-> %(4, 16, 16%)")
    assert.truthy(screen:find "weight %(4, 4, 3, 3%)%s+144 values")
    t:run("net", "Total params")
    t:run("run", "hen")
  end)

  it("prints cycles, depth and control characters safely", function()
    t:run("a = { 1, 'x\\27[31my' } a.self = a a.deep = {{{{{}}}}}", ">$")
    local screen = t:run("a", "again")
    assert.truthy(screen:find("x\\27[31my", 1, true))
    t:run("setmetatable({}, { __tostring = function() error 'no' end })",
          "__tostring fails")
  end)

  it("names layer and line when a modifier fails, and goes on", function()
    t:tmux "send-keys C-l"
    t:enter "bad = lu.modifier { name = 'bad', on = 'relu',"
    t:enter "  backward = function(node, dy)"
    t:enter "    return dy:nope()"
    t:enter "  end }"
    t:wait ">$"
    local screen = t:run("lu.saliency(run, { modifiers = { bad } })", "nope%(%)")
    assert.truthy(screen:find("modifier 'bad' at layer 'block5_relu2'", 1, true))
    assert.truthy(screen:find("3 |     return dy:nope()", 1, true))
    t:run("bad = lu.modifier { name = 'bad', on = 'relu', backward = "
          .. "function(_, dy) return dy end }", ">$")
    t:run("lu.saliency(run, { modifiers = { bad } })", "Tensor %(2, 16, 16%)")
  end)

  it("helps", function()
    t:run("help 'gradcam'", "as coarse as the layer")
    t:run("help(lu.saliency)", "smooth_samples")
    t:run("help(net.block5_pool)", "max_pool2d")
    t:run("?guided", "Springenberg")
    t:run("apropos 'cam'", "lu%.gradcam")
    t:run("help 'gradcm'", "did you mean 'gradcam'")
  end)

  it("reports a run layer by layer, and compares two", function()
    local screen = t:run("run:stats()", "zeros")
    assert.truthy(screen:find "block5_conv1%s+conv2d %+ relu")
    t:run("run:compare(net:run(lu.core.uniform(2, 1, 2, 3, 16, 16)))", "distance")
  end)

  it("draws channels with half blocks in tmux", function()
    local program = terminal.open(with { LUNETTE_GRAPHICS = "256" })
    program:wait ">$"
    program:run("show(run.block5_conv1)", "4 channels")
    assert.truthy(program:screen("-e"):find("48;5;", 1, true))
    program:close()
  end)

  it("clears a line on Ctrl-C, and says how to leave", function()
    t:type "some text"
    t:wait "some text"
    t:key "C-c"
    t:wait "some text%^C\n>$"
    t:run("3 + 4", "\n7")
  end)

  -- The bound is the issue's 0.2 s, with room for a busy machine and for tmux.
  it("stops a computation on Ctrl-C and gives its memory back", function()
    -- its classes are not to be completed later
    finally(function() t:enter "big = nil" end)
    t:run("big = lu.net(lu.models.squeezenet1_0()):init(1)", ">$", 20)
    local _, echo = t:run("20 + 2", "\n22") -- what this machine takes for nothing
    t:run("collectgarbage() collectgarbage() before = lu.memory().live", ">$")
    t:enter("for i = 1, 1000 do big:run(lu.zeros(64, 3, 227, 227), "
            .. "{ keep = false }) end")
    os.execute "sleep 1.2"
    t:key "C-c"
    local _, seconds = t:wait("interrupted", 10)
    local most = (sanitized and 10 or 1) + 4 * echo
    assert.is_true(seconds < most, ("took %g of %g s"):format(seconds, most))
    t:run("lu.memory().live - before < 2^16", "\ntrue")
  end)

  it("stops what catches its own errors, and coroutines", function()
    for _, code in ipairs { "while true do pcall(function() while true do end end) end",
                            "coroutine.wrap(function() while true do end end)()" } do
      t:tmux "send-keys C-l"
      t:enter(code)
      os.execute "sleep 0.3"
      t:key "C-c"
      t:wait("interrupted\n>$", 5)
      t:run("1 + 1", "\n2")
    end
  end)

  it("says what a slow command cost", function()
    t:run("s = lu.core.clock() while lu.core.clock() - s < 0.6 do end",
          "%d%.%d+ s, peak")
  end)

  it("follows a change of the window's size", function()
    t:resize(40, 20)
    os.execute "sleep 0.2"
    t:run("lu.core.term_size(1)", "\n40\n20")
    local screen = completed("net.bl", "net%.block")
    assert.truthy(screen)
    t:key "Tab"
    screen = t:wait "block5_relu2"
    for line in screen:gmatch "[^\n]+" do assert.is_true(#line <= 40) end
    t:key "C-u"
    t:resize(100, 40)
  end)

  it("keeps its history in a file that only its owner reads", function()
    local path = home .. "/state/lunette/history"
    assert.equal("rw-------", lfs.attributes(path, "permissions"))
    t:key "C-u"
    t:run("'mark' .. 'er'", "\n\"marker\"")
    local other = terminal.open(env)
    other:wait ">$"
    other:key "Up"
    other:wait "> 'mark' .. 'er'$"
    other:key "Enter"
    other:wait '\n"marker"'
    other:close()
  end)

  ---Presses Ctrl-C until the program is left: at the second, where two seconds are
  ---long enough for this machine.
  local function leave(program)
    for _ = 1, 10 do
      program:key "C-c"
      program:key "C-c"
      if pcall(program.wait, program, "LEFT 130", 2) then return end
    end
    program:wait "LEFT 130"
  end

  it("leaves on a second Ctrl-C within two seconds, and on Ctrl-D", function()
    local other = terminal.open(env)
    other:wait ">$"
    other:key "C-c"
    local screen = other:wait "again"
    assert.falsy(screen:find "LEFT")
    leave(other)
    other:close()
    other = terminal.open(env)
    other:wait ">$"
    other:enter "while true do end"
    os.execute "sleep 0.3"
    other:key "C-c"
    other:wait "interrupted"
    leave(other)
    other:close()
    other = terminal.open(env)
    other:wait ">$"
    other:key "C-d"
    other:wait "LEFT 0"
    other:close()
  end)
end)


describe("terminals", function()
  ---What the program writes to a terminal of that kind, every byte.
  local function written(code, more)
    local list = { "env -u TMUX -u STY -u COLORTERM -u NO_COLOR -u LUNETTE_GRAPHICS" }
    more = with(more)
    if more.TERM == env.TERM then more.TERM = "xterm" end
    for key, value in pairs(more) do
      list[#list + 1] = key .. "=" .. quote(value)
    end
    local command = table.concat(list, " ") .. " " .. terminal.program .. " -e "
      .. quote(code)
    local _, text = terminal.shell(("script -qec %s /dev/null </dev/null"):format(
      quote(command)))
    return text
  end

  local map = "lu.show(lu.core.uniform(1, 1, 8, 8))"

  it("get what they can draw", function()
    for _, pair in ipairs { { { TERM = "xterm-kitty" }, "\27_Ga=T,f=100" },
                            { { TERM_PROGRAM = "iTerm.app" }, "\27]1337;File=" },
                            { { LUNETTE_GRAPHICS = "sixel" }, '\27Pq"1;1;' },
                            { { LUNETTE_GRAPHICS = "blocks" }, "\27[38;2;" },
                            { { LUNETTE_GRAPHICS = "256" }, "\27[38;5;" } } do
      assert.truthy(written(map, pair[1]):find(pair[2], 1, true), pair[2])
    end
  end)

  it("are asked, and get sixels when they say so", function()
    if terminal.shell "command -v python3 >/dev/null" ~= 0 then
      return pending "needs python3"
    end
    local function told(answer)
      local _, text = terminal.shell(("env -u TMUX -u STY -u TERM_PROGRAM -u COLORTERM "
        .. "-u NO_COLOR -u LUNETTE_GRAPHICS TERM=xterm-256color python3 "
        .. "tests/data/terminal.py '%s' %s -e %s"):format(answer, terminal.program,
        quote(map)))
      return text
    end
    assert.truthy(told("62;4;22"):find "\27P[%d;]*q")
    assert.falsy(told("62;22"):find "\27P[%d;]*q")
    assert.truthy(told("62;22"):find("\27[", 1, true))
    assert.truthy(told("-"):find("[34]8;5;%d+"))
  end)

  it("get no escape when dumb, without colour, or switched off", function()
    for _, more in ipairs { { TERM = "dumb" }, { NO_COLOR = "1" },
                            { LUNETTE_GRAPHICS = "off" } } do
      local text = written(map, more)
      assert.falsy(text:find "\27", text)
      assert.is_true(#text > 20)
    end
  end)

  it("show progress of long work, which a pipe does not", function()
    local code = [[local p = lu.progress("counting", 15)
      for i = 1, 15 do
        local s = lu.core.clock() while lu.core.clock() - s < 0.1 do end
        p:add(1)
      end
      p:done()]]
    assert.truthy(written(code):find "counting %[#+%.*%] +%d+ %%  %d+:%d%d left")
    local _, text = terminal.shell(terminal.program .. " -e " .. quote(code) .. " 2>&1")
    assert.equal("", text)
  end)
end)


describe("the start", function()
  it("loads no network, picture or method", function()
    local _, text = filter [[
      for _, name in ipairs { "net", "run", "canvas", "image" } do
        if package.loaded["lunette." .. name] then print(name) end
      end
      print "done"
]]
    assert.equal("done\n", text)
  end)

  it("loads line editing only for a terminal", function()
    local _, text = filter "package.loaded['lunette.readline'] == nil\n"
    assert.equal("true\n", text)
  end)
end)
