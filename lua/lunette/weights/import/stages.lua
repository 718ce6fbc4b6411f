---timm's EfficientNets, MobileNets and MNASNets: modules lie in stages and blocks
---("blocks.2.0.conv_pw"), torchvision's in one row, numbered through. Both compute them
---in the same order, by which they get torchvision's names.
local models = require "lunette.models"
local same_padding = require("lunette.weights.import.keras.rows.common").same_padding

local M = {}

---Architectures that timm names so.
local families = { "^efficientnet_b%d$", "^mobilenet_v", "^mnasnet" }

---The order of the modules of a block, by what it begins with.
local orders = {
  expand = { "conv_pw", "bn1", "conv_dw", "bn2", "se.conv_reduce", "se.conv_expand",
             "conv_pwl", "bn3" },
  depthwise = { "conv_dw", "bn1", "se.conv_reduce", "se.conv_expand", "conv_pw",
                "bn2" },
  plain = { "conv", "bn1" },
}

---Those around the blocks.
local around = { conv_stem = 1, bn1 = 2, conv_head = 4, bn2 = 5, classifier = 6 }


local function rank_of(part, order)
  for i, name in ipairs(order) do
    if part == name then return i end
  end
  return nil
end


local function before(a, b)
  for k = 1, 4 do
    if a.place[k] ~= b.place[k] then return a.place[k] < b.place[k] end
  end
  return false
end


---Modules behind a prefix, with the shapes of their parameters.
local function modules_of(list, prefix)
  local found, by_name = {}, {}
  for _, t in ipairs(list) do
    local name = t.name:sub(1, #prefix) == prefix and t.name:sub(#prefix + 1) or ""
    local module, key = name:match "^(.*)%.([^.]+)$"
    if module and not by_name[module] then
      by_name[module] = { name = module, shapes = {} }
      found[#found + 1] = by_name[module]
    end
    if module then by_name[module].shapes[key] = t.tensor.shape end
  end
  return found, by_name
end


---A module's place in the order of computation; nil: it is none of these networks'.
local function place_of(name, by_name)
  if around[name] then return { around[name], 0, 0, 0 } end
  local block, s, i, part = name:match "^(blocks%.(%d+)%.(%d+)%.)(.+)$"
  if not block then return nil end
  local kind = by_name[block .. "conv_pwl"] and "expand"
    or by_name[block .. "conv_dw"] and "depthwise" or "plain"
  local rank = rank_of(part, orders[kind])
  return rank and { 3, tonumber(s), tonumber(i), rank }
end


---Modules of these networks behind a prefix, in the order of computation.
local function in_order(list, prefix)
  local found, by_name = modules_of(list, prefix)
  local known = {}
  for _, m in ipairs(found) do
    m.place = place_of(m.name, by_name)
    if m.place then known[#known + 1] = m end
  end
  table.sort(known, before)
  return known
end


---Is a module of a layer's kind, with its kernel and as many groups?
local function is_like(m, layer)
  local w = m.shapes.weight
  if not w then return false end
  if layer[2] == "batch_norm" then return m.shapes.running_mean ~= nil end
  if layer[2] == "linear" then return #w == 2 or #w == 4 and w[3] == 1 end
  local depthwise = (layer.groups or 1) > 1
  return #w == 4 and w[3] == layer.kernel and depthwise == (w[2] == 1)
end


local has_weights = { conv2d = true, batch_norm = true, linear = true }


---Names of an architecture's layers for modules in their order; nil where they are of
---another. A head is no part of it.
local function names_by(arch, list)
  local names, at = {}, 0
  for _, layer in ipairs(arch.layers) do
    if has_weights[layer[2]] then
      at = at + 1
      local m = list[at]
      if not m and layer[2] == "linear" then break end
      if not m or not is_like(m, layer) then return nil end
      names[m.name] = layer[1]
    end
  end
  return at >= #list and names or nil
end


---The names that the modules have in the first architecture whose layers they are.
local function found_names(list)
  for _, name in ipairs(models.names) do
    for _, pattern in ipairs(families) do
      local names = name:find(pattern) and names_by(models[name](), list)
      if names then return names end
    end
  end
  return nil
end


---Gives tensors torchvision's names; nil where they are of no such network.
---@param list { name: string, tensor: table }[]   renamed in place
---@return table? list
function M.rename(list)
  local prefix
  for _, t in ipairs(list) do
    prefix = prefix or t.name:match "^(.-)%f[%w_]conv_stem%.weight$"
  end
  if not prefix then return nil end
  local names = found_names(in_order(list, prefix))
  for _, t in ipairs(names and list or {}) do
    local module, key = t.name:sub(#prefix + 1):match "^(.*)%.([^.]+)$"
    local is_inside = t.name:sub(1, #prefix) == prefix and names[module]
    if is_inside then t.name = prefix .. names[module] .. "." .. key end
  end
  return names and list
end


---Pads convolutions as TensorFlow does, where a stride leaves more at the end.
---@param arch table   changed in place
function M.pad_as_tensorflow(arch)
  local sizes, last = { input = { arch.input[2], arch.input[3] } }, "input"
  for _, layer in ipairs(arch.layers) do
    local from = layer.from
    local size = sizes[type(from) == "table" and from[1] or from or last]
    if layer[2] == "conv2d" then
      local k, s = layer.kernel, layer.stride or 1
      layer.padding, layer.padding_end = same_padding(size, { k, k }, { s, s },
                                                      { 1, 1 })
      size = { (size[1] + s - 1) // s, (size[2] + s - 1) // s }
    elseif layer[2] == "global_avg_pool" then
      size = { 1, 1 }
    end
    sizes[layer[1]], last = size, layer[1]
  end
end

return M
