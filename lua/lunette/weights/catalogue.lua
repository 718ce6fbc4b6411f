---Weights that can be had: where they come from, their size and checksum, what
---pictures go through, their licence; which of them are on this machine already.
---Nothing is downloaded here, but by weights/get.lua.
local files = require "lunette.base.files"
local json = require "lunette.base.json"
local lfs = require "lfs"
local suggest = require "lunette.base.suggest"

local M = {}

---@class lunette.CatalogueEntry
---@field id string             how it is asked for, and its name in the store
---@field model string          architecture
---@field name string           for people
---@field origin string         whose cache may have it: "keras", "torch", "huggingface"
---@field repository? string    on Hugging Face
---@field file string           name at its origin
---@field url string
---@field size? integer         bytes
---@field sha256? string
---@field sha256_prefix? string torch names files by the first 8 digits
---@field md5? string
---@field preprocessing string|table   a mode, or a mode and what differs from it
---@field licence string


-- the list ---------------------------------------------------------------------


local entries


---All entries. LUNETTE_CATALOGUE names another catalogue (JSON like
---weights/catalogue.json).
---@return lunette.CatalogueEntry[]
function M.list()
  if entries then return entries end
  local path = os.getenv("LUNETTE_CATALOGUE")
    or require("lunette.base.paths").weights() .. "/catalogue.json"
  local f = assert(io.open(path, "r"))
  local list, message = json.decode(f:read("a"))
  f:close()
  entries = assert(list, ("%s: %s"):format(path, tostring(message)))
  return entries
end


---@param id string
---@return lunette.CatalogueEntry? entry, string? message   with the nearest name
function M.find(id)
  local ids = {}
  for i, e in ipairs(M.list()) do
    if e.id == id then return e end
    ids[i] = e.id
  end
  return nil, ("no model '%s' in the catalogue%s"):format(id, suggest.after(id, ids))
end


---Whether these checksums are the entry's; nil where they say nothing.
---@param e lunette.CatalogueEntry
---@param sums { sha256?: string, md5?: string }
---@return boolean?
function M.agrees(e, sums)
  if e.sha256 and sums.sha256 then return e.sha256 == sums.sha256 end
  if e.sha256_prefix and sums.sha256 then
    return sums.sha256:sub(1, #e.sha256_prefix) == e.sha256_prefix
  end
  if e.md5 and sums.md5 then return e.md5 == sums.md5 end
  return nil
end


---The entry whose file has these checksums.
---@param sums { sha256?: string, md5?: string }
---@return lunette.CatalogueEntry? entry
function M.by_checksum(sums)
  for _, e in ipairs(M.list()) do
    if M.agrees(e, sums) then return e end
  end
  return nil
end


-- places -----------------------------------------------------------------------


local function env(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end


---The folder of imported models: $XDG_DATA_HOME/lunette or ~/.local/share/lunette.
---@return string? path, string? message
function M.store()
  local data = require("lunette.base.paths").xdg("XDG_DATA_HOME", "/.local/share")
  if data then return data .. "/lunette" end
  return nil, "there is no folder for models: HOME is not set; set it, or XDG_DATA_HOME"
end


---Where a model is once it is imported.
---@param id string
---@return string? path   nil: there is no store
function M.stored(id)
  local store = M.store()
  return store and ("%s/%s.safetensors"):format(store, id)
end


local function subfolders(path)
  local list = {}
  if lfs.attributes(path, "mode") ~= "directory" then return list end
  for name in lfs.dir(path) do
    if name ~= "." and name ~= ".." then list[#list + 1] = path .. "/" .. name end
  end
  table.sort(list)
  return list
end


-- Files that the caches of Keras, torch and Hugging Face would call the entry's.
local function cache_paths(e)
  local home = env "HOME"
  local cache = require("lunette.base.paths").xdg("XDG_CACHE_HOME", "/.cache")
  if not home or not cache then return {} end
  if e.origin == "keras" then
    return { (env "KERAS_HOME" or home .. "/.keras") .. "/models/" .. e.file }
  elseif e.origin == "torch" then
    return { (env "TORCH_HOME" or cache .. "/torch") .. "/hub/checkpoints/" .. e.file }
  end
  local hub = env "HF_HUB_CACHE" or (env "HF_HOME" or cache .. "/huggingface") .. "/hub"
  local list = {}
  local repository = "/models--" .. (e.repository or ""):gsub("/", "--")
  for _, snapshot in ipairs(subfolders(hub .. repository .. "/snapshots")) do
    list[#list + 1] = snapshot .. "/" .. e.file
  end
  return list
end


---The entry's file in another program's cache, by name and size.
---@param e lunette.CatalogueEntry
---@return string? path
function M.cached(e)
  for _, path in ipairs(cache_paths(e)) do
    local size = files.size(path)
    if size and (not e.size or size == e.size) then return path end
  end
  return nil
end


---Where an entry is on this machine.
---@param e lunette.CatalogueEntry
---@return "stored"|"cached"|nil state, string? path
function M.state(e)
  local path = M.stored(e.id)
  if path and files.size(path) then return "stored", path end
  path = M.cached(e)
  if path then return "cached", path end
  return nil
end

return M
