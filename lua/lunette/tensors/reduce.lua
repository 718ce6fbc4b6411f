---Reductions along dimensions. The second argument is a dimension, a list of them,
---"sample" (all but the first) or nil (all: the result has one value); options are
---{ keepdims = false } and those that a function names. All have gradients but
---histogram, any and all.
local blame = require "lunette.base.blame"
local brief = require("lunette.base.text").brief
local core = require "lunette.core"
local dims = require "lunette.tensors.dims"
local options = require "lunette.base.options"

local M = core.methods


---The list of dimensions, and the options.
local function arguments(what, t, d, o, defaults)
  defaults = defaults or {}
  defaults.keepdims = false
  o = options.check(what, o, defaults)
  local list = dims.list(what, t, d)
  local n = 1
  for _, i in ipairs(list) do n = n * t:dim(i) end
  if n == 0 then blame(what .. ": of no values") end
  return list, o, n
end


local function flags(list, o)
  return { dims = list, keepdims = o.keepdims and 1 or 0 }
end


---The mean of squared differences from the mean.
---Example:
---  local lu = require "lunette"
---  local t = lu.tensor { { 1, 3 }, { 2, 6 } }
---  print(t:var(), t:var(2), t:var(2, { correction = 1 }))
---@param d? integer|integer[]|"sample"   dimensions (all)
---@param o? { keepdims?: boolean, correction?: integer }   correction: what is taken
---  from the number of values before dividing: 0 as numpy, 1 as torch (0)
---@return lunette.Tensor
function M.var(t, d, o)
  local list, all, n = arguments("var", t, d, o, { correction = 0 })
  if n - all.correction <= 0 then
    blame(("var: %d value%s less a correction of %s"):format(n, n == 1 and "" or "s",
          all.correction))
  end
  local off = t - t:mean { dims = list, keepdims = 1 }
  return off:square():sum(flags(list, all)) / (n - all.correction)
end


---The standard deviation: the square root of `var`. Its gradient is 0 where it is 0.
---@param d? integer|integer[]|"sample"
---@param o? { keepdims?: boolean, correction?: integer }   as of var
---@return lunette.Tensor
function M.std(t, d, o) return dims.off_zero(M.var(t, d, o), core.ops.sqrt) end


---The p-norm (sum |x|^p)^(1/p); p = math.huge: the largest size. Its gradient is 0
---where it is 0, as torch's.
---Example:
---  local lu = require "lunette"
---  print(lu.tensor { 3, -4 }:norm(), lu.tensor { 3, -4 }:norm(1, { p = 1 }))
---@param d? integer|integer[]|"sample"
---@param o? { keepdims?: boolean, p?: number }   p: 2
---@return lunette.Tensor
function M.norm(t, d, o)
  local list, all = arguments("norm", t, d, o, { p = 2 })
  local p, how = all.p, flags(list, all)
  if type(p) ~= "number" or p <= 0 or p ~= p then
    blame("norm: p is a number above 0, not " .. brief(p))
  end
  if p == 1 then return t:abs():sum(how) end
  if p == math.huge then return t:abs():max(how) end
  if p == 2 then return dims.off_zero(t:square():sum(how), core.ops.sqrt) end
  local powers = dims.off_zero(t:abs(), function(x) return x ^ p end)
  return dims.off_zero(powers:sum(how), function(x) return x ^ (1 / p) end)
end


---Log of the sum of exponentials, without overflow.
---@param d? integer|integer[]|"sample"
---@param o? { keepdims?: boolean }
---@return lunette.Tensor
function M.logsumexp(t, d, o)
  local list, all = arguments("logsumexp", t, d, o)
  local top = t:detach():max { dims = list, keepdims = 1 }
  local finite = core.ops.where(top:isfinite(), top, core.zeros(1))
  local sum = (t - finite):exp():sum { dims = list, keepdims = 1 }
  local y = sum:log() + finite
  return y:reshape { shape = dims.reduced(t, list, all.keepdims) }
end


---The product of all values.
---@param d? integer|integer[]|"sample"
---@param o? { keepdims?: boolean }
---@return lunette.Tensor
function M.prod(t, d, o)
  local list, all = arguments("prod", t, d, o)
  local x, back = dims.fold(t, list, all.keepdims)
  while x:dim(2) > 1 do -- halves are multiplied: the gradient divides by nothing
    local n = x:dim(2)
    local half = n // 2
    local y = x:narrow(2, 1, half) * x:narrow(2, half + 1, half)
    if n % 2 == 1 then y = core.ops.concat(y, x:narrow(2, n, 1), { dim = 2 }) end
    x = y
  end
  return back(x)
end


---Sums of the values up to and with each: (1,2,3) -> (1,3,6).
---@param d? integer   the dimension (1)
---@return lunette.Tensor   of the same shape
function M.cumsum(t, d)
  d = dims.one("cumsum", t, d or 1)
  local x, back = dims.rows(t, d)
  local n, step = x:dim(2), 1
  while step < n do -- after k steps every value is a sum of the last 2^k
    x = x + x:narrow(2, 1, n - step):pad { before = { 0, step }, after = { 0, 0 } }
    step = 2 * step
  end
  return back(x)
end


---The value below which a share q of the values lies, interpolated between two
---neighbours (numpy's "linear").
---Example:
---  local lu = require "lunette"
---  print(lu.tensor { 1, 2, 3, 10 }:quantile(0.9)) -- 7.9
---@param q number          from 0 to 1
---@param d? integer|integer[]|"sample"
---@param o? { keepdims?: boolean }
---@return lunette.Tensor
function M.quantile(t, q, d, o)
  if type(q) ~= "number" or not (q >= 0 and q <= 1) then
    blame("quantile: a share from 0 to 1, not " .. brief(q))
  end
  local list, all = arguments("quantile", t, d, o)
  local rows, back = dims.fold(t, list, all.keepdims)
  local sorted, n = rows:sort(2, { descending = false }), rows:dim(2)
  local at = q * (n - 1)
  local low = math.min(math.floor(at), n - 1)
  local high = math.min(low + 1, n - 1)
  local x = sorted:narrow(2, low + 1, 1)
  if at > low then x = x + (sorted:narrow(2, high + 1, 1) - x) * (at - low) end
  return back(x)
end


---The middle value; of an even number the mean of the two in the middle.
---@param d? integer|integer[]|"sample"
---@param o? { keepdims?: boolean }
---@return lunette.Tensor
function M.median(t, d, o) return M.quantile(t, 0.5, d, o) end


---The ends of a histogram: those that are given, or those of the finite values.
local function ends(range, x, fine)
  local lo, hi = table.unpack(range or {})
  if not range then
    local finite = x:masked_select(fine)
    local stats = finite:size() > 0 and finite:stats() or { min = 0, max = 0 }
    lo, hi = stats.min, stats.max
  end
  local numbers = type(lo) == "number" and type(hi) == "number"
  if not numbers or lo > hi or lo ~= lo or hi ~= hi then
    blame(("histogram: a range { lowest, highest }, not { %s, %s }"):format(lo, hi))
  end
  if lo == hi then return lo - 0.5, hi + 0.5 end -- as numpy does
  return lo, hi
end


---How many values lie in each of `bins` equal parts of a range; the last part has its
---upper end. Values outside and NaN are not counted.
---Example:
---  local lu = require "lunette"
---  local counts, edges = lu.tensor { 0, 1, 1, 4 }:histogram(4)
---  assert(counts[2] == 2 and edges[5] == 4)
---@param bins? integer                10
---@param o? { range?: number[] }      { lowest, highest } (those of the finite values)
---@return lunette.Tensor counts, lunette.Tensor edges   (bins), (bins + 1)
function M.histogram(t, bins, o)
  bins = bins or 10
  o = options.check("histogram", o, { range = false })
  if math.type(bins) ~= "integer" or bins < 1 then
    blame("histogram: bins are a whole number from 1, not " .. brief(bins))
  end
  local x = t:detach():view(t:size())
  local fine = x:isfinite()
  local lo, hi = ends(o.range, x, fine)
  local within = x:ge(lo) * x:le(hi) * fine
  local inside = core.ops.where(within, x, core.full(lo, 1))
  local bin = ((inside - lo) * (bins / (hi - lo))):floor():clamp(0, bins - 1)
  local counts = core.zeros(bins):scatter_add(bin + 1, within, { dim = 1 })
  return counts, core.range(0, bins) * ((hi - lo) / bins) + lo
end


---The largest or smallest of the flags "is not 0" along dimensions; of all values true
---or false.
local function of_flags(what, extreme, t, d, o)
  local list, all = arguments(what, t, d, o)
  local found = core.ops[extreme](t:detach():ne(0), flags(list, all))
  if d == nil then return found:item() ~= 0 end
  return found
end


---1 where a row holds a value that is not 0; of all values true or false.
---@param d? integer|integer[]|"sample"
---@param o? { keepdims?: boolean }
---@return boolean|lunette.Tensor
function M.any(t, d, o) return of_flags("any", "max", t, d, o) end


---1 where no value of a row is 0; of all values true or false.
---@param d? integer|integer[]|"sample"
---@param o? { keepdims?: boolean }
---@return boolean|lunette.Tensor
function M.all(t, d, o) return of_flags("all", "min", t, d, o) end
