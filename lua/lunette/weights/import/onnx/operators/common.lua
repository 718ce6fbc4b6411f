---What the operators of ONNX share: attributes, inputs of the right kind, operands in
---one order. `b` is the graph that is built (lunette.weights.import.onnx.build).

local Build = require "lunette.weights.import.onnx.build"

local M = { same = Build.same }


-- attributes -------------------------------------------------------------------


---An attribute as what it should be: "i", "f", "s", "I", "F", "t"; or the default.
function M.attr(b, key, type_, default)
  local a = b.node.attrs[key]
  b.asked[key] = true
  if not a then return default end
  if a.type ~= type_ then
    b:fail("attribute '%s' is of type %s, wanted %s", key, a.type, type_)
  end
  if type_ == "s" then return a[1] end
  if type_ == "i" or type_ == "f" then return tonumber(a[1]) end
  local list = {}
  for i, text in ipairs(a) do list[i] = tonumber(text) end
  return list
end


function M.flag(b, key) return M.attr(b, key, "i", 0) ~= 0 end


---A dimension from 1, of ONNX's from 0 or from the end.
function M.axis_of(b, axis, rank, what)
  local a = axis < 0 and axis + rank or axis
  if a ~= math.floor(a) or a < 0 or a >= rank then
    b:fail("%s %d of %d dimensions", what or "axis", axis, rank)
  end
  return math.tointeger(a) + 1
end


---The numbers of an input that must be known before anything runs.
function M.known(b, x, what)
  if not x then return nil end
  if not x.const then b:fail("its %s depends on the picture", what) end
  if not x.data then b:fail("its %s is not known", what) end
  return x.data
end


---Axes by attribute before opset `from`, by input since.
function M.axes_of(b, x, from, rank, at)
  local list = M.attr(b, "axes", "I")
  at = at or 2
  if b.opset >= from or x[at] then list = M.known(b, x[at], "axes") or list end
  if not list then return nil end
  local out, seen = {}, {}
  for i, a in ipairs(list) do
    out[i] = M.axis_of(b, a, rank)
    if seen[out[i]] then b:fail("axis %d is named twice", a) end
    seen[out[i]] = true
  end
  return out
end


function M.live(b, x, i)
  if not x[i] then b:fail("its input %d is missing", i) end
  if x[i].const then b:fail("its input %d does not depend on the picture", i) end
  return x[i]
end


---Pictures, their dimensions in order.
function M.pictures(b, x)
  if #x.shape ~= 4 then
    b:fail("an input of shape (%s), wanted pictures (N,C,H,W), the batch first",
           table.concat(x.shape, ","))
  end
  return b:ordered(b.batched(x) and x or b:folded(x))
end


---The value as `first` is seen: with the batch or without.
---@param v table live
---@param first table live
function M.aligned(b, v, first)
  if b.batched(first) and not b.batched(v) and v.shape[1] == first.shape[1] then
    v = b:folded(v)
  end
  if #v.shape ~= #first.shape or b.batched(v) ~= b.batched(first) then
    b:fail("inputs of (%s) and (%s) are not aligned at the batch",
           table.concat(first.shape, ","), table.concat(v.shape, ","))
  end
  return v
end


---The live value that others are brought to: of most dimensions, with the batch if one
---is.
local function longest(b, x)
  local first
  local function before(v)
    if #v.shape ~= #first.shape then return #v.shape > #first.shape end
    return b.batched(v) and not b.batched(first)
  end
  for _, v in ipairs(x) do
    if not v.const and (not first or before(v)) then first = v end
  end
  return first
end
M.longest = longest


---Brings live values to one order, and constants to it: what a layer reads.
function M.together(b, x)
  local first, list = longest(b, x), {}
  local rank = #first.shape
  for i, v in ipairs(x) do
    if v.const then
      list[i] = b:operand(v, "value" .. (i > 1 and i or ""), rank, first.order)
    else
      list[i] = b:ordered(M.aligned(b, v, first), first.order)
    end
  end
  return list, first.order
end


function M.constant(b, x, i, what)
  if not x[i] or not x[i].const then b:fail("its %s is no constant", what) end
  if x[i].whole and x[i].source then
    b:fail("its %s is of integers (%s)", what, x[i].source.type)
  end
  return x[i]
end


---A list of one number an axis, each at least `least`.
function M.per_axis(b, key, n, default, least)
  local list = M.attr(b, key, "I")
  if not list then
    list = {}
    for i = 1, n do list[i] = default end
  end
  if #list ~= n then b:fail("%s has %d numbers, wanted %d", key, #list, n) end
  for _, v in ipairs(list) do
    if v < least then b:fail("%s is %d, at least %d", key, v, least) end
    if v > 2 ^ 24 then b:fail("%s is %d: too large", key, v) end
  end
  return list
end


---Padding before and after: pads, or what auto_pad makes of the sizes.
function M.padding(b, size, kernel, stride, dilation)
  local auto = M.attr(b, "auto_pad", "s", "NOTSET")
  local pads = M.per_axis(b, "pads", 4, 0, 0)
  if auto == "NOTSET" or auto == "" then
    return { pads[1], pads[2] }, { pads[3], pads[4] }
  elseif auto == "VALID" then
    return { 0, 0 }, { 0, 0 }
  elseif auto ~= "SAME_UPPER" and auto ~= "SAME_LOWER" then
    b:fail("auto_pad %s is not known", auto)
  end
  local before, after = {}, {}
  for i = 1, 2 do
    local out = -(-size[i] // stride[i])
    local total = math.max(0, (out - 1) * stride[i] + (kernel[i] - 1) * dilation[i] + 1
                           - size[i])
    local less = total // 2
    before[i] = auto == "SAME_UPPER" and less or total - less
    after[i] = total - before[i]
  end
  return before, after
end


---Elements start .. start+length-1 (from 1) along an axis.
function M.narrow(b, v, axis, start, length, own)
  if v.order[axis] == 1 then b:fail("it takes pictures out of the batch") end
  if start == 1 and length == v.shape[axis] then return v end
  local make = own and b.layer or function(_, ...) return b:step("part", ...) end
  return make(b, "narrow", { v }, { dim = v.order[axis], start = start,
                                    length = length }, v.order)
end


---Chosen elements (from 1) along an axis.
function M.select_(b, v, axis, index, own)
  local name = own and b.own or b:free "index"
  b.params[#b.params + 1] = { name = name .. ".index", shape = { #index },
                              data = index }
  return b:add(name, "index_select", { v, { param = "index", shape = { #index },
               frozen = true } }, { dim = v.order[axis] }, v.order)
end

return M
