---Turns a model file that people have (Keras .h5, torch .pth, safetensors by
---torchvision or timm) into our safetensors: finds the architecture by names and
---shapes, brings every tensor into our order, checks each against the network.
---
---  local import = require "lunette.weights.import"
---  local path, report = assert(import("vgg16.h5", { out = "vgg16.safetensors" }))
---
---Reading happens in a confined process; see docs/formats.md.
local files = require "lunette.base.files"
local foreign = require "lunette.weights.import.foreign"
local graphs = require "lunette.net.graph"
local json = require "lunette.base.json"
local keras = require "lunette.weights.import.keras"
local metadata = require "lunette.weights.metadata"
local models = require "lunette.models"
local names = require "lunette.weights.import.names"
local program = require "lunette.weights.import.program"
local shapes = require "lunette.base.shapes"

local M = { program = program }

---@class lunette.ImportOptions
---@field out? string           path to write; default: see import.default_out
---@field half? boolean         store float16: half the bytes
---@field preprocessing? string what pictures go through ("caffe", "torch"); default:
---  what the file or its checksum says, else what its makers use
---@field side? integer|integer[]   height and width, where a file leaves them open
---@field tensor? string        ONNX: the input is no picture but any tensor, its first
---  dimension the batch ("batched") or one of the values ("whole")
---@field name? string          a name for these weights, kept in the metadata
---@field sums? table           checksums that were computed already

---@class lunette.ImportReport
---@field model string          "vgg16"
---@field family string         whose names: "keras", "torch" or "ours"
---@field format string         "HDF5", "PyTorch zip" ...
---@field weights? string       which known weight set it is
---@field preprocessing string
---@field sha256 string
---@field assumed string[]      what the file does not say
---@field options table         width, side, classes ... of the network
---@field bytes integer         size of what was written


-- listing ----------------------------------------------------------------------


local function numbers(text)
  local list = {}
  for n in text:gmatch("%d+") do list[#list + 1] = math.tointeger(tonumber(n)) end
  return list
end


---What a file holds, without reading any weights.
---@param file string
---@return { format: string, tensors: lunette.import.Tensor[], meta: table }? listing
---@return string? message
function M.list(file)
  local lines, message = program.run { "list", file }
  if not lines then return nil, message end
  local found = { tensors = {}, meta = {}, lines = lines }
  for _, f in ipairs(lines) do
    if f[1] == "format" then
      found.format = f[2]
    elseif f[1] == "meta" then
      found.meta[program.unescape(f[2])] = program.unescape(f[3] or "")
    elseif f[1] == "tensor" then
      found.tensors[#found.tensors + 1] = {
        index = #found.tensors, type = f[2], shape = numbers(f[3]), name = f[4],
      }
    end
  end
  return found
end


-- the architecture -------------------------------------------------------------


-- Options that the shapes cannot tell but the origin does.
local function origin_options(model, family)
  if model:match("^squeezenet") and family == "torch" then
    return { conv10_padding = 0, side = 224 } -- the authors: 1, 227
  end
  return {}
end


-- Parameters by our names; no two are the same.
local function by_name_of(params)
  local by_name = {}
  for _, p in ipairs(params) do
    if by_name[p.name] then
      return nil, ("two tensors are '%s' ('%s' and '%s')"):format(p.name,
        by_name[p.name].source.name, p.source and p.source.name or "?")
    end
    by_name[p.name] = p
  end
  return by_name
end


-- The architecture that has these parameters, as lunette.models describes it.
local function recognise(params, by_name, family)
  local model, options = foreign.detect(function(name)
    return by_name[name] and by_name[name].shape
  end)
  if not model then
    return nil, ("its tensors are those of no architecture known here (the first is "
      .. "'%s'); known: %s"):format(params[1].source.name,
      table.concat(models.names, ", "))
  end
  for key, value in pairs(origin_options(model, family)) do options[key] = value end
  return models[model](options), options
end


-- Every parameter that the network wants is there, in its shape, and no other.
local function check_shapes(arch, by_name)
  local model = arch.name
  local ok, net, message = pcall(require("lunette.net").new, arch)
  if not ok or not net then
    return nil, ("it looks like %s, but cannot be one: %s"):format(model,
      tostring(not ok and net or message))
  end
  local wanted = {}
  for _, layer in ipairs(net:layers()) do
    for _, q in ipairs(layer.params) do
      local p = by_name[q.name]
      if not p then
        return nil, ("it looks like %s, but has no '%s'"):format(model, q.name)
      end
      if not shapes.same(p.shape, q.shape) then
        return nil, ("'%s' (%s): shape %s, %s wants %s"):format(p.source.name, q.name,
          shapes.text(p.shape), model, shapes.text(q.shape))
      end
      wanted[q.name] = true
    end
  end
  for name, p in pairs(by_name) do
    if not wanted[name] then
      return nil, ("tensor '%s' has no place in %s"):format(p.source.name, model)
    end
  end
  return net.graph
end


-- metadata ---------------------------------------------------------------------


local origin_preprocessing = { keras = "caffe", torch = "torch",
                               onnx = "torch" }


local function text_of(value)
  return type(value) == "table" and json.encode(value) or tostring(value)
end


-- What pictures go through. What the user says comes first, then what the file
-- itself or its checksum tells, then the habit of those who use such names.
local function preprocessing(found, job, own)
  return text_of(job.opts.preprocessing or own.preprocessing
    or job.known and job.known.preprocessing or found.preprocessing
    or origin_preprocessing[found.family]
    or found.arch.preprocessing)
end


-- A network without dense layers has no classes to name.
local function class_names(found)
  local labels = found.options.top ~= false and found.arch.labels
  return labels and text_of(labels) or nil
end


-- What is written beside the tensors: strings only, as the format wants.
local function metadata_of(found, job)
  local own = found.family == "ours" and found.meta or {}
  local opts, known = job.opts, job.known or {}
  local meta = {
    lunette_model = found.model,
    lunette_graph = graphs.encode(found.arch),
    assumed = #found.assumed > 0 and table.concat(found.assumed, "; ") or nil,
    preprocessing = preprocessing(found, job, own),
    labels = own.labels or class_names(found),
    weights_name = opts.name or known.name,
    licence = known.licence,
    source = job.file:match("([^/]+)$"),
    source_sha256 = job.sums.sha256,
    source_md5 = job.sums.md5,
  }
  for key, value in pairs(own) do meta[key] = meta[key] or value end
  meta.lunette_turned = nil -- the graph says that
  return meta
end


-- the plan ---------------------------------------------------------------------


local function count(shape)
  local n = 1
  for _, d in ipairs(shape) do n = n * d end
  return n
end


-- Largest power of two, up to 64, that divides a tensor's bytes.
local function alignment(p, width)
  local bytes, a = count(p.shape) * width, 64
  while bytes % a ~= 0 do a = a // 2 end
  return a
end


-- The format allows no holes, so tensors whose size is a multiple of 64 come first:
-- then they all begin at one. The rest follows, the most even first.
local function in_file_order(params, width)
  local order = {}
  for i, p in ipairs(params) do order[i] = { p, alignment(p, width), i } end
  table.sort(order, function(a, b)
    if a[2] ~= b[2] then return a[2] > b[2] end
    return a[3] < b[3]
  end)
  for i, o in ipairs(order) do order[i] = o[1] end
  return order
end


-- Dense weights of more numbers than this are written as (in,out): then inputs that
-- are 0 cost nothing forward. Networks are searched for NaN up to that size.
local LARGE = 2 ^ 21


-- Shape of each tensor in the file, and the order of the source's axes that gives it;
-- the graph's layers say which are (in,out).
local function lay_out(params, graph)
  local in_out, dense = {}, {}
  for _, layer in ipairs(graph.layers) do
    if layer.kind == "linear" then
      dense[(layer.shares or layer.name) .. ".weight"] = true
    end
  end
  for _, p in ipairs(params) do
    p.written, p.order = p.shape, p.perm
    local large = #p.shape == 2 and count(p.shape) > LARGE
    if large and dense[p.name] and p.view
       and p.view[p.perm[1]] == p.shape[1] then
      p.written = { p.shape[2], p.shape[1] }
      p.order = { table.unpack(p.perm, 2) }
      p.order[#p.order + 1] = p.perm[1]
      in_out[p.name] = "in_out"
    end
  end
  for _, layer in ipairs(graph.layers) do
    layer.weight_layout = in_out[(layer.shares or layer.name) .. ".weight"]
  end
end


-- JSON with the keys in the file's order; spaces make the data begin at 64.
local function header(params, meta, dtype, width)
  local parts, at = { '"__metadata__":' .. json.encode(meta) }, 0
  for _, p in ipairs(params) do
    local bytes = count(p.shape) * width
    parts[#parts + 1] = ('%s:{"dtype":"%s","shape":[%s],"data_offsets":[%d,%d]}')
      :format(json.encode(p.name), dtype, table.concat(p.written, ","), at,
              at + bytes)
    at = at + bytes
  end
  local text = "{" .. table.concat(parts, ",") .. "}"
  return text .. (" "):rep(-(8 + #text) % 64), at
end


local function comma(list, less)
  if #list == 0 then return "-" end
  local out = {}
  for i, n in ipairs(list) do out[i] = n - less end
  return table.concat(out, ",")
end


-- The lines that engine/import/plan.c reads.
local function plan(params, head, dtype)
  local lines = { "dtype " .. dtype, "header " .. #head, head }
  for _, p in ipairs(params) do
    if p.data then
      local bytes = {}
      for i, v in ipairs(p.data) do bytes[i] = string.pack("<f", v) end
      lines[#lines + 1] = ("literal %d"):format(#p.data)
      lines[#lines + 1] = table.concat(bytes)
    else
      lines[#lines + 1] = ("tensor %d %s %s %s"):format(p.source.index,
        comma(p.view, 0), comma(p.order, 1), p.source.full or p.source.name)
    end
  end
  lines[#lines + 1] = "end\n"
  return table.concat(lines, "\n")
end


local function write(job, params, meta)
  local dtype, width = "F32", 4
  if job.opts.half then dtype, width = "F16", 2 end
  local order = in_file_order(params, width)
  local head, bytes = header(order, meta, dtype, width)
  local lines, problem = program.run({ "write", job.file, job.out, job.outside },
                                     plan(order, head, dtype))
  if not lines then return nil, problem end
  return 8 + #head + bytes
end


-- the way in -------------------------------------------------------------------


---Where `import` writes when it is not told: known weights go to the store under
---their catalogue name, so that lu.load finds them; others to the working folder.
---@param file string
---@param known? lunette.CatalogueEntry
---@return string
function M.default_out(file, known)
  local stored = known and require("lunette.weights.catalogue").stored(known.id)
  if stored then return stored end
  local base = file:match("([^/]+)$"):gsub("%.[%w]+$", ""):gsub("%.weights$", "")
  return base .. ".safetensors"
end


-- Names of the dense weights that a graph has as (in,out).
local function in_out_of(graph)
  local set = {}
  for _, layer in ipairs(graph and graph.layers or {}) do
    if layer.weight_layout == "in_out" then set[layer.name .. ".weight"] = true end
  end
  return set
end


-- The same of a file of ours: by its graph, or by the list that earlier versions
-- wrote; nil and a message when the list is none, or names what is not there.
local function in_out_names(found)
  local text, set, there = found.meta.lunette_turned, {}, {}
  if not text then
    return in_out_of(graphs.decode(found.meta.lunette_graph or "null"))
  end
  local list = json.decode(text)
  if type(list) ~= "table" or not text:find "^%s*%[" then
    return nil, "lunette_turned is no list of names"
  end
  for _, t in ipairs(found.tensors) do there[t.name] = true end
  for _, name in ipairs(list) do
    if not there[name] or set[name] then
      return nil, "lunette_turned names what is no matrix"
    end
    set[name] = true
  end
  return set
end


-- The graph that a file brings, or that of the architecture whose parameters it has.
local function graph_of(found, params, family)
  local by_name, message = by_name_of(params)
  if not by_name then return nil, message end
  local own
  own, message = metadata.read { lunette_graph = found.meta.lunette_graph }
  if not own then return nil, message end
  local arch, options = own.lunette_graph, {}
  for _, layer in ipairs(arch and arch.layers or {}) do layer.weight_layout = nil end
  if not arch then arch, options = recognise(params, by_name, family) end
  if not arch then return nil, options end
  arch, message = check_shapes(arch, by_name)
  if not arch then return nil, message end
  return arch, options
end


-- The file beside it that has the numbers, when they are not in the model's own.
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


-- A file that says itself which network it holds.
local function of_onnx(found, file, opts)
  for _, f in ipairs(found.lines) do
    for i = 2, #f do f[i] = program.unescape(f[i]) end
  end
  local base = file:match("([^/]+)$"):gsub("%.onnx$", "")
  local arch, params, model = require("lunette.weights.import.onnx").read(found.lines,
    { name = opts.name or base, side = opts.side, tensor = opts.tensor })
  if not arch then return nil, params end
  local by_name, message = by_name_of(params)
  if not by_name then return nil, message end
  arch, message = check_shapes(arch, by_name)
  if not arch then return nil, message end
  found.model, found.options, found.family, found.arch = arch.name, {}, "onnx", arch
  found.outside, message = outside_of(model, file)
  if message then return nil, message end
  found.meta = {}
  return found, params
end


-- What the names in a Keras config say of the pictures its networks were trained on.
local trained_with = {
  { "resnet%d*v2", "tf" }, { "^vgg", "caffe" }, { "^resnet", "caffe" },
  { "^densenet", "torch" }, { "^mobilenet", "tf" }, { "^xception", "tf" },
  { "^inception", "tf" }, { "^nasnet", "tf" },
}


-- Preprocessing of a Keras network: 0 .. 255 where its first layers rescale, that of
-- a known name, or else 0 .. 1, which is said.
local function keras_preprocessing(found)
  local arch, plain = found.arch, { order = "rgb", mean = { 0, 0, 0 },
                                    std = { 1, 1, 1 }, scale = 1 }
  if arch.rescales then return plain end
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


-- A Keras file that says what it is. A config that is no whole description (no input)
-- leaves the file to be recognised by its names.
local function from_config(found, opts)
  local arch, params = keras.read(found.meta, found.tensors, opts)
  if not arch then return nil, params end
  found.rescales, arch.rescales = arch.rescales, nil
  local by_name, message = by_name_of(params)
  if not by_name then return nil, message end
  local graph
  graph, message = check_shapes(arch, by_name)
  if not graph then return nil, message end
  graph.rescales = found.rescales
  found.model, found.options, found.family, found.arch = arch.name, {}, "keras", graph
  found.preprocessing = keras_preprocessing(found)
  graph.rescales = nil
  return found, params
end


-- Reads the listing and says what the file is.
local function identify(file, opts)
  local found, message = M.list(file)
  if not found then return nil, message end
  found.assumed = {}
  if found.format == "ONNX" then return of_onnx(found, file, opts) end
  if found.meta.model_config then
    local whole, params = from_config(found, opts)
    if whole or not (params:find "does not say what the input is"
                     or params:find "describes no layers") then
      return whole, params
    end
  end
  local in_out
  in_out, message = in_out_names(found)
  if not in_out then return nil, message end
  local params, family = names.map(found.tensors, in_out)
  if not params then return nil, family end
  local arch, options = graph_of(found, params, family)
  if not arch then return nil, options end
  found.model, found.options = arch.name, options
  found.family, found.arch = family, arch
  return found, params
end


-- SHA-256 always; Keras names its files by MD5; archives have checksums inside.
local function checksums(file, found)
  local kinds = { "sha256" }
  if found.format == "HDF5" then kinds[2] = "md5" end
  if found.format:find("zip") or found.format:find("archive") then kinds[2] = "crc" end
  return program.digests(file, kinds)
end


local function same_file(a, b)
  local lfs = require "lfs"
  local x, y = lfs.attributes(a), lfs.attributes(b)
  return x and y and x.ino == y.ino and x.dev == y.dev
end


-- A mode's name, or {mean, std, order, scale} as a table or JSON.
local function check_preprocessing(given)
  if type(given) ~= "string" or given:find("^%s*{") then return true end
  local modes, list = require("lunette.picture.preprocessing").modes, {}
  if modes[given] then return true end
  for name in pairs(modes) do list[#list + 1] = name end
  table.sort(list)
  return nil, ("no preprocessing '%s' (%s)%s"):format(given, table.concat(list, ", "),
    require("lunette.base.suggest").after(given, list))
end


local function import(file, opts)
  local right, wrong = check_preprocessing(opts.preprocessing)
  if not right then return nil, wrong end
  if not files.exists(file) then
    return nil, file .. ": no such file, or unreadable"
  end
  local found, params = identify(file, opts)
  if not found then return nil, ("%s: %s"):format(file, params) end
  local sums, message = opts.sums, nil
  if not sums then sums, message = checksums(file, found) end
  if not sums then return nil, ("%s: %s"):format(file, message) end
  local known = require("lunette.weights.catalogue").by_checksum(sums)
  local job = { file = file, opts = opts, sums = sums, known = known,
                outside = found.outside }
  job.out = opts.out or M.default_out(file, known)
  if same_file(file, job.out) then
    return nil, file .. ": the output would replace the input; name another with -o"
  end
  lay_out(params, found.arch)
  local meta = metadata_of(found, job)
  local bytes
  bytes, message = write(job, params, meta)
  if not bytes then return nil, ("%s: %s"):format(file, message) end
  return job.out, {
    model = found.model, input = found.arch.input, family = found.family,
    format = found.format,
    weights = meta.weights_name, known = known ~= nil,
    preprocessing = meta.preprocessing, sha256 = sums.sha256,
    options = found.options, bytes = bytes, assumed = found.assumed,
  }
end


local known_options = { out = true, half = true, preprocessing = true, name = true,
                        side = true, sums = true, tensor = true }


---Imports a model file.
---@param file string
---@param opts? lunette.ImportOptions
---@return string? path          the safetensors file that was written, or nil
---@return lunette.ImportReport|string report   or what is wrong, with the file's name
function M.import(file, opts)
  if type(file) ~= "string" then error("import: a file's path is a string", 2) end
  for key in pairs(opts or {}) do
    if not known_options[key] then
      local list = {}
      for name in pairs(known_options) do list[#list + 1] = name end
      error(("import: no option '%s'%s"):format(tostring(key),
            require("lunette.base.suggest").after(tostring(key), list)), 2)
    end
  end
  return import(file, opts or {})
end

return setmetatable(M, { __call = function(_, file, opts)
  return M.import(file, opts)
end })
