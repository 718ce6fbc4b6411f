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


---Cosines and sines of 2 pi jk/n, j < n, k < m.
local function waves(n, m)
  local angle = core.range(0, n - 1):view(n, 1) * core.range(0, m - 1):view(1, m)
  angle = (angle - (angle * (1 / n)):floor() * n) * (2 * math.pi / n)
  return angle:cos(), angle:sin()
end


---The inverse real Fourier transform of (K,C,2H,W//2+1), real parts above imaginary
---ones, as products with matrices of cosines and sines, which a tape knows how to go
---back through: x = 1/(HW) sum_jk S_jk exp(2 pi i (jh/H + kw/W)).
---@param h integer
---@param w integer
---@return fun(spectrum: lunette.Tensor): lunette.Tensor   (K,C,H,W)
function M.inverse_transform(h, w)
  local half = w // 2 + 1
  local c, s = waves(h, h)
  c, s = c * (1 / h), s * (1 / h)
  local columns = core.ops.concat(core.ops.concat(c, -s, { dim = 2 }),
                                  core.ops.concat(s, c, { dim = 2 }), { dim = 1 })
  local cosines, sines = waves(w, half)
  local twice = core.full(2 / w, half, 1) -- every wave but the first has a twin
  twice:set(1, 1, 1 / w)
  if w % 2 == 0 then twice:set(half, 1, 1 / w) end
  cosines = cosines:permute { dims = { 2, 1 } } * twice
  sines = sines:permute { dims = { 2, 1 } } * twice
  return function(spectrum)
    local a = core.ops.matmul(columns, spectrum)
    local re = a:narrow { dim = 3, start = 1, length = h }
    local im = a:narrow { dim = 3, start = h + 1, length = h }
    return core.ops.matmul(re, cosines) - core.ops.matmul(im, sines)
  end
end


---The real Fourier transform of pictures (..,H,W): real and imaginary parts
---(..,H,W//2+1).
---@param x lunette.Tensor
---@return lunette.Tensor real, lunette.Tensor imaginary
function M.transform(x)
  local h, w = x:dim(x:dim() - 1), x:dim(x:dim())
  local cw, sw = waves(w, w // 2 + 1)
  local ch, sh = waves(h, h)
  local mul = core.ops.matmul
  local re, im = mul(x, cw), -mul(x, sw)
  return mul(ch, re) + mul(sh, im), mul(ch, im) - mul(sh, re)
end


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
  local inverse, shape = M.inverse_transform(h, w), { c, 2 * h, w // 2 + 1 }
  return {
    shape = shape,
    start = function(seed, stream)
      return core.normal(seed, stream, { 1, table.unpack(shape) })
        * (o.deviation or 0.01)
    end,
    decode = function(p) return to_colours(inverse(p * scale)) end,
    encode = function(picture)
      local re, im = M.transform(from_colours(picture))
      return core.ops.concat(re, im, { dim = 3 }) / scale
    end,
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
  local re, im = M.transform(pictures)
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
  local inverse, shape = M.inverse_transform(h, w), { c, h, w // 2 + 1 }
  return {
    shape = shape,
    start = function(seed, stream)
      return core.uniform(seed, stream, { 1, table.unpack(shape) })
        * (2 * math.pi) - math.pi
    end,
    decode = function(p)
      local re, im = p:cos() * magnitude, p:sin() * magnitude
      local x = inverse(core.ops.concat(re, im, { dim = 3 }))
      return to_colours(standardised(x))
    end,
  }
end

return M
