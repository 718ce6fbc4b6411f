---What all checks of one map share: the picture, a way to call the method again, and
---the noise floor: the similarity of the map to its maps under faint noise.
local again = require "lunette.explain.again"
local alike = require "lunette.explain.alike"
local core = require "lunette.core"
local faint = require "lunette.explain.faint"
local scored = require "lunette.net.scored"

local M = {}

---@class lunette.TrustSubject
---@field run lunette.Run         of the picture alone
---@field x lunette.Tensor        (1,C,H,W)
---@field own lunette.Tensor      (H,W), the map, channels summed
---@field map lunette.Tensor      as it came
---@field again lunette.Again
---@field class? integer          of the network's first output, where it explains one
---@field name string             of what it explains
---@field near number[]           likeness to the maps under faint noise
---@field overlap number[]        share of the largest tenth that stays there
---@field o table                 options of the check
local Subject = {}
Subject.__index = Subject


---Block means of a map, and a tenth of their number.
local function tenth(map)
  local blocks = alike.blocks(map)
  return blocks, math.max(1, blocks:size() // 10)
end


---Compares maps of noisy copies with the map.
local function measure_noise(s)
  local noise, shape = faint(s.x), { table.unpack(s.x:shape(), 2) }
  local own, k = tenth(s.own)
  s.near, s.overlap = {}, {}
  s.again:each(1, s.o.samples, s.o.batch, function(first, count)
    local batch = core.zeros(count, table.unpack(shape))
    for n = 1, count do
      batch[n] = s.x[1] + noise(s.o.seed, first + n - 1, shape)
    end
    return batch
  end, function(n, map)
    map = alike.plane(map)
    s.near[n] = alike.of("ssim", s.own, map)
    s.overlap[n] = alike.overlap(own, (tenth(map)), k)
  end)
end


---The class that is explained, or nil: the score is of another output or layer, or the
---network gives a single value, as of a regression.
local function class_of(run, score, map)
  local is_first = scored.output(run, score) == run.output_layer
    and not (map.story and map.story.scored) -- of another layer, by a modifier
  if not is_first or run:kind() == "values" and run.output:size() == 1 then
    return nil
  end
  local ids = scored.ids(run, score, {})
  return ids and ids[1]
end


---The picture of image i, with its map.
---@param map lunette.Tensor   (N,...), of a method of Lunette's or with o.method
---@param run lunette.Run
---@param i integer
---@param o table
---@return lunette.TrustSubject
function M.new(map, run, i, o)
  local made = again.new("trust", map, run, o)
  made.score = made:score_of(run:count() > 1 and i or nil)
  local x = run.images:rows(i):clone()
  x.pictures = run.images.pictures and { run.images.pictures[i] }
  made.run = run.net:run(x, { modifiers = made.run_modifiers })
  local class = class_of(made.run, made.score, map)
  local s = setmetatable({ run = made.run, x = x, map = map[i]:detach(), again = made,
                           own = alike.plane(map[i]:detach()), o = o,
                           class = class }, Subject)
  s.name = class and (require("lunette.score.labels").name(class, run.net)
    or ("class %d"):format(class)) or made.score.name
  measure_noise(s)
  return s
end


---Is the map the same everywhere?
---@return boolean
function Subject:is_flat()
  local s = self.own:stats()
  return s.min == s.max
end

return M
