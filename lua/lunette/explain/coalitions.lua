---Values of coalitions of segments: which segments stay, the others taking the
---baseline's values. Rows are lists of 0 and 1.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local fit = require "lunette.explain.least_squares"
local masks = require "lunette.explain.masks"
local opt = require("lunette.base.options").opt
local perturb = require "lunette.explain.perturb"
local segments = require "lunette.explain.segments"

local M = {}


---Options of methods that fit a model to values of coalitions, and those of the row.
---@param own? table
function M.options(own)
  local all = {
    "score", "modifiers", "progress",
    segments = segments.option,
    baseline = opt.baseline("zero", "zero, mean, blur, noise, black, a number, tensor"),
    batch = opt.quiet(opt.count(16, "masked pictures at a time")),
  }
  for key, value in pairs(own or {}) do
    all[math.type(key) == "integer" and #all + 1 or key] = value
  end
  return all
end


---Coalitions of the caller's own instead of drawn ones.
M.given = opt.tensor("(S,M)", "0 and 1, of your own")


---The labels that a call's option means. A run on tracing tensors is refused before
---anything is drawn or labelled: what follows is a fit to every picture's own values.
function M.labels(run, o)
  perturb.check_numbers(run)
  local labels = segments.of(o.segments, run)
  return labels, segments.count(labels)
end


---Scores of all coalitions.
---@param run lunette.Run
---@param o table
---@param labels lunette.Tensor
---@param rows lunette.Tensor   (R,M)
---@param name string           for the progress bar
---@param use? function         as perturb.each has it
---@return lunette.Tensor values   (N,R)
function M.values(run, o, labels, rows, name, use)
  local count = segments.count(labels)
  if rows:dim(2) ~= count then
    blame(("%s: coalitions are of %d segments, there are %d"):format(name, rows:dim(2),
          count))
  end
  local spec = { masks = masks.coalitions(labels, rows), score = o.score,
    modifiers = o.modifiers, baseline = o.baseline, batch = o.batch, name = name,
    progress = o.progress }
  if not use then return perturb.values(run, spec) end
  local all = core.zeros(run:count(), rows:dim(1))
  perturb.each(run, spec, function(i, first, m, values, pictures)
    all[i]:rows(first, first + values:size() - 1):copy_(values)
    use(i, first, m, pictures)
  end)
  return all
end


---Rows of a tensor (R,M) as lists.
---@return number[][]
function M.lists(rows)
  local list = {}
  for r = 1, rows:dim(1) do list[r] = rows[r]:totable() end
  return list
end

---The map of a linear model of the score, fitted to the values of coalitions, and the
---facts for the story: its coefficients (`values`), `intercept`, `scores`.
---@param run lunette.Run
---@param o table               options: coalitions, seed
---@param labels lunette.Tensor
---@param rows lunette.Tensor   (R,M)
---@param values lunette.Tensor (N,R)
---@param weights fun(i: integer): number[]   of the rows, for picture i
---@param how? table            as least_squares has it: { ridge = 1 }
---@return lunette.Tensor map, table facts
function M.fitted(run, o, labels, rows, values, weights, how)
  local x, found, intercept = M.lists(rows), core.zeros(run:count(), rows:dim(2)), {}
  for i = 1, run:count() do
    local b
    b, intercept[i] = fit(x, values[i]:totable(), weights(i), how)
    found[i] = core.tensor(b)
  end
  return segments.spread(labels, found), { values = M.lists(found),
    intercept = intercept, scores = M.lists(values), coalitions = false,
    samples = rows:dim(1), seed = not o.coalitions and o.seed or false }
end

return M
