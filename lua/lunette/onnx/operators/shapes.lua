---What moves values: views, parts, borders, gathering, resizing.
local gradients = require "lunette.trace.back.shape"
local common = require "lunette.trace.back.common"
local core = require "lunette.core"
local trace = require "lunette.trace"

local M = {}


-- views ------------------------------------------------------------------------------


function M.reshape(e, t, x)
  return e:out("Reshape", { x[1], e:shape(t.dims, t.inputs[1].dims) })
end


function M.flatten(e, t, x)
  if math.tointeger(t.attrs.from) == 2 and t:dim() == 2 then
    return e:out("Flatten", x, { axis = 1 })
  end
  return M.reshape(e, t, x)
end


---Dimensions counted from 0.
local function axes(dims, nd)
  local list = {}
  for i, d in ipairs(dims) do
    list[i] = common.axis(d, nd) - 1
  end
  return list
end

local function axis(d, nd) return axes({ d }, nd)[1] end


function M.permute(e, t, x)
  return e:out("Transpose", x, { perm = axes(t.attrs.dims, t:dim()) })
end


---ONNX's Expand broadcasts both ways: a dimension that has its size already is 1.
function M.expand(e, t, x)
  local from, to = t.inputs[1].dims, {}
  local lead = #t.dims - #from
  for d, n in ipairs(t.dims) do to[d] = from[d - lead] == n and 1 or n end
  if e.graph.opset >= 8 then return e:out("Expand", { x[1], e:whole_shape(to) }) end
  local y, ones = x[1], {}
  for d = 1, lead do ones[d] = 1 end
  if lead > 0 then
    table.move(from, 1, #from, lead + 1, ones)
    y = e:step("Reshape", { y, e:whole_shape(ones) })
  end
  return e:out("Tile", { y, e:whole_shape(to) })
end


function M.concat(e, t, x)
  return e:out("Concat", x, { axis = axis(t.attrs.dim, t:dim()) })
end


-- parts ------------------------------------------------------------------------------


---Elements from .. to-1, counted from 0, along an axis.
local function slice(e, make, x, from, to, at)
  return make(e, "Slice", { x, e:ints { from }, e:ints { to }, e:ints { at } })
end


function M.narrow(e, t, x)
  local d = axis(t.attrs.dim, t:dim())
  local start = math.tointeger(t.attrs.start)
  start = start < 0 and start + t.inputs[1]:dim(d + 1) or start - 1
  return slice(e, e.out, x[1], start, start + t:dim(d + 1), d)
end


function M.pad(e, t, x)
  local pads, nd = {}, t:dim()
  for d = 1, nd do
    pads[d] = math.tointeger(t.attrs.before[d] or 0)
    pads[nd + d] = math.tointeger(t.attrs.after[d] or 0)
  end
  local modes = { [0] = "constant", "reflect", "edge" }
  local value = t.attrs.value or 0
  local by = value ~= 0 and e:number(value, true) or nil
  return e:out("Pad", { x[1], e:ints(pads), by }, {
    mode = modes[math.tointeger(t.attrs.mode)] })
end


---Along each dimension the last `shift` elements move to the front.
function M.roll(e, t, x)
  local y = x[1]
  for d = 1, t:dim() do
    local n = t:dim(d)
    local shift = math.tointeger(t.attrs.shift[d] or 0) % n
    if shift > 0 then
      y = e:step("Concat", { slice(e, e.step, y, n - shift, n, d - 1),
                             slice(e, e.step, y, 0, n - shift, d - 1) },
                 { axis = d - 1 })
    end
  end
  return e:out("Identity", { y })
end


function M.flip(e, t, x)
  local list, starts, ends, steps = axes(t.attrs.dims, t:dim()), {}, {}, {}
  for i, d in ipairs(list) do
    starts[i], ends[i], steps[i] = -1, -t:dim(d + 1) - 1, -1
  end
  return e:out("Slice", { x[1], e:ints(starts), e:ints(ends), e:ints(list),
                          e:ints(steps) })
end


---An index counted from 0, of one counted from 1.
local function index(e, t, x)
  if t.live then
    return e:step("Cast", { e:step("Sub", { x, e:number(1) }) }, { to = 7 })
  end
  local list = {}
  local known = trace.known(t):reshape { t:size() }:totable()
  for i, v in ipairs(known) do list[i] = math.tointeger(v) - 1 end
  return e:ints(list, t:shape())
end


function M.index_select(e, t, x)
  return e:out("Gather", { x[1], index(e, t.inputs[2], x[2]) },
               { axis = axis(t.attrs.dim, t:dim()) })
end


function M.gather(e, t, x)
  return e:out("GatherElements", { x[1], index(e, t.inputs[2], x[2]) },
               { axis = axis(t.attrs.dim, t:dim()) })
end


function M.scatter_add(e, t, x)
  if e.graph.opset < 16 then e:fail("ONNX adds where it scatters from opset 16 on") end
  return e:out("ScatterElements", { x[1], index(e, t.inputs[2], x[2]), x[3] },
               { axis = axis(t.attrs.dim, t:dim()), reduction = "add" })
end


-- resizing ---------------------------------------------------------------------------


---Nearest neighbours by row and column numbers: floor(o in / out), in integers.
local function nearest(e, t, x)
  local y = x[1]
  for d = 3, 4 do
    local from, to, list = t.inputs[1]:dim(d), t:dim(d), {}
    for o = 0, to - 1 do list[o + 1] = o * from // to end
    local make = d == 3 and e.step or e.out
    y = make(e, "Gather", { y, e:ints(list) }, { axis = d - 1 })
  end
  return y
end


---What a dimension is multiplied by to be resized, (to, from).
local function resizing(from, to, attrs)
  local own = {}
  for key, v in pairs(attrs) do own[key] = v end
  own.size = { to, 1 }
  local eye = require("lunette.tensors.makers").eye(from):reshape { 1, from, from, 1 }
  return core.ops.interpolate(eye, own):reshape { from, to }:permute { dims = { 2, 1 } }
end


---Two products of matrices: R x C'.
local function by_matrices(e, t, x)
  local from = t.inputs[1]
  local rows = resizing(from:dim(3), t:dim(3), t.attrs)
  local columns = resizing(from:dim(4), t:dim(4), t.attrs):permute { dims = { 2, 1 } }
  return e:out("MatMul", { e:tensor(rows, "rows"),
                           e:step("MatMul", { x[1], e:tensor(columns, "columns") }) })
end


function M.interpolate(e, t, x)
  if e.graph.opset < 11 then return by_matrices(e, t, x) end
  local size, from = { t:dim(3), t:dim(4) }, t.inputs[1]
  local mode = math.tointeger(t.attrs.mode)
  local whole = size[1] % from:dim(3) + size[2] % from:dim(4) == 0
  if mode == 0 and not whole then return nearest(e, t, x) end
  local attrs = { mode = ({ [0] = "nearest", "linear", "cubic" })[mode],
                  coordinate_transformation_mode = t.attrs.align_corners ~= 0
                    and "align_corners" or "half_pixel" }
  if mode == 0 then
    attrs.coordinate_transformation_mode, attrs.nearest_mode = "asymmetric", "floor"
  end
  local shape = e:step("Shape", { x[1] })
  local first = slice(e, e.step, shape, 0, 2, 0)
  local sizes = e:step("Concat", { first, e:ints(size) }, { axis = 0 })
  return e:out("Resize", { x[1], false, false, sizes }, attrs)
end


---The largest matrix (numbers) as which `affine` is written.
local MOST = 2 ^ 22

function M.affine(e, t, x)
  local h, w = t:dim(3), t:dim(4)
  if (h * w) ^ 2 > MOST then
    e:fail("ONNX has no warp, and the matrix of one of %dx%d is too large", h, w)
  end
  local matrix = gradients.plane_matrix(h, w, t.attrs)
  local flat = e:step("Reshape", { x[1], e:ints { 0, 0, h * w } })
  local y = e:step("MatMul", { flat, e:tensor(matrix, "matrix") })
  local value = t.attrs.value or 0
  if value ~= 0 and t.attrs.mirror == 0 then -- what places outside give
    local inside = gradients.warped(core.ones(1, 1, h, w), t.attrs)
    y = e:step("Add", { y, e:tensor((1 - inside):reshape { 1, 1, h * w } * value,
                                    "outside") })
  end
  return e:out("Reshape", { y, e:ints { 0, 0, h, w } })
end

return M
