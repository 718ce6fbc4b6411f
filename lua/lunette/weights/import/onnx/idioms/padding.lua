---A border of zeros before a convolution or a mean over windows: it becomes the
---layer's own padding. Before a maximum that is the same only of values that are never
---below 0, since a maximum's own padding is below everything.
local shapes = require "lunette.base.shapes"

local never_negative = { relu = true, relu6 = true, sigmoid = true, softmax = true }


---Rows and columns that are put before and after; nil: other dimensions, another
---value or kind of border.
local function border(spec)
  local before, after = spec.before, spec.after
  if spec.kind ~= "pad" or (spec.mode or 0) ~= 0 or (spec.value or 0) ~= 0
     or type(before) ~= "table" or #before ~= 4 then
    return nil
  end
  for d = 1, 2 do
    if before[d] ~= 0 or after[d] ~= 0 then return nil end
  end
  return { before[3], before[4] }, { after[3], after[4] }
end


local function pair(v, default)
  if v == nil then return { default, default } end
  return type(v) == "table" and { v[1], v[2] or v[1] } or { v, v }
end


---Does every window hold something beside the border?
local function reaches_inside(layer, before, after)
  local kernel = pair(layer.kernel)
  for i = 1, 2 do
    if before[i] >= kernel[i] or after[i] >= kernel[i] then return false end
  end
  return not layer.dilation or shapes.same(pair(layer.dilation), { 1, 1 })
end


---May the layer take the border over?
local function takes(g, layer, pad, before, after)
  if layer.kind == "conv2d" then return true end
  local none = layer.padding == nil
  if layer.kind == "avg_pool2d" then
    return layer.count_include_pad ~= false and not layer.ceil_mode
      and (none or layer.count_include_pad == nil)
      and reaches_inside(layer, before, after)
  end
  local source = g:source(pad)
  return layer.kind == "max_pool2d" and source and never_negative[source.kind]
    and not layer.ceil_mode and none and reaches_inside(layer, before, after)
end


---Padding of a layer with a border before and after it.
local function widened(attrs, before, after)
  local own = pair(attrs.padding, 0)
  local own_end = attrs.padding_end and pair(attrs.padding_end) or own
  local starts, ends = {}, {}
  for i = 1, 2 do
    starts[i], ends[i] = own[i] + before[i], own_end[i] + after[i]
  end
  attrs.padding, attrs.padding_end = starts, nil
  if not shapes.same(starts, ends) then attrs.padding_end = ends end
  return attrs
end


---@param g table      of idioms.graph
---@param spec table   the layer behind the border
---@return table? made   what Graph:replace takes
return function(g, spec)
  local pad = #spec.from == 1 and g:source(spec)
  if not pad then return nil end
  local before, after = border(pad)
  if not before or not takes(g, spec, pad, before, after) or not g:alone({ pad }, spec)
  then
    return nil
  end
  return { kind = spec.kind, from = pad.from, inner = { pad },
           attrs = widened(g:attrs(spec), before, after),
           params = { weight = g:constant(spec, "weight"),
                      bias = g:constant(spec, "bias") } }
end
