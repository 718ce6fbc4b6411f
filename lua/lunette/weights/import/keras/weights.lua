---Which tensor of a Keras file is which weight of a layer. Keras 2 keeps them by the
---layer's name ("block1_conv1/block1_conv1/kernel:0"), Keras 3 by its class and count
---("layers/conv2d_3/vars/0"); both are tried by all that is there, never by shapes.
local Weights = {}
Weights.__index = Weights


local function is_float(t)
  return t.type == "F32" or t.type == "F16" or t.type == "BF16" or t.type == "F64"
end


---What belongs to training, not to the network.
local function is_training(name)
  return name:find "^optimizer" or name:find "^_?optimizer_weights"
    or name:find "seed_generator" or name:find "^top_level_model_weights"
end


---"kernel:0" -> "kernel"; what has no name of its own Keras 3 counts: "variable_7".
local function plain(word)
  return (word:gsub(":%d+$", ""):gsub("^variable_%d+$", "variable"))
end


---By every end of the path that a tensor lies in: "a/b/conv", "b/conv", "conv".
local function add_suffixes(index, tensor)
  local folder, slot = tensor.name:match "^(.*)/([^/]+)$"
  if not folder then return end
  slot = plain(slot)
  local at = 1
  while at do
    local key = folder:sub(at) .. "/" .. slot
    index[key] = index[key] or {}
    table.insert(index[key], tensor)
    local slash = folder:find("/", at, true)
    at = slash and slash + 1
  end
end


---@param tensors lunette.import.Tensor[]
---@return table weights
local function new(tensors)
  local w = setmetatable({ by_path = {}, by_suffix = {}, used = {}, list = {} },
                         Weights)
  for _, t in ipairs(tensors) do
    if is_float(t) and not is_training(t.name) then
      w.list[#w.list + 1] = t
      w.by_path[t.name] = t
      w.is_keras3 = w.is_keras3 or t.name:find "/vars/%d+$" ~= nil
      add_suffixes(w.by_suffix, t)
    end
  end
  return w
end


---Does a tensor lie in these groups, from the outermost on?
local function lies_in(t, path2)
  local name = t.name:gsub("^model_weights/", "")
  local outer = path2[1] .. "/"
  if name:sub(1, #outer) ~= outer then return false end
  local at = #outer + 1
  for i = 2, #path2 do
    local _, last = name:find(path2[i] .. "/", at, true)
    if not last then return false end
    at = last + 1
  end
  return true
end


---The one tensor under a path's end; of several the one that lies in the models around.
local function under(w, path2, slot)
  local found = w.by_suffix[path2[#path2] .. "/" .. slot]
  if not found or #found == 1 then return found and found[1] end
  for _, t in ipairs(found) do
    if lies_in(t, path2) then return t end
  end
  return nil
end


---Keras 2: a group of the layer's name, whatever the inner one is called.
local function in_group(w, path2, slot)
  local outer = path2[1] .. "/"
  for _, t in ipairs(w.list) do
    local rest = t.name:gsub("^model_weights/", "")
    if rest:sub(1, #outer) == outer and #path2 == 1
       and plain(rest:match "([^/]*)$") == slot then
      return t
    end
  end
  return nil
end


---The tensor of a weight, marked as used, or nil.
---@param call lunette.keras.Call
---@param slots string[]   what Keras 2 calls it
---@param place integer    which of the layer's weights it is in Keras 3, from 1
---@return lunette.import.Tensor?
function Weights:find(call, slots, place)
  local t
  if self.is_keras3 then
    local vars = ("/vars/%d"):format(place - 1)
    t = self.by_path[call.path3 .. vars] or self.by_path["layers/"
      .. table.concat(call.path2, "/layers/") .. vars]
      or self.by_path["_layer_checkpoint_dependencies/" .. call.path2[#call.path2]
      .. vars]
  end
  for _, slot in ipairs(t and {} or slots) do
    t = t or under(self, call.path2, slot) or in_group(self, call.path2, slot)
  end
  if t then self.used[t] = true end
  return t
end


---Classes of layers that keep weights.
local has_weights = {
  Conv2D = true, Dense = true, DepthwiseConv2D = true, SeparableConv2D = true,
  BatchNormalization = true, LayerNormalization = true, Normalization = true,
  PReLU = true, LayerScale = true,
}


---Layers with weights in the order of the config, by the outermost model's names.
local function weighted_layers(calls)
  local list, seen = {}, {}
  for _, call in ipairs(calls) do
    local name = call.path2[1]
    if has_weights[call.class] and not seen[name] then
      seen[name], list[#list + 1] = true, name
    end
  end
  return list
end


---Groups that hold tensors, in the order of the file's own `layer_names`.
local function groups(w, layer_names)
  local there, list = {}, {}
  for _, t in ipairs(w.list) do
    there[t.name:gsub("^model_weights/", ""):match "^[^/]+"] = true
  end
  for name in layer_names:gmatch "[^\n]+" do
    if there[name] then list[#list + 1] = name end
  end
  return list
end


---Keras gives weights to layers by their order, so a file's groups may be called
---otherwise than the config's layers: then they go by that order, where it tells.
---@param calls lunette.keras.Call[]
---@param layer_names string   as lines
function Weights:by_order(calls, layer_names)
  local layers, names, same = weighted_layers(calls), groups(self, layer_names), {}
  for _, name in ipairs(names) do same[name] = true end
  if #layers ~= #names or self.is_keras3 then return end
  local missing = false
  for _, name in ipairs(layers) do missing = missing or not same[name] end
  if not missing then return end
  local renamed = {}
  for i, name in ipairs(layers) do renamed[name] = names[i] end
  for _, call in ipairs(calls) do
    local name = renamed[call.path2[1]]
    if name then
      if #call.path2 == 1 then call.path2 = { name } else call.path2[1] = name end
    end
  end
end


---A tensor that nothing asked for, or nil.
---@return lunette.import.Tensor?
function Weights:left()
  for _, t in ipairs(self.list) do
    local counter = #t.shape == 0 or t.name:find "count:?%d*$"
    if not self.used[t] and not counter then return t end
  end
  return nil
end

return new
