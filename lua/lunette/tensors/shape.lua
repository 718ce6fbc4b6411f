---Shapes: joining, cutting, dropping and adding dimensions, and regions t[{...}].
---Everything that reads has a gradient.
local blame = require "lunette.base.blame"
local brief = require("lunette.base.text").brief
local core = require "lunette.core"
local dims = require "lunette.tensors.dims"
local shapes = require "lunette.base.shapes"
local types = require "lunette.base.types"

local M = core.methods
local made = {} -- what `lu` has of these


local function check_list(what, list)
  if type(list) ~= "table" or #list == 0 then
    blame(("%s: a list of tensors is needed, got %s"):format(what,
          type(list) == "table" and "an empty one" or type(list)))
  end
  for i, x in ipairs(list) do
    local traced = type(x) == "table" and getmetatable(x) ~= nil
    if not types.is_tensor(x) and not traced then
      blame(("%s: part %d of the list is %s, a tensor is wanted"):format(what, i,
            types.told(x)))
    end
  end
end


---Tensors one after the other along a dimension.
---Example:
---  local lu = require "lunette"
---  print(lu.concat({ lu.ones(1, 2), lu.zeros(1, 2) }, 1))
---@param list lunette.Tensor[]
---@param d? integer   1
---@return lunette.Tensor
function made.concat(list, d)
  check_list("concat", list)
  d = dims.one("concat", list[1], d or 1)
  local most, x = core.op_info "concat".inputs[2], list[1]
  for from = 2, #list, most - 1 do -- an operator has so many inputs
    local all = { x, table.unpack(list, from, math.min(#list, from + most - 2)) }
    all[#all + 1] = { dim = d }
    x = core.ops.concat(table.unpack(all))
  end
  return x
end


---Tensors of one shape along a new dimension.
---Example:
---  local lu = require "lunette"
---  print(lu.stack { lu.tensor { 1, 2 }, lu.tensor { 3, 4 } }) -- (2,2)
---@param list lunette.Tensor[]
---@param d? integer   where the new dimension stands (1)
---@return lunette.Tensor
function made.stack(list, d)
  check_list("stack", list)
  local all = {}
  for i, t in ipairs(list) do
    if not shapes.same(t, list[1]) then
      blame(("stack: tensor %d is %s, the first is %s"):format(i, shapes.text(t),
            shapes.text(list[1])))
    end
    all[i] = t:unsqueeze(d or 1)
  end
  return made.concat(all, d or 1)
end


---Pieces of so many along a dimension (the last may be smaller), or of the lengths of a
---list.
---Example:
---  local lu = require "lunette"
---  assert(#lu.range(1, 5):split(2) == 3)
---@param size integer|integer[]
---@param d? integer   1
---@return lunette.Tensor[]
function M.split(t, size, d)
  d = dims.one("split", t, d or 1)
  local lengths, n = size, t:dim(d)
  if math.type(size) == "integer" and size > 0 then
    lengths = {}
    for at = 1, n, size do lengths[#lengths + 1] = math.min(size, n - at + 1) end
  elseif type(size) ~= "table" then
    blame("split: a length from 1 or a list of lengths, not " .. brief(size))
  end
  local sum, list = 0, {}
  for i, length in ipairs(lengths) do
    if math.type(length) ~= "integer" or length < 0 or sum + length > n then
      blame(("split: piece %d of %s, where %d of %d are left"):format(i,
            brief(length), n - sum, n))
    end
    list[i], sum = t:narrow(d, sum + 1, length), sum + length
  end
  if sum ~= n then blame(("split: pieces of %d in all, of %d"):format(sum, n)) end
  return list
end


---At most n pieces of one length (the last may be smaller).
---@param n integer
---@param d? integer   1
---@return lunette.Tensor[]
function M.chunk(t, n, d)
  if math.type(n) ~= "integer" or n < 1 then
    blame("chunk: how many is a whole number from 1, not " .. brief(n))
  end
  d = dims.one("chunk", t, d or 1)
  return M.split(t, math.max(1, -(-t:dim(d) // n)), d)
end


---One index of a dimension, which goes.
---@param d integer
---@param i integer   from 1, from the end when negative
---@return lunette.Tensor
function M.select(t, d, i)
  d = dims.one("select", t, d)
  local n = t:dim(d)
  if math.type(i) ~= "integer" or i == 0 or math.abs(i) > n then
    blame(("select: index %s of dimension %d, which has %d"):format(brief(i), d, n))
  end
  local x = t:narrow(d, i < 0 and n + 1 + i or i, 1)
  return t:dim() == 1 and x or x:squeeze(d)
end


---What `tile` is called with: one list, or numbers.
local function times_of(t, ...)
  if not types.is_tensor(t) then
    blame "tile: call it with a colon, x:tile(...)"
  end
  local times = type((...)) == "table" and (...) or { ... }
  if times == ... and select("#", ...) > 1 then
    blame "tile takes one list, or numbers: there is an argument more"
  end
  if #times > 6 then
    blame(("tile: tensors have at most 6 dimensions, got %d times"):format(#times))
  end
  return times
end


---The tensor repeated so many times along each dimension.
---Example:
---  local lu = require "lunette"
---  print(lu.tensor { 1, 2 }:tile(2, 3)) -- (2,6)
---@param ... integer   times; more numbers than dimensions add some in front
---@return lunette.Tensor
function M.tile(t, ...)
  local times, x = times_of(t, ...), t
  while x:dim() < #times do x = x:unsqueeze(1) end
  for i, n in ipairs(times) do
    local d = x:dim() - #times + i
    if math.type(n) ~= "integer" or n < 1 then
      blame("tile: times are whole numbers from 1, not " .. brief(n))
    end
    local all = {}
    for k = 1, n do all[k] = x end
    x = n == 1 and x or made.concat(all, d)
  end
  return x
end


---Without dimensions of 1: that one, or all.
---@param d? integer
---@return lunette.Tensor
function M.squeeze(t, d)
  d = d and dims.one("squeeze", t, d)
  if d and t:dim(d) ~= 1 then
    blame(("squeeze: dimension %d of %s is not 1"):format(d, shapes.text(t)))
  end
  local shape = {}
  for i, n in ipairs(t:shape()) do
    if n ~= 1 or d and i ~= d then shape[#shape + 1] = n end
  end
  return t:reshape { shape = #shape > 0 and shape or { 1 } }
end


---With a dimension of 1 before dimension d.
---@param d integer   from 1 to one more than there are; -1: behind the last
---@return lunette.Tensor
function M.unsqueeze(t, d)
  local most = t:dim() + 1
  if math.type(d) ~= "integer" or d == 0 or math.abs(d) > most then
    blame(("unsqueeze: dimension %s of 1 to %d"):format(brief(d), most))
  end
  local shape = t:shape()
  table.insert(shape, d < 0 and most + 1 + d or d, 1)
  return t:reshape { shape = shape }
end


---With two dimensions exchanged.
---@param a? integer   the one before the last
---@param b? integer   the last
---@return lunette.Tensor
function M.transpose(t, a, b)
  a, b = dims.one("transpose", t, a or -2), dims.one("transpose", t, b or -1)
  local order = {}
  for i = 1, t:dim() do order[i] = i end
  order[a], order[b] = b, a
  return t:permute { dims = order }
end


-- regions ---------------------------------------------------------------------------


---First and last index that a part names, as it stands there.
local function named(part, n)
  if type(part) ~= "table" then return part, part end
  return part[1] or 1, part[2] or part[1] or n
end


local function outside(from, to, d, n)
  local what = from == to and ("index %d"):format(from) or ("%d to %d"):format(from, to)
  blame(("dimension %d: %s is outside 1 .. %d (x[{ 1, 5 }] is row 1, column 5; "
         .. "x[{ { 1, 5 } }] rows 1 to 5)"):format(d, what, n))
end


---First and last index of a part of a dimension of n.
local function bounds(part, d, n)
  local from, to = named(part, n)
  if math.type(from) ~= "integer" or math.type(to) ~= "integer" then
    blame(("dimension %d: an index, {} for all or {first, last}, not %s"):format(d,
          type(part) == "table" and ("{%s,%s}"):format(from, to) or brief(part)))
  end
  local a, b = from < 0 and n + 1 + from or from, to < 0 and n + 1 + to or to
  if a < 1 or b > n or b < a then
    outside(from, to, d, n)
  end
  return a, b
end


local function regions(t, list)
  if type(list) ~= "table" then
    blame("a list of indices and bounds is expected, got " .. type(list))
  end
  if #list > t:dim() then
    blame(("%d indices of a tensor %s"):format(#list, shapes.text(t)))
  end
  local all = {}
  for d = 1, t:dim() do
    local a, b = bounds(list[d] or {}, d, t:dim(d))
    all[d] = { a, b, gone = math.type(list[d]) == "integer" }
  end
  return all
end


---A part of a tensor, as t[{ ... }]: for each dimension an index (which drops it), {}
---for all of it, or { first, last }; indices from the end are negative.
---Example:
---  local lu = require "lunette"
---  local t = lu.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
---  print(t[{ {}, { 2, 3 } }], t[{ 2, { 1, -2 } }])
---@param list table
---@return lunette.Tensor
function M.region(t, list)
  local x, shape = t, {}
  for d, r in ipairs(regions(t, list)) do
    if r[1] > 1 or r[2] < t:dim(d) then x = x:narrow(d, r[1], r[2] - r[1] + 1) end
    if not r.gone then shape[#shape + 1] = r[2] - r[1] + 1 end
  end
  return x:reshape { shape = #shape > 0 and shape or { 1 } }
end


---Writes `part` (a flat tensor from index `at`, or a number); gives the next index.
local function write(t, all, d, part, at)
  local a, b = all[d][1], all[d][2]
  local whole = true
  for k = d + 1, #all do
    whole = whole and all[k][1] == 1 and all[k][2] == t:dim(k - d + 1)
  end
  if whole then
    local rows = t:rows(a, b)
    if type(part) == "number" then rows:fill_(part) return at end
    rows:copy_(part:rows(at, at + rows:size() - 1))
    return at + rows:size()
  end
  for i = a, b do at = write(t[i], all, d + 1, part, at) end
  return at
end


---Writes a number or a tensor of as many values into a part, as t[{ ... }] = value.
---Example:
---  local lu = require "lunette"
---  local t = lu.zeros(2, 3)
---  t[{ {}, { 2, 3 } }] = 1
---@param list table   as of region
---@param value number|lunette.Tensor
function M.set_region(t, list, value)
  local all, n = regions(t, list), 1
  for _, r in ipairs(all) do n = n * (r[2] - r[1] + 1) end
  if type(value) == "number" then return (write(t, all, 1, value, 1)) end
  if type(value) ~= "userdata" or value:size() ~= n then
    blame(("a region of %d values, got %s"):format(n, type(value) == "userdata"
          and "a tensor " .. shapes.text(value) or type(value)))
  end
  write(t, all, 1, value:detach():clone():view(n), 1)
end


---The values as nested lists; `lu.tensor` makes a tensor of them again.
---@return table
function M.table(t) return t:totable() end

return made
