---Ranks methods and controls by many measures, over pictures whose objects are known or
---a folder of pictures: raw values, which an interrupted ranking continues from; means
---with intervals; sanity checks that fail; agreement of the measures.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local entrants = require "lunette.rank.entrants"
local fingerprint = require("lunette.explain.fingerprint").of
local measures = require "lunette.rank.measures"
local npy = require "lunette.picture.npy"
local options = require "lunette.base.options"
local progress = require "lunette.base.progress"
local report = require "lunette.rank.report"
local sources = require "lunette.rank.source"
local file_word = require("lunette.base.text").file_word
local values = require "lunette.rank.values"
local warn = require "lunette.base.warn"
local opt = options.opt

local M = {}

---@class lunette.RankCase   one picture
---@field name string
---@field x lunette.Tensor        (1,C,H,W), as the network takes it
---@field class? integer          that is explained (the most probable one)
---@field right? integer[]        classes of its objects: the picture is left out where
---  the network names none of them
---@field mask? lunette.Tensor    (1,H,W)
---@field other? lunette.Tensor   (1,H,W)

---@class lunette.RankSource
---@field count integer
---@field name string             what decides the pictures, in a line
---@field get fun(i: integer): lunette.RankCase

M.options = {
  methods = opt.any(false, "a list of names; a backward rule after a colon"),
  measures = opt.any(false, "a list of names"),
  values = opt.any("", "a CSV file of raw values, taken up again", function(v)
    return type(v) ~= "string" and "a file's name" or nil
  end),
  maps = opt.any("", "a folder for the maps themselves, (H,W) as .npy", function(v)
    return type(v) ~= "string" and "a folder's name" or nil
  end),
  budget = opt.number(5, "seconds a map: methods that take longer are left out", 0),
  seconds = opt.number(0, "stop after so many, to go on another time; 0: not", 0),
  progress = opt.quiet(opt.any(true, "false: no bar")),
}


---The entrants by name, and all names.
local function entrants_of(o, run)
  local list = {}
  for k, name in ipairs(o.methods or entrants.all(run)) do
    local one, message = entrants.of(name)
    if not one then error("rank: " .. message, 0) end
    list[k] = one
  end
  return list
end


local function check_measures(names)
  local known = measures.names()
  for _, name in ipairs(names or {}) do
    options.choice("rank: measure", name, known)
  end
end


---All that determines the numbers, in one line.
local function identity_of(net, source, o)
  local told = {}
  for _, m in ipairs(measures.of(o.measures or nil, { mask = true, other = true })) do
    local list = {}
    for key, v in pairs(m.options or {}) do
      list[#list + 1] = key .. "=" .. (type(v) == "table" and table.concat(v, "/")
                                       or tostring(v))
    end
    table.sort(list)
    told[#told + 1] = m.name .. "(" .. table.concat(list, ";") .. ")"
  end
  return ("%s %s; %s; %s"):format(net.name, fingerprint(net), source.name,
    table.concat(told, " "))
end


---Does the network name one of the picture's objects?
local function is_right(case, run)
  if not case.right then return true end
  local first = run:top(1)[1][1].class
  for _, class in ipairs(case.right) do
    if class == first then return true end
  end
  return false
end


local TOO_LONG = {} -- raised where a map takes longer than the budget

---A map within the budget of processor time, and what it took.
local function map_of(entrant, case, net, budget)
  local begun = os.clock()
  local function watch()
    if os.clock() - begun > budget then error(TOO_LONG, 0) end
  end
  local own <close> = net:run(case.x)
  local map = entrant.explain(own, { score = case.class, progress = watch })
  watch()
  return map, os.clock() - begun
end


---All measures of one method's map of one picture.
local function measure(entrant, case, run, list, budget)
  local class = case.class
  local map, seconds = map_of(entrant, case, run.net, budget)
  local numbers = { { measure = "seconds", value = seconds } }
  local s = { map = map, run = run, class = class, mask = case.mask, other = case.other,
              explain = entrant.explain }
  for _, m in ipairs(list) do
    numbers[#numbers + 1] = { measure = m.name, value = m.value(s) }
    collectgarbage "step"
  end
  return numbers, map
end


---@class lunette.RankWork
---@field net lunette.Net
---@field entrants lunette.Entrant[]
---@field values lunette.RankValues
---@field left_out table<string, string>   method -> why
---@field maps string                      a folder, or ""
---@field wrong integer                    pictures left out
---@field stop number                      when to
---@field stopped? boolean                 before the end


---Has an entrant no values for this picture yet?
local function has_work(work, name)
  for _, e in ipairs(work.entrants) do
    if not work.left_out[e.name] and not work.values:has(name, e.name) then
      return true
    end
  end
  return false
end


---Writes a map beside the values, so that they can be computed again.
local function keep_map(work, case, entrant, map)
  if work.maps == "" then return end
  local name = ("%s/%s-%s.npy"):format(work.maps, file_word(case.name, 100),
                                       entrant.name:gsub(":", "_"))
  assert(npy.write(name, map[1]))
end


---Measures one entrant; one that is too slow or fails is left out, with the reason.
local function enter(work, entrant, case, run, list)
  local ok, numbers, map = pcall(warn.during, false, measure, entrant, case, run, list,
                                 work.budget) -- flat maps would warn each time
  if not ok and numbers == TOO_LONG then
    work.left_out[entrant.name] = ("takes more than %g seconds a map"):format(
      work.budget)
    return
  end
  if not ok then
    if tostring(numbers):find "interrupted" then error(numbers, 0) end
    work.left_out[entrant.name] = blame.bare(numbers)
    return
  end
  local flat = map:stats()
  numbers[#numbers + 1] = { measure = "flat", value = flat.min == flat.max and 1 or 0 }
  for _, n in ipairs(numbers) do
    if n.value ~= n.value or math.abs(n.value) == math.huge then n.value = nil end
  end
  keep_map(work, case, entrant, map)
  work.values:append(case.name, entrant.name, numbers)
end


---Measures one picture with every entrant that has no values for it yet.
local function over_picture(work, case)
  local run <close> = work.net:run(case.x)
  if not is_right(case, run) then
    work.wrong = work.wrong + 1
    return
  end
  case.class = case.class or run:top(1)[1][1].class
  local list = measures.of(work.measures, case)
  for _, entrant in ipairs(work.entrants) do
    if core.clock() > work.stop then
      work.stopped = true
      return
    end
    local open = not work.left_out[entrant.name]
      and not work.values:has(case.name, entrant.name)
    if open then enter(work, entrant, case, run, list) end
  end
end


---Pictures by method, and the most that one has.
local function counted(rows)
  local pictures, seen, most = {}, {}, 0
  for _, row in ipairs(rows) do
    local key = row.picture .. "," .. row.method
    if not seen[key] then
      seen[key] = true
      pictures[row.method] = (pictures[row.method] or 0) + 1
      most = math.max(most, pictures[row.method])
    end
  end
  return pictures, most
end


---The values of those that took part to the end, or to the picture that is under way:
---means over other pictures than the others' would compare nothing.
local function compared(work)
  local pictures, most = counted(work.values.rows)
  for method, n in pairs(pictures) do
    if n < most - 1 and not work.left_out[method] then
      work.left_out[method] = ("has values of %d of %d pictures"):format(n, most)
    end
  end
  local list = {}
  for _, row in ipairs(work.values.rows) do
    if not work.left_out[row.method] then list[#list + 1] = row end
  end
  return list
end


---The controls among names.
local function controls_of(list)
  local set = {}
  for _, e in ipairs(list) do set[e.name] = e.control or nil end
  return set
end


---Ranks methods. With `values`, an interrupted ranking continues where it stopped.
---Example:
---  local net = lu.load "glyphs"
---  local scenes = require("lunette.glyphs.cases").source { count = 2 }
---  print(lu.rank(net, scenes, { methods = { "gradcam", "random" },
---                               measures = { "energy" } }):markdown())
---@param net lunette.Net
---@param source lunette.RankSource
---@param opts? table   of M.options
---@return lunette.RankReport report, lunette.RankWork work
function M.run(net, source, opts)
  local o = options.check("rank", opts, M.options)
  sources.check("rank", net, source, o)
  check_measures(o.measures)
  local first <close> = net:run(source.get(1).x)
  local store, message
  if o.values ~= "" then
    store, message = values.open(o.values, identity_of(net, source, o))
  else
    store = values.in_memory()
  end
  if not store then error(message, 0) end
  local work = { net = net, entrants = entrants_of(o, first), values = store,
                 measures = o.measures or nil, left_out = {}, wrong = 0,
                 budget = o.budget, maps = o.maps,
                 stop = o.seconds > 0 and core.clock() + o.seconds or math.huge }
  local bar <close> = progress.start("rank", source.count, o.progress)
  for i = 1, source.count do
    local case = source.get(i)
    if has_work(work, case.name) then
      if core.clock() > work.stop then
        work.stopped = true
        break
      end
      over_picture(work, case)
    end
    bar:add(1)
    collectgarbage()
  end
  return report.new(compared(work), controls_of(work.entrants)), work
end

return M
