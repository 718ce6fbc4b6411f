-- Runs the examples FOLDER/1.lua, 2.lua ... in one process, each with globals of its
-- own and the session's commands; FOLDER/1.said ... then holds "ok" or the error.
--   lua5.4 lua/lunette/main.lua tests/lua/examples.lua FOLDER COUNT
local session = require "lunette.repl.session"
local folder, count = arg[1], tonumber(arg[2])


local function read(path)
  local f = io.open(path, "r")
  if not f then return nil end
  local text = f:read "a"
  f:close()
  return text
end


for i = 1, count do
  local code = read(("%s/%d.lua"):format(folder, i))
  if code then
    local env = setmetatable({}, { __index = _G })
    session.install(env)
    local chunk, message = load(code, "=example", "t", env)
    local ok = chunk ~= nil
    if ok then ok, message = xpcall(chunk, debug.traceback) end
    local f = assert(io.open(("%s/%d.said"):format(folder, i), "w"))
    f:write(ok and "ok" or tostring(message))
    f:close()
    collectgarbage()
  end
end
