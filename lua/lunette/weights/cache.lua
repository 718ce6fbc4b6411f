---Files of other formats, imported on the spot: first into the cache, after one line
---that says so; later the copy is found by the checksum of the file.
local core = require "lunette.core"
local lfs = require "lfs"
local files = require "lunette.base.files"
local paths = require "lunette.base.paths"
local text = require "lunette.base.text"

local M = {}

---Raised when an importer reads the same file as another network.
local VERSION = 8


---Where imported copies are kept: $XDG_CACHE_HOME/lunette or ~/.cache/lunette. Nothing
---but time is lost with it.
---@return string? folder
function M.folder()
  local cache = paths.xdg("XDG_CACHE_HOME", "/.cache")
  return cache and cache .. "/lunette/imported"
end


---The copy's name: the file's, its checksum's beginning, the importer's number; none
---where there is no folder, or a side was asked for.
local function place(path, sum, side)
  local folder = M.folder()
  if not folder or side then return nil end
  local base = text.file_word(path:match "([^/]+)$", 80)
  return ("%s/%s-%s-%d.safetensors"):format(folder, base, sum:sub(1, 24), VERSION)
end


---The most that copies may take, in bytes: $LUNETTE_CACHE_MB, or 8 GB.
---@return number
function M.limit()
  local mb = tonumber(os.getenv "LUNETTE_CACHE_MB")
  return (mb and mb >= 0 and mb or 8192) * 2 ^ 20
end


---Copies in a folder, those used last first.
local function copies_in(folder)
  local list = {}
  for name in lfs.dir(folder) do
    local path = folder .. "/" .. name
    local a = name:find "%.safetensors$" and lfs.attributes(path)
    if a and a.mode == "file" then
      list[#list + 1] = { path = path, size = a.size,
                          used = math.max(a.access, a.modification) }
    end
  end
  table.sort(list, function(a, b)
    if a.used ~= b.used then return a.used > b.used end
    return a.path < b.path
  end)
  return list
end


---Removes the copies that were used longest ago until the rest is within the limit; the
---one at `keep` stays. What was removed is said.
---@param keep string
---@return integer removed
function M.trim(keep)
  local left, n, bytes = M.limit() - files.size(keep), 0, 0
  for _, copy in ipairs(copies_in((files.split(keep)))) do
    if copy.path ~= keep then
      left = left - copy.size
      if left < 0 and os.remove(copy.path) then
        n, bytes = n + 1, bytes + copy.size
      end
    end
  end
  if n > 0 then
    text.complain(("removed %d cop%s (%.0f MB) that were used longest ago from the "
      .. "cache, which may take %.0f MB (LUNETTE_CACHE_MB)"):format(n, n == 1 and "y"
      or "ies", bytes / 2 ^ 20, M.limit() / 2 ^ 20))
  end
  return n
end


-- a copy -----------------------------------------------------------------------------


---A name for a copy that is wanted once, below $TMPDIR or /tmp.
local function passing_name()
  local name, folder = os.tmpname(), os.getenv "TMPDIR"
  os.remove(name)
  local there = folder and folder:find "^/" and lfs.attributes(folder, "mode")
  return there == "directory" and folder .. "/" .. name:match "[^/]+$" or name
end


---Is a copy whole, a file of its own and of that source?
local function is_whole(copy, sum)
  local weights = lfs.symlinkattributes(copy, "mode") == "file" and core.weights(copy)
  if not weights then return false end
  local source = weights:meta().source_sha256
  weights:release()
  return source == sum
end


---Removes what lies in a copy's place: a disk may have failed. Whether it is free then.
local function cleared(copy)
  if not lfs.symlinkattributes(copy) then return true end
  text.complain(("the copy in the cache is damaged, and is made anew: %s"):format(copy))
  os.remove(copy)
  return lfs.symlinkattributes(copy) == nil
end


---Imports for this time only, after a line that says so and why.
local function import_once(path, opts, why)
  text.complain(("importing %s for this time only: %s"):format(path, why))
  opts.out = passing_name()
  local out, report = require "lunette.weights.import"(path, opts)
  if not out then return nil, report end
  return out, nil, true
end


---Why there is no cache to import into.
local function without_cache(side, copy)
  if side then return "a side is asked for" end
  if copy and lfs.symlinkattributes(copy) then return copy .. " is no file" end
  local folder = M.folder()
  return folder and ("the cache %s cannot be made"):format(folder)
    or "there is no cache, as HOME names no folder (see XDG_CACHE_HOME)"
end


---A copy in our format of a file of any other that can be imported. Without a cache, or
---where that cannot be written, it is made for this time only.
---@param path string
---@param side? integer|integer[]   where the file leaves the size open; such a copy is
---  for this time only
---@return string? copy, string? message
---@return boolean? once   the copy is for this time only: remove it
function M.copy_of(path, side)
  local import = require "lunette.weights.import"
  if not files.exists(path) then
    return nil, import.absent(path)
  end
  local sums, message = import.program.digests(path, { "sha256" })
  if not sums then return nil, ("%s: %s"):format(path, message) end
  local copy = place(path, sums.sha256, side)
  if copy and is_whole(copy, sums.sha256) then return copy end
  local found, out, report
  found, message = import.list(path)
  if not found then return nil, ("%s: %s"):format(path, message) end
  local opts = { out = copy, force = true, side = side, resized = true }
  if not copy or not cleared(copy) or not files.mkdir((files.split(copy))) then
    return import_once(path, opts, without_cache(side, copy))
  end
  text.complain(("importing %s into the cache (%s)"):format(path, copy))
  out, report = import(path, opts)
  if out then
    M.trim(out)
    return out, nil, report.outside
  end
  local at = report:find(copy .. " cannot be written", 1, true)
  if not at then return nil, report end
  return import_once(path, opts, report:sub(at))
end

return M
