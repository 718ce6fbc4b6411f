---Testing with concept activation vectors (Kim et al. 2018): does a concept that is
---shown by pictures speak for a class?
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local options = require "lunette.base.options"
local types = require "lunette.base.types"
local opt = options.opt

local M = {}

M.options = {
  layer = opt.any("", "whose values are looked at", function(v)
    return type(v) ~= "string" and "a layer's name" or nil
  end),
  class = opt.any(0, "whose score is asked: an id or a name"),
  runs = opt.count(10, "sets of random pictures, a vector each", 2),
  ridge = opt.number(1, "how much the classifier is held back, as a share of the mean "
                     .. "square of the values", 1e-6),
  seed = opt.count(0, "which random pictures", math.mininteger),
  batch = opt.quiet(opt.count(16, "pictures at a time")),
}


---Values of a layer, one row a picture: (N, values).
local function values_of(net, x, o)
  local rows
  for first = 1, x:dim(1), o.batch do
    local last = math.min(first + o.batch - 1, x:dim(1))
    local run <close> = net:run(x:rows(first, last))
    local value, message = run:activation(o.layer)
    if not value then error("tcav: " .. message, 0) end
    value = value:detach()
    local n, size = value:dim(1), value:size() // value:dim(1)
    rows = rows or core.zeros(x:dim(1), size)
    rows:rows(first, last):copy_(value:reshape { n, size })
  end
  return rows
end


---Ridge regression to +1 and -1 in its dual form: weights (values), and the mean of the
---rows. With more values than pictures the Gram matrix is the small one.
local function classify(positive, negative, ridge)
  local n, m, size = positive:dim(1), negative:dim(1), positive:dim(2)
  local all, y = core.zeros(n + m, size), core.zeros(n + m, 1)
  all:rows(1, n):copy_(positive)
  all:rows(n + 1, n + m):copy_(negative)
  for k = 1, n + m do y:set(k, 1, k <= n and 1 or -1) end
  local mean = all:mean { dims = { 1 }, keepdims = 1 }
  local off = all - mean
  local gram = core.ops.matmul(off, off:permute { dims = { 2, 1 } })
  local values, vectors = gram:eigh()
  local shift = math.max(ridge * off:square():sum():item() / (n + m), 1e-20)
  local inverse = core.ones(1) / (values:relu() + shift)
  local dual = core.ops.matmul(vectors:permute { dims = { 2, 1 } }, y)
  dual = core.ops.matmul(vectors, dual * inverse:view(n + m, 1))
  local w = core.ops.matmul(off:permute { dims = { 2, 1 } }, dual):view(size)
  return w, mean:view(size)
end


---The share of rows on the right side.
local function accuracy(w, mean, positive, negative)
  local right, count = 0, 0
  for sign, rows in pairs { [1] = positive, [-1] = negative } do
    local side = core.ops.matmul(rows - mean:view(1, mean:size()), w:view(w:size(), 1))
    right = right + (side * sign):gt(0):sum():item()
    count = count + rows:dim(1)
  end
  return right / count
end


---Half of the rows to learn from, half to be asked about, in a random order.
local function halves(rows, seed, stream)
  local order = core.uniform(seed, stream, rows:dim(1)):argsort()
  local half = rows:dim(1) // 2
  local mixed = rows:index_select(order, { dim = 1 })
  return mixed:rows(1, half), mixed:rows(half + 1, rows:dim(1))
end


---A concept's vector against a random set, and how well it tells them apart.
local function vector(positive, negative, o, stream)
  local a, b = halves(positive, o.seed, 2 * stream)
  local c, d = halves(negative, o.seed, 2 * stream + 1)
  local w, mean = classify(a, c, o.ridge)
  local known = accuracy(w, mean, b, d)
  return (classify(positive, negative, o.ridge)), known
end


---Rows of the random pictures for one set.
local function some(rows, count, seed, stream)
  local order = core.uniform(seed, stream, rows:dim(1)):argsort()
  local index = order:narrow { dim = 1, start = 1, length = math.min(count,
                                                                     rows:dim(1)) }
  return rows:index_select(index, { dim = 1 })
end


---The class's gradients by the layer's values, one row a picture.
local function gradients_of(net, x, o)
  local rows
  local layers = net:layers()
  local kind = layers[#layers].kind
  local soft = kind == "softmax" or kind == "log_softmax"
  for i = 1, x:dim(1) do
    local run <close> = net:run(x:rows(i), { modifiers = soft and { "linear" } or {} })
    local g = run:gradient { score = o.class, wrt = o.layer }
    rows = rows or core.zeros(x:dim(1), g:size())
    rows[i] = g:view(g:size())
  end
  return rows
end


---The share of pictures whose score rises when their values go towards the concept.
local function share_along(gradients, w)
  local slope = core.ops.matmul(gradients, w:view(w:size(), 1))
  return slope:gt(0):mean():item()
end


local function check(name, x)
  if not options.is_tensor(x) or x:dim() < 2 or x:dim(1) < 4 then
    blame(("tcav: %s are at least four pictures (N,C,H,W)"):format(name))
  end
end


---@class lunette.Tcav
---@field share number       of the class's pictures whose score rises towards the
---  concept: the mean over the sets
---@field shares number[]    one a set
---@field random number[]    the same for vectors that tell random pictures from random
---  ones
---@field accuracy number    how well the concept is told from random pictures it was
---  not learned from: near 0.5 the layer knows nothing of it
---@field p number           how often a random vector is as far from a half: (1 + so
---  many) / (1 + sets)

---Does a concept speak for a class? Pictures of it and random ones are told apart by
---their values at a layer (ridge regression); TCAV is the share of the class's pictures
---whose score rises along that direction. The same is asked of directions between two
---random sets, which is chance.
---Caveat: pictures of a concept may share something else (a colour, a ground); then
---  that is the concept. A share far from a half is nothing where random directions are
---  too.
---Example:
---  local net = lu.load "glyphs"
---  local function some(seed) return lu.glyphs.input(lu.glyphs.scenes { n = 8,
---    seed = seed }.images) end
---  print(lu.tcav(net, { concept = some(1), random = some(2), pictures = some(3) },
---                { layer = "block3_relu3", class = 2, runs = 2 }).p)
---@param net lunette.Net
---@param x { concept: lunette.Tensor, random: lunette.Tensor, pictures: lunette.Tensor
---  } as the network takes them; `pictures` are of the class
---@param opts table   layer, class, runs, ridge, seed, batch
---@return lunette.Tcav
function M.tcav(net, x, opts)
  types.check_net("tcav", net)
  if type(x) ~= "table" then
    blame("tcav: { concept =, random =, pictures = } is expected, got " .. type(x))
  end
  local o = options.check("tcav", opts, M.options)
  for _, name in ipairs { "concept", "random", "pictures" } do check(name, x[name]) end
  local concept, random = values_of(net, x.concept, o), values_of(net, x.random, o)
  local gradients = gradients_of(net, x.pictures, o)
  local n = math.min(concept:dim(1), random:dim(1) // 2)
  local shares, chance, known, as_far = {}, {}, 0, 0
  for run = 1, o.runs do
    local w, right = vector(concept, some(random, concept:dim(1), o.seed, 8 * run), o,
                            16 * run)
    shares[run] = share_along(gradients, w)
    known = known + right / o.runs
    local two = some(random, 2 * n, o.seed, 8 * run + 1)
    chance[run] = share_along(gradients,
      (classify(two:rows(1, n), two:rows(n + 1, 2 * n), o.ridge)))
  end
  local sum = 0
  for _, v in ipairs(shares) do sum = sum + v / o.runs end
  for _, v in ipairs(chance) do
    as_far = as_far + (math.abs(v - 0.5) >= math.abs(sum - 0.5) and 1 or 0)
  end
  return { share = sum, shares = shares, random = chance, accuracy = known,
           p = (1 + as_far) / (1 + o.runs) }
end

return M
