---Turns a model file that people have (Keras .h5, .keras, torch .pth, ONNX, safetensors
---of torchvision, timm) into ours. A file that says what it is is believed;
---of another the names, then the shapes decide, in one way only, and what had to be
---assumed is said. Every tensor is brought into our order and checked.
---
---  local import = require "lunette.weights.import"
---  local path, report = import("vgg16.h5", { out = "vgg16.safetensors" })
---
---Reading happens in a confined process; see docs/formats.md.
local blame = require "lunette.base.blame"
local beside = require "lunette.weights.import.beside"
local copies = require "lunette.weights.import.copies"
local described = require "lunette.weights.import.described"
local dialects = require "lunette.weights.import.dialects"
local earlier = require "lunette.weights.import.keras.earlier"
local files = require "lunette.base.files"
local foreign = require "lunette.weights.import.foreign"
local given_of = require "lunette.weights.import.options"
local json = require "lunette.base.json"
local labels_of = require "lunette.weights.import.labels"
local last = require "lunette.weights.import.last"
local listing = require "lunette.weights.import.listing"
local metadata = require "lunette.weights.metadata"
local models = require "lunette.models"
local modules = require "lunette.weights.import.modules"
local named = require "lunette.models.named"
local nameless = require "lunette.weights.import.keras.nameless"
local networks = require "lunette.weights.import.keras.networks"
local output = require "lunette.weights.import.output"
local program = require "lunette.weights.import.program"
local whole = require "lunette.weights.import.whole"
local unread = require "lunette.weights.import.unread"
local write = require "lunette.weights.import.write"

local M = { program = program, list = listing.list, default_out = output.default }

---@class lunette.ImportOptions
---@field out? string           path to write; default: see import.default_out
---@field kept_as? string       instead of `out`: the name in the store, which lu.load
---  finds
---@field force? boolean        replace what is there, whatever it is
---@field half? boolean         store float16: half the bytes
---@field arch? string          an architecture's name, or a Lua file that returns what
---  lu.net takes
---@field side? integer|integer[]|string  height and width, where a file leaves them
---  open: 224, {64, 96} or "64x96"
---@field last? string          the last activation: "softmax", "sigmoid", "none"
---@field preprocessing? string|table  what pictures go through ("caffe", "torch",
---  "tf", or {mean, std, order, scale ...}); default: what the file or its checksum
---  says, else what its makers use
---@field labels? string|string[]  names of the classes: a file of lines or JSON, a set
---@field prefix? string        which copy of the network, where a file has several
---@field tensor? string        ONNX: the input is no picture but any tensor, its first
---  dimension the batch ("batched") or one of the values ("whole")
---@field resized? boolean      `side` is wanted where the file leaves it open only
---@field name? string          a name for these weights, kept in the metadata
---@field sums? table           checksums that were computed already

---@class lunette.ImportReport
---@field model string          "vgg16"
---@field family string         whose names: "keras", "torch", "onnx" or "ours"
---@field format string         "HDF5", "PyTorch zip" ...
---@field weights? string       which known weight set it is
---@field preprocessing? string   nil of networks that read no pictures
---@field sha256 string
---@field assumed string[]      what the file does not say
---@field left string[]         what it holds beside the network
---@field options table         width, side, classes ... of the network
---@field bytes integer         size of what was written


-- which network --------------------------------------------------------------------


---Tensors whose numbers may be weights.
local function floats_of(found)
  local list = {}
  for _, t in ipairs(found.tensors) do
    if modules.is_float(t) then list[#list + 1] = t end
  end
  if #list > 0 then return list end
  local closed = #found.skipped > 0
    and ("; it has objects of %s, which stay closed: save model.state_dict()"):format(
      table.concat(found.skipped, ", ")) or ""
  return nil, "it holds no floating-point tensors (F16, BF16, F32 or F64)" .. closed
end


---A state dict: the network that stands behind one of the prefixes.
local function of_state(found, floats, given, in_out)
  return copies.find(found, floats, foreign.anchors(), given, function(c, dialect)
    local list, by_name = modules.plain(c.inside, in_out)
    if not list then return nil, by_name end
    local plain = {}
    for i, t in ipairs(c.inside) do plain[i] = { name = t.name } end
    local family = foreign.family(plain)
    local own, message = dialects.settings(dialect, given)
    if not own then return nil, message end
    local hit, ok
    hit, message = foreign.find({ list = list, by_name = by_name, family = family,
                                  eps = own.eps, ends = own.ends }, given)
    if not hit then return nil, message end
    ok, message = dialects.decided(dialect, given, hit.name)
    if not ok then return nil, message end
    hit.family = family
    return hit
  end, dialects.translate)
end


---Activations of the dense layers that a config names, when it tells no more.
local function stated(found, given)
  local spec = json.decode(found.meta.model_config or "null")
  local layers = type(spec) == "table" and type(spec.config) == "table"
    and spec.config.layers
  local words = { softmax = "softmax", sigmoid = "sigmoid", linear = "none" }
  for _, layer in ipairs(type(layers) == "table" and layers or {}) do
    local config = type(layer) == "table" and layer.class_name == "Dense"
      and type(layer.config) == "table" and layer.config
    if config then given.activation = words[config.activation] or given.activation end
  end
end


---Keras weights without a whole config, as one of the tables.
local function of_weights(found, given)
  local list, by_name = modules.keras(found.tensors)
  if not list then return nil, by_name end
  stated(found, given)
  local mods = { list = list, by_name = by_name, family = "keras" }
  if earlier.rename(list, by_name) then
    mods.eps = earlier.eps
    table.insert(found.assumed, "its first pooling is padded, as in Keras since 2.2")
  end
  return foreign.find(mods, given)
end


---Names of layers in Keras' order, where the file has them.
local function layer_names(meta)
  local list = {}
  local text = meta.layer_names or meta["layer_names:model_weights"] or ""
  for name in text:gmatch "[^\n]+" do list[#list + 1] = name end
  return list
end


---The architectures without their sizes: "resnet", "vgg".
local function families()
  local list, seen = {}, {}
  for _, name in ipairs(models.names) do
    local short = name:match "^wide_resnet" or name:match "^tiny_vgg"
      or name:match "^%a+"
    if not seen[short] then seen[short], list[#list + 1] = true, short end
  end
  return list
end


---A layer as --arch wants it, for the first of the file's kernels and matrices.
local function sketch(floats)
  for _, t in ipairs(floats) do
    local s, name = t.shape, t.name:match "^(.*)[./][^./]+$"
    if name and #s == 4 then
      local keras = t.name:find("/", 1, true) ~= nil
      return ('{ "%s", "conv2d", filters = %d, kernel = %d }'):format(
        name:match "[^/]+$", keras and s[4] or s[1], keras and s[1] or s[3])
    elseif name and #s == 2 then
      return ('{ "%s", "linear", units = %d }'):format(name:match "[^/]+$", s[1])
    end
  end
  return '{ "NAME", "conv2d", filters = 64, kernel = 3 }'
end


---A name of Keras' form without a part, as no HDF5 file has one: "conv2d/".
local function check_names(floats)
  for _, t in ipairs(floats) do
    if ("/" .. t.name .. "/"):find("//", 1, true) then
      return nil, ("tensor '%s' has a name of which a part is empty"):format(t.name)
    end
  end
  return true
end


---What is said of a file that is none of what is known.
local function unknown(found, floats)
  local what = found.modules[1] and ("it holds a whole model (%s), whose code is not "
    .. "in the file, and "):format(found.modules[1]) or ""
  return unread.other_type(found.tensors) or ("%sits tensors are those of no "
    .. "architecture known here (the first is '%s'); known: %s. Describe another with "
    .. "--arch net.lua, a file like `return { input = { 3, 224, 224 }, layers = { %s, "
    .. "... } }`: its layers as for lu.net, named as the tensors are"):format(what,
    floats[1].name, table.concat(families(), ", "), sketch(floats))
end


---A file that does not say what it is.
local function unsaid(found, floats, given, in_out)
  local hit, message
  if floats[1].name:find("/", 1, true) then
    given.layer_names = layer_names(found.meta)
    found.tensors = nameless.named(found.tensors, networks()) or found.tensors
    hit, message = described.application(found, found.tensors, given)
    if hit or message then return hit, message end
    hit, message = of_weights(found, given)
    if hit then hit.family = "keras" end
  else
    hit, message = of_state(found, floats, given, in_out)
  end
  if not hit then return nil, message or unknown(found, floats) end
  found.model, found.family, found.arch = hit.name, hit.family, hit.arch
  found.params, found.options, found.prefix = hit.params, hit.options, hit.prefix
  for _, text in ipairs(hit.assumed) do found.assumed[#found.assumed + 1] = text end
  found.left = found.left or hit.notes
  return found
end


---A file of ours that brings its graph.
local function of_ours(found, floats, in_out)
  local own, message = metadata.read { lunette_graph = found.meta.lunette_graph }
  if not own then return nil, message end
  found.tensors = floats
  return described.ours(found, own.lunette_graph, in_out)
end


---Is `arch` a file that describes a network, not a name?
local function is_file(arch) return arch ~= nil and arch:find "%.lua$" ~= nil end


---A file whose tensors have names alone, or one that says more than that.
local function of_tensors(found, given)
  local floats, message = floats_of(found)
  if not floats then return nil, message end
  local in_out, ok
  in_out, message = described.in_out_names(found)
  if not in_out then return nil, message end
  ok, message = unread.check_parts(found.tensors)
  if ok and not found.meta.lunette_graph then ok, message = check_names(floats) end
  if not ok then return nil, message end
  if is_file(given.arch) then
    return described.by_file(found, floats, given, in_out)
  elseif found.meta.lunette_graph and not given.arch then
    return of_ours(found, floats, in_out)
  elseif models.architecture(found.meta.lunette_model or "") then
    given.arch = given.arch or found.meta.lunette_model -- of an earlier version
  end
  return unsaid(found, floats, given, in_out)
end


---A Keras file that says what it is; `partial`: where it does not, it may be known by
---its names.
local function of_config(found, given)
  local net, why, partial = described.keras(found, given)
  if net and given.arch and named.resolve(net.model) ~= given.arch then
    return nil, ("its own config describes it (%s): --arch %s has no use; --arch "
      .. "net.lua, a file, describes it otherwise"):format(net.model, given.arch)
  end
  return net, why, partial or not net and given.arch ~= nil
end


---What the file is.
local function identify(file, given)
  local found, message = listing.list(file)
  if not found then return nil, message end
  found.assumed, found.options, found.left = {}, {}, nil
  if found.format == "ONNX" then return described.onnx(found, file, given) end
  if found.meta.model_config and not is_file(given.arch) then
    local net, why, partial = of_config(found, given)
    if net or not partial then return net, why end
    if not given.arch then
      table.insert(found.assumed, "the network, from its weights' names: " .. why)
    end
  end
  local hit, ok
  hit, message = of_tensors(found, given)
  if not hit then return nil, message end
  ok, message = whole.check(hit)
  if not ok then return nil, message end
  return hit
end


-- the way in -----------------------------------------------------------------------


---SHA-256 always; Keras names its files by MD5; archives have checksums inside.
local function checksums(file, found)
  local kinds = { "sha256" }
  if found.format == "HDF5" then kinds[2] = "md5" end
  if found.format:find "zip" or found.format:find "archive" then kinds[2] = "crc" end
  return program.digests(file, kinds)
end


---An option that would change nothing, as a message.
local function unused(found, given)
  local input = found.arch.input
  if given.arch and found.format == "ONNX" then
    return "an ONNX file says which network it is: --arch has no use"
  elseif given.tensor and found.format ~= "ONNX" then
    return "`tensor` is for ONNX files"
  elseif given.prefix and not found.prefix then
    return "it holds one network, by its own description: --prefix has no use"
  elseif given.side and not given.resized
     and (input[2] ~= given.side[1] or input[3] ~= given.side[2]) then
    return ("its input is %s, by its own description: --side cannot change that; "
      .. "load(file, { side = }) makes a network for other pictures"):format(
      table.concat(input, "x"))
  end
  return nil
end


---Applies what the user says of the network's end and its classes.
local function finish(found, given)
  local arch, wrong = found.arch, unused(found, given)
  if wrong then return nil, wrong end
  if given.last then
    local ended, message = last.set(arch, given.last)
    if not ended then return nil, message end
  end
  for _, spec in ipairs(arch.layers) do
    spec.name, spec.kind = spec.name or spec[1], spec.kind or spec[2]
    spec[1], spec[2] = nil, nil
  end
  local net, message = described.made(arch)
  if not net then return nil, message end
  if given.last == "softmax" and net:layer(net.outputs[1]).shape[1] == 1 then
    return nil, "a softmax over one output is always 1; say --last sigmoid or none"
  end
  return labels_of.check(given.labels, net)
end


---What the tensors of a safetensors file are, that brings no graph: for lu.load.
---@param list { name: string, shape: integer[], type?: string }[]
---@param meta table<string, string>   of the file; `side` and `conv10_padding`, which
---  earlier versions wrote since shapes cannot tell them, are heeded
---@return table? found   with `arch`, `params`, `assumed`
---@return string? message
function M.recognise(list, meta)
  local found = { format = "safetensors", tensors = {}, meta = meta, skipped = {},
                  modules = {}, assumed = {}, options = {} }
  for i, e in ipairs(list) do
    found.tensors[i] = { name = e.name, shape = e.shape, type = e.dtype or "F32",
                         index = i - 1 }
  end
  local side = math.tointeger(tonumber(meta.side))
  local hit, message = of_tensors(found, {
    side = side and { side, side },
    conv10_padding = math.tointeger(tonumber(meta.conv10_padding)),
  })
  if not hit then return nil, message end
  if hit.family ~= "ours" then hit.arch.preprocessing = beside.habit(hit) end
  return hit
end


---Writes what was identified.
local function write_out(job, found, given)
  local ok, message = finish(found, given)
  if not ok then return nil, message end
  write.lay_out(found.params, found.arch)
  local meta = beside.of(found, job)
  ok, message = metadata.read(meta) -- what is written can be loaded
  if not ok then return nil, message end
  local bytes
  bytes, message = write.write(job, found.params, meta)
  if not bytes then return nil, message end
  return { model = found.model, input = found.arch.input, family = found.family,
           format = found.format, weights = meta.weights_name, known = job.known ~= nil,
           preprocessing = meta.preprocessing, sha256 = job.sums.sha256,
           options = found.options, bytes = bytes, assumed = found.assumed,
           left = found.left or {}, skipped = found.skipped,
           outside = found.outside ~= nil or nil }
end


M.absent = unread.absent


local function import(file, opts)
  local given, message = given_of.read(opts)
  if not given then return nil, message end
  if not files.exists(file) then return nil, unread.absent(file) end
  local function failed(text) return nil, ("%s: %s"):format(file, text) end
  local found, sums, known, out, report
  found, message = identify(file, given)
  if not found then return failed(message) end
  sums = opts.sums
  if not sums then sums, message = checksums(file, found) end
  if not sums then return failed(message) end
  known = require("lunette.weights.catalogue").by_checksum(sums)
  out, message = output.choose(file, given, known, sums)
  if not out then return failed(message) end
  report, message = write_out({
    file = file, opts = given, sums = sums, known = known, out = out,
    half = opts.half, outside = found.outside }, found, given)
  if not report then return failed(message) end
  return out, report
end


---Imports a model file.
---@param file string
---@param opts? lunette.ImportOptions
---@return string? path          the safetensors file that was written, or nil
---@return lunette.ImportReport|string report   or what is wrong, with the file's name
function M.import(file, opts)
  if type(file) ~= "string" then blame("import: a file's path is a string") end
  given_of.check_keys(opts, 2)
  return import(file, opts or {})
end

return setmetatable(M, { __call = function(_, file, opts)
  return M.import(file, opts)
end })
