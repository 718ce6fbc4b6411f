---Reads Keras 3's `.weights.h5`, in which layers have no names, only a class and a
---number ("layers/conv2d_3/vars/0") in the order that Keras gives them. Layers of a
---network that is known get its names by that order.
local config = require "lunette.weights.import.keras.config"
local modules = require "lunette.weights.import.modules"

local M = {}

---@class lunette.keras.Node
---@field name string
---@field class string       "Conv2D"
---@field inputs string[]
---@field config? table      of the layer, where that is known
---@field within? string     the Sequential that it lies in

---@class lunette.keras.Nodes: lunette.keras.Node[]
---@field last? integer      channels before the head; tells two of one depth
---@field pooled? boolean    true: with a head only, false: without one only

---What the weights of a class are called in Keras 2, in the order of Keras 3.
local slots = {
  conv2d = { "kernel", "bias" }, depthwise_conv2d = { "depthwise_kernel", "bias" },
  separable_conv2d = { "depthwise_kernel", "pointwise_kernel", "bias" },
  dense = { "kernel", "bias" }, normalization = { "mean", "variance", "count" },
  batch_normalization = { "gamma", "beta", "moving_mean", "moving_variance" },
  layer_normalization = { "gamma", "beta" }, layer_scale = { "Variable" },
}


-- Keras' order ---------------------------------------------------------------------


---The nodes with each Sequential among them as one; and what these hold.
local function outermost(nodes)
  local list, holder, inside = {}, {}, {}
  for _, node in ipairs(nodes) do holder[node.name] = node.within end
  for _, node in ipairs(nodes) do
    local name, inputs = node.within, {}
    for i, input in ipairs(node.inputs) do inputs[i] = holder[input] or input end
    if not name or not inside[name] then
      list[#list + 1] = { name = name or node.name, class = node.class, inputs = inputs,
                          is_sequence = name ~= nil }
    end
    if name then
      inside[name] = inside[name] or {}
      table.insert(inside[name], node)
    end
  end
  return list, inside
end


---Each node's distance from the output, and when a walk back from there, one input
---after the other, meets it.
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


---The nodes in the order in which Keras lists the layers of a functional model: the
---farthest from the output first, and at one distance in the order of that walk. Layers
---of a Sequential come after all others, as in the file's paths.
---@param nodes lunette.keras.Node[]   each behind what it reads; the output is the last
---@return lunette.keras.Node[]
function M.in_order(nodes)
  local outer, inside = outermost(nodes)
  local depth, met = walked(outer)
  local order, list, sequences = {}, {}, {}
  for i = 1, #outer do order[#order + 1] = met[i] and i or nil end
  table.sort(order, function(a, b)
    if depth[a] ~= depth[b] then return depth[a] > depth[b] end
    return met[a] < met[b]
  end)
  for _, i in ipairs(order) do
    local into = outer[i].is_sequence and sequences or list
    into[#into + 1] = outer[i]
  end
  for _, sequence in ipairs(sequences) do
    for _, node in ipairs(inside[sequence.name]) do list[#list + 1] = node end
  end
  return list
end


-- a file ---------------------------------------------------------------------------


---Is it a weight of the network, not of its training?
local function belongs_to_net(t)
  return modules.is_float(t) and #t.shape > 0 and not t.name:find "^_?optimizer"
end


---The model that a layer lies in; what lies in a Sequential is that one's, too.
local function holder_of(folder)
  return (folder:gsub("[^/]+$", ""):gsub("sequential[_%d]*/layers/$", ""))
end


---The layers of each class in the order of their paths; those of the model that holds
---most first, the others (`beside`) are a head around it.
local function sorted(by_class)
  local n, most = {}, ""
  for _, list in pairs(by_class) do
    for _, layer in ipairs(list) do
      local holder = holder_of(layer.folder)
      n[holder] = (n[holder] or 0) + 1
      if n[holder] > (n[most] or 0) then most = holder end
    end
  end
  for _, list in pairs(by_class) do
    for _, layer in ipairs(list) do layer.beside = holder_of(layer.folder) ~= most end
    table.sort(list, function(a, b)
      if a.beside ~= b.beside then return b.beside end
      return modules.before(a.folder, b.folder)
    end)
  end
  return by_class
end


---The layers of such a file by class, each list in the order of their numbers; nil
---where the file has names.
---@return table<string, table[]>?
local function counted(tensors)
  local by_class, layers = {}, {}
  for _, t in ipairs(tensors) do
    local belongs = belongs_to_net(t)
    local folder, var = t.name:match "^(.*layers/[^/]+)/vars/(%d+)$"
    local class = folder and folder:match "[^/]+$":gsub("_%d+$", "")
    if belongs and not slots[class] then return nil end
    if belongs and not layers[folder] then
      layers[folder] = { folder = folder, vars = {} }
      by_class[class] = by_class[class] or {}
      table.insert(by_class[class], layers[folder])
    end
    if belongs then layers[folder].vars[tonumber(var) + 1] = t end
  end
  return sorted(by_class)
end


---Does the file have a head, that is more dense layers than the network's body has?
local function has_head(dense, n)
  return #dense > n and not dense[#dense].beside
end


---How many layers with weights of their own a network has of each class.
local function counts_of(nodes)
  local n = {}
  for _, node in ipairs(nodes) do
    local class = config.snake(node.class)
    local given = node.config and node.config.mean
    if slots[class] and not given then n[class] = (n[class] or 0) + 1 end
  end
  return n
end


---Has a network as many layers of each class? Of dense ones the file may have more.
local function same_counts(nodes, by_class)
  local n, dense = counts_of(nodes), by_class.dense or {}
  local body = n.dense or 0
  n.dense = nil
  for class, list in pairs(by_class) do
    if class ~= "dense" and n[class] ~= #list then return false end
    n[class] = nil
  end
  local ends = nodes.pooled == nil or nodes.pooled == has_head(dense, body)
  return next(n) == nil and #dense >= body and ends
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


---The file's layers under the names of a network's; dense layers that it has not are
---the head's.
local function under_names(nodes, by_class)
  local list, at = {}, {}
  for _, node in ipairs(M.in_order(nodes)) do
    local class = config.snake(node.class)
    local layer = by_class[class] and by_class[class][(at[class] or 0) + 1]
    if layer then
      at[class] = (at[class] or 0) + 1
      add(list, layer, node.name, class)
    end
  end
  local dense, body = by_class.dense or {}, at.dense or 0
  for i = body + 1, #dense do
    add(list, dense[i], #dense == body + 1 and "predictions" or "dense_" .. i - body,
        "dense")
  end
  return list
end


---Channels of a network's last normalisation, in a list that `under_names` gave.
local function last_channels(nodes, named)
  local last
  for _, node in ipairs(nodes) do
    last = node.class:find "Normalization$" and node.name .. "/gamma" or last
  end
  for _, t in ipairs(named) do
    if t.name == last then return t.shape[1] end
  end
  return nil
end


---The file's tensors with the names of the network that has as many layers of each
---class, of several the one with as many channels before its head; nil where the file
---has names, or no network fits.
---@param tensors lunette.import.Tensor[]
---@param networks fun(): lunette.keras.Nodes?   gives one after the other
---@return lunette.import.Tensor[]?
function M.named(tensors, networks)
  local by_class = counted(tensors)
  local first
  for nodes in by_class and networks or function() end do
    local named = same_counts(nodes, by_class) and under_names(nodes, by_class)
    if named and (not nodes.last or last_channels(nodes, named) == nodes.last) then
      return named
    end
    first = first or named or nil
  end
  return first
end

return M
