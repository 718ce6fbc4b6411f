-- Systems that fail: memory, disk, signals, limits, at this call or that one. Promised
-- is (docs/reliability.md): no signal ends the program that nobody sent, every failure
-- is said, every output is the old one or the whole new one, nothing is left beside it.
-- FAULTS=all tries many more places and says where it stands. Under a sanitizer, which
-- has the allocator, what is preloaded is left out, by name; the engine's own
-- allocations fail there, too.
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"

local root = t.root()
local build = os.getenv "LUNETTE_BUILD" or root .. "/build/release"
local sanitized = t.sanitized -- two allocators do not go together
local thorough = os.getenv "FAULTS" == "all"

local folder, done
local library, forget -- a copy: LD_PRELOAD ends a path at a blank
local struck          -- a file whose first byte is 1 once a call has failed
local terminal = thorough and io.open("/dev/fd/3", "w") -- see tests/run
local stands = { runs = 0, at = "" }


---Says now and then how many runs there were, and what is tried.
local function tell(what)
  stands.runs = stands.runs + 1
  if not terminal or what == stands.at and stands.runs % 20 ~= 0 then return end
  stands.at = what
  terminal:write(("faults_spec: run %d, %.0f s: %s\n"):format(stands.runs,
    os.time() - stands.begun, what))
  terminal:flush()
end


local function quote(s) return "'" .. s:gsub("'", "'\\''") .. "'" end


---Runs the program in the test's folder, under shell words that go before it.
---@return integer code, string said
local function lunette(words, before)
  return t.shell(("cd %s && export OPENBLAS_NUM_THREADS=1 LUNETTE_BUILD=%s "
    .. "LUA_PATH_5_4=%s LUA_CPATH_5_4=%s; %s lua5.4 %s %s"):format(
    quote(folder), quote(build),
    quote(root .. "/lua/?.lua;" .. root .. "/lua/?/init.lua;;"),
    quote(build .. "/?.so;;"), before or "", quote(root .. "/lua/lunette/main.lua"),
    words))
end


local function entries()
  local list = {}
  for name in require "lfs".dir(folder) do
    if name ~= "." and name ~= ".." and name ~= "in.png" then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end


local function clear()
  for _, name in ipairs(entries()) do os.remove(folder .. "/" .. name) end
end


-- What is run, and the files that it writes.
local commands = {
  explain = { words = "explain in.png --model glyphs -o out.png",
              out = { "out-gradcam_block5_relu3.npy", "out.json", "out.png" } },
  save = { words = "-e \"assert(lu.save(assert(lu.load 'glyphs'), 'w.safetensors'))\"",
           out = { "w.safetensors" } },
  import = { words = "import --force -o k.safetensors "
                     .. quote(root .. "/tests/data/import/keras.h5"),
             out = { "k.safetensors" } },
}

local whole = {} -- what is in each file after a good run


setup(function()
  folder, done = t.folder()
  library, forget = t.folder()
  struck = library .. "/struck"
  library = library .. "/fault.so"
  stands.begun = os.time()
  if t.exists(build .. "/fault.so") then
    t.spit(library, t.read(build .. "/fault.so"))
  end
  t.spit(folder .. "/in.png", core.image.new(40, 40):png())
  for _, c in pairs(commands) do
    local code, said = lunette(c.words)
    assert(code == 0, said)
    assert.same(c.out, entries())
    for _, name in ipairs(c.out) do whole[name] = t.read(folder .. "/" .. name) end
    clear()
  end
end)
teardown(function()
  done()
  forget()
end)
before_each(clear)


---Files of a command: all old, or all new and whole; nothing else.
---@param torn? boolean   some old and some new
local function check_files(c, what, torn)
  assert.same(c.out, entries(), what)
  local new = 0
  for _, name in ipairs(c.out) do
    local bytes = t.read(folder .. "/" .. name)
    if bytes ~= "old" then
      new = new + 1
      assert(#bytes == #whole[name] and (name:find "json$" or bytes == whole[name]),
             what .. ": half a file " .. name)
    end
  end
  assert(torn or new == 0 or new == #c.out, what .. ": half a set")
  return new > 0
end


---A run under a fault, with old files in place.
---@return integer code, string said, boolean struck   did a call fail?
---@param torn? boolean   may the set be one of old and new files?
local function run(c, fault, expected, torn)
  tell(c.words:match "%S+" .. " under " .. fault:match "^%a+")
  for _, name in ipairs(c.out) do t.spit(folder .. "/" .. name, "old") end
  os.remove(struck)
  local code, said = lunette(c.words, ("FAULT=%s FAULT_LOG=%s LD_PRELOAD=%s timeout 60")
    :format(fault, struck, library))
  local what = ("FAULT=%s, exit code %s, %s"):format(fault, code, said)
  if expected then
    assert(code == expected, what)
  else
    assert(code and code < 128, what)
    assert(code == 0 or #said > 0, "nothing was said: " .. what)
  end
  local new = check_files(c, what, torn)
  assert(new or code ~= 0, "a failure without a code: " .. what)
  clear()
  return code, said, t.exists(struck) and t.read(struck) == "\1"
end


---Runs with a fault (a format of the place) at places up to the last one, fewer and
---fewer: 8 up to 60000, or 130 and all of the first 10; none behind the last call that
---there is.
local function run_at_places(c, fault, last)
  local n = thorough and 1 or 3
  repeat
    local _, _, hit = run(c, fault:format(n))
    assert(hit or n > 1, "no such call: " .. fault)
    n = n + (thorough and math.max(1, n // 10) or 3 * n)
  until not hit or n > last
end


---The list, or in a short run every third entry of it.
local function some(list)
  if thorough then return list end
  local few = {}
  for i = 1, #list, 3 do few[#few + 1] = list[i] end
  return few
end


local function describe_faults(name, f)
  describe(name, function()
    for _, key in ipairs { "explain", "save", "import" } do
      it("in " .. key, function()
        if sanitized then return pending "a sanitizer has the allocator" end
        f(commands[key], key)
      end)
    end
  end)
end


describe_faults("no memory from some allocation on", function(c)
  run_at_places(c, "malloc:%d+", 60000)
end)

describe_faults("one allocation that fails", function(c)
  run_at_places(c, "malloc:%d", thorough and 20000 or 20)
end)

describe_faults("a full disk", function(c)
  for n = 1, thorough and 3 or 1 do
    local code, said = run(c, ("write:%d:ENOSPC"):format(n))
    if n == 1 then
      assert(code ~= 0)
      assert.matches("No space left", said)
    end
  end
end)

describe_faults("a disk that breaks", function(c)
  for _, fault in ipairs(some { "fsync:1:EIO", "write:1:EIO", "rename:1:EIO",
      "fsync:2:EIO", "rename:2.:EIO", "rename:3.:EIO", "link:1:EIO", "link:2:EDQUOT",
      "read:20:EIO", "read:1:EIO" }) do
    local code, said = run(c, fault)
    assert(code == 0 or said:find "error" or #said > 10)
  end
  -- it takes the first file of a set, and then nothing, not even that one's old self
  if thorough then
    local code = run(c, "rename:2:EIO", nil, true)
    assert(code ~= 0 or #c.out == 1)
  end
end)

describe_faults("calls that are interrupted, or do less than was asked", function(c)
  for _, fault in ipairs(some { "write:/2:EINTR", "write:/3:SHORT", "read:/2:EINTR",
                                "read:/3:SHORT" }) do
    run(c, fault, not fault:find "^read:.*EINTR" and 0 or nil)
  end
end)

describe_faults("no descriptors left", function(c)
  run_at_places(c, "open:%d:EMFILE", thorough and 400 or 24)
end)

describe("no descriptors for the reader", function()
  it("are no fault of the file", function()
    local code, said = lunette(commands.import.words, "ulimit -n 5;")
    assert.equal(70, code, said)
    assert.matches("cannot start '.*lunette%-import': Too many open files", said)
  end)
end)

describe_faults("no /proc", function(c) run(c, "proc:1:EACCES", 0) end)


describe("no system-call filters", function()
  it("are no reason to read a foreign file without them", function()
    if sanitized then return pending "the reader has none there" end
    local code, said = run(commands.import, "seccomp:1:ENOSYS")
    assert(code ~= 0)
    assert.matches("seccomp", said)
    run(commands.explain, "seccomp:1:ENOSYS", 0)
  end)
end)


describe("a process that is ended while it writes", function()
  for _, signal in ipairs(thorough and { "KILL", "TERM", "HUP", "INT", "PIPE" }
                          or { "KILL", "TERM" }) do
    it("by " .. signal .. " leaves old files, and at most what the next run removes",
       function()
      if sanitized then return pending "nothing is preloaded" end
      for key, c in pairs(commands) do
        for _, at in ipairs(some { "write:1", "fsync:1", "rename:2", "link:1",
                                   "rename:1", "write:2" }) do
          for _, name in ipairs(c.out) do t.spit(folder .. "/" .. name, "old") end
          local what = ("%s, %s:%s"):format(key, at, signal)
          tell(key .. " ended by " .. signal)
          lunette(c.words, ("FAULT=%s:%s LD_PRELOAD=%s"):format(at, signal, library))
          os.execute "sleep 0.01" -- a reader that outlived its caller ends now
          for _, name in ipairs(c.out) do
            local bytes = t.read(folder .. "/" .. name)
            assert(bytes == "old" or name:find "json$" or bytes == whole[name], what)
          end
          assert.equal(0, (lunette(c.words)), what)
          assert(check_files(c, what), what)
          clear()
        end
      end
    end)
  end
end)


describe("a pipe that nobody reads", function()
  it("is a failure, and files are whole or not there", function()
    for key, c in pairs(commands) do
      for _, name in ipairs(c.out) do t.spit(folder .. "/" .. name, "old") end
      -- the reader has gone before the first word is written
      local code, said = lunette(c.words .. "; echo $? >&3; } 3>code 2>&1 | true; "
        .. "cat code; rm code", "{ sleep 0.1;")
      assert.equal(0, code, said)
      check_files(c, key .. ": " .. said)
      clear()
    end
    local _, said = lunette("-e \"for i = 1, 1e5 do print(i) end\"; echo $? >&3; } "
      .. "3>code 2>&1 | true; cat code; rm code", "{ sleep 0.1;")
    assert.matches("^%d+%s*$", said)
    assert.not_equal(0, tonumber(said))
  end)
end)


describe("limits of the system", function()
  it("of address space are an error that says so, at any size", function()
    if sanitized then return pending "needs terabytes" end
    for _, kb in ipairs(some { 9000, 14000, 20000, 26000, 34000, 42000, 50000, 60000,
                               80000 }) do
      for key, c in pairs(commands) do
        tell(key .. " in little address space")
        local code, said = lunette(c.words, ("ulimit -v %d; timeout 60"):format(kb))
        local what = ("ulimit -v %d: exit code %s, %s"):format(kb, code, said)
        assert(code == 0 or code < 128 and code ~= 124 and #said > 0, what)
        if code == 0 then assert.same(c.out, entries(), what) end
        clear()
      end
    end
  end)

  it("of files are an error with the file's name", function()
    for key, c in pairs(commands) do
      if key ~= "import" then -- smaller than one block
        for _, name in ipairs(c.out) do t.spit(folder .. "/" .. name, "old") end
        local code, said = lunette(c.words, "ulimit -f 4;")
        if #whole[c.out[1]] > 4096 then
          assert(code ~= 0 and code < 128, said)
          assert.matches("File too large", said)
        end
        check_files(c, said)
        clear()
      end
    end
  end)

  it("of what is printed into a file, too", function()
    for _, words in ipairs { "--help", "-e 'for i = 1, 1e5 do print(i) end'", "metrics",
                             "-e 'for i = 1, 1e5 do io.write(i) end os.exit()'" } do
      local code, said = t.shell(("cd '%s' && { ulimit -f 1; '%s/lunette' %s >words; } "
        .. "2>&1"):format(folder, root, words))
      assert.equal(70, code, said)
      assert.matches("standard output: ", said)
      clear()
    end
  end)

  it("of processor time end a command as Ctrl-C does, and say so", function()
    local long = "explain in.png --model glyphs --method rise --masks-count 1000000 "
                 .. "-o out.png"
    for words, limit in pairs { ["-e 'while true do end'"] = "-t 1",
                                ["- <loop.lua"] = "-S -t 1", [long] = "-t 1",
                                ["<loop.lua"] = "-t 1" } do
      tell("a limit on processor time")
      t.spit(folder .. "/loop.lua", "while true do end print(1)")
      t.spit(folder .. "/out.png", "old")
      local code, said = lunette(words, ("ulimit %s; timeout 60"):format(limit))
      assert.equal(152, code, words .. ": " .. said)
      assert.matches("lunette: the limit on processor time %(ulimit %-t%) is reached\n",
                     said)
      assert.equal("old", t.read(folder .. "/out.png"))
      assert.same({ "loop.lua", "out.png" }, entries())
      clear()
    end
  end)

  it("of processor time ask nothing of a state that catches no more", function()
    local code, said = lunette(([[-e 'local core = require "lunette".core;
      core.catch_signals "commands"; while not core.stop_asked() do end;
      core.catch_signals(false); print(core.protect(print))']]), "ulimit -S -t 1;")
    assert.equal(0, code, said)
  end)

  it("of processor time are no fault of a large file", function()
    t.shell(("truncate -s 40G '%s/large'"):format(folder)) -- which has no blocks
    local code, said = t.shell(("ulimit -t 1; timeout 60 '%s/lunette-import' digest "
      .. "sha256 '%s/large'"):format(build, folder))
    assert.equal(70, code)
    assert.matches("needs more processor time than is allowed here %(ulimit %-t%)",
                   said)
    clear()
  end)
end)


describe("two writers of one file", function()
  it("leave one whole file", function()
    for _, key in ipairs { "save", "import", "explain" } do
      local c = commands[key]
      local program = "lua5.4 " .. quote(root .. "/lua/lunette/main.lua")
      lunette(c.words .. " & " .. (program .. " " .. c.words .. " & "):rep(2) .. "wait")
      assert(check_files(c, key))
      clear()
    end
  end)
end)


describe("a home that cannot be written", function()
  it("is no reason to fail, or is said", function()
    for _, home in ipairs { "/proc/nowhere", "", "relative" } do
      local before = ("HOME='%s' XDG_DATA_HOME= XDG_STATE_HOME= XDG_CONFIG_HOME=")
        :format(home)
      assert.equal(0, (lunette("summary glyphs", before)))
      assert.equal(0, (lunette("-i </dev/null", before)))
      local code, said = lunette("models get alexnet", before .. " PATH=/usr/bin:/bin "
        .. "LUNETTE_MIRROR=http://127.0.0.1:9")
      assert(code ~= 0 and code < 128 and #said > 10, said)
      clear()
    end
  end)
end)


describe("every allocation of the engine", function()
  ---f with the nth allocation failing, n = 1, 2 ... until none does.
  local function at_every_n(f)
    local n, failed = 0, 0
    repeat
      n = n + 1
      core.fail_at(n)
      local ok, value, message = pcall(f)
      local left = core.fail_at(0)
      if not ok then
        failed = failed + 1
        assert.is_string(value)
      elseif value == nil and message then
        failed = failed + 1
        assert.is_string(message)
      end
      collectgarbage()
    until left > 0 or n > 4000
    return failed, n
  end

  it("may fail in the binding: an error, and all is well after it", function()
    local lu = require "lunette"
    local net = t.net(1)
    local x = t.input(net)
    local picture = core.image.new(9, 7)
    local before = net:run(x):probabilities():bytes()
    local path = folder .. "/n.safetensors"
    for what, f in pairs {
      run = function() return net:run(x):release() or true end,
      gradient = function() return net:run(x):gradient { score = 1 } end,
      gradcam = function() return lu.gradcam(net, x, { classes = 1 }) end,
      resize = function() return picture:resize(5, 5, "lanczos") end,
      png = function() return picture:png() end,
      encode = function() return picture:encode "jpg" end,
      planes = function() return core.image.to_planes { picture } end,
      save = function() return lu.save(net, path) end,
      load = function() return lu.load(path) end,
      canvas = function()
        return lu.canvas { title = "t" }:row("r", core.range(1, 16):view(4, 4)):render()
      end,
    } do
      local failed, n = at_every_n(f)
      -- Lua may collect and try again: then nothing fails, and all is well, too
      assert(n > 1 and n < 4000, ("%s: %d of %d"):format(what, failed, n))
      assert.equal(before, net:run(x):probabilities():bytes())
    end
    clear()
  end)
end)
