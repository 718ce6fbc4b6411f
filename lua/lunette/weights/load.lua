---lu.load: a network with its weights, from a safetensors file or a name.
local core = require "lunette.core"
local files = require "lunette.base.files"
local json = require "lunette.base.json"
local models = require "lunette.models"
local nets = require "lunette.net"

local M = {}


---Folders that hold installed models: LUNETTE_MODELS (separated by ":"), the
---user's store, and the weights that come with Lunette.
---@return string[]
function M.folders()
  local list = {}
  for dir in (os.getenv "LUNETTE_MODELS" or ""):gmatch "[^:]+" do
    list[#list + 1] = dir
  end
  local home = os.getenv "HOME"
  local data = os.getenv "XDG_DATA_HOME"
  if not data or data == "" then data = home and home .. "/.local/share" end
  if data then list[#list + 1] = data .. "/lunette" end
  list[#list + 1] = require("lunette.base.paths").weights()
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


---Entries of a file by the name under which the architecture knows them.
local function entry_table(weights)
  local by_name = {}
  for i, e in ipairs(weights:list()) do
    e.index = i
    by_name[e.name] = e
  end
  return by_name
end


---Files of torchvision have its module names: find ours through the aliases of
---each architecture.
local function detect_by_alias(entries)
  for _, name in ipairs { "vgg16", "vgg11", "vgg13", "vgg19", "alexnet" } do
    local net, found = nets.new(models[name]()), 0
    local wanted = {}
    for _, layer in ipairs(net:layers()) do
      for _, q in ipairs(layer.params) do
        wanted[#wanted + 1] = { q, layer }
      end
    end
    local shapes = {}
    for _, pair in ipairs(wanted) do
      for _, alias in ipairs(pair[2].aliases) do
        local e = entries[alias .. "." .. pair[1].key]
        if e then
          found = found + 1
          shapes[pair[1].name] = e.shape
        end
      end
    end
    local count = 0
    for _ in pairs(entries) do count = count + 1 end
    if found == #wanted and found == count then
      local known, opts = models.detect(function(n) return shapes[n] end)
      if known == name then
        opts.preprocessing = "torch"
        return name, opts
      end
    end
  end
  return nil
end


---The table of layers for these entries, or nil. Shapes of a file may be anything:
---what trips an architecture is none of that architecture.
local function detect(entries, meta)
  local function shape_of(name) return entries[name] and entries[name].shape end
  local ok, arch = pcall(function()
    local name, opts = models.detect(shape_of)
    if not name then name, opts = detect_by_alias(entries) end
    if not name then return nil end
    for _, key in ipairs { "side", "conv10_padding" } do -- what shapes cannot tell
      opts[key] = opts[key] or math.tointeger(tonumber(meta[key]))
    end
    return models[name](opts)
  end)
  return ok and arch or nil
end


local function architecture(path, weights, entries)
  local meta = weights:meta()
  local arch = detect(entries, meta)
  if not arch then
    return nil, ("%s: its tensor names and shapes are none of our architectures (%s); "
      .. "import it, or build a network with lu.net and give it the file"):format(path,
      table.concat(models.names, ", "))
  end
  for key, read in pairs { preprocessing = M.preprocessing, labels = M.labels } do
    local value, message = read(meta[key])
    if message then return nil, ("%s: metadata: %s"):format(path, message) end
    arch[key] = value or arch[key]
  end
  arch.meta = meta
  arch.name = meta.name or meta.data or arch.name
  return arch
end


---Preprocessing from metadata: a mode's name, or JSON {mean, std, order, scale}.
---@return string|table? spec, string? message   nil alone: none given
function M.preprocessing(text)
  if not text or text == "" then return nil end
  local spec = text
  if text:find "^%s*{" then spec = json.decode(text) end
  if not spec then return nil, "preprocessing is no JSON" end
  local ok, message = pcall(require("lunette.picture.image").spec, spec)
  if not ok then return nil, (message:gsub("^%S+:%d+: ", "")) end
  return spec
end


---Labels from metadata: a set's name, or a JSON list.
---@return string|string[]? labels, string? message   nil alone: none given
function M.labels(text)
  if not text or text == "" then return nil end
  if text:find "^[%w_-]+$" then return text end
  local list = json.decode(text)
  if type(list) ~= "table" then return nil, "labels are a name or a JSON list" end
  for _, name in ipairs(list) do
    if type(name) ~= "string" then return nil, "a label is no text" end
  end
  return list
end


local function entry_for(entries, layer, q)
  local e = entries[q.name]
  for _, alias in ipairs(layer.aliases) do
    e = e or entries[alias .. "." .. q.key]
  end
  return e
end


local function same_shape(a, b)
  return table.concat(a, ",") == table.concat(b, ",")
end


---Gives `net` the tensors of an open file, checking every shape.
local function attach(net, path, weights, entries)
  for _, layer in ipairs(net:layers()) do
    for _, q in ipairs(layer.params) do
      local e = entry_for(entries, layer, q)
      if not e then
        return nil, ("%s: no tensor '%s' for %s%s"):format(path, q.name, net.name,
          require("lunette.base.suggest").after(q.name, (function()
            local list = {}
            for name in pairs(entries) do list[#list + 1] = name end
            return list
          end)()))
      end
      if not same_shape(e.shape, q.shape) then
        return nil, ("%s: tensor '%s' is (%s), %s wants (%s)"):format(path, e.name,
          table.concat(e.shape, ","), net.name, table.concat(q.shape, ","))
      end
      local t, message = weights:tensor(e.index)
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


---Loads the weights file at `path` into `net`, or into the architecture it holds.
---@param path string
---@param net? lunette.Net
---@return lunette.Net? net, string? message
function M.file(path, net)
  local weights, message = core.weights(path)
  if not weights then return nil, message end
  local entries = entry_table(weights)
  if not net then
    local arch
    arch, message = architecture(path, weights, entries)
    if not arch then return nil, message end
    local ok -- sizes taken from a file's shapes may make no network
    ok, net, message = pcall(nets.new, arch)
    if not ok then net, message = nil, "its shapes make no network" end
    if not net then return nil, ("%s: %s"):format(path, message) end
    net.meta = arch.meta
  end
  local ok
  ok, message = attach(net, path, weights, entries)
  if not ok then return nil, message end
  net.path = path
  warn_of_nan(net, path)
  return net
end


---Loads a network: a path of a .safetensors file, or the name of an installed
---model. Nothing is downloaded.
---Example:
---  local net = assert(lu.load "glyphs")
---  print(net)
---@param what string
---@return lunette.Net? net, string? message
function M.load(what)
  if type(what) ~= "string" then
    error(("load: expected a name or a path, got %s"):format(type(what)), 2)
  end
  if what:find "[/.]" or files.exists(what) then return M.file(what) end
  local path = M.find(what)
  if path then return M.file(path) end
  if models.architecture(what) then
    return nil, ("no weights of %s on this machine; `lunette models` lists what there "
      .. "is, `lunette models get %s` fetches what can be had, `lunette import FILE` "
      .. "takes a file you have"):format(what, what)
  end
  return nil, ("model '%s' not found%s"):format(what,
    require("lunette.base.suggest").after(what, models.names))
end


---Metadata of a network: what it came with, and what its shapes will not tell.
local function what_shapes_hide(net)
  local meta = {}
  for key, value in pairs(net.meta) do
    if type(value) == "string" then meta[key] = value end
  end
  meta.lunette_model, meta.side = net.name, tostring(net.input[2] or net.input[1])
  if net.conv10 then meta.conv10_padding = tostring(net.conv10.padding or 0) end
  return meta
end


---Saves a network's parameters with what is needed to load it again.
---@param net lunette.Net
---@param path string
---@param opts? { half?: boolean, meta?: table<string,string> }
---@return true? ok, string? message
function M.save(net, path, opts)
  if getmetatable(net) ~= nets.Net or type(path) ~= "string" then
    error("save: expected a network and a path", 2)
  end
  opts = require("lunette.base.options").check("save", opts,
                                               { half = false, meta = {} })
  local list = {}
  for _, layer in ipairs(net:layers()) do
    local found = net:params_of(layer)
    for _, q in ipairs(layer.params) do list[#list + 1] = { q.name, found[q.key] } end
  end
  local meta = what_shapes_hide(net)
  for key, value in pairs { preprocessing = net.preprocessing, labels = net.labels } do
    meta[key] = type(value) == "table" and json.encode(value) or value
  end
  for key, value in pairs(opts.meta) do meta[key] = value end
  return core.write_weights(path, list, opts.half and "f16" or "f32", meta)
end

return M
