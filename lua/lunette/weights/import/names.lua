---Other people's parameter names in ours: which tensor of a file becomes which
---parameter, and in which order of axes. Pure tables; nothing is read here.
---
---A mapped parameter is { name =, source = tensor, view =, perm =, shape = }: the
---tensor's axes split as `view` says, taken in the order `perm` (from 1), flattened
---to `shape`.
local M = {}

---@class lunette.import.Tensor
---@field index integer     place in the listing, from 0
---@field name string
---@field type string       "F32", "F16", "I64" ...
---@field shape integer[]

---@class lunette.import.Param
---@field name string       our name, "block1_conv1.weight"
---@field source lunette.import.Tensor
---@field view integer[]
---@field perm integer[]
---@field shape integer[]   what our networks expect


-- Convolutions a block in VGG-11, 13, 16 and 19, by how many there are in all.
local vgg_blocks = {
  [8] = { 1, 1, 2, 2, 2 },
  [10] = { 2, 2, 2, 2, 2 },
  [13] = { 2, 2, 3, 3, 3 },
  [16] = { 2, 2, 4, 4, 4 },
}
local vgg_dense = { "fc1", "fc2", "predictions" }


local function vgg_conv_names(count)
  local names = {}
  for block, n in ipairs(vgg_blocks[count] or {}) do
    for i = 1, n do names[#names + 1] = ("block%d_conv%d"):format(block, i) end
  end
  return #names > 0 and names or nil
end


-- one parameter ----------------------------------------------------------------


local function copy_of(t)
  return { table.unpack(t) }
end


local function as_is(name, tensor, shape)
  local perm = {}
  for i = 1, #tensor.shape do perm[i] = i end
  return { name = name, source = tensor, view = tensor.shape, perm = perm,
           shape = shape or tensor.shape }
end


-- Keras convolution: HWIO -> OIHW.
local function keras_conv(name, tensor)
  local h, w, i, o = table.unpack(tensor.shape)
  return { name = name, source = tensor, view = tensor.shape, perm = { 4, 3, 1, 2 },
           shape = { o, i, h, w } }
end


-- Keras dense layer: [in][out] -> [out][in]. After a flatten of H,W,C the inputs
-- are regrouped as C,H,W: `channels` of them in a square.
local function keras_dense(name, tensor, channels)
  local n, out = tensor.shape[1], tensor.shape[2]
  local side = channels and math.floor((n / channels) ^ 0.5 + 0.5)
  if not channels or side == 1 then
    return { name = name, source = tensor, view = tensor.shape, perm = { 2, 1 },
             shape = { out, n } }
  end
  if side * side * channels ~= n then
    return nil, ("'%s' has %d inputs, which is no square of %d channels; only "
      .. "square pictures can be imported"):format(tensor.name, n, channels)
  end
  return { name = name, source = tensor, view = { side, side, channels, out },
           perm = { 4, 3, 1, 2 }, shape = { out, n } }
end


-- Keras ------------------------------------------------------------------------


-- The layer a dataset belongs to: in Keras 3 the group above `vars`, else the
-- deepest group with one of our names, else the group that holds the dataset.
local function keras_layer(path)
  local parts = {}
  for part in path:gmatch("[^/]+") do parts[#parts + 1] = part end
  for i = #parts - 1, 2, -1 do
    if parts[i] == "vars" then return parts[i - 1] end
  end
  for i = #parts - 1, 1, -1 do
    if parts[i]:match("^block%d+_conv%d+$") then return parts[i] end
  end
  return parts[#parts - 1] or parts[1]
end


-- "conv2d_2" before "conv2d_10", "conv2d" before both; fc1, fc2 before others.
local function natural(name)
  local base, number = name:match("^(.-)_?(%d*)$")
  local first = base == "fc" and "0" or "1"
  return first .. base, tonumber(number) or 0
end


local function in_order(layers)
  table.sort(layers, function(a, b)
    local x, i = natural(a.layer)
    local y, j = natural(b.layer)
    if x ~= y then return x < y end
    return i < j
  end)
end


local function is_optimizer(path)
  return path:match("^optimizer") or path:match("^_?optimizer_weights")
    or path:match("^top_level_model_weights") or path:match("^seed_generator")
end


local slots = { "bias", "kernel", [4] = "kernel" } -- by number of axes


-- Puts a tensor into its layer.
local function add_to_layer(by_name, t)
  local name, slot = keras_layer(t.name), slots[#t.shape]
  local layer = by_name[name] or { layer = name }
  by_name[name] = layer
  if not slot then
    return nil, ("'%s' has %d axes; no layer of ours has such weights"):format(t.name,
      #t.shape)
  end
  if layer[slot] then
    return nil, ("layer '%s' has two tensors like '%s': a batch normalisation? Only "
      .. "plain VGG, with convolutions and dense layers, can be imported from Keras")
      :format(name, t.name)
  end
  layer[slot] = t
  return true
end


-- Layers with a kernel and a bias: convolutions and dense ones.
local function keras_layers(tensors)
  local by_name, convs, denses = {}, {}, {}
  for _, t in ipairs(tensors) do
    if not is_optimizer(t.name) then
      local ok, message = add_to_layer(by_name, t)
      if not ok then return nil, message end
    end
  end
  for name, layer in pairs(by_name) do
    if not layer.kernel or not layer.bias then
      return nil, ("layer '%s' has no %s"):format(name,
        layer.kernel and "bias" or "kernel")
    end
    local list = #layer.kernel.shape == 4 and convs or denses
    list[#list + 1] = layer
  end
  in_order(convs)
  in_order(denses)
  return convs, denses
end


-- Names by what the layers are called, or else by their order.
local function keras_names(layers, ours)
  local known = {}
  for _, name in ipairs(ours) do known[name] = true end
  for _, l in ipairs(layers) do
    if not known[l.layer] then
      for i, other in ipairs(layers) do other.name = ours[i] end
      return
    end
  end
  for _, l in ipairs(layers) do l.name = l.layer end
end


local function keras(tensors)
  local convs, denses = keras_layers(tensors)
  if not convs then return nil, denses end
  local names = vgg_conv_names(#convs)
  if not names then
    return nil, ("%d convolutions: no VGG has that many (8, 10, 13 or 16), and "
      .. "from Keras files only VGG is known"):format(#convs)
  end
  if #denses ~= 3 and #denses ~= 0 then
    return nil, ("%d dense layers after the convolutions, VGG has 3 (or none: "
      .. "notop)"):format(#denses)
  end
  keras_names(convs, names)
  keras_names(denses, vgg_dense)
  local params, channels = {}, nil
  for _, l in ipairs(convs) do
    params[#params + 1] = keras_conv(l.name .. ".weight", l.kernel)
    params[#params + 1] = as_is(l.name .. ".bias", l.bias)
    if l.name == names[#names] then channels = l.kernel.shape[4] end
  end
  for _, l in ipairs(denses) do
    local p, message = keras_dense(l.name .. ".weight", l.kernel,
      l.name == "fc1" and channels or nil)
    if not p then return nil, message end
    params[#params + 1] = p
    params[#params + 1] = as_is(l.name .. ".bias", l.bias)
  end
  return params
end


-- torchvision and timm ---------------------------------------------------------


-- Places of the convolutions among features.N, where relus and pools count too.
local function vgg_places(blocks)
  local places, at = {}, 0
  for _, n in ipairs(blocks) do
    for _ = 1, n do
      places[#places + 1] = at
      at = at + 2
    end
    at = at + 1
  end
  return places
end


local function feature_places(by_name)
  local places = {}
  for name in pairs(by_name) do
    local n = name:match("^features%.(%d+)%.weight$")
    if n then places[#places + 1] = tonumber(n) end
  end
  table.sort(places)
  return places
end


local function rename_vgg(places)
  local blocks = vgg_blocks[#places]
  local want = blocks and table.concat(vgg_places(blocks), ",")
  if want ~= table.concat(places, ",") then return nil end
  local ours = vgg_conv_names(#places)
  local map = { ["classifier.0"] = "fc1", ["classifier.3"] = "fc2",
                ["classifier.6"] = "predictions", ["pre_logits.fc1"] = "fc1",
                ["pre_logits.fc2"] = "fc2", ["head.fc"] = "predictions" }
  for i, n in ipairs(places) do map["features." .. n] = ours[i] end
  return map
end


local alexnet = {
  ["features.0"] = "conv1", ["features.3"] = "conv2", ["features.6"] = "conv3",
  ["features.8"] = "conv4", ["features.10"] = "conv5", ["classifier.1"] = "fc6",
  ["classifier.4"] = "fc7", ["classifier.6"] = "fc8",
}


-- Where torchvision has the fire modules 2 .. 9.
local fires = {
  squeezenet1_0 = { 3, 4, 5, 7, 8, 9, 10, 12 },
  squeezenet1_1 = { 3, 4, 6, 7, 9, 10, 11, 12 },
}


local function rename_squeezenet(by_name)
  local places = by_name["features.5.squeeze.weight"] and fires.squeezenet1_0
    or fires.squeezenet1_1
  local map = { ["features.0"] = "conv1", ["classifier.1"] = "conv10" }
  for i, n in ipairs(places) do
    local from, to = ("features.%d."):format(n), ("fire%d."):format(i + 1)
    map[from .. "squeeze"] = to .. "squeeze1x1"
    map[from .. "expand1x1"] = to .. "expand1x1"
    map[from .. "expand3x3"] = to .. "expand3x3"
  end
  return map
end


local function torch_map(by_name)
  for name in pairs(by_name) do
    if name:match("^features%.%d+%.running_mean$") then
      return nil, "a VGG with batch normalisation ('" .. name .. "'), which is not "
        .. "supported: take the plain weights, or fold the normalisation into the "
        .. "convolutions before saving"
    end
  end
  if by_name["features.3.squeeze.weight"] then return rename_squeezenet(by_name) end
  local places = feature_places(by_name)
  if table.concat(places, ",") == "0,3,6,8,10" then return alexnet end
  local map = rename_vgg(places)
  if map then return map end
  return nil, ("convolutions at features.%s: no VGG, AlexNet or SqueezeNet that is "
    .. "known here"):format(table.concat(places, ", "))
end


-- A weight whose trailing axes make one dense input: timm's [4096,512,7,7].
local function torch_shape(ours, tensor)
  local s = tensor.shape
  local dense = ours:match("^fc%d") or ours:match("^predictions")
  if not dense or #s ~= 4 then return s end
  return { s[1], s[2] * s[3] * s[4] }
end


local function torch(tensors, by_name)
  local map, message = torch_map(by_name)
  if not map then return nil, message end
  local params = {}
  for _, t in ipairs(tensors) do
    local module, key = t.name:match("^(.*)%.(%a+)$")
    local ours = map[module]
    if not ours or (key ~= "weight" and key ~= "bias") then
      return nil, ("tensor '%s' has no place in that architecture"):format(t.name)
    end
    local name = ours .. "." .. key
    params[#params + 1] = as_is(name, t, torch_shape(name, t))
  end
  return params
end


-- the way in -------------------------------------------------------------------


-- Checkpoints hold the state dict under a key, and wrappers put a word before
-- every name. Only the part that is the network's stays.
local holders = { "state_dict.", "model_state_dict.", "model_state.", "model.", "net.",
                  "module.", "_orig_mod." }

local function strip(tensors)
  for _ = 1, 4 do
    local again = false
    for _, word in ipairs(holders) do
      local inside = {}
      for _, t in ipairs(tensors) do
        if t.name:sub(1, #word) == word then
          inside[#inside + 1] = {
            index = t.index, name = t.name:sub(#word + 1), type = t.type,
            shape = t.shape, full = t.full or t.name,
          }
        end
      end
      if #inside > 0 and not again then tensors, again = inside, true end
    end
    if not again then break end
  end
  return tensors
end


local floating = { F32 = true, F16 = true, BF16 = true, F64 = true }


-- Ours may hold dense weights (in,out), see docs/formats.md.
local function ours(tensors, _, in_out)
  local params = {}
  for i, t in ipairs(tensors) do
    params[i] = as_is(t.name, t, copy_of(t.shape))
    if in_out[t.full or t.name] then
      if #t.shape ~= 2 then
        return nil, ("lunette_turned names '%s', which is no matrix"):format(t.name)
      end
      params[i].perm, params[i].shape = { 2, 1 }, { t.shape[2], t.shape[1] }
    end
  end
  return params
end


-- Whose names they are, by those that only one kind has.
local function family_of(tensors, by_name)
  if tensors[1].name:find("/", 1, true) then return "keras" end
  return by_name["features.0.weight"] and "torch" or "ours"
end


local maps = { keras = keras, torch = torch, ours = ours }


---Maps a file's tensors to our parameters.
---@param list lunette.import.Tensor[]
---@param in_out table<string, boolean>   names of the dense weights that are (in,out)
---@return lunette.import.Param[]? params, string family   "keras", "torch" or "ours";
---  or nil and a message
function M.map(list, in_out)
  local tensors, by_name = {}, {}
  for _, t in ipairs(strip(list)) do
    if floating[t.type] then
      tensors[#tensors + 1] = t
      by_name[t.name] = t
    end
  end
  if #tensors == 0 then
    return nil, "it holds no floating-point tensors (F16, BF16, F32 or F64, "
      .. "little-endian)"
  end
  local family = family_of(tensors, by_name)
  if family ~= "ours" and next(in_out) then
    return nil, "lunette_turned is not for the names of others"
  end
  local params, message = maps[family](tensors, by_name, in_out)
  return params, params and family or message
end

return M
