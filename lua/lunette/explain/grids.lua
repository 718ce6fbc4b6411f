---Methods that ask how the score depends on cells of a grid, or on segments, which are
---dimmed or left out in random designs: options, the scores of all designs, the map.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local masks = require "lunette.explain.masks"
local opt = require("lunette.base.options").opt
local perturb = require "lunette.explain.perturb"
local segments = require "lunette.explain.segments"

local M = {}


---Options of all of them, and those of the row.
---@param own table
function M.options(own)
  local all = {
    "score", "modifiers", "progress", "seed",
    cells = opt.count(8, "of the grid, a side", 2),
    baseline = opt.baseline("zero", "what stands where a cell is gone"),
    segments = segments.optional 'not cells: "slic:50", or labels (tensor, .png, .npy)',
    smooth = opt.flag(true, "bicubic from cell to cell; false: the cells themselves"),
    batch = opt.quiet(opt.count(16, "masked pictures at a time")),
  }
  for key, value in pairs(own) do all[key] = value end
  return all
end


---What is dimmed: how many parts, and their labels (H,W) where they are segments.
---Raises where there would be more cells than pixels.
local function parts(run, o, name)
  if o.segments then
    local labels = segments.of(o.segments, run)
    return segments.count(labels), labels
  end
  local side = math.min(run.images:dim(3), run.images:dim(4))
  if o.cells > side then
    blame(("%s: %d cells a side are more than the picture's %d pixels"):format(name,
          o.cells, side))
  end
  return o.cells * o.cells
end


---What an estimate says of every part, as a map.
---@param run lunette.Run
---@param o table
---@param name string   for messages and the progress bar
---@param design fun(parts: integer): lunette.Tensor   (R,parts), 0 .. 1: how much of a
---  part stays in each of R pictures
---@param estimate fun(values: lunette.Tensor, rows: lunette.Tensor): number[]   from
---  the scores (R) of one image's pictures, one number a part
---@return lunette.Tensor map   (N,H,W)
---@return table facts
function M.explain(run, o, name, design, estimate)
  perturb.check_numbers(run)
  local count, labels = parts(run, o, name)
  local n, h, w, rows = run:count(), run.images:dim(3), run.images:dim(4), design(count)
  local dimmed = labels and masks.coalitions(labels, rows)
    or masks.cells(rows, o.cells, h, w)
  local scores = perturb.values(run, { masks = dimmed, score = o.score,
    modifiers = o.modifiers, baseline = o.baseline, batch = o.batch, name = name,
    progress = o.progress })
  local lists = {}
  for i = 1, n do lists[i] = estimate(scores[i], rows) end
  local all = core.tensor(lists)
  if labels then return segments.spread(labels, all), { values = lists } end
  return all:view(n, o.cells, o.cells):resize(h, w, {
    mode = o.smooth and "bicubic" or "nearest" }), { values = lists }
end

return M
