---Mosaics: four pictures in one, for metrics that ask on which tiles a map lies.
local core = require "lunette.core"


---Four pictures of one size, each at half of it, in two rows, and a mask of the tiles
---that are named (1 upper left, 2 upper right, 3 and 4 below).
---Example:
---  local scenes = lu.glyphs.default_images(4)
---  local picture, mask = lu.mosaic(scenes.images, { 1, 4 })
---  print(picture, mask:mean())
---@param pictures lunette.Tensor[]   four of (C,H,W), 0..255, or one (4,C,H,W)
---@param tiles integer[]             those of the class that will be asked for
---@return lunette.Tensor picture (C,H,W)
---@return lunette.Tensor mask    (H,W)
return function(pictures, tiles)
  local c, h, w = table.unpack(pictures[1]:shape())
  local up, left = h // 2, w // 2
  local all, mask = core.zeros(c, h, w), core.zeros(h, w)
  local named = {}
  for _, tile in ipairs(tiles) do named[tile] = true end
  for tile = 1, 4 do
    local y, x = (tile - 1) // 2 * up, (tile - 1) % 2 * left
    local high, wide = y == 0 and up or h - up, x == 0 and left or w - left
    local small = pictures[tile]:view(1, c, h, w):resize(high, wide)[1]
    for k = 1, c do all[k]:paste_(small[k], y + 1, x + 1) end
    if named[tile] then mask:paste_(core.ones(high, wide), y + 1, x + 1) end
  end
  return all, mask
end
