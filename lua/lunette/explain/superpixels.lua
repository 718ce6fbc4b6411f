---Superpixels: segments that follow a picture's colours and edges. SLIC (Achanta et al.
---2012) makes a given number of about the same size; Felzenszwalb's graph (Felzenszwalb
---& Huttenlocher 2004) as many as there are. Labels are (H,W), from 0.
local core = require "lunette.core"
local blur = require "lunette.tensors.blur"

local M = {}

local floor, huge = math.floor, math.huge


---The picture (3,H,W), 0..255, that image i of a run shows: as it was read, or, of a
---tensor that came without, its values stretched to that range.
---@param run lunette.Run
---@param i integer
---@return lunette.Tensor
function M.picture(run, i)
  local pictures = run.images.pictures
  if pictures and pictures[i] then return pictures[i] end
  local x = run.images[i]
  local s = x:stats()
  return (x - s.min) * (255 / math.max(s.max - s.min, 1e-12))
end


-- Felzenszwalb ----------------------------------------------------------------------

---Where the 8 neighbours' edges lead, as skimage orders them: rows and columns that the
---first and the second pixel start at.
local STEPS = { { 0, 0, 0, 1 }, { 0, 0, 1, 0 }, { 0, 0, 1, 1 }, { 1, 0, 0, 1 } }


---All edges: lists of the pixels at both ends (from 1), and the colours' distances.
local function edges_of(x)
  local h, w = x:dim(2), x:dim(3)
  local a, b, costs = {}, {}, {}
  for _, s in ipairs(STEPS) do
    local rows, columns = h - math.max(s[1], s[3]), w - math.max(s[2], s[4])
    local function part(y, c)
      return x:narrow { dim = 2, start = y + 1, length = rows }
        :narrow { dim = 3, start = c + 1, length = columns }
    end
    local cost = (part(s[1], s[2]) - part(s[3], s[4])):square():sum { dims = { 1 } }
      :sqrt():reshape { rows * columns }:totable()
    for k, c in ipairs(cost) do
      local y, column = (k - 1) // columns, (k - 1) % columns
      a[#a + 1] = (y + s[1]) * w + column + s[2] + 1
      b[#b + 1] = (y + s[3]) * w + column + s[4] + 1
      costs[#costs + 1] = c
    end
  end
  return a, b, costs
end


---Sets that join: find(k) is the root of k, with halved paths.
local function forest(n)
  local parent, size = {}, {}
  for k = 1, n do parent[k], size[k] = k, 1 end
  local function find(k)
    local up = parent[k]
    while up ~= k do
      local over = parent[up]
      parent[k] = over
      k, up = over, parent[over]
    end
    return k
  end
  local function join(r, s)
    local root, other = math.min(r, s), math.max(r, s)
    parent[other], size[root] = root, size[r] + size[s]
    return root
  end
  return find, join, size
end


---Labels from 0 in the order of their first pixels.
local function relabel(n, find, h, w)
  local labels, number, count = {}, {}, 0
  for k = 1, n do
    local r = find(k)
    if not number[r] then number[r], count = count, count + 1 end
    labels[k] = number[r]
  end
  return core.tensor(labels):view(h, w), count
end


---Joins the ends of edges, the cheapest first, while what they cost is less than what
---both sides allow; then, along the edges that were left, what is smaller than `least`.
local function grow(edges, scale, least, h, w)
  local find, join, size = forest(h * w)
  local a, b, costs = edges.a, edges.b, edges.costs
  local inner, left = {}, {}
  for _, e in ipairs(edges.order) do
    local r, s = find(a[e]), find(b[e])
    if r ~= s then
      local cost = costs[e]
      if cost < (inner[r] or 0) + scale / size[r]
        and cost < (inner[s] or 0) + scale / size[s] then
        inner[join(r, s)] = cost
      else
        left[#left + 1] = e
      end
    end
  end
  for _, e in ipairs(left) do
    local r, s = find(a[e]), find(b[e])
    if r ~= s and (size[r] < least or size[s] < least) then join(r, s) end
  end
  return relabel(h * w, find, h, w)
end


---Felzenszwalb and Huttenlocher's segments at several scales (skimage's numbers:
---colours from -1 to 1, blurred by sigma, the scale divided by 255).
---@param picture lunette.Tensor   (3,H,W), 0..255
---@param scales number[]          larger ones give larger segments
---@param sigma? number            0.8
---@param least? integer           pixels of the smallest segment (150)
---@return lunette.Tensor[] labels   (H,W) each
function M.felzenszwalb(picture, scales, sigma, least)
  local c, h, w = table.unpack(picture:shape())
  local x = blur((picture / 127.5 - 1):reshape { 1, c, h, w }, sigma or 0.8, "reflect")
  local edges, list = {}, {}
  edges.a, edges.b, edges.costs = edges_of(x[1])
  edges.order = {}
  for k, e in ipairs((-core.tensor(edges.costs)):argsort():totable()) do
    edges.order[k] = floor(e)
  end
  for k, scale in ipairs(scales) do
    list[k] = grow(edges, scale / 255, least or 150, h, w)
  end
  return list
end


-- SLIC ------------------------------------------------------------------------------

---CIE Lab of a picture (3,H,W) of sRGB, 0..255.
local function lab(picture)
  local v = picture / 255
  local low = v:le(0.04045)
  local linear = v / 12.92 * low + (((v + 0.055) / 1.055):maximum(core.zeros(1)))
    :pow(core.full(2.4, 1)) * (1 - low)
  local function mix(a, b, c)
    return linear[1] * a + linear[2] * b + linear[3] * c
  end
  local function f(t)
    local small = t:le(0.008856)
    return (t * 7.787 + 16 / 116) * small
      + t:maximum(core.full(1e-9, 1)):pow(core.full(1 / 3, 1)) * (1 - small)
  end
  local x, y, z = f(mix(0.412453, 0.357580, 0.180423) / 0.95047),
    f(mix(0.212671, 0.715160, 0.072169)), f(mix(0.019334, 0.119193, 0.950227) / 1.08883)
  return y * 116 - 16, (x - y) * 500, (y - z) * 200
end


---Centres on a grid of about `count` cells: { y, x, l, a, b }.
local function centres_of(count, h, w, planes)
  local step = (h * w / count) ^ 0.5
  local rows = math.max(1, floor(h / step + 0.5))
  local columns = math.max(1, floor(w / step + 0.5))
  local list = {}
  for r = 0, rows - 1 do
    for c = 0, columns - 1 do
      local y, x = floor((r + 0.5) * h / rows), floor((c + 0.5) * w / columns)
      local k = y * w + x + 1
      list[#list + 1] = { y, x, planes[1][k], planes[2][k], planes[3][k] }
    end
  end
  return list, step
end


---Every pixel to the nearest centre within two steps.
local function assign(centres, step, weight, p, h, w)
  local best, label = {}, {}
  for k = 1, h * w do best[k] = huge end
  local l, a, b = p[1], p[2], p[3]
  for n, c in ipairs(centres) do
    local y0, x0, l0, a0, b0 = table.unpack(c)
    local far = 2 * step
    for y = math.max(0, floor(y0 - far)), math.min(h - 1, floor(y0 + far)) do
      local row, dy = y * w + 1, (y - y0) * (y - y0)
      for x = math.max(0, floor(x0 - far)), math.min(w - 1, floor(x0 + far)) do
        local k = row + x
        local dl, da, db, dx = l[k] - l0, a[k] - a0, b[k] - b0, x - x0
        local d = dl * dl + da * da + db * db + weight * (dy + dx * dx)
        if d < best[k] then best[k], label[k] = d, n end
      end
    end
  end
  return label
end


---Centres to the means of their pixels.
local function recentre(centres, label, p, h, w)
  local sums = {}
  for n = 1, #centres do sums[n] = { 0, 0, 0, 0, 0, 0 } end
  for k = 1, h * w do
    local s = sums[label[k]]
    s[1], s[2] = s[1] + (k - 1) // w, s[2] + (k - 1) % w
    s[3], s[4], s[5], s[6] = s[3] + p[1][k], s[4] + p[2][k], s[5] + p[3][k], s[6] + 1
  end
  for n, s in ipairs(sums) do
    if s[6] > 0 then
      for j = 1, 5 do centres[n][j] = s[j] / s[6] end
    end
  end
end


---Connected pieces of the labels; those smaller than `least` go to a neighbour.
local function connect(label, least, h, w)
  local find, join, size = forest(h * w)
  local function each(f)
    for k = 1, h * w do
      if k % w ~= 0 then f(k, k + 1) end
      if k + w <= h * w then f(k, k + w) end
    end
  end
  each(function(k, m)
    local r, s = find(k), find(m)
    if r ~= s and label[k] == label[m] then join(r, s) end
  end)
  each(function(k, m)
    local r, s = find(k), find(m)
    if r ~= s and (size[r] < least or size[s] < least) then join(r, s) end
  end)
  return relabel(h * w, find, h, w)
end


---SLIC superpixels: k-means of Lab colour and place, within two grid steps.
---@param picture lunette.Tensor   (3,H,W) or (1,H,W), 0..255
---@param count integer            about how many
---@param compactness? number      10: larger gives squarer ones
---@param rounds? integer          10
---@return lunette.Tensor labels   (H,W)
---@return integer count           how many there are
function M.slic(picture, count, compactness, rounds)
  local h, w = picture:dim(2), picture:dim(3)
  if picture:dim(1) == 1 then picture = picture:expand { shape = { 3, h, w } } end
  local planes = {}
  for j, plane in ipairs { lab(picture) } do
    planes[j] = plane:reshape { h * w }:totable()
  end
  local centres, step = centres_of(count, h, w, planes)
  local weight, label = ((compactness or 10) / step) ^ 2, nil
  for _ = 1, rounds or 10 do
    label = assign(centres, step, weight, planes, h, w)
    recentre(centres, label, planes, h, w)
  end
  return connect(label, floor(step * step / 4), h, w)
end

return M
