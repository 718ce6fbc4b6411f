local blame = require "lunette.base.blame"
local core = require "lunette.core"
local coalitions = require "lunette.explain.coalitions"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local sampling = require "lunette.explain.sampling"
local segments = require "lunette.explain.segments"


---All 2^m coalitions: bit k of the number says whether segment k + 1 stays.
local function all_coalitions(m)
  local rows = core.zeros(1 << m, m)
  for c = 0, (1 << m) - 1 do
    for k = 0, m - 1 do rows:set(c + 1, k + 1, c >> k & 1) end
  end
  return rows
end


local function bits(c)
  local n = 0
  while c > 0 do n, c = n + (c & 1), c >> 1 end
  return n
end


---sum over coalitions without k of (value with k - value without) |c|! (m-|c|-1)! / m!
local function exact(value, m)
  local weight, found = {}, {}
  for size = 0, m - 1 do -- 1 / (m * binomial(m - 1, size))
    local w = 1 / m
    for j = 1, size do w = w * j / (m - j) end
    weight[size] = w
  end
  for k = 0, m - 1 do
    local sum = 0
    for c = 0, (1 << m) - 1 do
      if c >> k & 1 == 0 then
        sum = sum + weight[bits(c)] * (value[(c | 1 << k) + 1] - value[c + 1])
      end
    end
    found[k + 1] = sum
  end
  return found
end


---An order of the caller's, from 1; raises where it does not name every segment once.
local function given_order(row, m)
  local order, there = (row + 1):totable(), {}
  for _, k in ipairs(order) do there[k] = true end
  for k = 1, m do
    if not there[k] or #order ~= m then
      blame(("shapley: each row of permutations is an order of the %d segments, 0 to %d"
        ):format(m, m - 1))
    end
  end
  return order
end


---Orders of the segments, from 1: given (from 0), or drawn.
local function orders(o, m)
  local list = {}
  if o.permutations then
    for p = 1, o.permutations:dim(1) do
      list[p] = given_order(o.permutations[p], m)
    end
    return list
  end
  for p = 1, o.samples do list[p] = core.uniform(o.seed, p, m):argsort():totable() end
  return list
end


---The coalitions that grow along the orders: m rows each, and the empty one first.
local function growing(list, m)
  local rows = core.zeros(#list * m + 1, m)
  for p, order in ipairs(list) do
    for step = 1, m do
      local r = (p - 1) * m + step + 1
      for k = 1, step do rows:set(r, math.floor(order[k]), 1) end
    end
  end
  return rows
end


---The mean of what each segment adds when it comes.
local function along(value, list, m)
  local found = {}
  for k = 1, m do found[k] = 0 end
  for p, order in ipairs(list) do
    for step = 1, m do
      local r, k = (p - 1) * m + step + 1, math.floor(order[step])
      local before = step == 1 and value[1] or value[r - 1]
      found[k] = found[k] + (value[r] - before) / #list
    end
  end
  return found
end


---Shapley values of segments (Shapley 1953; Strumbelj & Kononenko 2010): what each adds
---to the score, over all orders in which they may come: exact where there are at most
---`exact` segments, else along sampled orders. They sum to S(x) - S(baseline).
---Caveat: orders put segments together that no photograph has; exact values take 2^M
---  forwards.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.shapley(run, { segments = 2, modifiers = { "linear" } }))
return method {
  name = "shapley", family = "perturbation",
  draws = "map", flat = "no coalition changes the score",
  paper = "Strumbelj & Kononenko 2010, An efficient explanation using game theory",
  options = coalitions.options {
    "seed",
    exact = opt.count(8, "all coalitions up to that many segments", 0, 20),
    samples = opt.count(25, "orders"),
    permutations = opt.tensor("(P,M)", "orders of your own, from 0"),
  },
  keeps = sampling.keeps,
  explain = function(run, o)
    local labels, m = coalitions.labels(run, o)
    local all = m <= o.exact and not o.permutations
    local list = not all and orders(o, m)
    local rows = all and all_coalitions(m) or growing(list, m)
    local values = coalitions.values(run, o, labels, rows, "shapley")
    local found = core.zeros(run:count(), m)
    for i = 1, run:count() do
      local value = values[i]:totable()
      found[i] = core.tensor(all and exact(value, m) or along(value, list, m))
    end
    return segments.spread(labels, found), {
      values = coalitions.lists(found), exactly = all,
      samples = not all and #list, permutations = false, seed = not all and o.seed }
  end,
}
