---Scenes as pictures of a ranking: their masks are known, and of two objects the
---other's.
local glyphs = require "lunette.glyphs"
local options = require "lunette.base.options"

local M = {}


---Every odd scene has one object, every even one two, of which the first is asked for.
---@param opts? { count?: integer, seed?: integer }   scenes (20), of which sequence
---  (2000)
---@return lunette.RankSource
function M.source(opts)
  local o = options.check("cases", opts, { count = 20, seed = 2000 })
  local name = ("scenes of seed %d"):format(o.seed)
  return { count = o.count, name = name, get = function(i)
    local s = glyphs.scenes { n = 1, first = i, seed = o.seed, objects = 2 - i % 2 }
    local x = glyphs.input(s.images)
    x.pictures = { s.images[1] }
    return { name = ("scene %d"):format(i), x = x, class = s.labels[1], mask = s.masks,
             right = { s.labels[1], s.labels2 and s.labels2[1] }, other = s.masks2 }
  end }
end

return M
