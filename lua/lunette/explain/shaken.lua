---How far a map moves when the picture does a little: what metrics of robustness share.
local core = require "lunette.core"
local asking = require "lunette.explain.asking"
local opt = require("lunette.base.options").opt

local M = {}

---Options of metrics that shake the picture.
M.options = {
  "score", "modifiers", "batch", "seed", "method", "with",
  samples = opt.count(10, "copies of the picture"),
  radius = opt.number(0.02, "of the noise, as a share of the picture's range", 0),
  draws = opt.any(false, "noise (K,C,H,W) of your own"),
  normalize = opt.flag(false, "each map is divided by its largest size (as Quantus)"),
}


---Noise of copy k, (C,H,W): uniform in +- radius.
local function noise_of(x, o, k)
  if o.draws then return o.draws[k] end
  local s = x:stats()
  local shape = { table.unpack(x:shape(), 2) }
  return (core.uniform(o.seed, k, shape) * 2 - 1) * (o.radius * (s.max - s.min))
end


---The length of a tensor.
---@param t lunette.Tensor
---@return number
function M.length(t) return t:stats().l2 end


local function finished(map, o)
  if not o.normalize then return map end
  local s = map:stats()
  local size = math.max(math.abs(s.min), math.abs(s.max))
  return size > 0 and map / size or map
end


---How far the map of every noisy copy is from the map, and how far its picture from the
---picture.
---@param map lunette.Tensor   the picture's own
---@param case { run: lunette.Run, i: integer, again: lunette.Again }
---@param o table
---@return number[] moved, number[] shaken, number length   of the map
function M.moves(map, case, o)
  asking.check_draws(tostring(case.again.name) .. " under noise", o.draws, case)
  local x, moved, shaken = asking.picture(case), {}, {}
  local own, count = finished(map, o), o.draws and o.draws:dim(1) or o.samples
  case.again:each(case.i, count, o.batch, function(first, k)
    local batch = core.zeros(k, table.unpack(x:shape(), 2))
    for n = 1, k do
      local u = noise_of(x, o, first + n - 1)
      shaken[first + n - 1] = M.length(u)
      batch[n] = x[1] + u
    end
    return batch
  end, function(k, other)
    moved[k] = M.length(finished(other, o) - own)
  end)
  return moved, shaken, M.length(own)
end


---The largest of a list.
---@param list number[]
---@return number
function M.largest(list)
  local most = -math.huge
  for _, v in ipairs(list) do most = math.max(most, v) end
  return most
end

return M
