---Operators whose indices depend on the picture. ONNX counts places from 0, and from
---the end below 0; the engine counts from 1.
local common = require "lunette.weights.import.onnx.operators.common"
local fold = require "lunette.weights.import.onnx.fold"

local attr = common.attr
local known = common.known
local live = common.live

local M = {}


---Places of n, those below 0 counted from the end, with `first` for ONNX's 0.
local function counted(b, v, n, first)
  local below = b:step("below", "lt", { v, 0.0 }, nil, v.order)
  below = b:step("from_end", "mul", { below, n + 0.0 }, nil, v.order)
  local y = b:step("from_start", "add", { v, below }, nil, v.order)
  return first == 0 and y or b:step("place", "add", { y, first + 0.0 }, nil, v.order)
end


---The same of an index that is known.
local function known_places(b, c, n)
  local list = {}
  for i, k in ipairs(known(b, c, "index")) do
    if k < -n or k >= n then b:fail("index %d of %d", k, n) end
    list[i] = (k < 0 and k + n or k) + 1.0
  end
  return fold.make(c.shape, list)
end


---A constant as a parameter of the layer's own, one number or many.
local function kept(b, c, key, first)
  local y = b:operand(c, key, #first.shape, first.order)
  if type(y) == "table" then return y end
  local shape = {}
  for i = 1, #first.shape - (b.batched(first) and 1 or 0) do shape[i] = 1 end
  if #shape == 0 then shape[1] = 1 end
  b:keep(b.own, key, fold.make({}, { y }), shape)
  return { param = key, shape = shape, frozen = true }
end


---An input as it lies beside the first live one.
local function beside(b, v, first)
  if #v.shape ~= #first.shape then b:fail("inputs of different rank") end
  return v.const and v or b:ordered(common.aligned(b, v, first), first.order)
end


---What moves values by an index: the data, an index from 1, the values that are put in.
local function moved(b, x)
  local first = common.longest(b, x)
  local axis = common.axis_of(b, attr(b, "axis", "i", 0), #first.shape)
  local d = first.order[axis]
  if d == 1 then b:fail("it moves values between the pictures of a batch") end
  local n = x[1].shape[axis]
  local list = {}
  for i, v in ipairs(x) do
    v = beside(b, v, first)
    if i == 2 then v = v.const and known_places(b, v, n) or counted(b, v, n, 1) end
    list[i] = v
  end
  return list, first, d
end


function M.GatherElements(b, x)
  local list, first, d = moved(b, x)
  for i, key in ipairs { "data", "index" } do
    if list[i].const then list[i] = kept(b, list[i], key, first) end
  end
  return b:layer("gather", list, { dim = d }, first.order)
end


---data with values added at the places of the index, by the layer `make`.
local function added(b, make, list, first, d)
  local from = {}
  for i, key in ipairs { "data", "index", "values" } do
    from[i] = list[i].const and kept(b, list[i], key, first) or list[i]
  end
  return make(b, "scatter_add", from, { dim = d }, first.order)
end


local function is_zero(c)
  if not c.const or not (c.same or c.data) then return false end
  for _, v in ipairs(c.same and { c.same } or c.data) do
    if v ~= 0 then return false end
  end
  return true
end


---Zeros or ones in the place of v: of a live value v < v, or not that.
local function filled(b, v, value)
  if v.const then return { const = true, shape = v.shape, same = value } end
  local zeros = b:step("zeros", "lt", { v, v }, nil, v.order)
  return value == 0 and zeros or b:step("ones", "eq", { zeros, 0.0 }, nil, v.order)
end


---data where no place is named: what is put in and how often, over zeros, decide.
local function replaced(b, list, first, d)
  local zeros, ones = filled(b, list[1], 0.0), filled(b, list[3], 1.0)
  local function over_zeros(word, values)
    return b:inside(word, function()
      return added(b, b.layer, { zeros, list[2], values }, first, d)
    end)
  end
  local hit, put = over_zeros("named", ones), over_zeros("put", list[3])
  local data = list[1].const and kept(b, list[1], "data", first) or list[1]
  return b:layer("where", { hit, put, data }, nil, first.order)
end


---Are places of maxima in copies of a picture those of values, over zeros?
local function is_of_copies(b, x)
  local data, index, values = x[1], x[2], x[3]
  if not index.through or not index.flat or values.const then return false end
  return is_zero(data) and common.same(values.shape, index.shape)
    and data.shape[1] == b.copies[index.flat.layer] * index.through
end


---Scatters in each copy by itself.
local function scattered_in_copies(b, x)
  local index, copies = x[2], b.copies[x[2].flat.layer]
  local function rows(v)
    v = b:reshape(v.flat or v, { copies, v.shape[1] // copies })
    return b.batched(v) and v or b:folded(v)
  end
  local zeros = { const = true, shape = { 1, index.through }, same = 0.0 }
  local places, values = rows(index), rows(x[3])
  places = counted(b, places, index.through, 1)
  local y = added(b, b.layer, { zeros, places, values }, values, 2)
  return b:reshape(y, { copies * index.through })
end


function M.ScatterElements(b, x)
  local reduction = attr(b, "reduction", "s", "none")
  if reduction ~= "none" and reduction ~= "add" then
    b:fail("reduction %s is not supported", reduction)
  end
  if is_of_copies(b, x) then
    attr(b, "axis", "i", 0)
    return scattered_in_copies(b, x)
  end
  for i, v in ipairs(x) do
    if v.through then b:fail("it reads where maxima are in copies of a picture") end
    x[i] = b:settled(v)
  end
  local list, first, d = moved(b, x)
  if reduction == "add" or is_zero(list[1]) then
    return added(b, b.layer, list, first, d)
  end
  return replaced(b, list, first, d)
end

M.Scatter = M.ScatterElements


---1 (or `on`) where the new dimension is the index, 0 (or `off`) elsewhere: also of an
---index that is out of range.
function M.OneHot(b, x)
  local v, depth = live(b, x, 1), known(b, x[2], "depth")[1]
  local off, on = table.unpack(known(b, x[3], "values"))
  local axis = common.axis_of(b, attr(b, "axis", "i", -1), #v.shape + 1)
  if depth < 1 or depth > 2 ^ 24 then b:fail("a depth of %g", depth) end
  local list, shape = {}, { math.tointeger(depth) }
  for i = 1, depth do list[i] = i - 1.0 end
  for _ = axis, #v.shape do shape[#shape + 1] = 1 end
  local y = b:unsqueeze(counted(b, v, depth, 0), { axis })
  y = b:inside("is", function()
    local by = b:operand(fold.make(shape, list), "places", #y.shape, y.order)
    return b:layer("eq", { y, by }, nil, y.order)
  end)
  y = b:step("high", "mul", { y, on - off + 0.0 }, nil, y.order)
  return b:layer("add", { y, off + 0.0 }, nil, y.order)
end

return M
