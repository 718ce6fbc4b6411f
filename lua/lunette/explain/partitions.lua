---A picture in halves of halves: a tree whose leaves are pixels, or segments. A node is
---halved when it is asked to.
local core = require "lunette.core"

local M = {}

---@class lunette.Partition
---@field paint fun(t: lunette.Tensor, value: number)   adds to its pixels of t (1,H,W)
---@field size integer          how many
---@field left? lunette.Partition   once it was split
---@field right? lunette.Partition
---@field split fun(node: lunette.Partition): boolean   false: it is a leaf


---A rectangle of pixels, halved across its longer side.
local function rectangle(y, x, h, w, H, W)
  local function paint(t, value)
    local add = core.zeros(H, W)
    add:paste_(core.full(value, h, w), y, x)
    t:add_(add:view(1, H, W))
  end
  return { paint = paint, size = h * w, split = function(node)
    if node.left then return true end
    if h == 1 and w == 1 then return false end
    if h >= w then
      local half = h // 2
      node.left = rectangle(y, x, half, w, H, W)
      node.right = rectangle(y + half, x, h - half, w, H, W)
    else
      local half = w // 2
      node.left = rectangle(y, x, h, half, H, W)
      node.right = rectangle(y, x + half, h, w - half, H, W)
    end
    return true
  end }
end


---The whole picture, down to single pixels.
---@param h integer
---@param w integer
---@return lunette.Partition
function M.of_pixels(h, w) return rectangle(1, 1, h, w, h, w) end


---Segments with their centres.
local function segments_of(labels)
  local h, w = labels:dim(1), labels:dim(2)
  local all, names, list = {}, {}, {}
  for k, name in ipairs(labels:reshape { h * w }:totable()) do
    local s = all[name]
    if not s then
      s = { name = name, y = 0, x = 0, size = 0 }
      all[name], names[#names + 1] = s, name
    end
    s.y, s.x, s.size = s.y + (k - 1) // w, s.x + (k - 1) % w, s.size + 1
  end
  table.sort(names)
  for i, name in ipairs(names) do
    local s = all[name]
    list[i] = { y = s.y / s.size, x = s.x / s.size, size = s.size,
                mask = labels:eq(name):view(1, h, w) }
  end
  return list
end


---How far the centres lie apart in one direction.
local function extent(list, key)
  local low, high = math.huge, -math.huge
  for _, s in ipairs(list) do
    low, high = math.min(low, s[key]), math.max(high, s[key])
  end
  return high - low
end


---A list of segments, halved by the order of their centres.
local function group(list)
  local size = 0
  for _, s in ipairs(list) do size = size + s.size end
  local function paint(t, value)
    for _, s in ipairs(list) do t:add_(s.mask, value) end
  end
  return { paint = paint, size = size, split = function(node)
    if node.left then return true end
    if #list == 1 then return false end
    local key = extent(list, "y") >= extent(list, "x") and "y" or "x"
    local other = key == "y" and "x" or "y"
    local order = table.move(list, 1, #list, 1, {})
    table.sort(order, function(a, b)
      if a[key] ~= b[key] then return a[key] < b[key] end
      return a[other] < b[other]
    end)
    local half = #order // 2
    node.left = group(table.move(order, 1, half, 1, {}))
    node.right = group(table.move(order, half + 1, #order, 1, {}))
    return true
  end }
end


---All segments, down to single ones.
---@param labels lunette.Tensor   (H,W)
---@return lunette.Partition
function M.of_labels(labels) return group(segments_of(labels)) end

return M
