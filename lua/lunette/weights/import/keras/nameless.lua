---Keras 3's `.weights.h5`, which has no names: layers are counted by their class
---("layers/conv2d_3/vars/0"), in the order that Keras gives them. Of a network that is
---known they get their names, by that order.
local config = require "lunette.weights.import.keras.config"
local modules = require "lunette.weights.import.modules"

local M = {}

---@class lunette.keras.Node
---@field name string
---@field class string       "Conv2D"
---@field inputs string[]

---What the weights of a class are called in Keras 2, in the order of Keras 3.
local slots = {
  conv2d = { "kernel", "bias" }, depthwise_conv2d = { "depthwise_kernel", "bias" },
  separable_conv2d = { "depthwise_kernel", "pointwise_kernel", "bias" },
  dense = { "kernel", "bias" }, normalization = { "mean", "variance", "count" },
  batch_normalization = { "gamma", "beta", "moving_mean", "moving_variance" },
}


-- Keras' order ---------------------------------------------------------------------


---How far each node is from the output, and when it is met on the way back, inputs one
---after the other.
local function walked(nodes)
  local at, depth, met, count = {}, {}, {}, 0
  for i, node in ipairs(nodes) do at[node.name], depth[i] = i, 0 end
  for i = #nodes, 1, -1 do -- what a node reads stands before it
    for _, input in ipairs(nodes[i].inputs) do
      local k = at[input]
      if k then depth[k] = math.max(depth[k], depth[i] + 1) end
    end
  end
  local todo = { #nodes }
  while #todo > 0 do
    local i = table.remove(todo)
    if not met[i] then
      count = count + 1
      met[i] = count
      local inputs = nodes[i].inputs
      for k = #inputs, 1, -1 do todo[#todo + 1] = at[inputs[k]] end
    end
  end
  return depth, met
end


---The nodes as Keras lists the layers of a functional model: those far from the output
---first, of those as far the one that is met first on the way back from it.
---@param nodes lunette.keras.Node[]   each behind what it reads; the output is the last
---@return lunette.keras.Node[]
function M.in_order(nodes)
  local depth, met = walked(nodes)
  local order = {}
  for i = 1, #nodes do order[#order + 1] = met[i] and i or nil end
  table.sort(order, function(a, b)
    if depth[a] ~= depth[b] then return depth[a] > depth[b] end
    return met[a] < met[b]
  end)
  for k, i in ipairs(order) do order[k] = nodes[i] end
  return order
end


-- a file ---------------------------------------------------------------------------


---Is it a weight of the network, not of its training?
local function belongs_to_net(t)
  return modules.is_float(t) and #t.shape > 0 and not t.name:find "^_?optimizer"
end


---The layers of such a file by class, each list in the order of their numbers; nil
---where the file has names.
---@return table<string, table[]>?
local function counted(tensors)
  local by_class, layers = {}, {}
  for _, t in ipairs(tensors) do
    local belongs = belongs_to_net(t)
    local folder, var = t.name:match "^(.*layers/[^/]+)/vars/(%d+)$"
    local name = folder and folder:match "[^/]+$"
    local class = name and name:gsub("_%d+$", "")
    if belongs and not slots[class] then return nil end
    if belongs and not layers[folder] then
      layers[folder] = { name = name, vars = {} }
      by_class[class] = by_class[class] or {}
      table.insert(by_class[class], layers[folder])
    end
    if belongs then layers[folder].vars[tonumber(var) + 1] = t end
  end
  for _, list in pairs(by_class) do
    table.sort(list, function(a, b) return modules.before(a.name, b.name) end)
  end
  return by_class
end


---Has a network as many layers of each class?
local function same_counts(nodes, by_class)
  local n = {}
  for _, node in ipairs(nodes) do
    local class = config.snake(node.class)
    if slots[class] and class ~= "dense" then n[class] = (n[class] or 0) + 1 end
  end
  for class, list in pairs(by_class) do
    if class ~= "dense" and n[class] ~= #list then return false end
    n[class] = nil
  end
  return next(n) == nil
end


---A layer's tensors under a name, as Keras 2 has them.
local function add(list, layer, name, class)
  local words = slots[class]
  local skip = class == "batch_normalization" and #layer.vars == 3 and 1 or 0
  for i, t in ipairs(layer.vars) do
    local copy = {}
    for key, value in pairs(t) do copy[key] = value end
    copy.full = t.full or t.name
    copy.name = ("%s/%s"):format(name, words[i + skip] or i)
    list[#list + 1] = copy
  end
end


---The file's layers under the names of a network's.
local function under_names(nodes, by_class)
  local list, at, dense = {}, {}, by_class.dense or {}
  for _, node in ipairs(M.in_order(nodes)) do
    local class = config.snake(node.class)
    if by_class[class] and class ~= "dense" then
      at[class] = (at[class] or 0) + 1
      add(list, by_class[class][at[class]], node.name, class)
    end
  end
  for i, layer in ipairs(dense) do
    add(list, layer, #dense == 1 and "predictions" or "dense_" .. i, "dense")
  end
  return list
end


---The file's tensors with the names of the first network that has as many layers of
---each class; nil where the file has names, or no network fits.
---@param tensors lunette.import.Tensor[]
---@param networks fun(): lunette.keras.Node[]?   gives one after the other
---@return lunette.import.Tensor[]?
function M.named(tensors, networks)
  local by_class = counted(tensors)
  for nodes in by_class and networks or function() end do
    if same_counts(nodes, by_class) then return under_names(nodes, by_class) end
  end
  return nil
end

return M
