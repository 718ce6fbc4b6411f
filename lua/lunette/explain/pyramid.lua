---A picture in ever less detail, and what a mask makes of it: where the mask is 1 the
---picture itself, where it is 0 the last step, between them what lies between.
local core = require "lunette.core"
local blur = require "lunette.tensors.blur"

local M = {}


---Steps of a picture from the least to the whole: blurred by sigma (1 - l/(L-1)), or
---times l/(L-1).
---@param x lunette.Tensor   (1,C,H,W)
---@param how "blur"|"fade"
---@param levels integer     L
---@param sigma number       of the strongest blur, in pixels
---@return lunette.Tensor    (1,L,C,H,W)
function M.of(x, how, levels, sigma)
  local s, list = x:shape(), {}
  for l = 0, levels - 1 do
    local share = l / (levels - 1)
    local step = how == "blur" and blur(x, (1 - share) * sigma) or x * share
    list[l + 1] = step:reshape { 1, 1, s[2], s[3], s[4] }
  end
  list[levels + 1] = { dim = 2 }
  return core.ops.concat(table.unpack(list))
end


---The picture seen through masks: linear from one step to the next, as
---sum_l relu(1 - |(L-1) m - l|) y_l.
---@param pyramid lunette.Tensor   (1,L,C,H,W)
---@param mask lunette.Tensor      (K,1,H,W), 0 .. 1
---@return lunette.Tensor          (K,C,H,W)
function M.seen(pyramid, mask)
  local levels, s = pyramid:dim(2), mask:shape()
  local at = core.range(0, levels - 1):view(1, levels, 1, 1)
  local share = (1 - (mask * (levels - 1) - at):abs()):relu()
  return (share:reshape { s[1], levels, 1, s[3], s[4] } * pyramid):sum { dims = { 2 } }
end

return M
