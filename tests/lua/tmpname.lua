---Loaded by LUA_INIT in the tests' processes: os.tmpname makes its files in $TMPDIR,
---where tests/run looks at the end whether any are left.
local tmpname, folder = os.tmpname, os.getenv "TMPDIR"
if not folder then return end


-- luacheck: ignore 122
function os.tmpname()
  local unique = tmpname()
  local path = folder .. "/" .. unique:match "[^/]*$"
  os.remove(unique)
  local f = io.open(path, "w")
  if not f then error("unable to generate a unique filename in " .. folder, 2) end
  f:close()
  return path
end
