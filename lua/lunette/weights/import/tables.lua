---Architectures by the names of their modules: ResNets, DenseNets, MobileNets ... as
---torchvision has them, with any head of dense layers or none.
local heads = require "lunette.weights.import.heads"
local models = require "lunette.models"
local named = require "lunette.models.named"
local sizes = require "lunette.weights.import.sizes"
local stages = require "lunette.weights.import.stages"

local M = {}

---Architectures that are recognised elsewhere: by shapes, or by the origin of the file.
local others = { "^vgg", "^squeezenet", "^tiny_vgg", "^alexnet", "^mobilenet$" }

---Names of heads that serve training alone.
M.of_training = { googlenet = "^aux[12]%f[.]", inception_v3 = "^AuxLogits%f[.]" }
for _, name in ipairs(models.names) do -- of Hugging Face, which no class is read from
  if name:find "^vit_" then M.of_training[name] = "^pooler%f[.]" end
end

local has_weights = { conv2d = true, linear = true, batch_norm = true,
                      layer_norm = true }


---Place of the last dense layer.
local function place_of_head(arch)
  for i = #arch.layers, 1, -1 do
    if arch.layers[i][2] == "linear" then return i end
  end
  return nil
end


---The module of a layer, by any of its names.
local function module_of(mods, spec)
  for _, name in ipairs { spec[1], table.unpack(spec.aliases or {}) } do
    if mods.by_name[name] then return mods.by_name[name] end
  end
  return nil
end


---Modules of the layers before the head, and how many have none.
local function body_of(arch, head, mods)
  local used, missing = {}, 0
  for i = 1, head - 1 do
    local spec = arch.layers[i]
    local m = has_weights[spec[2]] and module_of(mods, spec)
    if m then used[m] = true elseif has_weights[spec[2]] then missing = missing + 1 end
  end
  return used, missing
end


---Does a batch norm stand in one sequence with a dense layer: "fc.1" with "fc.0"?
local function is_beside(norm, list)
  local base = norm.name:match "^(.*)%.%d+$"
  for _, m in ipairs(list) do
    if base and m.name:match "^(.*)%.%d+$" == base then return true end
  end
  return false
end


---Modules that are no part of the body: the dense layers of the head, batch norms
---between them, and how many are something else.
local function rest_of(mods, used, name)
  local list, rest, norms, strange = {}, {}, {}, 0
  local ignored = M.of_training[name] or "^$"
  for _, m in ipairs(mods.list) do
    local w = not m.name:find(ignored) and m.params.weight
    if w and not used[m] then -- neither of the body nor a counter
      local into = #w.shape == 2 and not m.params.running_mean and list or rest
      into[#into + 1] = m
    end
  end
  for _, m in ipairs(rest) do
    if m.params.running_mean and is_beside(m, list) then
      norms[#norms + 1] = m
    else
      strange = strange + 1
    end
  end
  return list, norms, strange
end


---Puts the dense layers of the file in the place of the table's own.
local function give_head(arch, head, list, norms)
  local layers = table.move(arch.layers, 1, head - 1, 1, {})
  local function add(layer) layers[#layers + 1] = layer end
  local front = norms.front
  if front then
    add { front.norm.name, "batch_norm" }
    if front.relu then add { front.norm.name .. "_relu", "relu" } end
  end
  for i, m in ipairs(list) do
    local n = norms[m]
    local norm = n and { n.norm.name, "batch_norm" }
    add { m.name, "linear", units = heads.size(m), bias = m.params.bias ~= nil }
    if n and n.side == "before" then add(norm) end
    if i < #list and (not n or n.relu) then add { m.name .. "_relu", "relu" } end
    if n and n.side == "behind" then add(norm) end
  end
  add { "softmax", "softmax" }
  arch.layers, arch.labels = layers, nil
end


---Removes the head and the pooling before it, so that maps are the output.
local function without_head(arch, head)
  local pools = { flatten = true, global_avg_pool = true, dropout = true }
  head = head - 1
  while pools[arch.layers[head][2]] do head = head - 1 end
  arch.layers = table.move(arch.layers, 1, head, 1, {})
  arch.labels = nil
end


---The module of the first layer with weights.
local function first_of(arch, mods)
  for _, spec in ipairs(arch.layers) do
    if has_weights[spec[2]] then return module_of(mods, spec) end
  end
  return nil
end


---The channels of the pictures that the first convolution reads.
local function channels(arch, mods)
  local first = first_of(arch, mods)
  local w = first and first.params.weight
  return w and #w.shape == 4 and w.shape[2] or arch.input[1]
end


---A Vision Transformer's side: a token a patch, and the class token.
local function side_of(arch, mods)
  local m = mods.by_name["encoder"] or mods.by_name["encoder.embedded"]
  local places = m and m.params.pos_embedding
  if not places then return nil end
  return math.floor((places.shape[2] - 1) ^ 0.5 + 0.5) * arch.layers[1].kernel
end


---The table of an architecture with what the file tells of its sizes.
local function table_of(name, mods, opts)
  local own = name:find "^vit_" and sizes.transformer(mods) or {}
  for key, value in pairs(opts or {}) do own[key] = value end
  return models[name](own), own.width and own.heads
end


---The table's head as the file has it; raises where its order is open.
local function fit_head(arch, mods, given, used)
  local head = place_of_head(arch)
  local list, norms, strange = rest_of(mods, used, arch.name)
  if strange > 0 then return {} end -- said when tensors are matched
  if #list == 0 then
    without_head(arch, head)
    return {}
  end
  list = heads.in_order(list, 1, given)
  norms = heads.norms(list, norms, given)
  local own, only = arch.layers[head], list[1]
  local same = only.name == own[1]
  for _, alias in ipairs(own.aliases or {}) do same = same or only.name == alias end
  if #list > 1 or next(norms) or not same or not only.params.bias then
    give_head(arch, head, list, norms)
  elseif heads.size(only) ~= own.units then
    own.units, arch.labels = heads.size(only), nil
  end
  return { heads.assumption(list, norms) }
end


-- widths -----------------------------------------------------------------------------


---Architectures that have a width, by which channels are multiplied, and fractions that
---people train.
local has_width = { "^mobilenet_v", "^resnet", "^resnext", "^wide_resnet",
                    "^densenet%d+_keras" }
local widths = { 0.1, 0.2, 0.25, 0.35, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 1.1, 1.2,
                 1.25, 1.3, 1.4, 1.5, 1.75, 2 }


---Do the convolutions before the head have the shapes of the file's?
local function fits(arch, mods)
  for i = 1, place_of_head(arch) - 1 do
    local spec = arch.layers[i]
    local m = spec[2] == "conv2d" and module_of(mods, spec)
    local w = m and m.params.weight
    if w and w.shape[1] ~= spec.filters then return false end
  end
  return true
end


---The channels of the file's first and last convolution, divided by the table's. The
---last ratio is the nearest to the width, since numbers of channels are rounded.
local function ratios(arch, mods)
  local list = {}
  for i = 1, place_of_head(arch) - 1 do
    local spec = arch.layers[i]
    local m = spec[2] == "conv2d" and module_of(mods, spec)
    local w = m and m.params.weight
    if w then list[list[1] and 2 or 1] = w.shape[1] / spec.filters end
  end
  return list
end


---The width whose channels are those of the file; nil: 1, or none.
local function width_of(name, mods)
  local known, arch = false, models[name]()
  for _, pattern in ipairs(has_width) do known = known or name:find(pattern) ~= nil end
  if not known or fits(arch, mods) then return nil end
  local tries = ratios(arch, mods)
  for _, width in ipairs(table.move(widths, 1, #widths, #tries + 1, tries)) do
    if fits(models[name] { width = width }, mods) then return width end
  end
  return nil
end


-- small pictures ---------------------------------------------------------------------


---Is it an architecture for small pictures, whose first convolution keeps their size?
local function is_small(name) return name:find "_cifar" ~= nil end


---Does the file look like a network for small pictures: with a last layer "linear", a
---first layer "conv1.0", or three stages, where torchvision's have four?
local function has_small_names(mods)
  return mods.by_name["linear"] ~= nil or mods.by_name["conv1.0"] ~= nil
    or mods.by_name["layer4.0.conv1"] == nil
end


---Raises where a ResNet for small pictures has torchvision's names, which do not say
---whether it pools behind its first convolution.
local function check_small(found, mods, given)
  local c = found[1]
  local said = given.arch or has_small_names(mods)
  if said or not c or not is_small(c.name) then return end
  error(("its first convolution is 3x3, so that it is made for small pictures: %s, "
    .. "without pooling behind it (--arch %s), or a network that has torchvision's "
    .. "pooling there (describe it with --arch net.lua)"):format(c.name, c.name), 0)
end


---Those whose first convolution has the file's kernel, or all where none has.
local function by_kernel(found, mods)
  local list = {}
  for _, c in ipairs(found) do
    local m = first_of(models[c.name](), mods)
    local spec = models[c.name]().layers[1]
    local w = m and m.params.weight
    if w and #w.shape == 4 and spec.kernel == w.shape[3] then list[#list + 1] = c end
  end
  return #list > 0 and list or found
end


---Another epsilon for all norms.
local function set_eps(arch, eps)
  for _, layer in ipairs(arch.layers) do
    if layer[2] == "batch_norm" or layer[2] == "layer_norm" then layer.eps = eps end
  end
end


---Whose table an architecture is.
local function origin_of(name, mods)
  if is_small(name) then
    return models[name]().layers[1].filters == 16 and "its paper" or "pytorch-cifar"
  end
  return mods.family == "keras" and "Keras" or "torchvision"
end


---Changes the norms and paddings of a table to those of another library.
local function as_elsewhere(arch, mods, assumed)
  if mods.eps then set_eps(arch, mods.eps) end
  if mods.ends ~= "same" then return end
  stages.pad_as_tensorflow(arch)
  assumed[#assumed + 1] = "paddings and an epsilon of 0.001 as TensorFlow has them"
end


---The table of layers for these modules, and what had to be assumed.
---@param c { name: string, used: table, stages: table[]? }
local function adapted(c, mods, given)
  local side = given.side or side_of(models[c.name](), mods)
  local width = not c.stages and width_of(c.name, mods) or nil
  local arch, n = table_of(c.name, mods, { side = side, width = width,
                                           stages = c.stages })
  local name = arch.name
  arch.input[1] = channels(arch, mods)
  local assumed = fit_head(arch, mods, given, c.used)
  as_elsewhere(arch, mods, assumed)
  assumed[#assumed + 1] = n and ("%d heads"):format(n)
  if not side then
    assumed[#assumed + 1] = ("input %dx%d (--side)"):format(arch.input[2],
      arch.input[3])
  end
  assumed[#assumed + 1] = ("%s as %s has it%s (--arch)"):format(name,
    origin_of(c.name, mods), width and (", %g times as wide"):format(width) or "")
  return arch, assumed
end


---Is it one of these tables, and not another that the user asked for?
local function is_asked(name, given)
  if given.arch and given.arch ~= name then return false end
  for _, pattern in ipairs(others) do
    if name:find(pattern) then return false end
  end
  return true
end


---Is an architecture's first layer with weights among the modules? Saves building the
---others.
---@param name string
---@param mods { by_name: table }
---@return boolean
function M.begins(name, mods)
  for _, n in ipairs(named.first_names(name)) do
    if mods.by_name[n] then return true end
  end
  return false
end


---Compares an architecture's layers before the head with the modules: `wrong` counts
---those that are missing or unknown. Nil where its first layer is missing.
local function compared(name, mods, opts)
  if not M.begins(name, mods) then return nil end
  local arch = table_of(name, mods, opts)
  local used, missing = body_of(arch, place_of_head(arch), mods)
  local _, _, strange = rest_of(mods, used, name)
  return { name = name, used = used, wrong = missing + strange,
           near = missing + strange < #arch.layers / 10 }
end


---The network of a family whose stages are those of the file, where no row of it has
---such; else nil.
local function of_own_stages(found, mods, given)
  local name, own = sizes.stages(mods)
  if given.arch or not name then return nil end
  for _, c in ipairs(found) do
    if fits(table_of(c.name, mods), mods) then return nil end
  end
  local c = compared(name, mods, { stages = own })
  if not c or c.wrong > 0 then return nil end
  c.stages = own
  return { c }
end


---Networks whose modules before the head all have the names of these; where there is
---none, the one that lacks fewest, so that it can be said what is missing.
---@param mods { list: lunette.import.Module[], by_name: table, family: string }
---@param given lunette.import.Given
---@return { name: string, arch: table, assumed: string[], options: table }[]
function M.find(mods, given)
  local found, nearest = {}, nil
  for _, name in ipairs(models.names) do
    local c = is_asked(name, given) and compared(name, mods)
    if c and c.wrong == 0 then
      found[#found + 1] = c
    elseif c and c.near and (not nearest or c.wrong < nearest.wrong) then
      nearest = c
    end
  end
  found = of_own_stages(found, mods, given) or found
  if #found == 0 then found[1] = nearest end
  found = by_kernel(found, mods)
  check_small(found, mods, given)
  for _, c in ipairs(found) do
    c.arch, c.assumed = adapted(c, mods, given)
    c.name, c.options = c.arch.name, {}
  end
  return found
end

return M
