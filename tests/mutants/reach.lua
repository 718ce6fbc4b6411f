---Which lines of the library a process runs: loaded by LUA_INIT where tests/mutants.lua
---asks which tests reach a line. Every process writes a file of its own into $REACH.
local folder = os.getenv "REACH"
if not folder then return end

local seen = {} -- source -> line -> true


local function on_line(_, line)
  local source = debug.getinfo(2, "S").source
  local lines = seen[source]
  if not lines then
    lines = {}
    seen[source] = lines
  end
  lines[line] = true
end


local function write()
  debug.sethook()
  local name = os.tmpname()
  os.remove(name)
  local f = io.open(folder .. "/" .. name:match "[^/]*$", "w")
  if not f then return end
  for source, lines in pairs(seen) do
    local path = source:match "^@.*(lua/lunette/.*)$"
    for line in pairs(path and lines or {}) do f:write(path, ":", line, "\n") end
  end
  f:close()
end


-- luacheck: ignore 122
local create, exit = coroutine.create, os.exit

function coroutine.create(f)
  local co = create(f)
  debug.sethook(co, on_line, "l")
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
debug.sethook(on_line, "l")
