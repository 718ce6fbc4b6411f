---Forward passes of pictures that differ from a clean one in a rectangle alone: of the
---first layers only what the rectangle reaches is computed, beside the clean values;
---then its part of a layer is laid into that layer's clean values, and what follows is
---run as always. The numbers have the same bits as a pass through everything: an output
---is the same sum wherever it lies, and Winograd's tiles (4 x 4 outputs) stay whole.
local core = require "lunette.core"
local layers = require "lunette.layers"

local M = {}

local TILE = 4      -- outputs a side of a tile of the fast 3x3 convolution
local WORTH = 0.7   -- of the whole cost: more than that is not worth the copies
local COPIES = 1.7  -- what a part costs more than its share


local function pair(v, default)
  if type(v) == "table" then return v[1], v[2] or v[1] end
  return v or default, v or default
end


local pooling = { max_pool2d = true, avg_pool2d = true }


---One dimension of a layer's windows: kernel, stride, padding, dilation.
local function dimension(layer, d)
  local function at(key, default) return (select(d, pair(layer[key], default))) end
  local kernel = at("kernel", 1)
  return { kernel = kernel, stride = at("stride", pooling[layer.kind] and kernel or 1),
           pad = at("padding", 0), dilation = at("dilation", 1), tile = 1,
           size = layer.shape[d + 1] }
end


---Of a layer whose outputs see a window of its input: both dimensions; nil for one that
---is none, or a pooling of padded pictures.
local function window_of(layer)
  if not pooling[layer.kind] and layer.kind ~= "conv2d" then return nil end
  local w = { dimension(layer, 1), dimension(layer, 2) }
  if pooling[layer.kind] then
    return w[1].pad == 0 and w[2].pad == 0 and not layer.padding_end and w or nil
  end
  local tile = w[1].kernel == 3 and w[2].kernel == 3 and TILE or 1
  w[1].tile, w[2].tile = tile, tile
  return w
end


---Kinds that say of every place what their inputs say there.
local by_place = { batch_norm = true, dropout = true, add = true, identity = true }

local function is_by_place(layer)
  if layer.kind == "concat" then return (layer.dim or 2) == 2 end
  return by_place[layer.kind]
    or layers.is(layer, "activation") and layer.kind ~= "softmax"
       and layer.kind ~= "log_softmax" and layer.kind ~= "prelu"
end


local function shape_of(net, name)
  return name == "input" and net.input or net:layer(name).shape
end


---Does every window lie inside the layer's padded input? (With `ceil_mode` some do
---not.)
local function lies_inside(layer, w, shape)
  for d = 1, 2 do
    local last = (w[d].size - 1) * w[d].stride + w[d].kernel
    if pooling[layer.kind] and last > shape[d + 1] then return false end
  end
  return true
end


---Does the layer work place by place, so that its value at a place depends on its
---inputs at that place alone?
local function keeps_places(layer, shape)
  return is_by_place(layer)
    and shape[2] == layer.shape[2] and shape[3] == layer.shape[3]
    and (layer.kind == "concat" or shape[1] == layer.shape[1])
end


---Can a part of the layer be computed from a part of what it reads?
local function goes_by_part(net, layer)
  if #layer.shape ~= 3 or layer.operands then return false end
  local w = window_of(layer)
  for _, from in ipairs(layer.from) do
    local s = shape_of(net, from)
    if #s ~= 3 then return false end
    if w and not lies_inside(layer, w, s) then return false end
    if not w and not keeps_places(layer, s) then return false end
  end
  return true
end


-- rectangles: { { first, last }, { first, last } } in rows and columns, from 0 --------


---What of a layer changes where the rectangle of its input does, whole tiles.
local function reached(layer, w, r)
  local out = {}
  for d = 1, 2 do
    local o, size = w[d], layer.shape[d + 1]
    local first = -((o.dilation * (o.kernel - 1) - o.pad - r[d][1]) // o.stride)
    local last = (r[d][2] + o.pad) // o.stride
    first = math.max(0, first) // o.tile * o.tile
    last = math.min(size - 1, last // o.tile * o.tile + o.tile - 1)
    out[d] = { math.min(first, last), last }
  end
  return out
end


---The part of the input that outputs in r read, beyond its edges too, where zeros lie.
local function read_by(w, r)
  local need = {}
  for d = 1, 2 do
    local o = w[d]
    local first = r[d][1] * o.stride - o.pad
    need[d] = { first, r[d][2] * o.stride - o.pad + o.dilation * (o.kernel - 1) }
  end
  return need
end


local function union(a, b)
  if not a then return b end
  local all = {}
  for d = 1, 2 do
    all[d] = { math.min(a[d][1], b[d][1]), math.max(a[d][2], b[d][2]) }
  end
  return all
end


---What of each layer changes, by name; layers that do not are left out.
local function spread(list, box)
  local all = { input = { { box.y - 1, box.y + box.h - 2 },
                          { box.x - 1, box.x + box.w - 2 } } }
  for _, layer in ipairs(list) do
    local r
    for _, from in ipairs(layer.from) do
      if all[from] then r = union(r, all[from]) end
    end
    local w = r and window_of(layer)
    all[layer.name] = w and reached(layer, w, r) or r
  end
  return all
end


local function area(r)
  return (r[1][2] - r[1][1] + 1) * (r[2][2] - r[2][1] + 1)
end


-- where the parts are joined ----------------------------------------------------------


---What a layer costs for one picture: products, and a little for every value.
local function cost(layer)
  local values, n = layers.product(layer.shape), 1
  local weight = layer.params[1]
  if not weight or #weight.shape < 2 then return 20 * values end
  for d = 2, #weight.shape do n = n * weight.shape[d] end
  return (n + 200) * values
end


---The layers that `output` depends on, in order.
local function needed(net, output)
  local set, list = { [output.name] = true }, {}
  local all = net:layers()
  for i = output.index, 1, -1 do
    if set[all[i].name] then
      table.insert(list, 1, all[i])
      for _, from in ipairs(all[i].from) do set[from] = true end
    end
  end
  return list
end


---Do the layers after the n-th read none of the first n layers but the n-th?
local function is_gate(list, n)
  local before = { input = true }
  for i = 1, n - 1 do before[list[i].name] = true end
  for i = n + 1, #list do
    for _, from in ipairs(list[i].from) do
      if before[from] then return false end
    end
  end
  return true
end


---The layers of a list, from the first on, that can be computed in part.
local function computable(net, list)
  local many = {}
  for n, layer in ipairs(list) do
    if not goes_by_part(net, layer) then break end
    many[n] = layer
  end
  return many
end


---The layer at which joining the parts saves most: its index in the list, and the share
---of the whole cost that is left.
local function best_join(net, list, many, rects)
  local saved, best = 0, { saved = 0 }
  for n, layer in ipairs(many) do
    local r = rects[layer.name]
    local share = r and area(r) / (layer.shape[2] * layer.shape[3]) or 0
    saved = saved + cost(layer) * (1 - math.min(1, COPIES * share))
    local stands = n < #list and net:activated(layer.name) == layer
    if stands and saved > best.saved and is_gate(list, n) then
      best = { join = layer, saved = saved, n = n }
    end
  end
  return best
end


---@class lunette.PartialPlan
---@field join lunette.Layer     up to which parts are computed
---@field list lunette.Layer[]   the layers up to it
---@field share number           of the whole cost

---How to run pictures that differ in a rectangle of this size; nil where a whole pass
---is no dearer.
---@param run lunette.Run    whose network
---@param box { h: integer, w: integer }
---@param worth? number      the largest share of the whole cost that is still worth it
---@return lunette.PartialPlan?
function M.plan(run, box, worth)
  local net = run.net
  local h, w = net.input[2], net.input[3]
  if not h or not w or #run.output_names > 1 then return nil end
  local list = needed(net, run.output_layer)
  local many = computable(net, list)
  local rects = spread(many, { h = box.h, w = box.w,
    y = math.max(1, (h - box.h) // 2), x = math.max(1, (w - box.w) // 2) })
  local whole, best = 0, best_join(net, list, many, rects)
  for _, layer in ipairs(list) do whole = whole + cost(layer) end
  local share = 1 - best.saved / whole
  if not best.join or share > (worth or WORTH) then return nil end
  return { join = best.join, list = table.move(list, 1, best.n, 1, {}), share = share }
end


-- values ------------------------------------------------------------------------------


---Lays rectangle r of `from` (C,h,w), which begins at `origin`, into `to`, which begins
---at `place`.
local function lay(to, place, from, origin, r)
  local first = { math.max(r[1][1], place[1][1]), math.max(r[2][1], place[2][1]) }
  local last = { math.min(r[1][2], place[1][2]), math.min(r[2][2], place[2][2]) }
  to:paste_(from, first[1] - place[1][1] + 1, first[2] - place[2][1] + 1,
            first[1] - origin[1] + 1, first[2] - origin[2] + 1,
            last[1] - first[1] + 1, last[2] - first[2] + 1)
end


---The part `need` of a layer for every picture of a group, the changed parts laid over
---the clean values.
local function region(clean, changed, rects, needs)
  local k, c = #needs, clean:dim(2)
  local h, w = needs[1][1][2] - needs[1][1][1] + 1, needs[1][2][2] - needs[1][2][1] + 1
  local all, whole = core.zeros(k, c, h, w), clean[1]
  local edges = { { 0, whole:dim(2) - 1 }, { 0, whole:dim(3) - 1 } }
  for n, need in ipairs(needs) do
    local one = all[n]
    lay(one, need, whole, { 0, 0 }, edges)
    if changed then
      local r = rects[n]
      lay(one, need, changed[n], { r[1][1], r[2][1] }, r)
    end
  end
  return all
end


local function alike(a, b)
  for n, r in ipairs(a) do
    for d = 1, 2 do
      if r[d][1] ~= b[n][d][1] or r[d][2] ~= b[n][d][2] then return false end
    end
  end
  return true
end


---A layer's part in a group of pictures whose rectangles are alike.
local function apply(net, layer, group, beside)
  local w, rects, xs = window_of(layer), group.rects[layer.name], {}
  local own, first = layer, layer.from[1]
  if not w and #layer.from == 1 and alike(rects, group.rects[first]) then
    return layers.apply(layer, { group.values[first] }, net:params_of(layer),
                        { name = layer.name })
  end
  for i, from in ipairs(layer.from) do
    local needs = {}
    for n, r in ipairs(rects) do needs[n] = w and read_by(w, r) or r end
    local clean = from == "input" and beside.images
      or assert(beside:preactivation(from)):detach()
    xs[i] = region(clean, group.values[from], group.rects[from], needs)
    if w then -- the zeros stand in the region
      own = setmetatable({ padding = { 0, 0 }, padding_end = { 0, 0 } },
                         { __index = layer })
    end
  end
  return layers.apply(own, xs, net:params_of(layer), { name = layer.name })
end


---The rectangles of a layer, made as large as the largest of them where there is room,
---so that as many pictures as possible are of one size. What is computed beyond a
---rectangle's own part are clean values once more.
local function evened(list, layer, tile)
  for d = 1, 2 do
    local most, size = 0, layer.shape[d + 1]
    for _, r in ipairs(list) do most = math.max(most, r[d][2] - r[d][1] + 1) end
    most = -(-most // tile) * tile -- whole tiles, or up to the picture's edge
    for _, r in ipairs(list) do
      local back = math.max(0, size - most) // tile * tile
      local first = math.min(r[d][1], back)
      if first + most - 1 < r[d][2] then first = r[d][1] end
      r[d] = { first, math.min(size - 1, first + most - 1) }
    end
  end
end


---What of each layer changes in each picture: a list a layer.
local function rectangles(list, boxes)
  local all, tile = { input = {} }, { input = 1 }
  for n, box in ipairs(boxes) do
    for name, r in pairs(spread(list, box)) do
      all[name] = all[name] or {}
      all[name][n] = { { r[1][1], r[1][2] }, { r[2][1], r[2][2] } }
    end
  end
  for _, layer in ipairs(list) do
    local w = window_of(layer)
    local own = w and w[1].tile or 1
    for _, from in ipairs(w and {} or layer.from) do own = math.max(own, tile[from]) end
    tile[layer.name] = own
    evened(all[layer.name], layer, own)
  end
  return all
end


---The sizes of a picture's rectangles.
local function key_of(list, all, n)
  local input, key = all.input[n], {}
  for d = 1, 2 do key[d] = input[d][2] - input[d][1] end
  for _, layer in ipairs(list) do
    local r = all[layer.name][n]
    key[#key + 1] = ("%d %d"):format(r[1][2] - r[1][1], r[2][2] - r[2][1])
  end
  return table.concat(key, ",")
end


---Pictures whose rectangles have the same sizes at every layer.
local function grouped(list, boxes)
  local groups, order, all = {}, {}, rectangles(list, boxes)
  for n in ipairs(boxes) do
    local name = key_of(list, all, n)
    if not groups[name] then
      groups[name] = { members = {}, rects = {}, values = {} }
      order[#order + 1] = groups[name]
    end
    local group = groups[name]
    group.members[#group.members + 1] = n
    for layer, rects in pairs(all) do
      group.rects[layer] = group.rects[layer] or {}
      table.insert(group.rects[layer], rects[n])
    end
  end
  return order
end


---Values of the plan's layer for pictures that differ from the clean one in boxes.
---@param plan lunette.PartialPlan
---@param beside lunette.Run   of the clean picture alone, all values kept
---@param boxes { y: integer, x: integer, h: integer, w: integer }[]   from 1
---@param parts fun(n: integer): lunette.Tensor   what stands in box n: (1,C,h,w)
---@return lunette.Tensor      (k, ...) of plan.join
function M.values(plan, beside, boxes, parts)
  local net, join = beside.net, plan.join.name
  local shape = { #boxes, table.unpack(plan.join.shape) }
  local clean = assert(beside:preactivation(join)):detach()
  local all = clean:expand { shape = shape }:clone()
  for _, group in ipairs(grouped(plan.list, boxes)) do
    local b = boxes[group.members[1]]
    group.values.input = core.zeros(#group.members, net.input[1], b.h, b.w)
    for i, n in ipairs(group.members) do group.values.input:rows(i):copy_(parts(n)) end
    for _, layer in ipairs(plan.list) do
      group.values[layer.name] = apply(net, layer, group, beside)
    end
    for i, n in ipairs(group.members) do
      local r = group.rects[join][i]
      all[n]:paste_(group.values[join][i], r[1][1] + 1, r[2][1] + 1)
    end
  end
  return all
end

return M
