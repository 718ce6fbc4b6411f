---Checks of a map, told in sentences, worst first, without a total score: `map:trust()`
---and `lunette explain --trust`.
local blame = require "lunette.base.blame"
local checks = require "lunette.trust.checks"
local options = require "lunette.base.options"
local stories = require "lunette.explain.story"
local strict = require "lunette.base.strict"
local opt = options.opt
local subject = require "lunette.trust.subject"
local types = require "lunette.base.types"

local M = {}

---Options of map:trust.
M.options = {
  classes = opt.count(5, "other classes that are asked: the runner-up, some at random"),
  shifts = opt.count(5, "places that the map is moved to, for comparison"),
  steps = opt.count(5, "until half of the picture is gone"),
  samples = opt.count(4, "pictures with faint noise"),
  full = opt.flag(false, "9 classes, 19 places, 10 steps, where nothing else is said"),
  seed = opt.count(0, "of the random numbers", math.mininteger),
  batch = opt.quiet(opt.count(16, "pictures at a time")),
  method = require("lunette.explain.metric").shared.method,
  with = require("lunette.explain.metric").shared.with,
  score = opt.score("predicted", "of a map that does not say what it explains"),
}


-- reports -----------------------------------------------------------------------------

---@class lunette.Trust
---@field images lunette.TrustCheck[][]   the checks of every map, worst first
local Trust = strict.class("trust", {})
Trust.__index = Trust
Trust.__name = "lunette.Trust"

local order = { fail = 1, weak = 2, unjudged = 3, pass = 4 }


---How many checks failed, as a sentence.
local function summary(list)
  local count = { fail = 0, weak = 0, unjudged = 0, pass = 0 }
  for _, c in ipairs(list) do count[c.verdict] = count[c.verdict] + 1 end
  local judged = #list - count.unjudged
  if count.fail > 0 then
    return ("%d of %d checks failed."):format(count.fail, judged)
  end
  if judged == 0 then return "Not judged." end
  local doubt = count.weak > 0 and (", %d in doubt"):format(count.weak) or ""
  return "No check failed" .. doubt .. "."
end


---The lines of map i: a summary and one sentence for each check, worst first.
---@param i? integer   1
---@return string[]
function Trust:lines(i)
  local lines = {}
  for n, c in ipairs(self.images[i or 1]) do lines[n] = c.text end
  table.insert(lines, 1, summary(self.images[i or 1]))
  return lines
end


local marks = { fail = "fails", weak = "doubtful", unjudged = "not judged",
                pass = "passes" }


---The checks in a few words, to be drawn below the pictures: one text for each map.
---@return string[]
function Trust:captions()
  local texts = {}
  for i, list in ipairs(self.images) do
    local lines = { summary(list) }
    for _, c in ipairs(list) do
      lines[#lines + 1] = ("%s: %s"):format(marks[c.verdict], c.short)
    end
    texts[i] = table.concat(lines, "\n")
  end
  return texts
end


function Trust:__tostring()
  local out = {}
  for i = 1, #self.images do
    out[i] = (#self.images > 1 and ("map %d: "):format(i) or "")
      .. table.concat(self:lines(i), "\n  ")
  end
  return table.concat(out, "\n")
end


-- checks ------------------------------------------------------------------------------


---The checks of one map, worst first, else in the order of checks.list.
local function judge(s)
  local list = {}
  if s:is_flat() then
    list[1] = checks.nothing(s)
  else
    for _, check in ipairs(checks.list) do list[#list + 1] = check(s) end
  end
  list[#list + 1] = checks.prediction(s)
  for n, c in ipairs(list) do c.place = n end
  table.sort(list, function(a, b)
    if order[a.verdict] ~= order[b.verdict] then
      return order[a.verdict] < order[b.verdict]
    end
    return a.place < b.place
  end)
  for _, c in ipairs(list) do c.place = nil end
  return list
end


---The score that the caller gives, or the one that the map explains.
local function score_of(map, opts)
  if opts.score ~= nil then return opts.score end
  return stories.score_of(map) or map.origin and map.origin.opts.score
end


local function check_options(map, opts)
  if not types.is_tensor(map) then
    blame("trust: a map expected, got " .. types.told(map))
  end
  local o = options.check("trust", opts, M.options)
  for key, many in pairs { classes = 9, shifts = 19, steps = 10 } do
    if o.full and (opts or {})[key] == nil then o[key] = many end
  end
  local story = map.story or {}
  if (story.maps or 1) > 1 then
    blame("trust: these are maps of several classes; ask for one (score), or for each "
          .. "by itself")
  end
  o.modifiers, o.shared, o.story = {}, {}, story
  o.score = require("lunette.score").of(score_of(map, opts or {}) or o.score)
  return o
end


---The caller's run, or one of the map's own pictures.
local function run_of(map, given)
  local origin = map.origin
  if given ~= nil and not types.is_object(given, "lunette.Run") then
    blame(("trust: run should be Run: of the pictures, got %s; net:run(images) gives "
          .. "a run"):format(types.told(given)))
  end
  if given then return given end
  if not origin then
    blame("trust: this map does not say what made it, as no part of a map and nothing "
          .. "computed from one does; ask the whole map, or give the run and "
          .. "{ method = }")
  end
  local run = origin.net:run(origin.images, { modifiers = origin.run_modifiers })
  return run, run
end


local function check_shapes(map, run)
  local story = map.story or {}
  if story.draws == "numbers" then
    blame(("trust: maps of the picture are checked, and %s gives (%s), a number for "
           .. "each channel of a layer"):format(story.method,
          table.concat(map:shape(), ",")))
  end
  if map:dim() < 3 or map:dim(1) ~= run:count() then
    blame(("trust: maps (N,H,W) of the run's %d pictures are wanted, got (%s)"):format(
          run:count(), table.concat(map:shape(), ",")))
  end
  if #run.images:shape() ~= 4 then
    blame("trust: the network's input has no height and width")
  end
end


---Checks maps: does another class give another map, do other weights, do its pixels
---matter more than the same shape elsewhere, is it steady, does it add up?
---@param map lunette.Tensor    (N,H,W) or (N,C,H,W)
---@param run? lunette.Run|table   of the pictures, where the map does not know them; or
---  the options
---@param opts? table              of M.options
---@return lunette.Trust
function M.of(map, run, opts)
  if opts == nil and type(run) == "table" and getmetatable(run) == nil then
    run, opts = nil, run
  end
  local o = check_options(map, opts)
  local given, made <close> = run_of(map, run)
  run = given or made
  check_shapes(map, run)
  local report = setmetatable({ images = {} }, Trust)
  for i = 1, run:count() do
    o.image = i
    local s = subject.new(map, run, i, o)
    report.images[i] = judge(s)
    s.run:release()
    collectgarbage()
  end
  return report
end

return M
