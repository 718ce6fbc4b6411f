---The picture under its own map: what class activation maps are judged by (Chattopadhay
---et al. 2018).
local asking = require "lunette.explain.asking"
local core = require "lunette.core"

local M = {}


---The map from 0 to 1: (a - min) / (max - min + 1e-7).
---@param map lunette.Tensor   (H,W)
---@return lunette.Tensor
function M.scaled(map) return map:view(1, map:dim(1), map:dim(2)):normalize()[1] end


---The scores of the picture, and of the picture times its scaled map.
---@param map lunette.Tensor
---@param case lunette.Case
---@param o table   score, modifiers, batch
---@return number whole, number under
function M.scores(map, case, o)
  local u = M.scaled(map):view(1, 1, map:dim(1), map:dim(2))
  local x = asking.picture(case)
  local values = asking.scores(case, o, 2, function(first, k)
    local both = core.zeros(k, table.unpack(x:shape(), 2))
    for n = 1, k do both[n] = (first + n - 1 == 1 and x or x * u)[1] end
    return both
  end)
  return values[1], values[2]
end


---The share of the score that is lost under the map.
---@return number drop   from 0 on
function M.drop(whole, under)
  return whole ~= 0 and math.max(0, whole - under) / whole or 0
end


---How far a map of the covered picture is like the map: (1 + Pearson) / 2 (Poppi et
---al.).
---@param map lunette.Tensor
---@param case lunette.Case
---@return number
function M.coherency(map, case)
  local u = M.scaled(map)
  local x = asking.picture(case) * u:view(1, 1, map:dim(1), map:dim(2))
  local again = M.scaled(require("lunette.explain.alike").plane(
    case.again:maps(x, case.i)[1]))
  local r = asking.correlation(u:view(u:size()):totable(),
                               again:view(again:size()):totable())
  return (1 + r) / 2
end


---The harmonic mean; 0 where one of them is.
---@param list number[]
---@return number
function M.harmonic(list)
  local sum = 0
  for _, v in ipairs(list) do
    if v <= 0 then return 0 end
    sum = sum + 1 / v
  end
  return #list / sum
end

return M
