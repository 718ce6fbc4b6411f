---The backward pass over a traced graph, itself traced: each operator's gradient
---(trace/back), or another backward rule in its place.
local back = require "lunette.trace.back"
local blame = require "lunette.base.blame"
local nodes = require "lunette.trace.node"
local rules = require "lunette.trace.rules"
local trace = require "lunette.trace"

local M = {}


---The layer, or else the operator, of a traced value.
local function title(t) return t.label or t.op end


---Operators that no gradient passes.
local stops = { detach = true, argmax = true, one_hot = true }


---The values on paths from `wanted` to `y`, last first, and their set.
local function passed(y, wanted)
  local on_way, is_wanted = {}, {}
  for _, w in ipairs(wanted) do is_wanted[w] = true end
  local function visit(t)
    if on_way[t] == nil then
      on_way[t] = is_wanted[t] or false
      if not stops[t.op] and t.live then
        for _, x in ipairs(t.inputs) do
          if x and visit(x) then on_way[t] = true end
        end
      end
    end
    return on_way[t]
  end
  visit(y)
  local list = {}
  for t, yes in pairs(on_way) do if yes then list[#list + 1] = t end end
  table.sort(list, function(a, b) return a.id > b.id end)
  return list, on_way
end


---The true gradient of input i of a value's operator.
---@param t lunette.Traced
---@param dy lunette.Traced
---@param i integer
---@return lunette.Traced?
function M.plain(t, dy, i)
  local way = back[t.op]
  if not way then
    blame(("%s '%s': it has no gradient formula (lua/lunette/trace/back)"):format(t.op,
          title(t)))
  end
  local node = trace.node(t)
  node.inputs = {}
  for k, x in ipairs(t.inputs) do node.inputs[k] = trace.apart(x) end
  local dx, why = way(node, dy, i)
  if why then
    blame(("%s '%s': the gradient of its %s cannot be traced"):format(t.op, title(t),
          why))
  end
  return dx
end


---Gradients of the inputs that lie on the path, by number.
local function answers(t, dy, on_way, rule)
  local list, wanted = {}, {}
  for i, x in ipairs(t.inputs) do
    if x and on_way[x] then wanted[#wanted + 1] = i end
  end
  if type(rule) == "function" then
    local answer = rule(nodes.new(t), dy)
    return trace.is(answer) and { answer } or answer
  elseif rule then
    return rules.apply(rule, trace.node(t), dy, wanted)
  end
  for _, i in ipairs(wanted) do list[i] = M.plain(t, dy, i) end
  return list
end


---Adds the gradients of a value's inputs to those that they have already.
local function hand_on(t, got, on_way, grad)
  for i, x in ipairs(t.inputs) do
    local dx = x and on_way[x] and got[i]
    if dx then grad[x] = grad[x] and grad[x] + dx or dx end
  end
end


---The gradients of sum(y seed) with respect to some values before it.
---@param y lunette.Traced
---@param seed lunette.Traced        as y
---@param wanted lunette.Traced[]
---@param own? table<integer, any>   backward rules by id: a rule of the engine with
---  its parameters, or a function of the node and dy, as modifiers have them
---@return (lunette.Traced|false)[]   one a wanted value; false: y does not depend on it
function M.of(y, seed, wanted, own)
  local list, on_way = passed(y, wanted)
  local grad = { [y] = seed }
  for _, t in ipairs(list) do
    if grad[t] and t.op ~= "leaf" then
      local got = trace.within("back." .. title(t), answers, t, grad[t], on_way,
                               own and own[t.id])
      hand_on(t, got, on_way, grad)
    end
  end
  local result = {}
  for i, w in ipairs(wanted) do result[i] = grad[w] or false end
  return result
end

return M
