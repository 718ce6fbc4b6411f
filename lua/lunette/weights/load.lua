---lu.load: a network with its weights, from a safetensors file or a name.
local blame = require "lunette.base.blame"
local entry_of = require "lunette.weights.entry"
local core = require "lunette.core"
local json = require "lunette.base.json"
local lfs = require "lfs"
local files = require "lunette.base.files"
local metadata = require "lunette.weights.metadata"
local nets = require "lunette.net"
local paths = require "lunette.base.paths"
local shapes = require "lunette.base.shapes"

local M = {}


---Folders that hold installed models: LUNETTE_MODELS (separated by ":"), the
---user's store, and the weights that come with Lunette.
---@return string[]
function M.folders()
  local list = {}
  for dir in (os.getenv "LUNETTE_MODELS" or ""):gmatch "[^:]+" do
    list[#list + 1] = paths.plain(dir)
  end
  local data = paths.xdg("XDG_DATA_HOME", "/.local/share")
  if data then list[#list + 1] = data .. "/lunette" end
  list[#list + 1] = paths.weights()
  return list
end


---The file of an installed model.
---@param name string
---@return string? path
function M.find(name)
  for _, dir in ipairs(M.folders()) do
    local path = dir .. "/" .. name .. ".safetensors"
    if files.exists(path) then return path end
  end
  return nil
end


---Names of the models whose weights are on this machine, sorted.
---@return string[]
function M.installed()
  local list, seen = {}, {}
  for _, dir in ipairs(M.folders()) do
    local there, each, at = pcall(lfs.dir, dir)
    for file in there and each or function() end, at do
      local name = file:match "^(.+)%.safetensors$"
      if name and not seen[name] then list[#list + 1] = name end
      seen[name or file] = true
    end
  end
  table.sort(list)
  return list
end


---Names in metadata `lunette_turned`, a JSON list: the dense weights that files of
---earlier versions have as (in,out).
local function listed(path, entries, text)
  local list, set = json.decode(text), {}
  if type(list) ~= "table" or not text:find "^%s*%[" then
    return nil, path .. ": lunette_turned is no list of names"
  end
  for _, name in ipairs(list) do
    local e = type(name) == "string" and entries[name]
    if not e or #e.shape ~= 2 or set[name] then
      return nil, path .. ": lunette_turned names what is no matrix"
    end
    set[name] = true
  end
  return set
end


---Names of the dense weights that the file has as (in,out).
local function in_out_names(path, entries, meta, graph)
  if meta.lunette_turned then return listed(path, entries, meta.lunette_turned) end
  local set = {}
  for _, layer in ipairs(graph and graph.layers or {}) do
    local name = layer.name .. ".weight"
    if layer.weight_layout == "in_out" then set[name] = entries[name] ~= nil end
  end
  return set
end


---Entries of a file by the name under which the architecture knows them. A dense
---weight may have a `layout`; its `shape` is (out,in) whatever that is.
---@return table? entries, string? message
local function entry_table(path, weights, meta, graph)
  local by_name = {}
  for i, e in ipairs(weights:list()) do
    e.index = i
    by_name[e.name] = e
  end
  local set, message = in_out_names(path, by_name, meta, graph)
  if not set then return nil, message end
  for name, there in pairs(set) do
    local e = there and by_name[name]
    if e and #e.shape == 2 then
      e.layout, e.shape = "in_out", { e.shape[2], e.shape[1] }
    end
  end
  return by_name
end


---The layers of (in,out) weights say so.
local function set_layouts(arch, entries)
  for _, layer in ipairs(arch.layers) do
    local e = entries[(layer.shares or layer.name or layer[1]) .. ".weight"]
    if e and e.layout then layer.weight_layout = e.layout end
  end
end


---Can every tensor be taken where it lies, under the name that it has?
local function as_they_lie(hit, entries)
  for _, p in ipairs(hit.params) do
    local e = entries[p.source.name]
    if not e or not shapes.same(e.shape, p.shape) then return false end
  end
  local net = nets.new(hit.arch)
  for _, layer in ipairs(net:layers()) do
    for _, q in ipairs(layer.params) do
      if not q.shared and not entry_of(entries, layer, q) then return false end
    end
  end
  return true
end


---The table of layers of a file that brings none; nil and a message, or, where its
---tensors must be brought into order, nil alone.
local function recognised(path, weights, entries, meta)
  local hit, message = require("lunette.weights.import").recognise(weights:list(), meta)
  if not hit then return nil, ("%s: %s"):format(path, message) end
  if not as_they_lie(hit, entries) then return nil end
  meta.assumed = #hit.assumed > 0 and table.concat(hit.assumed, "; ") or nil
  hit.arch.name = meta.name or meta.data or hit.arch.name
  return hit.arch
end


---The table of layers that a file brings, or whose parameters it has; nil, message.
local function architecture(path, weights, entries, meta, found)
  local arch, message = found.lunette_graph, nil
  if not arch then arch, message = recognised(path, weights, entries, meta) end
  if not arch then return nil, message end
  if meta.data == "glyphs" then -- files of before these two were said
    meta.shows = meta.shows or "ten drawn shapes"
    meta.examples = meta.examples or "glyphs"
  end
  arch.preprocessing = found.preprocessing or arch.preprocessing
  arch.labels = found.labels or arch.labels
  set_layouts(arch, entries)
  return arch
end


---The network that a file holds, without its parameters yet.
local function network(path, weights, entries, meta, found, opts)
  local arch, message = architecture(path, weights, entries, meta, found)
  if not arch then return nil, message end
  if opts then
    arch, message = require("lunette.weights.size").resized(arch, opts)
    if not arch then return nil, ("%s: %s"):format(path, message) end
  end
  local ok, net -- sizes taken from a file's shapes may make no network
  ok, net, message = pcall(nets.new, arch)
  if not ok then net, message = nil, "its shapes make no network" end
  if not net then return nil, ("%s: %s"):format(path, message) end
  meta.lunette_turned = nil -- its graph says that
  net.meta = meta
  return net
end


---The tensor of an entry, laid out as the network wants it.
local function tensor_of(weights, e, layer)
  local t, message = weights:tensor(e.index)
  if not t then return nil, message end
  if layer.kind == "conv2d" and #e.shape == 2 then -- a dense layer that slides
    if e.layout == "in_out" then t = t:permute { dims = { 2, 1 } } end
    return t:view(table.unpack(layer.params[1].shape))
  end
  if #e.shape == 2 and (e.layout or "out_in") ~= (layer.weight_layout or "out_in") then
    t = t:permute { dims = { 2, 1 } }
  end
  return t
end


---Shape of a parameter as entries have it: of a dense weight (out,in), also of one
---that slides as a convolution.
local function plain_shape(layer, q, e)
  if layer.kind == "conv2d" and q.key == "weight" and #e.shape == 2 then
    return { q.shape[1], q.shape[2] * q.shape[3] * q.shape[4] }
  end
  if layer.weight_layout == "in_out" and q.key == "weight" then
    return { q.shape[2], q.shape[1] }
  end
  return q.shape
end


---Gives `net` the tensors of an open file, checking every shape.
local function attach(net, path, weights, entries)
  for _, layer in ipairs(net:layers()) do
    for _, q in ipairs(layer.params) do
      local e = entry_of(entries, layer, q)
      if not e then
        return nil, ("%s: no tensor '%s' for %s%s"):format(path, q.name, net.name,
          require("lunette.base.suggest").after(q.name, (function()
            local list = {}
            for name in pairs(entries) do list[#list + 1] = name end
            return list
          end)()))
      end
      local want = plain_shape(layer, q, e)
      if not shapes.same(e.shape, want) then
        return nil, ("%s: tensor '%s' is %s, %s wants %s"):format(path, e.name,
          shapes.text(e.shape), net.name, shapes.text(want))
      end
      local t, message = tensor_of(weights, e, layer)
      if not t then return nil, message end
      net.params[q.name] = t
    end
  end
  return net
end


---Small networks are searched for NaN and infinity at once; large ones, which are
---only mapped, in their small tensors (a full scan would read the whole file).
local function warn_of_nan(net, path)
  for name, t in pairs(net.params) do
    if t:size() <= 2 ^ 21 and not t:stats().finite then
      require("lunette.base.warn")(("%s: tensor '%s' holds NaN or infinity; every "
        .. "result of this network will too"):format(path, name))
      return
    end
  end
end


---The side that options ask for, for files that leave it open.
local function side_of(opts)
  return opts.side or opts.input and { table.unpack(opts.input, 2) }
end


---A file that is imported first: by its copy.
local function imported(path, opts)
  local copy, message, once = require("lunette.weights.cache").copy_of(path,
    opts and side_of(opts))
  if not copy then return nil, message end
  local net
  net, message = M.file(copy, nil, opts)
  if once then os.remove(copy) end -- what is mapped stays until the network goes
  if not net then return nil, message end
  net.path = path
  if net.meta.assumed then
    require("lunette.base.text").complain(("%s: assumed %s"):format(path,
      net.meta.assumed))
  end
  return net
end


---Attaches an open file to `net`, or to the network that it holds; nil alone: its
---tensors must be brought into order first.
local function attached(path, weights, net, opts)
  local meta = weights:meta()
  local found, message = metadata.read(meta)
  if not found and not net then return nil, ("%s: %s"):format(path, message) end
  local entries, ok
  entries, message = entry_table(path, weights, meta, found and found.lunette_graph)
  if not entries then return nil, message end
  if not net then
    net, message = network(path, weights, entries, meta, found, opts)
    if not net then return nil, message end
  end
  ok, message = attach(net, path, weights, entries)
  if not ok then return nil, message end
  net.path, net.weights_file = path, weights
  warn_of_nan(net, path)
  return net
end


---The network that is in the file of a loaded one, as it was.
---@param net lunette.Net
---@return lunette.Net? net, string? message
function M.again(net)
  if not net.weights_file then return nil, "it was not loaded from a file" end
  return attached(net.path, net.weights_file)
end


---Loads the weights file at `path` into `net`, or the network that it holds, whatever
---its format is.
---@param path string
---@param net? lunette.Net
---@param opts? table   another size, as for `load`
---@return lunette.Net? net, string? message
function M.file(path, net, opts)
  local weights, message = core.weights(path)
  if not weights then
    if lfs.attributes(path, "mode") == "directory" then
      return nil, require("lunette.weights.import.unread").absent(path)
    elseif net or not files.exists(path) then
      return nil, message .. files.hint(path)
    end
    return imported(path, opts)
  end
  local loaded
  loaded, message = attached(path, weights, net, opts)
  if not loaded and not message then return imported(path, opts) end
  return loaded, message
end


---Options as they may be, or raises.
local function check_options(opts)
  if opts == nil or opts.sha256 and opts.family then return end -- nothing, a report
  for key in pairs(opts) do
    if key ~= "side" and key ~= "input" and key ~= "slide" then
      blame(("load: no option '%s'%s; what a network is stands in its file"):format(
            tostring(key), require("lunette.base.suggest").after(tostring(key),
            { "side", "input", "slide" })))
    end
  end
  if not (opts.side or opts.input) then blame("load: slide needs side or input") end
end


---@class lunette.LoadOptions
---@field side? integer|integer[]   another size of pictures: a side, or {height, width}
---@field input? integer[]          the same as {channels, height, width}
---@field slide? boolean   a dense head (VGG's) becomes convolutions, which slide over
---  larger pictures; the scores of all places are averaged before the softmax

---Loads a network: the name of an installed model, or the path of a model file. One of
---another format (.h5, .keras, .pth, .onnx ...) is imported into the cache, which is
---said, and is quick the second time. Nothing is downloaded. With another size of
---pictures, where its graph allows that: weights stay as they are.
---Example:
---  local net = assert(lu.load "glyphs")
---  print(net)
---@param what string   an installed model ("vgg16") or a model file
---@param opts? lunette.LoadOptions   a report, which `import` gives beside the path,
---  changes nothing: lu.load(assert(import(file)))
---@return lunette.Net? net, string? message
function M.load(what, opts)
  check_options(opts)
  if opts and opts.sha256 then opts = nil end -- the report of an import
  if what:find "[/.]" then return M.file(what, nil, opts) end
  local path = M.find(what) or files.exists(what) and what
  if path then return M.file(path, nil, opts) end
  local models = require "lunette.models"
  if models.architecture(what) then
    return nil, ("no weights of %s on this machine; `lunette models` lists what there "
      .. "is, `lunette models get %s` fetches what can be had, `lunette import FILE` "
      .. "takes a file you have"):format(what, what)
  end
  local brief = require("lunette.base.text").brief
  local known = M.installed()
  table.move(models.names, 1, #models.names, #known + 1, known)
  local hint = require("lunette.base.suggest").after(what, known)
  if hint == "" then hint = "; `lunette models` lists what there is" end
  return nil, ("model '%s' not found%s"):format(brief(what), hint)
end

return M
