---Pooling and reductions.
local common = require "lunette.weights.import.onnx.operators.common"

local attr = common.attr
local flag = common.flag
local axes_of = common.axes_of
local live = common.live
local pictures = common.pictures
local per_axis = common.per_axis
local padding = common.padding
local same = common.same

local M = {}


-- pooling ------------------------------------------------------------------------


local function pooled(kind, average)
  return function(b, x)
    local v = pictures(b, live(b, x, 1))
    local kernel = attr(b, "kernel_shape", "I")
    if not kernel or #kernel ~= 2 then b:fail("kernel_shape is missing, or not 2-D") end
    local stride = per_axis(b, "strides", 2, 1, 1)
    local dilation = per_axis(b, "dilations", 2, 1, 1)
    attr(b, "storage_order", "i")
    local o = { kernel = kernel, stride = stride }
    if not same(dilation, { 1, 1 }) then o.dilation = dilation end
    if flag(b, "ceil_mode") then o.ceil_mode = true end
    local before, after = padding(b, { v.shape[3], v.shape[4] }, kernel, stride,
                                  dilation)
    local inside = average and not flag(b, "count_include_pad")
    if not same(before, { 0, 0 }) or not same(after, { 0, 0 }) then
      o.padding = before
      if inside then o.count_include_pad = false end
    end
    if not same(before, after) then o.padding_end = after end
    return b:layer(kind, { v }, o)
  end
end

local maxima, places = pooled("max_pool2d", false), pooled("max_pool2d_places", false)

---Its second output, where each maximum is in the picture, counts from 0; in ONNX
---through all copies of a picture, here in each: `through` is how far they are apart.
function M.MaxPool(b, x)
  local y, indices = maxima(b, x), nil
  if (b.node.outputs[2] or "") ~= "" then
    if flag(b, "storage_order") then b:fail("its indices go down the columns") end
    local from_1 = b:inside("places", function() return places(b, x) end)
    indices = b:step("indices", "sub", { from_1, 1.0 }, nil, from_1.order)
    if b.copies[indices.layer] > 1 then
      local shape = b.shapes[y.spec.from[1]]
      indices.through = shape[1] * shape[2] * shape[3]
    end
  end
  return y, indices
end

M.AveragePool = pooled("avg_pool2d", true)


local function global(kind)
  return function(b, x)
    return b:layer(kind, { pictures(b, live(b, x, 1)) })
  end
end

M.GlobalAveragePool = global "global_avg_pool"
M.GlobalMaxPool = global "global_max_pool"


---The dimensions of ours that axes are; of copies of a picture all can be.
local function dims_of(b, v, axes)
  local dims = {}
  for i, a in ipairs(axes) do
    dims[i] = v.order[a]
    if dims[i] == 1 then
      if b.copies[v.layer] == 1 then b:fail("it mixes the pictures of a batch") end
      return dims_of(b, b:unfolded(v), axes)
    end
  end
  return v, dims
end


local function reduced(kind, since)
  return function(b, x)
    local v = live(b, x, 1)
    local axes = axes_of(b, x, since, #v.shape)
    local keep = attr(b, "keepdims", "i", 1) ~= 0
    local noop = flag(b, "noop_with_empty_axes")
    if not axes or #axes == 0 then
      if noop then return v end
      axes = {}
      for a = 1, #v.shape do axes[a] = a end
    end
    if #axes == 1 and v.guessed and v.order[axes[1]] == 1 then
      return keep and v or b:hidden(v) -- one number is what it is reduced to
    end
    local dims
    v, dims = dims_of(b, v, axes)
    if keep then
      return b:layer(kind, { v }, { dims = dims, keepdims = true }, v.order)
    end
    local y = b:step("kept", kind, { v }, { dims = dims, keepdims = true }, v.order)
    return b:squeeze(y, axes, true)
  end
end

---A reduction of what a layer before it makes of the values, seen through another.
local function norm(before, after, since)
  local sum = reduced("sum", since)
  return function(b, x)
    local v = live(b, x, 1)
    local y = b:step("parts", before, { v }, nil, v.order)
    if not after then return sum(b, { y, x[2] }) end
    local total = b:inside("sum", function() return sum(b, { y, x[2] }) end)
    return b:layer(after, { total }, nil, total.order)
  end
end

M.ReduceL1 = norm("abs", nil, 18)
M.ReduceL2 = norm("square", "sqrt", 18)
M.ReduceSumSquare = norm("square", nil, 18)
M.ReduceMean = reduced("mean", 18)
M.ReduceSum = reduced("sum", 13)
M.ReduceMax = reduced("max", 18)
M.ReduceMin = reduced("min", 18)

return M
