---Poolings, and the gradient of max pooling.
local common = require "lunette.trace.back.common"

local FLOAT, INT64 = 1, 7

local M = {}


---@param attrs table   of ours
---@return table        of ONNX
local function window(attrs)
  local before, after = common.padding(attrs)
  local kernel = { common.pair(attrs, "kernel") }
  local found = { kernel_shape = kernel, pads = { before[1], before[2], after[1],
                  after[2] }, strides = { common.pair(attrs, "stride", kernel) },
                  ceil_mode = math.tointeger(attrs.ceil_mode) }
  local dilation = { common.pair(attrs, "dilation", 1) }
  if dilation[1] ~= 1 or dilation[2] ~= 1 then found.dilations = dilation end
  return found
end


function M.max_pool2d(e, t, x) return e:out("MaxPool", x, window(t.attrs)) end


---MaxPool's second output counts through the batch, and from 0.
function M.max_pool2d_places(e, t, x)
  local v, at = t.inputs[1], e.graph:name(e.own .. ".indices")
  e.graph:node("MaxPool", { x[1] }, window(t.attrs),
               { e.graph:name(e.own .. ".maxima"), at })
  local size = e:ints { v:dim(2) * v:dim(3) * v:dim(4) }
  local before = e:step("Mul", { e:step("Div", { at, size }), size })
  local place = e:step("Cast", { e:step("Sub", { at, before }) }, { to = FLOAT })
  return e:out("Add", { place, e:number(1) })
end


function M.avg_pool2d(e, t, x)
  local attrs = window(t.attrs)
  if attrs.dilations and e.graph.opset < 19 then
    e:fail("ONNX has it with dilation from opset 19 on alone")
  end
  attrs.count_include_pad = math.tointeger(t.attrs.count_include_pad)
  return e:out("AveragePool", x, attrs)
end


for op, name in pairs { global_avg_pool = "GlobalAveragePool",
                        global_max_pool = "GlobalMaxPool" } do
  M[op] = function(e, _, x) return e:out(name, x) end
end


-- gradient ---------------------------------------------------------------------------


---Every `step`-th row and column of the windows, from row a and column b on.
local function part(e, x, a, b, step)
  return e:step("Slice", { x, e:ints { a, b }, e:ints { 1 << 31, 1 << 31 },
                           e:ints { 2, 3 }, e:ints { step[1], step[2] } })
end


---Scatters dy without reduction = "add" (opset 16): overlapping windows would write to
---one place twice, so they are scattered in groups that do not overlap, and summed;
---`windows` is how many there are.
local function in_groups(e, zeros, at, dy, groups, windows)
  local sum
  for a = 0, math.min(groups[1], windows[1]) - 1 do
    for b = 0, math.min(groups[2], windows[2]) - 1 do
      local flat = e:ints { -1 }
      local y = e:step("ScatterElements", { zeros,
        e:step("Reshape", { part(e, at, a, b, groups), flat }),
        e:step("Reshape", { part(e, dy, a, b, groups), flat }) }, { axis = 0 })
      sum = sum and e:step("Add", { sum, y }) or y
    end
  end
  return sum
end


---dy is scattered to the indices that MaxPool's second output gives.
function M.back_max_pool2d(e, t, x)
  local attrs = window(t.attrs.attrs)
  local at = e:decides(t, e.graph:name(e.own .. ".indices"), INT64)
  e.graph:node("MaxPool", { x[2] }, attrs, { e.graph:name(e.own .. ".again"), at })
  local shape, flat = e:shape(t.dims), e:ints { -1 }
  local size = e:step("ReduceProd", { e:step("Shape", { x[2] }) },
                      { axes = { 0 }, keepdims = 1 })
  local zeros = e:step("Expand", { e:number(0), size })
  local groups, overlap = {}, false
  for i = 1, 2 do
    local reach = (attrs.kernel_shape[i] - 1) * (attrs.dilations or { 1, 1 })[i] + 1
    groups[i] = -(-reach // attrs.strides[i])
    overlap = overlap or groups[i] > 1
  end
  if overlap and e.graph.opset < 16 then
    local windows = { t.inputs[1]:dim(3), t.inputs[1]:dim(4) }
    return e:out("Reshape", { in_groups(e, zeros, at, x[1], groups, windows), shape })
  end
  local y = e:step("ScatterElements", { zeros, e:step("Reshape", { at, flat }),
    e:step("Reshape", { x[1], flat }) }, { axis = 0,
    reduction = overlap and "add" or nil })
  return e:out("Reshape", { y, shape })
end

return M
