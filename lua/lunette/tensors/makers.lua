---Tensors from a few numbers, in addition to the core's zeros, ones, full and range.
local blame = require "lunette.base.blame"
local brief = require("lunette.base.text").brief
local core = require "lunette.core"

local made = {}


---n values from `from` to `to`, both included, evenly spaced.
---Example:
---  local lu = require "lunette"
---  print(lu.linspace(0, 1, 5))
---@param from number
---@param to number
---@param n? integer   50
---@return lunette.Tensor
function made.linspace(from, to, n)
  n = n or 50
  if math.type(n) ~= "integer" or n < 1 then
    blame("linspace: how many is a whole number from 1, not " .. brief(n))
  end
  if n == 1 then return core.full(from, 1) end
  local share = core.range(0, n - 1) * (1 / (n - 1))
  return (1 - share) * from + share * to -- exact at both ends
end


---from, from + step ... below `to`, which is left out as numpy does (lu.range has it).
---@param from number   with one argument: the end, from 0
---@param to? number
---@param step? number   1
---@return lunette.Tensor
function made.arange(from, to, step)
  if to == nil then from, to = 0, from end
  step = step or 1
  if step == 0 then blame "arange: the step is 0" end
  local n = math.max(0, math.ceil((to - from) / step))
  if n == 0 then return core.zeros(0) end
  return core.range(0, n - 1) * step + from
end


---The identity matrix.
---@param n integer
---@param m? integer   columns (n)
---@return lunette.Tensor   (n,m)
function made.eye(n, m)
  local t = core.zeros(n, m or n)
  for i = 1, math.min(n, m or n) do t:set(i, i, 1) end
  return t
end


---Zeros of a tensor's shape.
---@param t lunette.Tensor
---@return lunette.Tensor
function made.zeros_like(t) return core.zeros(t:shape()) end


---Ones of a tensor's shape.
---@param t lunette.Tensor
---@return lunette.Tensor
function made.ones_like(t) return core.ones(t:shape()) end


---One value everywhere, of a tensor's shape.
---@param t lunette.Tensor
---@param value number
---@return lunette.Tensor
function made.full_like(t, value) return core.full(value, t:shape()) end

return made
