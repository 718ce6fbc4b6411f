---Gets models of the catalogue into the store: from another program's cache, or from
---where they are published; nothing is imported whose checksum is not the catalogue's.
---
---  lunette models get vgg16    fetch, check, import
local catalogue = require "lunette.weights.catalogue"
local files = require "lunette.base.files"
local import = require "lunette.weights.import"
local program = require "lunette.weights.import.program"

---The file's checksums when they are the catalogue's; else both in a message.
local function verify(e, path)
  local kind = e.md5 and not (e.sha256 or e.sha256_prefix) and "md5" or "sha256"
  local kinds = kind == "md5" and { "sha256", "md5" } or { "sha256" }
  local sums, message = program.digests(path, kinds)
  if not sums then return nil, message end
  if catalogue.agrees(e, sums) then return sums end
  local want = e.sha256 or e.sha256_prefix and e.sha256_prefix .. "..." or e.md5
  return nil, ("%s: its %s is %s, the catalogue says %s"):format(path, kind, sums[kind],
    want)
end


---Only a file whose checksum is right is ever opened by the importer.
local function import_checked(e, path, opts)
  local sums, message = verify(e, path)
  if not sums then return nil, message end
  local out = catalogue.stored(e.id)
  return import(path, { out = out, half = opts.half, sums = sums })
end


---A cache's copy is tried first; one that is damaged is left alone.
local function from_cache(e, opts)
  local path = catalogue.cached(e)
  if not path then return nil end
  opts.say(("found %s"):format(path))
  local out, report = import_checked(e, path, opts)
  if not out then opts.say(("not used: %s"):format(report)) end
  return out, report
end


local function download(e, opts)
  local part = ("%s/%s-%s.part"):format(catalogue.store(), e.id, e.file)
  local resumed = files.size(part) ~= nil
  local ok, message = require("lunette.weights.download")(e, part, opts)
  if not ok then return nil, message end
  local out, report = import_checked(e, part, opts)
  os.remove(part) -- wrong bytes are of no use, right ones are imported
  if out or not resumed then return out, report end
  opts.say(("what was here was no beginning of it (%s)"):format(report))
  return download(e, opts)
end


---@class lunette.GetOptions
---@field half? boolean            store float16
---@field progress? boolean        curl's progress bar on stderr
---@field say? fun(line: string)   told what happens

---Gets a model into the store: it is there already, or a cache has it, or it is
---downloaded; then its checksum is verified, and it is imported.
---@param id string
---@param opts? lunette.GetOptions
---@return string? path
---@return table|string report     what was imported (nil: it was there), or a message
local function get(id, opts)
  local e, message = catalogue.find(id)
  if not e then return nil, message end
  local given = opts or {}
  opts = { half = given.half, progress = given.progress,
           say = given.say or function() end }
  if catalogue.state(e) == "stored" then return catalogue.stored(id) end
  local store, ok
  store, message = catalogue.store()
  if not store then return nil, message end
  ok, message = files.mkdir(store)
  if not ok then return nil, message end
  local out, report = from_cache(e, opts)
  if out then return out, report end
  return download(e, opts)
end

return get
