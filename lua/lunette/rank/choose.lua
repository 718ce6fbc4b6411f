---Searches a method and its options by one measure within a time budget: successive
---halving (Jamieson & Talwalkar 2016), all candidates on a few pictures, the better
---half on more, and so on; and how sure the choice is.
local blame = require "lunette.base.blame"
local bootstrap = require "lunette.rank.bootstrap"
local candidates = require "lunette.rank.candidates"
local core = require "lunette.core"
local entrants = require "lunette.rank.entrants"
local measures = require "lunette.rank.measures"
local options = require "lunette.base.options"
local strict = require "lunette.base.strict"
local text = require "lunette.base.text"
local progress = require "lunette.base.progress"
local sources = require "lunette.rank.source"
local warn = require "lunette.base.warn"
local opt = options.opt

local M = {}

M.options = {
  measure = opt.any("deletion", "by which measure of a ranking", function(v)
    return type(v) ~= "string" and "a measure's name" or nil
  end),
  methods = opt.any(false, "a list of names: these alone"),
  seconds = opt.number(60, "for the whole search", 0.1),
  first = opt.count(2, "pictures that all candidates are asked"),
  budget = opt.number(2, "processor seconds a map, at most", 0),
  seed = opt.count(0, "of the bootstrap", math.mininteger),
  progress = opt.quiet(opt.any(true, "false: no bar")),
}


---@class lunette.Choice   prints itself, with how sure it is
---@field network string
---@field best lunette.Candidate
---@field sure boolean        is it surely better than all other finalists?
---@field doubt? string       why it is not
---@field near string[]       finalists that are not surely worse than the best
---@field measure lunette.Measure
---@field pictures integer    that all finalists were measured on
---@field finalists { name: string, mean: number, low?: number, high?: number,
---  n: integer, first?: number, candidate: lunette.Candidate }[]   the best first; of
---  fewer than five pictures without an interval, and without the share of draws in
---  which it is first
---@field tried integer       candidates
---@field left integer        that gave no value: no time, or they cannot be called
local Choice = strict.class("choice", {})
Choice.__index = Choice
Choice.__name = "lunette.Choice"


local function measure_of(name)
  options.choice("choose: measure", name, measures.names())
  for _, m in ipairs(measures.list) do
    if m.name == name then
      if m.better then return m end
      error(("choose: %s does not say which end is the good one"):format(name), 0)
    end
  end
end


---One candidate's value for one picture; nil where it cannot be called or takes too
---long.
local function ask(work, c, case)
  local begun = os.clock()
  local function watch()
    if os.clock() - begun > work.budget then error("too long", 0) end
  end
  local run <close> = work.net:run(case.x)
  local class = case.class or run:top(1)[1][1].class
  local explain = entrants.with(c.method, c.opts)
  local ok, value = pcall(function()
    local map = explain(run, { score = class, progress = watch })
    watch()
    return work.measure.value { map = map, run = run, class = class, mask = case.mask,
                                other = case.other, explain = explain }
  end)
  if not ok and tostring(value):find "interrupted" then error(value, 0) end
  return ok and value == value and value or nil -- NaN: the measure says nothing
end


---Measures the remaining candidates on picture p. A round that time ends is not
---counted, unless it is the first: it would compare those that stand first in the list.
local function round(work, list, p)
  local case = work.source.get(p)
  local needs = work.measure.mask
  if needs and not case[needs] then return end
  for _, c in ipairs(list) do
    if core.clock() > work.stop then
      for _, one in ipairs(work.counted and list or {}) do one.values[p] = nil end
      return
    end
    if not c.failed then
      local value = warn.during(false, ask, work, c, case)
      if value then c.values[p] = value else c.failed = true end
    end
  end
  work.counted = true
end


---The mean of the values that a candidate has.
local function mean_of(c)
  local sum, n = 0, 0
  for _, v in pairs(c.values) do sum, n = sum + v, n + 1 end
  return n > 0 and sum / n or nil, n
end


---The better half of the candidates that were measured on the most pictures, and all of
---these.
local function halved(work, list)
  local sign, alive = work.measure.better == "lower" and -1 or 1, {}
  local most = 0
  for _, c in ipairs(list) do most = math.max(most, (select(2, mean_of(c)))) end
  for _, c in ipairs(list) do
    local _, n = mean_of(c)
    if not c.failed and n == most and n > 0 then alive[#alive + 1] = c end
  end
  table.sort(alive, function(a, b)
    local x, y = mean_of(a), mean_of(b)
    if x ~= y then return sign * x > sign * y end
    return a.name < b.name
  end)
  return table.move(alive, 1, math.max(math.min(3, #alive), #alive // 2), 1, {}), alive
end


---Halves the candidates picture by picture, until time or pictures run out.
local function narrowed(work, list, o)
  local count = work.source.count
  local bar <close> = progress.start("choose", count, o.progress)
  for p = 1, count do
    if core.clock() > work.stop then break end
    round(work, list, p)
    if p >= math.min(o.first, count) and core.clock() <= work.stop then
      list = (halved(work, list))
    end
    bar:add(1)
    collectgarbage()
  end
  return list
end


---Why the best one is not surely the best, or nil.
local function doubt_of(choice, work)
  local n, least = choice.pictures, bootstrap.least
  if n < least then
    local more = work.source.count < least and "pictures" or "seconds"
    return ("measured on %s, and of fewer than %d nothing is sure; give more %s"
      ):format(text.count(n, "picture"), least, more)
  end
  if #choice.finalists == 1 then
    return "no other candidate was measured on as many pictures"
  end
  if #choice.near == 0 then return nil end
  return table.concat(choice.near, ", ")
    .. " may be as good; more pictures or seconds would tell"
end


---The finalists with intervals, how often each is first, and who is not surely worse.
local function judged(work, list, tried)
  local t = { methods = {}, pictures = work.source.count, values = { m = {} } }
  local by = {}
  for k, c in ipairs(list) do
    t.methods[k], t.values.m[c.name], by[c.name] = c.name, c.values, c
  end
  local draws = bootstrap.draws(t.pictures, 500, work.seed)
  local means = bootstrap.means(t, "m", draws)
  local order = bootstrap.rank(means, work.measure.better)
  local best = order[1]
  local choice = { network = work.net.name, measure = work.measure, finalists = {},
                   near = {}, tried = tried, pictures = means[best].n,
                   best = { name = by[best].name, method = by[best].method,
                            opts = by[best].opts } }
  for k, name in ipairs(order) do
    local m = means[name]
    choice.finalists[k] = { name = name, mean = m.mean, low = m.low, high = m.high,
                            first = m.first, n = m.n, candidate = by[name] }
    if k > 1 and not bootstrap.differ(means[best], m) then
      choice.near[#choice.near + 1] = name
    end
  end
  choice.doubt = doubt_of(choice, work)
  choice.sure = choice.doubt == nil
  return setmetatable(choice, Choice)
end


---A finalist in a line.
local function line_of(f)
  local value = f.low and ("%.3g [%.3g, %.3g]"):format(f.mean, f.low, f.high)
    or ("%.3g"):format(f.mean)
  local first = f.first and (", first in %.0f %%"):format(100 * f.first) or ""
  return ("  %-44s %s over %s%s"):format(f.name, value, text.count(f.n, "picture"),
                                         first)
end


---The choice in lines: the finalists, the call to write, how sure it is.
---@return string[]
function Choice:lines()
  local m = self.measure
  local lines = { ("choice on %s: %s measured by %s (%s is better), %d not"):format(
    self.network, text.count(self.tried, "candidate"), m.title, m.better, self.left) }
  for _, f in ipairs(self.finalists) do lines[#lines + 1] = line_of(f) end
  lines[#lines + 1] = M.call(self.best)
  lines[#lines + 1] = self.doubt and "not surely: " .. self.doubt
    or "surely better than the other finalists, for pictures like these"
  return lines
end


function Choice:__tostring() return table.concat(self:lines(), "\n") end


---Searches.
---Example:
---  local net = lu.load "glyphs"
---  local scenes = require("lunette.glyphs.cases").source { count = 2 }
---  local choice = lu.choose(net, scenes, { measure = "energy", seconds = 20,
---                                          methods = { "gradcam" } })
---  print(choice.best.name, choice.finalists[1].mean)
---  print(choice.sure, choice.doubt) -- of two pictures nothing is sure
---@param net lunette.Net
---@param source lunette.RankSource
---@param opts? table   of M.options
---@return lunette.Choice
function M.choose(net, source, opts)
  local o = options.check("choose", opts, M.options)
  sources.check("choose", net, source, o)
  local all = candidates.all(net, o.methods or nil)
  for _, c in ipairs(all) do c.values = {} end
  local work = { net = net, source = source, measure = measure_of(o.measure),
                 budget = o.budget, stop = core.clock() + o.seconds, seed = o.seed }
  local _, alive = halved(work, narrowed(work, all, o))
  if #alive == 0 then
    blame(("choose: no candidate could be measured by %s%s"):format(o.measure,
      work.measure.mask and "; it needs masks" or ""))
  end
  local tried = 0
  for _, c in ipairs(all) do tried = tried + (next(c.values) and 1 or 0) end
  local choice = judged(work, table.move(alive, 1, math.min(8, #alive), 1, {}), tried)
  choice.left = #all - tried
  return choice
end


---The call that a choice stands for, as a script has it.
---@param c lunette.Candidate
---@return string
function M.call(c)
  local list = {}
  for key, v in pairs(c.opts) do
    if key == "modifier" then
      list[#list + 1] = ('modifiers = { "linear", "%s" }'):format(v)
    else
      local value = type(v) == "string" and '"' .. v .. '"' or tostring(v)
      list[#list + 1] = ("%s = %s"):format(key, value)
    end
  end
  if #list == 0 then return ("lu.%s(net, x)"):format(c.method) end
  return ("lu.%s(net, x, { %s })"):format(c.method, table.concat(list, ", "))
end

return M
