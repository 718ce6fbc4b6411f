---What a file holds that brings no graph: one that an earlier version of Lunette
---wrote, or torchvision. Its names, and where those are alike its shapes, are compared
---with those of the architectures in lunette.models, under their own names and under
---their aliases.
local entry_of = require "lunette.weights.entry"
local models = require "lunette.models"
local nets = require "lunette.net"

local M = {}


-- options that shapes tell -------------------------------------------------------


---Each gives the architecture and its options, from the shape of a parameter by our
---name; nil where it is none of its kind.
local families = {}


---Convolutions a block.
local vgg_depths = {
  vgg11 = { 1, 1, 2, 2, 2 }, vgg13 = { 2, 2, 2, 2, 2 }, vgg16 = { 2, 2, 3, 3, 3 },
  vgg19 = { 2, 2, 4, 4, 4 },
}


function families.vgg(shape)
  if not shape "block1_conv1.weight" then return nil end
  local count, width = {}, {}
  for block = 1, 5 do
    local i = 0
    while shape(("block%d_conv%d.weight"):format(block, i + 1)) do i = i + 1 end
    local first = shape(("block%d_conv1.weight"):format(block))
    count[block], width[block] = i, first and first[1]
  end
  local fc1, predictions = shape "fc1.weight", shape "predictions.weight"
  for name, depth in pairs(vgg_depths) do
    if table.concat(depth, ",") == table.concat(count, ",") then
      local opts = { width = width, top = fc1 ~= nil }
      if fc1 and predictions then
        opts.fc, opts.classes = fc1[1], predictions[1]
        opts.side = math.floor((fc1[2] / width[5]) ^ 0.5 + 0.5) * 32
      end
      return name, opts
    end
  end
  return nil
end


function families.squeezenet(shape)
  if not (shape "fire2.squeeze1x1.weight" and shape "conv10.weight") then return nil end
  local opts = { classes = shape "conv10.weight" [1] }
  local kernel = (shape "conv1.weight" or {})[3]
  local name = ({ [7] = "squeezenet1_0", [3] = "squeezenet1_1" })[kernel]
  return name, name and opts
end


function families.tiny_vgg(shape)
  local first, last = shape "conv_1_1.weight", shape "output.weight"
  if not (first and last) then return nil end
  local inner = math.floor((last[2] / first[1]) ^ 0.5 + 0.5) -- side after 2 blocks
  return "tiny_vgg", { channels = first[1], classes = last[1],
                       side = (inner * 2 + 4) * 2 + 4 }
end


function families.alexnet(shape)
  local first, last = shape "conv1.weight", shape "fc8.weight"
  if first and last and first[3] == 11 then
    return "alexnet", { classes = last[1] }
  end
  return nil
end


function families.resnet(shape)
  local first, fc = shape "conv1.weight", shape "fc.weight"
  if not (first and fc and shape "layer4.1.conv2.weight") then return nil end
  if shape "layer1.0.conv3.weight" then return nil end -- bottlenecks: 50 and up
  return shape "layer1.2.conv1.weight" and "resnet34" or "resnet18",
         { classes = fc[1] }
end


---The architecture that has these names and shapes, under our names.
---@param shape fun(name: string): integer[]|nil   shape of a parameter, by our name
---@return string? name, table? opts   what to call, and with which options
function M.detect(shape)
  for _, family in ipairs { "vgg", "squeezenet", "tiny_vgg", "alexnet", "resnet" } do
    local name, opts = families[family](shape)
    if name then return name, opts end
  end
  return nil
end


-- other names --------------------------------------------------------------------


---Is the first layer with weights there? Saves making networks in vain.
local function begins(arch, entries)
  for _, spec in ipairs(arch.layers) do
    if spec.filters or spec.units then
      local names = { spec[1] or spec.name, table.unpack(spec.aliases or {}) }
      for _, name in ipairs(names) do
        if entries[name .. ".weight"] then return true end
      end
      return false
    end
  end
  return false
end


---Entries of a network's parameters by our names; nil when one is missing, or when
---`count` of them are not all.
local function all_entries(net, entries, count)
  local found, n = {}, 0
  for _, layer in ipairs(net:layers()) do
    for _, q in ipairs(layer.params) do
      local e = entry_of(entries, layer, q)
      if not e then return nil end
      if not found[q.name] then n = n + 1 end
      found[q.name] = e
    end
  end
  return n == count and found or nil
end


---Classes by the last layer that has weights.
local function classes_of(net, found)
  local list = net:layers()
  for i = #list, 1, -1 do
    local q = list[i].params[1]
    if q then return { classes = found[q.name].shape[1] } end
  end
  return {}
end


local function fits(arch, found)
  local ok, net = pcall(nets.new, arch)
  if not ok or not net then return false end
  for _, layer in ipairs(net:layers()) do
    for _, q in ipairs(layer.params) do
      local e = found[q.name]
      if not e or table.concat(e.shape, ",") ~= table.concat(q.shape, ",") then
        return false
      end
    end
  end
  return true
end


---The architecture whose parameters a file's tensors are, all of them, by any names.
local function by_names(entries)
  local count = 0
  for _ in pairs(entries) do count = count + 1 end
  for _, name in ipairs(models.names) do
    local arch = models[name]()
    if begins(arch, entries) then
      local net = nets.new(arch)
      local found = all_entries(net, entries, count)
      local function shape(n) return found[n] and found[n].shape end
      local known, opts
      if found then known, opts = M.detect(shape) end
      if found and not known then known, opts = name, classes_of(net, found) end
      if known == name then
        opts.preprocessing = "torch"
        if fits(models[name](opts), found) then return name, opts end
      end
    end
  end
  return nil
end


---The table of layers for a file's tensors, or nil. Their shapes may be anything: what
---trips an architecture is none of that architecture.
---@param entries table<string, { shape: integer[] }>   by name
---@param meta table<string, string>   of the file: `side` and `conv10_padding`, which
---  earlier versions wrote since shapes cannot tell them
---@return table? arch   what lu.net takes
function M.recognise(entries, meta)
  local function shape_of(name) return entries[name] and entries[name].shape end
  local ok, arch = pcall(function()
    local name, opts = M.detect(shape_of)
    if not name then name, opts = by_names(entries) end
    if not name then return nil end
    for _, key in ipairs { "side", "conv10_padding" } do
      opts[key] = opts[key] or math.tointeger(tonumber(meta[key]))
    end
    return models[name](opts)
  end)
  return ok and arch or nil
end

return M
