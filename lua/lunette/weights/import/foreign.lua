---Recognises networks of files without a graph: the one architecture of lunette.models
---that has these names or, where names decide nothing, these shapes. Assumptions are a
---list of sentences.
local assign = require "lunette.weights.import.assign"
local described = require "lunette.weights.import.described"
local last_of = require "lunette.weights.import.last"
local models = require "lunette.models"
local named = require "lunette.models.named"
local tables = require "lunette.weights.import.tables"
local vgg = require "lunette.weights.import.vgg"

local M = {}


-- options that shapes tell -------------------------------------------------------


---Each function gets the shapes of parameters by our names and returns the options of
---its architecture, or nil where the shapes are not those of its kind.
local families = {}


function families.squeezenet1_0(shape)
  local conv1, conv10 = shape "conv1.weight", shape "conv10.weight"
  return conv1 and conv10 and conv1[3] == 7 and { classes = conv10[1] }
end


function families.squeezenet1_1(shape)
  local conv1, conv10 = shape "conv1.weight", shape "conv10.weight"
  return conv1 and conv10 and conv1[3] == 3 and { classes = conv10[1] }
end


function families.tiny_vgg(shape)
  local first, last = shape "conv_1_1.weight", shape "output.weight"
  if not (first and last) then return nil end
  local inner = math.floor((last[2] / first[1]) ^ 0.5 + 0.5) -- side after 2 blocks
  return { channels = first[1], classes = last[1], side = (inner * 2 + 4) * 2 + 4 }
end


function families.alexnet(shape)
  local first, last = shape "conv1.weight", shape "fc8.weight"
  return first and last and first[3] == 11 and { classes = last[1] }
end


---Our names of an architecture's layers by all their names: of several layers of one
---the first, which holds the parameters.
local function all_names(arch)
  local ours = {}
  for _, layer in ipairs(arch.layers) do
    local name = layer[1] or layer.name
    ours[name] = name
    for _, alias in ipairs(layer.aliases or {}) do ours[alias] = ours[alias] or name end
  end
  return ours
end


---The shape of a parameter by our name.
local function shapes_by(arch, mods)
  local ours, by = all_names(arch), {}
  for _, m in ipairs(mods.list) do
    for key, p in pairs(m.params) do
      if ours[m.name] then by[ours[m.name] .. "." .. key] = p.shape end
    end
  end
  return function(name) return by[name] end
end


---Options that follow from where a file comes from, not from its shapes.
local function origin_options(name, mods, given)
  local opts = {}
  if name:find "^squeezenet" and mods.family == "torch" then
    opts.conv10_padding, opts.side = 0, 224 -- the authors: 1, 227
  end
  opts.conv10_padding = given.conv10_padding or opts.conv10_padding
  if given.side and given.side[1] == given.side[2] then opts.side = given.side[1] end
  return opts
end


---MobileNet's width is the number of channels of its last 1x1 convolution divided by
---1024; the first one, with 32, is rounded more coarsely.
function families.mobilenet(shape)
  local wide, last = shape "conv_pw_13.weight", shape "conv_preds.weight"
  if not wide or not last then return nil end
  return { classes = last[1], width = wide[1] / 1024 }
end


-- the last activation --------------------------------------------------------------


---Adds the last activation: the one that was given, or else a softmax over several
---outputs and nothing behind a single one.
local function choose_last(arch, units, given, assumed)
  local last = given.last or given.activation
  if not last then
    last = units == 1 and "none" or "softmax"
    assumed[#assumed + 1] = units == 1
      and "its one output is a value: no sigmoid behind it (--last sigmoid)"
      or ("a softmax over its %d outputs (--last)"):format(units)
  end
  if last == "softmax" and units == 1 then
    error("a softmax over one output is always 1; say --last sigmoid or none", 0)
  end
  last_of.set(arch, last)
end


-- candidates -----------------------------------------------------------------------


---Units of the last layer with weights.
local function units_of(arch)
  for i = #arch.layers, 1, -1 do
    local spec = arch.layers[i]
    if spec.units or spec.filters then return spec.units or spec.filters end
  end
  return 0
end


---Does it end with a dense layer, before its softmax? (Two have a convolution there.)
local function has_top(arch)
  local at = #arch.layers
  while arch.layers[at][2] == "softmax" do at = at - 1 end
  return arch.layers[at][2] == "linear"
    or arch.name:find "^squeezenet" ~= nil or arch.name == "mobilenet"
end


---Candidates that are no VGG: { name =, options =, assumed = }.
local function others(mods, given, into)
  for _, name in ipairs(models.names) do
    local asked = not given.arch or given.arch == name
    if asked and families[name] and tables.begins(name, mods) then
      local opts = families[name](shapes_by(models[name](), mods))
      if opts then
        for key, v in pairs(origin_options(name, mods, given)) do opts[key] = v end
        into[#into + 1] = { name = name, options = opts, assumed = {} }
      end
    end
  end
end


local function candidates(mods, given)
  local list = {}
  local name, opts, assumed = vgg.find(mods, given)
  if name and (not given.arch or given.arch == name) then
    vgg.rename(mods, opts)
    list[1] = { name = name, options = opts, assumed = assumed }
  elseif name and given.arch:find "^vgg" then
    error(("its convolutions are those of %s, not of %s"):format(name, given.arch), 0)
  end
  others(mods, given, list)
  if not name then
    table.move(tables.find(mods, given), 1, 99, #list + 1, list)
  end
  return list
end


---A candidate's table of layers: its own, or that of its options.
local function table_of(c)
  if c.arch then return c.arch end
  local ok, arch = pcall(models[c.name], c.options)
  if ok then return arch end
  return nil, tostring(arch)
end


---A candidate whose parameters are all there, or nil and what does not match.
local function tried(c, mods, given)
  local arch, wrong = table_of(c)
  if not arch then return nil, wrong end
  c.options.top = has_top(arch) and c.options.top
  if has_top(arch) then
    local units = units_of(arch)
    choose_last(arch, units, given, mods.family == "ours" and {} or c.assumed)
    c.options.classes = c.options.classes or units
  end
  local net, message = described.made(arch)
  if not net then
    return nil, ("it looks like %s, but cannot be one: %s"):format(c.name, message)
  end
  local params, notes = assign.assign(net, mods, tables.of_training[c.name])
  if not params then return nil, notes end
  c.arch, c.params, c.notes = arch, params, notes
  return c
end


---@class lunette.import.Found
---@field name string         "vgg16"
---@field arch table          what lu.net takes
---@field options table       with which it was made
---@field params lunette.import.Param[]
---@field notes string[]      tensors that were left out
---@field assumed string[]

---The architectures that fit, and what is wrong with the first that does not.
local function fitting_of(list, mods, given)
  local fitting, problem = {}, nil
  for _, c in ipairs(list) do
    local fine, found, message = pcall(tried, c, mods, given)
    if not fine then found, message = nil, tostring(found) end
    if found then fitting[#fitting + 1] = found end
    problem = problem or message
  end
  return fitting, problem
end


---The only architecture that these modules fit; nil and a message.
---@param mods { list: lunette.import.Module[], by_name: table, family: string }
---@param given lunette.import.Given
---@return lunette.import.Found? found, string? message
function M.find(mods, given)
  local ok, list = pcall(candidates, mods, given)
  if not ok then return nil, tostring(list) end
  local fitting, problem = fitting_of(list, mods, given)
  if #fitting <= 1 then return fitting[1], problem end
  local names = {}
  for i, c in ipairs(fitting) do names[i] = c.name end
  return nil, ("it may be %s: say which with --arch"):format(
    table.concat(names, " or "))
end


local anchors


---Names of first weights, by which a network is found inside a file.
---@return string[]
function M.anchors()
  if anchors then return anchors end
  anchors = {}
  local seen = {}
  for _, name in ipairs(models.names) do
    for _, n in ipairs(named.first_names(name)) do
      if not seen[n] then anchors[#anchors + 1] = n .. ".weight" end
      seen[n] = true
    end
  end
  return anchors
end


---The program whose names the modules have.
---@return string family   "keras", "torch" or "ours"
function M.family(tensors)
  local ours = { block1_conv1 = true, conv_1_1 = true, ["fire2.squeeze1x1"] = true,
                 fc8 = true }
  for _, t in ipairs(tensors) do
    if t.name:find("/", 1, true) then return "keras" end
    if ours[t.name:match "^(.*)%.[^.]+$"] then return "ours" end
  end
  return "torch"
end


return M
