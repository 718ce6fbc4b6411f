---Faint noise, under which a map should stay as it is: the floor of sanity checks, of a
---map's trust and of a ranking alike.
local core = require "lunette.core"

local FAINT = 2 / 255 -- deviation, as a share of the input's range


---@param x lunette.Tensor   the pictures whose range counts
---@return fun(seed: integer, number: integer, shape: integer[]): lunette.Tensor
return function(x)
  local stats = x:stats()
  local size = FAINT * (stats.max - stats.min)
  return function(seed, number, shape)
    return core.normal(seed, number, shape) * size
  end
end
