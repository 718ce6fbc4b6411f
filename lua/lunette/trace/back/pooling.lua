---Gradients of poolings and normalisations.
local common = require "lunette.trace.back.common"
local core = require "lunette.core"
local transposed = require("lunette.trace.back.weighted").transposed

local M = {}


function M.global_avg_pool(n, dy)
  local x = n.inputs[1]
  return (dy * (1 / (x:dim(3) * x:dim(4)))):expand { shape = x:shape() }
end


function M.global_max_pool(n, dy)
  return common.first_of(n.inputs[1], n.output, { 3, 4 }) * dy
end


-- places have no gradient
function M.max_pool2d_places() return nil end


---The divisor of each window's mean: (1,1,h,w). The number of values inside, which
---padding and ceil_mode change, divided by the window's mean over ones.
local function divisors(n, out)
  local x, one = n.inputs[1], core.ones(1, 1, n.inputs[1]:dim(3), n.inputs[1]:dim(4))
  local kernel = { common.pair(n.attrs, "kernel") }
  local stride = { common.pair(n.attrs, "stride", kernel) }
  local dilation = { common.pair(n.attrs, "dilation", 1) }
  local before, after = common.padding(n.attrs), {}
  for a = 1, 2 do -- windows of ceil_mode reach beyond the padding
    local reach = (out[a] - 1) * stride[a] + dilation[a] * (kernel[a] - 1) + 1
    after[a] = math.max(0, reach - x:dim(a + 2) - before[a])
  end
  local inside = core.ops.conv2d(one, core.ones(1, 1, kernel[1], kernel[2]), nil, {
    stride = stride, dilation = dilation, padding = before, padding_end = after })
  for a = 1, 2 do
    inside = inside:narrow { dim = a + 2, start = 1, length = out[a] }
  end
  return inside / core.ops.avg_pool2d(one, n.attrs)
end


---Each value of a window gets dy over the window's divisor: a transposed convolution
---with a kernel of ones.
function M.avg_pool2d(n, dy)
  local x = n.inputs[1]
  local kh, kw = common.pair(n.attrs, "kernel")
  local by, c = divisors(n, { dy:dim(3), dy:dim(4) }), x:dim(2)
  local lo, hi = by:stats().min, by:stats().max
  local share = lo == hi and dy * (1 / lo) or dy / by
  return transposed(share, core.ones(c, 1, kh, kw), { groups = c,
    stride = { common.pair(n.attrs, "stride", { kh, kw }) },
    padding = n.attrs.padding, dilation = n.attrs.dilation },
    { x:dim(3), x:dim(4) })
end


---A vector (C) in the shape (1,C,1,...) of x.
local function channels(v, x)
  local shape = { 1, v:size() }
  for d = 3, x:dim() do shape[d] = 1 end
  return v:reshape { shape = shape }
end


function M.batch_norm(n, dy, i)
  if i > 1 then return nil, "weights" end
  local x, var, gamma = n.inputs[1], n.inputs[3], n.inputs[4]
  local scale = (var + n.attrs.eps):sqrt():reciprocal()
  if gamma then scale = scale * gamma end
  return dy * channels(scale, x)
end


---Sums over windows of `size` neighbouring channels. `mirrored`: windows reversed, as
---the transposed sum has them.
local function neighbours(x, size, mirrored)
  local before, after, nd = size // 2, (size - 1) // 2, x:dim()
  if mirrored then before, after = after, before end
  local lead, tail = {}, {}
  for d = 1, nd do lead[d], tail[d] = d == 2 and before or 0, d == 2 and after or 0 end
  local padded, total = x:pad { before = lead, after = tail }, nil
  for k = 1, size do
    local part = padded:narrow { dim = 2, start = k, length = x:dim(2) }
    total = total and total + part or part
  end
  return total
end


-- y = x D^-b with D = k + a/n S(x^2): dx = dy D^-b - 2 a b / n x S'(dy x D^(-b-1))
function M.lrn(n, dy)
  local x, o = n.inputs[1], n.attrs
  local size = math.tointeger(o.size)
  local below = neighbours(x:square(), size) * (o.alpha / size) + o.k
  local power = below ^ -o.beta
  local others = neighbours(dy * x * power / below, size, true)
  return dy * power - x * others * (2 * o.alpha * o.beta / size)
end


---The dimensions that a layer norm normalises over, and gamma in a shape that
---broadcasts over them.
function M.group_of(n)
  local x, dims, shape = n.inputs[1], {}, {}
  local nd = x:dim()
  for d = 1, nd do shape[d] = 1 end
  for d = common.axis(n.attrs.dim, nd), common.axis(n.attrs.last, nd) do
    dims[#dims + 1], shape[d] = d, x:dim(d)
  end
  return dims, n.inputs[2] and n.inputs[2]:reshape { shape = shape }
end


-- dx = r (g - mean g - h mean(g h)), g = dy gamma, h = (x - m) r
function M.layer_norm(n, dy, i)
  if i > 1 then return nil, "weights" end
  local dims, gamma = M.group_of(n)
  local function mean(t) return common.mean_apart(t, dims) end
  local centred = n.inputs[1] - mean(n.inputs[1])
  local r = (mean(centred:square()) + n.attrs.eps):sqrt():reciprocal()
  local g, h = gamma and dy * gamma or dy, centred * r
  return r * (g - mean(g) - h * mean(g * h))
end


function M.softmax(n, dy)
  local y, along = n.output, { dims = { n.attrs.dim }, keepdims = true }
  return y * (dy - (dy * y):sum(along))
end


function M.log_softmax(n, dy)
  return dy - n.output:exp() * dy:sum { dims = { n.attrs.dim }, keepdims = true }
end

return M
