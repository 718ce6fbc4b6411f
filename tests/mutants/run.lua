---`make mutants`: does any test notice when the program is changed? Picks single
---changes by chance, makes each in a copy of the tree, builds, and runs the tests that
---reach the changed line until one fails. Prints the survivors.
---
---  make mutants COUNT=60 SEED=1 FOLDER=engine/ops
---
---COUNT    changes in all, at least three a folder     SEED   which ones
---FOLDER   only there                                  GOAL   per cent to kill (92)
---ALL=1    C: every test, not those near the file      KEEP=1 measured reach is kept
---MUTANTS  where the copy is            WITHOUT  words of the tests that never run
---SHARED=0 as in a clone without the reference material
---
---tests/mutants/equivalent.txt names changes that change nothing.
local here = arg[0]:match "^(.*)/" or "."
package.path = here .. "/?.lua;" .. package.path
local scan = require "scan"
local lfs = require "lfs"

io.stdout:setvbuf "line"


local function env(name, default)
  local v = os.getenv(name)
  return v and v ~= "" and v or default
end

local root = lfs.currentdir()
local copy = env("MUTANTS", (os.getenv "TMPDIR" or "/tmp") .. "/lunette-mutants")
local count, seed = tonumber(env("COUNT", "60")), tonumber(env("SEED", "1"))
local folder, goal = env("FOLDER", ""), tonumber(env("GOAL", "92"))


-- other programs -------------------------------------------------------------------


local function quote(s) return "'" .. s:gsub("'", "'\\''") .. "'" end


local function read(path)
  local f = assert(io.open(path, "r"))
  local text = f:read "a"
  f:close()
  return text
end


local function spit(path, text)
  local f = assert(io.open(path, "w"))
  f:write(text)
  f:close()
end


local function lines_of(command)
  local list, pipe = {}, assert(io.popen(command))
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end


-- SHARED=0: as in a clone without the reference material
local shared = env("SHARED", "1") == "0" and "/nowhere"
  or env("LUNETTE_SHARED", root .. "/../shared")
local settings = ([[cd %s && rm -rf build/tmp && mkdir -p build/tmp &&
  export TMPDIR=$PWD/build/tmp OPENBLAS_NUM_THREADS=1
  export LUNETTE_BUILD=$PWD/build/release LUNETTE_SHARED=%s LUNETTE_MODELS=%s/models
  export LUA_PATH_5_4='lua/?.lua;lua/?/init.lua;;'
  export LUA_CPATH_5_4='build/release/?.so;;']])
  :format(quote(copy), quote(shared), quote(shared))
local temporary = "LUA_INIT_5_4=@$PWD/tests/lua/tmpname.lua "


---Runs a command in the copy; did it end well, and within so many seconds?
local function runs(command, seconds)
  local ok = os.execute(("%s; timeout -k 5 %d %s >/dev/null 2>&1 </dev/null"):format(
    settings, seconds, command))
  return ok == true
end


-- the copy and its tests -------------------------------------------------------------


-- with what is built, so that only changes are compiled; the program that has the
-- build folder's name in it is linked again
local function make_copy()
  assert(os.execute(([[mkdir -p %s/build
    git ls-files -z | xargs -0 cp -p --parents -t %s
    tar -c --exclude='*.safetensors' build/release | tar -x -C %s
    rm -f %s/build/release/test_embed]]):gsub("%%s",
    quote(copy))))
  print("building " .. copy)
  assert(runs("make -s all testbuild", 3600), "the copy does not build")
end


local function test_command(test)
  if test:find "%.lua$" then
    return "lua5.4 /usr/bin/busted --no-keep-going --output=tests/lua/output.lua "
      .. test
  end
  return "build/release/" .. test
end


local function sources()
  local list = {}
  for _, path in ipairs(lines_of "git ls-files engine lua/lunette") do
    local mine = path:find "%.[ch]$" or path:find "%.lua$"
    if mine and path:sub(1, #folder) == folder and not path:find "core%.meta%.lua$" then
      list[#list + 1] = path
    end
  end
  return list
end


---C tests and specs that meet a C file, by the folder it is in; then all others.
local near = {
  { "^engine/kernels/isa", { "test_isa" } },
  { "^engine/kernels/", { "test_isa", "test_pool", "test_dense", "test_kernels",
                         "threads" } },
  { "^engine/ops/relevance", { "modifier", "relevance" } },
  { "^engine/ops/", { "test_ops", "test_walk", "test_core", "tensor", "edges" } },
  { "^engine/picture/gif", { "test_gif" } },
  { "^engine/picture/palette", { "test_gif" } },
  { "^engine/picture/grey16", { "test_image", "report_spec" } },
  { "^engine/picture/", { "test_image", "test_resize", "image", "canvas", "colormap",
                          "edges" } },
  { "^engine/import/", { "test_import", "test_damage", "import", "models_get" } },
  { "^engine/bind/", { "parity", "tensor", "edges", "gradient", "modifier", "rule",
                       "coalitions", "image", "json", "npy", "run_spec", "repl",
                       "memory", "load" } },
  { "^engine/par", { "test_par", "test_ops_memory", "threads" } },
  { "^engine/safetensors", { "test_safetensors", "load", "edges" } },
  { "^engine/output", { "test_output", "files" } },
  { "^engine/optim", { "test_optim", "train" } },
  { "^engine/tape", { "test_walk", "test_core", "test_deferred", "rules_spec",
                      "edges" } },
  { "^engine/walk", { "test_walk", "test_core", "modifier", "gradient", "run_spec",
                      "rules_spec", "edges" } },
  { "^engine/deferred", { "test_deferred", "test_core", "test_walk", "joined" } },
  { "^engine/", { "test_core", "test_walk", "test_ops", "test_safetensors", "tensor",
                  "gradient", "run_spec", "edges", "modifier", "memory" } },
}


---Words of the names of tests to run; "" is in all of them.
local function words_for(file)
  local words = {}
  for _, row in ipairs(near) do
    if #words == 0 and file:find(row[1]) then words = { table.unpack(row[2]) } end
  end
  if env("ALL", "") ~= "" then words[#words + 1] = "" end
  return words
end


---Is one of these words in a name?
local function has_word(name, words)
  for _, word in ipairs(words) do
    if name:find(word, 1, true) then return true end
  end
  return false
end


---Is a test near one of the files that are changed?
local function is_near(name, files)
  for _, file in ipairs(files) do
    if file:find "%.lua$" or has_word(name, words_for(file)) then return true end
  end
  return false
end


---Every test but those that have a word of WITHOUT in their names; for the library's
---folders the specs, for C's the tests near them.
local function tests_of_copy()
  local list, without, files = {}, {}, sources()
  for word in env("WITHOUT", "glyphs_spec"):gmatch "%S+" do
    without[#without + 1] = word
  end
  local function wanted(name)
    if has_word(name, without) then return false end
    if folder:find "^lua/" then return name:find "%.lua$" ~= nil end
    return is_near(name, files)
  end
  for _, path in ipairs(lines_of(("cd %s && ls tests/c/test_*.c tests/lua/*_spec.lua")
                                 :format(quote(copy)))) do
    local name = path:match "^tests/c/(.*)%.c$" or path
    if wanted(name) then list[#list + 1] = name end
  end
  return list
end


---Runs a test of the unchanged copy: whether it passes, its seconds, and the functions
---of the library that it calls.
local function measure(test)
  local out = copy .. "/build/reach"
  assert(os.execute(("rm -rf %s && mkdir -p %s"):format(quote(out), quote(out))))
  local setting = temporary
  if test:find "%.lua$" and not folder:find "^engine" then
    setting = ("REACH=%s LUA_INIT_5_4=@%s "):format(quote(out),
      quote(root .. "/tests/mutants/reach.lua"))
  end
  local begun = os.time()
  local passes = runs("env " .. setting .. test_command(test), 1800)
  local seconds = os.time() - begun + 1
  local ranges = lines_of(("cat %s/* 2>/dev/null | sort -u"):format(quote(out)))
  return passes, seconds, ranges
end


---What an earlier run with KEEP=1 found: "test seconds" and "test path first last".
local function kept_reach(path, found)
  for line in io.lines(path) do
    local test, what = line:match "^(%S+) (.*)$"
    found[test] = found[test] or { ranges = {} }
    if tonumber(what) then
      found[test].seconds = tonumber(what)
    else
      table.insert(found[test].ranges, what)
    end
  end
end


---By test: its seconds, and the functions that it calls. A test that fails although
---nothing was changed would kill everything: it is left out, and named.
local function reach_of(tests)
  local found, kept = {}, copy .. "/build/reach.txt"
  if env("KEEP", "") ~= "" and lfs.attributes(kept) then
    kept_reach(kept, found)
  else
    os.remove(kept)
  end
  local f = assert(io.open(kept, "a"))
  for _, test in ipairs(tests) do
    if not found[test] then
      local passes, seconds, ranges = measure(test)
      if passes then
        found[test] = { seconds = seconds, ranges = ranges }
        f:write(test, " ", seconds, "\n")
        for _, r in ipairs(ranges) do f:write(test, " ", r, "\n") end
        f:flush()
      else
        print("left out, it fails unchanged: " .. test)
      end
    end
  end
  f:close()
  return found
end


---Is a line of a Lua file inside a function? (Files are formatted: what begins a line
---without blanks is on the top level.)
local function in_function(text, line)
  local at, inside = 0, false
  for s in text:gmatch "([^\n]*)\n?" do
    at = at + 1
    if s:find "^[%w_]" then inside = s:find "function" and not s:find "end%)?$" end
    if at == line then return inside ~= nil and inside ~= false end
    if s:find "^end" then inside = false end
  end
  return false
end


---Does a test call a function that has this line, or load the file whose top level has?
local function reaches(test, path, line, inside)
  for _, r in ipairs(test.ranges) do
    local file, first, last = r:match "^(%S+) (%d+) (%d+)$"
    if file == path then
      first, last = tonumber(first), tonumber(last)
      if first <= line and line <= last then return true end
      if first == 0 and not inside then return true end
    end
  end
  return false
end


local function near_c(file, tests)
  local list, taken = {}, {}
  for _, word in ipairs(words_for(file)) do
    for _, t in ipairs(tests) do
      if not taken[t] and t:find(word, 1, true) then
        taken[t] = true
        list[#list + 1] = t
      end
    end
  end
  return list
end


-- picking ----------------------------------------------------------------------------


local state = seed
local function random(n) -- the same picks everywhere
  state = (state * 6364136223846793005 + 1442695040888963407)
  return (state >> 33) % n + 1
end


local function folder_of(file)
  return file:match "^(lua/lunette/[%w_]+)/" or file:match "^(.*)/"
end


---All changes by folder.
local function pools()
  local by, names = {}, {}
  for _, path in ipairs(sources()) do
    local text = read(copy .. "/" .. path)
    for _, m in ipairs(scan.mutations(text, path:find "%.lua$" ~= nil)) do
      local name = folder_of(path)
      if not by[name] then
        by[name] = {}
        names[#names + 1] = name
      end
      m.path = path
      table.insert(by[name], m)
    end
  end
  return by, names
end


local function describe(m, text)
  local from = text:sub(1, m.from):match ".*\n()" or 1
  local to = text:find("\n", m.to, true) or #text + 1
  local old = text:sub(from, to - 1)
  local new = text:sub(from, m.from - 1) .. m.new .. text:sub(m.to + 1, to - 1)
  local function plain(s) return (s:gsub("%s+", " "):gsub("^ ", "")) end
  return ("%s: %s => %s"):format(m.path, plain(old), plain(new))
end


local function equivalents()
  local set = {}
  for line in read(here .. "/equivalent.txt"):gmatch "[^\n]+" do
    if not line:find "^#" then set[line] = true end
  end
  return set
end


-- one change -------------------------------------------------------------------------


local function tests_for(m, tests, found)
  if not m.path:find "%.lua$" then return near_c(m.path, tests) end
  local list, inside = {}, in_function(read(copy .. "/" .. m.path), m.line)
  for _, t in ipairs(tests) do
    if reaches(found[t], m.path, m.line, inside) then list[#list + 1] = t end
  end
  return list
end


local stale = false -- is the copy's build that of another change?

---Builds the copy with what these tests need; false: the change is no program.
local function builds(m, tests)
  if m.path:find "%.lua$" then
    if stale then assert(runs("make -s all testbuild", 1800)) end
    stale = false
    return runs("luac5.4 -p " .. m.path, 20)
  end
  local goals = { "all" }
  for _, t in ipairs(tests) do
    if not t:find "%.lua$" then goals[#goals + 1] = "build/release/" .. t end
  end
  stale = true
  return runs("make -s -j2 " .. table.concat(goals, " "), 1800)
end


---"killed" and by what, "survived", "no code" (does not build).
local function judge(m, all, found)
  local path = copy .. "/" .. m.path
  local text, tests = read(path), tests_for(m, all, found)
  local verdict, by = "survived", #tests == 0 and "no test reaches it" or "reached"
  spit(path, scan.apply(text, m))
  if not builds(m, tests) then verdict = "no code" end
  for _, test in ipairs(verdict == "survived" and tests or {}) do
    if not runs("env " .. temporary .. test_command(test),
                60 + 4 * found[test].seconds) then
      verdict, by = "killed", test
      break
    end
  end
  spit(path, text)
  return verdict, by
end


local function report(sums, survivors)
  local bad = false
  print(("\n%-28s %8s %8s %6s"):format("folder", "tried", "killed", "%"))
  local names = {}
  for name in pairs(sums) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local s = sums[name]
    local share = s.tried > 0 and 100 * s.killed / s.tried or 100
    bad = bad or share < goal
    print(("%-28s %8d %8d %6.1f"):format(name, s.tried, s.killed, share))
  end
  table.sort(survivors)
  print(#survivors > 0 and "\nsurvivors:" or "\nno survivors")
  for _, text in ipairs(survivors) do print("  " .. text) end
  return not bad
end


---Tries changes of one folder until `share` of them were judged.
local function try_folder(pool, share, known, judged)
  local s, survivors = { tried = 0, killed = 0 }, {}
  while s.tried < share and #pool > 0 do
    local m = table.remove(pool, random(#pool))
    local text = describe(m, read(copy .. "/" .. m.path))
    local verdict, how = "no code", nil
    if not known[text] then verdict, how = judged(m) end
    if verdict ~= "no code" then
      s.tried = s.tried + 1
      s.killed = s.killed + (verdict == "killed" and 1 or 0)
      if verdict == "survived" then survivors[#survivors + 1] = text end
      print(("%-9s %s  (line %d, %s)"):format(verdict, text, m.line, how))
    end
  end
  return s, survivors
end


local function main()
  make_copy()
  local by, names = pools()
  local known, all = equivalents(), 0
  print "what do the tests reach?"
  local tests = tests_of_copy()
  local found = reach_of(tests)
  for i = #tests, 1, -1 do
    if not found[tests[i]] then table.remove(tests, i) end
  end
  table.sort(tests, function(a, b) return found[a].seconds < found[b].seconds end)
  local sums, survivors = {}, {}
  for _, name in ipairs(names) do all = all + #by[name] end
  for _, name in ipairs(names) do
    local share = math.max(3, math.floor(count * #by[name] / all + 0.5))
    local list
    sums[name], list = try_folder(by[name], share, known, function(m)
      return judge(m, tests, found)
    end)
    table.move(list, 1, #list, #survivors + 1, survivors)
  end
  return report(sums, survivors)
end


os.exit(main())
