---Pieces of a picture that are ranked as wholes: square patches, or segments, each with
---the mean of the map over it.
local asking = require "lunette.explain.asking"
local core = require "lunette.core"

local M = {}


---Labels (H,W) of squares of `side` pixels, from 0, row by row; those at the lower and
---right border are smaller.
---@param h integer
---@param w integer
---@param side integer
---@return lunette.Tensor
function M.grid(h, w, side)
  local columns = -(-w // side)
  local y = (core.range(0, h - 1) / side):floor():view(h, 1)
  local x = (core.range(0, w - 1) / side):floor():view(1, w)
  return y * columns + x
end


---Sums by the piece's number, label 0 first.
local function totals(values, labels)
  local n = math.floor(labels:stats().max) + 1
  local where = labels:view(labels:size()) + 1
  return core.zeros(n):scatter_add(where, values:view(values:size()), { dim = 1 })
end


---The sum of a map over every piece, by the piece's number.
---@param map lunette.Tensor      (H,W)
---@param labels lunette.Tensor   (H,W), whole numbers from 0
---@return number[]               label 0 first
function M.sums(map, labels) return totals(map, labels):totable() end


---The mean of a map over every piece, by the piece's number.
---@param map lunette.Tensor      (H,W)
---@param labels lunette.Tensor   (H,W), whole numbers from 0
---@return number[]               label 0 first
function M.means(map, labels)
  local counts = totals(core.ones(map:dim(1), map:dim(2)), labels)
  return (totals(map, labels) / counts:maximum(core.ones(1))):totable()
end


---The place of every pixel's piece in an order of pieces: (H,W).
---@param labels lunette.Tensor
---@param values number[]   of the pieces, the largest first
---@return lunette.Tensor
function M.ranks(labels, values)
  local places = asking.ranks(core.tensor(values))
  local where = labels:view(labels:size()) + 1
  return places:index_select(where, { dim = 1 }):view(labels:dim(1), labels:dim(2))
end


---The score with no piece gone, with one ... `steps`.
---@param case lunette.Case
---@param o table   score, modifiers, batch, baseline
---@param labels lunette.Tensor
---@param values number[]
---@param steps integer
---@return number[]
function M.curve(case, o, labels, values, steps)
  return asking.masked(case, o, asking.pieces(M.ranks(labels, values), 1, steps))
end

return M
