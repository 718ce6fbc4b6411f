---Real pictures that excite a unit most, cut to what the unit sees; and a gallery of a
---layer's units with them.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local each_batch = require "lunette.features.each_batch"
local maximise = require "lunette.features.activation_maximization"
local options = require "lunette.base.options"
local receptive = require "lunette.net.receptive"

local M = {}


---The first `count` units, or those that are named.
local function unit_list(what, count)
  if type(what) == "table" then return what end
  local list = {}
  for k = 1, math.min(what, count) do list[k] = k end
  return list
end


---Where one channel of one picture is largest.
local function peak(plane)
  local h, w = plane:dim(1), plane:dim(2)
  local at = math.floor(plane:reshape { h * w }:argmax())
  return (at - 1) // w + 1, (at - 1) % w + 1
end


---Puts a find into a list of at most `count`, largest first.
local function insert(list, find, count)
  local at = #list + 1
  while at > 1 and list[at - 1].value < find.value do at = at - 1 end
  if at > count then return false end
  table.insert(list, at, find)
  list[count + 1] = nil
  return true
end


---Finds of one batch: A (N,C,H,W).
local function look(A, images, units, finds, count)
  local n, c = A:dim(1), A:dim(2)
  A = A:reshape { n, c, A:dim(3) or 1, A:dim(4) or 1 }
  local most = A:max { dims = { 3, 4 } }
  for i = 1, n do
    for u, k in ipairs(units) do
      local find = { value = most:get(i, k), picture = images.pictures[i],
                     name = images.names[i] }
      if insert(finds[u], find, count) then find.y, find.x = peak(A[i][k]) end
    end
  end
end


---The pictures in which units of a layer are most active, cut to what they see there.
---Example:
---  local net = lu.load "glyphs"
---  local scenes = lu.glyphs.default_images(4).images
---  local finds = lu.features.patches(net, "block3_conv3", scenes, { units = { 5 } })
---  print(finds[1][1].value, finds[1][1].name)
---  show(finds[1][1].patch)
---@param net lunette.Net
---@param name string      layer; its activation counts
---@param pictures string|any[]   a folder, or a list of paths, folders and tensors
---  (3,H,W) of 0..255
---@param opts? table      units = { 1, 2, ... } or how many from the first (64);
---  count = 4 a unit; batch = 8
---@return table[][] finds   a unit: { { value =, patch = (3,h,w), picture =, name =,
---  y =, x = }, ... }, largest first
function M.patches(net, name, pictures, opts)
  local o = options.check("patches", opts, { count = 4, batch = 8, progress = true,
    units = options.opt.any(64, "a list of channels, or how many") })
  local layer = each_batch.check("patches", net, name)
  pictures = each_batch.pictures("patches", pictures)
  local units, finds = unit_list(o.units, layer.shape[1]), {}
  for u, k in ipairs(units) do
    if k < 1 or k > layer.shape[1] then
      blame(("patches: layer '%s' has channels 1 .. %d, not %d"):format(name,
            layer.shape[1], k))
    end
    finds[u] = {}
  end
  each_batch.run("patches", net, layer, pictures, o, function(activation, images)
    look(activation, images, units, finds, o.count)
  end)
  local field = receptive.of(net, layer.name)
  for _, list in ipairs(finds) do
    for _, find in ipairs(list) do
      local b = field.box(find.y, find.x)
      find.patch = find.picture:narrow { dim = 2, start = b.top, length = b.height }
        :narrow { dim = 3, start = b.left, length = b.width }:clone()
    end
  end
  return finds
end


---Patches of one size, so that a canvas shows them alike.
local function fitted(patch, side)
  return patch:reshape { 1, table.unpack(patch:shape()) }
    :interpolate { size = { side, side }, mode = 1 }[1]
end


---Cells and captions of one unit: its picture and its finds. A picture in which the
---unit is silent does not excite it: its place stays empty.
local function add_unit(cells, captions, unit, picture, finds, count)
  cells[#cells + 1], captions[#captions + 1] = picture, "unit " .. unit
  local c, side = picture:dim(1), picture:dim(2)
  for r = 1, finds and count or 0 do
    local find = finds[r]
    if find and find.value <= 0 then find = nil end
    cells[#cells + 1] = find and fitted(find.patch, side)
      or core.full(255, c, side, side)
    captions[#captions + 1] = find and ("%.3g"):format(find.value)
      or r == 1 and "silent" or ""
  end
end


---Splits the gallery's own options from those of activation maximisation.
local function gallery_options(opts)
  local own = { units = 64, pictures = false, count = 3, columns = 4, batch = 8 }
  local others = {}
  for key, value in pairs(opts or {}) do
    (own[key] ~= nil and own or others)[key] = value
  end
  return own, others
end


---What every unit wants to see, a batch at a time: f(index, picture).
local function each_picture(net, name, units, batch, others, f)
  local unit = require("lunette.score").unit
  for first = 1, #units, batch do
    others.score = {}
    for i = first, math.min(#units, first + batch - 1) do
      table.insert(others.score, unit(name, units[i]))
    end
    local pictures = maximise.run(net, others)
    for i = 1, #others.score do f(first + i - 1, pictures[i]) end
  end
end


---A canvas of a layer's units: what each wants to see, and beside it the pictures that
---excite it most.
---Example:
---  local net = lu.load "glyphs"
---  local canvas = lu.features.gallery(net, "block2_conv1",
---    { units = { 1, 2 }, steps = 2, count = 1,
---      pictures = lu.glyphs.default_images(2).images })
---  assert(canvas:save "out/gallery.png")
---@param net lunette.Net
---@param name string
---@param opts? table   units = 64 or a list; pictures = a folder, paths or tensors
---  (none: no patches); count = 3 patches a unit; columns = 4 units a row; batch = 8
---  units at a time; every other option is one of `lu.activation_maximization`
---@return lunette.Canvas
function M.gallery(net, name, opts)
  local o, others = gallery_options(opts)
  local layer, message = net:activated(name)
  if not layer then blame("gallery: " .. message) end
  local units = unit_list(o.units, layer.shape[1])
  local finds = o.pictures and M.patches(net, name, o.pictures,
    { units = units, count = o.count, progress = others.progress })
  local canvas = require "lunette.picture.canvas" {
    columns = o.columns * (1 + (finds and o.count or 0)), cell = 112,
    title = ("%s of %s: what units want to see%s"):format(name, net.name, finds
      and "; beside it what excites them most, and by how much" or "") }
  local cells, captions = {}, {}
  each_picture(net, name, units, o.batch, others, function(u, picture)
    add_unit(cells, captions, units[u], picture, finds and finds[u], o.count)
    if u % o.columns == 0 or u == #units then
      canvas:row("", cells, { captions = captions, kind = "picture" })
      cells, captions = {}, {}
    end
  end)
  return canvas
end

return M
