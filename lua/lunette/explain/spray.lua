---Clusters of maps (spectral relevance analysis, SpRAy: Lapuschkin et al. 2019): the
---few ways in which a network decides, over a data set. A cluster whose maps lie on a
---tag, a border or a watermark is a Clever Hans.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local drawn = require "lunette.picture.drawn"
local options = require "lunette.base.options"
local opt = options.opt

local M = {}

M.options = {
  cells = opt.count(14, "the maps are brought to so many cells a side", 2),
  neighbours = opt.count(0, "of a map in the graph; 0: the root of their number", 0),
  most = opt.count(8, "clusters at most", 2),
  clusters = opt.count(0, "how many; 0: before the widest gap of eigenvalues", 0),
  abs = opt.flag(false, "of the values' sizes, not of the positive ones"),
  seed = opt.count(0, "where k-means begins", math.mininteger),
}


---One row a map: cells of positive values (or sizes), that sum to 1.
local function features(maps, o)
  maps = drawn.planes(maps:detach())
  maps = o.abs and maps:abs() or maps:relu()
  local n, h, w = maps:dim(1), maps:dim(2), maps:dim(3)
  local side = math.max(1, math.min(h, w) // o.cells)
  local small = maps:view(n, 1, h, w):avg_pool2d { kernel = side, stride = side }
  local rows = small:reshape { n, small:size() // n }
  return rows / rows:sum { dims = { 2 }, keepdims = 1 }:maximum(core.full(1e-30, 1))
end


---Squared distances between all rows.
local function distances(rows)
  local square = rows:square():sum { dims = { 2 }, keepdims = 1 }
  local products = core.ops.matmul(rows, rows:permute { dims = { 2, 1 } })
  return (square + square:reshape { 1, rows:dim(1) } - products * 2):relu()
end


---A graph of nearest neighbours, either's: weights 0 and 1.
local function graph(d, k)
  local n = d:dim(1)
  local a = core.zeros(n, n)
  for i = 1, n do
    local order = (-d[i]):argsort() -- the nearest first
    local taken = 0
    for place = 1, n do
      local j = math.floor(order[place])
      if j ~= i and taken < k then
        taken = taken + 1
        a:set(i, j, 1)
        a:set(j, i, 1)
      end
    end
  end
  return a
end


---Eigenvalues of the symmetric normalised Laplacian, the smallest first, and vectors.
local function spectrum(a)
  local n = a:dim(1)
  local degree = a:sum { dims = { 2 }, keepdims = 1 }:maximum(core.full(1e-12, 1))
  local root = core.ones(1) / degree:sqrt()
  local values, vectors = (root * a * root:reshape { 1, n }):eigh()
  local order = values:argsort() -- of 1 - L: the largest are L's smallest
  return (1 - values:index_select(order, { dim = 1 })):totable(),
    vectors:index_select(order, { dim = 2 })
end


---How many clusters: before the widest gap between eigenvalues.
local function count_of(values, most)
  local best, widest = 1, -1
  for k = 1, math.min(most, #values - 1) do
    local gap = values[k + 1] - values[k]
    if gap > widest + 1e-6 then best, widest = k, gap end
  end
  return best
end


---The centre nearest to a point.
local function nearest(centres, point)
  local best, least = 1, math.huge
  for c, centre in ipairs(centres) do
    local d = 0
    for j, v in ipairs(point) do d = d + (v - centre[j]) ^ 2 end
    if d < least then best, least = c, d end
  end
  return best, least
end


---Centres far from each other (k-means++ without chance: the farthest point next).
local function first_centres(points, k, seed)
  local start = 1 + math.floor(core.uniform(seed, 0, 1)[1] * #points)
  local centres = { points[start] }
  while #centres < k do
    local far, most = points[1], -1
    for _, p in ipairs(points) do
      local _, d = nearest(centres, p)
      if d > most then far, most = p, d end
    end
    centres[#centres + 1] = far
  end
  return centres
end


---Clusters of points; labels from 1.
local function k_means(points, k, seed)
  local centres, labels = first_centres(points, k, seed), {}
  for _ = 1, 50 do
    local sums, changed = {}, false
    for i, p in ipairs(points) do
      local c = nearest(centres, p)
      changed = changed or c ~= labels[i]
      labels[i] = c
      sums[c] = sums[c] or { n = 0 }
      sums[c].n = sums[c].n + 1
      for j, v in ipairs(p) do sums[c][j] = (sums[c][j] or 0) + v end
    end
    if not changed then break end
    for c, s in pairs(sums) do
      centres[c] = {}
      for j = 1, #points[1] do centres[c][j] = s[j] / s.n end
    end
  end
  return labels
end


---Rows of unit length of the first k eigenvectors (Ng et al. 2001).
local function embedded(vectors, k)
  local rows = vectors:narrow { dim = 2, start = 1, length = k }
  local length = rows:square():sum { dims = { 2 }, keepdims = 1 }:sqrt()
  return (rows / length:maximum(core.full(1e-12, 1))):totable()
end


---Numbers of the maps by cluster, the largest cluster first.
local function grouped(labels)
  local by, list = {}, {}
  for i, c in ipairs(labels) do
    if not by[c] then
      by[c] = {}
      list[#list + 1] = by[c]
    end
    table.insert(by[c], i)
  end
  table.sort(list, function(a, b)
    if #a ~= #b then return #a > #b end
    return a[1] < b[1]
  end)
  return list
end


---@class lunette.Spray
---@field clusters integer[][]   numbers of the maps, the largest cluster first
---@field eigenvalues number[]   of the Laplacian, the smallest first: as many near 0 as
---  there are separate ways
---@field means lunette.Tensor   (K,H,W): the mean map of every cluster

---Clusters maps: a graph of nearest neighbours between maps brought to a few cells, and
---k-means on its first eigenvectors. How many clusters there are the widest gap between
---eigenvalues says.
---Caveat: maps of the same object at other places are other maps; look at the pictures
---  of every cluster before you believe it.
---Example:
---  local maps = lu.core.uniform(1, 1, 12, 28, 28)
---  print(#lu.spray(maps, { clusters = 2 }).clusters)
---@param maps lunette.Tensor   (N,H,W) or (N,C,H,W), N from 4
---@param opts? table           cells, neighbours, most, clusters, abs, seed
---@return lunette.Spray
function M.spray(maps, opts)
  local o = options.check("spray", opts, M.options)
  if not options.is_tensor(maps) or maps:dim() < 3 or maps:dim(1) < 4 then
    blame("spray: at least four maps (N,H,W) are wanted")
  end
  local n = maps:dim(1)
  local k = o.neighbours > 0 and o.neighbours or math.max(2, math.floor(n ^ 0.5 + 0.5))
  local near = graph(distances(features(maps, o)), math.min(k, n - 1))
  local values, vectors = spectrum(near)
  local count = math.min(o.clusters > 0 and o.clusters or count_of(values, o.most), n)
  local clusters = grouped(k_means(embedded(vectors, count), count, o.seed))
  local planes = drawn.planes(maps:detach())
  local means = core.zeros(#clusters, planes:dim(2), planes:dim(3))
  for c, list in ipairs(clusters) do
    for _, i in ipairs(list) do means[c]:add_(planes[i], 1 / #list) end
  end
  return { clusters = clusters, eigenvalues = values, means = means }
end

return M
