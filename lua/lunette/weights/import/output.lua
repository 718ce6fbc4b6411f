---Where an import writes. Nothing of the user's is replaced: a file that is there is,
---only if it was made from the same source.
local core = require "lunette.core"
local files = require "lunette.base.files"
local lfs = require "lfs"

local M = {}


local function same_file(a, b)
  local x, y = lfs.attributes(a), lfs.attributes(b)
  return x and y and x.ino == y.ino and x.dev == y.dev
end


---Is it a file of ours that was made from this source?
local function is_product(path, sums)
  local weights = core.weights(path)
  return weights ~= nil and weights:meta().source_sha256 == sums.sha256
end


local function is_free(path, sums)
  return lfs.symlinkattributes(path, "mode") == nil or is_product(path, sums)
end


---Where `import` writes when it is not told: known weights go to the store under their
---catalogue name, so that lu.load finds them; others to the working folder, as
---NAME.safetensors, or, where another file is called so, with more in the name.
---@param file string
---@param entry? lunette.CatalogueEntry
---@param sums? { sha256: string }
---@return string
function M.default(file, entry, sums)
  local stored = entry and require("lunette.weights.catalogue").stored(entry.id)
  if stored then return stored end
  local name = file:match "([^/]+)$"
  local base, suffix = name:match "^(.+)%.(%w+)$"
  base = (base or name):gsub("%.weights$", "")
  sums = sums or {}
  local plain = base .. ".safetensors"
  if is_free(plain, sums) then return plain end
  local other = ("%s-%s.safetensors"):format(base, suffix or "model")
  if is_free(other, sums) then return other end
  return ("%s-%s.safetensors"):format(base, (sums.sha256 or "new"):sub(1, 12))
end


---The path to write; nil and a message where something else is there.
---@param file string
---@param given { out?: string, kept_as?: string, force?: boolean }
---@param entry? lunette.CatalogueEntry
---@param sums { sha256: string }
---@return string? out, string? message
function M.choose(file, given, entry, sums)
  local out = given.out or given.kept_as
    and require("lunette.weights.catalogue").stored(given.kept_as)
    or M.default(file, entry, sums)
  local folder = files.split(out)
  if not given.out and folder ~= "." then -- the store, on its first day
    local made, message = files.mkdir(folder)
    if not made then return nil, message end
  end
  if same_file(file, out) then
    return nil, "the output would replace the input; name another with -o"
  end
  if given.force or files.is_special(out) or is_free(out, sums) then return out end
  if lfs.attributes(out, "mode") == "directory" then
    return nil, ("the output '%s' is a folder; name a file with -o"):format(out)
  end
  return nil, ("'%s' is there already, and was not made from this file; name another "
    .. "output with -o, or replace it with --force"):format(out)
end

return M
