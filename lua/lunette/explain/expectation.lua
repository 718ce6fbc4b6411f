---Gradients averaged over random points between pictures and baselines, times their
---difference: expected gradients and GradientSHAP.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local baselines = require "lunette.explain.baselines"
local options = require "lunette.base.options"
local perturb = require "lunette.explain.perturb"
local opt = options.opt
local sampling = require "lunette.explain.sampling"

local M = {}


---Options of both.
M.options = {
  "score", "modifiers", "progress", "seed", "batch",
  samples = opt.count(25, "random points"),
  baselines = opt.any({ "zero", "mean", "blur" }, "a list of baselines, or a tensor "
    .. "(B,C,H,W), of which each point takes one"),
  alphas = opt.tensor("(samples)", "places of your own, from 0 to 1"),
  index = opt.tensor("(samples)", "baselines of your own, from 0"),
}


---All baselines: a list of tensors (N,C,H,W).
local function all_of(what, run)
  if type(what) ~= "table" then
    local list = {}
    if not options.is_tensor(what) then
      return { baselines.of(what, run.net, run.images) }
    end
    for b = 1, what:dim(1) do
      list[b] = baselines.of(what[b], run.net, run.images)
    end
    return list
  end
  local list = {}
  for b, one in ipairs(what) do list[b] = baselines.of(one, run.net, run.images) end
  if #list == 0 then blame("baselines: the list is empty") end
  return list
end


---The baseline of point s, from 1, and its place on the path: random numbers of a
---stream of its own, the same for all images.
local function chosen(o, s, count)
  local u = core.uniform(o.seed, sampling.stream(s), 2)
  local b = math.floor(o.index and o.index[s] or u[1] * count)
  if b < 0 or b >= count then
    blame(("index: baseline %d of %d, which count from 0"):format(b, count))
  end
  return b + 1, o.alphas and o.alphas[s] or u[2]
end


---For each image and point: its baseline, place and noisy picture.
local function points(run, o, list)
  local x, shape = run.images, run.images:shape()
  table.remove(shape, 1)
  return function(i, s)
    local b, alpha = chosen(o, s, #list)
    local noisy = x[i]
    if (o.sigma or 0) > 0 then
      local noise <close> = o.draws and o.draws[s]
        or sampling.noise(o.seed + 1, s, shape)
      local scaled <close> = noise * o.sigma
      noisy = scaled + noisy
    end
    return list[b][i], alpha, noisy
  end
end


---The part of the points that every baseline has.
local function shares_of(o, count)
  local shares = {}
  for b = 1, count do shares[b] = 0 end
  for s = 1, o.samples do
    local b = chosen(o, s, count)
    shares[b] = shares[b] + 1 / o.samples
  end
  return shares
end


---mean over points s of (x_s - b_s) * g(b_s + a_s (x_s - b_s)), and how far its sum is
---from S(x) - mean S(b_s).
---@param run lunette.Run
---@param o table
---@param name string
---@return lunette.Tensor map, table facts
function M.explain(run, o, name)
  local list = all_of(o.baselines, run)
  local at = points(run, o, list)
  local map = sampling.gradients(run, {
    name = name, count = o.samples, batch = o.batch,
    make = function(i, s)
      local b, alpha, x <close> = at(i, s)
      local way <close> = x - b
      return (way * alpha):add_(b)
    end,
    fold = function(total, value, s, i)
      local b, _, x <close> = at(i, s)
      local way <close> = x - b
      local part <close> = way * value
      return sampling.add(total, part)
    end,
  }, o):mul_(1 / o.samples)
  return map, { delta = perturb.delta(run, o, map, list, shares_of(o, #list)) }
end

return M
