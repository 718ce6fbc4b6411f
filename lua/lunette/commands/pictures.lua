---The pictures of `lunette rank`, `lunette choose` and `lunette audit`: scenes whose
---objects are known, or folders, with masks.
local M = {}


---Adds what names a network and pictures to a parser.
function M.arguments(p)
  p:argument("picture", "pictures or folders (default: scenes that the embedded "
             .. "network knows, with masks)"):args "*"
  p:option("-m --model", "network"):default "glyphs"
  p:option("--masks", "folder of masks, named as the pictures, white on the object")
  p:option("-n --count", "scenes, or at most so many pictures"):convert(tonumber)
  p:option("--seed", "of the scenes"):default(2000):convert(tonumber)
end


---Words of a list with commas; nil where none was given.
---@param list? string
---@return string[]?
function M.words(list)
  if not list then return nil end
  local found = {}
  for word in list:gmatch "[^,%s]+" do found[#found + 1] = word end
  return found
end


---All pictures that were named, folders opened, at most `count`.
---@param o { picture: string[], count?: integer }
---@return string[]? paths
---@return string|integer all   how many were named; or a message
function M.paths(o)
  local all = {}
  for _, path in ipairs(o.picture) do
    local list, message = require("lunette.base.folders").pictures(path)
    if not list then return nil, message end
    table.move(list, 1, #list, #all + 1, all)
  end
  local few = table.move(all, 1, math.min(#all, o.count or #all), 1, {})
  return few, #all
end


---Does a network know the scenes that are drawn here, of its own size?
---@param net lunette.Net
---@param only? integer   the side that they are drawn with (default: any from 64)
---@return true? ok, string? message
function M.knows_scenes(net, only)
  local names = table.concat(require("lunette.score.labels").of(net) or {}, ",")
  local side = net.input[2]
  local square = #net.input == 3 and net.input[1] == 3 and side == net.input[3]
  local fits = square and (only and side == only or not only and side >= 64)
  if fits and names == table.concat(require("lunette.glyphs").names, ",") then
    return true
  end
  return nil, ("%s does not know the scenes that are drawn here; name pictures or a "
               .. "folder"):format(net.name)
end


---The pictures that the arguments name; nil and what is wrong.
---@param net lunette.Net
---@param o table   of the parser
---@return lunette.RankSource? source, string? message
function M.source(net, o)
  if #o.picture > 0 then
    local paths, message = M.paths(o)
    if not paths then return nil, message end
    return require("lunette.rank.pictures").source(net, paths, o.masks)
  end
  local ok, message = M.knows_scenes(net, require("lunette.glyphs").side)
  if not ok then return nil, message end
  return require("lunette.glyphs.cases").source { count = o.count or 20, seed = o.seed }
end

---What a command's arguments name.
---@param o table   of the parser
---@return lunette.Net? net, lunette.RankSource|string source   or a message
function M.open(o)
  if o.threads then require("lunette.core").threads(o.threads) end
  local net, message = require("lunette.weights.load").load(o.model)
  if not net then return nil, message end
  local source
  source, message = M.source(net, o)
  if not source then return nil, message end
  return net, source
end

return M
