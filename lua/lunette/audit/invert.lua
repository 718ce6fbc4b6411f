---The smallest thing that, laid on any picture, makes a network say one class: mask and
---pattern, found by descent (Wang et al. 2019, "Neural Cleanse"). A class that a
---backdoor leads to needs far less than the others.
---
---  x' = (1 - m) x + m p,   loss = mean cross entropy(f(x'), target) + c sum m
---
---m (one plane, a value for each square of `cell` pixels) from 0 to 1, p (one for each
---pixel and channel) in levels 0 .. 255, both by Adam. The sum is over the squares:
---their number differs little between sizes of pictures, and with it how soon the mask
---begins to shrink. c grows while nearly all pictures obey and shrinks while they do
---not, so that the mask becomes as small as it can be.
local core = require "lunette.core"
local margin = require "lunette.attack.margin"
local optimisers = require "lunette.base.optimisers"
local scores = require "lunette.score"

local M = {}

local ENOUGH = 0.95          -- share of pictures that obey, over the last few batches
local MEMORY = 0.7           -- of that share: what a batch leaves of the ones before
local PATIENCE = 3           -- batches in a row before c changes
local UP, DOWN = 1.5, 1.84   -- factors of c


---The log probability of a class.
local function log_probability(target)
  return scores.new("log probability", function(output)
    return output:log_softmax(2):narrow { dim = 2, start = target + 1, length = 1 }
  end)
end


---The share of guesses that are the target.
local function share_of(run, target)
  local hits, top = 0, run:top(1)
  for _, guess in ipairs(top) do hits = hits + (guess[1].class == target and 1 or 0) end
  return hits / #top
end


---The whole picture's mask (1,1,H,W) of one with a value a cell.
local function grown(m, cell, h, w)
  if cell == 1 then return m end
  return m:interpolate { size = { h, w }, mode = 0 }
end


---The sum over each cell.
local function gathered(g, cell)
  if cell == 1 then return g end
  return g:avg_pool2d { kernel = cell, stride = cell } * (cell * cell)
end


---Pictures with the trigger.
---@param levels lunette.Tensor    (N,C,H,W)
---@param trigger { mask: lunette.Tensor, pattern: lunette.Tensor }
---@return lunette.Tensor
function M.lay(levels, trigger)
  return levels + trigger.mask * (trigger.pattern - levels)
end


---How often pictures with a trigger get a class.
---@param p { net: lunette.Net, space: lunette.LevelSpace }
---@param levels lunette.Tensor   (N,C,H,W), of other classes
---@param trigger { mask: lunette.Tensor, pattern: lunette.Tensor }
---@param target integer
---@return integer hits, integer n
function M.hits(p, levels, trigger, target)
  local hits, n = 0, levels:dim(1)
  for first = 1, n, 20 do
    local size = math.min(20, n - first + 1)
    local some = levels:narrow { dim = 1, start = first, length = size }
    local run <close> = p.net:run(p.space:input(M.lay(some, trigger)),
      { modifiers = margin.modifiers(p.net), keep = false })
    hits = hits + math.floor(share_of(run, target) * size + 0.5)
  end
  return hits, n
end


---Numbers of a step's pictures: every one once in each round.
local function batches(seed, target, n, size)
  local round, list
  return function(step)
    local numbers = {}
    for i = 1, size do
      local at = (step - 1) * size + i - 1
      if at // n ~= round then
        round = at // n
        list = core.uniform(seed, (target << 20) + round, n):argsort():totable()
      end
      numbers[i] = list[at % n + 1]
    end
    return core.tensor(numbers)
  end
end


---The gradients of the loss without its c by mask cells and pattern, and the share of
---pictures that obey.
local function ask(p, o, some, mask, pattern)
  local x = M.lay(some, { mask = mask, pattern = pattern })
  local run <close> = p.net:run(p.space:input(x),
                                { modifiers = margin.modifiers(p.net) })
  local share = share_of(run, p.target)
  local g = p.space:gradient(run:gradient { score = p.score }) * (-1 / some:dim(1))
  local by_mask = (g * (pattern - some)):sum { dims = { 1, 2 }, keepdims = 1 }
  return gathered(by_mask, o.cell), (g * mask):sum { dims = { 1 }, keepdims = 1 }, share
end


---c after a batch; `wait` counts good ones upwards, bad ones downwards.
local function adapted(c, wait, good)
  wait = good and math.max(0, wait) + 1 or math.min(0, wait) - 1
  if wait >= PATIENCE then return c * UP, 0 end
  if wait <= -PATIENCE then return c / DOWN, 0 end
  return c, wait
end


---Keeps a mask that is smaller than all before; each that is kept beside the next
---smaller one is a quarter larger than that.
local function keep(list, mask, pattern, l1)
  local last = list[#list]
  if last and l1 >= last.l1 then return end
  local before = list[#list - 1]
  if before and l1 > before.l1 / 1.25 then list[#list] = nil end
  list[#list + 1] = { mask = mask:clone(), pattern = pattern:clone(), l1 = l1 }
end


---One descent for a class: masks that were enough for the pictures, each smaller than
---the one before. (The last may be so by luck: others tell.)
---@param p { net: lunette.Net, space: lunette.LevelSpace, levels: lunette.Tensor,
---  target: integer }   levels (N,C,H,W): pictures of other classes
---@param o { steps: integer, batch: integer, rate: number, cell: integer,
---  weight: number, seed: integer }   weight: c at the beginning
---@return { mask: lunette.Tensor, pattern: lunette.Tensor, l1: number }[] triggers
---  mask (1,1,H,W), pattern (1,C,H,W); none where no mask was enough
function M.invert(p, o)
  local shape = p.levels:shape()
  local h, w = shape[3], shape[4]
  p.score = log_probability(p.target)
  local m = core.uniform(o.seed, p.target * 2, 1, 1, h // o.cell, w // o.cell) * 0.2
    + 0.1
  local pattern = core.uniform(o.seed, p.target * 2 + 1, 1, shape[2], h, w) * 255
  local kept = { optimisers.state("adam", m), optimisers.state("adam", pattern) }
  local numbers = batches(o.seed, p.target, shape[1], math.min(o.batch, shape[1]))
  local c, wait, obeyed, found = o.weight, 0, 0, {}
  for step = 1, o.steps do
    local mask = grown(m, o.cell, h, w)
    local some = p.levels:index_select(numbers(step), { dim = 1 })
    local by_mask, by_pattern, share = ask(p, o, some, mask, pattern)
    obeyed = obeyed * MEMORY + share * (1 - MEMORY)
    local good = obeyed >= ENOUGH
    local l1 = mask:sum():item()
    if good then keep(found, mask, pattern, l1) end
    c, wait = adapted(c, wait, good)
    local how = { rate = o.rate, step = step, beta1 = 0.5, beta2 = 0.9 }
    optimisers.rows.adam.take(m, by_mask + c, kept[1], how)
    how.rate = o.rate * 255
    optimisers.rows.adam.take(pattern, by_pattern, kept[2], how)
    m:copy_(m:clamp(0, 1))
    pattern:copy_(pattern:clamp(0, 255))
    if o.watch then o.watch(step, l1, share, c) end
    if step % 10 == 0 then collectgarbage() end
  end
  return found
end

return M
