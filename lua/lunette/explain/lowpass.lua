---Low-pass filters of maps: what is left of their Fourier transform up to a frequency.
local core = require "lunette.core"

---The projection on the frequencies 0 .. cutoff of n samples, (n,n):
---P_ij = (1 + 2 sum_k cos(2 pi k (i - j) / n)) / n.
local function projection(n, cutoff)
  local list, most = {}, math.min(cutoff, n // 2)
  for d = 0, n - 1 do
    local sum = 1
    for k = 1, most do
      local twice = 2 * k == n and 1 or 2 -- the highest has no partner
      sum = sum + twice * math.cos(2 * math.pi * k * d / n)
    end
    list[d] = sum / n
  end
  local p = core.zeros(n, n)
  for i = 1, n do
    for j = 1, n do p:set(i, j, list[(i - j) % n]) end
  end
  return p
end


---Maps (..., H, W) with no frequency above `cutoff` periods a side, down or across.
---@param map lunette.Tensor
---@param cutoff integer
---@return lunette.Tensor   of the same shape
return function(map, cutoff)
  local s = map:shape()
  local h, w = s[#s - 1], s[#s]
  local flat = map:reshape { map:size() // (h * w), h, w }
  local out, down, across = core.zeros(flat:shape()), projection(h, cutoff),
    projection(w, cutoff)
  for i = 1, flat:dim(1) do
    out[i] = core.ops.matmul(core.ops.matmul(down, flat[i]), across)
  end
  return out:reshape(s)
end
