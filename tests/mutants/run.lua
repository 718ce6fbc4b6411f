---`make mutants`: does any test notice when the program is changed? Picks single
---changes by chance, makes each in a copy of the tree, builds, and runs the tests that
---reach the changed line until one fails. Prints the survivors.
---
---  make mutants COUNT=60 SEED=1 FOLDER=engine/ops
---
---COUNT    changes in all, at least three a folder     SEED   which ones
---FOLDER   only there                                  GOAL   per cent to kill (92)
---ALL=1    C: every test, not those near the file      KEEP=1 measured reach is kept
---MUTANTS  where the copy is                           WITHOUT tests that never run
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


local settings = ("cd %s && export LUNETTE_BUILD=%s LUNETTE_SHARED=%s "
  .. "LUNETTE_MODELS=%s LUA_PATH_5_4='lua/?.lua;lua/?/init.lua;;' "
  .. "LUA_CPATH_5_4='build/release/?.so;;'"):format(quote(copy),
  quote(copy .. "/build/release"), quote(env("LUNETTE_SHARED", root .. "/../shared")),
  quote(env("LUNETTE_SHARED", root .. "/../shared") .. "/models"))


---Runs a command in the copy; did it end well, and within so many seconds?
local function runs(command, seconds)
  local ok = os.execute(("%s && timeout -k 5 %d %s >/dev/null 2>&1 </dev/null"):format(
    settings, seconds, command))
  return ok == true
end


-- the copy and its tests -------------------------------------------------------------


local function make_copy()
  assert(os.execute(("mkdir -p %s && git ls-files -z | xargs -0 cp --parents -t %s")
    :format(quote(copy), quote(copy))))
  print("building " .. copy)
  assert(runs("make -s all testbuild", 3600), "the copy does not build")
end


local function test_command(test)
  if test:find "%.lua$" then
    return "lua5.4 /usr/bin/busted --output=tests/lua/output.lua " .. test
  end
  return "build/release/" .. test
end


---Every test and how long it takes; those that fail unchanged are left out.
local function tests_of_copy()
  local list = {}
  for _, path in ipairs(lines_of(("cd %s && ls tests/c/test_*.c tests/lua/*_spec.lua")
                                 :format(quote(copy)))) do
    local name = path:match "^tests/c/(.*)%.c$" or path
    if not name:find(env("WITHOUT", "glyphs_spec")) then list[#list + 1] = name end
  end
  return list
end


---Runs a test of the unchanged copy: its seconds, and the lines of the library it ran.
local function measure(test, out, wants_lines)
  local hook = wants_lines and test:find "%.lua$"
    and ("REACH=%s LUA_INIT_5_4=%s "):format(quote(out),
        quote("@" .. root .. "/tests/mutants/reach.lua")) or ""
  assert(os.execute(("rm -rf %s && mkdir -p %s"):format(quote(out), quote(out))))
  local begun = os.time()
  runs("env " .. hook .. test_command(test), 1800)
  local lines = {}
  for _, line in ipairs(lines_of("cat " .. quote(out) .. "/* 2>/dev/null")) do
    lines[line] = true
  end
  return os.time() - begun + 1, lines
end


---What an earlier run found: "test seconds" and "test file:line" by line.
local function kept_reach(path, reached, seconds)
  for line in io.lines(path) do
    local test, what = line:match "^(%S+) (.*)$"
    reached[test] = reached[test] or {}
    if tonumber(what) then
      seconds[test] = tonumber(what)
    else
      reached[test][what] = true
    end
  end
end


---The lines of the library that each spec runs, and how long every test takes.
local function reach_of(tests, wants_lines)
  local reached, seconds = {}, {}
  local kept = copy .. "/build/reach.txt"
  if env("KEEP", "") ~= "" and lfs.attributes(kept) then
    kept_reach(kept, reached, seconds)
  else
    os.remove(kept)
  end
  local f = assert(io.open(kept, "a"))
  for _, test in ipairs(tests) do
    if not seconds[test] then
      seconds[test], reached[test] = measure(test, copy .. "/build/reach", wants_lines)
      f:write(test, " ", seconds[test], "\n")
      for line in pairs(reached[test]) do f:write(test, " ", line, "\n") end
    end
  end
  f:close()
  return reached, seconds
end


---C tests and specs that meet a C file, by the folder it is in; then all others.
local near = {
  { "^engine/kernels/isa", { "test_isa" } },
  { "^engine/kernels/", { "test_isa", "test_pool", "test_kernels", "threads" } },
  { "^engine/ops/relevance", { "modifier", "relevance" } },
  { "^engine/ops/", { "test_ops", "test_walk", "test_core", "tensor", "edges" } },
  { "^engine/picture/", { "test_image", "test_resize", "image", "canvas", "colormap",
                          "edges" } },
  { "^engine/import/", { "test_import", "import", "models_get" } },
  { "^engine/bind/", { "parity", "tensor", "edges", "gradient", "modifier", "image",
                       "json", "npy", "run_spec", "repl", "memory", "load" } },
  { "^engine/par", { "test_par", "test_ops_memory", "threads" } },
  { "^engine/safetensors", { "test_safetensors", "load", "edges" } },
  { "^engine/optim", { "test_optim", "train" } },
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


---All changes by folder.
local function pools()
  local by, names = {}, {}
  for _, path in ipairs(sources()) do
    local text = read(path)
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


local function tests_for(m, tests, reached)
  if not m.path:find "%.lua$" then return near_c(m.path, tests) end
  local list, key = {}, m.path .. ":" .. m.line
  for _, t in ipairs(tests) do
    if reached[t] and reached[t][key] then list[#list + 1] = t end
  end
  return list
end


---"killed" and by what, "survived", "no code" (does not build).
local function judge(m, tests, reached, seconds)
  local path = copy .. "/" .. m.path
  local text = read(path)
  spit(path, scan.apply(text, m))
  local verdict, by = "survived", "no test reaches it"
  if not m.path:find "%.lua$" and not runs("make -s all testbuild", 900) then
    verdict = "no code"
  elseif m.path:find "%.lua$" and not runs("luac5.4 -p " .. m.path, 20) then
    verdict = "no code"
  end
  for _, test in ipairs(verdict == "survived" and tests_for(m, tests, reached) or {}) do
    by = "reached"
    if not runs(test_command(test), 30 + 4 * seconds[test]) then
      verdict, by = "killed", test
      break
    end
  end
  spit(path, text)
  if not m.path:find "%.lua$" then runs("make -s all testbuild", 900) end
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
    local text = describe(m, read(m.path))
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
  local by, names = pools()
  local known, all = equivalents(), 0
  make_copy()
  local tests = tests_of_copy()
  print "what do the tests reach?"
  local reached, seconds = reach_of(tests, folder == "" or folder:find "^lua" ~= nil)
  table.sort(tests, function(a, b) return seconds[a] < seconds[b] end)
  local sums, survivors = {}, {}
  for _, name in ipairs(names) do all = all + #by[name] end
  for _, name in ipairs(names) do
    local share = math.max(3, math.floor(count * #by[name] / all + 0.5))
    local list
    sums[name], list = try_folder(by[name], share, known, function(m)
      return judge(m, tests, reached, seconds)
    end)
    table.move(list, 1, #list, #survivors + 1, survivors)
  end
  return report(sums, survivors)
end


os.exit(main())
