---What each kind of layer is: its parameters, its output shape, and the call
---that applies it. Shapes are lists without the batch dimension.
local core = require "lunette.core"
local suggest = require "lunette.base.suggest"

local M = {}

---@class lunette.LayerKind
---@field shape fun(layer: table, inputs: table[]): table   output shape
---@field params? fun(layer: table, inputs: table[]): table   {{suffix, shape}, ...}
---@field apply fun(layer: table, xs: table, params: table, opts: table): any
---@field keras string   what Keras calls it in a summary
---@field takes? string[]   attributes that it understands
---@field needs? string[]   those that have no default


local function pair(v, default)
  if v == nil then v = default end
  if type(v) == "table" then return v[1], v[2] or v[1] end
  return v, v
end


local function fail(layer, message, ...)
  error(("layer '%s': "):format(layer.name) .. message:format(...), 0)
end


local function image_shape(layer, shape)
  if #shape ~= 3 then
    fail(layer, "%s wants (C,H,W), its input is (%s)", layer.kind,
         table.concat(shape, ","))
  end
  return shape[1], shape[2], shape[3]
end


---Attributes every layer may have, and the least value of those that count.
local always = { name = true, kind = true, from = true, aliases = true }
local least = { filters = 1, units = 1, kernel = 1, stride = 1, dilation = 1,
                groups = 1, padding = 0, padding_end = 0, size = 1 }


local function check_number(layer, key, value)
  local list = type(value) == "table" and value or { value }
  for _, v in ipairs(list) do
    if not math.tointeger(v) or v < least[key] then
      fail(layer, "%s is a whole number from %d on, got %s", key, least[key],
           tostring(v))
    end
  end
  if #list == 0 or #list > 2 then fail(layer, "%s is a number or a pair", key) end
end


---Checks what a table of layers says about one; raises with the layer's name.
---@param layer table   its attributes by name, with `name` and `kind`
function M.check(layer)
  local kind, known = M.kinds[layer.kind], {}
  for _, key in ipairs(kind.takes or {}) do known[key] = true end
  for key, value in pairs(layer) do
    if not known[key] and not always[key] then
      fail(layer, "%s has no attribute '%s'%s", layer.kind, tostring(key),
           suggest.after(tostring(key), kind.takes or {}))
    end
    if least[key] then check_number(layer, key, value) end
  end
  for _, key in ipairs(kind.needs or {}) do
    if layer[key] == nil then fail(layer, "%s needs `%s`", layer.kind, key) end
  end
end


---Positions of a window of size k over n, and at least one.
local function positions(layer, n, k, stride, pad, pad_end, dilation, ceil)
  local span = n + pad + pad_end - ((k - 1) * dilation + 1)
  if span < 0 then
    fail(layer, "a window of %d does not fit into %d pixels", k, n + pad + pad_end)
  end
  local count = (ceil and -(-span // stride) or span // stride) + 1
  -- a window of the ceiling that would start beyond the picture is dropped
  if ceil and (count - 1) * stride >= n + pad then count = count - 1 end
  return count
end


local function same(_, inputs) return inputs[1] end


local function simple(op, keras)
  return {
    keras = keras, shape = same,
    apply = function(_, xs, _, opts) return core.ops[op](xs[1], opts) end,
  }
end


local conv = {
  keras = "Conv2D", needs = { "filters", "kernel" },
  takes = { "filters", "kernel", "stride", "padding", "padding_end", "dilation",
            "groups", "bias" },
}

function conv.shape(layer, inputs)
  local c, h, w = image_shape(layer, inputs[1])
  local groups = layer.groups or 1
  if c % groups ~= 0 or layer.filters % groups ~= 0 then
    fail(layer, "%d groups do not divide %d channels and %d filters", groups, c,
         layer.filters)
  end
  local kh, kw = pair(layer.kernel)
  local sh, sw = pair(layer.stride, 1)
  local ph, pw = pair(layer.padding, 0)
  local eh, ew = pair(layer.padding_end or layer.padding, 0)
  local dh, dw = pair(layer.dilation, 1)
  return { layer.filters, positions(layer, h, kh, sh, ph, eh, dh),
           positions(layer, w, kw, sw, pw, ew, dw) }
end


function conv.params(layer, inputs)
  local c = image_shape(layer, inputs[1])
  local kh, kw = pair(layer.kernel)
  local list = { { "weight", { layer.filters, c // (layer.groups or 1), kh, kw } } }
  if layer.bias ~= false then list[2] = { "bias", { layer.filters } } end
  return list
end


function conv.apply(layer, xs, params, opts)
  opts.stride, opts.padding = layer.stride, layer.padding
  opts.padding_end, opts.dilation = layer.padding_end, layer.dilation
  opts.groups = layer.groups
  return core.ops.conv2d(xs[1], params.weight, params.bias, opts)
end


local linear = { keras = "Dense", takes = { "units", "bias" }, needs = { "units" } }

function linear.shape(layer, inputs)
  if #inputs[1] ~= 1 then
    fail(layer, "linear wants a vector, its input is (%s); flatten it first",
         table.concat(inputs[1], ","))
  end
  return { layer.units }
end


function linear.params(layer, inputs)
  local list = { { "weight", { layer.units, inputs[1][1] } } }
  if layer.bias ~= false then list[2] = { "bias", { layer.units } } end
  return list
end


function linear.apply(_, xs, params, opts)
  return core.ops.linear(xs[1], params.weight, params.bias, opts)
end


local function pool(op, keras)
  local kind = { keras = keras, needs = { "kernel" },
                 takes = { "kernel", "stride", "padding", "ceil_mode",
                           "count_include_pad" } }
  function kind.shape(layer, inputs)
    local c, h, w = image_shape(layer, inputs[1])
    local kh, kw = pair(layer.kernel)
    local sh, sw = pair(layer.stride or layer.kernel)
    local ph, pw = pair(layer.padding, 0)
    return { c, positions(layer, h, kh, sh, ph, ph, 1, layer.ceil_mode),
             positions(layer, w, kw, sw, pw, pw, 1, layer.ceil_mode) }
  end
  function kind.apply(layer, xs, _, opts)
    opts.kernel, opts.stride = layer.kernel, layer.stride or layer.kernel
    opts.padding, opts.ceil_mode = layer.padding, layer.ceil_mode
    opts.count_include_pad = layer.count_include_pad
    return core.ops[op](xs[1], opts)
  end
  return kind
end


local function global_pool(op, keras)
  return {
    keras = keras,
    shape = function(layer, inputs)
      return { (image_shape(layer, inputs[1])), 1, 1 }
    end,
    apply = function(_, xs, _, opts) return core.ops[op](xs[1], opts) end,
  }
end


local function product(shape)
  local n = 1
  for _, d in ipairs(shape) do n = n * d end
  return n
end
M.product = product


local concat = { keras = "Concatenate" }

function concat.shape(layer, inputs)
  local out = { table.unpack(inputs[1]) }
  for i = 2, #inputs do
    if table.concat(out, "x", 2) ~= table.concat(inputs[i], "x", 2) then
      fail(layer, "inputs of (%s) and (%s) cannot be joined",
           table.concat(out, ","), table.concat(inputs[i], ","))
    end
    out[1] = out[1] + inputs[i][1]
  end
  return out
end


function concat.apply(_, xs, _, opts)
  opts.dim = 2
  xs[#xs + 1] = opts
  return core.ops.concat(table.unpack(xs))
end


local batch_norm = { keras = "BatchNormalization", shape = same, takes = { "eps" } }

function batch_norm.params(_, inputs)
  local c = { inputs[1][1] }
  return { { "weight", c }, { "bias", c }, { "running_mean", c, true },
           { "running_var", c, true } }
end


function batch_norm.apply(layer, xs, p, opts)
  opts.eps = layer.eps
  return core.ops.batch_norm(xs[1], p.running_mean, p.running_var, p.weight, p.bias,
                             opts)
end


---Attributes of a layer that go to the operator as they are.
local function with(op, keras, ...)
  local names = { ... }
  return {
    keras = keras, shape = same, takes = names,
    apply = function(layer, xs, _, opts)
      for _, name in ipairs(names) do opts[name] = layer[name] end
      return core.ops[op](xs[1], opts)
    end,
  }
end


---@type table<string, lunette.LayerKind>
M.kinds = {
  conv2d = conv,
  linear = linear,
  relu = simple("relu", "Activation"),
  leaky_relu = with("leaky_relu", "LeakyReLU", "slope"),
  relu6 = simple("relu6", "Activation"),
  sigmoid = simple("sigmoid", "Activation"),
  tanh = simple("tanh", "Activation"),
  softplus = simple("softplus", "Activation"),
  elu = with("elu", "ELU", "alpha"),
  silu = simple("silu", "Activation"),
  gelu = simple("gelu", "Activation"),
  softmax = simple("softmax", "Softmax"),
  log_softmax = simple("log_softmax", "Activation"),
  dropout = simple("dropout", "Dropout"),
  lrn = with("lrn", "LRN", "size", "alpha", "beta", "k"),
  batch_norm = batch_norm,
  max_pool2d = pool("max_pool2d", "MaxPooling2D"),
  avg_pool2d = pool("avg_pool2d", "AveragePooling2D"),
  global_avg_pool = global_pool("global_avg_pool", "GlobalAveragePooling2D"),
  global_max_pool = global_pool("global_max_pool", "GlobalMaxPooling2D"),
  concat = concat,
  add = {
    keras = "Add",
    shape = function(layer, inputs)
      local first = table.concat(inputs[1], ",")
      for _, other in ipairs(inputs) do
        if table.concat(other, ",") ~= first then
          fail(layer, "inputs of (%s) and (%s) cannot be added", first,
               table.concat(other, ","))
        end
      end
      if #inputs < 2 then fail(layer, "add wants two inputs or more") end
      return inputs[1]
    end,
    apply = function(_, xs, _, opts)
      local sum = core.ops.add(xs[1], xs[2], opts)
      for i = 3, #xs do sum = core.ops.add(sum, xs[i], opts) end
      return sum
    end,
  },
  flatten = {
    keras = "Flatten",
    shape = function(_, inputs) return { product(inputs[1]) } end,
    apply = function(_, xs, _, opts) return core.ops.flatten(xs[1], opts) end,
  },
}


---Kinds that Keras fuses into the layer before them: they have a node and a name
---of their own here, but no line in a summary.
M.activations = {
  relu = true, relu6 = true, sigmoid = true, tanh = true, softplus = true,
  silu = true, gelu = true, elu = true, leaky_relu = true, softmax = true,
  log_softmax = true,
}

return M
