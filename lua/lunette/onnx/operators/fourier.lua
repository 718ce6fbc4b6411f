---Fourier transforms as products with matrices of cosines and sines. (ONNX has DFT
---since opset 17, but few runtimes do.)
local core = require "lunette.core"

local M = {}


---Cosines and sines of 2 pi jk/n, j < n, k < m.
local function waves(n, m)
  local angle = core.range(0, n - 1):view(n, 1) * core.range(0, m - 1):view(1, m)
  angle = (angle - (angle * (1 / n)):floor() * n) * (2 * math.pi / n)
  return angle:cos(), angle:sin()
end


---| a b |
---| c d |
local function blocks(a, b, c, d)
  return core.ops.concat(core.ops.concat(a, b, { dim = 2 }),
                         core.ops.concat(c, d, { dim = 2 }), { dim = 1 })
end


---rfft2(x) = (c - i s) x (cw - i sw), with cosines and sines of the rows (c, s) and of
---the columns (cw, sw). The products x cw and x sw are stacked and multiplied from the
---left by one block matrix.
function M.rfft2(e, t, x)
  local from = t.inputs[1]
  local h, w = from:dim(from:dim() - 1), from:dim(from:dim())
  local cosines, sines = waves(w, w // 2 + 1)
  local c, s = waves(h, h)
  local a = e:step("MatMul", { x[1], e:tensor(cosines, "cosines") })
  local b = e:step("MatMul", { x[1], e:tensor(sines, "sines") })
  local both = e:step("Concat", { a, b }, { axis = from:dim() - 2 })
  return e:out("MatMul", { e:tensor(blocks(c, -s, -s, -c), "waves"), both })
end


---The inverse: columns first, then rows. A half spectrum holds each column but the
---first (and, of an even width, the last) once instead of twice, so these count double.
function M.irfft2(e, t, x)
  local d = t:dim() - 2
  local h, w = t:dim(d + 1), t:dim(d + 2)
  local half = w // 2 + 1
  local c, s = waves(h, h)
  c, s = c * (1 / h), s * (1 / h)
  local twice = core.full(2 / w, half, 1)
  twice:set(1, 1, 1 / w)
  if w % 2 == 0 then twice:set(half, 1, 1 / w) end
  local cosines, sines = waves(w, half)
  local function rows(matrix) return matrix:permute { dims = { 2, 1 } } * twice end
  local a = e:step("MatMul", { e:tensor(blocks(c, -s, s, c), "waves"), x[1] })
  local function part(from, matrix, word)
    local half_of = e:step("Slice", { a, e:ints { from }, e:ints { from + h },
                                      e:ints { d } })
    return e:step("MatMul", { half_of, e:tensor(rows(matrix), word) })
  end
  return e:out("Sub", { part(0, cosines, "cosines"), part(h, sines, "sines") })
end

return M
