---Computes a traced graph with the engine, so that a traced method can be compared with
---the method itself.
local core = require "lunette.core"
local trace = require "lunette.trace"

local M = {}


---The gradient of an operator without a formula, by the engine.
local function engine_gradient(inputs, attrs)
  local dy, tape = inputs[1], core.tape()
  local x = tape:watch(inputs[2])
  local y = core.ops[attrs.op](x, attrs.attrs)
  return core.backward(y, dy, { x:node() })[1]
end


local special = {
  detach = function(inputs) return inputs[1]:detach() end,
  backward = engine_gradient,
  argmax = function(inputs)
    local list = {}
    for i = 1, inputs[1]:dim(1) do list[i] = inputs[1][i]:argmax() - 1 end
    return core.tensor(list)
  end,
  one_hot = function(inputs, _, dims)
    local t = core.zeros(inputs[1]:size(), dims[2])
    for i = 1, t:dim(1) do t:set(i, math.tointeger(inputs[1]:get(i)) + 1, 1) end
    return t
  end,
}


---Attributes for a batch of n.
local function attributes(attrs, n)
  local copy = {}
  for key, v in pairs(attrs) do copy[key] = v end
  if type(attrs.shape) == "table" then copy.shape = trace.for_batch(attrs.shape, n) end
  return copy
end


local function apply(t, inputs, n)
  if special[t.op] then return special[t.op](inputs, t.attrs, t.dims) end
  inputs[#t.inputs + 1] = attributes(t.attrs, n)
  return core.ops[t.op](table.unpack(inputs, 1, #t.inputs + 1))
end


---The way back through the largest of a window, to places that are given: flat, from 0.
local function put_at(dy, places, dims, n)
  local shape = trace.for_batch(dims, n)
  local size = 1
  for _, d in ipairs(shape) do size = size * d end
  return core.zeros(size):scatter_add(places:reshape { places:size() } + 1,
    dy:reshape { dy:size() }, { dim = 1 }):reshape { shape = shape }
end


---Computes traced values, given the tensors of the leaves by name.
---@param list lunette.Traced[]
---@param leaves table<string, lunette.Tensor>
---@param n integer   pictures in the batch
---@param imposed? table<lunette.Traced, lunette.Tensor>   decisions that are given:
---  comparisons as 1 and 0, places of the largest (max_pool2d's way back), classes
---@return lunette.Tensor[]
function M.run(list, leaves, n, imposed)
  local values = {}
  imposed = imposed or {}
  local function value(t)
    if values[t] == nil then
      if t.op == "constant" then
        values[t] = trace.known(t)
      elseif t.op == "leaf" then
        values[t] = leaves[t.name] or error("no value for " .. t.name)
      else
        local inputs = {}
        for i, x in ipairs(t.inputs) do inputs[i] = x and value(x) or nil end
        if imposed[t] and t.op == "backward" then
          values[t] = put_at(inputs[1], imposed[t], t.dims, n)
        else
          values[t] = imposed[t] or apply(t, inputs, n)
        end
      end
    end
    return values[t]
  end
  local result = {}
  for i, t in ipairs(list) do result[i] = value(t) end
  return result
end

return M
