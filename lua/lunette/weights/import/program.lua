---The program lunette-import, which reads other people's files in a confined
---process (engine/import/): how it is found, called, and what it answers.
local files = require "lunette.base.files"
local core = require "lunette.core"

local M = {}


local found


---Where the program is: $LUNETTE_IMPORT, or beside the module lunette.core (in the
---build folder or where `make install` put it), wherever that was loaded from.
---@return string? path, string? message
function M.path()
  if found then return found end
  local folder = (core.library() or "/nowhere/"):match("^(.*)/")
  for _, path in ipairs {
    os.getenv("LUNETTE_IMPORT") or "", folder .. "/lunette-import",
    folder .. "/../lunette-import",
    -- installed: PREFIX/lib/lua/5.4/lunette/core.so, PREFIX/lib/lunette/
    folder .. "/../../../lunette/lunette-import",
  } do
    if files.exists(path) then
      found = require("lunette.base.paths").plain(path)
      return found
    end
  end
  return nil, "the program lunette-import is missing (it reads model files); "
    .. "build it with `make`, or name it in LUNETTE_IMPORT"
end


-- Fields are separated by tabs; control bytes and backslashes come as \xHH.
local function fields(line)
  local list = {}
  for field in (line .. "\t"):gmatch("(.-)\t") do list[#list + 1] = field end
  return list
end


---The bytes that \xHH stand for.
---@param s string
---@return string
function M.unescape(s)
  return (s:gsub("\\x(%x%x)", function(h) return string.char(tonumber(h, 16)) end))
end


---Starts the program; its answer is read by `finish`, so that two can run at once.
---@param words string[]   verb and arguments
---@param input? string    what it reads on its stdin
---@return lunette.Process? process, string? message
function M.start(words, input)
  local path, message = M.path()
  if not path then return nil, message end
  return core.spawn(path, words, input)
end


---Reads the answer to the end.
---@param process lunette.Process
---@return string[][]? lines, string? message   fields of every line but `done`
function M.finish(process)
  local lines, problem, done = {}, nil, false
  local said, code = process:finish()
  for line in said:gmatch("[^\n]+") do
    local f = fields(line)
    if f[1] == "error" then
      problem = problem or M.unescape(f[2] or "")
    elseif f[1] == "done" then
      done = true
    else
      lines[#lines + 1] = f
    end
  end
  if problem then return nil, problem end
  if not done or code ~= 0 then
    return nil, ("the reader stopped without an answer (%s)"):format(
      code > 128 and "signal " .. code - 128 or "exit code " .. code)
  end
  return lines
end


---Starts the program and waits for its answer.
---@param words string[]
---@param input? string
---@return string[][]? lines, string? message
function M.run(words, input)
  local process, message = M.start(words, input)
  if not process then return nil, message end
  return M.finish(process)
end


---Checksums of a file, computed side by side.
---@param file string
---@param kinds string[]   "sha256", "md5", or "crc" (members of a zip: "good")
---@return table<string, string>? sums, string? message
function M.digests(file, kinds)
  local readers, sums, problem = {}, {}, nil
  for i, kind in ipairs(kinds) do
    local reader, message = M.start { "digest", kind, file }
    if not reader then return nil, message end
    readers[i] = reader
  end
  for i, kind in ipairs(kinds) do
    local lines, message = M.finish(readers[i])
    if lines and lines[1] then
      sums[kind] = lines[1][2]
    else
      problem = problem or message or "no checksum came back"
    end
  end
  if problem then return nil, problem end
  return sums
end

return M
