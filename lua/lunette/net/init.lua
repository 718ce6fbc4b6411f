---Networks: an ordered graph of named layers (plain data), their parameters,
---and how pictures become their input. `net(arch)` builds one from a table of
---layers; `lu.load` also gives it weights.
local blame = require "lunette.base.blame"
local build = require "lunette.net.build"
local core = require "lunette.core"
local graphs = require "lunette.net.graph"
local Layer = require "lunette.net.layer"
local layers = require "lunette.layers"
local strict = require "lunette.base.strict"
local suggest = require "lunette.base.suggest"
local text = require "lunette.base.text"
local types = require "lunette.base.types"
require "lunette.tensors"

---@class lunette.Layer
---@field name string
---@field kind string        operator: "conv2d", "relu", "linear" ...
---@field from string[]      names of the layers it reads ("input": the picture)
---@field shape integer[]    output, without the batch dimension
---@field params table[]     {{name, key, shape, frozen, shared}, ...}
---@field aliases string[]   other names: torchvision's, the paper's
---@field weight? lunette.Tensor   and every other parameter by its key: bias ...

---@class lunette.Net
---@field name string
---@field input integer[]    (C,H,W)
---@field preprocessing string|table
---@field labels string|string[]|nil
---@field outputs string[]   layers whose values are the outputs, the last one alone if
---  the table of layers names none
---@field graph table        what lu.net was given, as plain data
---@field params table<string, lunette.Tensor>   "block1_conv1.weight" = (64,3,3,3)
local Net = strict.class("net", {})
local parts = build.parts


---The layer of a name, an alias or a group; nil while the network is being made, too.
local function named(net, key)
  local p = parts(net)
  return p and (p.by_name[key] or p.by_alias[key] or p.groups[key])
end


function Net.__index(net, key)
  if Net[key] ~= nil then return Net[key] end
  return type(key) == "string" and named(net, key) or nil
end


---A layer's name is not written to: the network would compute what it computed before.
function Net.__newindex(net, key, value)
  if type(key) == "string" and named(net, key) then
    blame(("'%s' is a layer of %s and is not replaced by assignment; change the table "
          .. "`net.graph` and build it by `lu.net`, or a copy of its weights"):format(
          key, net.name))
  end
  rawset(net, key, value)
end


-- building ---------------------------------------------------------------------


local function check_size(input)
  local ok = type(input) == "table" and #input >= 1 and #input <= 5
  for _, d in ipairs(ok and input or {}) do
    ok = ok and types.is_count(d)
  end
  if not ok then
    blame("a network needs `input = {C,H,W}`, or {values}: 1 to 5 whole numbers")
  end
end


local arch_keys = { name = true, input = true, layers = true, outputs = true,
                    labels = true, preprocessing = true }


local function check_arch(arch)
  if type(arch) ~= "table" or type(arch.layers) ~= "table" then
    blame("a network is a table with `input` and `layers`")
  end
  for key in pairs(arch) do
    if not arch_keys[key] then
      local list = {}
      for name in pairs(arch_keys) do list[#list + 1] = name end
      blame(("a network has no '%s'%s"):format(tostring(key),
            suggest.after(tostring(key), list)))
    end
  end
  check_size(arch.input)
end


---Builds a network from a table of layers:
---  { name =, input = {3,224,224}, layers = { {"conv1","conv2d", filters=64, kernel=3,
---    padding=1}, {"relu1","relu"}, ... }, preprocessing =, labels =, outputs = }
---A layer reads the one before it unless it says `from = "name"` or a list of names,
---numbers and parameters of its own: `from = { "x", { param = "gamma", shape = {8,1,1}
---} }`. It may have the parameters of another: `shares = "name"`. Every operator is a
---kind; its attributes count dimensions as the operator does, the batch being 1.
---@param arch table
---@return lunette.Net? net, string? message
local function new(arch)
  check_arch(arch)
  local graph, wrong = graphs.read(arch)
  if not graph then
    local name = tostring(arch.name or "network")
    return nil, text.escape(("network '%s': %s"):format(name, wrong), "\n\t")
  end
  local net = setmetatable({
    name = graph.name, input = graph.input, labels = graph.labels, graph = graph,
    preprocessing = graph.preprocessing or { mean = { 0, 0, 0 }, std = { 1, 1, 1 },
                                             order = "rgb", scale = 1 / 255 },
    params = {}, meta = {},
  }, Net)
  local ok, p = pcall(build.build, graph, Layer)
  if not ok then
    return nil, text.escape(("network '%s': %s"):format(net.name, p), "\n\t")
  end
  build.give(net, p)
  net.outputs = p.outputs
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


---Groups of layers, in alphabetical order: "layer4" where there is a layer
---"layer4.1.relu2". A group's name means the last layer inside, as it is.
---Example:
---  local net = lu.load "glyphs"
---  print(net:layer "block4" .name) -- block4_pool
---@return string[]
function Net:groups() return build.groups(self) end


---Does a name, an alias or a group mean a layer? Unlike `layer`, looks for no similar
---ones.
---@param name string
---@return boolean
function Net:has(name) return named(self, name) ~= nil end


---The layer that a name, an alias or a group means (of a group the last layer inside),
---or nil and a message with the nearest names.
---@param name string
---@return lunette.Layer? layer, string? message
function Net:layer(name)
  local p = parts(self)
  local layer = p.by_name[name] or p.by_alias[name] or p.groups[name]
  if layer then return layer end
  local hint = suggest.after(tostring(name), build.known(self))
  if hint == "" then hint = "; net:names() lists the layers" end
  return nil, ("layer '%s' not found in %s%s"):format(text.brief(name), self.name, hint)
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


---The last convolution, activated, as Keras has it: where a batch norm follows, before
---that. tf-keras-vis looks there by default.
---@return lunette.Layer?
function Net:last_conv()
  local list = parts(self).list
  for i = #list, 1, -1 do
    if list[i].kind == "conv2d" then return (self:activated(list[i].name)) end
  end
  return nil
end


---What the first output is computed from, as a set of names.
local function behind_output(p, net)
  local set, work = {}, { p.by_name[net.outputs[1]] }
  while #work > 0 do
    local layer = table.remove(work)
    if layer and not set[layer.name] then
      set[layer.name] = true
      for _, from in ipairs(layer.from) do work[#work + 1] = p.by_name[from] end
    end
  end
  return set
end


---Does the layer only rearrange or rescale another layer's map (a pooling, padding,
---dropout, softmax, resizing), so that `last_map` looks further back?
local function passes_on(layer)
  for _, word in ipairs { "pooling", "padding", "dropout", "probability",
                          "resizing" } do
    if layers.is(layer, word) then return not layers.is(layer, "activation") end
  end
  return layer.kind == "identity"
end


local function is_map(layer)
  local s = layer.shape
  return #s == 3 and s[2] * s[3] > 1
end


---Kinds whose outputs are maps.
local spatial = { conv2d = true, conv_transpose2d = true, interpolate = true }


---Heights and widths of the network's maps, as "7,7": those of its input, convolutions,
---poolings and resizings. A transformer's values (heads, tokens, channels) have others.
local function sides_of(p, net)
  local known, input = {}, net.input
  if #input == 3 then known[input[2] .. "," .. input[3]] = true end
  for _, layer in ipairs(p.list) do
    if is_map(layer) and (spatial[layer.kind] or layers.is(layer, "pooling")) then
      known[layer.shape[2] .. "," .. layer.shape[3]] = true
    end
  end
  return known
end


---The last layer with weights of a network whose output is a map itself (segmentation),
---by its place in the list, which scores every place; nil: it is no such network.
local function scoring(p, net, set)
  if not is_map(p.by_name[net.outputs[1]]) then return nil end
  for i = #p.list, 1, -1 do
    if set[p.list[i].name] and #p.list[i].params > 0
       and layers.is(p.list[i], "weighted") then
      return i
    end
  end
  return nil
end


---The last value with height and width, after its batch norm, sum and activation; no
---pooling, padding or dropout: where Grad-CAM looks by default. Of a ResNet it is the
---output of the last block, of VGG16 `block5_relu3`; where the output is a map itself
---(segmentation), the last activated one before the layer that scores its places. Nil
---where there is none.
---Example:
---  local net = lu.load "glyphs"
---  print(net:last_map().name)
---@return lunette.Layer?
function Net:last_map()
  local p = parts(self)
  local set = behind_output(p, self)
  local before, sides = scoring(p, self, set), sides_of(p, self)
  for i = before and before - 1 or #p.list, 1, -1 do
    local layer, s = p.list[i], p.list[i].shape
    if set[layer.name] and is_map(layer) and not passes_on(layer)
       and sides[s[2] .. "," .. s[3]]
       and (not before or layers.is(layer, "activation")) then
      return layer
    end
  end
  return nil
end


-- parameters -------------------------------------------------------------------


---Number of parameters, and how many of them are never trained.
---@return integer total, integer frozen
function Net:count_params()
  local total, frozen = 0, 0
  for _, layer in ipairs(parts(self).list) do
    for _, q in ipairs(layer.params) do
      local n = q.shared and 0 or layers.product(q.shape)
      total = total + n
      if q.frozen then frozen = frozen + n end
    end
  end
  return total, frozen
end


---Uniform in +-sqrt(6 / fan in); the layout changes where a number is, not which.
local function he_uniform(seed, stream, shape, layout)
  local transposed = layout == "in_out"
  local outputs_first = transposed and { shape[2], shape[1] } or shape
  local fan = layers.product(shape) / outputs_first[1]
  local u = core.uniform(seed, stream, outputs_first)
  if transposed then u = u:permute { dims = { 2, 1 } } end
  return (u * 2 - 1) * (6 / fan) ^ 0.5
end


---He-uniform weights and zero biases, by seed: a network to train or to time.
---@param seed? integer
---@return lunette.Net self
function Net:init(seed)
  local stream = 0
  for _, layer in ipairs(parts(self).list) do
    for _, q in ipairs(layer.params) do
      stream = stream + 1
      if q.shared then
        assert(self.params[q.name])
      elseif q.init then
        self.params[q.name] = core.full(q.init, q.shape)
      else
        self.params[q.name] = he_uniform(seed or 0, stream, q.shape,
                                         layer.weight_layout)
      end
    end
  end
  return self
end


---Parameters of a layer by key, as the operators want them.
---@param layer lunette.Layer
---@return table<string, lunette.Tensor>
function Net:params_of(layer)
  if type(layer) ~= "table" or type(rawget(layer, "params")) ~= "table" then
    blame(("net:params_of: a layer expected, got %s; net:layer(name) gives one"):format(
          types.told(layer)))
  end
  local found = {}
  for _, q in ipairs(layer.params) do
    local t = self.params[q.name]
    if not t then
      blame(("network '%s' has no weights (parameter '%s'); load some with "
             .. "lu.load, or net:init()"):format(self.name, q.name))
    end
    found[q.key] = t
  end
  return found
end


-- running ----------------------------------------------------------------------


---Raises when the file of the weights is no longer what was loaded: its values are
---read where they lie.
local function check_file(net)
  local ok, message = true, nil
  if net.weights_file then ok, message = net.weights_file:unchanged() end
  if not ok then blame(message) end
end


---@class lunette.RunOptions
---@field modifiers? string|lunette.Modifier|(string|lunette.Modifier)[]   "linear",
---  extract(layer)
---@field keep? boolean|string  false: forward only, values are dropped after use;
---  a layer's name: dropped before that layer, gradients reach back to it
---@field watch? string    "parameters": gradients of the weights too
---@field beside? lunette.Run  run_from: a run of one image, whose values stand where
---  the layer's do not reach (another branch), for every sample

---Runs the network forward once and keeps what every layer put out. Printed, a run
---names the most probable classes.
---Example:
---  local net = lu.load "glyphs"
---  local x = net:images(lu.glyphs.default_images(2).images)
---  local run = net:run(x, { modifiers = { "linear" } })
---  print(run)
---@param x lunette.Tensor|lunette.Images   (N,C,H,W) as net:images makes one
---@param opts? lunette.RunOptions
---@return lunette.Run
function Net:run(x, opts)
  check_file(self)
  return require("lunette.net.run").new(self, x, opts)
end


---Runs only the layers after `name`, given what it (activated) put out.
---@param name string                 layer
---@param activation lunette.Tensor   (N, layer's shape)
---@param opts? lunette.RunOptions
---@return lunette.Run
function Net:run_from(name, activation, opts)
  local layer, message = self:activated(name)
  if not layer then blame(message) end
  check_file(self)
  return require("lunette.net.run").new(self, activation, opts, layer)
end


---The pictures that `fallback` gives where none were named.
local function fallback_pictures(net, what)
  if type(what) ~= "table" or not what.fallback or #(what.image or {}) > 0 then
    return what
  end
  local pictures, names = what.fallback(net)
  if not pictures then return nil, names end
  local again = { image = pictures }
  for _, key in ipairs { "fit", "filter", "orient" } do again[key] = what[key] end
  return again, names
end


---Loads pictures and preprocesses them as the weights want.
---@param what string|table|lunette.Tensor   paths, pictures, or options with them as
---  `image`, maybe `fit`, `filter`, `orient`; `fallback`, a function(net) that gives
---  pictures and their names where `image` is empty (lu.cli has one)
---@return lunette.Tensor? images, string? message   (N,C,H,W) with .pictures, .names
---  (paths) and .titles (names without folder and suffix)
function Net:images(what)
  local list, names = fallback_pictures(self, what)
  if not list then return nil, names end
  local images, message = require "lunette.picture.batch"(self, list)
  if not images then return nil, message end
  images.names = names or images.names
  local titles = {}
  for i, name in ipairs(images.names) do
    titles[i] = name:match "[^/]*$":gsub("%.%a+$", "")
  end
  images.titles = titles
  return images
end


require("lunette.net.summary").install(Net, Layer)

return { new = new, Net = Net, Layer = Layer }
