---What a tensor is drawn as. A map says so itself, in its story; other tensors are
---told by shape and values.
local core = require "lunette.core"

local M = {}

---(3,H,W) of bytes, by its values: nothing below 0, something above 1.
local function has_bytes(t)
  local s = t:stats()
  return s.min >= 0 and s.max > 1.5 and s.max <= 255
end


---The kind of a map that has a story.
local function kind_told(story)
  if story.draws == "picture" or story.draws == "channels" then return story.draws end
  return "map"
end


---"picture": photographs; "map": planes of values; "channels": a plane a channel.
---@param t lunette.Tensor
---@return "picture"|"map"|"channels"
function M.kind(t)
  if type(t.pictures) == "table" and #t.pictures > 0 then return "picture" end
  if t.story then return kind_told(t.story) end
  local s = t:shape()
  local colours = #s >= 3 and s[#s - 2] == 3
  if colours and has_bytes(#s == 4 and t[1] or t) then return "picture" end
  if #s == 2 or #s == 4 and s[2] == 1 then return "map" end
  return "channels"
end


---The planes (N,H,W) of maps that have channels, which are summed.
---@param t lunette.Tensor   (N,C,H,W) or (N,H,W)
---@return lunette.Tensor
function M.planes(t)
  if t:dim() ~= 4 then return t end
  if t:dim(2) == 1 then return t:view(t:dim(1), t:dim(3), t:dim(4)) end
  local sum = t:detach():sum { dims = { 2 } }
  sum.story = t.story
  return sum
end


---Numbers a channel, (N,K), as N squares of cells, row by row; behind the last are 0s.
---@param t lunette.Tensor   (N,K)
---@return lunette.Tensor    (N,rows,columns)
function M.cells(t)
  local columns = math.ceil(math.sqrt(t:dim(2)))
  local rows = math.ceil(t:dim(2) / columns)
  local all = core.zeros(t:dim(1), rows * columns)
  all:paste_(t:detach(), 1, 1)
  return all:view(t:dim(1), rows, columns)
end

return M
