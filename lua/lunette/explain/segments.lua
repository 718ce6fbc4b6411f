---Segments of a picture, the features of LIME, KernelSHAP, Shapley values and ablation:
---a grid, SLIC superpixels, or labels of one's own (organs).
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local masks = require "lunette.explain.masks"
local opt = require("lunette.base.options").opt
local types = require "lunette.base.types"

local M = {}

local function refuse(v)
  local ok = types.is_tensor(v) or types.is_count(v)
    or type(v) == "string" and (v == "slic" or v:find "^slic:[1-9]%d*$")
  return not ok and 'a whole number from 1, "slic:COUNT", or a tensor (H,W) of labels'
    or nil
end


---The option of methods over segments.
M.option = opt.any(7, 'n: a grid of n x n; "slic:50": about 50 superpixels; or a '
  .. "tensor (H,W) of labels", refuse)


---The option of methods that divide the picture themselves where no segments are given.
---@param text string   what it is for
---@return lunette.Option
function M.optional(text)
  return opt.maybe(opt.any(false, text, refuse))
end


---Superpixels, of one picture: others would have others, and other numbers of them.
local function slic(what, run)
  if run:count() > 1 then
    blame(("segments: every picture has superpixels of its own; explain the %d "
           .. "pictures one by one"):format(run:count()))
  end
  local superpixels = require "lunette.explain.superpixels"
  local count = math.tointeger(tonumber(what:match ":(%d+)$")) or 50
  return (superpixels.slic(superpixels.picture(run, 1), count))
end


local function grid(n, h, w)
  local rows = (core.range(0, h - 1) * (n / h)):floor():view(h, 1)
  local columns = (core.range(0, w - 1) * (n / w)):floor():view(1, w)
  return rows * n + columns
end


---Labels (H,W) for the pictures of a run.
---@param what integer|string|lunette.Tensor
---@param run lunette.Run
---@return lunette.Tensor
function M.of(what, run)
  local h, w = run.images:dim(3), run.images:dim(4)
  if type(what) == "string" then return slic(what, run) end
  if not types.is_tensor(what) then return grid(math.tointeger(what), h, w) end
  local s = what:shape()
  if #s == 2 and s[1] == h and s[2] == w then return what end
  blame(("segments: labels are (%s), the picture is (%d,%d)"):format(
        table.concat(s, ","), h, w))
end


---How many there are, and their numbers in order.
---@return integer count, number[] names
function M.count(labels)
  local all, names = masks.segments(labels)
  return all.count, names
end


---A map with each segment's value on all its pixels.
---@param labels lunette.Tensor   (H,W)
---@param values lunette.Tensor   (N,M)
---@return lunette.Tensor map     (N,H,W)
function M.spread(labels, values)
  local map = core.ops.matmul(values, masks.members(labels))
  return map:reshape { values:dim(1), labels:dim(1), labels:dim(2) }
end

return M
