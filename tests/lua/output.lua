-- A busted output handler: failures and skips by name, then one line with counts of
-- tests. Where a set-up fails, or a file cannot be read, busted runs none of the tests
-- behind it; they count as failed: as many as tests/counts.txt knows and did not run.
-- Where a whole block is skipped, they count as skipped.
-- With TIMES=1 in the environment, tests of 0.3 seconds of processor time and more
-- (their own and that of the programs that they start) print it.


local getfenv = require "busted.compatibility".getfenv


---How many tests that file had, at least.
local function floor_of(file)
  local f = io.open("tests/counts.txt", "r")
  local text = f and f:read "a" or ""
  if f then f:close() end
  for name, n in text:gmatch "([^\n ]+) (%d+)" do
    if name == file then return math.tointeger(tonumber(n)) end
  end
  return 0
end


local function print_failure(f)
  print(("FAILED %s\n  %s"):format(f.name or "?", tostring(f.message)))
  if type(f.trace) == "table" and f.trace.traceback then
    print((f.trace.traceback:gsub("\n", "\n  "):sub(1, 1200)))
  end
end


local function skipped_a_block(pendings)
  for _, p in ipairs(pendings) do
    if p.element.descriptor ~= "it" then return true end
  end
  return false
end


---What this process and those that it has waited for took of a processor: fields 14 to
---17 of proc(5)'s stat, in ticks of 10 ms.
local function processor_seconds()
  local f = io.open("/proc/self/stat", "r")
  local text = f and f:read "a" or ""
  if f then f:close() end
  local ticks, at = 0, 2
  for field in text:gsub("^.*%)", ""):gmatch "%S+" do
    at = at + 1
    if at >= 14 and at <= 17 then ticks = ticks + tonumber(field) end
  end
  return ticks / 100
end


local same_everywhere = { "assert", "collectgarbage", "coroutine", "debug", "dofile",
  "error", "getmetatable", "io", "ipairs", "load", "math", "next", "os", "pairs",
  "pcall", "print", "rawequal", "rawget", "rawlen", "rawset", "require", "select",
  "setmetatable", "string", "table", "tonumber", "tostring", "type", "utf8", "xpcall" }


---Busted looks every global of a spec up through all blocks around the running test, at
---each use: where a spec computes, that was most of its time. What Lua and luassert
---give is the same in every block, and is put into the table that is asked first.
local function found_at_once(element)
  local run = element.run
  local env = getfenv((debug.getmetatable(run) or {}).__call or run)
  if env == _G then return nil, true end
  for _, name in ipairs(same_everywhere) do rawset(env, name, env[name]) end
  return nil, true
end


return function()
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base" ()
  local seconds = os.clock()
  local outside = false

  handler.broken = function(element)
    outside = outside or element.descriptor ~= "it"
    return nil, true
  end


  handler.suiteEnd = function()
    local file = arg and arg[#arg] or ""
    local failed = handler.failuresCount + handler.errorsCount
    local seen = handler.successesCount + failed + handler.pendingsCount
    local unseen = math.max(0, floor_of(file) - seen)
    local missing = outside and unseen or 0
    local skipped = handler.pendingsCount
    if skipped_a_block(handler.pendings) then skipped = skipped + unseen - missing end
    for _, list in ipairs { handler.failures, handler.errors } do
      for _, f in ipairs(list) do print_failure(f) end
    end
    for _, p in ipairs(handler.pendings) do
      print(("skipped: %s %s"):format(p.name or "?", tostring(p.message or "")))
    end
    if missing > 0 then print(("and %d tests behind that"):format(missing)) end
    print(("%-40s %d passed, %d failed, %d skipped  (%.1f s)"):format(file,
      handler.successesCount, failed + missing, skipped,
      os.clock() - seconds))
    return nil, true
  end

  local begun = 0

  local function note_time()
    begun = processor_seconds()
    return nil, true
  end

  local function print_time(element)
    local took = processor_seconds() - begun
    local name = handler.getFullName(element)
    if took >= 0.3 then print(("%7.2f s  %s"):format(took, name)) end
    return nil, true
  end

  if os.getenv "TIMES" then
    busted.subscribe({ "test", "start" }, note_time)
    busted.subscribe({ "test", "end" }, print_time)
  end
  busted.subscribe({ "file", "start" }, found_at_once)
  busted.subscribe({ "suite", "end" }, handler.suiteEnd)
  busted.subscribe({ "error" }, handler.broken)
  busted.subscribe({ "failure" }, handler.broken)
  return handler
end
