---The manifest of a shard, FOLDER/manifest/shard-17-of-100.jsonl: a line for every
---result and every error. The whole file is written every 15 seconds and at the end;
---entries lost with a killed process are recovered from the results themselves.
local before = require("lunette.base.text").before
local core = require "lunette.core"
local files = require "lunette.base.files"
local json = require "lunette.base.json"
local lfs = require "lfs"

local SECONDS = 15 -- between two writings

---@class lunette.SweepEntry
---@field path string       of the picture
---@field job integer       from 1
---@field name? string      of the result
---@field error? string     or why there is none

---@class lunette.SweepManifest
local Manifest = {}
Manifest.__index = Manifest


---@param folder string
---@param shard integer   from 0
---@param shards integer
---@return lunette.SweepManifest
function Manifest.new(folder, shard, shards)
  return setmetatable({ folder = folder, lines = {}, written = core.clock(),
    path = ("%s/manifest/shard-%d-of-%d.jsonl"):format(folder, shard, shards) },
    Manifest)
end


---Adds a line; writes the file when the last write is 15 seconds ago.
---@param entry lunette.SweepEntry
---@return true? ok, string? message
function Manifest:add(entry)
  self.lines[#self.lines + 1] = json.encode(entry) .. "\n"
  if core.clock() - self.written < SECONDS then return true end
  return self:flush()
end


---@return true? ok, string? message
function Manifest:flush()
  self.written = core.clock()
  local ok, message = files.write(self.path, table.concat(self.lines))
  return ok and true, message
end


---Calls visit with each entry of one file.
local function read_file(path, visit)
  local f <close>, message = io.open(path, "rb")
  if not f then return nil, message end
  while true do
    local line, why = f:read "l"
    if not line then return not why, why and ("%s: %s"):format(path, why) end
    local entry, wrong = json.decode(line)
    if type(entry) == "table" then
      visit(entry)
    elseif line ~= "" then
      return nil, ("%s: a line is no entry: %s"):format(path, tostring(wrong))
    end
  end
end


---Calls visit with each entry of all shards, one after the other.
---@param folder string
---@param visit fun(entry: lunette.SweepEntry)
---@return true? ok, string? message
function Manifest.each(folder, visit)
  local names = {}
  local ok, iterate, handle = pcall(lfs.dir, folder .. "/manifest")
  if not ok then return true end
  for name in iterate, handle do
    if name:find "^shard%-%d+%-of%-%d+%.jsonl$" then names[#names + 1] = name end
  end
  table.sort(names, before)
  for _, name in ipairs(names) do
    local read, message = read_file(folder .. "/manifest/" .. name, visit)
    if not read then return nil, message end
  end
  return true
end


---The entries of all shards.
---@param folder string
---@return lunette.SweepEntry[]? entries, string? message
function Manifest.read_all(folder)
  local entries = {}
  local ok, message = Manifest.each(folder, function(entry)
    entries[#entries + 1] = entry
  end)
  if not ok then return nil, message end
  return entries
end

return Manifest
