---What a network and a layer look like in print. Adds net:summary() and tostring.
local blame = require "lunette.base.blame"
local brief = require("lunette.base.text").brief
local labels = require "lunette.score.labels"
local layers = require "lunette.layers"
local escape = require("lunette.base.text").escape

local M = {}


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
---@param net lunette.Net
---@param opts? { all?: boolean }   all: activations get lines of their own
---@return string
function M.summary(net, opts)
  local rule = (" "):rep(1) .. ("_"):rep(78)
  local out = { ('Model: "%s"'):format(net.name), rule,
                line("Layer (type)", "Output Shape", "Param #"),
                " " .. ("="):rep(78),
                line("input (InputLayer)", keras_shape(net.input), 0) }
  for _, layer in ipairs(net:layers()) do
    local n = 0
    for _, q in ipairs(layer.params) do
      if not q.shared then n = n + layers.product(q.shape) end
    end
    local part = layers.is(layer, "activation") or layers.is(layer, "probability")
    if (opts and opts.all) or not part then
      local title = ("%s (%s)"):format(layer.name, layers.kinds[layer.kind].keras)
      out[#out + 1] = line(title, keras_shape(layer.shape), thousands(n))
    end
  end
  local total, frozen = net:count_params()
  local function sum(label, n)
    out[#out + 1] = (" %s: %s (%.2f MB)"):format(label, thousands(n), n * 4 / 2 ^ 20)
  end
  out[#out + 1] = " " .. ("="):rep(78)
  sum("Total params", total)
  sum("Trainable params", total - frozen)
  sum("Non-trainable params", frozen)
  return escape(table.concat(out, "\n"), "\n")
end


---What a layer reads, in the operator's order: layers, parameters and numbers.
local function inputs_of(layer)
  local list = {}
  for i, o in ipairs(layer.operands or {}) do
    list[i] = o.from and layer.from[o.from] or o.param or ("%g"):format(o.value)
  end
  return table.concat(#list > 0 and list or layer.from, ", ")
end


---A layer in a few lines: kind, shape, what it reads, parameters, other names.
---@param layer lunette.Layer
---@return string
function M.layer(layer)
  local list = { ("%s: %s -> (%s)"):format(layer.name, layer.kind,
                 table.concat(layer.shape, ", ")) }
  list[#list + 1] = "  reads " .. inputs_of(layer)
  for _, q in ipairs(layer.params) do
    list[#list + 1] = ("  %s (%s)"):format(q.key, table.concat(q.shape, ", "))
  end
  if layer.shares then list[#list + 1] = "  shares with " .. layer.shares end
  if #layer.aliases > 0 then
    list[#list + 1] = "  also " .. table.concat(layer.aliases, ", ")
  end
  return escape(table.concat(list, "\n"), "\n")
end


---The name of a class. Ids count from 0, as the data set counts them; positions in a
---tensor count from 1, so that `argmax` says one more.
---Example:
---  local net = lu.load "glyphs"
---  local x = net:images(lu.glyphs.default_images(1).images)
---  local at = net:run(x):probabilities()[1]:argmax()
---  print(net:label(at - 1))
---@param net lunette.Net
---@param id integer   from 0
---@return string? name, string? message
function M.label(net, id)
  if math.type(id) ~= "integer" then
    blame("label: a class id is a whole number from 0, not " .. brief(id))
  end
  return labels.name(id, net)
end


---Adds these to the classes.
---@param Net table
---@param Layer table
function M.install(Net, Layer)
  Net.summary, Net.__tostring, Net.__name = M.summary, M.summary, "lunette.Net"
  Net.label = M.label
  Layer.__tostring, Layer.__name = M.layer, "lunette.Layer"
end

return M
