---How far a changed rectangle of the picture reaches: which rectangle of each layer it
---changes, and which rectangle of its input a rectangle of a layer needs.
local layers = require "lunette.layers"

local M = {}

local TILE = 4 -- outputs a side of a tile of the fast 3x3 convolution


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
function M.window_of(layer)
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
function M.goes_by_part(net, layer)
  if #layer.shape ~= 3 or layer.operands then return false end
  local w = M.window_of(layer)
  for _, from in ipairs(layer.from) do
    local s = shape_of(net, from)
    if #s ~= 3 then return false end
    if w and not lies_inside(layer, w, s) then return false end
    if not w and not keeps_places(layer, s) then return false end
  end
  return true
end


-- rectangles: { { first, last }, { first, last } } in rows and columns, from 0 --------


---The rectangle of a layer that changes when rectangle r of what it reads does,
---enlarged to whole tiles.
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


---The rectangle of the input that outputs in r read; it reaches over the edges where
---padding is read.
function M.read_by(w, r)
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


---The rectangle of each layer that changes, by name; layers that do not change are left
---out.
function M.spread(list, box)
  local all = { input = { { box.y - 1, box.y + box.h - 2 },
                          { box.x - 1, box.x + box.w - 2 } } }
  for _, layer in ipairs(list) do
    local r
    for _, from in ipairs(layer.from) do
      if all[from] then r = union(r, all[from]) end
    end
    local w = r and M.window_of(layer)
    all[layer.name] = w and reached(layer, w, r) or r
  end
  return all
end


function M.area(r)
  return (r[1][2] - r[1][1] + 1) * (r[2][2] - r[2][1] + 1)
end

return M
