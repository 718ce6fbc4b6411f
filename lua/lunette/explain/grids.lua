---Methods that ask how the score depends on cells of a grid, dimmed or left out in
---random designs: their options, the scores of all designs, and the map of the cells.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local masks = require "lunette.explain.masks"
local opt = require("lunette.base.options").opt
local perturb = require "lunette.explain.perturb"

local M = {}


---Options of all of them, and those of the row.
---@param own table
function M.options(own)
  local all = {
    "score", "modifiers", "progress", "seed",
    cells = opt.count(8, "of the grid, a side", 2),
    baseline = opt.baseline("zero", "what stands where a cell is gone"),
    smooth = opt.flag(true, "bicubic from cell to cell; false: the cells themselves"),
    batch = opt.quiet(opt.count(16, "masked pictures at a time")),
  }
  for key, value in pairs(own) do all[key] = value end
  return all
end


---Raises where there would be more cells than pixels.
---@param run lunette.Run
---@param o table        with `cells`
---@param name string
function M.check(run, o, name)
  local side = math.min(run.images:dim(3), run.images:dim(4))
  if o.cells > side then
    blame(("%s: %d cells a side are more than the picture's %d pixels"):format(name,
          o.cells, side))
  end
end


---@param run lunette.Run
---@param o table
---@param rows lunette.Tensor   (R, cells * cells), 0 .. 1: how much of a cell stays
---@param name string           for the progress bar
---@param of fun(values: lunette.Tensor): number[]   of the R scores, one a cell
---@return lunette.Tensor map   (N,H,W)
---@return table facts
function M.explain(run, o, rows, name, of)
  local n, h, w = run:count(), run.images:dim(3), run.images:dim(4)
  local scores = perturb.values(run, { masks = masks.cells(rows, o.cells, h, w),
    score = o.score, modifiers = o.modifiers, baseline = o.baseline, batch = o.batch,
    name = name, progress = o.progress })
  local all, lists = core.zeros(n, o.cells, o.cells), {}
  for i = 1, n do
    lists[i] = of(scores[i])
    all[i] = core.tensor(lists[i]):view(o.cells, o.cells)
  end
  return all:resize(h, w, { mode = o.smooth and "bicubic" or "nearest" }),
         { values = lists }
end

return M
