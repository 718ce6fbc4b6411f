---Intervals of means over pictures: the percentile bootstrap (Efron 1979). Pictures are
---drawn with replacement, the same draws for all methods and measures, so that
---differences are paired.
local core = require "lunette.core"
local kendall = require "lunette.explain.kendall"

local M = {}

---Of fewer pictures than these nothing is sure, whatever the draws say: that all n of
---them agree happens by chance in 2^-n of cases, 0.06 of four, 0.03 of five. Draws from
---a single picture are all alike.
M.least = 5

---@class lunette.RankTable   values[measure][method][picture number]
---@field methods string[]
---@field measures string[]
---@field pictures integer
---@field values table<string, table<string, table<integer, number>>>


---Numbers 1 .. n, `draws` times with replacement.
---@param n integer
---@param draws integer
---@param seed integer
---@return integer[][]
function M.draws(n, draws, seed)
  local list = {}
  for d = 1, draws do
    local u, one = core.uniform(seed, d, n):totable(), {}
    for k = 1, n do one[k] = math.floor(u[k] * n) + 1 end
    list[d] = one
  end
  return list
end


---The mean of the values at `places`, without those that are missing; nil: all are.
local function mean_at(values, places)
  local sum, n = 0, 0
  for _, p in ipairs(places) do
    local v = values[p]
    if v then sum, n = sum + v, n + 1 end
  end
  return n > 0 and sum / n or nil
end


---The q-quantile of a sorted list, interpolated.
local function quantile(sorted, q)
  local at = 1 + q * (#sorted - 1)
  local low = math.floor(at)
  local high = math.min(low + 1, #sorted)
  return sorted[low] + (at - low) * (sorted[high] - sorted[low])
end


---The ends of the middle 95 % of a list.
---@param list number[]
---@return number? low, number? high
function M.interval(list)
  if #list == 0 then return nil end
  table.sort(list)
  return quantile(list, 0.025), quantile(list, 0.975)
end


---On how many pictures have both a value?
local function common(a, b)
  local n = 0
  for p in pairs(a) do n = n + (b[p] and 1 or 0) end
  return n
end


---@class lunette.RankMean
---@field mean number
---@field drawn number[]     over each draw
---@field values table<integer, number>   by picture
---@field n integer          pictures that have a value
---@field low? number        of the middle 95 % of the draws; nil: of too few pictures
---@field high? number

---Every method's mean of a measure: over all pictures, and over each draw.
---@param t lunette.RankTable
---@param measure string
---@param draws integer[][]
---@return table<string, lunette.RankMean>
function M.means(t, measure, draws)
  local all, found = {}, {}
  for p = 1, t.pictures do all[p] = p end
  for _, method in ipairs(t.methods) do
    local values = t.values[measure][method]
    local mean = values and mean_at(values, all)
    if mean then
      local drawn = {}
      for d, places in ipairs(draws) do drawn[d] = mean_at(values, places) or mean end
      local m = { mean = mean, drawn = drawn, values = values,
                  n = common(values, values) }
      if m.n >= M.least then
        m.low, m.high = M.interval(table.move(drawn, 1, #drawn, 1, {}))
      end
      found[method] = m
    end
  end
  return found
end


---Ranks by means, 1 the best; equal means share their average rank.
local function places_of(names, value)
  table.sort(names, function(a, b)
    local x, y = value(a), value(b)
    if x ~= y then return x > y end
    return a < b
  end)
  local place, first = {}, 1
  for k = 1, #names do
    if k == #names or value(names[k]) ~= value(names[k + 1]) then
      for j = first, k do place[names[j]] = (first + k) / 2 end
      first = k + 1
    end
  end
  return place
end


---Adds to every method's means its rank, and, of enough pictures, the rank's interval
---and the share of draws in which it is first.
---@param means table
---@param better "higher"|"lower"
---@return string[] names   the best first
function M.rank(means, better)
  local sign, names = better == "lower" and -1 or 1, {}
  for name in pairs(means) do names[#names + 1] = name end
  local place = places_of(names, function(n) return sign * means[n].mean end)
  local ordered = table.move(names, 1, #names, 1, {})
  local draws = names[1] and #means[names[1]].drawn or 0
  local all, first = {}, {}
  for _, name in ipairs(names) do all[name], first[name] = {}, 0 end
  for d = 1, draws do
    local drawn = places_of(names, function(n) return sign * means[n].drawn[d] end)
    for name, p in pairs(drawn) do
      all[name][d] = p
      if p == 1 then first[name] = first[name] + 1 / draws end
    end
  end
  for name, m in pairs(means) do
    m.place = place[name]
    if m.n >= M.least then
      m.first = first[name]
      m.place_low, m.place_high = M.interval(all[name])
    end
  end
  return ordered
end


---The fewest pictures that one of the named methods has in one of two measures.
local function fewest(a, b, names)
  local n = math.huge
  for _, name in ipairs(names) do n = math.min(n, a[name].n, b[name].n) end
  return n
end


---Kendall's tau-b of two measures over the methods that both have, with its interval;
---of too few pictures without one.
---@param a table              means of one measure
---@param b table              of another
---@param sign integer         -1 where one is better high and the other low
---@return number tau, number? low, number? high
function M.agreement(a, b, sign)
  local names = {}
  for name in pairs(a) do
    if b[name] then names[#names + 1] = name end
  end
  table.sort(names)
  local function tau(get)
    local x, y = {}, {}
    for k, name in ipairs(names) do x[k], y[k] = get(a[name]), sign * get(b[name]) end
    return kendall(x, y)
  end
  local drawn = {}
  local draws = names[1] and #a[names[1]].drawn or 0
  if fewest(a, b, names) < M.least then draws = 0 end
  for d = 1, math.min(draws, 200) do
    drawn[d] = tau(function(m) return m.drawn[d] end)
  end
  return tau(function(m) return m.mean end), M.interval(drawn)
end


---Does the 95 % interval of the difference of two methods' means leave out 0? Not of
---too few common pictures.
---@param a lunette.RankMean
---@param b lunette.RankMean
---@return boolean
function M.differ(a, b)
  if common(a.values, b.values) < M.least then return false end
  local list = {}
  for d, v in ipairs(a.drawn) do list[d] = v - b.drawn[d] end
  local low, high = M.interval(list)
  return low ~= nil and (low > 0 or high < 0)
end

return M
