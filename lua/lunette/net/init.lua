---Networks: an ordered graph of named layers (plain data), their parameters,
---and how pictures become their input. `net(arch)` builds one from a table of
---layers; `lu.load` also gives it weights.
local core = require "lunette.core"
local layers = require "lunette.net.layers"
local suggest = require "lunette.base.suggest"
require "lunette.base.tensor"

---@class lunette.Layer
---@field name string
---@field kind string        operator: "conv2d", "relu", "linear" ...
---@field from string[]      names of the layers it reads ("input": the picture)
---@field shape integer[]    output, without the batch dimension
---@field params table[]     {{name, shape, frozen}, ...}
---@field aliases string[]   other names: torchvision's, the paper's
local Layer = {}

---@class lunette.Net
---@field name string
---@field input integer[]    (C,H,W)
---@field preprocessing string|table
---@field labels string|string[]|nil
---@field params table<string, lunette.Tensor>   "block1_conv1.weight" = (64,3,3,3)
local Net = {}
local layers_of = setmetatable({}, { __mode = "k" }) -- net -> its parts


local function parts(net) return layers_of[net] end


function Net.__index(net, key)
  if Net[key] ~= nil then return Net[key] end
  if type(key) ~= "string" then return nil end
  local p = rawget(layers_of, net)
  return p and (p.by_name[key] or p.by_alias[key])
end


-- building ---------------------------------------------------------------------


local function check_kind(name, kind)
  if layers.kinds[kind] then return end
  local known = {}
  for k in pairs(layers.kinds) do known[#known + 1] = k end
  table.sort(known)
  if kind == nil then
    error(("layer '%s' has no kind (there are: %s)"):format(name,
          table.concat(known, ", ")), 0)
  end
  error(("layer '%s': no kind '%s'%s"):format(name, tostring(kind),
        suggest.after(tostring(kind), known)), 0)
end


local function read_layer(spec, previous)
  if type(spec) ~= "table" then
    error(("a layer is a table { name, kind, ... }, got %s"):format(type(spec)), 0)
  end
  local layer = setmetatable({}, Layer)
  for key, value in pairs(spec) do
    if type(key) == "string" then layer[key] = value end
  end
  layer.name, layer.kind = spec[1] or spec.name, spec[2] or spec.kind
  layer.aliases = spec.aliases or {}
  if type(layer.name) ~= "string" then error("a layer has no name", 0) end
  check_kind(layer.name, layer.kind)
  layers.check(layer)
  local from = spec.from or previous
  if type(from) ~= "table" or from.param then from = { from } end
  layers.read_inputs(layer, from)
  return layer
end


---Output shape and parameters of a layer whose sources are known.
local function infer(p, layer)
  local inputs = {}
  for i, name in ipairs(layer.from) do
    local source = p.by_name[name]
    if name ~= "input" and not source then
      error(("layer '%s': reads '%s', which is not before it%s"):format(layer.name,
            tostring(name), suggest.after(tostring(name), p.names)), 0)
    end
    inputs[i] = source and source.shape or p.input
  end
  layers.infer(layer, inputs)
end


local fusing = { conv2d = true, linear = true }


---2x2 of stride 2, without padding: what a pass may end with.
local function halves(layer)
  local function is(value, n)
    if type(value) == "table" then return value[1] == n and (value[2] or n) == n end
    return value == n
  end
  return layer.kind == "max_pool2d" and is(layer.kernel, 2)
    and is(layer.stride or layer.kernel, 2) and is(layer.padding or 0, 0)
end


---Which layers wait for the next one, their only reader: a convolution or dense
---layer `fuses` with its relu; that relu is `pooled` where a pooling comes next.
local function find_joined(p)
  local before = {}
  for i, layer in ipairs(p.list) do
    local r = p.readers[layer.name] or {}
    local next_ = #r == 1 and r[1] == i + 1 and p.list[r[1]]
    layer.fuses = next_ and next_.kind == "relu" and fusing[layer.kind]
    layer.pooled = next_ and halves(next_) and layer.kind == "relu" and before.fuses
    before = layer
  end
end


---Who reads each layer: values are dropped after their last reader.
local function count_readers(p)
  p.readers = {}
  for i, layer in ipairs(p.list) do
    for _, from in ipairs(layer.from) do
      p.readers[from] = p.readers[from] or {}
      table.insert(p.readers[from], i)
    end
  end
  find_joined(p)
end


local function add_layer(p, layer)
  if p.by_name[layer.name] or layer.name == "input" then
    error(("two layers are named '%s'"):format(layer.name), 0)
  end
  infer(p, layer)
  p.list[#p.list + 1] = layer
  layer.index = #p.list
  p.by_name[layer.name] = layer
  p.names[#p.names + 1] = layer.name
  for _, alias in ipairs(layer.aliases) do p.by_alias[alias] = layer end
end


local function check_size(input)
  local ok = type(input) == "table" and (#input == 3 or #input == 1)
  for _, d in ipairs(ok and input or {}) do
    ok = ok and math.tointeger(d) and d > 0
  end
  if not ok then error("a network needs `input = {C,H,W}`, or {values}", 3) end
end


---Builds a network from a table of layers:
---  { name =, input = {3,224,224}, layers = { {"conv1","conv2d", filters=64, kernel=3,
---    padding=1}, {"relu1","relu"}, ... }, preprocessing =, labels = }
---A layer reads the one before it unless it says `from = "name"` or a list.
---@param arch table
---@return lunette.Net? net, string? message
local function new(arch)
  if type(arch) ~= "table" or type(arch.layers) ~= "table" then
    error("a network is a table with `input` and `layers`", 2)
  end
  check_size(arch.input)
  local p = { list = {}, by_name = {}, by_alias = {}, names = {},
              input = arch.input }
  local net = setmetatable({
    name = arch.name or "network", input = arch.input, labels = arch.labels,
    preprocessing = arch.preprocessing or { mean = { 0, 0, 0 }, std = { 1, 1, 1 },
                                            order = "rgb", scale = 1 / 255 },
    params = {}, meta = {},
  }, Net)
  layers_of[net] = p
  local ok, message = pcall(function()
    local previous = "input"
    for _, spec in ipairs(arch.layers) do
      local layer = read_layer(spec, previous)
      add_layer(p, layer)
      previous = layer.name
    end
    if #p.list == 0 then error("a network needs at least one layer", 0) end
    count_readers(p)
  end)
  if not ok then return nil, ("network '%s': %s"):format(net.name, message) end
  return net
end


-- names ------------------------------------------------------------------------


---All layers in order, or those whose name or kind contains `pattern`.
---@param pattern? string   plain text
---@return lunette.Layer[]
function Net:layers(pattern)
  local found = {}
  for _, layer in ipairs(parts(self).list) do
    if not pattern or layer.name:find(pattern, 1, true)
       or layer.kind:find(pattern, 1, true) then
      found[#found + 1] = layer
    end
  end
  return found
end

Net.find = Net.layers


---Layer names in order.
---@return string[]
function Net:names() return parts(self).names end


---Does a name or alias mean a layer? Unlike `layer`, looks for no similar ones.
---@param name string
---@return boolean
function Net:has(name)
  local p = parts(self)
  return (p.by_name[name] or p.by_alias[name]) ~= nil
end


---The layer a name or alias means, or nil and a message with the nearest names.
---@param name string
---@return lunette.Layer? layer, string? message
function Net:layer(name)
  local p = parts(self)
  local layer = p.by_name[name] or p.by_alias[name]
  if layer then return layer end
  local known = { table.unpack(p.names) }
  for alias in pairs(p.by_alias) do known[#known + 1] = alias end
  return nil, ("layer '%s' not found in %s%s"):format(tostring(name), self.name,
    suggest.after(tostring(name), known))
end


---The layer whose output a Keras user means by a name: there the activation is
---part of `block5_conv3`, here it is the layer `block5_relu3` after it. Aliases
---of torchvision (`features.28`) mean exactly that module.
---@param name string
---@return lunette.Layer? layer, string? message
function Net:activated(name)
  local p = parts(self)
  local layer, message = self:layer(name)
  if not layer then return nil, message end
  local readers = p.readers[layer.name]
  local after = readers and #readers == 1 and p.list[readers[1]]
  if p.by_name[name] and after and layers.is(after, "activation")
     and not layers.is(layer, "activation") then
    return after
  end
  return layer
end


---The last convolution's activation: where Grad-CAM looks by default.
---@return lunette.Layer?
function Net:last_conv()
  local list = parts(self).list
  for i = #list, 1, -1 do
    if list[i].kind == "conv2d" then return (self:activated(list[i].name)) end
  end
  return nil
end


---Readers of a layer, by index (for the executor).
---@param name string
---@return integer[]
function Net:readers(name) return parts(self).readers[name] or {} end


-- parameters -------------------------------------------------------------------


---Number of parameters, and how many of them are never trained.
---@return integer total, integer frozen
function Net:count_params()
  local total, frozen = 0, 0
  for _, layer in ipairs(parts(self).list) do
    for _, q in ipairs(layer.params) do
      local n = layers.product(q.shape)
      total = total + n
      if q.frozen then frozen = frozen + n end
    end
  end
  return total, frozen
end


---He-uniform weights and zero biases, by seed: a network to train or to time.
---@param seed? integer
---@return lunette.Net self
function Net:init(seed)
  local stream = 0
  for _, layer in ipairs(parts(self).list) do
    for _, q in ipairs(layer.params) do
      stream = stream + 1
      if q.init then
        self.params[q.name] = core.full(q.init, q.shape)
      else
        local fan = layers.product(q.shape) / q.shape[1]
        local u = core.uniform(seed or 0, stream, q.shape)
        self.params[q.name] = (u * 2 - 1) * (6 / fan) ^ 0.5
      end
    end
  end
  return self
end


---Parameters of a layer by key, as the operators want them.
---@param layer lunette.Layer
---@return table<string, lunette.Tensor>
function Net:params_of(layer)
  local found = {}
  for _, q in ipairs(layer.params) do
    local t = self.params[q.name]
    if not t then
      error(("network '%s' has no weights (parameter '%s'); load some with "
             .. "lu.load, or net:init()"):format(self.name, q.name), 0)
    end
    found[q.key] = t
  end
  return found
end


-- running ----------------------------------------------------------------------


---Runs the network forward once and keeps what every layer put out. Printed, a run
---names the most probable classes.
---Example:
---  local net = lu.load "glyphs"
---  local x = net:images(lu.glyphs.default_images(2).images)
---  local run = net:run(x, { modifiers = { "linear" } })
---  print(run)
---@param x lunette.Tensor|lunette.Images   (N,C,H,W), preprocessed
---@param opts? lunette.RunOptions
---@return lunette.Run
function Net:run(x, opts)
  return require("lunette.net.run").new(self, x, opts)
end


---Runs only the layers after `name`, given what it (activated) put out.
---@param name string                 layer
---@param activation lunette.Tensor   (N, layer's shape)
---@param opts? lunette.RunOptions
---@return lunette.Run
function Net:run_from(name, activation, opts)
  local layer, message = self:activated(name)
  if not layer then error(message, 2) end
  return require("lunette.net.run").new(self, activation, opts, layer)
end


---The network's own pictures where none were named, with their names.
local function default_pictures(net, args)
  local pictures, classes, names = require("lunette.commands.defaults").pictures(net)
  if not pictures then return nil, classes end
  -- the pictures are ours, so are their classes, unless the user has said which
  if args.classes and not args.given.classes then args.classes = classes end
  local images, message = require("lunette.picture.image").batch(net, pictures)
  if images and names then images.names = names end
  return images, message
end


---Loads pictures and preprocesses them as the weights want. With none named, the
---network's default pictures: photographs that are known here, or scenes.
---@param what string[]|table   paths, pictures, or parsed options with `image`
---@return lunette.Tensor? images, string? message   (N,C,H,W) with .pictures, .names
---  (paths) and .titles (names without folder and suffix)
function Net:images(what)
  local args = type(what) == "table" and what.given and what
  local images, message
  if args and #(args.image or {}) == 0 then
    images, message = default_pictures(self, args)
  else
    images, message = require("lunette.picture.image").batch(self, what)
  end
  if not images then return nil, message end
  local titles = {}
  for i, name in ipairs(images.names) do
    titles[i] = name:match "[^/]*$":gsub("%.%a+$", "")
  end
  images.titles = titles
  return images
end


-- printing ---------------------------------------------------------------------


local function keras_shape(shape)
  local dims = { "None" }
  if #shape == 3 then
    dims[2], dims[3], dims[4] = shape[2], shape[3], shape[1]
  else
    for _, d in ipairs(shape) do dims[#dims + 1] = d end
  end
  return "(" .. table.concat(dims, ", ") .. ")"
end


local function thousands(n)
  local s = tostring(n)
  local head = (#s - 1) % 3 + 1
  return s:sub(1, head) .. s:sub(head + 1):gsub("%d%d%d", ",%0")
end


local function line(name, shape, count)
  return (" %-36s %-26s %14s"):format(name, shape, count)
end


---The table that Keras prints: layer (type), output shape, parameters. An
---activation belongs to the line of the layer before it.
---@param opts? { all?: boolean }   all: activations get lines of their own
---@return string
function Net:summary(opts)
  local rule = (" "):rep(1) .. ("_"):rep(78)
  local out = { ('Model: "%s"'):format(self.name), rule,
                line("Layer (type)", "Output Shape", "Param #"),
                " " .. ("="):rep(78),
                line("input (InputLayer)", keras_shape(self.input), 0) }
  for _, layer in ipairs(parts(self).list) do
    local n = 0
    for _, q in ipairs(layer.params) do n = n + layers.product(q.shape) end
    local part = layers.is(layer, "activation") or layers.is(layer, "probability")
    if (opts and opts.all) or not part then
      local title = ("%s (%s)"):format(layer.name, layers.kinds[layer.kind].keras)
      out[#out + 1] = line(title, keras_shape(layer.shape), thousands(n))
    end
  end
  local total, frozen = self:count_params()
  local function sum(label, n)
    out[#out + 1] = (" %s: %s (%.2f MB)"):format(label, thousands(n), n * 4 / 2 ^ 20)
  end
  out[#out + 1] = " " .. ("="):rep(78)
  sum("Total params", total)
  sum("Trainable params", total - frozen)
  sum("Non-trainable params", frozen)
  return table.concat(out, "\n")
end

Net.__tostring = Net.summary
Net.__name = "lunette.Net"


function Layer.__tostring(layer)
  local list = { ("%s: %s -> (%s)"):format(layer.name, layer.kind,
                 table.concat(layer.shape, ", ")) }
  list[#list + 1] = "  reads " .. table.concat(layer.from, ", ")
  for _, q in ipairs(layer.params) do
    list[#list + 1] = ("  %s (%s)"):format(q.key, table.concat(q.shape, ", "))
  end
  if #layer.aliases > 0 then
    list[#list + 1] = "  also " .. table.concat(layer.aliases, ", ")
  end
  return table.concat(list, "\n")
end

Layer.__name = "lunette.Layer"


return { new = new, Net = Net, Layer = Layer }
