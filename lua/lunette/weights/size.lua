---A network for pictures of another size than its file says: its graph with another
---input, where that means the same, and a dense head slid over larger pictures.
local blame = require "lunette.base.blame"
local layers = require "lunette.layers"
local nets = require "lunette.net"
local types = require "lunette.base.types"

local M = {}


---Kinds that pick or make a fixed number of rows and columns: of larger maps they would
---be silently wrong.
local fixed = { index_select = true, narrow = true, gather = true, interpolate = true,
                expand = true, reshape = true, roll = true }


---Three whole numbers that a picture may have.
local function is_size(size)
  local ok = type(size) == "table" and #size == 3
  for _, d in ipairs(ok and size or {}) do
    ok = ok and types.is_count(d) and d <= 2 ^ 14
  end
  return ok
end


---The size that options ask for: { side = 448 }, { side = { 300, 500 } } or
---{ input = { 3, 300, 500 } }.
---@param opts table
---@param input integer[]   what the file says
---@return integer[]? size, string? message
local function wanted(opts, input)
  if opts.side and opts.input then return nil, "give side or input, not both" end
  local size, side = opts.input, opts.side
  if side then
    if type(side) ~= "table" then side = { side, side } end
    size = { input[1], side[1], side[2] }
  end
  if not is_size(size) then
    return nil, "side is a number of pixels or {height, width}, input {C, height, "
      .. "width}"
  end
  if #input ~= 3 then return nil, "it takes no pictures" end
  if size[1] ~= input[1] then
    return nil, ("pictures of %d channels; it takes %d"):format(size[1], input[1])
  end
  return size
end


-- a head that slides ------------------------------------------------------------


---Where the last flatten of a map stands, when nothing but dense layers, activations
---and dropout follow it.
local function head_of(net)
  local at
  for i, layer in ipairs(net:layers()) do
    local input = net:layer(layer.from[1])
    if layer.kind == "flatten" and input and #input.shape == 3 then at = i end
    local plain = layer.kind == "linear" or layers.is(layer, "activation")
      or layers.is(layer, "probability") or layers.is(layer, "dropout")
    if at and i > at and not (plain and #layer.from == 1) then at = nil end
  end
  return at
end


---The head's first dense layer as a convolution as large as its map, others as 1x1
---ones; the scores of all places are averaged before the softmax.
local function slid(net, graph)
  local at = head_of(net)
  if not at then return nil, "it has no dense head behind a flatten, to slide" end
  local last, kernel = net:layers()[at].from[1], nil
  local map, list = net:layer(last).shape, { table.unpack(graph.layers, 1, at - 1) }
  local function add(layer)
    layer.from = { last }
    list[#list + 1], last = layer, layer.name
  end
  local function mean()
    add { name = "slide_mean", kind = "global_avg_pool" }
    add { name = "slide_flatten", kind = "flatten" }
  end
  for i = at + 1, #graph.layers do
    local layer = graph.layers[i]
    if layer.kind == "linear" then
      add { name = layer.name, kind = "conv2d", filters = layer.units,
            kernel = kernel and 1 or { map[2], map[3] }, bias = layer.bias,
            aliases = layer.aliases }
      kernel = true
    else
      if layers.is(layer, "probability") then mean() end
      add(layer)
    end
  end
  if list[#list].kind ~= "softmax" and list[#list].kind ~= "sigmoid" then mean() end
  graph.layers, graph.outputs = list, nil
  return graph
end


-- another size ------------------------------------------------------------------


local function text(list) return table.concat(list, "x") end


---What keeps the network from another size, or nil.
local function obstacle(old, new)
  for _, layer in ipairs(new:layers()) do
    local before = old:layer(layer.name)
    local input = new:layer(layer.from[1])
    local was = before and old:layer(before.from[1])
    if was and input and fixed[layer.kind] and text(input.shape) ~= text(was.shape) then
      return ("layer '%s' (%s) is made for a map of %s"):format(layer.name, layer.kind,
        text(was.shape))
    end
    for i, q in ipairs(before and before.kind == layer.kind and layer.params or {}) do
      if text(q.shape) ~= text(before.params[i].shape) then
        return ("'%s' is %s, this size would want %s"):format(q.name,
          text(before.params[i].shape), text(q.shape))
      end
    end
  end
  return nil
end


---Why the changed graph makes no network of the same parameters, or nil.
local function problem(old, graph)
  local ok, new, why = pcall(nets.new, graph)
  if not ok then return blame.bare(new) end
  return new and obstacle(old, new) or not new and why or nil
end


local function copied(t)
  local copy = {}
  for key, value in pairs(t) do copy[key] = value end
  return copy
end


---The graph for pictures of another size.
---@param graph table    what lu.net takes; not changed
---@param opts { side?: integer|integer[], input?: integer[], slide?: boolean }
---@return table? graph, string? message
function M.resized(graph, opts)
  local old = nets.new(graph)
  if not old then return nil, "it makes no network" end
  local size, message = wanted(opts, old.input)
  if not size then return nil, message end
  if text(size) == text(old.input) then return graph end
  local copy = copied(old.graph)
  copy.input = size
  if opts.slide then copy, message = slid(old, copy) end
  if not copy then return nil, message end
  local why = problem(old, copy)
  if not why then return copy end
  local hint = not opts.slide and head_of(old)
    and "; slide = true slides its dense layers over larger pictures" or ""
  return nil, ("it takes pictures of %s, not of %s: %s%s"):format(text(old.input),
    text(size), why, hint)
end

return M
