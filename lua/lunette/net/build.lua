---From a graph, which is plain data, to the layers of a network: `parts` with
---  list, names    in order
---  by_name, by_alias, groups   name -> layer
---  readers        name -> indices of the layers that read it
---  outputs        names
local core = require "lunette.core"
local layers = require "lunette.layers"
local suggest = require "lunette.base.suggest"

local M = {}
local parts_of = setmetatable({}, { __mode = "k" }) -- net -> its parts
local net_of = setmetatable({}, { __mode = "k" }) -- layer -> its network

-- Most groups that one name may be in: "a.b.c.d" is in three. (A name from a file could
-- have hundreds of dots.)
local MOST_DEPTH = 24


local function check_kind(name, kind)
  if layers.kinds[kind] then return end
  local known = {}
  for k in pairs(core.ops) do known[#known + 1] = k end
  table.sort(known)
  if kind == nil then
    error(("layer '%s' has no kind (there are: %s)"):format(name,
          table.concat(known, ", ")), 0)
  end
  local remedy = layers.kinds[name]
    and "; a layer is { name, kind, ... }, its name first"
  local ours = require("lunette.base.foreign").kind(tostring(kind))
  remedy = remedy or ours and ("; here it is " .. ours)
  error(("layer '%s': no kind '%s'%s"):format(name, tostring(kind),
        remedy or suggest.after(tostring(kind), known)), 0)
end


local function read_layer(spec, previous, Layer)
  local layer = setmetatable({}, Layer)
  for key, value in pairs(spec) do layer[key] = value end
  layer.aliases = spec.aliases or {}
  check_kind(layer.name, layer.kind)
  layers.check(layer)
  local from = spec.from or previous
  if type(from) ~= "table" or from.param then from = { from } end
  layers.read_inputs(layer, from)
  return layer
end


---A layer that has the parameters of another must have the same ones.
local function check_shared(p, layer)
  local owner = p.by_name[layer.shares]
  if not owner then
    error(("layer '%s': shares with '%s', which is not before it%s"):format(layer.name,
          layer.shares, suggest.after(layer.shares, p.names)), 0)
  end
  for i, q in ipairs(layer.params) do
    local other = owner.params[i]
    if not other or other.name ~= q.name
       or table.concat(other.shape, ",") ~= table.concat(q.shape, ",") then
      error(("layer '%s': its %s (%s) is not that of '%s'"):format(layer.name, q.key,
            table.concat(q.shape, ","), layer.shares), 0)
    end
  end
end


---Output shape and parameters of a layer whose sources are known.
local function infer(p, layer)
  local inputs, copies = {}, {}
  for i, name in ipairs(layer.from) do
    local source = p.by_name[name]
    if name ~= "input" and not source then
      error(("layer '%s': reads '%s', which is not before it%s"):format(layer.name,
            tostring(name), suggest.after(tostring(name), p.names)), 0)
    end
    inputs[i] = source and source.shape or p.input
    copies[i] = source and source.copies or 1
  end
  layers.infer(layer, inputs, copies)
  if layer.shares then check_shared(p, layer) end
end


---Who reads each layer: values are dropped after their last reader.
local function count_readers(p)
  for i, layer in ipairs(p.list) do
    for _, from in ipairs(layer.from) do
      p.readers[from] = p.readers[from] or {}
      table.insert(p.readers[from], i)
    end
  end
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


---The groups that a layer's name puts it into: "layer4.1.relu2" is in "layer4.1" and
---"layer4", "block5_conv3" in "block5". A group's name means the last layer inside.
local function add_groups(p, name, layer)
  local depth = 0
  for at in name:gmatch "()[._]" do
    depth = depth + 1
    if depth > MOST_DEPTH then break end
    local group = name:sub(1, at - 1)
    local parts_ = name:sub(at, at) == "." or group:find "%d$"
    if parts_ and not layers.kinds[group] then p.groups[group] = layer end
  end
end


local function find_groups(p)
  for _, layer in ipairs(p.list) do
    add_groups(p, layer.name, layer)
    for _, alias in ipairs(layer.aliases) do add_groups(p, alias, layer) end
  end
end


---An output has a value a picture.
local function check_output(layer)
  if layer.copies == 1 then return end
  error(("outputs: '%s' has %d copies of each picture, not one value"):format(
        layer.name, layer.copies), 0)
end


---The layers whose values are a network's outputs.
local function read_outputs(p, names)
  if not names then
    check_output(p.list[#p.list])
    return { p.list[#p.list].name }
  end
  local seen = {}
  for _, name in ipairs(names) do
    if not p.by_name[name] then
      error(("outputs: there is no layer '%s'%s"):format(name,
            suggest.after(name, p.names)), 0)
    end
    if seen[name] then error(("outputs: '%s' is named twice"):format(name), 0) end
    check_output(p.by_name[name])
    seen[name] = true
  end
  if #names == 0 then error("outputs: the list is empty", 0) end
  return names
end


---Builds a graph's layers, in order; raises with the layer's name.
---@param graph table   see lunette.net.graph
---@param Layer table   their class
---@return table parts
function M.build(graph, Layer)
  local p = { list = {}, by_name = {}, by_alias = {}, groups = {}, names = {},
              readers = {}, input = graph.input }
  local previous = "input"
  for _, spec in ipairs(graph.layers) do
    local layer = read_layer(spec, previous, Layer)
    add_layer(p, layer)
    previous = layer.name
  end
  if #p.list == 0 then error("a network needs at least one layer", 0) end
  count_readers(p)
  find_groups(p)
  p.outputs = read_outputs(p, graph.outputs)
  return p
end


---Makes the parts those of a network.
---@param net lunette.Net
---@param parts table
function M.give(net, parts)
  parts_of[net] = parts
  for _, layer in ipairs(parts.list) do net_of[layer] = net end
end


---The network that a layer is part of.
---@param layer lunette.Layer
---@return lunette.Net?
function M.net_of(layer) return net_of[layer] end


---The network whose `params` that table is.
---@param params table
---@return lunette.Net?
function M.with_params(params)
  for net in pairs(parts_of) do
    if rawequal(rawget(net, "params"), params) then return net end
  end
  return nil
end


---@param net lunette.Net
---@return table? parts   nil while it is being made
function M.parts(net) return parts_of[net] end


---Every name that means a layer: layers and their aliases in order, then groups.
---@param net lunette.Net
---@return string[]
function M.known(net)
  local list, seen, p = {}, {}, parts_of[net]
  local function add(name)
    if not seen[name] then seen[name], list[#list + 1] = true, name end
  end
  for _, layer in ipairs(p.list) do
    add(layer.name)
    for _, alias in ipairs(layer.aliases) do add(alias) end
  end
  for _, group in ipairs(M.groups(net)) do add(group) end
  return list
end


---@param net lunette.Net
---@return string[] names   of groups of layers, in alphabetical order
function M.groups(net)
  local list = {}
  for name in pairs(parts_of[net].groups) do list[#list + 1] = name end
  table.sort(list)
  return list
end


---Indices of the layers that read a layer, in order.
---@param net lunette.Net
---@param name string
---@return integer[]
function M.readers(net, name) return parts_of[net].readers[name] or {} end

return M
