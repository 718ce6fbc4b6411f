---Which functions of the library a process calls: loaded by LUA_INIT where
---tests/mutants/run.lua asks which tests reach a line. Every process writes a file of
---its own into $REACH, "path first last" a line; "path 0 0" is a file that was loaded.
---(Calls, not lines: a hook for every line makes a spec twenty times slower.)
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
dofile(here .. "/../lua/tmpname.lua")
local folder = os.getenv "REACH"
if not folder then return end

local seen = {} -- source -> first line -> last line


local function on_call()
  local info = debug.getinfo(2, "S")
  local lines = seen[info.source]
  if not lines then
    lines = {}
    seen[info.source] = lines
  end
  lines[info.linedefined] = info.lastlinedefined
end


local function write()
  debug.sethook()
  local name = tostring({}):match "0x(%x+)" .. os.time() .. os.clock()
  local f = io.open(folder .. "/" .. name, "w")
  if not f then return end
  for source, lines in pairs(seen) do
    local path = source:match "^@.*(lua/lunette/.*)$"
    for first, last in pairs(path and lines or {}) do
      f:write(path, " ", first, " ", first == 0 and 0 or last, "\n")
    end
  end
  f:close()
end


-- luacheck: ignore 122
local create, exit = coroutine.create, os.exit

function coroutine.create(f)
  local co = create(f)
  debug.sethook(co, on_call, "c")
  return co
end


function coroutine.wrap(f)
  local co = coroutine.create(f)
  return function(...)
    local result = table.pack(coroutine.resume(co, ...))
    if not result[1] then error(result[2], 0) end
    return table.unpack(result, 2, result.n)
  end
end


function os.exit(...)
  write()
  exit(...)
end


-- the end of a process that does not call os.exit
_REACH = setmetatable({}, { __gc = write }) -- luacheck: ignore 111
debug.sethook(on_call, "c")
