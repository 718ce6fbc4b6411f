---The program lunette-import, which reads other people's files in a confined
---process (engine/import/): how it is found, called, and what it answers.
local files = require "lunette.base.files"

local M = {}


---A word as the shell takes it literally.
---@param s string
---@return string
function M.quote(s)
  return "'" .. s:gsub("'", "'\\''") .. "'"
end


local found


---Where the program is: $LUNETTE_IMPORT, or beside the module lunette.core (in the
---build folder or where `make install` put it).
---@return string? path, string? message
function M.path()
  if found then return found end
  local tried = { os.getenv("LUNETTE_IMPORT") }
  local module = package.searchpath("lunette.core", package.cpath)
  if module then
    local folder = module:match("^(.*)[/\\]") or "."
    tried[#tried + 1] = folder .. "/lunette-import"
    tried[#tried + 1] = folder .. "/../lunette-import"
    -- installed: PREFIX/lib/lua/5.4/lunette/core.so, PREFIX/lib/lunette/
    tried[#tried + 1] = folder .. "/../../../lunette/lunette-import"
  end
  for _, path in ipairs(tried) do
    if files.exists(path) then
      found = path
      return path
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
---@param input? string    path that becomes its stdin
---@return file*? pipe, string? message
function M.start(words, input)
  local path, message = M.path()
  if not path then return nil, message end
  local command = { M.quote(path) }
  for _, word in ipairs(words) do command[#command + 1] = M.quote(word) end
  return io.popen(table.concat(command, " ") .. " <" .. M.quote(input or "/dev/null"),
                  "r")
end


---Reads the answer to the end.
---@param pipe file*
---@return string[][]? lines, string? message   fields of every line but `done`
function M.finish(pipe)
  local lines, problem, done = {}, nil, false
  for line in pipe:lines() do
    local f = fields(line)
    if f[1] == "error" then
      problem = problem or M.unescape(f[2] or "")
    elseif f[1] == "done" then
      done = true
    else
      lines[#lines + 1] = f
    end
  end
  pipe:close()
  if problem then return nil, problem end
  if not done then return nil, "the reader stopped without an answer" end
  return lines
end


---Starts the program and waits for its answer.
---@param words string[]
---@param input? string
---@return string[][]? lines, string? message
function M.run(words, input)
  local pipe, message = M.start(words, input)
  if not pipe then return nil, message end
  return M.finish(pipe)
end


---Checksums of a file, computed side by side.
---@param file string
---@param kinds string[]   "sha256", "md5", or "crc" (members of a zip: "good")
---@return table<string, string>? sums, string? message
function M.digests(file, kinds)
  local pipes, sums, problem = {}, {}, nil
  for i, kind in ipairs(kinds) do
    local pipe, message = M.start { "digest", kind, file }
    if not pipe then return nil, message end
    pipes[i] = pipe
  end
  for i, kind in ipairs(kinds) do
    local lines, message = M.finish(pipes[i])
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
