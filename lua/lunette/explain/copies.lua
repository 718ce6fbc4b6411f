---Copies of a network that differ in one thing: some layers' weights drawn anew, or a
---constant that is taken from the input first. The network itself is left as it is;
---parameters that are equal are shared.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local layers = require "lunette.layers"

local M = {}


---A network of the same layers and parameters.
---@param net lunette.Net
---@param graph? table   other layers; the parameters' names are the same
---@return lunette.Net
function M.copy(net, graph)
  local made = assert(require("lunette.net").new(graph or net.graph))
  for name, value in pairs(net.params) do made.params[name] = value end
  made.meta, made.path, made.labels = net.meta, net.path, net.labels
  made.preprocessing = net.preprocessing
  return made
end


---The layers whose weights can be drawn anew, the last one first.
---@param net lunette.Net
---@return string[]
function M.weighted(net)
  local list = {}
  for _, layer in ipairs(net:layers()) do
    if layers.is(layer, "weighted") and #layer.params > 0 then
      table.insert(list, 1, layer.name)
    end
  end
  return list
end


---Is a layer, by name, the one that is given or one that it is computed from?
local function behind(net, layer)
  local set, all = { [layer.name] = true }, net:layers()
  for i = layer.index, 1, -1 do
    for _, from in ipairs(set[all[i].name] and all[i].from or {}) do
      set[from] = true
    end
  end
  return set
end


---The upper three eighths of the layers with weights that a layer is computed from, the
---last one first: those that checks draw anew. Others, above a unit that is explained
---or on the way to another output, would change nothing.
---@param net lunette.Net
---@param layer lunette.Layer   that is scored
---@return string[]
function M.upper(net, layer)
  local names, set = {}, behind(net, layer)
  for _, name in ipairs(M.weighted(net)) do
    if set[name] then names[#names + 1] = name end
  end
  local upto = math.min(#names, math.max(1, math.ceil(3 / 8 * #names)))
  return table.move(names, 1, upto, 1, {})
end


---Normal numbers of mean 0 and of the parameter's own root mean square, so that what
---follows has the scale it is used to.
local function redrawn(value, seed, stream)
  local size = value:stats().l2 / math.sqrt(value:size())
  return core.normal(seed, stream, value:shape()) * size
end


---Draws the weights and biases of layers anew, in a copy.
---@param net lunette.Net      is changed: a copy
---@param names string[]       of layers
---@param seed integer
---@return lunette.Net net
function M.redraw(net, names, seed)
  for _, name in ipairs(names) do
    local layer, message = net:layer(name)
    if not layer then blame(message) end
    if #layer.params == 0 then
      blame(("layer '%s' has no weights to draw anew (there are: %s)"):format(name,
            table.concat(M.weighted(net), ", ")))
    end
    for k, q in ipairs(layer.params) do
      net.params[q.name] = redrawn(net.params[q.name], seed, 64 * layer.index + k)
    end
  end
  return net
end


---The network with the last layers drawn anew, down to one that is named.
---@param net lunette.Net
---@param names string[]   of M.weighted
---@param upto integer     how many of them
---@param seed integer
---@return lunette.Net
function M.random_top(net, names, upto, seed)
  return M.redraw(M.copy(net), table.move(names, 1, upto, 1, {}), seed)
end


---A network that first takes `shift` from its input: the same function of pictures that
---much larger.
---@param net lunette.Net
---@param shift number
---@return lunette.Net
function M.shifted(net, shift)
  local graph = require("lunette.net.graph").read(net.graph)
  local first = "lunette_shifted_input"
  for n, layer in ipairs(graph.layers) do
    local from = layer.from or n == 1 and "input" or nil
    if from == "input" then layer.from = first end
    for k, name in ipairs(type(from) == "table" and from or {}) do
      if name == "input" then from[k] = first end
    end
  end
  table.insert(graph.layers, 1, { name = first, kind = "add",
                                  from = { "input", -shift } })
  return M.copy(net, graph)
end

return M
