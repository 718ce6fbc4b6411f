---A network of keras.applications as its function makes it: layers one by one, named as
---Keras names them, without numbers of channels, which the file's kernels tell.
---The result is what a config would say (see ../config.lua).
local config = require "lunette.weights.import.keras.config"

local Graph = {}
Graph.__index = Graph

---@class lunette.keras.Graph
---@field calls lunette.keras.Call[]
---@field last string                     the layer added last
---@field sizes table<string, integer[]>  height and width behind each layer
---@field within? string                  the Sequential that layers are put into

---@class lunette.keras.LayerOptions
---@field from? string      what it reads; default: the layer added last
---@field s? integer        stride
---@field padding? string   "valid"
---@field bias? boolean     default: none
---@field act? string       activation
---@field scale? boolean    of a batch norm: has it gamma?
---@field eps? number


local function pair(v) return type(v) == "table" and v or { v, v } end


---@param side integer[]   height and width of the picture
---@return lunette.keras.Graph
local function new(side)
  local g = setmetatable({ calls = {}, last = "input", sizes = { input = side },
                           used = {} }, Graph)
  g.calls[1] = { name = "input", class = "InputLayer", inputs = {}, layer = "input",
                 path2 = { "input" }, path3 = "",
                 config = { batch_shape = { false, side[1], side[2], 3 } } }
  return g
end


---Keras' name for what has none: "conv2d", "conv2d_1" ...
function Graph:own_name(class)
  local base = config.snake(class)
  local n = self.used[base]
  self.used[base] = (n or 0) + 1
  return base .. (n and "_" .. n or "")
end


---Height and width behind a layer.
local function size_behind(size, class, c)
  if class == "ZeroPadding2D" or class == "Cropping2D" then
    local p, sign = c.padding or c.cropping, class == "Cropping2D" and -1 or 1
    return { size[1] + sign * (p[1][1] + p[1][2]),
             size[2] + sign * (p[2][1] + p[2][2]) }
  end
  local k, out = c.kernel_size or c.pool_size, {}
  if not k then return size end
  for i = 1, 2 do
    local room = c.padding == "same" and size[i] - 1 or size[i] - k[i]
    out[i] = room // c.strides[i] + 1
  end
  return out
end


---Adds a layer; gives its name.
---@param class string
---@param c table            its config
---@param from? string|table what it reads
---@param name? string       Keras' own where nil
---@return string
function Graph:add(class, c, from, name)
  local inputs = type(from) == "table" and from or { from or self.last }
  local is_own = name == nil
  name = name or self:own_name(class)
  self.calls[#self.calls + 1] = { name = name, class = class, config = c,
    inputs = inputs, layer = name, path2 = { name }, path3 = "", counted = is_own,
    within = self.within }
  self.sizes[name] = size_behind(self.sizes[inputs[1]], class, c)
  self.last = name
  return name
end


local function window(k, o)
  return { kernel_size = pair(k), strides = pair(o.s or 1), use_bias = o.bias or false,
           padding = o.padding or "same", activation = o.act }
end


---@param name? string
---@param k integer|integer[]
---@param o? lunette.keras.LayerOptions
function Graph:conv(name, k, o)
  return self:add("Conv2D", window(k, o or {}), o and o.from, name)
end


function Graph:depthwise(name, k, o)
  return self:add("DepthwiseConv2D", window(k, o or {}), o and o.from, name)
end


function Graph:separable(name, k, o)
  return self:add("SeparableConv2D", window(k, o or {}), o and o.from, name)
end


function Graph:bn(name, o)
  o = o or {}
  return self:add("BatchNormalization", { epsilon = o.eps or 1e-3, scale = o.scale,
                                          axis = -1 }, o.from, name)
end


function Graph:ln(name, eps)
  return self:add("LayerNormalization", { epsilon = eps, axis = -1 }, nil, name)
end


function Graph:act(kind, name, from)
  return self:add("Activation", { activation = kind }, from, name)
end


function Graph:relu6(name) return self:add("ReLU", { max_value = 6 }, nil, name) end


---@param kind "Max"|"Average"
function Graph:pool(kind, k, o)
  return self:add(kind .. "Pooling2D", { pool_size = pair(k), strides = pair(o.s or k),
                                         padding = o.padding or "valid" }, o.from)
end


---@param class "Add"|"Multiply"|"Concatenate"
function Graph:join(class, list, name)
  return self:add(class, { axis = class == "Concatenate" and -1 or nil }, list, name)
end


---Zeros around, so that a stride of 2 takes the places that TensorFlow takes.
function Graph:correct_pad(k, from)
  local ends = {}
  for i, n in ipairs(self.sizes[from or self.last]) do
    ends[i] = { k // 2 - (1 - n % 2), k // 2 }
  end
  return self:add("ZeroPadding2D", { padding = ends }, from)
end


---Squeeze and excite: two 1x1 convolutions of the mean, by which `from` is multiplied.
---@param o { reduce: string, expand: string, act: string, gate: fun(g: table): string }
function Graph:excite(from, o)
  self:add("GlobalAveragePooling2D", { keepdims = true }, from)
  self:conv(o.reduce, 1, { bias = true, act = o.act })
  self:conv(o.expand, 1, { bias = true })
  return self:join("Multiply", { from, o.gate(self) })
end

return new
