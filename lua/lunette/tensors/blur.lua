local core = require "lunette.core"


---The weights of a Gaussian, cut at 4 sigma and made to sum to 1 (as scipy does).
local function kernel(sigma)
  local radius, list, sum = math.floor(4 * sigma + 0.5), {}, 0
  for k = -radius, radius do
    local w = math.exp(-0.5 * (k / sigma) ^ 2)
    list[#list + 1], sum = w, sum + w
  end
  for k, w in ipairs(list) do list[k] = w / sum end
  return core.tensor(list), radius
end

local modes = { zero = 0, reflect = 1, nearest = 2 }


---A Gaussian blur of pictures, one channel at a time.
---@param x lunette.Tensor   (N,C,H,W)
---@param sigma number       pixels; 0: the picture itself
---@param edge? "nearest"|"zero"|"reflect"   what lies outside ("nearest")
---@return lunette.Tensor
return function(x, sigma, edge)
  if sigma <= 0 then return x end
  local n, c, h, w = table.unpack(x:shape())
  local weights, r = kernel(sigma)
  local size, mode = 2 * r + 1, modes[edge or "nearest"]
  -- what lies between is given back at once: a method blurs for every copy
  local flat <close> = x:reshape { n * c, 1, h, w }
  local tall <close> = flat:pad { before = { 0, 0, r, 0 }, after = { 0, 0, r, 0 },
                                  mode = mode }
  local down <close> = core.ops.conv2d(tall, weights:view(1, 1, size, 1))
  local wide <close> = down:pad { before = { 0, 0, 0, r }, after = { 0, 0, 0, r },
                                  mode = mode }
  local both <close> = core.ops.conv2d(wide, weights:view(1, 1, 1, size))
  return both:reshape { n, c, h, w }
end
