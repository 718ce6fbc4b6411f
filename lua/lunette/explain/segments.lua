---Segments of a picture, the features of LIME, KernelSHAP, Shapley values and ablation:
---a grid, SLIC superpixels, or labels of one's own (organs).
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local masks = require "lunette.explain.masks"
local opt = require("lunette.base.options").opt
local types = require "lunette.base.types"

local M = {}


---"png" or "npy" where that is the suffix of a name, in any case.
local function kind_of(name)
  local suffix = (name:match "%.(%a+)$" or ""):lower()
  return (suffix == "png" or suffix == "npy") and suffix or nil
end


local function refuse(v)
  local ok = types.is_tensor(v) or types.is_count(v)
    or type(v) == "string" and (v == "slic" or v:find "^slic:[1-9]%d*$" or kind_of(v))
  return not ok and 'a whole number from 1, "slic:COUNT", a tensor (H,W) of labels, or '
    .. "a .png or .npy file of them" or nil
end


---The option of methods over segments.
M.option = opt.any(7, 'n: a grid of n x n; "slic:50": about 50 superpixels; a tensor '
  .. "(H,W) of labels, or a .png or .npy file of them", refuse)


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


---Labels of a PNG, one a colour, brought to the network's size as pictures are, without
---colours in between.
local function of_png(path, run)
  local images, message = run.net:images { image = { path }, filter = "nearest" }
  if not images then blame(message) end
  local levels = images.pictures[1]
  return (levels[1] * 65536 + levels[2] * 256 + levels[3]):view(levels:dim(2),
                                                               levels:dim(3))
end


---Labels as an array (H,W).
local function of_npy(path)
  local labels, message = require("lunette.picture.npy").read(path)
  if not labels then blame(message) end
  return labels
end


---What was given, as labels (H,W) of any size.
local function labels_of(what, run)
  if types.is_tensor(what) then return what end
  if type(what) ~= "string" then
    return grid(math.tointeger(what), run.images:dim(3), run.images:dim(4))
  end
  local kind = kind_of(what)
  if kind == "png" then return of_png(what, run) end
  if kind == "npy" then return of_npy(what) end
  return slic(what, run)
end


---Labels (H,W) for the pictures of a run. Labels of a .png are its colours, brought to
---the size of the network's input; those of a .npy or a tensor have that size.
---@param what integer|string|lunette.Tensor
---@param run lunette.Run
---@return lunette.Tensor
function M.of(what, run)
  local labels = labels_of(what, run)
  local h, w, s = run.images:dim(3), run.images:dim(4), labels:shape()
  if #s == 2 and s[1] == h and s[2] == w then return labels end
  blame(("segments: labels are (%s), the picture is (%d,%d)%s"):format(
        table.concat(s, ","), h, w, #s == 3 and "; masks that may overlap are for "
        .. "occlusion, and for rise { masks = }" or ""))
end


---Masks that hide one segment after the other. Beside labels there may be masks
---(M,H,W), 1 on what belongs to a segment: those may overlap.
---@param what integer|string|lunette.Tensor
---@param run lunette.Run
---@return lunette.Masks
function M.hidden(what, run)
  local labels = labels_of(what, run)
  local _, h, w = table.unpack(labels:shape())
  if labels:dim() ~= 3 or h ~= run.images:dim(3) or w ~= run.images:dim(4) then
    return (masks.segments(M.of(labels, run)))
  end
  return masks.tensor(1 - labels)
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
