---Operators that move values: shapes, parts, borders.
local common = require "lunette.weights.import.onnx.operators.common"
local fold = require "lunette.weights.import.onnx.fold"

local attr = common.attr
local flag = common.flag
local axis_of = common.axis_of
local known = common.known
local axes_of = common.axes_of
local live = common.live
local pictures = common.pictures
local narrow = common.narrow
local select_ = common.select_
local same = common.same

local M = {}


-- shapes -------------------------------------------------------------------------


---Must a Transpose move values? Most only change the order in which a value is seen, so
---that two in a row cancel. Values are moved where (N,H,W,C) becomes pictures
---(N,C,H,W), or tokens, so that the result is a map of the usual layout.
local function moves(b, shape, order)
  if order[1] ~= 1 or same(order, b.identity(#order)) then return false end
  return #shape == 3 or same(order, { 1, 4, 2, 3 })
end


function M.Transpose(b, x)
  local v = live(b, x, 1)
  local perm, order, shape = attr(b, "perm", "I"), {}, {}
  if not perm then
    perm = {}
    for i = 1, #v.shape do perm[i] = #v.shape - i end
  end
  if #perm ~= #v.shape then b:fail("perm has %d numbers", #perm) end
  local seen = {}
  for i, p in ipairs(perm) do
    local a = axis_of(b, p, #v.shape, "perm")
    if seen[a] then b:fail("perm names axis %d twice", p) end
    seen[a] = true
    order[i], shape[i] = v.order[a], v.shape[a]
  end
  if moves(b, shape, order) then return b:layer("permute", { v }, { dims = order }) end
  return { layer = v.layer, spec = v.spec, shape = shape, order = order,
           turned = { name = b.own, node = b.node } }
end


function M.Flatten(b, x)
  local v = live(b, x, 1)
  local axis = attr(b, "axis", "i", 1)
  axis = axis < 0 and axis + #v.shape or axis
  local head, tail = 1, 1
  for a, d in ipairs(v.shape) do
    if a <= axis then head = head * d else tail = tail * d end
  end
  if not b.batched(v) then return b:reshape(v, { head, tail }, true) end
  if head ~= v.shape[1] then b:fail("axis %d mixes the pictures of a batch", axis) end
  v = b:ordered(v)
  return b:layer("flatten", { v })
end


---The dimensions that Reshape asks for: 0 copies one, -1 (at most one) is what is left;
---@return integer[] shape
---@return integer? free   where the -1 stands
local function asked_shape(b, v, want, zero)
  local shape, free = {}, nil
  for i, d in ipairs(want) do
    if d == 0 and not zero then
      d = v.shape[i] or b:fail("no dimension %d to copy", i)
    end
    if d == -1 then
      if free then b:fail("two -1 in its shape") end
      free = i
    elseif d < 0 or d > 2 ^ 40 then
      b:fail("a dimension of %d", d)
    end
    shape[i] = math.tointeger(d)
  end
  return shape, free
end


function M.Reshape(b, x)
  local v = live(b, x, 1)
  local want = b.opset < 5 and attr(b, "shape", "I") or known(b, x[2], "shape")
  if not want then b:fail("its shape is missing") end
  local shape, free = asked_shape(b, v, want, flag(b, "allowzero"))
  if free then
    local left, others = fold.product(v.shape), 1.0
    for i, d in ipairs(shape) do if i ~= free then others = others * d end end
    if others == 0 or left % others ~= 0 then
      b:fail("%d numbers do not make (%s)", left, table.concat(shape, ", "))
    end
    shape[free] = math.tointeger(left // others)
  end
  if same(shape, v.shape) then return v end
  return b:reshape(v, shape, true)
end


function M.Squeeze(b, x)
  local v = live(b, x, 1)
  local axes = axes_of(b, x, 13, #v.shape)
  if not axes then
    axes = {}
    for a = 2, #v.shape do if v.shape[a] == 1 then axes[#axes + 1] = a end end
  end
  return b:squeeze(v, axes, true)
end


function M.Unsqueeze(b, x)
  local v = live(b, x, 1)
  local list = b.opset < 13 and attr(b, "axes", "I") or known(b, x[2], "axes")
  local axes = {}
  for i, a in ipairs(list or b:fail("axes are missing")) do
    axes[i] = axis_of(b, a, #v.shape + #list)
  end
  return b:unsqueeze(v, axes, true)
end


---A constant beside live values in `order`, as a parameter of the layer.
local function joined_constant(b, c, key, order)
  c = b:of_one(c, order)
  local at, perm, ours = {}, {}, {}
  for a, d in ipairs(order) do at[d] = a end
  for d = 1, #order + 1 do
    if at[d] then perm[#perm + 1] = at[d] end
    if at[d] and d > 1 then ours[#ours + 1] = c.shape[at[d]] end
  end
  if not same(perm, b.identity(#perm)) then c = b:turn(c, perm) end
  b:keep(b.own, key, c, ours)
  return { param = key, shape = ours }
end


---Raises unless two shapes are the same but for one axis.
local function check_joined(b, shape, first, axis)
  if #shape ~= #first then b:fail("inputs of different rank") end
  for a, d in ipairs(shape) do
    if a ~= axis and d ~= first[a] then
      b:fail("%d and %d on axis %d", first[a], d, a - 1)
    end
  end
end


local MOST = 16 -- inputs of one layer (LUN_MAXIN)

---Joins values along an axis, sixteen at a time: DenseNet's blocks have up to 49.
local function joined(b, x, first, axis)
  if #x > MOST then
    local head = b:inside("joined", function()
      return joined(b, { table.unpack(x, 1, MOST) }, first, axis)
    end)
    return joined(b, { head, table.unpack(x, MOST + 1) }, head, axis)
  end
  local list = {}
  for i, v in ipairs(x) do
    list[i] = v.const and joined_constant(b, v, "value" .. i, first.order)
      or b:ordered(common.aligned(b, v, first), first.order)
  end
  return b:layer("concat", list, { dim = first.order[axis] }, first.order)
end


function M.Concat(b, x)
  local first = common.longest(b, x)
  local axis = axis_of(b, attr(b, "axis", "i") or b:fail("no axis"), #first.shape)
  if #x == 1 then return first end
  if first.order[axis] == 1 then b:fail("it joins along the batch") end
  for _, v in ipairs(x) do check_joined(b, v.shape, first.shape, axis) end
  return joined(b, x, first, axis)
end


function M.Split(b, x)
  local v = live(b, x, 1)
  local axis = axis_of(b, attr(b, "axis", "i", 0), #v.shape)
  local n, total = #b.node.outputs, v.shape[axis]
  local sizes = attr(b, "split", "I")
  attr(b, "num_outputs", "i")
  if x[2] then sizes = known(b, x[2], "split") end
  if not sizes then
    local each = -(-total // n)
    sizes = {}
    for i = 1, n do sizes[i] = math.min(each, total - each * (i - 1)) end
  end
  local out, at, own = {}, 1, b.own
  for i = 1, n do
    if not sizes[i] or sizes[i] < 1 then b:fail("part %d is empty", i) end
    out[i] = narrow(b, v, axis, at, sizes[i])
    at = at + sizes[i]
  end
  if at ~= total + 1 then b:fail("its parts make %d of %d", at - 1, total) end
  b.own = own
  return table.unpack(out)
end


---Slices: axis, first (from 0), length and step of each.
local function slices(b, x, v)
  local starts, ends, axes, steps = attr(b, "starts", "I"), attr(b, "ends", "I"),
                                    attr(b, "axes", "I"), nil
  if b.opset >= 10 then
    starts, ends = known(b, x[2], "starts"), known(b, x[3], "ends")
    axes, steps = known(b, x[4], "axes"), known(b, x[5], "steps")
  end
  local list = {}
  for i, s in ipairs(starts) do
    local axis = axis_of(b, axes and axes[i] or i - 1, #v.shape)
    local step = math.tointeger(steps and steps[i] or 1)
    local from, count = fold.slice(s, ends[i], v.shape[axis], step)
    list[i] = { axis, from, count, step }
  end
  return list
end


function M.Slice(b, x)
  local v = b:settled(live(b, x, 1))
  local through = v.through
  local all = slices(b, x, v)
  for _, s in ipairs(all) do
    local axis, from, count, step = table.unpack(s)
    if count == 0 then b:fail("nothing is left of axis %d", axis - 1) end
    if step == 1 then
      v = narrow(b, v, axis, from + 1, count, #all == 1)
    else
      if v.order[axis] == 1 then b:fail("it takes pictures out of the batch") end
      local index = {}
      for i = 1, count do index[i] = from + 1 + (i - 1) * step end
      v = select_(b, v, axis, index)
    end
  end
  v.through = through
  return v
end


function M.Gather(b, x)
  local v, index = live(b, x, 1), x[2]
  local axis = axis_of(b, attr(b, "axis", "i", 0), #v.shape)
  local list = known(b, index, "index")
  if v.order[axis] == 1 then b:fail("it takes pictures out of the batch") end
  local from = {}
  for i, k in ipairs(list) do
    local at = k < 0 and k + v.shape[axis] or k
    if at < 0 or at >= v.shape[axis] then
      b:fail("index %d of %d", k, v.shape[axis])
    end
    from[i] = at + 1
  end
  if #index.shape == 0 then
    return b:squeeze(narrow(b, v, axis, from[1], 1), { axis }, true)
  end
  if #index.shape == 1 then return select_(b, v, axis, from, true) end
  local shape = { table.unpack(v.shape, 1, axis - 1) }
  table.move(index.shape, 1, #index.shape, axis, shape)
  table.move(v.shape, axis + 1, #v.shape, #shape + 1, shape)
  return b:reshape(select_(b, v, axis, from), shape, true)
end


---What Pad is told, by attributes before opset 11: pads, value, axes (from 1).
local function padding_of(b, x, rank)
  local pads = attr(b, b.opset < 2 and "paddings" or "pads", "I")
  local value = attr(b, "value", "f", 0)
  if b.opset >= 11 then
    pads = known(b, x[2], "pads")
    if x[3] then value = known(b, x[3], "value")[1] or 0 end
  end
  local axes = axes_of(b, x, 18, rank, 4) or b.identity(rank)
  if not pads or #pads ~= 2 * #axes then b:fail("pads has not 2 numbers an axis") end
  return pads, value, axes
end


local pad_modes = { constant = 0, reflect = 1, edge = 2 }

function M.Pad(b, x)
  local v = live(b, x, 1)
  local mode = attr(b, "mode", "s", "constant")
  local pads, value, axes = padding_of(b, x, #v.shape)
  if not pad_modes[mode] then b:fail("mode %s is not supported", mode) end
  local before, after, some = {}, {}, false
  for d = 1, #v.shape do before[d], after[d] = 0, 0 end
  for i, a in ipairs(axes) do
    local lo, hi = pads[i], pads[i + #axes]
    if lo < 0 or hi < 0 then -- what is below 0 is cut off
      v = narrow(b, v, a, 1 + math.max(0, -lo),
                 v.shape[a] - math.max(0, -lo) - math.max(0, -hi))
    end
    before[v.order[a]], after[v.order[a]] = math.max(0, lo), math.max(0, hi)
    some = some or lo > 0 or hi > 0
    if lo + hi > 2 ^ 24 then
      b:fail("pads of %d and %d: the output is too large", lo, hi)
    end
  end
  if not some then return v end
  return b:layer("pad", { v }, { before = before, after = after,
                 mode = pad_modes[mode], value = value }, v.order)
end


---`count` dimensions of 1 before the others, of what has no batch.
local function with_front(b, v, count)
  if b.batched(v) then b:fail("it adds dimensions before the batch") end
  v = b:ordered(v)
  local shape, order = {}, {}
  for i = 1, count do shape[i] = 1 end
  table.move(v.shape, 1, #v.shape, count + 1, shape)
  for i = 1, #shape do order[i] = i + 1 end
  return b:step("shape", "reshape", { v }, { shape = shape }, order)
end


function M.Expand(b, x)
  local v = live(b, x, 1)
  local want = known(b, x[2], "shape")
  local shape, ours = fold.broadcast_shape(v.shape, want), {}
  if #shape ~= #v.shape then v = with_front(b, v, #shape - #v.shape) end
  if same(shape, v.shape) then return v end
  for a, d in ipairs(shape) do
    if d > 2 ^ 24 then b:fail("a dimension of %d", d) end
    if v.order[a] == 1 and d ~= v.shape[a] then b:fail("it repeats pictures") end
    if v.order[a] > 1 then ours[v.order[a] - 1] = d end
  end
  return b:layer("expand", { v }, { shape = ours }, v.order)
end


---A value `count` times along an axis.
local function beside_itself(b, v, axis, count)
  local copies = {}
  for i = 1, count do copies[i] = v end
  return b:inside("tile", function() return joined(b, copies, v, axis) end)
end


---The value several times, side by side along every axis.
function M.Tile(b, x)
  local v, counts = live(b, x, 1), known(b, x[2], "repeats")
  if #counts ~= #v.shape then b:fail("repeats has %d numbers", #counts) end
  for a, count in ipairs(counts) do
    if count < 1 or count * v.shape[a] > 2 ^ 24 then b:fail("%d repeats", count) end
    if count > 1 and v.order[a] == 1 then b:fail("it repeats pictures") end
    if count > 1 then v = beside_itself(b, v, a, count) end
  end
  return v
end


function M.DepthToSpace(b, x)
  local v, s = pictures(b, live(b, x, 1)), attr(b, "blocksize", "i")
  local mode = attr(b, "mode", "s", "DCR")
  local _, c, h, w = table.unpack(v.shape)
  if not s or s < 1 or c % (s * s) ~= 0 then
    b:fail("blocksize %s of %d channels", tostring(s), c)
  end
  c = c // (s * s)
  local dcr = mode == "DCR"
  local y = b:reshape(v, dcr and { 1, s, s, c, h, w } or { 1, c, s, s, h, w })
  y = b:step("turned", "permute", { y },
             { dims = dcr and { 1, 4, 5, 2, 6, 3 } or { 1, 2, 5, 3, 6, 4 } })
  return b:reshape(y, { 1, c, h * s, w * s }, true)
end


function M.SpaceToDepth(b, x)
  local v, s = pictures(b, live(b, x, 1)), attr(b, "blocksize", "i")
  local _, c, h, w = table.unpack(v.shape)
  if not s or s < 1 or h % s ~= 0 or w % s ~= 0 then
    b:fail("blocksize %s of %dx%d", tostring(s), h, w)
  end
  local y = b:reshape(v, { 1, c, h // s, s, w // s, s })
  y = b:step("turned", "permute", { y }, { dims = { 1, 4, 6, 2, 3, 5 } })
  return b:reshape(y, { 1, c * s * s, h // s, w // s }, true)
end

return M
