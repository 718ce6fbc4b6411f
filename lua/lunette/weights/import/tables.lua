---Architectures by the names of their modules: ResNets, DenseNets, MobileNets ... as
---torchvision has them, with any head of dense layers or none.
local models = require "lunette.models"
local vgg = require "lunette.weights.import.vgg"

local M = {}

---These are told otherwise: by shapes, or by the origin of the file.
local others = { "^vgg", "^squeezenet", "^tiny_vgg", "^alexnet", "^mobilenet$" }

---Names of heads that serve training alone.
M.of_training = { googlenet = "^aux[12]%f[.]", inception_v3 = "^AuxLogits%f[.]" }

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


---Modules that are no part of the body: the dense layers of the head, and how many are
---something else.
local function rest_of(mods, used, name)
  local list, strange, ignored = {}, 0, M.of_training[name] or "^$"
  for _, m in ipairs(mods.list) do
    local w = not m.name:find(ignored) and m.params.weight
    local dense = w and #w.shape == 2 and not m.params.running_mean
    if w and not used[m] then -- neither of the body nor a counter
      if dense then list[#list + 1] = m else strange = strange + 1 end
    end
  end
  return list, strange
end


---Puts the dense layers of the file in the place of the table's own.
local function give_head(arch, head, list)
  local layers = table.move(arch.layers, 1, head - 1, 1, {})
  for i, m in ipairs(list) do
    local dense = { m.name, "linear", units = m.params.weight.shape[1] }
    if not m.params.bias then dense.bias = false end
    layers[#layers + 1] = dense
    if i < #list then layers[#layers + 1] = { m.name .. "_relu", "relu" } end
  end
  layers[#layers + 1] = { "softmax", "softmax" }
  arch.layers, arch.labels = layers, nil
end


---Takes the head away, and the pooling before it: maps are the output.
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


---The table's head as the file has it; raises where its order is open.
local function fit_head(arch, mods, given, used)
  local head, assumed = place_of_head(arch), {}
  local list, strange = rest_of(mods, used, arch.name)
  if strange > 0 then return assumed end -- said when tensors are matched
  if #list == 0 then
    without_head(arch, head)
    return assumed
  end
  list = vgg.in_order(list, 1, given)
  if #list > 1 then assumed[1] = "relu between its dense layers" end
  local own, only = arch.layers[head], list[1]
  if #list > 1 or only.name ~= own[1] or not only.params.bias then
    give_head(arch, head, list)
  elseif only.params.weight.shape[1] ~= own.units then
    own.units, arch.labels = only.params.weight.shape[1], nil
  end
  return assumed
end


---The table of layers for these modules, and what had to be assumed.
local function adapted(name, mods, given, used)
  local side = given.side or side_of(models[name](), mods)
  local arch = models[name] { side = side }
  arch.input[1] = channels(arch, mods)
  local assumed = fit_head(arch, mods, given, used)
  if not side then
    assumed[#assumed + 1] = ("input %dx%d (--side)"):format(arch.input[2],
      arch.input[3])
  end
  assumed[#assumed + 1] = ("%s as torchvision has it (--arch)"):format(name)
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


---Compares an architecture's layers before the head with the modules: `wrong` counts
---those that are missing or unknown. Nil where its first layer is missing.
local function compared(name, mods)
  local arch = models[name]()
  if not first_of(arch, mods) then return nil end
  local used, missing = body_of(arch, place_of_head(arch), mods)
  local _, strange = rest_of(mods, used, name)
  return { name = name, used = used, wrong = missing + strange,
           near = missing + strange < #arch.layers / 10 }
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
  if #found == 0 then found[1] = nearest end
  for _, c in ipairs(found) do
    c.arch, c.assumed = adapted(c.name, mods, given, c.used)
    c.options = {}
  end
  return found
end

return M
