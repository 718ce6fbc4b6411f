---A file's tensors as modules: which of them belong together, and how each is read in
---our order of axes, whoever wrote it. Pure tables; nothing is read here.
---
---A parameter is { source = tensor, view =, perm =, shape = }: the tensor's axes split
---as `view` says, taken in the order `perm` (from 1), which gives `shape`.
local M = {}

---@class lunette.import.Tensor
---@field index integer     place in the listing, from 0
---@field name string
---@field type string       "F32", "F16", "I64" ...
---@field shape integer[]

---@class lunette.import.Param
---@field name? string      ours, "block1_conv1.weight"
---@field source lunette.import.Tensor
---@field view integer[]
---@field perm integer[]
---@field shape integer[]

---@class lunette.import.Module
---@field name string
---@field params table<string, lunette.import.Param>   "weight", "bias", "running_mean"

local floating = { F32 = true, F16 = true, BF16 = true, F64 = true }


---Can a tensor's numbers be weights?
---@param t lunette.import.Tensor
---@return boolean
function M.is_float(t) return floating[t.type] ~= nil end


---A tensor in the order in which it lies.
---@param tensor lunette.import.Tensor
---@param shape? integer[]   its axes joined
---@return lunette.import.Param
function M.as_is(tensor, shape)
  local perm = {}
  for i = 1, #tensor.shape do perm[i] = i end
  return { source = tensor, view = tensor.shape, perm = perm,
           shape = shape or tensor.shape }
end


---(in,out) -> (out,in).
local function transposed(tensor)
  local n, out = tensor.shape[1], tensor.shape[2]
  return { source = tensor, view = tensor.shape, perm = { 2, 1 }, shape = { out, n } }
end


---(h,w,in,out) -> (out,in,h,w).
local function from_hwio(tensor)
  local h, w, i, o = table.unpack(tensor.shape)
  return { source = tensor, view = tensor.shape, perm = { 4, 3, 1, 2 },
           shape = { o, i, h, w } }
end


---Modules in the order of the file, and by name.
local function add(list, by_name, name, key, param)
  local module = by_name[name]
  if not module then
    module = { name = name, params = {} }
    list[#list + 1], by_name[name] = module, module
  end
  if module.params[key] then
    return nil, ("two tensors are '%s.%s' ('%s' and '%s')"):format(name, key,
      module.params[key].source.name, param.source.name)
  end
  module.params[key] = param
  return true
end


---The module and the parameter that a tensor's name says: "features.0.weight" is the
---weight of features.0. Torch's MultiheadAttention has its projection without a module
---of its own ("attn.in_proj_weight"), networks their own parameters ("class_token").
local function parted(name)
  local owner, key = name:match "^(.*)%.([^.]+)$"
  local projected = owner and key:match "^in_proj_(.+)$"
  if projected then return owner .. ".in_proj", projected end
  return owner or name, key or name
end


---Torch's names, or ours.
---@param tensors { name: string, tensor: lunette.import.Tensor }[]
---@param in_out table<string, boolean>   dense weights that are (in,out)
---@return lunette.import.Module[]? modules, string|table by_name
function M.plain(tensors, in_out)
  local list, by_name = {}, {}
  for _, t in ipairs(tensors) do
    local name, key = parted(t.name)
    local param = M.as_is(t.tensor)
    if in_out[t.tensor.name] then
      if #t.tensor.shape ~= 2 then
        return nil, ("lunette_turned names '%s', which is no matrix"):format(t.name)
      end
      param = transposed(t.tensor)
    end
    local ok, message = add(list, by_name, name, key, param)
    if not ok then return nil, message end
  end
  return list, by_name
end


-- Keras --------------------------------------------------------------------------


---What belongs to training.
local function is_training(path)
  return path:find "^optimizer" or path:find "^_?optimizer_weights"
    or path:find "^top_level_model_weights" or path:find "seed_generator"
end


---The layer a dataset belongs to: in Keras 3 the group above `vars`, else the deepest
---group with one of our names, else the group that holds the dataset.
local function keras_layer(path)
  local parts = {}
  for part in path:gmatch "[^/]+" do parts[#parts + 1] = part end
  for i = #parts - 1, 2, -1 do
    if parts[i] == "vars" then return parts[i - 1] end
  end
  for i = #parts - 1, 1, -1 do
    if parts[i]:find "^block%d+_conv%d+$" then return parts[i] end
  end
  local twice = path:gsub("^model_weights/", ""):match "^(.+)/%1/[^/]+$"
  return twice or parts[#parts - 1] or parts[1] -- "conv1/bn/conv1/bn/gamma:0"
end


local keras_keys = {
  gamma = "weight", beta = "bias", moving_mean = "running_mean",
  moving_variance = "running_var", bias = "bias",
}

---Of a separable convolution, which is two of ours.
local keras_kernels = { pointwise_kernel = "pointwise" }


---What a tensor is to its layer: by its name in Keras 2, by its axes in Keras 3.
local function keras_param(t)
  local slot = t.name:match "([^/]*)$":gsub(":%d+$", "")
  if keras_keys[slot] then return keras_keys[slot], M.as_is(t) end
  if #t.shape == 4 then return keras_kernels[slot] or "weight", from_hwio(t) end
  if #t.shape == 2 then return "weight", transposed(t) end
  if #t.shape == 1 then
    return slot:find "^%d+$" and "vars." .. slot or "bias", M.as_is(t)
  end
  return nil, ("'%s' has %d axes; no layer of ours has such weights"):format(t.name,
    #t.shape)
end


local four = { "weight", "bias", "running_mean", "running_var" }


---Keras 3 numbers the weights of a layer: a vector beside a kernel is its bias, four
---vectors are a batch normalisation.
local function name_vars(module)
  local p = module.params
  if p["vars.1"] and p.weight then p.bias, p["vars.1"] = p["vars.1"], nil end
  if p["vars.0"] and p["vars.3"] and not p.weight then
    for i, key in ipairs(four) do
      p[key], p["vars." .. i - 1] = p["vars." .. i - 1], nil
    end
  end
  for key, param in pairs(p) do
    if key:find "^vars" then
      return nil, ("layer '%s' has '%s', and the file does not say what kind of layer "
        .. "it is (a Normalization?)"):format(module.name, param.source.name)
    end
  end
  return true
end


---Kernels as Theano kept them: (out,in,h,w).
local function is_theano(modules)
  local before, kernels = nil, 0
  for _, m in ipairs(modules) do
    local s = m.params.weight and m.params.weight.source.shape
    if s and #s == 4 then
      if s[3] ~= s[4] or s[1] == s[3] or before and s[2] ~= before then return false end
      before, kernels = s[1], kernels + 1
    end
  end
  return kernels > 1
end


---Keras' files, by the layers' names.
---@param tensors lunette.import.Tensor[]
---@return lunette.import.Module[]? modules, string|table by_name
function M.keras(tensors)
  local list, by_name = {}, {}
  for _, t in ipairs(tensors) do
    if M.is_float(t) and not is_training(t.name) and #t.shape > 0 then
      local key, param = keras_param(t)
      if not key then return nil, param end
      local ok, message = add(list, by_name, keras_layer(t.name), key, param)
      if not ok then return nil, message end
    end
  end
  for _, m in ipairs(list) do
    local ok, message = name_vars(m)
    if not ok then return nil, message end
  end
  if is_theano(list) then
    return nil, "its kernels are (out,in,height,width), as Keras with Theano kept "
      .. "them, and rotated; load them with Keras on TensorFlow and save them again"
  end
  return list, by_name
end


---"conv2d_2" before "conv2d_10", "conv2d" before both; "classifier.6" before
---"classifier.6.0".
---@param a string
---@param b string
---@return boolean
function M.before(a, b)
  local function key(name)
    return (name:gsub("_?(%d+)", function(d) return ("%020.0f"):format(d) end))
  end
  local x, y = key(a), key(b)
  return x ~= y and x < y or x == y and a < b
end

return M
