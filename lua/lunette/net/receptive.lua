---Receptive fields: which part of the picture one value of a layer can see.
local M = {}


local function pair(v, default)
  if type(v) == "table" then return v[1], v[2] or v[1] end
  return v or default, v or default
end


---@class lunette.ReceptiveField   of the value at (1,1), in rows and columns
---@field top integer      its first row, from 1; below 1 where padding is seen
---@field left integer
---@field height integer
---@field width integer
---@field down integer     how far the next row's value sees further down
---@field right integer
---@field whole boolean    it sees the whole picture


local function everything(net)
  return { top = 1, left = 1, height = net.input[2], width = net.input[3], down = 0,
           right = 0, whole = true }
end


---Through a window of kernel, stride, padding and dilation.
local function through_window(f, layer)
  local kh, kw = pair(layer.kernel, 1)
  local default = layer.kind:find "pool" and layer.kernel or 1
  local sh, sw = pair(layer.stride or default, 1)
  local ph, pw = pair(layer.padding, 0)
  local dh, dw = pair(layer.dilation, 1)
  return { top = f.top - ph * f.down, left = f.left - pw * f.right,
           height = f.height + (kh - 1) * dh * f.down,
           width = f.width + (kw - 1) * dw * f.right,
           down = f.down * sh, right = f.right * sw, whole = f.whole }
end


---What at least one of two fields sees.
local function union(a, b)
  if not a or a.whole then return a or b end
  if b.whole or a.down ~= b.down or a.right ~= b.right then
    return b.whole and b or a
  end
  local top, left = math.min(a.top, b.top), math.min(a.left, b.left)
  return { top = top, left = left, down = a.down, right = a.right, whole = false,
           height = math.max(a.top + a.height, b.top + b.height) - top,
           width = math.max(a.left + a.width, b.left + b.width) - left }
end


---Does the layer keep height and width, value by value?
local function is_pointwise(net, layer)
  if #layer.shape ~= 3 then return false end
  for _, name in ipairs(layer.from) do
    local s = name == "input" and net.input or net:layer(name) and net:layer(name).shape
    if not s or #s ~= 3 then return false end
    local same = s[2] == layer.shape[2] and s[3] == layer.shape[3]
    if not same and s[2] * s[3] ~= 1 then return false end
  end
  return not ({ permute = true, matmul = true, flip = true, roll = true })[layer.kind]
end


local windows = { conv2d = true, max_pool2d = true, avg_pool2d = true }


local function field(net, name, known)
  if name == "input" then
    return { top = 1, left = 1, height = 1, width = 1, down = 1, right = 1,
             whole = false }
  end
  if known[name] then return known[name] end
  local layer, f = net:layer(name), nil
  for _, from in ipairs(layer.from) do
    if from == "input" or net:has(from) then f = union(f, field(net, from, known)) end
  end
  if not f or f.whole then
    f = everything(net)
  elseif windows[layer.kind] then
    f = through_window(f, layer)
  elseif not is_pointwise(net, layer) then
    f = everything(net)
  end
  known[name] = f
  return f
end


---The part of the picture that one value of a layer can see. `box(y, x)` gives its
---rows and columns, cut to the picture.
---Example:
---  local net = lu.load "glyphs"
---  local f = lu.features.receptive_field(net, "block2_conv1")
---  print(f.height, f.width, f.down) -- 10 x 10 pixels, every 2
---@param net lunette.Net
---@param name string   layer name or alias
---@return lunette.ReceptiveField
function M.of(net, name)
  local layer = assert(net:layer(name))
  local known = {}
  for _, l in ipairs(net:layers()) do -- in order, so that nothing goes deep
    field(net, l.name, known)
    if l == layer then break end
  end
  local f = known[layer.name]
  ---Rows and columns that the value at (y, x) sees.
  function f.box(y, x)
    local top, left = f.top + (y - 1) * f.down, f.left + (x - 1) * f.right
    local bottom = math.min(net.input[2], top + f.height - 1)
    local right = math.min(net.input[3], left + f.width - 1)
    top, left = math.max(1, math.min(top, net.input[2])),
                math.max(1, math.min(left, net.input[3]))
    return { top = top, left = left, height = math.max(1, bottom - top + 1),
             width = math.max(1, right - left + 1) }
  end
  return f
end

return M
