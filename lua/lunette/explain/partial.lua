---Forward passes of pictures that differ from a clean one in a rectangle alone: of the
---first layers only what the rectangle reaches is computed, beside the clean values;
---then its part of a layer is laid into that layer's clean values, and what follows is
---run as always. The numbers have the same bits as a pass through everything: an output
---is the same sum wherever it lies, and Winograd's tiles (4 x 4 outputs) stay whole.
local core = require "lunette.core"
local layers = require "lunette.layers"
local progress = require "lunette.base.progress"
local reach = require "lunette.explain.reach"

local M = {}

local WORTH = 0.7  -- the largest share of the whole cost that is worth the copies
local COPIES = 1.7 -- how much dearer than its share of a layer a part is


-- where the parts are joined ----------------------------------------------------------


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


---Does the n-th layer separate the network: do the layers after it read neither the
---input nor any layer before it?
local function separates(list, n)
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
    if not reach.goes_by_part(net, layer) then break end
    many[n] = layer
  end
  return many
end


---The layer at which joining the parts saves most: { join = layer, n = its index, saved
---= share of the cost }; { saved = 0 } where none saves anything.
local function best_join(net, list, many, rects)
  local saved, best = 0, { saved = 0 }
  for n, layer in ipairs(many) do
    local r = rects[layer.name]
    local share = r and reach.area(r) / (layer.shape[2] * layer.shape[3]) or 0
    saved = saved + progress.cost(layer) * (1 - math.min(1, COPIES * share))
    local stands = n < #list and net:activated(layer.name) == layer
    if stands and saved > best.saved and separates(list, n) then
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
  local rects = reach.spread(many, { h = box.h, w = box.w,
    y = math.max(1, (h - box.h) // 2), x = math.max(1, (w - box.w) // 2) })
  local whole, best = 0, best_join(net, list, many, rects)
  for _, layer in ipairs(list) do whole = whole + progress.cost(layer) end
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


---A copy of the layer without padding.
local function unpadded(layer)
  local own = {}
  for key, value in pairs(layer) do own[key] = value end
  own.padding, own.padding_end = { 0, 0 }, { 0, 0 }
  return own
end


---A layer's part in a group of pictures whose rectangles are alike.
local function apply(net, layer, group, beside)
  local w, rects, xs = reach.window_of(layer), group.rects[layer.name], {}
  local own, first = layer, layer.from[1]
  if not w and #layer.from == 1 and alike(rects, group.rects[first]) then
    return layers.apply(layer, { group.values[first] }, net:params_of(layer),
                        { name = layer.name })
  end
  for i, from in ipairs(layer.from) do
    local needs = {}
    for n, r in ipairs(rects) do needs[n] = w and reach.read_by(w, r) or r end
    local clean = from == "input" and beside.images
      or assert(beside:preactivation(from)):detach()
    xs[i] = region(clean, group.values[from], group.rects[from], needs)
  end
  if w then own = unpadded(layer) end -- the zeros stand in the region
  return layers.apply(own, xs, net:params_of(layer), { name = layer.name })
end


---The rectangles of a layer, enlarged to the size of the largest where there is room,
---so that as many pictures as possible share one batch. The values computed in addition
---are the clean ones again.
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
    for name, r in pairs(reach.spread(list, box)) do
      all[name] = all[name] or {}
      all[name][n] = { { r[1][1], r[1][2] }, { r[2][1], r[2][2] } }
    end
  end
  for _, layer in ipairs(list) do
    local w = reach.window_of(layer)
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
