---Networks that their file, or the user, describes: ONNX and Keras files, files of
---Lunette, and the table of layers that `--arch net.lua` returns.
local applications = require "lunette.weights.import.keras.applications"
local assign = require "lunette.weights.import.assign"
local copies = require "lunette.weights.import.copies"
local graphs = require "lunette.net.graph"
local json = require "lunette.base.json"
local keras = require "lunette.weights.import.keras"
local metadata = require "lunette.weights.metadata"
local modules = require "lunette.weights.import.modules"
local nets = require "lunette.net"
local program = require "lunette.weights.import.program"
local shapes = require "lunette.base.shapes"

local M = {}


---The network of a table of layers; nil, message.
---@param arch table
---@return lunette.Net? net, string? message
function M.made(arch)
  local ok, net, message = pcall(nets.new, arch)
  if ok and net then return net end
  if not ok and tostring(net):find "interrupted$" then error(net, 0) end
  return nil, tostring(not ok and net or message):gsub("^[^\n]-%.lua:%d+: ", "")
end


---Every parameter that the network wants is there, in its shape, and no other.
---@return table? graph, string? message
local function check_shapes(arch, params)
  local net, message = M.made(arch)
  if not net then
    return nil, ("it looks like %s, but cannot be one: %s"):format(arch.name, message)
  end
  local by_name, wanted = {}, {}
  for _, p in ipairs(params) do
    if by_name[p.name] then
      return nil, ("two tensors are '%s' ('%s' and '%s')"):format(p.name,
        by_name[p.name].source.name, p.source and p.source.name or "?")
    end
    by_name[p.name] = p
  end
  for _, layer in ipairs(net:layers()) do
    for _, q in ipairs(layer.params) do
      local p = by_name[q.name]
      if not p then
        return nil, ("it looks like %s, but has no '%s'"):format(arch.name, q.name)
      end
      if not shapes.same(p.shape, q.shape) then
        return nil, ("'%s' (%s): shape %s, %s wants %s"):format(p.source.name, q.name,
          shapes.text(p.shape), arch.name, shapes.text(q.shape))
      end
      wanted[q.name] = true
    end
  end
  for name, p in pairs(by_name) do
    if not wanted[name] then
      return nil, ("tensor '%s' has no place in %s"):format(p.source.name, arch.name)
    end
  end
  return net.graph
end


-- ONNX -----------------------------------------------------------------------------


---The file beside it that has the numbers, when they are not in the model's own.
local function outside_of(model, file)
  local found
  for _, location in pairs(model.outside) do
    if found and found ~= location then
      return nil, ("its numbers are in several files (%s, %s): not supported"):format(
        found, location)
    end
    found = location
  end
  if not found then return nil end
  if found == file:match "[^/]+$" then
    return nil, "its external data would be in the model's own file"
  end
  local parts = {}
  for part in (found .. "/"):gmatch "(.-)/" do parts[part] = true end
  if parts[""] or parts[".."] or found:find("\\", 1, true) then
    return nil, ("external data '%s' is outside the folder of the model; not opened")
      :format(found)
  end
  return found
end


---What a file that Lunette exported says of its network: preprocessing, labels ...; of
---others nothing, and of ours no more than can be read.
local function own_metadata(meta)
  if not meta.lunette_model then return {} end
  local own = {}
  for key, value in pairs(meta) do own[key] = value end
  -- for others; the nodes say that
  own.class_names, own.preprocessing_spec, own.lunette_graph = nil, nil, nil
  local found, message = metadata.read(own)
  return found and own, message
end


---@param found table    a listing
---@param file string
---@param opts table     of the import
---@return table? found   with arch, params, family, model, outside
---@return string? message
function M.onnx(found, file, opts)
  for _, f in ipairs(found.lines) do
    for i = 2, #f do f[i] = program.unescape(f[i]) end
  end
  local base = file:match("([^/]+)$"):gsub("%.onnx$", "")
  local arch, params, model = require("lunette.weights.import.onnx").read(found.lines,
    { name = opts.name or base, side = opts.side, tensor = opts.tensor })
  if not arch then return nil, params end
  local message
  arch, message = check_shapes(arch, params)
  if not arch then return nil, message end
  found.outside, message = outside_of(model, file)
  if message then return nil, message end
  found.model, found.family, found.arch, found.params = arch.name, "onnx", arch, params
  found.meta, message = own_metadata(model.meta)
  if not found.meta then return nil, message end
  local name = not opts.name and found.meta.lunette_model
  if name and #name <= 200 and name:find "^[%w][%w_.%- ]*$" then
    found.model, arch.name = name, name
  end
  return found
end


-- Keras ----------------------------------------------------------------------------


---What the names in a Keras config say of the pictures its networks were trained on.
local trained_with = {
  { "resnet%d*v2", "tf" }, { "^vgg", "caffe" }, { "^resnet", "caffe" },
  { "^densenet", { mode = "torch", fit = "stretch" } }, { "^mobilenet", "tf" },
  { "^xception", "tf" },
  { "^inception", "tf" }, { "^nasnet", "tf" },
  { "^efficientnet_b", { mode = "torch", fit = "stretch" } },
}


---Preprocessing of a Keras network: 0 .. 255 where its first layers rescale, that of
---a known name, or else 0 .. 1, which is said.
local function keras_preprocessing(found, rescales)
  local arch = found.arch
  local plain = { order = "rgb", mean = { 0, 0, 0 }, std = { 1, 1, 1 }, scale = 1 }
  if rescales then return plain end
  local name = arch.name:lower()
  for _, row in ipairs(trained_with) do
    if name:find(row[1]) then return row[2] end
  end
  for _, layer in ipairs(arch.layers) do
    if layer.name:find "block5_conv3$" then
      found.assumed[#found.assumed + 1] = "preprocessing: caffe, as for Keras' VGG "
        .. "(--preprocessing)"
      return "caffe"
    end
  end
  found.assumed[#found.assumed + 1] = "preprocessing: values / 255 (--preprocessing)"
  plain.scale = 1 / 255
  return plain
end


---What a Keras file holds, its graph and parameters known: the listing with both, under
---that name, and with preprocessing.
---@return table? found, string? message
local function keras_found(found, arch, params, name)
  local rescales = arch.rescales
  arch.rescales = nil
  local graph, message = check_shapes(arch, params)
  if not graph then return nil, message end
  found.model, found.family = name, "keras"
  found.arch, found.params = graph, params
  found.preprocessing = keras_preprocessing(found, rescales)
  return found
end


---A Keras file that says what it is; nil and a message. A config that is no whole
---description leaves the file to be recognised by its names: `partial` is true.
---@return table? found, string? message, boolean? partial
function M.keras(found, opts)
  local arch, params = keras.read(found.meta, found.tensors, {
    side = opts.side, name = opts.name })
  if not arch then
    return nil, params, params:find "does not say what the input is" ~= nil
      or params:find "describes no layers" ~= nil
  end
  return keras_found(found, arch, params, arch.name)
end


---A file of weights alone, of a network of keras.applications; nil: of none, and a
---message where it is one that cannot be read, or another than was asked for.
---@param found table
---@param tensors lunette.import.Tensor[]
---@param given lunette.import.Given
---@return table? found, string? message
function M.application(found, tensors, given)
  local known, why = applications.find(tensors, given)
  if not known then return nil, why end
  local arch, params = keras.made(known.model, found.meta, tensors, { keras3 = true })
  if not arch then return nil, ("as %s: %s"):format(known.name, params) end
  for _, text in ipairs(known.assumed) do found.assumed[#found.assumed + 1] = text end
  local whole, message = keras_found(found, arch, params, known.name)
  if not whole then return nil, message end
  whole.arch.labels = known.units == 1000 and "imagenet" or nil
  whole.options = known.units > 0 and { classes = known.units } or { top = false }
  return whole
end


-- ours -----------------------------------------------------------------------------


---The names of a JSON list of tensors.
local function turned_names(text, there)
  local list, set = json.decode(text), {}
  if type(list) ~= "table" or not text:find "^%s*%[" then
    return nil, "lunette_turned is no list of names"
  end
  for _, name in ipairs(list) do
    if not there[name] or set[name] then
      return nil, "lunette_turned names what is no matrix"
    end
    set[name] = true
  end
  return set
end


---Names of the dense weights of a file of ours that are (in,out): by its graph, or by
---the list that earlier versions wrote; nil and a message when the list is none, or
---names what is not there.
---@return table<string, boolean>? names, string? message
function M.in_out_names(found)
  local text, set, there = found.meta.lunette_turned, {}, {}
  if not text then
    local graph = graphs.decode(found.meta.lunette_graph or "null")
    for _, layer in ipairs(graph and graph.layers or {}) do
      if layer.weight_layout == "in_out" then set[layer.name .. ".weight"] = true end
    end
    return set
  end
  for _, t in ipairs(found.tensors) do there[t.name] = true end
  return turned_names(text, there)
end


---A file of ours: its graph, and its tensors under the names that they have.
---@param graph table
---@return table? found, string? message
function M.ours(found, graph, in_out)
  local tensors = {}
  for i, t in ipairs(found.tensors) do tensors[i] = { name = t.name, tensor = t } end
  local list, by_name = modules.plain(tensors, in_out)
  if not list then return nil, by_name end
  local params = {}
  for _, m in ipairs(list) do
    for _, p in pairs(m.params) do
      p.name = p.source.name
      params[#params + 1] = p
    end
  end
  for _, layer in ipairs(graph.layers) do layer.weight_layout = nil end
  local checked, message = check_shapes(graph, params)
  if not checked then return nil, message end
  found.model, found.family = checked.name, "ours"
  found.arch, found.params = checked, params
  return found
end


-- the user's own -------------------------------------------------------------------


---The table of layers that a Lua file returns.
local function run_file(path)
  local f, message = loadfile(path, "t")
  if not f then return nil, message end
  local ok, arch = pcall(f)
  if not ok then return nil, ("%s: %s"):format(path, tostring(arch)) end
  if type(arch) == "table" and arch.graph then arch = arch.graph end
  if type(arch) ~= "table" or type(arch.layers) ~= "table" then
    return nil, ("%s returns no table of layers: return { input = { 3, 224, 224 }, "
      .. "layers = { ... } }, as lu.net takes"):format(path)
  end
  return arch
end


---Names of the first weights of a network, under all its names.
local function first_weights(net)
  for _, layer in ipairs(net:layers()) do
    local q = layer.params[1]
    if q then
      local names = { layer.name .. "." .. q.key }
      for _, alias in ipairs(layer.aliases) do
        names[#names + 1] = alias .. "." .. q.key
      end
      return names
    end
  end
  return {}
end


---The network that a Lua file describes, with the tensors of those names.
---@param found table
---@param floats lunette.import.Tensor[]
---@param given lunette.import.Given
---@return table? found, string? message
function M.by_file(found, floats, given, in_out)
  local arch, message = run_file(given.arch)
  if not arch then return nil, message end
  for _, layer in ipairs(arch.layers) do layer.weight_layout = nil end
  local net, hit
  net, message = M.made(arch)
  if not net then return nil, ("%s: %s"):format(given.arch, message) end
  local family = floats[1].name:find("/", 1, true) and "keras" or "torch"
  local function try(list, by_name)
    if not list then return nil, by_name end
    local params, notes = assign.assign(net, { list = list, by_name = by_name,
                                               family = family })
    if not params then return nil, notes end
    return { params = params, notes = notes }
  end
  if family == "keras" then
    hit, message = try(modules.keras(floats))
    found.left = hit and hit.notes
  else
    hit, message = copies.find(found, floats, first_weights(net), given, function(c)
      return try(modules.plain(c.inside, in_out))
    end)
  end
  if not hit then
    return nil, message or ("it has no '%s' under any prefix"):format(
      first_weights(net)[1])
  end
  found.model, found.arch, found.params = net.name, net.graph, hit.params
  found.family, found.prefix = family, hit.prefix
  found.preprocessing = arch.preprocessing
  return found
end

return M
