---DeepFool (Moosavi-Dezfooli et al. 2016): the distance to the nearest decision
---boundary. The network is linearised: the boundary of class k is then lead_k / |w_k|
---away, where w_k is the gradient of the class's lead over k. The picture steps to the
---nearest boundary, again and again, until its label changes.
local core = require "lunette.core"
local margin = require "lunette.attack.margin"
local scores = require "lunette.score"

local M = {}


---For each picture, the classes whose boundaries are considered: the target, or the
---`most` classes of the largest values besides its own.
local function rivals_of(output, p, most)
  local list, n, count = {}, output:dim(1), output:dim(2)
  local order = output:argsort(2):totable()
  for i = 1, n do
    list[i] = p.goal.targeted and { p.goal.classes[i] } or {}
    for k = 1, p.goal.targeted and 0 or count do
      local class = math.tointeger(order[i][k]) - 1
      if class ~= p.truth[i] and #list[i] < most then
        list[i][#list[i] + 1] = class
      end
    end
  end
  return list
end


---The lead of each picture's own class over its j-th rival.
local function lead_over(p, rivals, j)
  return scores.new("lead over a rival", function(output)
    local signs = core.zeros(output:dim(1), output:dim(2))
    for i, list in ipairs(rivals) do
      signs:set(i, p.truth[i] + 1, 1)
      signs:set(i, list[j] + 1, -1)
    end
    return (output * signs):sum { dims = { 2 }, keepdims = 1 }
  end)
end


---The step of picture i: to the nearest of its boundaries; nil where there is no slope.
---`leads` and `squares`: [j][i]; `slopes`: (j, i) in one dimension.
local function step_of(i, n, leads, squares, slopes)
  local best, least
  for j, line in ipairs(squares) do
    local far = line[i] > 0 and math.abs(leads[j][i]) / math.sqrt(line[i])
    if far and (not least or far < least) then best, least = j, far end
  end
  if not best then return nil end
  return slopes[(best - 1) * n + i] * (-leads[best][i] / squares[best][i])
end


---Moves the pictures whose label has not changed yet; returns how many these are.
local function move(p, run, rivals, moved)
  local n, list, leads = moved:dim(1), {}, {}
  for j = 1, #rivals[1] do
    list[j] = lead_over(p, rivals, j)
    leads[j] = run:values(list[j]):view(n):totable()
  end
  local sign = p.goal.targeted and -1 or 1
  local value = (run:values(margin.lead(p.goal.classes)) * sign):view(n):totable()
  local staying = 0
  for i = 1, n do staying = staying + (value[i] >= 0 and 1 or 0) end
  if staying == 0 then return 0 end
  local slopes = p.space:gradient(run:gradient { scores = list })
  local size = moved:size() // n
  local squares = slopes:view(#list, n, size):square():sum { dims = { 3 } }
    :view(#list, n):totable()
  for i = 1, n do
    local step = value[i] >= 0 and step_of(i, n, leads, squares, slopes)
    if step then moved[i] = moved[i] + step end
  end
  return staying
end


---@param p { net: lunette.Net, space: lunette.LevelSpace, levels: lunette.Tensor,
---  goal: lunette.Goal, truth: integer[] }
---@param o { steps: integer, rivals: integer, overshoot: number }
---@return lunette.Tensor levels
function M.attack(p, o)
  local moved, rivals = core.zeros(p.levels:shape()), nil
  local function now() return (p.levels + moved * (1 + o.overshoot)):clamp(0, 255) end
  for _ = 1, o.steps do
    local run <close> = p.net:run(p.space:input(now()),
                                  { modifiers = margin.modifiers(p.net) })
    rivals = rivals or rivals_of(run.output:detach(), p, o.rivals)
    if move(p, run, rivals, moved) == 0 then break end
  end
  return now()
end

return M
