---What an output means, as the network itself says: its last activation decides.
---
---  softmax, log_softmax   "softmax"   classes that exclude each other
---  sigmoid of one unit    "binary"    p of class 1, and 1 - p of class 0
---  sigmoid of several     "sigmoid"   labels that do not exclude each other
---  anything else          "values"    no probabilities: none are made up
local M = {}

local probability = { softmax = true, log_softmax = true, sigmoid = true }

---Kinds of layers that change no number.
local same_numbers = { flatten = true, dropout = true }


local function size_of(layer)
  local n = 1
  for _, d in ipairs(layer.shape) do n = n * d end
  return n
end


---The activation that `layer` comes out of, seen through what changes no number.
---@param net lunette.Net
---@param layer lunette.Layer
---@return lunette.Layer?   nil: none that makes probabilities
function M.activation(net, layer)
  while same_numbers[layer.kind] and layer.from[1] ~= "input" do
    layer = net:layer(layer.from[1])
  end
  return probability[layer.kind] and layer or nil
end


---What the values of a layer are.
---@param net lunette.Net
---@param layer lunette.Layer
---@return "softmax"|"sigmoid"|"binary"|"values"
function M.kind(net, layer)
  local last = M.activation(net, layer)
  if not last then return "values" end
  if last.kind ~= "sigmoid" then return "softmax" end
  return size_of(layer) == 1 and "binary" or "sigmoid"
end


---The layer whose values are the probabilities of `layer`: itself, or its only
---reader where a run stopped before that one (`linear`). nil: there are none.
---@param net lunette.Net
---@param layer lunette.Layer
---@return lunette.Layer?
function M.layer(net, layer)
  if M.activation(net, layer) then return layer end
  local next_
  for _, other in ipairs(net:layers()) do
    for _, from in ipairs(other.from) do
      if from == layer.name then
        if next_ then return nil end
        next_ = other
      end
    end
  end
  return next_ and probability[next_.kind] and next_ or nil
end


---Does one unit stand for two classes?
---@param net lunette.Net
---@param layer lunette.Layer
---@return boolean
function M.binary(net, layer)
  local last = M.layer(net, layer)
  return last ~= nil and M.kind(net, last) == "binary"
end


---Names of a layer's classes; none where it has other classes than the network.
---@param net lunette.Net
---@param layer lunette.Layer
---@return string[]
function M.names(net, layer)
  local names = require("lunette.score.labels").of(net) or {}
  local binary = M.binary(net, layer)
  if binary and #names == 1 then return { "not " .. names[1], names[1] } end
  return #names == (binary and 2 or layer.shape[1]) and names or {}
end


---Both classes that one unit stands for, (N,2): `whole` - v for class 0, v for 1.
---@param v lunette.Tensor     of N values
---@param whole number         1 for probabilities, 0 for values before the sigmoid
---@return lunette.Tensor
function M.both(v, whole)
  local flat = v:detach():reshape { v:dim(1) }
  local two = require("lunette.core").zeros(v:dim(1), 2)
  for i = 1, v:dim(1) do
    two:set(i, 1, whole - flat[i])
    two:set(i, 2, flat[i])
  end
  return two
end


local finish = {
  softmax = function(v) return v:softmax(2) end,
  log_softmax = function(v) return v:softmax(2) end,
  sigmoid = function(v) return v:sigmoid() end,
}


---Probabilities (N,classes) of what `layer` put out: of one unit 1 - p and p.
---@param net lunette.Net
---@param layer lunette.Layer
---@param value lunette.Tensor
---@return lunette.Tensor? p, string? message
function M.of(net, layer, value)
  local source = M.layer(net, layer)
  if not source then
    return nil, ("%s: the output '%s' has no probabilities: no softmax or sigmoid "
      .. "ends it"):format(net.name, layer.name)
  end
  local last = M.activation(net, source)
  if source ~= layer then
    value = finish[last.kind](value)
  elseif last.kind == "log_softmax" then
    value = value:exp()
  end
  return M.kind(net, source) == "binary" and M.both(value, 1) or value
end

return M
