---What each kind of layer is. Every operator of the core is a kind, with the
---operator's attributes; a row below adds what an operator cannot know: which
---parameters a layer of it has, and what Keras calls it. A kind without a row is an
---operator without parameters. What a kind is (activation, pooling ...) stands in the
---table of operators.
local brief = require("lunette.base.text").brief
local core = require "lunette.core"
local types = require "lunette.base.types"

local M = {}

---@class lunette.LayerKind
---@field op string          the operator that is applied
---@field keras string       what Keras calls it in a summary
---@field is table<string, boolean>   "activation", "pooling" ...
---@field attrs string[]     the operator's attributes
---@field words table<string, string[]>   values of those that are words
---@field own string[]       attributes beside those (filters, bias)
---@field needs string[]     those that have no default
---@field params? fun(layer: table, shape: integer[]): table   {{key, shape, init =,
---  frozen =}, ...} for the shape of the first input
---@field order? string[]    keys of its parameters as the operator takes them
---@field shaped? boolean    its attribute `shape` leaves the batch out
---@field folds? boolean     any number of inputs, two by two
---@field repeats? boolean   its own parameters are those of one picture


---Raises with the layer's name.
---@param layer table
---@param message string
function M.fail(layer, message, ...)
  error(("layer '%s': "):format(layer.name) .. message:format(...), 0)
end


local function pair(v)
  if type(v) == "table" then return v[1], v[2] or v[1] end
  return v, v
end


---Attributes that parameters' shapes are made from.
local function whole(layer, key, pairs_too)
  local value = layer[key]
  local list = pairs_too and type(value) == "table" and value or { value }
  for _, v in ipairs(list) do
    if not types.is_count(v) then
      M.fail(layer, "%s is a whole number from 1 on, got %s", key, brief(v))
    end
  end
  if #list == 0 or #list > 2 then M.fail(layer, "%s is a number or a pair", key) end
end


---A convolution's weight is (filters, C / groups, kh, kw), a transposed one's
---(C, filters / groups, kh, kw).
local function conv_params(layer, shape)
  if #shape ~= 3 then
    M.fail(layer, "%s wants (C,H,W), its input is (%s)", layer.kind,
         table.concat(shape, ","))
  end
  local c, groups = shape[1], layer.groups or 1
  whole(layer, "filters")
  whole(layer, "kernel", true)
  if not types.is_count(groups) then
    M.fail(layer, "groups is a whole number from 1 on, got %s", brief(groups))
  end
  if c % groups ~= 0 or layer.filters % groups ~= 0 then
    M.fail(layer, "%d groups do not divide %d channels and %d filters", groups, c,
         layer.filters)
  end
  local kh, kw = pair(layer.kernel)
  local rows, columns = layer.filters, c // groups
  if layer.kind == "conv_transpose2d" then
    rows, columns = c, layer.filters // groups
  end
  local list = { { "weight", { rows, columns, kh, kw } } }
  if layer.bias ~= false then list[2] = { "bias", { layer.filters }, init = 0 } end
  return list
end


---Its weight is (units,in), or (in,units) where weight_layout is "in_out"; `in` is the
---last dimension. Of a map (C,H,W) that is hardly what is meant, unless `rows` says so.
local function linear_params(layer, shape)
  local size = shape[#shape]
  if #shape == 3 and not layer.rows then
    M.fail(layer, "linear wants a vector, its input is (%s); flatten it first, or say "
      .. "rows = true to apply it along the last dimension", table.concat(shape, ","))
  end
  whole(layer, "units")
  local w = { layer.units, size }
  if layer.weight_layout == "in_out" then w = { size, layer.units } end
  local list = { { "weight", w } }
  if layer.bias ~= false then list[2] = { "bias", { layer.units }, init = 0 } end
  return list
end


local function batch_norm_params(_, shape)
  local c = { shape[1] }
  return { { "weight", c, init = 1 }, { "bias", c, init = 0 },
           { "running_mean", c, init = 0, frozen = true },
           { "running_var", c, init = 1, frozen = true } }
end


---A number for every value that is normalised together: dimensions `dim` to `last`.
local function layer_norm_params(layer, shape)
  local dims, list = #shape + 1, {}
  local function at(d) return d and (d > 0 and d or d + dims + 1) or dims end
  for d = at(layer.dim), math.min(at(layer.last), dims) do
    list[#list + 1] = shape[d - 1]
  end
  if layer.affine == false or #list == 0 then return {} end
  return { { "weight", list, init = 1 },
           layer.bias ~= false and { "bias", list, init = 0 } or nil }
end


local rows = {
  conv2d = { keras = "Conv2D", own = { "filters", "kernel", "bias" },
             needs = { "filters", "kernel" }, params = conv_params,
             order = { "weight", "bias" } },
  conv_transpose2d = { keras = "Conv2DTranspose", own = { "filters", "kernel", "bias" },
                       needs = { "filters", "kernel" }, params = conv_params,
                       order = { "weight", "bias" } },
  linear = { keras = "Dense", own = { "units", "bias", "rows" }, needs = { "units" },
             params = linear_params, order = { "weight", "bias" } },
  batch_norm = { keras = "BatchNormalization", params = batch_norm_params,
                 order = { "running_mean", "running_var", "weight", "bias" } },
  layer_norm = { keras = "LayerNormalization", own = { "affine", "bias" },
                 params = layer_norm_params, order = { "weight", "bias" } },
  relu = { keras = "Activation" },
  relu6 = { keras = "Activation" },
  sigmoid = { keras = "Activation" },
  tanh = { keras = "Activation" },
  softplus = { keras = "Activation" },
  silu = { keras = "Activation" },
  gelu = { keras = "Activation" },
  hard_sigmoid = { keras = "Activation" },
  hard_swish = { keras = "Activation" },
  log_softmax = { keras = "Activation" },
  leaky_relu = { keras = "LeakyReLU" },
  elu = { keras = "ELU" },
  lrn = { keras = "LRN" },
  max_pool2d = { keras = "MaxPooling2D" },
  avg_pool2d = { keras = "AveragePooling2D" },
  global_avg_pool = { keras = "GlobalAveragePooling2D" },
  global_max_pool = { keras = "GlobalMaxPooling2D" },
  concat = { keras = "Concatenate", repeats = true },
  gather = { repeats = true },
  scatter_add = { repeats = true },
  add = { keras = "Add", folds = true },
  sub = { keras = "Subtract" },
  mul = { keras = "Multiply", folds = true },
  maximum = { keras = "Maximum", folds = true },
  minimum = { keras = "Minimum", folds = true },
  pad = { keras = "ZeroPadding2D" },
  interpolate = { keras = "UpSampling2D" },
  reshape = { shaped = true, own = { "copies" }, needs = { "shape" } },
  expand = { shaped = true, needs = { "shape" } },
}


---"global_avg_pool" -> "GlobalAvgPool".
local function camel(name)
  return (("_" .. name):gsub("_(%w)", string.upper))
end


---The kind of that name, from its operator and its row; nil: there is none.
local function kind_of(kinds, name)
  if not core.ops[name] then return nil end
  local info, kind = core.op_info(name), rows[name] or {}
  kind.op, kind.attrs, kind.inputs = name, info.attrs, info.inputs
  kind.words = info.words
  kind.keras = kind.keras or camel(name)
  kind.own, kind.needs = kind.own or {}, kind.needs or {}
  kind.is = {}
  for word in info.is:gmatch "%S+" do kind.is[word] = true end
  kinds[name] = kind
  return kind
end


---By name, each made when it is first asked for; `core.ops` has the names.
---@type table<string, lunette.LayerKind>
M.kinds = setmetatable({}, { __index = kind_of })

return M
