---Products and likenesses. `t:matmul` multiplies batches; `t:svd` and `t:eigh`
---decompose one matrix.
local blame = require "lunette.base.blame"
local text_of = require "lunette.base.text"
local brief, count = text_of.brief, text_of.count
local core = require "lunette.core"
local dims = require "lunette.tensors.dims"
local rank_correlation = require "lunette.tensors.rank_correlation"
local shapes = require "lunette.base.shapes"
local types = require "lunette.base.types"

local M = core.methods
local made = {} -- what `lu` has of these


local function same_size(what, a, b)
  local is = types.is_tensor(b)
  if not is or a:size() ~= b:size() then
    blame(("%s: tensors of one size are needed, got %s and %s"):format(what,
          shapes.text(a), is and shapes.text(b) or type(b)))
  end
end


---The sum of products of all values, or along dimensions.
---@param b lunette.Tensor
---@param d? integer|integer[]|"sample"
---@return lunette.Tensor
function M.dot(a, b, d)
  same_size("dot", a, b)
  return (a * b:reshape { shape = a:shape() }):sum { dims = dims.list("dot", a, d) }
end


---The cosine of the angle between two tensors, of all values or along dimensions; 0
---where one is zero everywhere, and so is the gradient.
---@param b lunette.Tensor
---@param d? integer|integer[]|"sample"
---@return lunette.Tensor
function M.cosine(a, b, d)
  same_size("cosine", a, b)
  local sizes = a:norm(d) * b:reshape { shape = a:shape() }:norm(d)
  local product = a:dot(b, d)
  return dims.off_zero(sizes, function(size) return product / size end)
end


---Pearson's correlation of two tensors; 0 where one is constant.
---@param b lunette.Tensor
---@param d? integer|integer[]|"sample"
---@return lunette.Tensor
function M.pearson(a, b, d)
  same_size("pearson", a, b)
  local list = dims.list("pearson", a, d)
  b = b:reshape { shape = a:shape() }
  return M.cosine(a - a:mean { dims = list, keepdims = 1 },
                  b - b:mean { dims = list, keepdims = 1 }, list)
end


---Spearman's correlation of all values: Pearson's of their ranks, ties at their mean
---rank; 0 where one is the same everywhere. No gradient.
---@param b lunette.Tensor
---@return lunette.Tensor
function M.spearman(a, b)
  same_size("spearman", a, b)
  return core.full(rank_correlation(a, b), 1)
end


-- einsum ----------------------------------------------------------------------------


---"bij,bjk->bik" as lists of letters, and the letters of the result.
local function parse(text, n)
  local inputs, out = tostring(text):gsub("%s", ""):match "^([%a,]+)%->(%a*)$"
  local terms = {}
  for term in (inputs or ""):gmatch "[^,]+" do terms[#terms + 1] = term end
  if not inputs then
    blame(("einsum: '%s' is written like \"ij,jk->ik\": letters of each tensor's "
           .. "dimensions, an arrow, those of the result"):format(brief(text)))
  end
  if #terms ~= n then
    blame(("einsum: '%s' names %s, %d given"):format(brief(text),
          count(#terms, "tensor"), n))
  end
  return terms, out
end


---Every letter's size, checked.
local function sizes_of(terms, list, out)
  local sizes = {}
  for i, term in ipairs(terms) do
    if #term ~= list[i]:dim() then
      blame(("einsum: '%s' for tensor %d, which is %s"):format(term, i,
            shapes.text(list[i])))
    end
    local seen = {}
    for d = 1, #term do
      local c, n = term:sub(d, d), list[i]:dim(d)
      if seen[c] then blame(("einsum: '%s' twice in '%s'"):format(c, term)) end
      seen[c] = true
      if (sizes[c] or n) ~= n then
        blame(("einsum: '%s' is %d in tensor %d and %d before it"):format(c, n, i,
              sizes[c]))
      end
      sizes[c] = n
    end
  end
  for c in out:gmatch "." do
    if not sizes[c] then blame(("einsum: '%s' stands in the result only"):format(c)) end
  end
  return sizes
end


---Without the letters that nothing needs: they are summed.
local function reduced(t, term, needed)
  local gone, left = {}, {}
  for d = 1, #term do
    local c = term:sub(d, d)
    if needed:find(c, 1, true) then left[#left + 1] = c else gone[#gone + 1] = d end
  end
  if #gone > 0 then t = t:sum { dims = gone } end
  return t, table.concat(left)
end


---`t`, whose letters are `term`, in the order of `letters` (the same set).
local function ordered(t, term, letters)
  local order = {}
  for d = 1, #letters do order[d] = term:find(letters:sub(d, d), 1, true) end
  return #order > 1 and t:permute { dims = order } or t
end


---The letters of `term` that `other` has, or with keep = false those that it has not.
local function without(term, other, keep)
  return (term:gsub(".", function(c)
    return (other:find(c, 1, true) ~= nil) == keep and c or ""
  end))
end


local function product_of(letters, sizes)
  local n = 1
  for c in letters:gmatch "." do n = n * sizes[c] end
  return n
end


---One batched matrix product: letters of both that the result needs are the batch,
---letters of both that it does not are summed.
local function pair(a, p, b, q, needed, sizes)
  a, p = reduced(a, p, q .. needed)
  b, q = reduced(b, q, p .. needed)
  local shared = without(p, q, true)
  local batch, sum = without(shared, needed, true), without(shared, needed, false)
  local rows, columns = without(p, q, false), without(q, p, false)
  local function matrix(t, term, first, second)
    return ordered(t, term, batch .. first .. second):reshape { shape = {
      product_of(batch, sizes), product_of(first, sizes), product_of(second, sizes) } }
  end
  local c = core.ops.matmul(matrix(a, p, rows, sum), matrix(b, q, sum, columns))
  local letters, shape = batch .. rows .. columns, {}
  for l in letters:gmatch "." do shape[#shape + 1] = sizes[l] end
  return c:reshape { shape = #shape > 0 and shape or { 1 } }, letters
end


---Sums of products by the letters of their dimensions (Einstein's notation): letters
---that the result does not name are summed.
---Example:
---  local lu = require "lunette"
---  local a, b = lu.normal(2, 3, 4), lu.normal(2, 4, 5)
---  assert(lu.einsum("bij,bjk->bik", a, b):distance(a:matmul(b)) < 1e-6)
---@param text string             "ij,jk->ik"
---@param ... lunette.Tensor
---@return lunette.Tensor
function made.einsum(text, ...)
  local list = { ... }
  local terms, out = parse(text, #list)
  local sizes = sizes_of(terms, list, out)
  local x, letters = list[1], terms[1]
  for i = 2, #list do
    local needed = table.concat(terms, "", i + 1) .. out
    x, letters = pair(x, letters, list[i], terms[i], needed, sizes)
  end
  x, letters = reduced(x, letters, out)
  if out == "" then return x:reshape { shape = { 1 } } end
  return ordered(x, letters, out)
end


---Relative L2 distance ||a-b|| / ||b|| (b is the reference; 0/0 is 0).
---@param b lunette.Tensor   of the same size
---@return number
function M.distance(a, b)
  same_size("distance", a, b)
  local d = (a:view(a:size()) - b:view(b:size())):stats().l2
  local norm = b:stats().l2
  if norm == 0 then return d == 0 and 0 or math.huge end
  return d / norm
end

return made
