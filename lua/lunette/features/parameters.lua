---What a picture that is optimised is made of. The numbers that are changed are not its
---pixels but a spectrum (Olah et al. 2017, Feature Visualization): steps then spread
---over all frequencies alike, which gives pictures where steps on pixels give noise.
---A parametrisation has `shape`, `start(seed)` of one picture and `decode(p)`, from
---(K, ...) parameters to K pictures (K,C,H,W) of 0..1 by tensor operators.
local core = require "lunette.core"

local M = {}

---@class lunette.Parametrisation
---@field shape integer[]   of the parameters of one picture
---@field start fun(seed: integer, stream: integer): lunette.Tensor   (1, ...)
---@field decode fun(p: lunette.Tensor): lunette.Tensor   (K, ...) to (K,C,H,W)
---@field encode? fun(picture: lunette.Tensor): lunette.Tensor   the way back


-- colours ------------------------------------------------------------------------


---Square root of the covariance of ImageNet's colours, its longest column 1 (the
---numbers are those of Lucid): independent parameters become colours as photographs
---have them.
local colours = (function()
  local m = core.tensor { { 0.26, 0.09, 0.02 }, { 0.27, 0.00, -0.05 },
                          { 0.27, -0.09, 0.03 } }
  local longest = m:square():sum { dims = { 1 } }:sqrt():stats().max
  return m * (1 / longest)
end)()


---The inverse of a 3 x 3 matrix, by its cofactors.
local function inverse_of(m)
  local a = m:totable()
  local out, det = {}, 0
  for i = 1, 3 do
    out[i] = {}
    for j = 1, 3 do
      local p, q, r, s = j % 3 + 1, (j + 1) % 3 + 1, i % 3 + 1, (i + 1) % 3 + 1
      out[i][j] = a[p][r] * a[q][s] - a[p][s] * a[q][r]
    end
  end
  for j = 1, 3 do det = det + a[1][j] * out[j][1] end
  return core.tensor(out) * (1 / det)
end


---What `to_colours` makes these pictures of (K,C,H,W), 0..1; black and white are taken
---a little inside.
local function from_colours(picture)
  local s, x = picture:shape(), picture:clamp(0.01, 0.99)
  x = (x / (1 - x)):log()
  if s[2] ~= 3 then return x end
  return core.ops.matmul(inverse_of(colours), x:reshape { s[1], 3, s[3] * s[4] })
    :reshape(s)
end


---Parameters of any size to 0..1: colours correlated, then a sigmoid.
local function to_colours(x)
  local s = x:shape()
  if s[2] == 3 then
    x = core.ops.matmul(colours, x:reshape { s[1], 3, s[3] * s[4] }):reshape(s)
  end
  return x:sigmoid()
end


-- spectra ------------------------------------------------------------------------


---|frequency| of a spectrum (H, W//2+1), in cycles a pixel.
local function frequencies(h, w)
  local down = core.zeros(h, 1)
  for j = 0, h - 1 do down:set(j + 1, 1, (j <= (h - 1) // 2 and j or j - h) / h) end
  local across = core.range(0, w // 2):view(1, w // 2 + 1) * (1 / w)
  return (down:square() + across:square()):sqrt()
end


---1 / |frequency|^decay, the lowest frequency counted as one cycle a picture.
local function falling(h, w, decay)
  local f = core.ops.maximum(frequencies(h, w), core.full(1 / math.max(h, w), 1))
  return f:log():mul(-decay):exp()
end


---A spectrum with decorrelated colours (Olah et al. 2017).
---@param c integer
---@param h integer
---@param w integer
---@param o? { decay?: number, deviation?: number }   of amplitudes over frequencies
---  (1); of the random start (0.01)
---@return lunette.Parametrisation
function M.fourier(c, h, w, o)
  o = o or {}
  local scale = falling(h, w, o.decay or 1) * (math.sqrt(h * w) / 4)
  scale = core.ops.concat(scale, scale, { dim = 1 })
  local shape = { c, 2 * h, w // 2 + 1 }
  return {
    shape = shape,
    start = function(seed, stream)
      return core.normal(seed, stream, { 1, table.unpack(shape) })
        * (o.deviation or 0.01)
    end,
    decode = function(p) return to_colours((p * scale):irfft2 { width = w }) end,
    encode = function(picture) return from_colours(picture):rfft2() / scale end,
  }
end


---Pixels with decorrelated colours, under a sigmoid.
---@return lunette.Parametrisation
function M.pixels(c, h, w, o)
  local shape = { c, h, w }
  return {
    shape = shape,
    start = function(seed, stream)
      return core.normal(seed, stream, { 1, table.unpack(shape) })
        * (o and o.deviation or 0.01)
    end,
    decode = to_colours, encode = from_colours,
  }
end


-- constrained magnitude ----------------------------------------------------------


---The mean magnitude of pictures' spectra (C,H,W//2+1).
---@param pictures lunette.Tensor   (N,C,H,W) of 0..1
---@return lunette.Tensor
function M.magnitude(pictures)
  local h, spectrum = pictures:dim(3), pictures:rfft2()
  local re = spectrum:narrow { dim = 3, start = 1, length = h }
  local im = spectrum:narrow { dim = 3, start = h + 1, length = h }
  return (re:square() + im:square()):sqrt():mean { dims = { 1 } }
end


---(K,C,H,W) to mean 0 and deviation 1 a picture.
local function standardised(x)
  local s = x:shape()
  local flat = x:reshape { s[1], s[2] * s[3] * s[4] }
  flat = flat - flat:mean { dims = { 2 }, keepdims = true }
  local variance = flat:square():mean { dims = { 2 }, keepdims = true }
  return (flat / (variance + 1e-8):sqrt()):reshape(s)
end


---Phases alone, the magnitudes those of photographs (MaCo: Fel et al. 2023): of your
---own pictures, or 1/f.
---@param c integer
---@param h integer
---@param w integer
---@param o? { magnitude?: lunette.Tensor, decay?: number }   (C,H,W//2+1)
---@return lunette.Parametrisation
function M.phases(c, h, w, o)
  o = o or {}
  local magnitude = o.magnitude or falling(h, w, o.decay or 1)
  local shape = { c, h, w // 2 + 1 }
  return {
    shape = shape,
    start = function(seed, stream)
      return core.uniform(seed, stream, { 1, table.unpack(shape) })
        * (2 * math.pi) - math.pi
    end,
    decode = function(p)
      local re, im = p:cos() * magnitude, p:sin() * magnitude
      local x = core.ops.concat(re, im, { dim = 3 }):irfft2 { width = w }
      return to_colours(standardised(x))
    end,
  }
end

return M
