---Fetches one file by curl into FILE.part, resuming what is there. It ends with
---the whole file or a message; a server may cut the connection, stall, not know
---ranges, or send too much. (What the bytes are is the caller's to check.)
local core = require "lunette.core"
local lfs = require "lfs"
local paths = require "lunette.base.paths"

-- Attempts that may follow one another without a new byte.
local PATIENCE = 2


local function size(path)
  local a = lfs.attributes(path)
  return a and a.size or 0
end


local function megabytes(n)
  return ("%.1f MB"):format(n / 1e6)
end


-- LUNETTE_MIRROR is a folder on another server that has the same file names.
local function address(e)
  local mirror = os.getenv("LUNETTE_MIRROR")
  if not mirror or mirror == "" then return e.url end
  return mirror:gsub("/+$", "") .. "/" .. e.file
end


-- A program that ends when we do, however we end, where the system has setpriv.
local function dying_with_us(program, words)
  local setpriv = paths.program "setpriv"
  if not setpriv then return program, words end
  return setpriv, { "--pdeathsig", "TERM", program, table.unpack(words) }
end


-- Exit code of curl and the HTTP status. Nothing but http(s), and once https always
-- https. A transfer that stalls for half a minute is given up.
local function curl(url, part, opts)
  local stall = tonumber(os.getenv("LUNETTE_STALL_SECONDS")) or 30
  local program = paths.program "curl"
  if not program then return 127, 0 end
  local words = {
    "--fail", "--location", "--max-redirs", "8",
    "--proto", url:match "^https:" and "=https" or "=http,https",
    "--connect-timeout", "15", "--speed-limit", "1000", "--speed-time", tostring(stall),
    "--output", part, "--write-out", "%{http_code}",
    opts.progress and "--progress-bar" or "--silent",
  }
  if size(part) > 0 then
    words[#words + 1] = "--continue-at"
    words[#words + 1] = "-"
  end
  words[#words + 1] = "--"
  words[#words + 1] = url
  program, words = dying_with_us(program, words)
  local process = core.spawn(program, words)
  if not process then return 127, 0 end
  local status, code = process:finish()
  return code, tonumber(status) or 0
end


local reasons = {
  [5] = "the proxy's name is not known", [6] = "the host's name is not known",
  [7] = "no connection", [18] = "the connection broke",
  [23] = "the disk refused the data",
  [28] = "no answer in time, or it stalled", [35] = "no secure connection",
  [47] = "redirected in circles", [52] = "the server sent nothing",
  [55] = "the connection broke", [56] = "the connection broke",
  [60] = "the server's certificate is not trusted", [127] = "curl is not installed",
}


local function explain(e, url, part, code, status)
  local why = reasons[code] or "curl ended with code " .. code
  if code == 22 then why = "the server answered " .. status end
  local have = size(part)
  local kept = have > 0
    and (" %s is kept (%s); run it again to go on."):format(part, megabytes(have)) or ""
  local message = ("%s: %s.%s"):format(url, why, kept)
  if code == 5 or code == 6 or code == 7 or code == 28 then
    message = message .. (" If this machine is offline, fetch that address%s on "
      .. "another and bring it here: lunette import %s"):format(
      e.size and " (" .. megabytes(e.size) .. ")" or "", e.file)
  end
  return message
end


-- Ends of curl after which the next attempt may do better.
local passing = { [0] = true, [18] = true, [28] = true, [52] = true, [55] = true,
                  [56] = true }


-- The server does not resume (33, 36), or has nothing beyond what is here (416).
local function no_range(code, status)
  return code == 33 or code == 36 or status == 416
end


-- After an attempt: true (the file is whole), nil (try again), or false and a
-- message.
local function judge(e, url, part, code, status)
  local have = size(part)
  if e.size and have > e.size then
    os.remove(part)
    return false, ("%s: it sent %d bytes, the catalogue says %d; nothing was kept")
      :format(url, have, e.size)
  end
  if code == 0 and (not e.size or have == e.size) then return true end
  if no_range(code, status) then
    if status == 416 and have == e.size then return true end
    os.remove(part) -- only from the start, then
    return nil
  end
  if passing[code] or (code == 22 and status >= 500) then return nil end
  return false, explain(e, url, part, code, status)
end


---@param e lunette.CatalogueEntry
---@param part string     path that grows; stays for a later attempt
---@param opts { progress?: boolean, say: fun(line: string) }
---@return true? ok, string? message
local function download(e, part, opts)
  local url, idle, best = address(e), 0, size(part)
  local code, status
  if lfs.symlinkattributes(part, "mode") == "link" then
    os.remove(part) -- curl would write to what it leads to
    best = 0
  end
  if best > 0 and best == e.size then return true end
  opts.say("fetching " .. url)
  if best > 0 then opts.say(("going on at %s"):format(megabytes(best))) end
  while idle < PATIENCE do
    code, status = curl(url, part, opts)
    local done, message = judge(e, url, part, code, status)
    if done then return true end
    if done == false then return nil, message end
    if size(part) > best then idle, best = 0, size(part) else idle = idle + 1 end
  end
  if code == 0 then
    return nil, ("%s: it sends %d bytes, the catalogue says %d"):format(url, size(part),
      e.size or 0)
  end
  return nil, explain(e, url, part, code, status)
end

return download
