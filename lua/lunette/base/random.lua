---Random tensors: the shape first, as with zeros and ones, the seed an option.
local blame = require "lunette.base.blame"
local core = require "lunette.core"

local M = {}

local calls = 0 -- without a seed every call has numbers of its own


local function misuse(what, why)
  blame(("%s: %s; the shape comes first, the seed is an option: "
         .. "lu.%s({ 2, 3 }, { seed = 7 })"):format(what, why, what))
end


---The shape and the options in (n, m, ..., [options]) or ({n, m ...}, [options]).
local function arguments(what, ...)
  local list = table.pack(...)
  local opts = nil
  if list.n > 1 and type(list[list.n]) == "table" then
    opts, list.n = list[list.n], list.n - 1
    if #opts > 0 then misuse(what, "a shape after numbers") end
  end
  local shape = list[1]
  if type(shape) ~= "table" then
    shape = table.move(list, 1, list.n, 1, {})
  elseif list.n > 1 then
    misuse(what, "expected one list and options")
  end
  if #shape == 0 then misuse(what, "no shape") end
  for i, d in ipairs(shape) do
    if math.type(d) ~= "integer" or d < 1 then
      misuse(what, ("dimension %d is %s"):format(i, tostring(d)))
    end
  end
  return shape, opts
end


---Seed and stream; without a seed a stream that no call had before.
local function source(o)
  if o.seed then return o.seed, o.stream or 0 end
  calls = calls + 1
  return -1, calls
end


---Numbers of one kind: core.normal or core.uniform. `defaults` are the options that
---only this kind has.
---@return lunette.Tensor numbers, table options
local function draw(what, defaults, ...)
  local shape, opts = arguments(what, ...)
  defaults.seed, defaults.stream = false, false
  local o = require("lunette.base.options").check(what, opts, defaults, 4)
  local seed, stream = source(o)
  return core[what](seed, stream, shape), o
end


---Normal random numbers (Box-Muller over a counter, engine/random.c). The same seed
---gives the same numbers on every machine; without one every call gives others, which
---are the same in every session.
---Example:
---  local lu = require "lunette"
---  print(lu.normal({ 2, 3 }, { seed = 7 }))
---  assert(lu.normal(2, 3):same(lu.normal(2, 3)) == false)
---@param ... integer|table   shape (numbers or one list), then options: {seed =,
---  stream =, mean = 0, deviation = 1}
---@return lunette.Tensor
function M.normal(...)
  local t, o = draw("normal", { mean = 0, deviation = 1 }, ...)
  if o.mean == 0 and o.deviation == 1 then return t end
  return t * o.deviation + o.mean
end


---Uniform random numbers, from `from` to below `to`; seeds as in `lu.normal`.
---Example:
---  local lu = require "lunette"
---  print(lu.uniform({ 2, 3 }, { seed = 7, from = -1, to = 1 }))
---@param ... integer|table   shape (numbers or one list), then options: {seed =,
---  stream =, from = 0, to = 1}
---@return lunette.Tensor
function M.uniform(...)
  local t, o = draw("uniform", { from = 0, to = 1 }, ...)
  if o.from == 0 and o.to == 1 then return t end
  return t * (o.to - o.from) + o.from
end


---Normal random numbers of a tensor's shape; options as of `lu.normal`.
---Example:
---  local lu = require "lunette"
---  print(lu.normal_like(lu.zeros(2, 3), { seed = 7 }))
---@param t lunette.Tensor
---@param opts? table
---@return lunette.Tensor
function M.normal_like(t, opts) return M.normal(t:shape(), opts or {}) end


---Uniform random numbers of a tensor's shape; options as of `lu.uniform`.
---Example:
---  local lu = require "lunette"
---  print(lu.uniform_like(lu.zeros(2, 3), { seed = 7 }))
---@param t lunette.Tensor
---@param opts? table
---@return lunette.Tensor
function M.uniform_like(t, opts) return M.uniform(t:shape(), opts or {}) end

return M
