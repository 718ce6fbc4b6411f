---Masks for perturbations, made when they are needed: (k,1,H,W) of 1 where the picture
---stays and 0 where the baseline takes its place. `masks.count` says how many there
---are, `masks.get(first, k)` makes k of them.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local is_tensor = require("lunette.base.types").is_tensor

local M = {}

---@class lunette.Masks
---@field count integer
---@field get fun(first: integer, k: integer): lunette.Tensor   (k,1|C,H,W)
---@field box? fun(m: integer): { y: integer, x: integer, h: integer, w: integer }   the
---  rectangle outside of which mask m is 1
---@field usual? { h: integer, w: integer }   the mean size of those; nil: all are alike
---@field traced? fun(constant: function): lunette.Traced   all masks, made of less


---A tensor of masks (M,H,W) or (M,C,H,W) as they are.
---@param t lunette.Tensor
---@return lunette.Masks
function M.tensor(t)
  local s = t:shape()
  if #s == 3 then t = t:view(s[1], 1, s[2], s[3]) end
  return { count = s[1], get = function(first, k)
    return t:narrow { dim = 1, start = first, length = k }
  end }
end


---What an option of masks is, where a value is none: false, masks of this module, or a
---tensor; nil for these.
---@return string?
function M.refuse(what)
  if not what or type(what) == "table" and what.get then return nil end
  if is_tensor(what) and what:dim() == 3 then return nil end
  return "false, masks or a tensor (M,H,W)"
end


---What scripts give: masks of this module, or a tensor of them.
function M.of(what)
  if type(what) == "table" and what.get then return what end
  if type(what) == "userdata" then return M.tensor(what) end
  blame("masks: expected masks or a tensor (M,H,W), got " .. type(what))
end


local function pair(v)
  if type(v) == "table" then return v[1], v[2] or v[1] end
  return v, v
end


---Sliding windows: mask m has 0 in window m, row by row. There are
---ceil((n-w)/s) + 1 of them a side; the last is cut at the border (as captum).
---@param o { height: integer, width: integer, window: integer|integer[],
---  stride: integer|integer[], channels?: integer }   window {h,w}; channels: each
---  channel by itself, channel after channel
---@return lunette.Masks
function M.windows(o)
  local wh, ww = pair(o.window)
  local sh, sw = pair(o.stride)
  local H, W, C = o.height, o.width, o.channels or 1
  if sh > wh or sw > ww then
    blame(("a stride of %d x %d beyond windows of %d x %d: what lies between them "
           .. "would never be hidden; the stride is at most the window"):format(sh, sw,
          wh, ww))
  end
  wh, ww = math.min(wh, H), math.min(ww, W)
  local rows, columns = -(-(H - wh) // sh) + 1, -(-(W - ww) // sw) + 1
  local function box(m)
    local at = (m - 1) % (rows * columns)
    local y, x = at // columns * sh, at % columns * sw
    return { y = y + 1, x = x + 1, h = math.min(wh, H - y), w = math.min(ww, W - x) }
  end
  return { count = rows * columns * C, box = box, get = function(first, k)
    local all = core.ones(k, C, H, W)
    for i = 1, k do
      local m = first + i - 1
      local b, c = box(m), (m - 1) // (rows * columns)
      all[i][c + 1]:paste_(core.zeros(b.h, b.w), b.y, b.x)
    end
    return all
  end }
end


---Segments by the numbers in `labels`, lowest first: mask m has 0 on the m-th.
---@param labels lunette.Tensor   (H,W), any numbers
---@return lunette.Masks masks, number[] names   of the segments
function M.segments(labels)
  local names, seen = {}, {}
  for _, v in ipairs(labels:view(labels:size()):totable()) do
    if not seen[v] then
      seen[v] = true
      names[#names + 1] = v
    end
  end
  table.sort(names)
  local h, w = labels:dim(1), labels:dim(2)
  return { count = #names, get = function(first, k)
    local all = core.zeros(k, 1, h, w)
    for i = 1, k do all[i][1] = labels:ne(names[first + i - 1]) end
    return all
  end }, names
end


---Which pixels belong to each segment, lowest number first: (M,H*W) of 0 and 1.
---@param labels lunette.Tensor   (H,W)
---@return lunette.Tensor
function M.members(labels)
  local each = M.segments(labels)
  return (1 - each.get(1, each.count)):reshape { each.count, labels:size() }
end


---The rectangle around places of a plane that are not 0, from 1; nil: there are none.
---@param plane lunette.Tensor   (H,W)
---@return { y: integer, x: integer, h: integer, w: integer }?
local function bounds(plane)
  local function span(d)
    local list, first, last = plane:sum { dims = { d } }:totable(), nil, nil
    for i, v in ipairs(list) do
      if v ~= 0 then first, last = first or i, i end
    end
    return first, last
  end
  local x, right = span(1)
  local y, below = span(2)
  return x and { y = y, x = x, h = below - y + 1, w = right - x + 1 }
end


---The rectangle that holds all of a list's, from 1; of an empty one a single place.
local function hull(list)
  local y, x, below, right = math.huge, math.huge, 0, 0
  for _, b in ipairs(list) do
    y, x = math.min(y, b.y), math.min(x, b.x)
    below, right = math.max(below, b.y + b.h - 1), math.max(right, b.x + b.w - 1)
  end
  if below == 0 then return { y = 1, x = 1, h = 1, w = 1 } end
  return { y = y, x = x, h = below - y + 1, w = right - x + 1 }
end


---What each row of coalitions hides lies in a rectangle: a function of the row, and the
---usual size of one.
local function boxes_of(members, rows, h, w)
  local own, all, high, wide = {}, {}, 0, 0
  for k = 1, members:dim(1) do own[k] = bounds(members[k]:view(h, w)) end
  for r = 1, rows:dim(1) do
    local hidden = {}
    for k, kept in ipairs(rows[r]:totable()) do
      if kept ~= 1 then hidden[#hidden + 1] = own[k] end
    end
    all[r] = hull(hidden)
    high, wide = high + all[r].h, wide + all[r].w
  end
  return function(r) return all[r] end, { h = high // #all, w = wide // #all }
end


---Coalitions of segments: mask r has every segment's entry of row r on its pixels.
---@param labels lunette.Tensor   (H,W)
---@param rows lunette.Tensor     (R,M) of 0 .. 1, M segments, lowest number first
---@return lunette.Masks
function M.coalitions(labels, rows)
  local members, h, w = M.members(labels), labels:dim(1), labels:dim(2)
  local box, usual = boxes_of(members, rows, h, w)
  return { count = rows:dim(1), box = box, usual = usual, get = function(first, k)
    local part = rows:narrow { dim = 1, start = first, length = k }
    return core.ops.matmul(part, members):reshape { k, 1, h, w }
  end }
end


---Random grids of cells x cells, each kept with probability `keep`, laid smoothly over
---the picture and shifted (RISE, Petsiuk et al. 2018, as TorchRay makes them): with
---c = ceil(H/cells), u = H+c and b = ceil(u/cells) the grid, reflected by one cell, is
---enlarged to b pixels a cell, and H pixels are cut from b + the shift (0 .. c-1).
---@param o { height: integer, width: integer, cells: integer, keep: number,
---  count: integer, seed: integer, grid?: lunette.Tensor, shift?: lunette.Tensor }
---  grid (M,cells,cells) and shift (M,2: down, right): of your own
---@return lunette.Masks
function M.random(o)
  local H, W, n = o.height, o.width, o.cells
  if n > math.min(H, W) then
    blame(("masks: %d cells a side are more than the picture's %d pixels"):format(n,
          math.min(H, W)))
  end
  local c, d = -(-H // n), -(-W // n)
  local bh, bw = -(-(H + c) // n), -(-(W + d) // n)
  local function grid_of(m)
    if o.grid then return o.grid[m]:view(1, 1, n, n) end
    return core.uniform(o.seed, 2 * m, 1, 1, n, n):lt(o.keep)
  end
  local function shift_of(m)
    local s = o.shift and o.shift[m] or core.uniform(o.seed, 2 * m + 1, 2)
    if o.shift then return math.floor(s[1]), math.floor(s[2]) end
    return math.floor(s[1] * c), math.floor(s[2] * d)
  end
  local function one(m)
    local grid = grid_of(m):pad { before = { 0, 0, 1, 1 }, after = { 0, 0, 1, 1 },
                                  mode = 1 }
    local large = grid:resize((n + 2) * bh, (n + 2) * bw)
    local y, x = shift_of(m)
    return large:narrow { dim = 3, start = bh + y + 1, length = H }
      :narrow { dim = 4, start = bw + x + 1, length = W }
  end
  return { count = o.grid and o.grid:dim(1) or o.count, get = function(first, k)
    local all = core.zeros(k, 1, H, W)
    for i = 1, k do all[i] = one(first + i - 1)[1] end
    return all
  end }
end


---Row k of (n,n) has 1 at k, and 1/2 beside it (`soft`).
local function near(n, soft)
  local all = core.zeros(n, n)
  for k = 1, n do
    all:set(k, k, 1)
    if soft and k > 1 then all:set(k, k - 1, 0.5) end
    if soft and k < n then all:set(k, k + 1, 0.5) end
  end
  return all
end


---One place of a plane after the other, row by row: mask m has 1 there, or around it
---the weights of a 3x3 binomial whose middle is 1 (`soft`), and 0 elsewhere.
---@param h integer
---@param w integer
---@param soft? boolean
---@return lunette.Masks   (k,1,h,w)
function M.places(h, w, soft)
  local down, across = near(h, soft), near(w, soft)
  return { count = h * w, get = function(first, k)
    local all = core.zeros(k, 1, h, w)
    for i = 1, k do
      local y, x = (first + i - 2) // w + 1, (first + i - 2) % w + 1
      all[i][1] = down[y]:view(h, 1) * across[x]:view(1, w)
    end
    return all
  end, traced = function(constant)
    return (constant(down):view(h, 1, h, 1) * constant(across):view(1, w, 1, w))
      :view(h * w, 1, h, w)
  end }
end


---Cells of a grid, each with a value of its own in row r, as large as the picture:
---every pixel has the value of its cell.
---@param values lunette.Tensor   (R, n*n)
---@param n integer               cells a side
---@param h integer
---@param w integer
---@return lunette.Masks
function M.cells(values, n, h, w)
  local function index(size)
    local list = {}
    for k = 0, size - 1 do list[k + 1] = k * n // size end
    return list
  end
  local rows, columns = index(h), index(w)
  local place = core.zeros(n * n, h * w) -- (cell, pixel)
  for y = 1, h do
    for x = 1, w do place:set(rows[y] * n + columns[x] + 1, (y - 1) * w + x, 1) end
  end
  return { count = values:dim(1), get = function(first, k)
    local part = values:narrow { dim = 1, start = first, length = k }
    return core.ops.matmul(part, place):reshape { k, 1, h, w }
  end }
end


---The channels of a layer: mask m has 0 for channel m.
---@param count integer
---@return lunette.Masks
function M.channels(count)
  return { count = count, get = function(first, k)
    local all = core.ones(k, count, 1, 1)
    for i = 1, k do all:set(i, first + i - 1, 1, 1, 0) end
    return all
  end }
end


---Masks of channels, or of places, for a layer of tokens (tokens, C): those that are no
---patches stay as they are.
---@param masks lunette.Masks
---@param grid? lunette.TokenGrid   nil: it is a map, and so are the masks
---@return lunette.Masks
function M.on_tokens(masks, grid)
  if not grid then return masks end
  local function placed(some)
    local k, channels = some:dim(1), some:dim(2)
    if some:size() == k * channels then return some:reshape { k, 1, channels } end
    local places = some:reshape { k, grid.h * grid.w, 1 }
    if grid.skip == 0 then return places end
    return core.ops.concat(core.ones(k, grid.skip, 1), places, { dim = 2 })
  end
  return { count = masks.count,
           get = function(first, k) return placed(masks.get(first, k)) end,
           traced = masks.traced and function(constant)
             return placed(masks.traced(constant))
           end }
end

return M
